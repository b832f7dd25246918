// Elements, made and changed. All that others say becomes text here and never markup.

/** An element with properties, listeners (`on`) and children; strings become text. */
export function h(tag, props, ...children) {
  const el = document.createElement(tag);
  for (const [name, value] of Object.entries(props || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") el.className = value;
    else if (name === "text") el.textContent = value;
    else if (name === "on") for (const [type, f] of Object.entries(value)) el.addEventListener(type, f);
    else if (name in el && typeof value !== "string") el[name] = value;
    else el.setAttribute(name, value === true ? "" : String(value));
  }
  add(el, children);
  return el;
}

function add(el, children) {
  for (const child of children) {
    if (Array.isArray(child)) add(el, child);
    else if (child !== undefined && child !== null && child !== false) el.append(child);
  }
}

/** Changes a text only if it is another one: what is the same costs nothing. */
export function text(el, value) {
  if (el.shown !== value) {
    el.shown = value;
    el.textContent = value;
  }
}

/** Sets or takes away an attribute, if that is a change. */
export function attr(el, name, value) {
  if (value === null || value === undefined || value === false) {
    if (el.hasAttribute(name)) el.removeAttribute(name);
  } else if (el.getAttribute(name) !== String(value)) {
    el.setAttribute(name, String(value));
  }
}

export function show(el, yes) {
  if (el.hidden === !!yes) el.hidden = !yes;
}

export function kind(el, value) {
  if (el.className !== value) el.className = value;
}

/** Brings the children of `parent` in line with `items`; those that stay keep focus and state. */
export function reconcile(parent, items, key, make, update) {
  const old = parent.byKey || new Map();
  const now = new Map();
  let at = parent.firstChild;
  for (const item of items) {
    const k = key(item);
    let el = old.get(k);
    if (el) old.delete(k);
    else {
      el = make(item);
      el.key = k;
    }
    now.set(k, el);
    update(el, item);
    if (el === at) at = at.nextSibling;
    else parent.insertBefore(el, at);
  }
  for (const el of old.values()) el.remove();
  parent.byKey = now;
}

/** One stop for the tab key in a list; the arrow keys go through it. */
export function roving(list, selector, wide) {
  const all = () => [...list.querySelectorAll(selector)].filter((el) => el.offsetParent !== null);
  const [back, on] = wide ? ["ArrowLeft", "ArrowRight"] : ["ArrowUp", "ArrowDown"];
  const only = (el, els) => els.forEach((other) => attr(other, "tabindex", other === el ? "0" : "-1"));
  list.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const els = all();
    const at = els.indexOf(document.activeElement);
    if (at < 0) return;
    const to = { [back]: at - 1, [on]: at + 1, Home: 0, End: els.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const next = els[Math.max(0, Math.min(els.length - 1, to))];
    only(next, els);
    next.focus();
  });
  list.addEventListener("focusin", (event) => {
    const el = event.target.closest(selector);
    if (el) only(el, all());
  });
  /** To be called when the list has changed. */
  return () => {
    const els = all();
    if (els.length && !els.some((el) => el.getAttribute("tabindex") === "0")) only(els[0], els);
  };
}

/** Whether keys go into a field there. */
export function takesKeys(el) {
  return !!el && (el.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(el.tagName));
}
