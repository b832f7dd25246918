// One conversation: its messages with their stages, members and topic, and what is written.

import { ask, order } from "./orders.js";
import { attr, h, kind, reconcile, roving, show, text } from "./dom.js";
import { availability, clock, count, day, minute, plural } from "./format.js";
import { compare, nameOf, opened, putPage, state } from "./state.js";
import { confirm, fields, prompt } from "./dialogs.js";
import { icon, redraw } from "./icons.js";
import { aloud } from "./toasts.js";

const STAGES = {
  writing: ["pencil", "writing", "It is about to be kept."],
  kept: ["clock", "kept", "It is safe on this machine and goes out as soon as there is a connection."],
  "at server": ["server", "at server", "The server has it; the other side not yet."],
  received: ["check", "received", "The other side's client has it."],
  delivered: ["checks", "delivered", "It arrived."],
  read: ["eye", "read", "A person there has seen it."],
  "in doubt": ["doubt", "in doubt", "Nobody can say whether it arrived."],
  failed: ["failed", "failed", "It did not arrive, and will not."],
  elsewhere: ["device", "elsewhere", "You sent it from another device."],
  unknown: ["doubt", "unknown", "Nothing more will be known about it."],
};

const SEES = {
  both: "You see each other's presence.", to: "You see their presence; they do not see yours.",
  from: "They see your presence; you do not see theirs.", none: "Neither of you sees the other's presence.",
};

/** Messages nearer to each other than that are one group. */
const GROUP = 180_000;

export class TalkPage {
  constructor(go, look) {
    this.go = go;
    this.look = look;
    this.drafts = new Map();
    this.name = h("h2", { class: "talk-title", tabindex: "-1", dir: "auto" });
    this.sub = h("p", { class: "total", dir: "auto" });
    this.dot = h("span", { class: "dot" });
    const tool = (name, label, f) => h("button", { type: "button", class: "quiet square", "aria-label": label, title: label, on: { click: f } }, icon(name));
    this.membersButton = tool("people", "Members and topic", () => this.side());
    attr(this.membersButton, "aria-expanded", "false");
    this.log = h("div", { class: "log", role: "log", "aria-relevant": "additions", "aria-label": "Messages", tabindex: "0", on: { scroll: () => this.scrolled() } });
    this.more = h("div", { class: "more" }, this.moreButton = h("button", { type: "button", class: "small", on: { click: () => this.older() } }, "Older messages"), this.moreSays = h("p", { class: "hint" }));
    this.items = h("ol", { class: "messages" });
    this.bare = h("p", { class: "empty-line" });
    this.log.append(this.more, this.items, this.bare);
    this.writes = h("p", { class: "writes-line", "aria-live": "polite" });
    this.down = h("button", { type: "button", class: "to-end", hidden: true, "aria-label": "To the latest message", on: { click: () => this.toEnd() } }, icon("down"), h("span"));
    this.note = h("p", { class: "note", hidden: true, dir: "auto" });
    this.mending = h("div", { class: "mending", hidden: true }, icon("pencil"), h("span", { text: "You mend your last message." }), h("button", { type: "button", class: "small quiet", on: { click: () => this.mend(false) } }, "Leave it"));
    this.input = h("textarea", { rows: "1", "aria-label": "Message", placeholder: "Write a message", dir: "auto", autocomplete: "off", on: { keydown: (e) => this.key(e), input: () => this.typed() } });
    this.form = h("form", { class: "composer", on: { submit: (e) => { e.preventDefault(); this.say(); } } }, this.input, h("button", { type: "submit", class: "main square", "aria-label": "Send", title: "Send (Enter)" }, icon("send")));
    this.people = h("ul", { class: "members" });
    this.tendPeople = roving(this.people, ".member");
    this.topic = h("p", { class: "topic", dir: "auto" });
    this.devices = h("ul", { class: "members" });
    this.peopleH = h("h3");
    this.member = h("input", { type: "search", class: "find", placeholder: "Find a member", "aria-label": "Find a member", autocomplete: "off", on: { input: () => this.draw() } });
    this.aside = h("aside", { class: "talk-side", hidden: true, "aria-label": "About this conversation" },
      h("div", { class: "bar" }, this.asideH = h("h2", {}), h("span", { class: "grow" }), h("button", { type: "button", class: "quiet square", "aria-label": "Close", on: { click: () => this.side(false) } }, icon("close"))),
      h("div", { class: "talk-side-scroll" },
        this.roomPart = h("div", {}, h("h3", { text: "Topic" }), this.topic,
          h("div", { class: "actions left" }, h("button", { type: "button", class: "small", on: { click: () => this.setTopic() } }, "Change the topic"), h("button", { type: "button", class: "small", on: { click: () => this.invite() } }, "Invite"), h("button", { type: "button", class: "small danger", on: { click: () => this.leave() } }, "Leave")),
          this.peopleH, this.member, this.people),
        this.personPart = h("div", {}, this.about = h("p", { class: "topic", dir: "auto" }), h("h3", { text: "Devices" }), this.devices,
          h("div", { class: "actions left" }, this.addButton = h("button", { type: "button", class: "small", on: { click: () => this.add() } }, "Add to my contacts"), this.removeButton = h("button", { type: "button", class: "small danger", on: { click: () => this.remove() } }, "Remove from my contacts")))));
    // Whatever gets higher or lower: who was at the end stays there.
    const held = new ResizeObserver(() => { if (this.stick && this.visible) this.log.scrollTop = this.log.scrollHeight; });
    held.observe(this.log);
    held.observe(this.items);
    this.el = h("div", { class: "talk-page", hidden: true },
      h("div", { class: "talk-main" },
        h("div", { class: "bar talk-head" }, h("a", { class: "back", href: "#/chat", "aria-label": "All conversations" }, icon("back")), this.dot, h("div", { class: "title" }, this.name, this.sub), h("span", { class: "grow" }), tool("search", "Search in this conversation", () => this.search()), this.membersButton),
        this.note, h("div", { class: "log-box" }, this.log, this.down), this.writes, this.mending, this.form), this.aside);
  }

