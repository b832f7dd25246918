// The stream of the server's events: read, and opened again whenever it ends.

import { apply } from "./state.js";

/** The server beats each 15 s; silence for that long is its end. */
const SILENCE = 40_000;
const LEAST = 500;
const MOST = 15_000;

/**
 * Reads for ever. `told({ up, retryAt })` when the stream is there or lost; `heard(name, data)`
 * for each event, once it is applied.
 */
export function feed(told, heard) {
  let wait = LEAST;
  let wake = null;

  async function once() {
    const stop = new AbortController();
    let timer = setTimeout(() => stop.abort(), SILENCE);
    try {
      const answer = await fetch("/api/events", { headers: { accept: "text/event-stream" }, cache: "no-store", signal: stop.signal });
      if (answer.status === 401) {
        location.assign("/login");
        return;
      }
      if (!answer.ok || !answer.body) return;
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      const parse = parser((name, data) => {
        if (name === "state") {
          wait = LEAST;
          told({ up: true });
        }
        apply(name, data);
        heard(name, data);
      });
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        clearTimeout(timer);
        timer = setTimeout(() => stop.abort(), SILENCE);
        parse(value);
      }
    } catch (error) {
      if (error.name !== "AbortError" && !(error instanceof TypeError)) console.warn(error);
    } finally {
      clearTimeout(timer);
      stop.abort();
    }
  }

  async function always() {
    for (;;) {
      await once();
      // Some more or less, so that pages do not come back all at once.
      const pause = wait * (0.75 + Math.random() / 2);
      wait = Math.min(MOST, wait * 2);
      told({ up: false, retryAt: Date.now() + pause });
      await new Promise((go) => {
        const timer = setTimeout(go, pause);
        wake = () => {
          clearTimeout(timer);
          go();
        };
      });
      wake = null;
    }
  }

  always();
  window.addEventListener("online", () => wake && wake());
  /** Tries now. */
  return () => wake && wake();
}

/** Takes pieces of text/event-stream. */
function parser(event) {
  let rest = "";
  let name = "";
  let data = [];
  return (piece) => {
    const lines = (rest + piece).split(/\r\n|\n|\r/);
    rest = lines.pop();
    for (const line of lines) {
      if (line === "") {
        if (data.length) event(name || "message", JSON.parse(data.join("\n")));
        name = "";
        data = [];
      } else if (line.startsWith("event:")) name = line.slice(6).trim();
      else if (line.startsWith("data:")) data.push(line.slice(line[5] === " " ? 6 : 5));
    }
  };
}
