/**
 * Decides what a card asks: which measure, how it is put together, by what it is split, in which steps.
 *
 * Pure; names come from the catalogue.
 */

const DAY_MS = 86_400_000;

/** The page's ranges, the interval that suits each, and how long each is for the reader; `all` depends on the metric. */
const RANGES = {
  "24h": { days: 1, last: "24h", interval: "hour", words: "last 24 hours", before: "previous 24 hours" },
  "7d": { days: 7, last: "7d", interval: "day", words: "last 7 days", before: "previous 7 days" },
  "30d": { days: 30, last: "30d", interval: "day", words: "last 30 days", before: "previous 30 days" },
  "90d": { days: 90, last: "90d", interval: "day", words: "last 90 days", before: "previous 90 days" },
  "1y": { days: 365, last: "365d", interval: "week", words: "last year", before: "previous year" },
};
/** The longest range that the API answers. */
const MOST_DAYS = 3650;

/** Returns what a range is for a metric: `{last, interval, words, before}`; `all` reaches back to its first event. */
export function rangeOf(name, metric, now) {
  if (name in RANGES) {
    return RANGES[name];
  }
  const age = Math.ceil((now - Date.parse(metric.first_time ?? "")) / DAY_MS) || 1;
  const days = Math.min(MOST_DAYS, Math.max(1, age));
  const interval = days <= 2 ? "hour" : days <= 120 ? "day" : days <= 900 ? "week" : "month";

  return { last: `${days}d`, interval, words: "whole time", before: "" };
}

/** Returns the shortest of the usual ranges in which something has happened; 30 days where it is recent enough. */
export function firstRange(metrics, now) {
  const newest = Math.max(...metrics.map(({ last_time: time }) => Date.parse(time ?? "")).filter(Number.isFinite));
  const age = (now - newest) / DAY_MS;
  const fitting = ["30d", "90d", "1y"].find((name) => age < RANGES[name].days);

  return fitting ?? (Number.isFinite(age) ? "all" : "30d");
}

/** Aggregates offered for a measure, with their words. */
export const AGGREGATES = { sum: "Total", avg: "Average", min: "Minimum", max: "Maximum" };

const TIME_UNIT = /^((nano|micro|milli)?seconds?|ns|us|ms|s|minutes?|min|hours?|h|days?|d)$/i;
const SHARE_UNIT = /^(ratio|fraction|percent|%|score|points)$/i;
const AVERAGED_NAME = /(^|_)(score|ratio|rate|percent|percentage|duration|latency|age|lead_time|seconds|ms)$/i;
/** The same for all of a tenant's events, as its attributes are, or another for each. */
const NOT_OFFERED = /^(tenant_.*|event_id)$/;
/** Names whose values are usually few and telling; tried first. */
const TELLING = /(^|_)(severity|priority|status|state|result|outcome|level|type|kind|category|tier)$/i;

/** Returns the measures that can be drawn. */
export function numericMeasures(metric) {
  return (metric.measures ?? []).filter(({ type }) => type === "double" || type === "integer");
}

/** Returns the dimensions worth splitting by, the likeliest first. */
export function splitDimensions(metric) {
  const names = (metric.dimensions ?? []).map(({ name }) => name);
  const offered = names.filter((name) => !NOT_OFFERED.test(name));

  return [...offered.filter((name) => TELLING.test(name)), ...offered.filter((name) => !TELLING.test(name))];
}

/** Returns how a measure is put together unless the reader says otherwise: times and shares are averaged. */
export function usualAggregate(measure) {
  const unit = measure.unit ?? "";

  return TIME_UNIT.test(unit) || SHARE_UNIT.test(unit) || AVERAGED_NAME.test(measure.name) ? "avg" : "sum";
}

/** Returns what a card shows at first: the first numeric measure, else the number of events. */
export function firstChoice(metric) {
  const [measure] = numericMeasures(metric);

  return choiceOf(measure ?? null, measure ? usualAggregate(measure) : "count");
}

/** Returns a choice; `split` is null until a dimension is chosen or found. */
export function choiceOf(measure, aggregate, split = null) {
  return { measure, aggregate: measure ? aggregate : "count", split };
}

/** Tells whether parts add up to the whole, as sums and counts do and averages do not. */
export function additive(choice) {
  return choice.aggregate === "sum" || choice.aggregate === "count";
}

/** Returns the question behind a chart; `range` is one of `rangeOf`. */
export function chartQuestion(metric, choice, range, timezone) {
  return {
    ...subject(metric, choice),
    range: { last: range.last },
    interval: range.interval,
    timezone,
    ...(choice.split ? { group_by: [choice.split] } : {}),
    ...(additive(choice) ? { fill: "zero" } : {}),
  };
}

/** Returns the question for one number over a range, `{from, to}`. */
export function totalQuestion(metric, choice, range, timezone) {
  return { ...subject(metric, choice), range, interval: "none", timezone };
}

/** Returns the range of equal length just before an answer's own, or null where the metric is younger than that. */
export function rangeBefore(meta, firstTime) {
  const [from, to] = [Date.parse(meta.from), Date.parse(meta.to)];
  const start = from - (to - from);
  if (!(start >= Date.parse(firstTime ?? ""))) {
    return null;
  }

  return { from: new Date(start).toISOString(), to: new Date(from).toISOString() };
}

function subject(metric, choice) {
  return {
    metric: metric.name,
    ...(choice.measure ? { measure: choice.measure.name } : {}),
    aggregate: choice.aggregate,
  };
}
