// All things as a live table. Only the rows in sight exist, and they are filled anew in place.

import { order } from "./orders.js";
import { attr, h, kind, reconcile, show, text } from "./dom.js";
import { alarms, count, label, plural, span, unit } from "./format.js";
import { icon } from "./icons.js";
import { older } from "./older.js";
import { nameOfThing, now, state } from "./state.js";
import { prompt } from "./dialogs.js";
import { spark } from "./chart.js";
import { aloud, toast } from "./toasts.js";

/** A thing that told nothing for so long is shown as quiet. */
const QUIET = 120_000;

export class Things {
  constructor(go) {
    this.go = go;
    this.words = "";
    this.sortBy = localStorage.getItem("things-sort") || "name";
    this.down = localStorage.getItem("things-down") === "1";
    this.order = [];
    this.rows = [];
    this.columns = [];
    this.active = 0;
    const again = () => this.arrange();
    this.search = h("input", { type: "search", class: "find", placeholder: "Filter by name, address or field", "aria-label": "Filter the things", autocomplete: "off", spellcheck: "false",
      on: { input: () => { this.words = this.search.value.toLowerCase(); this.view.scrollTop = 0; this.active = 0; again(); this.count(); } } });
    this.only = h("select", { "aria-label": "Which things", on: { change: () => { this.view.scrollTop = 0; again(); } } },
      h("option", { value: "all" }, "All things"), h("option", { value: "telling" }, "Telling now"), h("option", { value: "quiet" }, "Quiet or silent"), h("option", { value: "set" }, "Can be set"), this.accounts = h("optgroup", { label: "Behind one address", hidden: true }));
    this.sort = h("select", { "aria-label": "Sort by", on: { change: () => this.sortTo(this.sort.value) } });
    this.way = h("button", { type: "button", class: "small square", on: { click: () => this.sortTo(this.sortBy) } });
    this.total = h("p", { class: "total" });
    this.silent = h("ul", { class: "silent-list" });
    this.head = h("div", { class: "t-row t-head", role: "row", "aria-rowindex": "1" });
    this.spacer = h("div", { class: "t-space", role: "presentation" });
    this.view = h("div", { class: "t-view", role: "grid", tabindex: "0", "aria-label": "Things",
      on: { scroll: () => this.fill(), keydown: (e) => this.key(e), focus: () => this.fill(), click: (e) => this.click(e) } }, this.head, this.spacer);
    this.empty = h("div", { class: "empty" }, icon("things"), h("h2", { text: "No things yet" }),
      h("p", {}, "Watch the things behind an address: a gateway that runs ", h("code", { text: "stanchion gateway" }), ", or any device that has sensor data."),
      h("button", { type: "button", class: "main", on: { click: () => this.watch() } }, "Watch an address"));
    this.none = h("div", { class: "empty" }, icon("search"), h("h2", { text: "Nothing matches" }), h("p", { text: "No thing has that in its name, its address or its fields." }),
      h("button", { type: "button", on: { click: () => this.clear() } }, "Show all things"));
    this.el = h("section", { class: "page things", "aria-labelledby": "things-h" },
      h("div", { class: "bar" }, h("h1", { id: "things-h", tabindex: "-1" }, "Things"), this.total, h("span", { class: "grow" }), this.search, this.only,
        h("div", { class: "pair" }, this.sort, this.way),
        h("button", { type: "button", class: "small with", on: { click: () => this.watch() } }, icon("plus"), h("span", { text: "Watch" }))),
      this.silent, this.view, this.empty, this.none);
    new ResizeObserver(() => { if (this.view.clientWidth) this.arrange(); }).observe(this.view);
  }

  async watch() {
    const jid = await prompt({ title: "Watch an address", says: "The things behind it tell their values here from then on.", label: "Address of a device or gateway", placeholder: "meters@example.org", yes: "Watch" });
    if (jid && (await order({ order: "watch", jid }))) toast("info", `${jid} is watched; its values are shown as soon as it tells them.`);
  }

  /** Says how many are left, once a person has stopped typing. */
  count() {
    clearTimeout(this.counting);
    this.counting = setTimeout(() => aloud(plural(this.order.length, "thing")), 700);
  }

  /** Who is watched and has told nothing yet is in no row: why is said above them. */
  drawSilent() {
    const heard = new Set();
    for (const t of state.things.values()) heard.add(t.account);
    const silent = [...state.persons.values()].filter((p) => p.thing && p.silent && !heard.has(p.jid)).slice(0, 5);
    reconcile(this.silent, silent, (p) => p.jid, (p) => {
      const el = h("li", { class: "note" }, h("span", { dir: "auto" }), h("button", { type: "button", class: "small", on: { click: () => order({ order: "unwatch", jid: p.jid }) } }, "Stop watching"));
      return el;
    }, (el, p) => text(el.firstChild, `${p.jid} tells nothing: ${p.silent}`));
  }

