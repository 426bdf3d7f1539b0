/**
 * Turns an answer's rows into series: one a group, in a telling order, each with a colour that it keeps. Pure.
 */

import { additive } from "./question";
import type { Answer, Question } from "./wire";

/** The column of an answer that is drawn where none is named. */
export const VALUE = "value";

/** What groups without a value are called. */
export const NONE = "(none)";

/** How many series have colours of their own. */
export const MOST = 8;

/** The server's name of the groups that are not among the largest. */
export const OTHER = "other";

/** Values with an order of their own, worst first; series whose names are all among one list keep that order. */
const LADDERS = [
  ["critical", "high", "medium", "low", "info", "informational", "none"],
  ["fatal", "error", "warning", "info", "debug"],
];
/** Pairs and threes whose colours have a meaning already. */
const VERDICTS: Record<string, string> = {
  passed: "good", success: "good", succeeded: "good", ok: "good", healthy: "good",
  failed: "bad", failure: "bad", error: "bad", unhealthy: "bad",
};

export interface Series {
  name: string;
  /** The values of the dimensions that it is grouped by; null where an event lacks one. */
  groups: (string | null)[];
  /** The name of a class that says its colour. */
  colour: string;
  /** One a time, or one alone where there are none; null where nothing is known. */
  values: (number | null)[];
  /** The same of the period before, where that was asked for. */
  before: (number | null)[] | null;
  /** The sum of what adds up, else the mean of what is known: what series are ranked by. */
  weight: number;
}

export interface Table {
  times: number[];
  series: Series[];
}

/**
 * Returns the series of an answer, of the values in one of its columns.
 *
 * `slots` are the colours that names had before, and gets those that are given.
 */
export function seriesOf(answer: Answer, question: Question, slots: Map<string, number>, column = VALUE): Table {
  const names = answer.columns.map(({ name }) => name);
  const [timeAt, beforeAt] = [names.indexOf("time"), column === VALUE ? names.indexOf("previous") : -1];
  const valueAt = names.indexOf(column);
  const groups = (question.group_by ?? []).map((name) => names.indexOf(name));
  const sums = additive(question) && column === VALUE;
  const times = new Map<number, number>();
  const rowsOf = new Map<string, Map<number, unknown[]>>();
  const groupsOf = new Map<string, (string | null)[]>();
  for (const row of answer.rows) {
    const time = timeAt < 0 ? 0 : Date.parse(String(row[timeAt]));
    const own = groups.map((at) => textOf(row[at]));
    const name = own.map((value) => value ?? NONE).join(" · ");
    groupsOf.set(name, own);
    times.set(time, time);
    rowsOf.set(name, (rowsOf.get(name) ?? new Map<number, unknown[]>()).set(time, row));
  }
  const ordered = [...times.keys()].sort((a, b) => a - b);
  const read = (rows: Map<number, unknown[]>, at: number) =>
    ordered.map((time) => numberOf(rows.get(time)?.[at]) ?? (sums && timeAt >= 0 ? 0 : null));
  const all = [...rowsOf].map(([name, rows]) => {
    const values = read(rows, valueAt);
    const before = beforeAt < 0 ? null : read(rows, beforeAt);
    return { name, groups: groupsOf.get(name)!, values, before, weight: weightOf(values, sums) };
  });

  return { times: timeAt < 0 ? [] : ordered, series: coloured(ranked(all, question), slots) };
}

/** Reads a dimension's value; null where the event has none. */
export function textOf(value: unknown): string | null {
  return value === null || value === undefined ? null : String(value);
}

/** Reads a value; large integers may come as text. */
export function numberOf(value: unknown): number | null {
  const number = value === null || value === undefined || value === "" ? Number.NaN : Number(value);

  return Number.isFinite(number) ? number : null;
}

function weightOf(values: (number | null)[], sums: boolean): number {
  let [sum, known] = [0, 0];
  for (const value of values) {
    if (value !== null) {
      sum += value;
      known += 1;
    }
  }

  return sums ? sum : known > 0 ? sum / known : 0;
}

type Plain = Omit<Series, "colour">;

function ladderOf(all: Plain[]): string[] | undefined {
  return all.length > 1 ? LADDERS.find((steps) => all.every(({ name }) => steps.includes(name.toLowerCase()))) : undefined;
}

function ranked(all: Plain[], question: Question): Plain[] {
  const ladder = ladderOf(all);
  const limited = question.limit !== undefined;
  const last = (one: Plain) => (limited && one.name === OTHER ? 1 : 0);
  const step = (one: Plain) => ladder?.indexOf(one.name.toLowerCase()) ?? 0;

  return all.sort((a, b) => last(a) - last(b) || step(a) - step(b) || b.weight - a.weight || compare(a.name, b.name));
}

/** Gives each name a colour and keeps those that were given before, so that no colour jumps when ranks change. */
function coloured(all: Plain[], slots: Map<string, number>): Series[] {
  const ladder = ladderOf(all);
  if (ladder) {
    return all.map((one) => ({ ...one, colour: `step-${Math.min(4, ladder.indexOf(one.name.toLowerCase()))}` }));
  }
  if (all.length > 1 && all.every(({ name }) => name.toLowerCase() in VERDICTS)) {
    return all.map((one) => ({ ...one, colour: VERDICTS[one.name.toLowerCase()]! }));
  }
  const names = new Set(all.map(({ name }) => name));
  for (const name of [...slots.keys()].filter((known) => !names.has(known))) {
    slots.delete(name);
  }

  return all.map((one) => ({ ...one, colour: one.name === OTHER ? "other" : colourOf(one.name, slots) }));
}

function colourOf(name: string, slots: Map<string, number>): string {
  if (!slots.has(name)) {
    const taken = new Set(slots.values());
    const free = Array.from({ length: MOST }, (_, index) => index).find((index) => !taken.has(index));
    slots.set(name, free ?? -1);
  }
  const slot = slots.get(name)!;

  return slot < 0 ? "other" : `series-${slot}`;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : 1;
}
