// The course of one field over time, from the store's history: zoomed and moved by pointer,
// wheel, fingers and keys.

import { ask } from "./orders.js";
import { attr, h, text } from "./dom.js";
import { chart } from "./chart.js";
import { clock, day, number, unit } from "./format.js";
import { icon } from "./icons.js";
import { now } from "./state.js";
import { aloud } from "./toasts.js";

const SPANS = [["10 min", 600_000], ["1 h", 3_600_000], ["1 day", 86_400_000], ["All", null]];
const LEAST = 2_000;

export class Plot {
  constructor() {
    this.canvas = h("canvas", { class: "plot-canvas" });
    this.select = h("div", { class: "plot-select", hidden: true });
    this.area = h("div", {
      class: "plot-area", tabindex: "0", role: "group", "aria-describedby": "plot-help",
      on: {
        keydown: (e) => this.key(e), wheel: (e) => this.wheel(e), pointerdown: (e) => this.down(e),
        pointermove: (e) => this.move(e), pointerup: (e) => this.release(e), pointercancel: (e) => this.release(e),
        pointerleave: () => this.point(null), dblclick: () => this.span(this.lastSpan), blur: () => this.point(null),
      },
    }, this.canvas, this.select);
    this.says = h("p", { class: "plot-says" });
    this.buttons = SPANS.map(([name, ms]) => h("button", { type: "button", class: "small", on: { click: () => this.span(ms) } }, name));
    const tool = (name, what, f) => h("button", { type: "button", class: "small quiet", "aria-label": what, title: what, on: { click: f } }, name);
    this.el = h("section", { class: "plot", "aria-label": "Course over time" },
      h("div", { class: "plot-bar" },
        h("div", { class: "segments", role: "group", "aria-label": "Span of time" }, this.buttons),
        h("span", { class: "grow" }),
        tool("−", "Zoom out", () => this.zoom(2)), tool("+", "Zoom in", () => this.zoom(0.5)),
        tool(icon("reset"), "Back to the whole span", () => this.span(this.lastSpan))),
      this.area, this.says,
      h("p", { class: "hint", id: "plot-help" }, "Drag to zoom into a part, wheel or pinch to zoom, shift and drag to move. Keys: + − ← → and 0."));
    this.points = [];
    this.pointers = new Map();
    this.lastSpan = 600_000;
    this.request = null;
    new ResizeObserver(() => this.draw()).observe(this.area);
  }

  /** Shows that field; what is shown of another one goes. */
  field(account, thing, field) {
    const key = `${account}\n${thing}\n${field && field.name}`;
    this.of = { account, thing, field };
    if (this.key0 === key) return;
    this.key0 = key;
    this.points = [];
    this.cross = null;
    this.error = null;
    this.span(this.lastSpan);
  }

  /** As much time up to now; `null`: all that there is. */
  span(ms) {
    this.lastSpan = ms;
    this.live = true;
    this.all = ms === null;
    this.until = now();
    this.from = this.until - (ms || 86_400_000);
    this.load(0);
  }

  /** These two moments, which then stand still unless they reach up to now. */
  window(from, until) {
    const long = Math.max(LEAST, until - from);
    const end = Math.min(until, now() + long * 0.02);
    this.live = end >= now() - long * 0.02;
    this.all = false;
    this.until = end;
    this.from = end - long;
    this.load(180);
    this.draw();
  }

  zoom(by, at) {
    const middle = at === undefined ? (this.live ? this.until : (this.from + this.until) / 2) : at;
    this.window(middle - (middle - this.from) * by, middle + (this.until - middle) * by);
  }

  shift(part) {
    const by = (this.until - this.from) * part;
    this.window(this.from + by, this.until + by);
  }