  show(jid) {
    const fresh = this.jid !== jid;
    if (this.jid && fresh) this.drafts.set(this.jid, this.input.value);
    this.jid = jid;
    this.visible = !!jid;
    show(this.el, !!jid);
    if (!jid) return;
    if (fresh) {
      this.items.replaceChildren();
      this.items.byKey = null;
      this.stick = true;
      this.newFrom = null;
      this.told = null;
      this.input.value = this.drafts.get(jid) || "";
      this.mend(false);
      this.grow();
      order({ order: "open", with: jid }, true);
    }
    const talk = opened(jid);
    if (!talk.loaded || talk.stale) this.load();
    this.draw();
    if (this.at) this.jump();
  }

  hide() {
    this.visible = false;
  }

  update(what) {
    if (!this.jid || !this.visible) return;
    if (opened(this.jid).stale) this.load();
    if (["entries", "talks", "persons", "rooms", "state", "tick"].some((w) => what.has(w))) this.draw(what);
  }

  async load(before) {
    const { jid } = this;
    const talk = opened(jid);
    if (talk.loading) return;
    talk.loading = true;
    talk.stale = false;
    text(this.moreSays, "Reading …");
    try {
      const page = await ask("/api/talk", { with: jid, before });
      if (before && !page.entries.length) page.first = true;
      page.latest = !before;
      putPage(jid, page);
      text(this.moreSays, "");
    } catch (error) {
      text(this.moreSays, `The history could not be read: ${error.message}`);
    } finally {
      talk.loading = false;
      this.draw();
    }
  }

  async older() {
    const talk = opened(this.jid);
    if (talk.first || talk.loading || !talk.entries.length) return;
    const high = this.log.scrollHeight;
    const top = this.log.scrollTop;
    await this.load(talk.entries[0].place);
    // What was in sight stays in sight.
    this.log.scrollTop = top + this.log.scrollHeight - high;
  }

  scrolled() {
    const { log } = this;
    this.stick = log.scrollHeight - log.scrollTop - log.clientHeight < 48;
    show(this.down, !this.stick);
    if (this.stick) this.seen();
    if (log.scrollTop < 120 && log.scrollHeight > log.clientHeight + 150) this.older();
  }

  toEnd() {
    this.stick = true;
    this.log.scrollTop = this.log.scrollHeight;
    this.scrolled();
  }

