/**
 * The calendar of a time zone: what a clock there shows, and when an interval that starts there ends.
 *
 * Times are milliseconds since 1970. Clocks change at whole quarters of an hour, so what is known of one quarter holds
 * for all of it: ten thousand minutes ask the browser's calendar a few hundred times.
 */

import { dateFormat } from "./intl";
import type { Interval } from "./wire";

const MINUTE = 60_000;
const QUARTER = 15 * MINUTE;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** How long intervals are, those of the calendar on average. */
export const LENGTH: Record<Exclude<Interval, "none">, number> = {
  minute: MINUTE,
  "5m": 5 * MINUTE,
  hour: HOUR,
  day: DAY,
  week: 7 * DAY,
  month: 30.44 * DAY,
  quarter: 91.3 * DAY,
  year: 365.25 * DAY,
};

/** What clocks of each zone were found to be off by, by quarters of an hour. */
const known = new Map<string, Map<number, number>>();

export class Zone {
  readonly name: string;
  #clock: Intl.DateTimeFormat;
  #offsets: Map<number, number>;

  constructor(name: string) {
    this.name = name;
    this.#clock = dateFormat("en-US", {
      timeZone: name,
      hourCycle: "h23",
      year: "numeric",
      month: "numeric",
      day: "numeric",
      hour: "numeric",
      minute: "numeric",
    });
    this.#offsets = known.get(name) ?? new Map<number, number>();
    known.set(name, this.#offsets);
  }

  /** Returns what the zone's clock shows, as a date whose UTC fields are to be read. */
  local(time: number): Date {
    return new Date(time + this.#offset(time));
  }

  /** Returns the end of the interval that starts at a time. */
  end(time: number, interval: Interval): number {
    const months = { month: 1, quarter: 3, year: 12 }[interval as string];
    const days = { day: 1, week: 7 }[interval as string];
    if (months || days) {
      const at = this.local(time);
      const wall = Date.UTC(at.getUTCFullYear(), at.getUTCMonth() + (months ?? 0), at.getUTCDate() + (days ?? 0));
      return this.#instant(wall);
    }

    return interval === "none" ? time : time + LENGTH[interval];
  }

  /** Returns the start of a day, written as 2026-03-29; `days` later where that is asked for. */
  day(text: string, days = 0): number {
    return this.#instant(Date.parse(`${text}T00:00:00Z`) + days * DAY);
  }

  /** Returns the instant at which the clock shows a wall time; of one that it skips, the end of the gap. */
  #instant(wall: number): number {
    const guess = wall - this.#offset(wall);

    return wall - this.#offset(guess);
  }

  #offset(time: number): number {
    if (this.name === "UTC") {
      return 0;
    }
    const quarter = Math.floor(time / QUARTER);
    let offset = this.#offsets.get(quarter);
    if (offset === undefined) {
      const start = quarter * QUARTER;
      const shown = Object.fromEntries(this.#clock.formatToParts(start).map(({ type, value }) => [type, Number(value)]));
      const { year = 0, month = 1, day = 1, hour = 0, minute = 0 } = shown;
      offset = Date.UTC(year, month - 1, day, hour, minute) - start;
      this.#offsets.set(quarter, offset);
    }

    return offset;
  }
}

/** Returns the reader's own zone. */
export function ownZone(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
}
