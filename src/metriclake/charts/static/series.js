/**
 * Turns an answer's rows into series: one a value of the split, the largest first, the smallest together as "other".
 *
 * Pure.
 */

const MOST = 8;

/** Values with an order of their own, worst first; a card whose values are all among one list keeps that order. */
const LADDERS = [
  ["critical", "high", "medium", "low", "info", "informational", "none"],
  ["fatal", "error", "warning", "info", "debug"],
];

/** The name of the rest; no dimension's value can be mistaken for it, for it is a symbol. */
export const OTHER = Symbol("other");

/**
 * Returns `{times, series: [{key, step, values, total}], left}`; times in milliseconds, values null where unknown.
 *
 * `step` is the key's place on its ladder, -1 without one. `left` is how many series are not shown: averages have no
 * sum, so beyond the largest there can be no "other".
 */
export function seriesOf(answer, { split, aggregate }) {
  const { times, groups } = gather(answer, split);
  const additive = aggregate === "sum" || aggregate === "count";
  const all = [...groups].map(([key, points]) => {
    const values = times.map((time) => points.get(time) ?? (additive ? 0 : null));

    return { key, step: -1, values, total: totalOf(values, aggregate) };
  });
  const isOn = (steps) => all.every(({ key }) => steps.includes(String(key).toLowerCase()));
  const ladder = all.length > 1 ? LADDERS.find(isOn) : undefined;
  const ranked = ladder ? byLadder(all, ladder) : all.sort((a, b) => b.total - a.total || compare(a.key, b.key));

  return { times, ...folded(ranked, aggregate) };
}

/** Returns one number for many: their sum, extreme or, for want of weights, plain mean. */
export function totalOf(values, aggregate) {
  const known = values.filter((value) => value !== null);
  if (aggregate === "min" || aggregate === "max") {
    return known.length ? Math[aggregate](...known) : Number.NaN;
  }
  const sum = known.reduce((a, b) => a + b, 0);

  return aggregate === "avg" ? sum / known.length : sum;
}

/** Gives each key a colour slot and keeps those that were given before, so that no colour jumps when ranks change. */
export function colourSlots(keys, before) {
  const slots = new Map(keys.filter((key) => before.has(key)).map((key) => [key, before.get(key)]));
  const taken = new Set(slots.values());
  for (const key of keys.filter((wanted) => !slots.has(wanted))) {
    const free = Array.from({ length: MOST }, (_, index) => index).find((index) => !taken.has(index));
    const slot = key === OTHER ? -1 : (free ?? -1);
    slots.set(key, slot);
    taken.add(slot);
  }

  return slots;
}

function gather(answer, split) {
  const names = answer.columns.map(({ name }) => name);
  const [timeAt, valueAt] = [names.indexOf("time"), names.length - 1];
  const splitAt = split ? names.indexOf(split) : -1;
  const groups = new Map();
  const times = new Set();

  for (const row of answer.rows) {
    const time = Date.parse(row[timeAt]);
    const key = splitAt < 0 ? "" : (row[splitAt] ?? "(none)");
    times.add(time);
    if (!groups.has(key)) {
      groups.set(key, new Map());
    }
    groups.get(key).set(time, numberOf(row[valueAt]));
  }

  return { times: [...times].sort((a, b) => a - b), groups };
}

/** Reads a value; large integers may come as text. */
export function numberOf(value) {
  const number = value === null || value === undefined || value === "" ? Number.NaN : Number(value);

  return Number.isFinite(number) ? number : null;
}

function byLadder(all, ladder) {
  const stepped = all.map((series) => ({ ...series, step: ladder.indexOf(String(series.key).toLowerCase()) }));

  return stepped.sort((a, b) => a.step - b.step);
}

function folded(ranked, aggregate) {
  if (ranked.length <= MOST) {
    return { series: ranked, left: 0 };
  }
  const [shown, rest] = [ranked.slice(0, MOST - 1), ranked.slice(MOST - 1)];
  if (aggregate === "avg") {
    return { series: shown, left: rest.length };
  }
  const values = rest[0].values.map((_, index) => {
    const known = rest.map((series) => series.values[index]).filter((value) => value !== null);

    return known.length ? totalOf(known, aggregate) : null;
  });

  return { series: [...shown, { key: OTHER, step: -1, values, total: totalOf(values, aggregate) }], left: 0 };
}

function compare(a, b) {
  return String(a) < String(b) ? -1 : 1;
}
