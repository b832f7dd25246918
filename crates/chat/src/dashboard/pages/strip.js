// The strip above all pages: account, status, connection, protection, and what waits.

import { attr, h, kind, show, text } from "./dom.js";
import { availability, count, span } from "./format.js";
import { icon, redraw } from "./icons.js";
import { state } from "./state.js";
import { order } from "./orders.js";
import { status } from "./dialogs.js";

export class Strip {
  constructor({ theme, help }) {
    this.dot = h("span", { class: "dot" });
    this.who = h("span", { class: "who-name", dir: "auto" });
    this.whoSays = h("span", { class: "who-says", dir: "auto" });
    this.me = h("button", { type: "button", class: "chip me", "aria-haspopup": "dialog", on: { click: () => this.status() } }, this.dot, h("span", { class: "who-box" }, this.who, this.whoSays), icon("down"));
    this.linkDot = h("span", { class: "dot" });
    this.link = h("span", { class: "chip-text" });
    this.linkChip = h("a", { class: "chip", href: "#/delivery" }, this.linkDot, this.link);
    this.lock = icon("lock");
    this.lockSays = h("span", { class: "chip-text wide-only" });
    this.lockChip = h("a", { class: "chip", href: "#/delivery" }, this.lock, this.lockSays);
    this.queued = h("span", { class: "num" });
    this.queueChip = h("a", { class: "chip", href: "#/delivery" }, icon("queue"), this.queued, h("span", { class: "wide-only", text: "waiting" }));
    this.themeSign = icon("moon");
    this.themeButton = h("button", { type: "button", class: "quiet square", on: { click: theme } }, this.themeSign);
    this.helpButton = h("button", { type: "button", class: "quiet square help", "aria-label": "Keys", title: "Keys (?)", on: { click: help } }, icon("help"));
    this.nav = h("nav", { class: "top-tabs", "aria-label": "Pages" });
    document.getElementById("strip").append(h("span", { class: "brand", "aria-hidden": "true" }, h("img", { src: "/assets/icon.svg", alt: "", width: "22", height: "22" }), h("span", { text: "Stanchion" })), this.nav, h("span", { class: "grow" }),
      this.linkChip, this.lockChip, this.queueChip, this.me, this.themeButton, this.helpButton);
  }

  async status() {
    const said = await status(state.own, availability);
    if (said) order({ order: "status", ...said });
  }

  theme(dark) {
    redraw(this.themeSign, dark ? "sun" : "moon");
    attr(this.themeButton, "aria-label", dark ? "Light colours" : "Dark colours");
    attr(this.themeButton, "title", dark ? "Light colours (t)" : "Dark colours (t)");
  }

  update() {
    const { own, link } = state;
    kind(this.dot, `dot ${own.availability}`);
    text(this.who, state.account);
    text(this.whoSays, own.text || availability[own.availability] || "");
    attr(this.me, "aria-label", `You are ${state.account}, ${availability[own.availability] || ""}${own.text ? `: ${own.text}` : ""}. Change your status.`);
    const left = state.retryAt ? Math.max(0, state.retryAt - Date.now()) : 0;
    const word = { up: link.server || "connected", connecting: "connecting …", waiting: left > 999 ? `retry in ${span(left)}` : "retrying …", refused: "not connected", closed: "ended" }[link.state] || link.state;
    text(this.link, word);
    kind(this.linkDot, `dot ${{ up: "available", connecting: "away", waiting: "away pulse", refused: "busy", closed: "busy" }[link.state] || "unknown"}`);
    const why = link.why ? `. ${link.why}` : "";
    const says = { up: `Connected to ${link.server}`, connecting: "Connecting", waiting: "No connection; it is tried again", refused: "No connection; you must do something", closed: "The session has ended" }[link.state] + (link.state === "up" ? "" : why);
    attr(this.linkChip, "title", says);
    attr(this.linkChip, "aria-label", `Connection: ${says}`);
    kind(this.linkChip, `chip link ${link.state}`);
    const s = link.secured || {};
    const up = link.state === "up";
    const best = up && s.tls && s.proved && s.binding;
    show(this.lockChip, up);
    redraw(this.lock, up && s.tls ? "lock" : "open");
    text(this.lockSays, s.tls || "in the clear");
    kind(this.lockChip, `chip lock ${!up ? "" : best ? "good" : s.tls ? "" : "bad"}`);
    const safe = !up ? "" : s.tls ? `Protected by ${s.tls}, ${s.mechanism || "a token"}${s.binding ? `, bound by ${s.binding}` : ""}; the server ${s.proved ? "proved" : "did not prove"} itself` : "Not protected: all can be read on the way";
    attr(this.lockChip, "title", safe);
    attr(this.lockChip, "aria-label", safe);
    const queued = state.flow.now.queued || 0;
    text(this.queued, count(queued));
    kind(this.queueChip, `chip queue ${queued ? "some" : "none"}`);
    attr(this.queueChip, "aria-label", `${count(queued)} messages wait for an outcome`);
    attr(this.queueChip, "title", `${count(queued)} messages wait for an outcome`);
  }
}

