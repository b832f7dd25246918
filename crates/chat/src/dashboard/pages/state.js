// Everything that the pages show. It changes by the server's events alone; who draws is
// told once a frame what is otherwise than before.

import { Series } from "./series.js";

/** Messages of one conversation that are held. */
const WINDOW = 1500;

export const state = {
  account: "",
  csrf: "",
  link: { state: "connecting", turns: [] },
  /** When the next attempt begins, by this machine's clock. */
  retryAt: 0,
  own: { availability: "available", text: "" },
  persons: new Map(),
  asked: new Map(),
  invited: new Map(),
  rooms: new Map(),
  talks: new Map(),
  /** Conversations that were opened here: messages in their order. */
  open: new Map(),
  things: new Map(),
  flow: { now: {}, past: [] },
  notices: [],
  found: null,
  tour: null,
  /** By how much the server's clock is ahead of ours. */
  ahead: 0,
  ready: false,
};

const listeners = new Set();
const dirty = new Set();
let asked = false;

/** `f(what)` is called in a frame of the browser with the set of what has changed. */
export function listen(f) {
  listeners.add(f);
}

export function changed(...what) {
  for (const one of what) dirty.add(one);
  if (!asked) {
    asked = true;
    requestAnimationFrame(flush);
  }
}

function flush() {
  asked = false;
  const what = new Set(dirty);
  dirty.clear();
  for (const f of listeners) f(what);
}

export const now = () => Date.now() + state.ahead;
export const keyOf = (account, thing) => `${account}\n${thing || ""}`;

/** What people call who is behind that address. */
export function nameOf(jid) {
  const known = state.persons.get(jid) || state.rooms.get(jid) || state.talks.get(jid);
  return (known && known.name) || jid;
}

export function nameOfThing(thing) {
  return thing.thing || nameOf(thing.account);
}

/** Where a message stands: `AT-ROW`, compared as numbers. */
export function compare(one, other) {
  const a = one.lastIndexOf("-");
  const b = other.lastIndexOf("-");
  const at = Number(one.slice(0, a)) - Number(other.slice(0, b));
  return at || Number(one.slice(a + 1)) - Number(other.slice(b + 1));
}

/** The messages of a conversation that is open here. */
export function opened(jid) {
  let talk = state.open.get(jid);
  if (!talk) {
    talk = { entries: [], first: false, loaded: false, loading: false };
    state.open.set(jid, talk);
  }
  return talk;
}

export function putEntry(talk, entry) {
  const list = talk.entries;
  let at = list.length;
  while (at > 0 && compare(list[at - 1].place, entry.place) > 0) at -= 1;
  if (at > 0 && list[at - 1].place === entry.place) list[at - 1] = entry;
  else if (at === 0 && talk.loaded && !talk.first && list.length) return;
  else list.splice(at, 0, entry);
  if (list.length > WINDOW) {
    list.splice(0, list.length - WINDOW);
    talk.first = false;
  }
}

/** An older part of it, or the latest one. */
export function putPage(jid, page) {
  const talk = opened(jid);
  const first = page.entries[0];
  if (page.latest) {
    // What was said while nobody told us may leave a hole: only what meets this page stays.
    const meets = first && talk.entries.some((e) => e.place === first.place);
    talk.entries = meets ? talk.entries.filter((e) => compare(e.place, first.place) < 0) : [];
    if (!meets) talk.first = false;
  }
  const all = new Map(talk.entries.map((e) => [e.place, e]));
  for (const entry of page.entries) all.set(entry.place, entry);
  talk.entries = [...all.values()].sort((a, b) => compare(a.place, b.place));
  talk.first = talk.first || !!page.first;
  talk.loaded = true;
  changed("entries");
}

function putThing(told) {
  const key = keyOf(told.account, told.thing);
  let thing = state.things.get(key);
  if (!thing) {
    thing = { key, account: told.account, thing: told.thing || "", at: 0, fields: new Map(), controls: null, command: null };
    state.things.set(key, thing);
    changed("thing-set");
  }
  thing.at = Math.max(thing.at, told.at || 0);
  if (told.controls !== undefined) thing.controls = told.controls;
  if (told.command !== undefined) thing.command = told.command;
  for (const [name, value] of Object.entries(told.fields || {})) {
    let field = thing.fields.get(name);
    if (!field) {
      field = { name, series: null };
      thing.fields.set(name, field);
      changed("thing-set");
    }
    Object.assign(field, { at: value.at, value: value.value, number: value.number, unit: value.unit, type: value.type });
    if (value.number !== null && value.number !== undefined) {
      field.series ||= new Series(state.things.size > 2000 ? 40 : 120);
      if (value.series) field.series.before(value.series);
      field.series.push(value.at, value.number);
    }
  }
}

