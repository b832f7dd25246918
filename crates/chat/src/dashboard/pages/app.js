// The page as a whole: which part of it is shown, keys, colours, and the stream of events.

import { attr, h, show, takesKeys, text } from "./dom.js";
import { aloud, toast } from "./toasts.js";
import { changed, listen, state } from "./state.js";
import { forgetColours } from "./chart.js";
import { icon } from "./icons.js";
import { span } from "./format.js";
import { shortcuts } from "./dialogs.js";
import { feed } from "./feed.js";
import { Strip } from "./strip.js";
import { Things } from "./things.js";
import { ThingPage } from "./thing.js";
import { Chat } from "./chat.js";
import { Delivery } from "./delivery.js";
import { Tour } from "./tour.js";

const $ = (id) => document.getElementById(id);
const PAGES = [["things", "Things"], ["chat", "Chat"], ["delivery", "Delivery"], ["tour", "Tour"]];

const go = (...parts) => { location.hash = `#/${parts.map(encodeURIComponent).join("/")}`; };
const pages = { things: new Things(go), thing: new ThingPage(go), chat: new Chat(go), delivery: new Delivery(), tour: new Tour() };
let current = null;
let page = "";
let keysOn = localStorage.getItem("keys") !== "off";

// Colours

const dark = matchMedia("(prefers-color-scheme: dark)");
function theme() {
  const chosen = localStorage.getItem("theme");
  const is = chosen ? chosen === "dark" : dark.matches;
  document.documentElement.dataset.theme = is ? "dark" : "light";
  forgetColours();
  Things.theme += 1;
  strip.theme(is);
  changed("theme");
}

function otherTheme() {
  const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  // What the system wants needs no note.
  if ((next === "dark") === dark.matches) localStorage.removeItem("theme");
  else localStorage.setItem("theme", next);
  theme();
}

const help = () => shortcuts(keysOn, (on) => {
  keysOn = on;
  localStorage.setItem("keys", on ? "on" : "off");
});
const strip = new Strip({ theme: otherTheme, help });
dark.addEventListener("change", theme);
theme();

// Tabs and pages

const links = [$("tabs"), strip.nav].map((nav) => PAGES.map(([name, label]) => {
  const badge = h("span", { class: "badge", hidden: true });
  const el = h("a", { class: "tab", href: `#/${name}`, hidden: name === "tour" }, icon(name), h("span", { class: "tab-name", text: label }), badge);
  nav.append(el);
  return { name, el, badge };
})).flat();

function route(first) {
  let parts;
  try {
    parts = location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  } catch {
    parts = [];
  }
  let [name, ...more] = parts;
  if (!PAGES.some(([p]) => p === name)) name = "things";
  const shown = name === "things" && more[0] ? "thing" : name;
  const next = pages[shown];
  if (current !== next) {
    if (current && current.hide) current.hide();
    $("main").replaceChildren(next.el);
    current = next;
  }
  page = shown;
  if (shown === "thing") next.show(more[0], more[1] || "");
  else if (shown === "chat") next.show(more[0] || null);
  else next.show();
  for (const { name: of, el } of links) attr(el, "aria-current", of === name ? "page" : null);
  attr(document.body, "data-page", shown);
  attr(document.body, "data-detail", more[0] ? "yes" : null);
  title();
  if (first) return undefined;
  const active = document.activeElement;
  // The focus goes where the eyes go, unless it is in there already.
  if (!active || active === document.body || !next.el.contains(active) || !active.offsetParent) {
    const heading = [...next.el.querySelectorAll("h1, .talk-title")].reverse().find((x) => x.offsetParent);
    if (heading) heading.focus({ preventScroll: true });
  } else if (shown === "chat" && more[0]) {
    const input = next.talk.input;
    if (matchMedia("(pointer: fine)").matches) input.focus({ preventScroll: true });
  }
  return undefined;
}

function title() {
  let unread = 0;
  for (const talk of state.talks.values()) unread += talk.unread || 0;
  const name = PAGES.find(([p]) => p === (page === "thing" ? "things" : page));
  document.title = `${unread ? `(${unread}) ` : ""}${name ? name[1] : ""} – Stanchion`;
  for (const link of links) {
    if (link.name === "chat") {
      const waits = unread + state.asked.size + state.invited.size;
      show(link.badge, waits > 0);
      text(link.badge, waits > 99 ? "99+" : String(waits));
    }
    if (link.name === "tour") show(link.el, !!state.tour);
  }
}

$("skip").addEventListener("click", (e) => {
  e.preventDefault();
  $("main").focus();
});
window.addEventListener("hashchange", () => state.ready && route(false));

// Keys

document.addEventListener("keydown", (e) => {
  if (e.ctrlKey || e.altKey || e.metaKey || e.defaultPrevented || !state.ready) return;
  if (document.querySelector("dialog[open]")) return;
  if (e.key === "Escape") {
    if (takesKeys(e.target)) e.target.blur();
    else if (document.body.dataset.detail) history.length > 1 ? go(page === "thing" ? "things" : "chat") : null;
    return;
  }
  if (!keysOn || takesKeys(e.target)) return;
  const at = "1234".indexOf(e.key);
  const does = {
    "?": help, t: otherTheme, s: () => strip.status(), n: () => { go("chat"); pages.chat.begin(); }, "/": () => (current.find ? current.find() : current.plot ? pages.things.find() : null),
  }[e.key];
  if (at >= 0 && (at < 3 || state.tour)) {
    e.preventDefault();
    go(PAGES[at][0]);
  } else if (does) {
    e.preventDefault();
    does();
  } else if (current.key && page === "tour" && current.key(e)) e.preventDefault();
});

// Events

listen((what) => {
  if (!state.ready) return;
  if (what.has("state") && !current) {
    $("starting")?.remove();
    route(true);
  }
  if (["link", "own", "gauge", "tick", "state"].some((w) => what.has(w))) strip.update();
  if (["talks", "asked", "state", "tour"].some((w) => what.has(w))) title();
  if (current) current.update(what);
});

const lost = { at: 0, retryAt: 0 };
function banner() {
  const el = $("banner");
  // A moment without the stream is no news.
  const on = lost.at && Date.now() - lost.at > 1200;
  show(el, !!on);
  if (!on) {
    el.replaceChildren();
    return;
  }
  if (!el.firstChild) el.append(icon("warn"), h("span", { role: "alert", text: "The dashboard's own server is not reachable; showing the last state." }), h("span", { class: "num banner-when" }), h("button", { type: "button", class: "small", on: { click: () => again() } }, "Try now"));
  const left = lost.retryAt - Date.now();
  text(el.querySelector(".banner-when"), left > 500 ? `Next attempt in ${span(left)}.` : "Trying …");
}

const again = feed((told) => {
  if (told.up) {
    if (lost.at && Date.now() - lost.at > 1200) aloud("The dashboard's own server is reachable again.");
    lost.at = 0;
  } else {
    lost.at ||= Date.now();
    lost.retryAt = told.retryAt;
    if (!state.ready) text($("starting"), "The dashboard's own server is not reachable. Is `stanchion dashboard` still running? It is tried again by itself.");
  }
  attr(document.body, "data-lost", lost.at ? "yes" : null);
  banner();
}, (name, data) => {
  if (name === "notice") toast(data.severity, data.text);
});

setInterval(() => {
  banner();
  if (!document.hidden) changed("tick");
}, 1000);
document.addEventListener("visibilitychange", () => changed("tick"));
window.addEventListener("focus", () => changed("tick"));
