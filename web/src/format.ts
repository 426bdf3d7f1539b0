/**
 * Writes numbers, durations and times in the reader's own notation.
 *
 * Pure: the locale and the time zone are arguments, and all notation is Intl's.
 */

import { dateFormat, numberFormat } from "./intl";
import type { Unit } from "./scale";
import type { Interval } from "./wire";
import type { Zone } from "./zone";

export type Locale = string | undefined;

export interface ValueFormat {
  /** At an axis whose neighbouring ticks lie `step` apart. */
  tick(value: number, step: number): string;
  /** Where there is little room. */
  short(value: number): string;
  /** Where it is read closely. */
  full(value: number): string;
  /** The unit's own word where the numbers do not carry it. */
  label: string;
  /** How much of the unit one second is, 0 where it is no duration. */
  second: number;
}

const SECONDS = new Map(
  Object.entries({
    nanoseconds: 1e-9, ns: 1e-9, microseconds: 1e-6, us: 1e-6, milliseconds: 0.001, millisecond: 0.001, ms: 0.001,
    seconds: 1, second: 1, sec: 1, s: 1, minutes: 60, minute: 60, min: 60, hours: 3600, hour: 3600, h: 3600,
    days: 86_400, day: 86_400, d: 86_400,
  }),
);
const RATIOS = new Map(Object.entries({ ratio: 1, fraction: 1, percent: 0.01, "%": 0.01 }));
const BYTES = new Map(
  Object.entries({
    bytes: 1, byte: 1, b: 1, kilobytes: 1e3, kb: 1e3, megabytes: 1e6, mb: 1e6, gigabytes: 1e9, gb: 1e9,
  }),
);
const CURRENCIES = new Set(Intl.supportedValuesOf?.("currency"));
const BYTE_UNITS: readonly [string, number][] = [
  ["petabyte", 1e15], ["terabyte", 1e12], ["gigabyte", 1e9], ["megabyte", 1e6], ["kilobyte", 1e3], ["byte", 1],
];
const CLOCK: readonly [string, number, string, number][] = [
  ["day", 86_400, "hour", 3600], ["hour", 3600, "minute", 60], ["minute", 60, "second", 1],
];

/** Returns how values of a unit are written; `decimals`, where it is given, is how many every plain number has. */
export function valueFormat(unit: string | null, locale: Locale, decimals: number | null = null): ValueFormat {
  const name = (unit ?? "").trim();
  const key = name.toLowerCase();
  const second = SECONDS.get(key);
  const ratio = RATIOS.get(key);
  const byte = BYTES.get(key);
  if (second) {
    const write = (value: number) => duration(value * second, locale);
    return { tick: write, short: write, full: write, label: "", second: 1 / second };
  }
  if (ratio) {
    return ratioFormat(ratio, locale, decimals);
  }
  if (byte) {
    const write = (value: number) => bytes(value * byte, locale);
    return { tick: write, short: write, full: write, label: "", second: 0 };
  }
  if (CURRENCIES.has(name)) {
    return plainFormat({ style: "currency", currency: name }, "", locale, decimals);
  }

  return plainFormat({}, name, locale, decimals);
}

function ratioFormat(one: number, locale: Locale, decimals: number | null): ValueFormat {
  const write = (value: number, digits: number) =>
    numberFormat(locale, { style: "percent", maximumFractionDigits: digits }).format(value * one);

  return {
    tick: (value, step) => write(value, digitsOf(step * one * 100)),
    short: (value) => write(value, decimals ?? 1),
    full: (value) => write(value, decimals ?? 2),
    label: "",
    second: 0,
  };
}

function plainFormat(style: Intl.NumberFormatOptions, label: string, locale: Locale, decimals: number | null): ValueFormat {
  const written = (more: Intl.NumberFormatOptions) =>
    numberFormat(locale, { ...style, minimumFractionDigits: 0, ...more });
  const compact = written({ notation: "compact", maximumSignificantDigits: 3 });
  const exact = (digits: number) => written({ maximumFractionDigits: digits });
  const fixed = decimals === null ? null : written({ minimumFractionDigits: decimals, maximumFractionDigits: decimals });
  const usual = (value: number) => exact(Math.abs(value) < 10 ? 2 : style.currency ? 0 : 1).format(value);
  const precise = (value: number) => (fixed ? fixed.format(value) : usual(value));

  return {
    // Where steps are small against the values, three digits would write neighbouring ticks alike.
    tick: (value, step) => (step >= Math.abs(value) / 200 ? compact : exact(digitsOf(step))).format(value),
    short: (value) => (Math.abs(value) >= 100_000 ? compact.format(value) : precise(value)),
    full: precise,
    label,
    second: 0,
  };
}

/** Returns how many decimals tell the multiples of a step apart; steps of 2.5 need one more than those of 2 or 5. */
function digitsOf(step: number): number {
  const quarter = /^0*25/.test(String(step).replace(".", "")) ? 1 : 0;

  return Math.min(6, Math.max(0, quarter - Math.floor(Math.log10(step) + 1e-9)));
}

