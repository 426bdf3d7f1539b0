/**
 * Decides where a chart's values lie and which of them are written at its axes.
 *
 * Pure. Times are milliseconds; calendar steps are taken in the browser's own time zone, which the questions ask in.
 */

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** How long intervals are, those of the calendar on average. */
const STEP_MS = {
  minute: MINUTE, "5m": 5 * MINUTE, hour: HOUR, day: DAY, week: 7 * DAY,
  month: 30.44 * DAY, quarter: 91.3 * DAY, year: 365.25 * DAY,
};

/** Steps of a clock and a calendar, in seconds: 3h reads better than 2h 46m. */
const CLOCK_STEPS = [
  1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200,
  86_400, 172_800, 432_000, 604_800,
];

const CALENDAR = [
  ["hour", 1], ["hour", 2], ["hour", 3], ["hour", 6], ["hour", 12], ["day", 1], ["day", 2], ["day", 7], ["day", 14],
  ["month", 1], ["month", 3], ["month", 6], ["month", 12],
];

/** Returns the function that maps a domain onto a range. */
export function linear([from, to], [start, end]) {
  const slope = to === from ? 0 : (end - start) / (to - from);

  return (value) => start + (value - from) * slope;
}

/** Returns the 1, 2, 2.5 or 5 times a power of ten that lies at or above a rough step. */
export function niceStep(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  const factor = [1, 2, 2.5, 5, 10].find((candidate) => candidate * power >= rough * (1 - 1e-9));

  return factor * power;
}

/** Returns a step for durations; `second` is how much of the unit one second is. */
export function clockStep(rough, second) {
  const wanted = rough / second;
  const known = CLOCK_STEPS.find((step) => step >= wanted * (1 - 1e-9));
  if (wanted < 1) {
    return niceStep(wanted) * second;
  }

  return (known ?? niceStep(wanted / 86_400) * 86_400) * second;
}

/**
 * Returns the value axis: a domain that begins and ends at ticks, and the ticks.
 *
 * Bars always stand on zero; a line may leave it where its values lie close together and far away from it.
 */
export function valueAxis(values, { count = 4, zero = true, whole = false, second = 0 } = {}) {
  let low = Math.min(...values, Infinity);
  let high = Math.max(...values, -Infinity);
  if (low > high) {
    [low, high] = [0, 1];
  }
  if (zero || low <= 0 || high - low > 0.35 * high || high === low) {
    low = Math.min(low, 0);
    high = Math.max(high, 0);
  }
  if (high === low) {
    high = low + (second || 1);
  }

  const rough = (high - low) / count;
  let step = second ? clockStep(rough, second) : niceStep(rough);
  if (whole) {
    step = Math.max(1, Math.ceil(step));
  }
  const first = Math.floor(low / step + 1e-9);
  const last = Math.ceil(high / step - 1e-9);
  const ticks = Array.from({ length: last - first + 1 }, (_, index) => tidy((first + index) * step));

  return { domain: [ticks[0], ticks.at(-1)], ticks, step };
}

/** Returns the start of the interval that a time lies in. */
export function intervalStart(time, interval) {
  const at = new Date(time);
  const [year, month, day] = [at.getFullYear(), at.getMonth(), at.getDate()];
  const months = { month: 1, quarter: 3, year: 12 }[interval];
  if (months) {
    return new Date(year, month - (month % months), 1).getTime();
  }
  if (interval === "day" || interval === "week") {
    return calendarFloor(at, "day", interval === "week" ? 7 : 1).getTime();
  }
  // Counted from the full hour on the reader's clock, which in some zones is not one in UTC.
  const hour = new Date(year, month, day, at.getHours()).getTime();

  return time < hour + HOUR ? hour + Math.floor((time - hour) / STEP_MS[interval]) * STEP_MS[interval] : time;
}

/** Returns the end of the interval that starts at a time. */
export function intervalEnd(time, interval) {
  const at = new Date(time);
  const months = { month: 1, quarter: 3, year: 12 }[interval];
  if (months) {
    return new Date(at.getFullYear(), at.getMonth() + months, at.getDate()).getTime();
  }
  const days = { day: 1, week: 7 }[interval];
  if (days) {
    return new Date(at.getFullYear(), at.getMonth(), at.getDate() + days, at.getHours()).getTime();
  }

  return time + STEP_MS[interval];
}

/** Tells whether one interval follows another without a hole; a day may have 23 or 25 hours. */
export function adjacent(earlier, later, interval) {
  return later - earlier < 1.6 * STEP_MS[interval];
}

/** Returns the times to write below a chart, at least `gap` pixels apart: `{step: "hour" | "day" | "month", times}`. */
export function timeTicks([from, to], width, interval, gap) {
  const least = STEP_MS[interval];
  const fits = ([unit, count]) => {
    const step = STEP_MS[unit] * count;

    return step >= least * 0.9 && (width * step) / (to - from) >= gap;
  };
  const [unit, count] = CALENDAR.find(fits) ?? CALENDAR.at(-1);

  return { step: unit, times: calendarTimes(from, to, unit, count) };
}

function calendarTimes(from, to, unit, count) {
  const times = [];
  for (let at = calendarFloor(new Date(from), unit, count); at.getTime() < to; at = calendarNext(at, unit, count)) {
    if (at.getTime() >= from) {
      times.push(at.getTime());
    }
  }

  return times;
}

function calendarFloor(at, unit, count) {
  const [year, month, day] = [at.getFullYear(), at.getMonth(), at.getDate()];
  if (unit === "month") {
    return new Date(year, month - (month % Math.min(count, 12)), 1);
  }
  if (unit === "hour") {
    return new Date(year, month, day);
  }
  // Weeks start on Mondays, as the query API's do; 5 January 1970 was one.
  const number = Math.round(Date.UTC(year, month, day) / DAY) - 4;

  return new Date(year, month, day - (((number % count) + count) % count));
}

function calendarNext(at, unit, count) {
  const [year, month, day] = [at.getFullYear(), at.getMonth(), at.getDate()];
  if (unit === "month") {
    return new Date(year, month + count, 1);
  }
  if (unit === "day") {
    return new Date(year, month, day + count);
  }
  // The hour that a change of the clocks skips would come back as the one before it, for ever.
  const next = new Date(year, month, day, at.getHours() + count);

  return next > at ? next : new Date(at.getTime() + count * HOUR);
}

/**
 * Returns the curve through points as one path piece per step, without its start.
 *
 * Monotone cubic (Fritsch and Carlson): it never swings above or below what was measured.
 */
export function curve(points) {
  const slopes = tangents(points);

  return points.slice(1).map(([x, y], index) => {
    const [x0, y0] = points[index];
    const third = (x - x0) / 3;
    const [a, b] = [y0 + slopes[index] * third, y - slopes[index + 1] * third];

    return `C${round(x0 + third)} ${round(a)} ${round(x - third)} ${round(b)} ${round(x)} ${round(y)}`;
  });
}

function tangents(points) {
  const secants = points.slice(1).map(([x, y], index) => (y - points[index][1]) / (x - points[index][0]));

  return points.map((_, index) => {
    const [before, after] = [secants[index - 1], secants[index]];
    if (before === undefined || after === undefined) {
      return before ?? after ?? 0;
    }

    return before * after <= 0 ? 0 : (2 * before * after) / (before + after);
  });
}

/** Rounds a coordinate to what a screen can show. */
export function round(value) {
  return Math.round(value * 100) / 100;
}

/** Takes the noise of binary fractions off a tick: 0.30000000000000004 is 0.3. */
function tidy(value) {
  return Number(value.toPrecision(12));
}
