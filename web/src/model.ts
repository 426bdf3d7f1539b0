/**
 * Decides what a chart shows of an answer, free of where on the screen. Pure.
 */

import { timeFormat, valueFormat, words, type Locale, type TimeFormat, type ValueFormat } from "./format";
import { additive, rangeWords } from "./question";
import { NONE, numberOf, seriesOf, textOf, VALUE, type Series } from "./series";
import type { Answer, Interval, Kind, Question } from "./wire";
import { Zone } from "./zone";

export interface Model {
  kind: Kind;
  interval: Interval;
  zone: Zone;
  /** Starts of the intervals; empty where each series has one number. */
  times: number[];
  /** What each place of a series is called: its interval, or its second group; one that is empty for a lone number. */
  places: string[];
  series: Series[];
  /** The dimensions that series are grouped by; where two are crossed, the second is that of the places. */
  dimensions: string[];
  /** The value of the second of two crossed dimensions, by place; null where places are times. */
  crossed: (string | null)[] | null;
  /** Places whose interval is not whole: the range begins or ends within. */
  partial: Set<number>;
  /** Whether values add up to a whole. */
  sums: boolean;
  whole: boolean;
  unit: string | null;
  values: ValueFormat;
  moments: TimeFormat;
  /** What places and the numbers are, in words: the head of a table. */
  head: { place: string; value: string };
  /** What is shown, in words. */
  label: string;
}

export interface Manner {
  kind: Kind;
  /** The column of the answer that is drawn. */
  column?: string | null;
  title: string;
  unit: string | null;
  decimals: number | null;
  locale: Locale;
  slots: Map<string, number>;
}

export const BEFORE = "Period before";

const AGGREGATES: Record<string, string> = {
  count: "number of events", sum: "total", avg: "average", min: "minimum", max: "maximum", last: "latest",
  unique: "different values", p50: "median", p90: "90th percentile", p95: "95th percentile", p99: "99th percentile",
  rate: "by the second",
};

/** Returns what to draw. */
export function modelOf(answer: Answer, question: Question, manner: Manner): Model {
  const zone = new Zone(question.timezone ?? "UTC");
  const moments = timeFormat(manner.locale, zone);
  const column = manner.column || VALUE;
  const unit = manner.unit ?? answer.columns.find(({ name }) => name === column)?.unit ?? null;
  const { interval } = answer.meta;
  const crossed = manner.kind === "heatmap" && interval === "none";
  const { times, series } = crossed ? { times: [], series: [] } : seriesOf(answer, question, manner.slots, column);
  const ends = times.map((time) => zone.end(time, interval));
  const { growing, cut } = partial(times, ends, answer);
  for (const one of series.filter(({ name, before }) => name === "" && before !== null)) {
    one.name = "This period";
  }
  const found = crossed
    ? across(answer, question)
    : { places: namesOf(times, ends, interval, growing, moments), series, crossed: null };

  return {
    kind: manner.kind,
    interval,
    zone,
    times,
    dimensions: question.group_by ?? [],
    ...found,
    partial: new Set([growing, cut].filter((index) => index >= 0)),
    sums: additive(question) && column === VALUE,
    whole: found.series.every(({ values }) => values.every((value) => value === null || Number.isInteger(value))),
    unit,
    values: valueFormat(unit, manner.locale, manner.decimals),
    moments,
    head: { place: times.length > 0 ? "Time" : words(question.group_by?.at(crossed ? 1 : 0) ?? "all"), value: column === VALUE ? valueWords(question) : words(column) },
    label: `${manner.title}: ${column === VALUE ? meaning(question) : words(column).toLowerCase()}, ${rangeWords(question.range)}`,
  };
}

/** Says what the numbers are. */
export function meaning(question: Question): string {
  const aggregate = question.aggregate ?? (question.measure ? "sum" : "count");
  const said = AGGREGATES[aggregate] ?? aggregate;
  const of = question.measure && aggregate !== "count" ? ` of ${words(question.measure).toLowerCase()}` : "";
  const by = question.group_by?.length ? ` by ${question.group_by.map((name) => words(name).toLowerCase()).join(", ")}` : "";

  return `${said}${of}${by}`;
}

function valueWords(question: Question): string {
  const said = AGGREGATES[question.aggregate ?? (question.measure ? "sum" : "count")] ?? "value";

  return said.charAt(0).toUpperCase() + said.slice(1);
}

