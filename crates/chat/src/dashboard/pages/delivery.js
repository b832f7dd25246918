// What becomes of messages, in figures; and the connection with its past.

import { attr, h, kind, reconcile, show, text } from "./dom.js";
import { clock, count, day, plural, span } from "./format.js";
import { chart } from "./chart.js";
import { icon, redraw } from "./icons.js";
import { now, state } from "./state.js";

const FIGURES = [
  ["accepted", "Sent", "Messages that were accepted here and kept", ""],
  ["acknowledged", "Acknowledged", "The recipient's client has them", ""],
  ["delivered", "Delivered", "The recipient's application acted on them", ""],
  ["received", "Received", "New messages from others", ""],
  ["retransmitted", "Sent again", "Transmissions that were not the first", ""],
  ["duplicates", "Copies stopped", "Duplicates that were told apart and stopped", ""],
  ["in_doubt", "In doubt", "Nobody can say whether they arrived", "warn"],
  ["not_delivered", "Failed", "Messages that never took effect", "bad"],
];

/** Rates are the mean of so many seconds. */
const MEAN = 5;
const RATES = [["accepted", "sent", "accent"], ["acknowledged", "acknowledged", "good"], ["retransmitted", "sent again", "warn"], ["received", "received", "soft"]];

export class Delivery {
  constructor() {
    this.tiles = FIGURES.map(([name, label, says, look]) => {
      const value = h("span", { class: "tile-value num" });
      const rate = h("span", { class: "tile-rate num" });
      return { name, look, value, rate, el: h("div", { class: "tile", title: says }, h("dt", { text: label }), h("dd", {}, value, rate)) };
    });
    this.queue = h("canvas", { class: "chart", role: "img" });
    this.rates = h("canvas", { class: "chart", role: "img" });
    this.queueNow = h("span", { class: "num" });
    this.turns = h("ol", { class: "turns" });
    this.noTurns = h("p", { class: "hint" }, "Nothing has happened to the connection yet.");
    this.notices = h("ol", { class: "notices" });
    this.noNotices = h("p", { class: "hint" }, "Nothing that you should know about.");
    this.linkSign = icon("clock");
    this.linkSays = h("p", { class: "link-says" });
    this.linkWhy = h("p", { class: "hint", dir: "auto" });
    this.facts = h("dl", { class: "facts" });
    this.sums = h("p", { class: "total" });
    const legend = RATES.map(([, name, colour]) => h("span", { class: `legend ${colour}` }, name));
    this.el = h("section", { class: "page delivery", "aria-labelledby": "delivery-h" },
      h("div", { class: "bar" }, h("h1", { id: "delivery-h", tabindex: "-1" }, "Delivery"), h("p", { class: "total" }, "since this client was started")),
      h("div", { class: "scroll" },
        h("dl", { class: "tiles" }, this.tiles.map((t) => t.el)),
        h("div", { class: "columns" },
          h("section", { class: "card" }, h("h2", { class: "card-h" }, "Waiting for an outcome ", this.queueNow), this.queue),
          h("section", { class: "card" }, h("h2", { class: "card-h" }, "Messages a second, mean of 5 s ", h("span", { class: "legends" }, legend)), this.rates),
          h("section", { class: "card" }, h("div", { class: "card-line" }, h("h2", { class: "card-h" }, "Connection and security")),
            h("div", { class: "link-line" }, this.linkSign, this.linkSays), this.linkWhy, this.facts),
          h("section", { class: "card" }, h("h2", { class: "card-h" }, "What happened to the connection"), this.sums, this.turns, this.noTurns),
          h("section", { class: "card wide" }, h("h2", { class: "card-h" }, "Notices"), this.notices, this.noNotices))));
    new ResizeObserver(() => this.draw(new Set(["state", "gauge", "link", "notices"]))).observe(this.el);
  }

  show() {
    this.draw(new Set(["state", "gauge", "link", "notices"]));
  }

  update(what) {
    this.draw(what);
  }

  draw(what) {
    if (!this.el.isConnected) return;
    const all = what.has("state") || what.has("theme");
    if (all || what.has("gauge")) this.drawFlow();
    if (all || what.has("link") || what.has("tick")) this.drawLink();
    if (all || what.has("notices")) this.drawNotices();
  }

