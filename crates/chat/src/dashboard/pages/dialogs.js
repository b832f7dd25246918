// Questions to a person, in dialogs of the browser: they hold the focus and give it back.

import { h } from "./dom.js";

function open(el) {
  return new Promise((done) => {
    document.body.append(el);
    el.addEventListener("close", () => {
      el.remove();
      done(el.returnValue);
    });
    el.addEventListener("click", (e) => { if (e.target === el) el.close(""); });
    el.showModal();
  });
}

/** A question with yes and no; what is `risky` is not done by Enter alone. */
export async function confirm({ title, says, yes, no, risky }) {
  const el = h("dialog", { "aria-labelledby": "dialog-h", class: "ask" },
    h("form", { method: "dialog" }, h("h2", { id: "dialog-h", dir: "auto", text: title }), h("p", { dir: "auto", text: says }),
      h("div", { class: "actions" }, h("button", { value: "", type: "submit", autofocus: !!risky }, no || "Cancel"), h("button", { value: "yes", type: "submit", class: "main", autofocus: !risky }, yes))));
  return (await open(el)) === "yes";
}

/** Asks for one text; empty if a person does not want to. */
export async function prompt(what) {
  const answer = await fields({ ...what, fields: [{ name: "value", ...what }] });
  return answer ? answer.value : "";
}

/** Asks for some texts; none if a person does not want to. */
export async function fields({ title, says, yes, fields: wanted }) {
  const inputs = wanted.map((f, i) => {
    const input = f.choices
      ? h("select", { id: `dialog-${i}` }, f.choices.map(([value, name]) => h("option", { value }, name)))
      : h("input", { id: `dialog-${i}`, type: f.type || "text", placeholder: f.placeholder, required: !f.optional, autocomplete: "off", spellcheck: "false", autocapitalize: "none" });
    if (f.is !== undefined) input.value = f.is;
    return input;
  });
  const el = h("dialog", { "aria-labelledby": "dialog-h", class: "ask" });
  el.append(h("form", { on: { submit: (e) => {
    e.preventDefault();
    el.close("yes");
  } } }, h("h2", { id: "dialog-h", dir: "auto", text: title }), says && h("p", { text: says, dir: "auto" }),
  wanted.map((f, i) => h("div", { class: "row" }, h("label", { for: `dialog-${i}` }, f.label), inputs[i])),
  h("div", { class: "actions" }, h("button", { type: "button", on: { click: () => el.close("") } }, "Cancel"), h("button", { type: "submit", class: "main" }, yes))));
  const done = open(el);
  inputs[0].focus();
  if ((await done) !== "yes") return null;
  return Object.fromEntries(wanted.map((f, i) => [f.name, inputs[i].value.trim()]));
}

const keys = [
  ["1 – 4", "Things, Chat, Delivery, Tour"], ["/", "Filter or search on this page"], ["n", "New conversation"], ["s", "How you are: status"],
  ["t", "Dark or light"], ["Esc", "Back, or close"], ["↑ ↓ Home End", "Through a list"], ["Enter", "Open; in a message: send"], ["Shift Enter", "A new line in a message"],
  ["↑", "Mend your last message, from an empty field"], ["+ − ← → 0", "Zoom, move and reset a plot that has the focus"], ["?", "This list"],
];

/** Which keys there are, and whether those of one letter are on. */
export function shortcuts(on, set) {
  const box = h("input", { type: "checkbox", id: "keys-on", checked: on, on: { change: () => set(box.checked) } });
  const el = h("dialog", { "aria-labelledby": "dialog-h", class: "ask" },
    h("form", { method: "dialog" }, h("h2", { id: "dialog-h", text: "Keys" }),
      h("dl", { class: "keys" }, keys.map(([key, what]) => [h("dt", {}, h("kbd", { text: key })), h("dd", { text: what })])),
      h("div", { class: "tick" }, box, h("label", { for: "keys-on" }, "Single keys do something")),
      h("div", { class: "actions" }, h("button", { type: "submit", class: "main", autofocus: true }, "Close"))));
  return open(el);
}

/** How we are from now on. */
export async function status(own, availability) {
  const choices = ["available", "chatty", "away", "extended-away", "busy", "unavailable"];
  const radios = choices.map((name) => h("label", { class: "pick" }, h("input", { type: "radio", name: "availability", value: name, checked: name === own.availability }),
    h("span", { class: `dot ${name}` }), h("span", { text: availability[name] })));
  const says = h("input", { id: "status-text", type: "text", maxlength: "200", value: own.text || "", placeholder: "In the ward until four", autocomplete: "off" });
  const el = h("dialog", { "aria-labelledby": "dialog-h", class: "ask" });
  el.append(h("form", { on: { submit: (e) => {
    e.preventDefault();
    el.close("yes");
  } } }, h("h2", { id: "dialog-h", text: "How you are" }), h("fieldset", { class: "picks" }, h("legend", { class: "unseen" }, "In one word"), radios),
  h("div", { class: "row" }, h("label", { for: "status-text" }, "For people (optional)"), says),
  h("div", { class: "actions" }, h("button", { type: "button", on: { click: () => el.close("") } }, "Cancel"), h("button", { type: "submit", class: "main" }, "Tell them"))));
  if ((await open(el)) !== "yes") return null;
  const picked = el.querySelector("input[name=availability]:checked");
  return { availability: picked ? picked.value : own.availability, text: says.value.trim() };
}
