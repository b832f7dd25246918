// Conversations, people, rooms, and what waits for an answer: the list of the page Chat.

import { ask, order } from "./orders.js";
import { attr, h, kind, reconcile, roving, show, text } from "./dom.js";
import { availability, count, plural, when } from "./format.js";
import { nameOf, state } from "./state.js";
import { fields } from "./dialogs.js";
import { icon } from "./icons.js";
import { TalkPage } from "./talk.js";

export class Chat {
  constructor(go) {
    this.go = go;
    this.words = "";
    this.drawnAt = 0;
    this.search = h("input", { type: "search", class: "find", placeholder: "Find a name, Enter: in messages", "aria-label": "Find a conversation; Enter searches in all messages", autocomplete: "off", spellcheck: "false",
      on: { input: () => { this.words = this.search.value.trim().toLowerCase(); if (!this.words) this.found = null; this.draw(); }, keydown: (e) => { if (e.key === "Enter" && this.words) this.look(); } } });
    this.waiting = h("ul", { class: "waits" });
    this.list = h("div", { class: "talks" });
    this.tend = roving(this.list, ".talk");
    this.none = h("div", { class: "empty small" }, icon("chat"), h("h2", { text: "No conversation yet" }), h("p", { text: "Write to somebody by their address, or join a room." }),
      h("button", { type: "button", class: "main", on: { click: () => this.begin() } }, "New conversation"));
    this.results = h("div", { class: "results", hidden: true });
    this.talk = new TalkPage(go, (words, jid) => this.look(words, jid));
    this.side = h("div", { class: "chat-list" },
      h("div", { class: "bar" }, h("h1", { id: "chat-h", tabindex: "-1" }, "Chat"), h("span", { class: "grow" }),
        h("button", { type: "button", class: "small with", on: { click: () => this.begin() } }, icon("plus"), h("span", { text: "New" })),
        h("button", { type: "button", class: "small with", on: { click: () => this.join() } }, icon("door"), h("span", { text: "Join room" }))),
      h("div", { class: "chat-find" }, this.search), this.results, h("div", { class: "chat-scroll" }, this.waiting, this.list, this.none));
    this.pick = h("div", { class: "empty chat-pick" }, icon("chat"), h("h2", { text: "Choose a conversation" }), h("p", { text: "Messages are kept on this machine first, so you can write without a connection, too." }));
    this.el = h("section", { class: "page chat", "aria-labelledby": "chat-h" }, this.side, this.pick, this.talk.el);
  }

  async begin() {
    const said = await fields({ title: "New conversation", says: "To write is enough; who is a contact shows how they are, too.", yes: "Open", fields: [
      { name: "jid", label: "Address", placeholder: "bob@example.org" },
      { name: "name", label: "What you call them (optional)", optional: true },
      { name: "contact", label: "Contact", choices: [["no", "Only write"], ["yes", "Add to my contacts, and ask to see their presence"]] }] });
    if (!said) return;
    if (said.contact === "yes") order({ order: "add", who: said.jid, name: said.name || null });
    this.go("chat", said.jid);
  }

  async join(room) {
    const said = await fields({ title: "Join a room", yes: "Join", fields: [
      { name: "room", label: "Address of the room", placeholder: "ward@rooms.example.org", is: room },
      { name: "nick", label: "Your name there (optional)", optional: true },
      { name: "password", label: "Password of the room (if it has one)", optional: true, type: "password" }] });
    if (said && (await order({ order: "join", room: said.room, nick: said.nick || null, password: said.password || null }))) this.go("chat", said.room);
  }

  /** Looks for words in the history: of all conversations, or of one. */
  async look(words, jid) {
    const looked = words || this.words;
    this.found = { words: looked, with: jid, busy: true, list: [] };
    this.drawResults();
    if (jid) this.go("chat");
    try {
      const told = await ask("/api/search", { words: looked, with: jid });
      this.found = { words: looked, with: jid, list: told.found || told.entries || [] };
    } catch (error) {
      this.found = { words: looked, with: jid, list: [], error: error.message };
    }
    this.draw();
    const first = this.results.querySelector("button.hit");
    if (first) first.focus();
  }

  /** Shows a message that was found, where it was said. */
  hit(entry) {
    this.talk.at = entry.place;
    if (this.current === entry.with) this.talk.jump();
    else this.go("chat", entry.with);
  }