  drawFlow() {
    const { now: last, past } = state.flow;
    const ago = past.length > 60 ? past[past.length - 61] : past[0];
    for (const t of this.tiles) {
      const is = last[t.name] || 0;
      text(t.value, count(is));
      const more = ago ? is - (ago[t.name] || 0) : 0;
      text(t.rate, more > 0 ? `+${count(more)} in ${past.length > 60 ? "a minute" : `${past.length} s`}` : "");
      kind(t.el, `tile ${is > 0 ? t.look : ""}`);
    }
    text(this.queueNow, count(last.queued));
    const until = past.length ? past[past.length - 1].at : now();
    const from = Math.min(until - 60_000, past.length ? past[0].at : until);
    chart(this.queue, { lines: [{ points: past.map((g) => [g.at, g.queued]), colour: "accent", fill: true }], whole: true, from, until, zero: true, empty: "figures come once a second" });
    const most = past.reduce((m, g) => Math.max(m, g.queued), 0);
    attr(this.queue, "aria-label", `Messages without outcome over the last ${span(until - from)}: now ${last.queued || 0}, at most ${most}.`);
    const lines = RATES.map(([name, , colour]) => ({ colour, points: past.slice(1).map((g, i) => {
      const before = past[Math.max(0, i + 1 - MEAN)];
      return [g.at, Math.max(0, g[name] - before[name]) / Math.max(0.5, (g.at - before.at) / 1000)];
    }) }));
    chart(this.rates, { lines, from, until, zero: true, empty: "figures come once a second" });
    const latest = lines.map((l, i) => `${RATES[i][1]} ${l.points.length ? l.points[l.points.length - 1][1].toFixed(1) : 0}`).join(", ");
    attr(this.rates, "aria-label", `Messages a second at the moment: ${latest}.`);
  }

  drawLink() {
    const { link } = state;
    const left = state.retryAt ? Math.max(0, state.retryAt - Date.now()) : 0;
    const says = {
      up: `Connected to ${link.server}${link.resumed ? ", the session goes on" : ""}`, connecting: "An attempt to connect is under way",
      waiting: left > 0 ? `No connection; the next attempt in ${span(left)}` : "No connection; the next attempt begins", refused: "No connection, and no attempt until you do something", closed: "The session has ended",
    };
    const sign = { up: "check", connecting: "clock", waiting: "clock", refused: "failed", closed: "failed" };
    redraw(this.linkSign, sign[link.state] || "clock");
    text(this.linkSays, says[link.state] || link.state);
    kind(this.linkSays.parentNode, `link-line ${link.state}`);
    show(this.linkWhy, !!link.why);
    text(this.linkWhy, link.why || "");
    const s = link.secured || {};
    const up = link.state === "up";
    const facts = [
      ["Address", link.jid, ""], [up ? "Server" : "Last server", link.server, ""], ["Encryption", up ? s.tls || "none: all can be read on the way" : null, up && !s.tls ? "bad" : ""], ["Cipher", up ? s.cipher : null, ""],
      ["Login", up ? s.mechanism || "by a token of an earlier login" : null, ""], ["Channel binding", up ? s.binding || "none" : null, up && !s.binding ? "warn" : "good"],
      ["Server proved itself", up ? (s.proved ? "yes, it knows the account" : "no") : null, up && !s.proved ? "warn" : "good"], [link.state === "up" ? "Up" : "Without a connection", link.since ? `for ${span(now() - link.since)}` : null, ""],
    ].filter(([, is]) => is);
    reconcile(this.facts, facts, (f) => f[0], () => h("div", { class: "fact" }, h("dt"), h("dd", { dir: "auto" })), (el, [name, is, look]) => {
      text(el.firstChild, name);
      text(el.lastChild, is);
      kind(el, `fact ${look}`);
    });
    const turns = link.turns || [];
    text(this.sums, `${plural(link.streams || 0, "stream")}, ${plural(link.failovers || 0, "failover")}`);
    show(this.noTurns, !turns.length);
    let n = 0;
    const items = turns.map((t) => ({ ...t, key: `${t.at} ${n++} ${t.text}` })).reverse();
    reconcile(this.turns, items, (t) => t.key, (t) => h("li", { class: t.up ? "turn up" : "turn" }, h("span", { class: "turn-dot", "aria-hidden": "true" }),
      h("time", { class: "num", text: day(t.at) === "Today" ? clock(t.at) : `${day(t.at)} ${clock(t.at)}` }), h("p", { dir: "auto", text: t.text }), t.server && !t.text.includes(t.server) && h("span", { class: "t-sub", dir: "auto", text: t.server })), () => {});
  }

  drawNotices() {
    const all = state.notices.slice(-50).reverse();
    show(this.noNotices, !all.length);
    let n = 0;
    reconcile(this.notices, all, (x) => `${x.at} ${x.text} ${n++ && ""}`, (x) => h("li", { class: `notice ${x.severity}` }, icon({ failure: "failed", warning: "warn" }[x.severity] || "info"), h("time", { class: "num", text: clock(x.at) }), h("p", { dir: "auto", text: x.text })), () => {});
  }
}
