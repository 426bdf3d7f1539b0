/**
 * Writes numbers, durations and times in the reader's own notation.
 *
 * Pure: the locale and the time zone are arguments, and all notation is Intl's.
 */

const SECONDS = new Map(Object.entries({
  nanoseconds: 1e-9, ns: 1e-9, microseconds: 1e-6, us: 1e-6, milliseconds: 0.001, millisecond: 0.001, ms: 0.001,
  seconds: 1, second: 1, sec: 1, s: 1, minutes: 60, minute: 60, min: 60, hours: 3600, hour: 3600, h: 3600,
  days: 86_400, day: 86_400, d: 86_400,
}));
const RATIOS = new Map(Object.entries({ ratio: 1, fraction: 1, percent: 0.01, "%": 0.01 }));
const BYTES = new Map(Object.entries({
  bytes: 1, byte: 1, b: 1, kilobytes: 1e3, kb: 1e3, megabytes: 1e6, mb: 1e6, gigabytes: 1e9, gb: 1e9,
}));
const CURRENCIES = new Set(Intl.supportedValuesOf?.("currency"));
const BYTE_UNITS = [
  ["petabyte", 1e15], ["terabyte", 1e12], ["gigabyte", 1e9], ["megabyte", 1e6], ["kilobyte", 1e3], ["byte", 1],
];
const CLOCK = [["day", 86_400, "hour", 3600], ["hour", 3600, "minute", 60], ["minute", 60, "second", 1]];

/**
 * Returns how values of a unit are written: `{tick(value, step), short(value), full(value), label, second}`.
 *
 * `label` is the unit's own word where the numbers do not carry it; `second` is how much of the unit one second is,
 * 0 where it is no duration.
 */
export function valueFormat(unit, locale) {
  const name = (unit ?? "").trim();
  const key = name.toLowerCase();

  if (SECONDS.get(key)) {
    const write = (value) => duration(value * SECONDS.get(key), locale);
    return { tick: write, short: write, full: write, label: "", second: 1 / SECONDS.get(key) };
  }
  if (RATIOS.get(key)) {
    return ratioFormat(RATIOS.get(key), locale);
  }
  if (BYTES.get(key)) {
    const write = (value) => bytes(value * BYTES.get(key), locale);
    return { tick: write, short: write, full: write, label: "", second: 0 };
  }
  if (CURRENCIES.has(name)) {
    return plainFormat({ style: "currency", currency: name }, "", locale);
  }

  return plainFormat({}, name, locale);
}

function ratioFormat(one, locale) {
  const write = (value, digits) =>
    new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: digits }).format(value * one);

  return {
    tick: (value, step) => write(value, digitsOf(step * one * 100)),
    short: (value) => write(value, 1),
    full: (value) => write(value, 2),
    label: "",
    second: 0,
  };
}

