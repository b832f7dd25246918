// What a person wants, on its way to the dashboard's server, and questions to it.
//
// Orders of these pages, `order` being their name: say { to, text }, correct { with, text },
// cancel { id }, again { with, place }, open { with }, seen { with, place }, writing { with },
// status { availability, text }, add { who, name }, remove { who }, answer { to, answer: "accept"
// or "deny" }, join { room, nick, password }, decline { room }, leave { room },
// topic { room, topic }, invite { room, whom }, watch { jid }, unwatch { jid }, controls { account, thing },
// set { account, thing, parameter, value }, tour { button }.

import { state } from "./state.js";
import { toast } from "./toasts.js";

/**
 * Sends an order; whether it was taken. What came of it is told as events. `quiet`: nobody asked
 * for it, so nobody is told that it was not taken.
 */
export async function order(what, quiet) {
  let said;
  try {
    const answer = await fetch("/api/orders", {
      method: "POST",
      headers: { "content-type": "application/json", "x-stanchion-csrf": state.csrf || "" },
      body: JSON.stringify(what),
    });
    if (answer.ok) return true;
    if (answer.status === 401) location.assign("/login");
    said = await answer.json().then((a) => a.error, () => `the dashboard's server answers ${answer.status} ${answer.statusText}`);
  } catch {
    said = "The dashboard's own server is not reachable, so nothing was done. Is `stanchion dashboard` still running?";
  }
  if (!quiet) toast("failure", said);
  return false;
}

/** Asks; an error that tells what went wrong if there is no answer. */
export async function ask(path, words, signal) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(words)) {
    if (value !== undefined && value !== null) query.set(name, value);
  }
  let answer;
  try {
    answer = await fetch(`${path}?${query}`, { signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("the dashboard's own server is not reachable");
  }
  if (answer.status === 401) location.assign("/login");
  if (!answer.ok) {
    const said = await answer.json().then((a) => a.error, () => null);
    throw new Error(said || `the dashboard's server answers ${answer.status}`);
  }
  return answer.json();
}
