/**
 * What goes over the wire: questions, answers, dashboards. The names are the query API's.
 */

export type Interval = "none" | "minute" | "5m" | "hour" | "day" | "week" | "month" | "quarter" | "year";

export type Range = { last: string } | { from: string; to: string };

export interface Filter {
  dimension?: string;
  measure?: string;
  [comparison: string]: unknown;
}

export interface Question {
  metric: string;
  measure?: string;
  aggregate?: string;
  range: Range;
  interval?: Interval;
  timezone?: string;
  group_by?: string[];
  filters?: Filter[];
  fill?: "none" | "zero" | "null";
  compare?: "none" | "previous_period";
  limit?: number;
}

export interface Column {
  name: string;
  type: string;
  unit: string | null;
}

export interface Meta {
  from: string;
  to: string;
  interval: Interval;
  fresh_as_of: string;
  previous?: { from: string; to: string };
}

export interface Answer {
  columns: Column[];
  rows: unknown[][];
  meta: Meta;
}

export type Kind = "line" | "area" | "bar" | "stacked_bar" | "donut" | "heatmap" | "table" | "value";

/** A tile of a dashboard, as the server describes it: `question` lacks only what the reader chooses. */
export interface Tile {
  kind: Kind;
  title: string;
  description: string | null;
  width: number;
  height: number;
  unit: string | null;
  decimals: number | null;
  good: "up" | "down" | null;
  interval: Interval | "auto";
  range: Range | null;
  question: Omit<Question, "range" | "interval">;
}

export interface FilterChoice {
  dimension: string;
  title: string;
  metrics: string[];
}

export interface Dashboard {
  name: string;
  title: string;
  tenant: { id: string; name: string | null; environment: string | null };
  ranges: string[];
  range: string;
  intervals: Record<string, Interval>;
  refresh: number;
  filters: FilterChoice[];
  tiles: Tile[];
}
