/**
 * Draws a number a cell: groups against intervals, or against other groups. Darker is more.
 */

import { svg, svgText } from "./dom";
import { fitted, type Box, type Drawing } from "./drawing";
import { groupsOf, written, type Model } from "./model";
import { round, timeTicks, within } from "./scale";

const BOTTOM = 24;
const STEPS = 7;
const WIDEST_NAME = 130;
const TICK_GAP = 56;

export function heatmap(model: Model, box: Box): Drawing {
  const rows = model.series;
  const columns = model.places.length;
  const widest = Math.max(...rows.map(({ name }) => box.measure(name)), 0);
  const left = Math.ceil(Math.min(widest, WIDEST_NAME, box.width * 0.34)) + 10;
  const [wide, tall] = [(box.width - left) / columns, (box.height - BOTTOM) / Math.max(1, rows.length)];
  const most = rows.reduce((high, { values }) => values.reduce<number>((top, value) => Math.max(top, value ?? 0), high), 0);
  const picture = svg("svg", { class: "picture", width: box.width, height: box.height, "aria-hidden": "true" });
  const [marks, labels, cursor] = [svg("g", { class: "marks" }), svg("g", { class: "grid" }), svg("g", { class: "cursor" })];
  const gap = Math.min(wide, tall) > 8 ? 2 : wide > 3 ? 1 : 0;
  const cell = (row: number, column: number) => ({
    x: round(left + column * wide),
    y: round(row * tall),
    width: round(Math.max(0.5, wide - gap)),
    height: round(Math.max(0.5, tall - gap)),
  });
  rows.forEach(({ name, values }, row) => {
    const y = (row + 0.5) * tall - gap / 2;
    const shown = fitted(name, left - 10, box.measure);
    labels.append(svgText(shown, { class: "tick", x: left - 8, y, dy: "0.32em", "text-anchor": "end" }));
    values.forEach((value, column) => {
      const step = value && most > 0 ? Math.max(1, Math.ceil((value / most) * STEPS)) : 0;
      marks.append(svg("rect", { class: `cell heat-${step}`, ...cell(row, column), rx: gap > 1 ? 3 : 0 }));
    });
  });
  labels.append(...columnLabels(model, box, left, wide));
  picture.append(marks, labels, cursor);

  return {
    picture,
    places: rows.length * columns,
    nearest(x, y) {
      if (x < left || y > box.height - BOTTOM || rows.length === 0) {
        return null;
      }
      const [row, column] = [Math.floor(y / tall), Math.floor((x - left) / wide)];
      return within(0, row, rows.length - 1) * columns + within(0, column, columns - 1);
    },
    next(from, key) {
      const last = rows.length * columns - 1;
      const steps: Record<string, number> = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns };
      if (key === "Escape") {
        return null;
      }
      if (key === "Home" || key === "End") {
        return key === "Home" ? 0 : last;
      }
      const step = steps[key];
      return step === undefined ? undefined : from === null ? 0 : within(0, from + step, last);
    },
    mark(place) {
      const at = place === null ? null : cell(Math.floor(place / columns), place % columns);
      cursor.replaceChildren(...(at ? [svg("rect", { class: "outline", ...at, rx: 3 })] : []));
    },
    describe(place) {
      const [row, column] = [Math.floor(place / columns), place % columns];
      const { name, values } = rows[row]!;
      const value = values[column] ?? null;
      const time = model.times[column];
      const groups = groupsOf(model, rows[row]!, column);
      return {
        x: left + (column + 0.5) * wide,
        y: row * tall,
        title: model.places[column]!,
        rows: [{ colour: "none", name: name || "Value", value: written(model, value) }],
        detail: { time: time === undefined ? null : new Date(time).toISOString(), group: name || null, groups, value },
      };
    },
  };
}

function columnLabels(model: Model, box: Box, left: number, wide: number): SVGTextElement[] {
  const timed = model.times.length > 0;
  const all = model.places.length;
  const [unit, chosen] = timed
    ? timeTicks(model.times, model.interval, model.zone, wide, TICK_GAP)
    : (["day", Array.from({ length: all }, (_, index) => index)] as const);
  const made: SVGTextElement[] = [];
  let free = 0;
  for (const place of chosen) {
    const full = timed ? model.moments.tick(model.times[place]!, unit) : model.places[place]!;
    const label = timed ? full : fitted(full, Math.max(wide - 4, 24), box.measure);
    const half = box.measure(label) / 2;
    const at = within(half, left + (place + 0.5) * wide, box.width - half);
    if (at - half >= free) {
      made.push(svgText(label, { class: "tick", x: round(at), y: box.height - 6, "text-anchor": "middle" }));
      free = at + half + 6;
    }
  }

  return made;
}