  /** To a message that a search found, through older pages if it must be. */
  async jump() {
    const place = this.at;
    const { jid } = this;
    this.at = null;
    if (!place || !jid) return;
    this.stick = false;
    const talk = opened(jid);
    for (let pages = 0; pages < 40 && this.jid === jid; pages += 1) {
      if (!talk.loaded && !talk.loading) await this.load();
      else if (talk.loading) await new Promise((go) => setTimeout(go, 50));
      else if (talk.entries.length && compare(talk.entries[0].place, place) > 0 && !talk.first) await this.load(talk.entries[0].place);
      else break;
    }
    this.draw();
    const el = this.items.byKey && this.items.byKey.get(place);
    if (!el) return;
    el.scrollIntoView({ block: "center" });
    el.classList.add("hit-here");
    setTimeout(() => el.classList.remove("hit-here"), 2500);
  }

  /** A person looks at the end of it: all is read. */
  seen() {
    const talk = state.talks.get(this.jid);
    const open = opened(this.jid);
    if (!this.visible || document.hidden || !document.hasFocus() || !open.loaded || !open.entries.length) return;
    const last = [...open.entries].reverse().find((e) => !e.out);
    if (!last || !(last.unread || (talk && talk.unread > 0)) || this.told === last.place) return;
    this.told = last.place;
    order({ order: "seen", with: this.jid, place: last.place }, true);
  }

  draw() {
    if (!this.jid) return;
    const { jid } = this;
    const room = state.rooms.get(jid);
    const talk = state.talks.get(jid);
    const person = state.persons.get(jid);
    const isRoom = !!room || (talk && talk.kind === "room");
    text(this.name, (talk && talk.name) || nameOf(jid));
    const how = isRoom ? (room && room.entered ? "available" : "unavailable") : person ? person.availability : "unknown";
    kind(this.dot, `dot ${how}`);
    if (isRoom) text(this.sub, room && room.entered ? `${plural((room.members || []).length, "member")}${room.topic ? ` · ${room.topic}` : ""}` : "not in the room at the moment");
    else text(this.sub, [person ? availability[how] : "none of your contacts", person && person.status, this.name.textContent === jid ? "" : jid].filter(Boolean).join(" · "));
    const note = room && room.refused ? `You are not in this room: ${room.refused}` : room && room.gap ? "Some of what was said while you were away may be missing here." : isRoom && (!room || !room.entered) ? "You are not in the room at the moment; what you write is kept until you are." : "";
    show(this.note, !!note);
    text(this.note, note);
    show(this.writes, !!(talk && talk.writes));
    text(this.writes, talk && talk.writes ? `${(talk && talk.name) || nameOf(jid)} writes …` : "");
    this.drawMessages(isRoom, talk);
    if (!this.aside.hidden) this.drawSide(room, person, isRoom);
  }

  drawMessages(isRoom, talk) {
    const open = opened(this.jid);
    const { entries } = open;
    show(this.more, open.loading || (entries.length > 0 && !open.first) || this.moreSays.textContent.length > 9);
    show(this.moreButton, entries.length > 0 && !open.first && !open.loading);
    show(this.bare, open.loaded && !entries.length);
    text(this.bare, isRoom ? "Nothing has been said here yet." : "Nothing has been said yet. What you write is kept here first, and sent as soon as it can be.");
    if (this.newFrom === null && open.loaded) {
      const first = entries.find((e) => e.unread && !e.out);
      this.newFrom = first && talk && talk.unread ? first.place : "";
    }
    const items = [];
    let last = null;
    for (const entry of entries) {
      if (!last || day(last.at) !== day(entry.at)) {
        items.push({ key: `d${day(entry.at)}${entry.place}`, day: day(entry.at) });
        last = null;
      }
      if (entry.place === this.newFrom) {
        items.push({ key: "new", day: "New", fresh: true });
        last = null;
      }
      const head = !last || last.out !== entry.out || last.nick !== entry.nick || entry.at - last.at > GROUP;
      items.push({ key: entry.place, entry, head });
      last = entry;
    }
    const grew = this.count !== entries.length;
    this.count = entries.length;
    reconcile(this.items, items, (i) => i.key, (i) => (i.day ? h("li", { class: i.fresh ? "day fresh" : "day" }, h("span", { text: i.day })) : this.make()), (el, i) => { if (i.entry) this.drawEntry(el, i.entry, i.head, isRoom); });
    if (this.stick) {
      if (grew || this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight > 1) this.log.scrollTop = this.log.scrollHeight;
      this.seen();
    }
    const label = this.down.lastChild;
    text(label, !this.stick && talk && talk.unread ? count(talk.unread) : "");
  }

