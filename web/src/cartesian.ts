/**
 * Draws lines, areas and bars over time.
 *
 * Each interval has the same width, whatever the clocks do. All looks are in the style sheet.
 */

import { area, curveLinear, curveMonotoneX, line, stack, stackOffsetDiverging } from "d3-shape";
import { svg, svgText } from "./dom";
import { along, type Box, type Drawing, type Place } from "./drawing";
import { BEFORE, groupsOf, written, type Model } from "./model";
import { round, timeTicks, valueAxis, within, type Axis } from "./scale";
import type { Series } from "./series";

const TOP = 10;
const BOTTOM = 26;
const WIDEST_BAR = 34;
const TICK_GAP = 56;
/** More points than so many in a column of pixels are thinned. */
const DENSE = 2;
/** From so many points on, a curve through them would be no other than straight lines. */
const MANY = 400;

interface Layout {
  model: Model;
  box: Box;
  axis: Axis;
  labels: string[];
  left: number;
  right: number;
  pitch: number;
  /** From a place's number to its middle. */
  x(place: number): number;
  y(value: number): number;
  /** [low, high] of each place by series, stacked; empty where nothing is. */
  stacked: [number, number][][];
  /** Whether there are more places than a screen can show. */
  dense: boolean;
}

let drawn = 0;

export function cartesian(model: Model, box: Box): Drawing {
  const layout = layoutOf(model, box);
  const bars = isBar(model);
  const picture = svg("svg", { class: "picture", width: box.width, height: box.height, "aria-hidden": "true" });
  const marks = svg("g", { class: "marks" });
  marks.append(...before(layout), ...(bars ? barMarks(layout) : lineMarks(layout)));
  const cursor = svg("g", { class: "cursor" });
  picture.append(grid(layout), ...(bars ? [cursor, marks] : [marks, cursor]), timeLabels(layout));
  const count = model.times.length;

  return {
    picture,
    places: count,
    nearest: (x) => (count === 0 ? null : within(0, Math.floor((x - layout.left) / layout.pitch), count - 1)),
    next: along(count),
    mark: (place) => cursor.replaceChildren(...(place === null ? [] : cursorAt(layout, place))),
    describe: (place) => describe(layout, place),
  };
}

function isBar(model: Model): boolean {
  return model.kind === "bar" || model.kind === "stacked_bar";
}

function isStacked(model: Model): boolean {
  return model.kind === "stacked_bar" || (model.kind === "area" && model.sums && model.series.length > 1);
}

function layoutOf(model: Model, box: Box): Layout {
  const stacked = isStacked(model) ? stackOf(model) : [];
  const [low, high] = extent(model, stacked);
  const zero = isBar(model) || model.kind === "area" || model.sums;
  const axis = valueAxis(low, high, { zero, whole: model.whole, second: model.values.second });
  const labels = axis.ticks.map((tick) => model.values.tick(tick, axis.step));
  const left = Math.ceil(Math.max(...labels.map((label) => box.measure(label)))) + 10;
  const right = box.width - (isBar(model) ? 0 : 6);
  const pitch = (right - left) / Math.max(1, model.times.length);
  const scale = (box.height - BOTTOM - TOP) / (axis.high - axis.low);

  return {
    model, box, axis, labels, left, right, pitch, stacked,
    dense: model.times.length > DENSE * (right - left),
    x: (place) => left + (place + 0.5) * pitch,
    y: (value) => box.height - BOTTOM - (value - axis.low) * scale,
  };
}

function stackOf(model: Model): [number, number][][] {
  const places = model.times.map((_, place) => place);
  const keys = model.series.map((_, index) => index);
  const stacked = stack<unknown, number, number>()
    .keys(keys)
    .value((place, index) => model.series[index]!.values[place] ?? 0)
    .offset(stackOffsetDiverging)(places);

  return stacked.map((parts) => parts.map(([from, to]): [number, number] => [from, to]));
}