  show(jid) {
    attr(this.el, "data-detail", jid ? "yes" : null);
    show(this.pick, !jid);
    this.current = jid;
    this.talk.show(jid);
    this.draw();
  }

  hide() {
    this.talk.hide();
  }

  find() {
    this.search.focus();
    this.search.select();
  }

  update(what) {
    this.talk.update(what);
    // Times of day are by the minute.
    if (what.has("tick") && Date.now() - this.drawnAt > 30_000) what.add("talks");
    if (!["talks", "persons", "asked", "rooms", "state"].some((w) => what.has(w))) return;
    // Thousands who come and go do not hold up the page.
    const soon = 200 - (Date.now() - this.drawnAt);
    if (soon <= 0) this.draw();
    else this.later ||= setTimeout(() => { this.later = 0; this.draw(); }, soon);
  }

  /** What the list shows: conversations, the latest first; then who could be written to. */
  items() {
    const items = [];
    for (const talk of state.talks.values()) items.push({ jid: talk.with, talk, name: talk.name || nameOf(talk.with) });
    for (const room of state.rooms.values()) if (!state.talks.has(room.jid)) items.push({ jid: room.jid, room, name: room.name || room.jid });
    const current = this.current;
    if (current && !state.talks.has(current) && !state.rooms.has(current) && !state.persons.has(current)) items.push({ jid: current, name: current });
    items.sort((a, b) => ((b.talk && b.talk.latest) || 0) - ((a.talk && a.talk.latest) || 0) || (a.name < b.name ? -1 : 1));
    const people = [];
    for (const person of state.persons.values()) {
      if (!state.talks.has(person.jid) && (!person.thing || person.contact)) people.push({ jid: person.jid, person, name: person.name });
    }
    const rank = { available: 0, chatty: 0, busy: 1, away: 2, "extended-away": 3 };
    const of = (p) => rank[p.person.availability] ?? 4;
    people.sort((a, b) => of(a) - of(b) || (a.name < b.name ? -1 : 1));
    const has = (i) => !this.words || i.name.toLowerCase().includes(this.words) || i.jid.toLowerCase().includes(this.words);
    const kept = items.filter(has);
    const others = people.filter(has).slice(0, 500);
    return [...kept, ...(others.length ? [{ heading: "People", jid: "\nheading" }] : []), ...others];
  }

  draw() {
    this.drawnAt = Date.now();
    this.drawWaiting();
    this.drawResults();
    const items = this.items();
    show(this.none, items.length === 0 && !this.words && !this.found);
    show(this.list, !this.found);
    reconcile(this.list, items, (i) => i.jid, (i) => this.make(i), (el, i) => this.drawItem(el, i));
    this.tend();
  }

  make(item) {
    if (item.heading) return h("h2", { class: "list-h" }, item.heading);
    const el = h("a", { class: "talk", href: `#/chat/${encodeURIComponent(item.jid)}`, tabindex: "-1" });
    const p = { face: h("span", { class: "face", "aria-hidden": "true" }), dot: h("span", { class: "dot" }), name: h("span", { class: "talk-name", dir: "auto" }), time: h("span", { class: "talk-time num" }), preview: h("span", { class: "talk-preview", dir: "auto" }), unread: h("span", { class: "badge" }) };
    el.append(h("span", { class: "face-box" }, p.face, p.dot), h("span", { class: "talk-text" }, h("span", { class: "talk-line" }, p.name, p.time), h("span", { class: "talk-line" }, p.preview, p.unread)));
    el.parts = p;
    return el;
  }

  drawItem(el, item) {
    if (item.heading) return;
    const p = el.parts;
    const room = state.rooms.get(item.jid);
    const person = state.persons.get(item.jid);
    const isRoom = !!room || (item.talk && item.talk.kind === "room");
    kind(p.face, isRoom ? "face room" : `face hue-${hue(item.jid)}`);
    text(p.face, isRoom ? "#" : initial(item.name));
    const how = isRoom ? (room && room.entered ? "available" : "unavailable") : person ? person.availability : "unknown";
    kind(p.dot, `dot ${how}`);
    attr(p.dot, "title", isRoom ? (room && room.entered ? "entered" : "not entered") : availability[how]);
    text(p.name, item.name);
    text(p.time, item.talk ? when(item.talk.latest) : "");
    const { talk } = item;
    text(p.preview, talk && talk.writes ? "writes …" : talk && talk.preview ? talk.preview : person ? person.status || availability[person.availability] || "" : room ? room.topic || (room.refused ? `not in: ${room.refused}` : "") : "");
    kind(p.preview, talk && talk.writes ? "talk-preview writes" : "talk-preview");
    const unread = talk ? talk.unread : 0;
    show(p.unread, unread > 0);
    text(p.unread, unread > 99 ? "99+" : String(unread));
    attr(p.unread, "aria-label", unread ? `${count(unread)} not read` : null);
    attr(el, "aria-current", item.jid === this.current ? "true" : null);
    kind(el, unread ? "talk unread" : "talk");
  }