  key(e) {
    if (e.ctrlKey || e.altKey || e.metaKey) return;
    const does = {
      "+": () => this.zoom(0.5), "=": () => this.zoom(0.5), "-": () => this.zoom(2), ArrowLeft: () => this.shift(-0.25),
      ArrowRight: () => this.shift(0.25), 0: () => this.span(this.lastSpan), Home: () => this.span(null), End: () => this.span(this.lastSpan),
    }[e.key];
    if (!does) return;
    e.preventDefault();
    e.stopPropagation();
    does();
    // Said once it is there, and not with each value that comes.
    clearTimeout(this.saying);
    this.saying = setTimeout(() => aloud(this.says.textContent), 700);
  }

  place(e) {
    const box = this.canvas.getBoundingClientRect();
    return e.clientX - box.left;
  }

  moment(px) {
    const f = this.frame;
    if (!f) return this.from;
    return f.from + ((px - f.left) / (f.right - f.left)) * (f.until - f.from);
  }

  wheel(e) {
    if (!this.frame) return;
    e.preventDefault();
    if (Math.abs(e.deltaX) > Math.abs(e.deltaY)) this.shift(e.deltaX / 800);
    else this.zoom(Math.exp(Math.max(-1, Math.min(1, e.deltaY / 300))), this.moment(this.place(e)));
  }

  down(e) {
    if (e.button || !this.frame) return;
    this.area.setPointerCapture(e.pointerId);
    this.pointers.set(e.pointerId, this.place(e));
    const all = [...this.pointers.values()];
    this.drag = all.length === 2
      ? { how: "pinch", a: this.moment(all[0]), b: this.moment(all[1]) }
      : { how: e.pointerType === "touch" || e.shiftKey ? "move" : "select", from: this.place(e), at: this.moment(this.place(e)) };
  }

  move(e) {
    if (!this.frame) return;
    if (!this.pointers.has(e.pointerId)) {
      if (e.pointerType !== "touch") this.point(this.moment(this.place(e)));
      return;
    }
    this.pointers.set(e.pointerId, this.place(e));
    const f = this.frame;
    const wide = f.right - f.left;
    if (this.drag.how === "pinch" && this.pointers.size === 2) {
      const [p, q] = [...this.pointers.values()];
      if (Math.abs(p - q) < 8) return;
      const long = (this.drag.b - this.drag.a) / ((q - p) / wide);
      if (long < LEAST) return;
      const from = this.drag.a - ((p - f.left) / wide) * long;
      this.window(from, from + long);
    } else if (this.drag.how === "move") {
      const by = this.drag.at - this.moment(this.place(e));
      if (by) this.window(this.from + by, this.until + by);
      // Where the end of time is reached, the finger goes on without it.
      this.drag.at = this.moment(this.place(e));
    } else if (this.drag.how === "select") {
      const [a, b] = [this.drag.from, this.place(e)].sort((m, n) => m - n);
      this.select.hidden = b - a < 4;
      this.select.style.left = `${Math.max(a, f.left)}px`;
      this.select.style.width = `${Math.min(b, f.right) - Math.max(a, f.left)}px`;
    }
  }

  release(e) {
    if (!this.pointers.delete(e.pointerId)) return;
    const { drag } = this;
    this.select.hidden = true;
    if (drag.how === "select" && e.type === "pointerup" && this.frame) {
      const px = this.place(e);
      if (Math.abs(px - drag.from) >= 4) {
        const [a, b] = [this.moment(drag.from), this.moment(px)].sort((m, n) => m - n);
        this.crossAt = null;
        this.window(a, b);
      } else this.point(this.moment(px));
    } else if (drag.how === "move" && e.type === "pointerup" && Math.abs(this.place(e) - drag.from) < 6) this.point(this.moment(this.place(e)));
    const [left] = this.pointers.values();
    if (left !== undefined) this.drag = { how: "move", from: left, at: this.moment(left) };
  }

  /** Tells what it was at that moment. */
  point(at) {
    this.crossAt = at;
    this.draw();
  }

