/**
 * Decides which values and times are written at a chart's axes. Pure.
 */

import { tickStep } from "d3-array";
import type { Interval } from "./wire";
import { LENGTH, type Zone } from "./zone";

/** Steps of a clock, in seconds: 3h reads better than 2h 46m. */
const CLOCK_STEPS = [
  1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800, 432_000,
  604_800,
];

/** Steps of a calendar that may be written below a chart. */
const CALENDAR: readonly [unit: Unit, count: number][] = [
  ["minute", 5], ["minute", 15], ["minute", 30],
  ["hour", 1], ["hour", 2], ["hour", 3], ["hour", 6], ["hour", 12],
  ["day", 1], ["day", 2], ["day", 7], ["day", 14],
  ["month", 1], ["month", 3], ["month", 6], ["month", 12],
];

export type Unit = "minute" | "hour" | "day" | "month";

export interface Axis {
  low: number;
  high: number;
  step: number;
  ticks: number[];
}

export interface AxisOptions {
  count?: number;
  zero?: boolean;
  whole?: boolean;
  second?: number;
}

/**
 * Returns the value axis: it begins and ends at ticks.
 *
 * Bars always stand on zero; a line may leave it where its values lie close together and far away from it. `second` is
 * how much of the unit one second is, 0 where it is no duration.
 */
export function valueAxis(low: number, high: number, options: AxisOptions = {}): Axis {
  const { count = 4, zero = true, whole = false, second = 0 } = options;
  let [from, to] = low > high ? [0, 1] : [low, high];
  if (zero || from <= 0 || to - from > 0.35 * to || to === from) {
    from = Math.min(from, 0);
    to = Math.max(to, 0);
  }
  if (to === from) {
    to = from + (second || 1);
  }
  let step = second ? clockStep((to - from) / count, second) : tickStep(from, to, Math.max(1, count - 1));
  if (whole) {
    step = Math.max(1, Math.ceil(step));
  }
  const first = Math.floor(from / step + 1e-9);
  const last = Math.ceil(to / step - 1e-9);
  const ticks = Array.from({ length: last - first + 1 }, (_, index) => tidy((first + index) * step));

  return { low: ticks[0]!, high: ticks.at(-1)!, step, ticks };
}

function clockStep(rough: number, second: number): number {
  const wanted = rough / second;
  if (wanted < 1) {
    return tickStep(0, wanted, 1) * second;
  }
  const known = CLOCK_STEPS.find((step) => step >= wanted * (1 - 1e-9));

  return (known ?? Math.ceil(wanted / 86_400 / 7) * 604_800) * second;
}

/**
 * Returns which intervals have their time written below a chart, at least `gap` pixels apart.
 *
 * One is written where its start is the first in its step of the calendar: a day's first hour, a month's first day.
 */
export function timeTicks(times: number[], interval: Interval, zone: Zone, pitch: number, gap: number): [Unit, number[]] {
  const length = interval === "none" ? 0 : LENGTH[interval];
  const apart = (unit: Unit, count: number) => (pitch * (LENGTH[unit] * count)) / length;
  const fitting = CALENDAR.find(([unit, count]) => LENGTH[unit] * count >= length * 0.9 && apart(unit, count) >= gap);
  const [unit, count] = fitting ?? CALENDAR.at(-1)!;
  const stepOf = (time: number) => calendarStep(zone.local(time), unit, count);
  const chosen: number[] = [];
  let before = times.length > 0 ? stepOf(times[0]! - (length || 1)) : 0;
  times.forEach((time, index) => {
    const step = stepOf(time);
    if (step !== before) {
      chosen.push(index);
    }
    before = step;
  });

  return [unit, chosen];
}

function calendarStep(at: Date, unit: Unit, count: number): number {
  const months = at.getUTCFullYear() * 12 + at.getUTCMonth();
  if (unit === "month") {
    return Math.floor(months / count);
  }
  const days = Math.floor(at.getTime() / LENGTH.day);
  if (unit === "day") {
    // Weeks start on Mondays, as the query API's do; 5 January 1970 was one.
    return Math.floor((days - 4) / count);
  }
  const perDay = LENGTH.day / LENGTH[unit] / count;

  return days * perDay + Math.floor((at.getTime() - days * LENGTH.day) / (LENGTH[unit] * count));
}

/** Takes the noise of binary fractions off a tick: 0.30000000000000004 is 0.3. */
function tidy(value: number): number {
  return Number(value.toPrecision(12));
}

/** Rounds a coordinate to what a screen can show. */
export function round(value: number): number {
  return Math.round(value * 100) / 100;
}

/** Keeps a value between two others. */
export function within(low: number, value: number, high: number): number {
  return Math.max(low, Math.min(value, high));
}
