// Lines over time on a canvas: sparklines, and charts with axes.

let palette = null;

/** The colours of the style sheet, which change with the theme. */
export function colours() {
  if (!palette) {
    const style = getComputedStyle(document.documentElement);
    const of = (name) => style.getPropertyValue(name).trim();
    palette = {
      accent: of("--accent"), ink: of("--ink"), soft: of("--soft"), line: of("--line"), band: of("--band"),
      good: of("--good"), warn: of("--warn"), bad: of("--bad"), surface: of("--surface"),
      font: `12px ${style.fontFamily || "sans-serif"}`,
    };
  }
  return palette;
}

export function forgetColours() {
  palette = null;
}

/** The canvas with as many dots as the screen has there, and its context; none if it is hidden. */
export function fit(canvas) {
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  if (!width || !height) return null;
  const dots = Math.min(3, window.devicePixelRatio || 1);
  const [w, h] = [Math.round(width * dots), Math.round(height * dots)];
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
  }
  const to = canvas.getContext("2d");
  to.setTransform(dots, 0, 0, dots, 0, 0);
  to.clearRect(0, 0, width, height);
  return { to, width, height };
}

/** The course of a field in a few pixels. A yes or no makes steps. */
export function spark(canvas, series, steps) {
  const on = fit(canvas);
  if (!on || !series || series.length < 2) return;
  const { to, width, height } = on;
  const n = series.length;
  const first = series.time(0);
  const long = series.time(n - 1) - first || 1;
  let least = Infinity;
  let most = -Infinity;
  for (let i = 0; i < n; i += 1) {
    const is = series.number(i);
    if (is < least) least = is;
    if (is > most) most = is;
  }
  const high = most - least || 1;
  const flat = most === least;
  const x = (i) => 1 + ((series.time(i) - first) / long) * (width - 4);
  const y = (i) => (flat ? height / 2 : height - 2.5 - ((series.number(i) - least) / high) * (height - 5));
  to.beginPath();
  to.moveTo(x(0), y(0));
  for (let i = 1; i < n; i += 1) {
    if (steps) to.lineTo(x(i), y(i - 1));
    to.lineTo(x(i), y(i));
  }
  const { accent } = colours();
  to.strokeStyle = accent;
  to.lineWidth = 1.3;
  to.lineJoin = "round";
  to.stroke();
  to.beginPath();
  to.arc(x(n - 1), y(n - 1), 1.9, 0, 7);
  to.fillStyle = accent;
  to.fill();
}

const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800, 1209600, 2592000, 7776000, 31536000];

/** Moments for the axis of time, and how to write them. */
export function moments(from, until, most) {
  const step = (STEPS.find((s) => (until - from) / 1000 / s <= most) || 31536000) * 1000;
  const zone = new Date(from).getTimezoneOffset() * 60_000;
  const all = [];
  for (let at = Math.ceil((from - zone) / step) * step + zone; at <= until; at += step) all.push(at);
  const two = (n) => String(n).padStart(2, "0");
  const write = (at) => {
    const d = new Date(at);
    if (step >= 86_400_000) return d.toLocaleDateString("en-GB", { day: "numeric", month: "short" });
    const clock = `${two(d.getHours())}:${two(d.getMinutes())}`;
    return step < 60_000 ? `${clock}:${two(d.getSeconds())}` : clock;
  };
  return { all, write };
}

/** Round numbers from `least` to `most`; `whole`: things that are counted. */
export function rounds(least, most, wanted, whole) {
  const rough = (most - least) / Math.max(1, wanted);
  const ten = 10 ** Math.floor(Math.log10(rough));
  const fits = [1, 2, 2.5, 5, 10].map((s) => s * ten).find((s) => s >= rough) || rough;
  const step = whole ? Math.max(1, Math.ceil(fits)) : fits;
  const all = [];
  for (let is = Math.ceil(least / step - 1e-9) * step; is <= most + step * 1e-9; is += step) all.push(is);
  const digits = Math.max(0, Math.min(6, -Math.floor(Math.log10(step) + 1e-9) + (step / ten === 2.5 ? 1 : 0)));
  return { all, write: (is) => (Math.abs(is) >= 1e6 ? is.toExponential(1) : is.toFixed(digits).replace("-0", is < 0 ? "-0" : "0")) };
}

/**
 * Draws axes and lines. `lines`: `[{ points: [[at, least, mean, most] or [at, is]], colour, steps }]`.
 * Gives back the frame, to find places in it again.
 */
