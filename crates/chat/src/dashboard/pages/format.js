// Times, amounts and units as people write them.

const units = { Cel: "°C", "%RH": "%", "%EL": "%", lx: "lux", "beat/min": "/min", deg: "°", m3: "m³", "m/s2": "m/s²", "1/min": "/min", "mm[Hg]": "mmHg" };
const two = (n) => String(n).padStart(2, "0");

export const unit = (u) => (u ? units[u] || u : "");
export const label = (name) => name.replace(/[_-]+/g, " ");

/** Whether a field says that something is wrong: a yes or no that is called so. */
export const alarms = (field) => field.number === 1 && field.type === "boolean" && /alarm|alert|fault|error|leak|smoke/i.test(field.name);

/** 14:03:21 */
export function clock(at) {
  const d = new Date(at);
  return `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
}

/** 14:03 */
export function minute(at) {
  const d = new Date(at);
  return `${two(d.getHours())}:${two(d.getMinutes())}`;
}

export function day(at) {
  const d = new Date(at);
  const today = new Date();
  const days = Math.round((midnight(today) - midnight(d)) / 864e5);
  if (days === 0) return "Today";
  if (days === 1) return "Yesterday";
  const far = d.getFullYear() !== today.getFullYear();
  return d.toLocaleDateString("en-GB", { weekday: "short", day: "numeric", month: "short", year: far ? "numeric" : undefined });
}

function midnight(d) {
  return new Date(d.getFullYear(), d.getMonth(), d.getDate()).getTime();
}

/** The time if it was today, otherwise the day. */
export function when(at) {
  if (!at) return "";
  const said = day(at);
  return said === "Today" ? minute(at) : said;
}

/** How long it took or is ago: 4 s, 12 min, 3 h, 2 d. */
export function span(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 90) return `${s} s`;
  if (s < 5400) return `${Math.round(s / 60)} min`;
  if (s < 129600) return `${Math.round(s / 3600)} h`;
  return `${Math.round(s / 86400)} d`;
}

const whole = new Intl.NumberFormat("en-US");
/** 12,345 */
export const count = (n) => whole.format(n || 0);

/** A number with as many digits as it takes. */
export function number(n) {
  if (n === null || n === undefined || !Number.isFinite(n)) return "–";
  const size = Math.abs(n);
  if (size !== 0 && (size >= 1e7 || size < 1e-3)) return n.toExponential(2);
  const digits = size >= 1000 ? 0 : size >= 100 ? 1 : size >= 1 ? 2 : 3;
  return String(Number(n.toFixed(digits)));
}

export function plural(n, one, many) {
  return `${count(n)} ${n === 1 ? one : many || `${one}s`}`;
}

export const availability = {
  available: "available",
  chatty: "free to talk",
  away: "away",
  busy: "busy",
  "extended-away": "away for long",
  unavailable: "not there",
  unknown: "not known",
};
