// One thing: its fields, the course of one of them, and what can be set.

import { attr, h, kind, reconcile, roving, show, text } from "./dom.js";
import { alarms, clock, label, span, unit } from "./format.js";
import { icon, redraw } from "./icons.js";
import { keyOf, nameOfThing, now, state } from "./state.js";
import { Plot } from "./plot.js";
import { Things } from "./things.js";
import { confirm } from "./dialogs.js";
import { older } from "./older.js";
import { order } from "./orders.js";
import { spark } from "./chart.js";

/** Commands of this page that are remembered. */
const COMMANDS = 8;

export class ThingPage {
  constructor(go) {
    this.go = go;
    this.plot = new Plot();
    this.dot = h("span", { class: "dot" });
    this.name = h("h1", { tabindex: "-1", dir: "auto" });
    this.sub = h("p", { class: "total", dir: "auto" });
    this.silent = h("p", { class: "note warn", hidden: true });
    this.fields = h("div", { class: "fields", role: "radiogroup", "aria-label": "Field that is plotted" });
    this.tend = roving(this.fields, ".field");
    this.controls = h("div", { class: "controls" });
    this.noControls = h("p", { class: "hint" });
    this.commands = h("ol", { class: "commands", "aria-live": "polite" });
    this.gone = h("div", { class: "empty", hidden: true }, icon("things"), h("h2", { text: "That thing is not known" }), h("p", { text: "It may tell something later, or its address is not watched any more." }),
      h("a", { class: "button", href: "#/things" }, "All things"));
    this.body = h("div", { class: "thing-body" },
      h("div", { class: "thing-main" },
        h("section", { class: "card", "aria-label": "Plot" }, this.plotTitle = h("h2", { class: "card-h", dir: "auto" }), this.plot.el),
        h("section", { class: "card", "aria-labelledby": "set-h" }, h("h2", { id: "set-h", class: "card-h" }, "Control"), this.noControls, this.controls, this.commands)),
      h("section", { class: "card thing-side", "aria-labelledby": "fields-h" }, h("h2", { id: "fields-h", class: "card-h" }, "Fields"), this.fields));
    this.el = h("section", { class: "page thing" },
      h("div", { class: "bar" }, h("a", { class: "back", href: "#/things", "aria-label": "All things" }, icon("back")), this.dot, h("div", { class: "title" }, this.name, this.sub), h("span", { class: "grow" }),
        h("button", { type: "button", class: "small quiet", on: { click: () => this.unwatch() } }, "Stop watching")),
      this.silent, this.gone, this.body);
    this.history = new Map();
  }

  async unwatch() {
    const { account } = this.thing;
    const yes = await confirm({ title: `Stop watching ${account}?`, says: "All things behind this address are shown no more. What they told stays in the history.", yes: "Stop watching", risky: true });
    if (yes && (await order({ order: "unwatch", jid: account }))) this.go("things");
  }

  show(account, thing) {
    const key = keyOf(account, thing);
    if (this.key !== key) {
      this.key = key;
      this.chosen = null;
      this.plot.key0 = null;
      this.controls.replaceChildren();
      this.controls.byKey = null;
      this.askedControls = false;
      this.lastCommand = undefined;
    }
    this.draw();
  }

  update(what) {
    if (["things", "thing-set", "link", "controls", "command", "persons", "state", "tick", "theme"].some((w) => what.has(w))) this.draw();
  }

  draw() {
    this.thing = state.things.get(this.key);
    show(this.gone, !this.thing);
    show(this.body, !!this.thing);
    if (!this.thing) {
      text(this.name, this.key.split("\n")[1] || this.key.split("\n")[0]);
      return;
    }
    const { thing } = this;
    const [how, why] = Things.how(thing);
    kind(this.dot, `dot ${how}`);
    text(this.name, nameOfThing(thing));
    text(this.sub, `${thing.account} · heard ${span(now() - thing.at)} ago`);
    show(this.silent, !!why);
    text(this.silent, how === "silent" ? `It tells nothing at the moment: ${why}` : how === "quiet" ? `It told ${why}. These are its last values.` : "There is no connection at the moment: these are the last values.");
    const fields = [...thing.fields.values()];
    if (!this.chosen || !thing.fields.has(this.chosen)) {
      const numeric = fields.find((f) => f.series && f.type !== "boolean") || fields.find((f) => f.series) || fields[0];
      this.chosen = numeric ? numeric.name : null;
    }
    reconcile(this.fields, fields, (f) => f.name, (f) => this.makeField(f), (el, f) => this.drawField(el, f));
    this.tend();
    const field = thing.fields.get(this.chosen);
    if (field) {
      text(this.plotTitle, `${label(field.name)}: ${field.value}${unit(field.unit) && !field.value.endsWith(unit(field.unit)) ? ` ${unit(field.unit)}` : ""}`);
      this.plot.field(thing.account, thing.thing, field);
      this.plot.told();
    }
    this.drawControls();
    this.drawCommands();
  }

  makeField(field) {
    const el = h("button", { type: "button", class: "field", role: "radio", tabindex: "-1", on: { click: () => { this.chosen = field.name; this.draw(); } } });
    el.parts = { label: h("span", { class: "t-label", dir: "auto" }), value: h("span", { class: "field-value num", dir: "auto" }), canvas: h("canvas", { class: "spark" }), at: h("span", { class: "t-sub num" }) };
    el.append(el.parts.label, el.parts.value, el.parts.canvas, el.parts.at);
    return el;
  }

