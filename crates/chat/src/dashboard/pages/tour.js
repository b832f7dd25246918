// The tour: things break because somebody presses a button, and nothing is lost.

import { attr, h, kind, reconcile, show, text } from "./dom.js";
import { chart } from "./chart.js";
import { clock, count } from "./format.js";
import { icon } from "./icons.js";
import { order } from "./orders.js";
import { now, state } from "./state.js";
import { toast } from "./toasts.js";

const FIGURES = [
  ["server", "The server is"], ["sent", "Sent"], ["delivered", "Delivered"], ["out_of_order", "Out of order"],
  ["retransmitted", "Sent again"], ["duplicates_stopped", "Copies stopped"],
];

export class Tour {
  constructor() {
    this.lost = h("span", { class: "big num" });
    this.doubled = h("span", { class: "big num" });
    this.queued = h("span", { class: "big num" });
    this.lostBox = h("div", { class: "giant", role: "status" }, this.lost, h("span", { class: "giant-h" }, "lost"));
    this.doubledBox = h("div", { class: "giant", role: "status" }, this.doubled, h("span", { class: "giant-h" }, "duplicated"));
    this.queuedBox = h("div", { class: "giant plain" }, this.queued, h("span", { class: "giant-h" }, "on their way"));
    this.buttons = h("div", { class: "tour-buttons" });
    this.says = h("p", { class: "hint" });
    this.log = h("ol", { class: "tour-log", role: "log", "aria-label": "What happened" });
    this.el = h("section", { class: "page tour", "aria-labelledby": "tour-h" },
      h("div", { class: "bar" }, h("h1", { id: "tour-h", tabindex: "-1" }, "Tour"), h("p", { class: "total" }, "Break something; watch what becomes of the messages.")),
      this.none = h("div", { class: "empty" }, icon("tour"), h("h2", { text: "No tour runs here" }), h("p", { text: "A tour breaks servers and lines of its own, on purpose, and shows what becomes of the messages." })),
      this.body = h("div", { class: "scroll" },
        h("div", { class: "giants" }, this.lostBox, this.doubledBox, this.queuedBox),
        h("section", { class: "card", "aria-labelledby": "break-h" }, h("h2", { class: "card-h", id: "break-h" }, "Break something"), this.says, this.buttons),
        h("div", { class: "columns" },
          h("section", { class: "card" }, h("h2", { class: "card-h" }, "What happened"), this.log),
          h("section", { class: "card" }, h("h2", { class: "card-h" }, "Counted by both ends"), this.figures = h("dl", { class: "facts" })),
          h("section", { class: "card wide" }, h("h2", { class: "card-h" }, "This client's messages on their way"), this.chart = h("canvas", { class: "chart", role: "img" })))));
  }

  show() {
    this.draw();
  }

  update(what) {
    if (what.has("tour") || what.has("gauge") || what.has("state") || what.has("theme")) this.draw();
  }

  /** The key of a button: its own, or the first of its letters that no other one has. */
  keys() {
    const keys = new Map();
    for (const b of (state.tour && state.tour.buttons) || []) {
      const letters = (b.key || "") + b.label.toLowerCase();
      const key = Array.from(letters).find((c) => /[a-z]/.test(c) && !"nst".includes(c) && !keys.has(c));
      if (key) keys.set(key, b);
    }
    return keys;
  }

  key(e) {
    const b = this.keys().get(e.key);
    if (b && b.enabled !== false) this.press(b);
    return !!b;
  }

  async press(b) {
    if (await order({ order: "tour", button: b.name })) toast("info", `${b.label}: asked for`);
  }

  /** What else is counted, and how the server is. */
  drawFigures(tour) {
    const figures = FIGURES.filter(([name]) => tour[name] !== undefined);
    reconcile(this.figures, figures, (f) => f[0], ([, label]) => h("div", { class: "fact" }, h("dt", { text: label }), h("dd", { class: "num" })), (el, [name]) => {
      const is = tour[name];
      text(el.lastChild, typeof is === "number" ? count(is) : String(is));
      kind(el, name === "server" ? (is === "up" ? "fact good" : "fact warn") : name === "out_of_order" && is ? "fact bad" : "fact");
    });
  }

  draw() {
    const { tour } = state;
    show(this.none, !tour);
    show(this.body, !!tour);
    if (!tour) return;
    text(this.lost, count(tour.lost));
    text(this.doubled, count(tour.duplicated));
    text(this.queued, count(tour.waiting ?? state.flow.now.queued));
    this.drawFigures(tour);
    kind(this.lostBox, tour.lost ? "giant bad" : "giant good");
    kind(this.doubledBox, tour.duplicated ? "giant bad" : "giant good");
    const byButton = new Map([...this.keys()].map(([key, b]) => [b.name, key]));
    const buttons = tour.buttons || [];
    text(this.says, buttons.length ? "Each button has a key. Nothing outside of this demonstration is touched." : "There is nothing to press at the moment.");
    reconcile(this.buttons, buttons, (b) => b.name, (b) => {
      const el = h("button", { type: "button", class: "tour-button", on: { click: () => el.button.enabled !== false && this.press(el.button) } }, h("span"), h("kbd"));
      return el;
    }, (el, b) => {
      el.button = b;
      text(el.firstChild, b.label);
      const key = byButton.get(b.name);
      text(el.lastChild, key || "");
      show(el.lastChild, !!key);
      attr(el, "aria-keyshortcuts", key);
      // One that has the focus keeps it while something is being done.
      attr(el, "aria-disabled", b.enabled === false ? "true" : null);
      kind(el, b.doing ? "tour-button doing" : "tour-button");
    });
    const past = state.flow.past.slice(-180);
    const until = past.length ? past[past.length - 1].at : now();
    chart(this.chart, { lines: [{ points: past.map((g) => [g.at, g.queued]), colour: "accent", fill: true }], whole: true, from: Math.min(until - 60_000, past.length ? past[0].at : until), until, zero: true, empty: "figures come once a second" });
    attr(this.chart, "aria-label", `Messages on their way: now ${state.flow.now.queued || 0}, at most ${past.reduce((m, g) => Math.max(m, g.queued), 0)} in the last three minutes.`);
    const lines = (tour.log || []).slice(-200);
    let n = (tour.log || []).length - lines.length;
    const items = lines.map((l) => ({ key: `${n++} ${l.at || ""}`, at: l.at, said: typeof l === "string" ? l : l.text })).reverse();
    reconcile(this.log, items, (l) => l.key, (l) => h("li", {}, l.at ? h("time", { class: "num", text: clock(l.at) }) : null, h("p", { dir: "auto", text: l.said })), () => {});
  }
}