  /** Values came; what is shown up to now goes on. */
  told() {
    const { field } = this.of || {};
    if (!field || !this.live || this.pointers.size) return;
    const long = this.until - this.from;
    const at = now();
    if (at > this.until) {
      this.until = at;
      if (!this.all) this.from = at - long;
    }
    const last = this.points.length ? this.points[this.points.length - 1][0] : 0;
    if (field.number !== null && field.number !== undefined && field.at > last) {
      this.points.push([field.at, field.number, field.number, field.number]);
      while (this.points.length > 4000) this.points.shift();
    }
    // The history's own buckets take the place of what was added here now and then.
    if (at - this.loadedAt > Math.max(10_000, long / 60)) this.load(0);
    this.draw();
  }

  load(pause) {
    clearTimeout(this.timer);
    this.loadedAt = now();
    this.timer = setTimeout(() => this.fetch(), pause);
    this.buttons.forEach((b, i) => attr(b, "aria-pressed", this.live && SPANS[i][1] === this.lastSpan && (this.all || Math.abs(this.until - this.from - SPANS[i][1]) < 1000) ? "true" : "false"));
  }

  async fetch() {
    const { account, thing, field } = this.of || {};
    if (!field) return;
    if (this.request) this.request.abort();
    const request = new AbortController();
    this.request = request;
    const buckets = Math.max(50, Math.min(2000, Math.round(this.canvas.clientWidth || 600)));
    const ask1 = { account, thing, field: field.name, buckets };
    if (!this.all) {
      ask1.from = Math.floor(this.from);
      ask1.until = Math.ceil(this.until);
    }
    try {
      const told = await ask("/api/series", ask1, request.signal);
      this.points = told.points;
      this.error = null;
      if (this.all && told.points.length) {
        this.from = told.points[0][0];
        this.until = Math.max(now(), told.points[told.points.length - 1][0]);
        if (this.until - this.from < LEAST) this.from = this.until - LEAST;
      }
    } catch (error) {
      if (error.name === "AbortError") return;
      this.error = error.message;
    }
    this.draw();
  }

  draw() {
    const { field } = this.of || {};
    if (!field || !this.area.isConnected) return;
    const yes = field.type === "boolean";
    let near = null;
    if (this.crossAt) {
      for (const p of this.points) if (!near || Math.abs(p[0] - this.crossAt) < Math.abs(near[0] - this.crossAt)) near = p;
    }
    const named = unit(field.unit);
    const seen = this.points.filter((p) => p[0] >= this.from && p[0] <= this.until);
    this.frame = chart(this.canvas, {
      lines: [{ points: this.points, colour: "accent", steps: yes, gap: Math.max(15_000, (this.until - this.from) / 12) }],
      from: this.from, until: this.until, unit: yes ? "" : named, yes,
      empty: this.error || "nothing was told in this span; try a longer one",
      cross: near && [near[0], near[2]],
    });
    let said;
    if (this.error) said = `The history could not be read: ${this.error}`;
    else if (near) {
      const is = yes && (near[2] === 1 || near[2] === 0) ? (near[2] ? "yes" : "no") : number(near[2]);
      const range = near[1] !== near[3] ? ` (from ${number(near[1])} to ${number(near[3])})` : "";
      said = `${day(near[0])} ${clock(near[0])}: ${is}${named && ` ${named}`}${range}`;
    } else if (seen.length) {
      let [least, most, sum] = [Infinity, -Infinity, 0];
      for (const p of seen) {
        least = Math.min(least, p[1]);
        most = Math.max(most, p[3]);
        sum += p[2];
      }
      said = yes ? `Yes for ${Math.round((100 * sum) / seen.length)} % of what was told, from ${day(this.from)} ${clock(this.from)} to ${clock(this.until)}` : `Lowest ${number(least)}, mean ${number(sum / seen.length)}, highest ${number(most)}${named && ` ${named}`}, from ${day(this.from)} ${clock(this.from)} to ${clock(this.until)}`;
    } else said = "Nothing was told in this span.";
    text(this.says, said);
    attr(this.area, "aria-label", `Plot of ${field.name}. ${near ? said : ""}`);
  }
}