  drawField(el, field) {
    const p = el.parts;
    text(p.label, label(field.name));
    const named = unit(field.unit);
    text(p.value, named && !field.value.endsWith(named) ? `${field.value} ${named}` : field.value || "–");
    text(p.at, clock(field.at));
    kind(p.value, alarms(field) ? "field-value num alarm" : "field-value num");
    attr(el, "aria-checked", field.name === this.chosen ? "true" : "false");
    older(this.thing, field);
    const drawn = [field.at, field.series && field.series.length, p.canvas.clientWidth, Things.theme].join(" ");
    if (p.drawn !== drawn) spark(p.canvas, field.series, field.type === "boolean");
    p.drawn = drawn;
  }

  drawControls() {
    const { thing } = this;
    // What a stream that is gone was asked is asked of the next one again.
    const up = state.link.state === "up";
    if (thing.controls === null && up && this.askedControls !== state.link.since) {
      this.askedControls = state.link.since;
      order({ order: "controls", account: thing.account, thing: thing.thing }, true);
    }
    const some = thing.controls && thing.controls.length > 0;
    show(this.noControls, !some);
    text(this.noControls, thing.controls === null ? (up ? "Asking what can be set …" : "What can be set is asked once there is a connection.") : "Nothing can be set at this thing, or not by this account.");
    reconcile(this.controls, thing.controls || [], (c) => `${c.name}\n${c.kind}`, (c) => this.makeControl(c), (el, c) => el.draw(c));
  }

  set(control, value) {
    this.pending = `${control.name} = ${value}`;
    return order({ order: "set", account: this.thing.account, thing: this.thing.thing, parameter: control.name, value: String(value) });
  }

  makeControl(control) {
    const id = `set-${control.name.replace(/\W+/g, "-")}-${Math.random().toString(36).slice(2, 7)}`;
    const nowIs = h("span", { class: "now", dir: "auto" });
    const name = h(control.kind === "switch" ? "span" : "label", control.kind === "switch" ? { id } : { for: id });
    let take;
    let input;
    if (control.kind === "switch") {
      input = h("button", { type: "button", class: "switch", role: "switch", "aria-labelledby": id, on: { click: () => this.set(control, input.getAttribute("aria-checked") === "true" ? "false" : "true") } }, h("span", { class: "knob" }));
      take = (c) => attr(input, "aria-checked", /^(true|1|on|yes)$/i.test(c.now || "") ? "true" : "false");
    } else if (control.kind === "choice") {
      input = h("select", { id }, (control.choices || []).map(([value, says]) => h("option", { value }, says || value)));
      take = (c) => { if (c.now !== null && c.now !== undefined) input.value = c.now; };
    } else {
      const n = control.kind === "number";
      input = h("input", { id, type: n ? "number" : "text", inputmode: n ? "decimal" : undefined, min: n ? control.min : undefined, max: n ? control.max : undefined, step: n ? (control.whole ? "1" : "any") : undefined, required: true, autocomplete: "off" });
      take = (c) => { if (c.now !== null && c.now !== undefined) input.value = c.now; };
    }
    const range = control.kind === "number" && (control.min ?? control.max) !== null && (control.min ?? control.max) !== undefined
      ? ` (${control.min ?? "…"} to ${control.max ?? "…"})` : "";
    const form = h("form", { class: "control", on: { submit: (e) => {
      e.preventDefault();
      form.touched = false;
      this.set(control, input.value);
    } } }, h("div", { class: "control-name" }, name, nowIs), input,
    control.kind === "switch" ? null : h("button", { type: "submit", class: "small" }, "Set"));
    input.addEventListener("input", () => { form.touched = true; });
    form.draw = (c) => {
      text(name, (c.label || label(c.name)) + range);
      text(nowIs, c.now === null || c.now === undefined ? "what it is now is not known" : control.kind === "switch" ? (/^(true|1|on|yes)$/i.test(c.now) ? "now on" : "now off") : `now ${c.now}`);
      // What a person is about to write is left alone.
      if (form.lastNow !== c.now && !form.touched && document.activeElement !== input) take(c);
      if (control.kind === "switch") take(c);
      form.lastNow = c.now;
    };
    return form;
  }

  drawCommands() {
    const { command } = this.thing;
    let list = this.history.get(this.key);
    if (!list) this.history.set(this.key, (list = []));
    if (command) {
      const is = `${this.thing.commands || 0} ${JSON.stringify(command)}`;
      if (list.last !== is) {
        list.last = is;
        const open = command.outcome && list.find((c) => c.command.what === command.what && !c.command.outcome);
        if (open) open.command = command;
        else list.unshift({ command, at: now(), id: Math.random() });
        list.length = Math.min(list.length, COMMANDS);
      }
    }
    reconcile(this.commands, list, (c) => c.id, () => {
      const el = h("li");
      el.sign = icon("clock");
      el.what = h("span", { class: "what", dir: "auto" });
      el.says = h("span", { class: "says", dir: "auto" });
      el.append(el.sign, el.what, el.says);
      return el;
    }, (el, { command: c, at }) => {
      redraw(el.sign, c.outcome === "done" ? "check" : c.outcome === "failed" ? "failed" : "clock");
      kind(el, c.outcome || "under-way");
      text(el.what, `${clock(at)}  ${c.what}`);
      text(el.says, c.outcome === "done" ? `done${c.text ? `: ${c.text}` : ""}` : c.outcome === "failed" ? `not done: ${c.text || "no reason was given"}` : "on its way; no answer yet");
    });
  }
}
