/**
 * Makes a question of what an element's attributes or a dashboard's tile say, and of what the reader has chosen. Pure.
 */

import type { Filter, Interval, Kind, Question, Range, Tile } from "./wire";

const DAYS: Record<string, number> = { m: 1 / 1440, h: 1 / 24, d: 1, w: 7 };
const SPANS: Record<string, [number, string, string]> = {
  m: [60, "minute", "minutes"],
  h: [3600, "hour", "hours"],
  d: [86_400, "day", "days"],
  w: [604_800, "week", "weeks"],
};

/** What the reader of a dashboard has chosen. */
export interface Choice {
  range: Range;
  timezone: string;
  filters: Filter[];
  /** Which interval suits a range, where the server has said so. */
  intervals: Record<string, Interval>;
}

/** Tells whether parts add up to the whole, as sums and counts do and averages do not. */
export function additive(question: Pick<Question, "aggregate" | "measure">): boolean {
  const aggregate = question.aggregate ?? (question.measure ? "sum" : "count");

  return aggregate === "sum" || aggregate === "count" || aggregate === "rate";
}

/** Reads a range as attributes write it: `30d`, or two times with a slash between. */
export function readRange(text: string): Range {
  const [from, to] = text.split("/");

  return from && to ? { from, to } : { last: text };
}

/** Returns how many days a range has. */
export function daysOf(range: Range): number {
  if ("last" in range) {
    return Number.parseInt(range.last, 10) * (DAYS[range.last.at(-1) ?? "d"] ?? 1);
  }

  return (Date.parse(range.to) - Date.parse(range.from)) / 86_400_000;
}

/** Returns the interval in which a range has some dozens of points. */
export function usualInterval(range: Range): Interval {
  const days = daysOf(range);
  if (days <= 0.25) {
    return days <= 0.05 ? "minute" : "5m";
  }

  return days <= 2 ? "hour" : days <= 120 ? "day" : days <= 900 ? "week" : "month";
}

/** Writes a range for people: "last 30 days". */
export function rangeWords(range: Range): string {
  if (!("last" in range)) {
    return "chosen time";
  }
  const number = Number.parseInt(range.last, 10);
  const [, one, many] = SPANS[range.last.at(-1) ?? "d"] ?? SPANS.d!;
  if (range.last === "365d") {
    return "last year";
  }

  return number === 1 ? `last ${one}` : `last ${number} ${many}`;
}

/** Which kinds have their intervals side by side; the others show one number a group. */
export function overTime(kind: Kind, question: Pick<Question, "group_by">): boolean {
  return kind !== "donut" && !(kind === "heatmap" && (question.group_by?.length ?? 0) > 1);
}

function suited(range: Range, intervals: Record<string, Interval>): Interval {
  return ("last" in range ? intervals[range.last] : undefined) ?? usualInterval(range);
}

/** Returns how many groups have names of their own where nothing is said: as many as there are colours, or rows. */
export function usualLimit(kind: Kind): number {
  return kind === "table" ? 100 : kind === "heatmap" ? 20 : 8;
}

/** Returns the question of a tile for what the reader has chosen. */
export function tileQuestion(tile: Tile, choice: Choice): Question {
  const range = tile.range ?? choice.range;
  const interval = tile.interval === "auto" ? suited(range, choice.intervals) : tile.interval;
  const timed = overTime(tile.kind, tile.question) && interval !== "none";
  const filters = [...(tile.question.filters ?? []), ...choice.filters];

  return {
    ...tile.question,
    range,
    timezone: choice.timezone,
    ...(filters.length > 0 ? { filters } : {}),
    ...(timed ? { interval, fill: additive(tile.question) ? "zero" : "null" } : {}),
  };
}

/**
 * Returns the questions of a number with its change and its course.
 *
 * The number is asked as a whole, with the period before beside it: the mean of days' means is not the month's.
 */
export function valueQuestions(question: Question): { total: Question; course: Question } {
  const { interval, fill: _, ...plain } = question;
  const steps = interval ?? usualInterval(question.range);

  return {
    total: { ...plain, compare: "previous_period" },
    course: { ...plain, interval: steps, fill: additive(question) ? "zero" : "null" },
  };
}