  make() {
    const p = { who: h("span", { class: "who", dir: "auto" }), body: h("p", { class: "body", dir: "auto" }), time: h("time", { class: "num" }), sign: icon("clock"), stage: h("span", { class: "stage-word" }), edited: h("span", { class: "edited" }), why: h("p", { class: "why", dir: "auto" }) };
    p.stageBox = h("span", { class: "stage" }, p.sign, p.stage);
    p.cancel = h("button", { type: "button", class: "link" }, "Cancel");
    p.again = h("button", { type: "button", class: "link" }, "Say again");
    p.actions = h("div", { class: "message-actions" }, p.again, p.cancel);
    const el = h("li", { class: "message" }, p.who, h("div", { class: "bubble" }, p.body, h("div", { class: "meta" }, p.edited, p.time, p.stageBox)), p.why, p.actions);
    el.parts = p;
    p.cancel.addEventListener("click", () => order({ order: "cancel", id: el.entry.id }));
    p.again.addEventListener("click", () => this.again(el.entry));
    return el;
  }

  drawEntry(el, entry, head, isRoom) {
    if (el.entry === entry && el.head === head) return;
    el.entry = entry;
    el.head = head;
    const p = el.parts;
    const who = entry.out ? "You" : isRoom ? entry.nick || "?" : nameOf(this.jid);
    show(p.who, head && (isRoom && !entry.out));
    text(p.who, who);
    text(p.body, entry.body);
    text(p.time, minute(entry.at));
    attr(p.time, "title", clock(entry.at));
    text(p.edited, entry.edits ? "mended" : "");
    show(p.edited, !!entry.edits);
    const [sign, word, says] = STAGES[entry.stage] || STAGES.unknown;
    show(p.stageBox, entry.out && !!entry.stage);
    redraw(p.sign, sign);
    text(p.stage, word);
    attr(p.stageBox, "title", says);
    const slug = String(entry.stage || "none").replace(/\W+/g, "-");
    kind(el, `message ${entry.out ? "out" : "in"} ${head ? "head" : ""} stage-${slug}`);
    const tell = entry.why || (entry.stage === "in doubt" ? says : "");
    show(p.why, !!tell && entry.out);
    text(p.why, tell);
    const can = entry.can || [];
    show(p.cancel, can.includes("cancel"));
    show(p.again, can.includes("again"));
    show(p.actions, can.includes("again") || can.includes("cancel"));
  }

  async again(entry) {
    if (entry.stage === "in doubt") {
      const yes = await confirm({ title: "Say it again?", says: "Nobody can say whether this message arrived. If you say it again, it may be there twice.", yes: "Say it again", no: "Leave it", risky: true });
      if (!yes) return;
    }
    order({ order: "again", with: this.jid, place: entry.place });
  }

  key(e) {
    if (e.isComposing) return;
    if (e.key === "Enter" && !e.shiftKey) {
      e.preventDefault();
      this.say();
    } else if (e.key === "ArrowUp" && !this.input.value) {
      e.preventDefault();
      this.mend(true);
    } else if (e.key === "Escape" && this.correcting) {
      e.stopPropagation();
      this.mend(false);
    }
  }

  mend(yes) {
    const last = yes && [...opened(this.jid).entries].reverse().find((e) => e.out);
    if (last) this.input.value = last.body;
    else if (this.correcting) this.input.value = "";
    this.correcting = !!last;
    show(this.mending, this.correcting);
    this.grow();
  }

  typed() {
    this.grow();
    if (this.input.value.trim()) {
      const at = Date.now();
      if (!this.wrote || at - this.wrote > 2000) {
        this.wrote = at;
        order({ order: "writing", with: this.jid }, true);
      }
    }
  }

  grow() {
    this.input.style.height = "auto";
    this.input.style.height = `${Math.min(160, this.input.scrollHeight + 2)}px`;
  }

  async say() {
    const said = this.input.value;
    const { jid } = this;
    if (!said.trim() || this.saying) return;
    this.saying = true;
    this.input.readOnly = true;
    const ok = await order(this.correcting ? { order: "correct", with: jid, text: said } : { order: "say", to: jid, text: said });
    this.saying = false;
    this.input.readOnly = false;
    // What was not taken stays where it can be sent again.
    if (!ok) return;
    this.drafts.delete(jid);
    if (this.jid !== jid) return;
    this.input.value = "";
    this.wrote = 0;
    this.correcting = false;
    show(this.mending, false);
    this.grow();
    this.toEnd();
    this.input.focus();
  }