const byJid = (list) => new Map((list || []).map((one) => [one.jid, one]));

/** Where a thing could be asked for what is older: set by who reads it. */
const changes = {
  state(all) {
    state.account = all.account;
    state.csrf = all.csrf;
    link(all.link);
    state.own = all.own;
    state.persons = byJid(all.persons);
    state.asked = new Map((all.asked || []).map((a) => [a.by, a]));
    state.invited = new Map((all.invited || []).map((i) => [i.room, i]));
    state.rooms = byJid(all.rooms);
    state.talks = new Map((all.talks || []).map((t) => [t.with, t]));
    const seen = new Set();
    for (const thing of all.things || []) {
      putThing(thing);
      seen.add(keyOf(thing.account, thing.thing));
    }
    for (const key of state.things.keys()) if (!seen.has(key)) state.things.delete(key);
    state.flow = { now: all.flow.now || {}, past: all.flow.past || [] };
    state.notices = all.notices || [];
    if (all.tour) state.tour = all.tour;
    // What was said meanwhile to those that are open is not in here.
    for (const talk of state.open.values()) talk.stale = true;
    state.ready = true;
    changed("state", "link", "own", "persons", "asked", "rooms", "talks", "entries", "things", "thing-set", "gauge", "notices", "tour");
  },
  link(told) {
    link(told);
    changed("link");
  },
  own(told) {
    state.own = told;
    changed("own");
  },
  person(told) {
    state.persons.set(told.jid, told);
    changed("persons");
  },
  "person-gone"(told) {
    state.persons.delete(told.jid);
    changed("persons");
  },
  asked(told) {
    state.asked.set(told.by, told);
    changed("asked");
  },
  "not-asked"(told) {
    state.asked.delete(told.by);
    changed("asked");
  },
  invited(told) {
    state.invited.set(told.room, told);
    changed("asked");
  },
  "not-invited"(told) {
    state.invited.delete(told.room);
    changed("asked");
  },
  room(told) {
    state.rooms.set(told.jid, told);
    changed("rooms");
  },
  "room-gone"(told) {
    state.rooms.delete(told.jid);
    changed("rooms");
  },
  talk(told) {
    state.talks.set(told.with, told);
    changed("talks");
  },
  "talk-gone"(told) {
    state.talks.delete(told.with);
    changed("talks");
  },
  entry(told) {
    const talk = state.open.get(told.with);
    if (!talk) return;
    putEntry(talk, told);
    changed("entries");
  },
  things(told) {
    for (const thing of Array.isArray(told) ? told : told.things || []) putThing(thing);
    changed("things");
  },
  controls(told) {
    const thing = state.things.get(keyOf(told.account, told.thing));
    if (thing) thing.controls = told.controls;
    changed("controls");
  },
  command(told) {
    const thing = state.things.get(keyOf(told.account, told.thing));
    if (thing) thing.commands = (thing.commands || 0) + 1;
    if (thing) thing.command = told.command || { what: told.what, outcome: told.outcome, text: told.text };
    changed("command");
  },
  gauge(told) {
    state.flow.now = told;
    state.flow.past.push(told);
    if (state.flow.past.length > 600) state.flow.past.splice(0, state.flow.past.length - 600);
    state.ahead = told.at - Date.now();
    changed("gauge");
  },
  found(told) {
    state.found = told;
    changed("found");
  },
  notice(told) {
    state.notices.push(told);
    if (state.notices.length > 100) state.notices.shift();
    changed("notices");
  },
  tour(told) {
    state.tour = told;
    changed("tour");
  },
};

function link(told) {
  state.link = told;
  state.retryAt = told.state === "waiting" && told.retry_in ? Date.now() + told.retry_in : 0;
}

/** An event of the server; one that is not known is left alone. */
export function apply(name, data) {
  const change = Object.hasOwn(changes, name) && changes[name];
  if (change) change(data);
}