  clear() {
    this.search.value = "";
    this.words = "";
    this.only.value = "all";
    this.arrange();
    this.search.focus();
  }

  sortTo(by) {
    this.down = by === this.sortBy ? !this.down : false;
    this.sortBy = by;
    localStorage.setItem("things-sort", by);
    localStorage.setItem("things-down", this.down ? "1" : "0");
    this.arrange();
  }

  find() {
    this.search.focus();
    this.search.select();
  }

  show() {
    this.arrange();
  }

  update(what) {
    const valued = this.sortBy !== "name" && what.has("things");
    if (what.has("thing-set") || what.has("link") || what.has("persons") || what.has("state") || what.has("controls")) this.arrange();
    else if (what.has("tick") && (valued || this.only.value !== "all" || this.sortBy !== "name")) this.arrange();
    else if (what.has("things") || what.has("tick") || what.has("theme")) this.fill();
  }

  /** Whether it tells, tells nothing for a while, or says why it does not. */
  static how(thing) {
    const person = state.persons.get(thing.account);
    if (person && person.silent) return ["silent", person.silent];
    if (state.link.state !== "up") return ["unknown", "no connection: these are the last values"];
    if (now() - thing.at > QUIET) return ["quiet", `nothing for ${span(now() - thing.at)}`];
    return ["telling", ""];
  }

  matches(thing) {
    const which = this.only.value;
    if (which.startsWith("@") && thing.account !== which.slice(1)) return false;
    if (which === "set" && !(thing.controls && thing.controls.length)) return false;
    if (which === "telling" || which === "quiet") {
      if ((Things.how(thing)[0] === "telling") !== (which === "telling")) return false;
    }
    if (!this.words) return true;
    if (nameOfThing(thing).toLowerCase().includes(this.words) || thing.account.toLowerCase().includes(this.words)) return true;
    for (const name of thing.fields.keys()) if (label(name).toLowerCase().includes(this.words)) return true;
    return false;
  }

  /** Which things in which order, and which columns. */
  arrange() {
    const all = [...state.things.values()];
    const kept = all.filter((t) => this.matches(t));
    const often = new Map();
    for (const t of kept) for (const name of t.fields.keys()) often.set(name, (often.get(name) || 0) + 1);
    const names = [...often.entries()].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
    this.fieldNames = names.map(([name]) => name);
    const wide = this.view.clientWidth || this.el.clientWidth || 800;
    this.narrow = wide < 640;
    this.slots = this.narrow ? 1 : Math.max(1, Math.min(6, Math.floor((wide - 330) / 190)));
    // A fleet of one kind is a table with headings; a mixed house names each value.
    const common = names.filter(([, n]) => n >= kept.length * 0.995).length;
    this.same = !this.narrow && kept.length > 1 && common > 0 && common >= Math.min(this.slots, names.length);
    this.columns = this.fieldNames.slice(0, this.same ? Math.min(this.slots, common) : this.slots);
    if (this.same) this.slots = this.columns.length;
    this.high = this.same ? 40 : this.narrow ? 62 : 54;
    if (this.sortBy.startsWith("f:") && this.columns.length && this.same) {
      const name = this.sortBy.slice(2);
      if (often.has(name) && !this.columns.includes(name)) this.columns[this.columns.length - 1] = name;
    }
    this.order = this.sorted(kept);
    this.drawSilent();
    this.drawTools(all, kept);
    this.drawHead();
    attr(this.view, "aria-rowcount", kept.length + 1);
    attr(this.view, "aria-colcount", this.slots + 2);
    this.spacer.style.height = `${kept.length * this.high}px`;
    this.active = Math.max(0, Math.min(this.active, kept.length - 1));
    this.fill();
  }