  async search() {
    const words = await prompt({ title: `Search with ${nameOf(this.jid)}`, label: "Words", yes: "Search" });
    if (words) this.look(words, this.jid);
  }

  side(yes) {
    const open = yes === undefined ? this.aside.hidden : yes;
    show(this.aside, open);
    attr(this.membersButton, "aria-expanded", open ? "true" : "false");
    if (!open) return this.membersButton.focus();
    this.draw();
    this.aside.querySelector("button").focus();
    return undefined;
  }

  drawSide(room, person, isRoom) {
    show(this.roomPart, isRoom);
    show(this.personPart, !isRoom);
    text(this.asideH, isRoom ? "Room" : "Contact");
    if (isRoom) {
      text(this.topic, (room && room.topic) || "No topic is set.");
      const rank = { moderator: 0, participant: 1, visitor: 2 };
      const all = [...((room && room.members) || [])].sort((a, b) => (rank[a.role] ?? 3) - (rank[b.role] ?? 3) || (a.nick < b.nick ? -1 : 1));
      text(this.peopleH, `Members (${count(all.length)})`);
      // A room of thousands does not hold up the page: who is looked for is found by typing.
      show(this.member, all.length > 30);
      const wanted = this.member.value.trim().toLowerCase();
      reconcile(this.people, all.filter((m) => m.nick.toLowerCase().includes(wanted)).slice(0, 300), (m) => m.nick, () => {
        const el = h("li", { class: "member", tabindex: "-1" });
        el.nick = h("span", { class: "talk-name", dir: "auto" });
        el.rank = h("span", { class: "t-sub" });
        el.append(el.nick, el.rank);
        return el;
      }, (el, m) => {
        text(el.nick, m.nick === (room && room.nick) ? `${m.nick} (you)` : m.nick);
        text(el.rank, [m.affiliation === "none" ? "" : m.affiliation, m.role, m.jid].filter(Boolean).join(" · "));
      });
      this.tendPeople();
      return;
    }
    text(this.about, [this.jid, person && person.status, person && SEES[person.subscription]].filter(Boolean).join("\n"));
    show(this.addButton, !(person && person.contact));
    show(this.removeButton, !!(person && person.contact));
    const devices = (person && person.devices) || [];
    reconcile(this.devices, devices.length ? devices : [{ resource: "none is there at the moment", availability: "" }], (d) => d.resource, () => {
      const el = h("li", { class: "member" });
      el.nick = h("span", { class: "talk-name", dir: "auto" });
      el.rank = h("span", { class: "t-sub", dir: "auto" });
      el.append(el.nick, el.rank);
      return el;
    }, (el, d) => {
      text(el.nick, d.resource);
      text(el.rank, [availability[d.availability], d.text].filter(Boolean).join(" · "));
    });
  }

  async setTopic() {
    const room = state.rooms.get(this.jid);
    const said = await fields({ title: "Topic of the room", yes: "Set", fields: [{ name: "topic", label: "Topic", is: room ? room.topic : "", optional: true }] });
    if (said) order({ order: "topic", room: this.jid, topic: said.topic });
  }

  async invite() {
    const whom = await prompt({ title: `Invite somebody to ${nameOf(this.jid)}`, label: "Address", placeholder: "carol@example.org", yes: "Invite" });
    if (whom && (await order({ order: "invite", room: this.jid, whom }))) aloud(`${whom} is invited`);
  }

  async leave() {
    const yes = await confirm({ title: `Leave ${nameOf(this.jid)}?`, says: "You are not told any more what is said there.", yes: "Leave", risky: true });
    if (yes && (await order({ order: "leave", room: this.jid }))) this.go("chat");
  }

  async add() {
    const said = await fields({ title: "Add to my contacts", says: this.jid, yes: "Add", fields: [{ name: "name", label: "What you call them (optional)", optional: true }] });
    if (said) order({ order: "add", who: this.jid, name: said.name || null });
  }

  async remove() {
    const yes = await confirm({ title: `Remove ${nameOf(this.jid)}?`, says: "You do not see each other's presence any more. What was said stays in the history.", yes: "Remove", risky: true });
    if (yes) order({ order: "remove", who: this.jid });
  }
}