  /** Requests and invitations. */
  drawWaiting() {
    const all = [...[...state.asked.values()].map((a) => ({ id: `a\n${a.by}`, asked: a })), ...[...state.invited.values()].map((i) => ({ id: `i\n${i.room}`, invited: i }))];
    show(this.waiting, all.length > 0 && !this.found);
    reconcile(this.waiting, all, (w) => w.id, (w) => {
      const says = h("p", { class: "says", dir: "auto" });
      const el = h("li", { class: "wait" });
      if (w.asked) {
        const { by } = w.asked;
        el.append(h("p", {}, h("b", { dir: "auto", text: by }), " wants to see when you are there"), says,
          h("div", { class: "actions" }, h("button", { type: "button", class: "small", on: { click: () => order({ order: "answer", to: by, answer: "deny" }) } }, "Deny"),
            h("button", { type: "button", class: "small main", on: { click: () => order({ order: "answer", to: by, answer: "accept" }) } }, "Accept")));
        el.says = says;
      } else {
        const { room, by } = w.invited;
        el.append(h("p", {}, h("b", { dir: "auto", text: by || "Somebody" }), " invites you to ", h("b", { dir: "auto", text: room })), says,
          h("div", { class: "actions" }, h("button", { type: "button", class: "small", on: { click: () => order({ order: "decline", room }) } }, "Decline"),
            h("button", { type: "button", class: "small main", on: { click: () => this.join(room) } }, "Join")));
        el.says = says;
      }
      return el;
    }, (el, w) => {
      const said = w.asked ? w.asked.text : w.invited.reason;
      text(el.says, said || "");
      show(el.says, !!said);
    });
  }

  drawResults() {
    show(this.results, !!this.found);
    if (!this.found) {
      this.drawn = null;
      return;
    }
    if (this.drawn === this.found) return;
    this.drawn = this.found;
    const { words, list, busy, error, with: jid } = this.found;
    const close = () => {
      this.found = null;
      this.search.value = "";
      this.words = "";
      this.draw();
      this.search.focus();
    };
    const where = jid ? ` with ${nameOf(jid)}` : "";
    this.results.replaceChildren(
      h("div", { class: "results-h" }, h("p", { role: "status", text: busy ? `Looking for “${words}”${where} …` : error ? `The search failed: ${error}` : list.length ? `${plural(list.length, "message")} with “${words}”${where}` : `No message with “${words}”${where}. Try fewer or shorter words.` }),
        h("button", { type: "button", class: "quiet", "aria-label": "Close the search", on: { click: close } }, icon("close"))),
      ...list.slice(0, 200).map((e) => h("button", { type: "button", class: "hit", on: { click: () => this.hit(e) } },
        h("span", { class: "talk-line" }, h("span", { class: "talk-name", dir: "auto", text: `${nameOf(e.with)}${e.out ? " · you" : e.nick ? ` · ${e.nick}` : ""}` }), h("span", { class: "talk-time num", text: when(e.at) })),
        h("span", { class: "hit-text", dir: "auto" }, marked(e.snippet || e.body || "", words)))));
  }
}

/** The text with the words marked. */
function marked(said, words) {
  const wanted = words.split(/\s+/).filter(Boolean).map((w) => w.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  if (!wanted.length) return [said];
  const cut = said.slice(0, 400);
  return cut.split(new RegExp(`(${wanted.join("|")})`, "iu")).map((part, i) => (i % 2 ? h("mark", { text: part }) : part));
}

export function hue(jid) {
  let n = 0;
  for (let i = 0; i < jid.length; i += 1) n = (n * 31 + jid.charCodeAt(i)) % 997;
  return n % 6;
}

export function initial(name) {
  return (Array.from(name.trim())[0] || "?").toUpperCase();
}