function plainFormat(style, label, locale) {
  const written = (more) => new Intl.NumberFormat(locale, { ...style, minimumFractionDigits: 0, ...more });
  const compact = written({ notation: "compact", maximumSignificantDigits: 3 });
  const exact = (digits) => written({ maximumFractionDigits: digits });
  const precise = (value) => exact(Math.abs(value) < 10 ? 2 : style.currency ? 0 : 1).format(value);

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
function digitsOf(step) {
  const quarter = /^0*25/.test(String(step).replace(".", "")) ? 1 : 0;

  return Math.min(6, Math.max(0, quarter - Math.floor(Math.log10(step) + 1e-9)));
}

/** Writes seconds with at most two units: 250ms, 12.5s, 3h 20m, 2d 4h. */
export function duration(seconds, locale) {
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

function clock(size, locale) {
  // Rounded first, by the smaller of the two units shown, so that 59m 59.7s becomes 1h and not 60m.
  const [, , , grain] = CLOCK.find(([, big]) => size >= big) ?? CLOCK.at(-1);
  const rounded = Math.round(size / grain) * grain;
  const [name, big, smallName, small] = CLOCK.find(([, whole]) => rounded >= whole) ?? CLOCK.at(-1);
  const rest = Math.round((rounded % big) / small);
  const first = unitText(Math.floor(rounded / big), name, locale);

  return rest === 0 ? first : `${first} ${unitText(rest, smallName, locale)}`;
}

function bytes(value, locale) {
  const [name, size] = BYTE_UNITS.find(([, least]) => Math.abs(value) >= least) ?? BYTE_UNITS.at(-1);

  return unitText(value / size, name, locale, { maximumSignificantDigits: 3 });
}

function unitText(value, unit, locale, more = {}) {
  return new Intl.NumberFormat(locale, { style: "unit", unit, unitDisplay: "narrow", ...more }).format(value);
}

/** Returns how times are written: `{tick(time, step), bucket(from, to, interval), moment(time), day(time)}`. */
export function timeFormat(locale, timeZone) {
  const write = (options) => new Intl.DateTimeFormat(locale, { timeZone, ...options });
  const date = write({ day: "numeric", month: "short" });
  const hour = write({ timeStyle: "short" });
  const month = write({ month: "short" });
  const year = write({ year: "numeric" });
  const longDay = write({ weekday: "short", day: "numeric", month: "short", year: "numeric" });
  const hours = write({ weekday: "short", day: "numeric", month: "short", hour: "numeric", minute: "2-digit" });
  const longMonth = write({ month: "long", year: "numeric" });
  const clock = write({ timeStyle: "medium" });
  const ends = { day: longDay, month: longMonth, quarter: longMonth, year };

  return {
    tick(time, step) {
      const at = new Date(time);
      if (step === "hour") {
        return at.getHours() === 0 && at.getMinutes() === 0 ? date.format(at) : hour.format(at);
      }
      if (step === "month") {
        return at.getMonth() === 0 ? year.format(at) : month.format(at);
      }

      return date.format(at);
    },
    bucket(from, to, interval) {
      if (interval === "week" || interval === "quarter") {
        return longDay.formatRange(new Date(from), new Date(to - 1));
      }

      return interval in ends ? ends[interval].format(new Date(from)) : hours.formatRange(new Date(from), new Date(to));
    },
    moment(time) {
      const at = new Date(time);

      return Date.now() - time < 12 * 3_600_000 ? clock.format(at) : `${date.format(at)}, ${hour.format(at)}`;
    },
    day(time) {
      return longDay.format(new Date(time));
    },
  };
}

/**
 * Writes how much a number has changed, without a sign; empty where there is nothing to compare with.
 *
 * Shares change by points: from 80% to 84% is 4 points, and "5%" would be read as 85%.
 */
export function change(now, before, unit, locale) {
  if (!Number.isFinite(now) || !Number.isFinite(before) || before <= 0) {
    return "";
  }
  const ratio = RATIOS.get((unit ?? "").toLowerCase());
  if (ratio) {
    const points = Math.abs(now - before) * ratio * 100;
    return `${new Intl.NumberFormat(locale, { maximumFractionDigits: 1 }).format(points)} pts`;
  }
  const share = Math.abs(now / before - 1);
  const written = new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: share < 0.0995 ? 1 : 0 });

  return share < 10 ? written.format(share) : "";
}

/** Makes words of an identifier: pull_requests_merged is "Pull requests merged". */
export function words(name) {
  const apart = name.replace(/([a-z0-9])([A-Z])/g, (_, a, b) => `${a} ${b.toLowerCase()}`);
  const text = apart.replace(/[_.:$-]+/g, " ").trim();

  return text ? text[0].toUpperCase() + text.slice(1) : name;
}

/** Makes words of a measure's name, without the unit that many carry at their end: the numbers show it. */
export function measureWords({ name, unit }) {
  const bare = unit && name.toLowerCase().endsWith(`_${unit.toLowerCase()}`) ? name.slice(0, -unit.length - 1) : name;

  return words(bare);
}