  sorted(things) {
    const by = this.sortBy;
    const sign = this.down ? -1 : 1;
    const name = new Map(things.map((t) => [t, nameOfThing(t)]));
    const byName = (a, b) => Things.collator.compare(name.get(a), name.get(b)) || (a.key < b.key ? -1 : 1);
    if (by === "name") return things.sort((a, b) => sign * byName(a, b));
    if (by === "heard") return things.sort((a, b) => sign * (b.at - a.at) || byName(a, b));
    const field = by.slice(2);
    const value = (t) => {
      const f = t.fields.get(field);
      return f ? f.number ?? f.value : null;
    };
    return things.sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      // What does not have it stands last, whichever way.
      if (x === null || y === null) return (x === null) - (y === null) || byName(a, b);
      if (typeof x === "number" && typeof y === "number") return sign * (x - y) || byName(a, b);
      return sign * Things.collator.compare(String(x), String(y)) || byName(a, b);
    });
  }

  drawTools(all, kept) {
    const telling = kept.reduce((n, t) => n + (Things.how(t)[0] === "telling"), 0);
    kind(this.el, all.length ? "page things" : "page things bare");
    text(this.total, !all.length ? "" : kept.length === all.length ? `${count(all.length)}, ${count(telling)} telling` : `${count(kept.length)} of ${count(all.length)}`);
    const options = [["name", "Name"], ["heard", "Last heard"], ...this.fieldNames.slice(0, 40).map((f) => [`f:${f}`, label(f)])];
    if (!options.some(([value]) => value === this.sortBy) && all.length) options.push([this.sortBy, label(this.sortBy.slice(2))]);
    const wanted = options.map(([v]) => v).join("\n");
    if (this.optionsAre !== wanted) {
      this.optionsAre = wanted;
      this.sort.replaceChildren(...options.map(([value, name]) => h("option", { value }, name)));
    }
    this.sort.value = this.sortBy;
    const accounts = [...new Set(all.map((t) => t.account))].sort().slice(0, 100);
    if (this.accountsAre !== accounts.join("\n")) {
      this.accountsAre = accounts.join("\n");
      const chosen = this.only.value;
      this.accounts.replaceChildren(...accounts.map((a) => h("option", { value: `@${a}` }, a)));
      this.only.value = chosen || "all";
      show(this.accounts, accounts.length > 1);
    }
    text(this.way, this.down ? "↓" : "↑");
    attr(this.way, "aria-label", this.down ? "Sorted downwards; sort upwards" : "Sorted upwards; sort downwards");
    show(this.empty, all.length === 0);
    show(this.none, all.length > 0 && kept.length === 0);
    show(this.view, kept.length > 0);
  }

  drawHead() {
    const wanted = [this.same, this.narrow, this.slots, this.sortBy, this.down, ...this.columns].join("\n");
    if (this.headIs === wanted) return;
    this.headIs = wanted;
    const button = (by, name) => {
      const on = this.sortBy === by;
      return h("div", { role: "columnheader", class: "t-cell", "aria-sort": on ? (this.down ? "descending" : "ascending") : "none" },
        h("button", { type: "button", class: "t-sort", tabindex: "-1", on: { click: () => this.sortTo(by) } }, name, on ? (this.down ? " ↓" : " ↑") : ""));
    };
    const fields = this.same ? this.columns.map((f) => button(`f:${f}`, label(f)))
      : this.narrow ? [] : [h("div", { role: "columnheader", class: "t-cell t-wide" }, h("span", { class: "t-sort" }, "Values"))];
    this.head.replaceChildren(button("name", "Thing"), ...fields, button("heard", "Heard"));
    const grid = `t-cols-${this.slots}`;
    kind(this.view, `t-view ${this.same ? "same" : "mixed"} ${this.narrow ? "narrow" : ""} ${grid}`);
    for (const row of this.rows) row.el.remove();
    this.rows = [];
  }

  makeRow() {
    const dot = h("span", { class: "dot" });
    const name = h("span", { class: "t-name", dir: "auto" });
    const sub = h("span", { class: "t-sub", dir: "auto" });
    const cells = [];
    for (let i = 0; i < this.slots; i += 1) {
      const cell = { label: h("span", { class: "t-label", dir: "auto" }), value: h("span", { class: "num" }), unit: h("span", { class: "unit" }), canvas: h("canvas", { class: "spark" }) };
      cell.el = h("div", { class: "t-cell t-field", role: "gridcell" }, h("div", { class: "t-what" }, cell.label, h("span", { class: "t-value", dir: "auto" }, cell.value, cell.unit)), cell.canvas);
      cells.push(cell);
    }
    const age = h("span", { class: "num" });
    const more = h("span", { class: "t-more" });
    const el = h("div", { class: "t-row", role: "row" },
      h("div", { class: "t-cell t-thing", role: "rowheader" }, dot, h("div", { class: "t-who" }, name, sub)),
      cells.map((c) => c.el), h("div", { class: "t-cell t-age", role: "gridcell" }, age, more));
    this.spacer.append(el);
    return { el, dot, name, sub, cells, age, more };
  }

  /** Fills the rows in sight. */
  fill() {
    if (this.view.hidden || !this.view.clientHeight) return;
    const top = this.view.scrollTop;
    const first = Math.max(0, Math.floor(top / this.high) - 2);
    const most = Math.ceil(this.view.clientHeight / this.high) + 4;
    const last = Math.min(this.order.length, first + most);
    while (this.rows.length < last - first) this.rows.push(this.makeRow());
    this.rows.forEach((row, i) => {
      // A row keeps its element while it is in sight: it is found by its number.
      const at = first + ((i - (first % this.rows.length) + this.rows.length) % this.rows.length);
      if (at >= last) {
        show(row.el, false);
        row.thing = null;
        return;
      }
      show(row.el, true);
      this.bind(row, this.order[at], at);
    });
    this.older();
  }

  bind(row, thing, at) {
    const fresh = row.thing !== thing;
    if (row.at !== at || row.high !== this.high) {
      row.at = at;
      row.high = this.high;
      row.el.style.transform = `translateY(${at * this.high}px)`;
      attr(row.el, "aria-rowindex", at + 2);
      row.el.id = `thing-${at}`;
    }
    const on = at === this.active;
    if (row.on !== on) {
      row.on = on;
      attr(row.el, "aria-selected", on ? "true" : "false");
      if (on) attr(this.view, "aria-activedescendant", row.el.id);
    }
    row.thing = thing;
    const [how, why] = Things.how(thing);
    kind(row.dot, `dot ${how}`);
    text(row.name, nameOfThing(thing));
    text(row.sub, why && how === "silent" ? why : thing.account);
    kind(row.sub, how === "silent" ? "t-sub says" : "t-sub");
    attr(row.el, "title", why);
    text(row.age, span(now() - thing.at));
    const names = this.same ? this.columns : this.namesOf(thing);
    for (let i = 0; i < row.cells.length; i += 1) this.bindCell(row.cells[i], thing.fields.get(names[i]), fresh);
    const more = thing.fields.size - row.cells.filter((c) => c.field).length;
    text(row.more, more > 0 && !this.narrow ? `+${more} more` : "");
  }

  bindCell(cell, field, fresh) {
    cell.field = field;
    text(cell.label, this.same ? "" : field ? label(field.name) : "");
    text(cell.value, field ? field.value || "–" : this.same ? "–" : "");
    kind(cell.value, field && alarms(field) ? "num alarm" : "num");
    const named = field && !field.value.endsWith(unit(field.unit)) ? unit(field.unit) : "";
    text(cell.unit, named && ` ${named}`);
    const series = field && field.series;
    const drawn = series ? series.length && series.time(series.length - 1) + series.length : 0;
    if (fresh || cell.drawn !== drawn || cell.wide !== cell.canvas.clientWidth || cell.theme !== Things.theme) {
      cell.drawn = drawn;
      cell.wide = cell.canvas.clientWidth;
      cell.theme = Things.theme;
      spark(cell.canvas, series, field && field.type === "boolean");
    }
  }

  /** The fields of a thing in a mixed house: what it is sorted by first, then numbers. */
  namesOf(thing) {
    const names = [...thing.fields.values()].sort((a, b) => (b.series !== null) - (a.series !== null)).map((f) => f.name);
    const by = this.sortBy.startsWith("f:") && this.sortBy.slice(2);
    if (by && thing.fields.has(by)) return [by, ...names.filter((n) => n !== by)];
    return names;
  }

  /** Asks for the last minutes of the fields in sight. */
  older() {
    for (const row of this.rows) {
      if (row.thing) for (const { field } of row.cells) if (field) older(row.thing, field);
    }
  }

  key(e) {
    if (e.ctrlKey || e.altKey || e.metaKey || e.target !== this.view) return;
    const page = Math.max(1, Math.floor(this.view.clientHeight / this.high) - 2);
    const to = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity }[e.key];
    if (to !== undefined) {
      e.preventDefault();
      this.active = Math.max(0, Math.min(this.order.length - 1, this.active + to));
      const at = this.active * this.high;
      const head = this.head.offsetHeight;
      if (at < this.view.scrollTop) this.view.scrollTop = at;
      else if (at + this.high + head > this.view.scrollTop + this.view.clientHeight) this.view.scrollTop = at + this.high + head - this.view.clientHeight;
      this.fill();
    } else if (e.key === "Enter" && this.order[this.active]) {
      e.preventDefault();
      this.openThing(this.order[this.active]);
    }
  }

  click(e) {
    const el = e.target.closest(".t-row");
    const row = this.rows.find((r) => r.el === el);
    if (!row || !row.thing) return;
    this.active = row.at;
    this.openThing(row.thing);
  }

  openThing(thing) {
    this.go("things", thing.account, thing.thing);
  }
}

Things.collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
Things.theme = 0;