function extent(model: Model, stacked: [number, number][][]): [number, number] {
  let [low, high] = [Infinity, -Infinity];
  const see = (value: number | null) => {
    if (value !== null) {
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
  };
  for (const parts of stacked) {
    parts.forEach((part) => part.forEach(see));
  }
  for (const { values, before: earlier } of model.series) {
    (stacked.length > 0 ? [] : values).forEach(see);
    (model.series.length === 1 ? (earlier ?? []) : []).forEach(see);
  }

  return [low, high];
}

function grid({ axis, labels, left, right, y }: Layout): SVGGElement {
  const group = svg("g", { class: "grid" });
  axis.ticks.forEach((tick, index) => {
    const at = Math.round(y(tick)) + 0.5;
    group.append(svg("line", { class: tick === 0 ? "base" : "rule", x1: left, x2: right, y1: at, y2: at }));
    group.append(svgText(labels[index]!, { class: "tick", x: left - 8, y: at, dy: "0.32em", "text-anchor": "end" }));
  });

  return group;
}

function timeLabels({ model, box, x, pitch }: Layout): SVGGElement {
  const group = svg("g", { class: "grid" });
  const [unit, chosen] = timeTicks(model.times, model.interval, model.zone, pitch, TICK_GAP);
  let free = 0;
  for (const place of chosen) {
    const label = model.moments.tick(model.times[place]!, unit);
    const half = box.measure(label) / 2;
    const centre = x(place);
    const at = within(half, centre, box.width - half);
    if (at - half >= free && Math.abs(at - centre) < half) {
      group.append(svgText(label, { class: "tick", x: round(at), y: box.height - 6, "text-anchor": "middle" }));
      free = at + half + 10;
    }
  }

  return group;
}

function barMarks(layout: Layout): SVGElement[] {
  const { model, stacked } = layout;
  const groups = [svg("g"), svg("g", { class: "unfinished" })] as const;
  const together = stacked.length > 0 ? reaching(layout, (place) => wholeOf(stacked, place)) : null;
  model.series.forEach((one, index) => {
    const paths = ["", ""];
    for (const place of together ?? reaching(layout, (at) => one.values[at] ?? 0)) {
      paths[model.partial.has(place) ? 1 : 0] += isStacked(model) ? part(layout, index, place) : side(layout, index, place);
    }
    groups.forEach((group, which) => {
      if (paths[which]) {
        group.append(svg("path", { class: `bar ${one.colour}`, d: paths[which]! }));
      }
    });
  });

  return [...groups];
}

/** Returns how high a stack reaches. */
function wholeOf(stacked: [number, number][][], place: number): number {
  return stacked.reduce((most, parts) => Math.max(most, parts[place]![1]), -Infinity);
}

/** Returns the places that are drawn: where there are too many, of each column of pixels the lowest and the highest. */
function reaching({ model, dense, pitch }: Layout, value: (place: number) => number): number[] {
  if (!dense) {
    return [...model.times.keys()];
  }
  const columns = new Map<number, [least: number, most: number]>();
  for (const place of model.times.keys()) {
    const column = Math.floor(place * pitch);
    const [least, most] = columns.get(column) ?? [place, place];
    columns.set(column, [value(place) < value(least) ? place : least, value(place) > value(most) ? place : most]);
  }

  return [...new Set([...columns.values()].flat())];
}

function thickness(pitch: number): number {
  return Math.max(0.5, Math.min(WIDEST_BAR, pitch - Math.max(pitch > 3 ? 1 : 0, Math.min(8, pitch * 0.24))));
}

/** Returns a part of a stack; a hairline between two parts keeps them apart without relying on colour. */
function part({ model, stacked, x, y, pitch }: Layout, index: number, place: number): string {
  const [from, to] = stacked[index]![place]!;
  if (from === to) {
    return "";
  }
  const wide = thickness(pitch);
  const crown = to > 0 && stacked.slice(index + 1).every((parts) => parts[place]![1] <= to);
  const first = from === 0 || model.series.length === 1;
  const [top, bottom] = [y(to), y(from)];
  const gap = !first && bottom - top > 2 ? 1 : 0;

  return barPath(x(place) - wide / 2, wide, top, bottom - gap, crown ? Math.min(4, wide / 3) : 0);
}

/** Returns a bar beside those of the other series. */
function side({ model, axis, x, y, pitch }: Layout, index: number, place: number): string {
  const value = model.series[index]!.values[place] ?? 0;
  if (value === 0) {
    return "";
  }
  const all = thickness(pitch) * (model.series.length > 1 ? 1.1 : 1);
  const wide = all / model.series.length;
  const start = x(place) - all / 2 + index * wide;
  const base = y(within(axis.low, 0, axis.high));
  const [top, bottom] = value > 0 ? [y(value), base] : [base, y(value)];

  return barPath(start, Math.max(0.5, wide - (wide > 4 ? 1 : 0)), top, bottom, value > 0 ? Math.min(4, wide / 3) : 0);
}

function barPath(left: number, width: number, top: number, bottom: number, radius: number): string {
  const [a, b, c, d] = [left, left + width, top, bottom].map(round) as [number, number, number, number];
  const r = round(Math.min(radius, Math.max(0, bottom - top)));
  if (r === 0) {
    return `M${a} ${d}V${c}H${b}V${d}Z`;
  }

  return `M${a} ${d}V${round(c + r)}Q${a} ${c} ${round(a + r)} ${c}H${round(b - r)}Q${b} ${c} ${b} ${round(c + r)}V${d}Z`;
}

interface Point {
  place: number;
  value: number;
  low: number;
}

function lineMarks(layout: Layout): SVGElement[] {
  const { model } = layout;
  const marks = model.series.map((one, index) => {
    const points = pointsOf(layout, one, index);
    const alone = model.series.length === 1 && layout.axis.low === 0;
    const filled = model.kind === "area" || alone;
    return [...(filled ? shade(layout, one, points) : []), ...strokes(layout, one, points)];
  });

  // Shades lie beneath all lines.
  return marks.flat().sort((a, b) => Number(b.classList.contains("shade")) - Number(a.classList.contains("shade")));
}

function pointsOf(layout: Layout, one: Series, index: number): (Point | null)[] {
  const parts = layout.stacked[index];
  const points = one.values.map((value, place) => {
    if (value === null) {
      return null;
    }
    const [low, high] = parts?.[place] ?? [Math.max(0, layout.axis.low), value];
    return { place, value: high, low };
  });

  return layout.dense ? thinned(points, layout) : points;
}

/**
 * Keeps of the points in one column of pixels the first, the least, the greatest and the last: the picture is the same.
 *
 * Parts of a stack are kept by how high the whole of it reaches, so that their edges meet. A column without any is a hole.
 */
function thinned(points: (Point | null)[], { pitch, stacked }: Layout): (Point | null)[] {
  const columns = new Map<number, Point[]>();
  const height = (point: Point) => (stacked.length > 0 ? wholeOf(stacked, point.place) : point.value);
  points.forEach((point, place) => {
    const column = Math.floor(place * pitch);
    const kept = columns.get(column) ?? [];
    if (point) {
      const [first = point, least = point, most = point] = kept;
      const low = height(point) < height(least) ? point : least;
      const high = height(point) > height(most) ? point : most;
      columns.set(column, [first, low, high, point]);
    } else {
      columns.set(column, kept);
    }
  });

  return [...columns.values()].flatMap((kept): (Point | null)[] =>
    kept.length === 0 ? [null] : [...new Set(kept)].sort((a, b) => a.place - b.place),
  );
}

function curveFor(points: readonly unknown[]) {
  return points.length > MANY ? curveLinear : curveMonotoneX;
}

/** Returns a line's strokes: firm where the interval is over, dashed towards one that still grows, dots where alone. */
function strokes({ model, x, y }: Layout, one: Series, points: (Point | null)[]): SVGElement[] {
  const path = line<Point | null>()
    .defined((point) => point !== null)
    .x((point) => round(x(point!.place)))
    .y((point) => round(y(point!.value)))
    .curve(curveFor(points));
  const last = points.at(-1);
  const growing = last && model.partial.has(last.place) && points.length > 1;
  const firm = path(growing ? points.slice(0, -1) : points);
  const made: SVGElement[] = firm ? [svg("path", { class: `stroke ${one.colour}`, d: firm })] : [];
  const dashed = growing && points.at(-2) ? path(points.slice(-2)) : null;
  if (dashed) {
    made.push(svg("path", { class: `stroke dashed ${one.colour}`, d: dashed }));
  }
  made.push(...bridges(one, points, (point) => [round(x(point.place)), round(y(point.value))]));
  points.forEach((point, index) => {
    if (point && !points[index - 1] && (!points[index + 1] || points.length === 1)) {
      made.push(dot(`dot ${one.colour}`, x(point.place), y(point.value), 2.5));
    }
  });

  return made;
}

/** Returns faint lines over the holes: nothing was measured there, but the eye may follow. */
function bridges(one: Series, points: (Point | null)[], at: (point: Point) => [number, number]): SVGElement[] {
  const made: SVGElement[] = [];
  let last = -1;
  points.forEach((point, index) => {
    const from = points[last];
    if (point && from && last < index - 1) {
      const [[x1, y1], [x2, y2]] = [at(from), at(point)];
      made.push(svg("line", { class: `bridge ${one.colour}`, x1, y1, x2, y2 }));
    }
    last = point ? index : last;
  });

  return made;
}

function shade({ model, x, y }: Layout, one: Series, points: (Point | null)[]): SVGElement[] {
  const shape = area<Point | null>()
    .defined((point) => point !== null)
    .x((point) => round(x(point!.place)))
    .y0((point) => round(y(point!.low)))
    .y1((point) => round(y(point!.value)))
    .curve(curveFor(points))(points);
  if (!shape || points.length < 2) {
    return [];
  }
  if (isStacked(model)) {
    return [svg("path", { class: `shade solid ${one.colour}`, d: shape })];
  }
  drawn += 1;
  const id = `metric-shade-${drawn}`;
  const gradient = svg("linearGradient", { id, class: `shade ${one.colour}`, x1: 0, x2: 0, y1: 0, y2: 1 });
  gradient.append(svg("stop", { class: "shade-from", offset: 0 }), svg("stop", { class: "shade-to", offset: 1 }));

  return [gradient, svg("path", { class: "shade", fill: `url(#${id})`, d: shape })];
}

/** Returns the line of the period before, which is shown beside a lone series. */
function before(layout: Layout): SVGElement[] {
  const { model, x, y, dense } = layout;
  const earlier = model.series.length === 1 ? model.series[0]!.before : null;
  if (!earlier) {
    return [];
  }
  const all = earlier.map((value, place) => (value === null ? null : { place, value, low: value }));
  const points = dense ? thinned(all, layout) : all;
  const path = line<Point | null>()
    .defined((point) => point !== null)
    .x((point) => round(x(point!.place)))
    .y((point) => round(y(point!.value)))
    .curve(curveFor(points))(points);

  return path ? [svg("path", { class: "stroke earlier", d: path })] : [];
}

function cursorAt({ model, stacked, left, pitch, x, y, box }: Layout, place: number): SVGElement[] {
  const tall = box.height - BOTTOM - TOP;
  if (isBar(model)) {
    return [svg("rect", { class: "band", x: round(left + place * pitch), y: TOP, width: round(pitch), height: tall })];
  }
  const dots = model.series.flatMap(({ colour, values }, index) => {
    const value = values[place] ?? null;
    return value === null ? [] : [dot(`dot ring ${colour}`, x(place), y(stacked[index]?.[place]?.[1] ?? value), 4.5)];
  });
  const at = round(x(place));

  return [svg("line", { class: "hair", x1: at, x2: at, y1: TOP, y2: TOP + tall }), ...dots];
}

function describe({ model, x }: Layout, place: number): Place {
  const rows = model.series.map(({ name, colour, values }) => {
    return { colour, name, value: written(model, values[place]) };
  });
  const [only] = model.series;
  if (model.series.length === 1 && only?.before) {
    rows.push({ colour: "earlier", name: BEFORE, value: written(model, only.before[place]) });
  }
  const total = model.series.reduce((sum, { values }) => sum + (values[place] ?? 0), 0);
  if (model.sums && model.series.length > 1) {
    rows.push({ colour: "total", name: "Total", value: written(model, total) });
  }
  const time = new Date(model.times[place]!).toISOString();
  const groups = model.series.length === 1 ? groupsOf(model, only!, place) : null;
  const value = model.series.length === 1 ? (only!.values[place] ?? null) : model.sums ? total : null;

  return { x: x(place), y: TOP, title: model.places[place]!, rows, detail: { time, group: groupOf(model), groups, value } };
}

/** Returns which group a lone series is, null where it is none and where there are several. */
function groupOf({ series }: Model): string | null {
  return series.length === 1 && series[0]!.before === null ? series[0]!.name || null : null;
}

function dot(name: string, cx: number, cy: number, r: number): SVGCircleElement {
  return svg("circle", { class: name, cx: round(cx), cy: round(cy), r });
}
