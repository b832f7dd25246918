// What a person should know, for as long as it takes to read it; aloud, too.

import { h } from "./dom.js";
import { icon } from "./icons.js";

const MOST = 4;
const looks = { info: ["info", 6000], failure: ["failed", 14000], warning: ["warn", 20000] };

export function toast(severity, said) {
  const [name, time] = looks[severity] || looks.info;
  const place = document.getElementById("toasts");
  const aloud = document.getElementById(severity === "info" ? "polite" : "assertive");
  aloud.textContent = said;
  // One that says the same starts anew.
  for (const old of [...place.children]) if (old.said === said) old.remove();
  const away = () => el.remove();
  const el = h("div", { class: `toast ${severity}` }, icon(name), h("p", { text: said, dir: "auto" }),
    h("button", { class: "quiet", type: "button", "aria-label": "Dismiss this notice", on: { click: away } }, icon("close")));
  el.said = said;
  let timer = setTimeout(away, time);
  const stay = () => clearTimeout(timer);
  const go = () => { timer = setTimeout(away, 4000); };
  el.addEventListener("pointerenter", stay);
  el.addEventListener("focusin", stay);
  el.addEventListener("pointerleave", go);
  el.addEventListener("focusout", go);
  place.append(el);
  while (place.children.length > MOST) place.firstChild.remove();
}

export function aloud(said) {
  document.getElementById("polite").textContent = said;
}