/** Writes seconds with at most two units: 250ms, 12.5s, 3h 20m, 2d 4h. */
export function duration(seconds: number, locale: Locale): string {
  const size = Math.abs(seconds);
  const sign = seconds < 0 ? "−" : "";
  if (size === 0) {
    return unitText(0, "second", locale);
  }
  if (size < 0.9995) {
    return sign + unitText(size * 1000, "millisecond", locale, { maximumSignificantDigits: 3 });
  }
  if (size < 59.95) {
    return sign + unitText(size, "second", locale, { maximumFractionDigits: 1 });
  }

  return sign + clock(size, locale);
}

function clock(size: number, locale: Locale): string {
  // Rounded first, by the smaller of the two units shown, so that 59m 59.7s becomes 1h and not 60m.
  const [, , , grain] = CLOCK.find(([, big]) => size >= big) ?? CLOCK.at(-1)!;
  const rounded = Math.round(size / grain) * grain;
  const [name, big, smallName, small] = CLOCK.find(([, whole]) => rounded >= whole) ?? CLOCK.at(-1)!;
  const rest = Math.round((rounded % big) / small);
  const first = unitText(Math.floor(rounded / big), name, locale);

  return rest === 0 ? first : `${first} ${unitText(rest, smallName, locale)}`;
}

function bytes(value: number, locale: Locale): string {
  const [name, size] = BYTE_UNITS.find(([, least]) => Math.abs(value) >= least) ?? BYTE_UNITS.at(-1)!;

  return unitText(value / size, name, locale, { maximumSignificantDigits: 3 });
}

function unitText(value: number, unit: string, locale: Locale, more: Intl.NumberFormatOptions = {}): string {
  return numberFormat(locale, { style: "unit", unit, unitDisplay: "narrow", ...more }).format(value);
}

export interface TimeFormat {
  /** Below an axis; `step` is the calendar step between ticks. */
  tick(time: number, step: Unit): string;
  /** An interval's whole name. */
  interval(from: number, to: number, interval: Interval): string;
  /** A moment of late. */
  moment(time: number, now: number): string;
  day(time: number): string;
}

/** Returns how times are written in a zone. */
export function timeFormat(locale: Locale, zone: Zone): TimeFormat {
  const write = (options: Intl.DateTimeFormatOptions) =>
    dateFormat(locale, { timeZone: zone.name, ...options });
  const date = write({ day: "numeric", month: "short" });
  const hour = write({ timeStyle: "short" });
  const month = write({ month: "short" });
  const year = write({ year: "numeric" });
  const longDay = write({ weekday: "short", day: "numeric", month: "short", year: "numeric" });
  const hours = write({ weekday: "short", day: "numeric", month: "short", hour: "numeric", minute: "2-digit" });
  const longMonth = write({ month: "long", year: "numeric" });
  const clockTime = write({ timeStyle: "medium" });
  const ends: Partial<Record<Interval, Intl.DateTimeFormat>> = { day: longDay, month: longMonth, year };

  return {
    tick(time, step) {
      const at = zone.local(time);
      if (step === "hour" || step === "minute") {
        return at.getUTCHours() === 0 && at.getUTCMinutes() === 0 ? date.format(time) : hour.format(time);
      }
      if (step === "month") {
        return at.getUTCMonth() === 0 ? year.format(time) : month.format(time);
      }

      return date.format(time);
    },
    interval(from, to, interval) {
      if (interval === "week" || interval === "quarter") {
        return longDay.formatRange(from, to - 1);
      }

      return ends[interval]?.format(from) ?? hours.formatRange(from, to);
    },
    moment(time, now) {
      return now - time < 12 * 3_600_000 ? clockTime.format(time) : `${date.format(time)}, ${hour.format(time)}`;
    },
    day(time) {
      return longDay.format(time);
    },
  };
}

/**
 * Writes how much a number has changed, without a sign; empty where there is nothing to compare with.
 *
 * Shares change by points: from 80% to 84% is 4 points, and "5%" would be read as 85%.
 */
export function change(now: number | null, before: number | null, unit: string | null, locale: Locale): string {
  if (now === null || before === null || before <= 0) {
    return "";
  }
  const ratio = RATIOS.get((unit ?? "").toLowerCase());
  if (ratio) {
    const points = Math.abs(now - before) * ratio * 100;
    return `${numberFormat(locale, { maximumFractionDigits: 1 }).format(points)} pts`;
  }
  const share = Math.abs(now / before - 1);
  const written = numberFormat(locale, { style: "percent", maximumFractionDigits: share < 0.0995 ? 1 : 0 });

  return share < 10 ? written.format(share) : "";
}

/** Makes words of an identifier: pull_requests_merged is "Pull requests merged". */
export function words(name: string): string {
  const apart = name.replace(/([a-z0-9])([A-Z])/g, (_, a: string, b: string) => `${a} ${b.toLowerCase()}`);
  const text = apart.replace(/[_.:$-]+/g, " ").trim();

  return text ? text[0]!.toUpperCase() + text.slice(1) : name;
}
