// The last minutes of a field from the history, so that its line is there at once.

import { changed, now } from "./state.js";
import { Series } from "./series.js";
import { ask } from "./orders.js";

/** Questions at a time; the others are asked with the next frame that wants them. */
const AT_ONCE = 2;
const asked = new WeakSet();
let under = 0;

/** Asks for them, once for each field, unless enough came by itself. */
export async function older(thing, field) {
  if (under >= AT_ONCE || !field.series || field.series.length >= 40 || asked.has(field)) return;
  asked.add(field);
  under += 1;
  try {
    const until = Math.ceil(now());
    const told = await ask("/api/series", { account: thing.account, thing: thing.thing, field: field.name, from: until - 600_000, until, buckets: 60 });
    const series = new Series(field.series.bound);
    for (let i = 0; i < field.series.length; i += 1) series.push(field.series.time(i), field.series.number(i));
    series.before(told.points.map((p) => [p[0], p[2]]));
    field.series = series;
  } catch {
    // It fills by itself as values come.
  } finally {
    under -= 1;
    changed("things");
  }
}