export function chart(canvas, { lines, from, until, zero, unit, empty, cross, yes, whole }) {
  const on = fit(canvas);
  if (!on) return null;
  const { to, width, height } = on;
  const c = colours();
  to.font = c.font;
  to.textBaseline = "middle";
  let [least, most] = [Infinity, -Infinity];
  for (const { points } of lines) {
    for (const p of points) {
      if (p[1] < least) least = p[1];
      if (p[p.length - 1] > most) most = p[p.length - 1];
    }
  }
  const bare = least === Infinity;
  if (bare) [least, most] = [0, 1];
  if (yes) [least, most] = [0, 1];
  if (zero) least = Math.min(0, least);
  if (least === most) [least, most] = zero ? [0, Math.max(4, most)] : [least - 1, most + 1];
  const room = (most - least) * 0.06;
  if (!zero || least < 0) least -= room;
  most += room;
  const ticks = yes ? { all: [0, 1], write: (is) => (is ? "yes" : "no") } : rounds(least, most, Math.max(2, Math.floor(height / 44)), whole);
  const labels = ticks.all.map(ticks.write);
  const left = Math.max(24, ...labels.map((l) => to.measureText(l).width)) + 12;
  const frame = { left, top: unit ? 22 : 10, right: width - 10, bottom: height - 24, from, until, least, most };
  const x = (at) => frame.left + ((at - from) / (until - from || 1)) * (frame.right - frame.left);
  const y = (is) => frame.bottom - ((is - least) / (most - least)) * (frame.bottom - frame.top);
  to.strokeStyle = c.line;
  to.fillStyle = c.soft;
  to.lineWidth = 1;
  to.textAlign = "right";
  ticks.all.forEach((is, i) => {
    const at = Math.round(y(is)) + 0.5;
    to.beginPath();
    to.moveTo(frame.left, at);
    to.lineTo(frame.right, at);
    to.stroke();
    to.fillText(labels[i], frame.left - 8, at);
  });
  to.textAlign = "center";
  const times = moments(from, until, Math.max(2, Math.floor((frame.right - frame.left) / 84)));
  for (const at of times.all) {
    const px = x(at);
    if (px < frame.left + 10 || px > frame.right - 14) continue;
    to.fillText(times.write(at), px, height - 10);
    to.beginPath();
    to.moveTo(Math.round(px) + 0.5, frame.bottom);
    to.lineTo(Math.round(px) + 0.5, frame.bottom + 4);
    to.stroke();
  }
  if (unit) {
    to.textAlign = "left";
    to.fillText(unit, 4, 9);
  }
  if (bare) {
    to.textAlign = "center";
    to.fillText(empty || "nothing here yet", (frame.left + frame.right) / 2, (frame.top + frame.bottom) / 2 - 10);
    return frame;
  }
  to.save();
  to.beginPath();
  to.rect(frame.left, frame.top - 2, frame.right - frame.left, frame.bottom - frame.top + 4);
  to.clip();
  for (const { points, colour, steps, fill, gap } of lines) {
    if (!points.length) continue;
    const mid = points[0].length > 2 ? 2 : 1;
    if (mid === 2) {
      to.fillStyle = c.band;
      to.beginPath();
      points.forEach((p, i) => (i ? to.lineTo(x(p[0]), y(p[3])) : to.moveTo(x(p[0]), y(p[3]))));
      for (let i = points.length - 1; i >= 0; i -= 1) to.lineTo(x(points[i][0]), y(points[i][1]));
      to.fill();
    } else if (fill) {
      to.fillStyle = c.band;
      to.beginPath();
      to.moveTo(x(points[0][0]), y(Math.max(0, least)));
      points.forEach((p) => to.lineTo(x(p[0]), y(p[1])));
      to.lineTo(x(points[points.length - 1][0]), y(Math.max(0, least)));
      to.fill();
    }
    to.beginPath();
    points.forEach((p, i) => {
      const px = x(p[0]);
      const py = y(p[mid]);
      // Where nothing was told there is no line.
      if (!i || (gap && p[0] - points[i - 1][0] > gap)) to.moveTo(px, py);
      else {
        if (steps) to.lineTo(px, y(points[i - 1][mid]));
        to.lineTo(px, py);
      }
    });
    to.strokeStyle = c[colour] || c.accent;
    to.lineWidth = 1.6;
    to.lineJoin = "round";
    to.stroke();
    if (points.length === 1) {
      to.beginPath();
      to.arc(x(points[0][0]), y(points[0][mid]), 3, 0, 7);
      to.fillStyle = c[colour] || c.accent;
      to.fill();
    }
  }
  to.restore();
  if (cross) {
    const px = x(cross[0]);
    to.strokeStyle = c.soft;
    to.setLineDash([3, 3]);
    to.beginPath();
    to.moveTo(px, frame.top);
    to.lineTo(px, frame.bottom);
    to.stroke();
    to.setLineDash([]);
    to.beginPath();
    to.arc(px, y(cross[1]), 4, 0, 7);
    to.fillStyle = c.accent;
    to.fill();
    to.strokeStyle = c.surface;
    to.lineWidth = 2;
    to.stroke();
  }
  return frame;
}