function partial(times: number[], ends: number[], answer: Answer): { growing: number; cut: number } {
  const [from, to] = [Date.parse(answer.meta.from), Date.parse(answer.meta.to)];
  const last = times.length - 1;

  return { growing: last >= 0 && ends[last]! > to ? last : -1, cut: last >= 0 && times[0]! < from ? 0 : -1 };
}

function namesOf(times: number[], ends: number[], interval: Interval, growing: number, moments: TimeFormat): string[] {
  // Ten thousand names are made when they are read, not before.
  const made: string[] = [];
  const name = (index: number) => {
    const said = moments.interval(times[index]!, ends[index]!, interval);
    return index === growing ? `${said}, so far` : said;
  };

  return new Proxy(made, {
    get(target, key) {
      if (key === "length") {
        return Math.max(1, times.length);
      }
      const index = typeof key === "string" && /^\d+$/.test(key) ? Number(key) : -1;
      if (index < 0) {
        return Reflect.get(target, key) as unknown;
      }

      return times.length === 0 ? "" : (target[index] ??= name(index));
    },
  });
}

/** Returns the series of two groups crossed: the first are the series, the second their places. */
function across(answer: Answer, question: Question): Pick<Model, "places" | "series" | "crossed"> {
  const names = answer.columns.map(({ name }) => name);
  const [first = -1, second = -1] = (question.group_by ?? []).map((name) => names.indexOf(name));
  const value = names.indexOf(VALUE);
  const sums = new Map<string, number>();
  const raw = new Map<string, string | null>();
  const cells = new Map<string, Map<string, number>>();
  for (const row of answer.rows) {
    const [one, other] = [textOf(row[first]) ?? NONE, textOf(row[second]) ?? NONE];
    raw.set(`1 ${one}`, textOf(row[first])).set(`2 ${other}`, textOf(row[second]));
    const number = numberOf(row[value]);
    if (number !== null) {
      cells.set(one, (cells.get(one) ?? new Map<string, number>()).set(other, number));
      sums.set(other, (sums.get(other) ?? 0) + number);
    }
  }
  const places = [...sums].sort((a, b) => b[1] - a[1]).map(([name]) => name);
  const series = [...cells].map(([name, row]) => {
    const values = places.map((place) => row.get(place) ?? null);
    const weight = values.reduce<number>((sum, number) => sum + (number ?? 0), 0);
    return { name, groups: [raw.get(`1 ${name}`) ?? null], values, before: null, weight, colour: "series-0" };
  });

  return {
    places,
    series: series.sort((a, b) => b.weight - a.weight),
    crossed: places.map((name) => raw.get(`2 ${name}`) ?? null),
  };
}

/** Returns the dimensions' values of a series, at a place of it; null where there are no groups. */
export function groupsOf(model: Model, one: Series, place: number): Record<string, string | null> | null {
  const values = model.crossed ? [...one.groups, model.crossed[place] ?? null] : one.groups;

  return values.length === 0 ? null : Object.fromEntries(values.map((value, index) => [model.dimensions[index]!, value]));
}

/** Writes a value for close reading. */
export function written(model: Model, value: number | null | undefined): string {
  if (value === null || value === undefined) {
    return "–";
  }

  return model.values.label ? `${model.values.full(value)} ${model.values.label}` : model.values.full(value);
}

/** Tells whether there is nothing to show. */
export function isEmpty(model: Model): boolean {
  const nothing = (value: number | null) => value === null || (model.sums && value === 0);

  return model.series.every(({ values }) => values.every(nothing));
}

/** Returns the rows of the table behind a chart: the head first. */
export function tableRows(model: Model, most: number): string[][] {
  if (model.times.length === 0 && model.places.length <= 1) {
    const rows = model.series.slice(0, most).map((one) => [one.name || "All", written(model, one.values[0])]);
    return [[model.head.place, model.head.value], ...rows];
  }
  const head = [model.head.place, ...model.series.map(({ name }) => name || model.head.value)];
  const count = Math.min(most, model.places.length);
  const start = model.times.length > 0 ? model.places.length - count : 0;
  const row = (place: number) => [model.places[place]!, ...model.series.map(({ values }) => written(model, values[place]))];

  return [head, ...Array.from({ length: count }, (_, index) => row(start + index))];
}
