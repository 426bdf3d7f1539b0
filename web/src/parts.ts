/**
 * Draws parts of a whole, one number a group: a ring, or bars from the largest to the smallest.
 */

import { arc, pie } from "d3-shape";
import { svg, svgText } from "./dom";
import { along, fitted, type Box, type Drawing, type Place } from "./drawing";
import { numberFormat } from "./intl";
import { groupsOf, written, type Model } from "./model";
import { round } from "./scale";
import { OTHER, type Series } from "./series";

const ROW = 34;
const BAR = 8;

export function donut(model: Model, box: Box): Drawing {
  const parts = model.series.filter(({ values }) => (values[0] ?? 0) > 0);
  const whole = parts.reduce((sum, { values }) => sum + values[0]!, 0);
  const radius = Math.min(box.width, box.height) / 2 - 4;
  const [cx, cy] = [box.width / 2, box.height / 2];
  const slices = pie<number>().sort(null)(parts.map(({ values }) => values[0]!));
  const ring = arc<(typeof slices)[number]>().innerRadius(radius * 0.66).cornerRadius(2).padAngle(parts.length > 1 ? 0.012 : 0);
  const picture = svg("svg", { class: "picture", width: box.width, height: box.height, "aria-hidden": "true" });
  const marks = svg("g", { class: "marks", transform: `translate(${round(cx)} ${round(cy)})` });
  const paths = slices.map((slice, index) =>
    svg("path", { class: `bar ${parts[index]!.colour}`, d: ring.outerRadius(radius)(slice) ?? "" }),
  );
  marks.append(...paths);
  const size = Math.min(30, radius * 0.36);
  const total = svgText(model.sums ? model.values.short(whole) : "", { class: "centre", "text-anchor": "middle", dy: "0.35em" });
  total.setAttribute("font-size", String(round(size)));
  marks.append(total);
  picture.append(marks);

  return {
    picture,
    places: parts.length,
    nearest(x, y) {
      const [dx, dy] = [x - cx, y - cy];
      const away = Math.hypot(dx, dy);
      if (away > radius + 8 || away < radius * 0.4) {
        return null;
      }
      const angle = (Math.atan2(dx, -dy) + 2 * Math.PI) % (2 * Math.PI);
      const found = slices.findIndex(({ startAngle, endAngle }) => angle >= startAngle && angle < endAngle);
      return found < 0 ? null : found;
    },
    next: along(parts.length),
    mark(place) {
      paths.forEach((path, index) => {
        path.classList.toggle("dimmed", place !== null && index !== place);
      });
    },
    describe(place) {
      const one = parts[place]!;
      const slice = slices[place]!;
      const [x, y] = ring.outerRadius(radius).centroid(slice);
      return { x: cx + x, y: cy + y, ...part(model, one, whole, one.colour) };
    },
  };
}

/** Draws one bar a row, with its name above it: names may be long. Bars below zero go to the left of where it is. */
export function ranked(model: Model, box: Box): Drawing {
  const fitting = Math.max(1, Math.floor((box.height + 6) / ROW));
  const rows = model.series.slice(0, fitting);
  const whole = model.series.reduce((sum, { values }) => sum + Math.max(0, values[0] ?? 0), 0);
  const all = model.series.map(({ values }) => values[0] ?? 0);
  const [least, most] = [Math.min(...all, 0), Math.max(...all, 0)];
  const unit = most > least ? box.width / (most - least) : 0;
  const zero = -least * unit;
  const picture = svg("svg", { class: "picture", width: box.width, height: box.height, "aria-hidden": "true" });
  const cursor = svg("g", { class: "cursor" });
  const marks = svg("g", { class: "marks" });
  const one = new Set(model.series.map(({ colour }) => colour.startsWith("series"))).has(true);
  const colourOf = ({ name, colour, values }: Series) =>
    !one || name === OTHER ? colour : (values[0] ?? 0) < 0 ? "series-1" : "series-0";
  rows.forEach((row, index) => {
    const { name, values } = row;
    const top = index * ROW;
    const value = values[0] ?? 0;
    const label = written(model, values[0]);
    const room = box.width - box.measure(label) * 1.15 - 20;
    const wide = Math.max(Math.abs(value) * unit, BAR);
    const x = round(Math.max(0, Math.min(value < 0 ? zero - wide : zero, box.width - wide)));
    marks.append(
      svgText(fitted(name, room / 1.1, box.measure), { class: "row-name", x: 0, y: top + 13 }),
      svgText(label, { class: "row-value", x: box.width, y: top + 13, "text-anchor": "end" }),
      svg("rect", { class: "track", x: 0, y: top + 19, width: box.width, height: BAR, rx: BAR / 2 }),
      svg("rect", { class: `bar ${colourOf(row)}`, x, y: top + 19, width: round(wide), height: BAR, rx: BAR / 2 }),
    );
  });
  if (least < 0) {
    const at = round(zero);
    marks.append(svg("line", { class: "base", x1: at, x2: at, y1: 14, y2: rows.length * ROW }));
  }
  picture.append(cursor, marks);

  return {
    picture,
    places: rows.length,
    nearest(_, y) {
      const place = Math.floor(y / ROW);
      return place >= 0 && place < rows.length ? place : null;
    },
    next: along(rows.length),
    mark(place) {
      const at = (place ?? 0) * ROW - 3;
      const band = { class: "band", x: -6, y: at, width: box.width + 12, height: ROW, rx: 6 };
      cursor.replaceChildren(...(place === null ? [] : [svg("rect", band)]));
    },
    describe(place) {
      const row = rows[place]!;
      return { x: box.width / 2, y: place * ROW + ROW, ...part(model, row, whole, colourOf(row)) };
    },
  };
}

function part(model: Model, one: Series, whole: number, colour: string): Omit<Place, "x" | "y"> {
  const value = one.values[0] ?? 0;
  const rows = [{ colour, name: "", value: written(model, value) }];
  if (model.sums && whole > 0) {
    const share = numberFormat(undefined, { style: "percent", maximumFractionDigits: 1 }).format(value / whole);
    rows.push({ colour: "none", name: "Share", value: share });
  }

  const detail = { time: null, group: one.name || null, groups: groupsOf(model, one, 0), value };

  return { title: one.name || "All", rows, detail };
}
