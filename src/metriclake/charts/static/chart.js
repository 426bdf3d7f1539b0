/**
 * Draws one line or bar chart as SVG, and lets pointer and keyboard walk its points.
 *
 * All looks are in the style sheet; this file only says where things are. A drawing is replaced whole, and only where
 * its model or its width has changed.
 */

import { adjacent, curve, intervalEnd, linear, round, timeTicks, valueAxis } from "./scale.js";

const SVG = "http://www.w3.org/2000/svg";
const TOP = 10;
const BOTTOM = 26;
const WIDEST_BAR = 34;
const TICK_GAP = 50;
/** Room assumed beside every chart, so that cards of one width agree on their times whatever their values. */
const WIDE_LABELS = 60;

let drawn = 0;

/**
 * A chart in an element of the page.
 *
 * Its model: `{kind: "line" | "bar", interval, span: [from, to], times, cut, growing, series: [{name, colour, values}],
 * whole, sum, label, values, moments}`; `cut` is the interval that the range begins within, `growing` the one that is
 * not over yet, `values` and `moments` write numbers and times.
 */
export class Chart {
  #model = null;
  #drawn = "";
  #layout = null;
  #at = null;
  #onStep;

  constructor(plot, onStep) {
    this.plot = plot;
    this.drawing = plot.querySelector(".drawing");
    this.tip = plot.querySelector(".tip");
    this.#onStep = onStep;
    this.#listen();
    new ResizeObserver(() => this.#redraw()).observe(this.drawing);
  }

  /** Shows a model; null empties the chart. */
  show(model) {
    this.#model = model;
    this.#redraw();
  }

  #redraw() {
    const [model, width, height] = [this.#model, this.drawing.clientWidth, this.drawing.clientHeight];
    if (!model || width === 0) {
      this.#clear();
      return;
    }
    const key = JSON.stringify([width, height, facts(model)]);
    if (key === this.#drawn) {
      return;
    }

    const time = this.#at === null ? null : this.#layout?.model.times[this.#at];
    const fresh = this.#layout === null;
    this.#drawn = key;
    this.#layout = layoutOf(model, width, height, (text) => textWidth(text, this.drawing));
    this.drawing.replaceChildren(picture(this.#layout, fresh));
    const again = model.times.indexOf(time);
    this.#point(again < 0 ? null : again);
  }

  #clear() {
    this.#drawn = "";
    this.#layout = null;
    this.drawing.replaceChildren();
    this.#point(null);
  }

  #listen() {
    const plot = this.plot;
    const follow = (event) => this.#point(this.#nearest(event.clientX));
    plot.addEventListener("pointermove", follow);
    plot.addEventListener("pointerdown", follow);
    // A finger leaves as soon as it is lifted; what it has pointed at stays until it taps elsewhere, which blurs.
    plot.addEventListener("pointerleave", ({ pointerType }) => pointerType === "touch" || this.#point(null));
    plot.addEventListener("blur", () => this.#point(null));
    plot.addEventListener("keydown", (event) => this.#key(event));
  }

  #nearest(clientX) {
    if (!this.#layout) {
      return null;
    }
    const x = clientX - this.drawing.getBoundingClientRect().left;
    const distances = this.#layout.centres.map((centre) => Math.abs(centre - x));
    const index = distances.indexOf(Math.min(...distances));

    return index < 0 ? null : index;
  }

  #key(event) {
    const last = (this.#layout?.centres.length ?? 0) - 1;
    const now = this.#at ?? (event.key === "ArrowRight" ? -1 : last + 1);
    const target = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: last, Escape: null }[event.key];
    if (target === undefined || last < 0) {
      return;
    }

    event.preventDefault();
    this.#point(target === null ? null : Math.min(last, Math.max(0, target)));
    if (this.#at !== null) {
      this.#onStep(spoken(this.#layout.model, this.#at));
    }
  }

  #point(index) {
    this.#at = index;
    this.tip.hidden = index === null;
    const cursor = this.drawing.querySelector(".cursor");
    cursor?.replaceChildren(...(index === null ? [] : cursorAt(this.#layout, index)));
    if (index !== null) {
      this.tip.replaceChildren(...tipRows(this.#layout.model, index));
      place(this.tip, this.#layout, index);
    }
  }
}

/** Returns what of a model is data: two models with the same facts look the same. */
export function facts({ values: _, moments: __, ...plain }) {
  return plain;
}

/** Computes where everything lies; pure but for `measure`, the width of a text. */
function layoutOf(model, width, height, measure) {
  const bars = model.kind === "bar";
  const tops = bars ? stackTops(model) : model.series.flatMap(({ values }) => values.filter((value) => value !== null));
  const axis = valueAxis(tops, { zero: bars, whole: model.whole, second: model.values.second });
  const labels = axis.ticks.map((tick) => model.values.tick(tick, axis.step));
  const left = Math.ceil(Math.max(...labels.map(measure))) + 10;
  const right = width - (bars ? 0 : 8);
  const x = linear(model.span, [left, right]);
  const ends = model.times.map((time) => intervalEnd(time, model.interval));

  return {
    model, width, height, axis, labels, left, right, x, ends, measure,
    y: linear(axis.domain, [height - BOTTOM, TOP]),
    centres: model.times.map((time, index) => (x(time) + x(ends[index])) / 2),
    unfinished: model.times.map((time) => time === model.cut || time === model.growing),
  };
}

function stackTops(model) {
  const top = (index) => model.series.reduce((sum, { values }) => sum + Math.max(0, values[index] ?? 0), 0);

  return model.times.map((_, index) => top(index));
}

function picture(layout, fresh) {
  const { model, width, height } = layout;
  const box = { width, height, viewBox: `0 0 ${width} ${height}` };
  const svg = element("svg", { class: "picture", ...box, role: "img", "aria-label": model.label });
  const marks = model.kind === "bar" ? barMarks(layout) : lineMarks(layout);
  marks.classList.toggle("fresh-marks", fresh);
  // A bar's cursor is a band behind it, a line's a hair and dots before it.
  const cursor = element("g", { class: "cursor" });
  svg.append(grid(layout), ...(model.kind === "bar" ? [cursor, marks] : [marks, cursor]), timeLabels(layout));

  return svg;
}

function grid({ axis, labels, left, right, y }) {
  const group = element("g", { class: "grid", "aria-hidden": "true" });
  axis.ticks.forEach((tick, index) => {
    const at = Math.round(y(tick)) + 0.5;
    group.append(element("line", { class: tick === 0 ? "base" : "rule", x1: left, x2: right, y1: at, y2: at }));
    group.append(text(labels[index], { class: "tick", x: left - 8, y: at, dy: "0.32em", "text-anchor": "end" }));
  });

  return group;
}

function timeLabels({ model, x, width, height, measure }) {
  const group = element("g", { class: "grid", "aria-hidden": "true" });
  const { step, times } = timeTicks(model.span, width - WIDE_LABELS, model.interval, TICK_GAP);
  let free = 0;
  for (const time of times) {
    const label = model.moments.tick(time, step);
    const half = measure(label) / 2;
    const centre = (x(time) + x(intervalEnd(time, model.interval))) / 2;
    const at = Math.min(Math.max(centre, half), width - half);
    if (at - half >= free && Math.abs(at - centre) < half) {
      group.append(text(label, { class: "tick", x: round(at), y: height - 6, "text-anchor": "middle" }));
      free = at + half + 10;
    }
  }

  return group;
}

function barMarks(layout) {
  const { model, x, ends, centres, unfinished } = layout;
  const group = element("g", { class: "marks" });
  model.times.forEach((time, index) => {
    const pitch = x(ends[index]) - x(time);
    const wide = Math.max(1, Math.min(WIDEST_BAR, pitch - Math.max(1, Math.min(8, pitch * 0.24))));
    const start = centres[index] - wide / 2;
    const stack = stackAt(layout, index).map(({ colour, top, bottom, crown }) => {
      const radius = crown ? Math.min(4, wide / 3) : 0;

      return element("path", { class: colour, d: barPath(start, wide, top, bottom, radius) });
    });
    const holder = element("g", unfinished[index] ? { class: "unfinished" } : {});
    holder.append(...stack);
    group.append(holder);
  });

  return group;
}

/** Returns a bar's parts from the base up; a hairline between two parts keeps them apart without relying on colour. */
function stackAt({ model, y }, index) {
  const parts = [];
  let sum = 0;
  for (const { colour, values } of model.series) {
    const value = Math.max(0, values[index] ?? 0);
    if (value > 0) {
      parts.push({ colour, bottom: y(sum), top: y(sum + value), crown: false });
      sum += value;
    }
  }
  parts.forEach((part, place) => {
    part.crown = place === parts.length - 1;
    part.bottom -= place > 0 && part.bottom - part.top > 2 ? 1 : 0;
  });

  return parts;
}

function barPath(left, width, top, bottom, radius) {
  const [a, b, c, d] = [left, left + width, top, bottom].map(round);
  const r = round(Math.min(radius, bottom - top));

  const [shoulder, near, far] = [round(c + r), round(a + r), round(b - r)];

  return `M${a} ${d}V${shoulder}Q${a} ${c} ${near} ${c}H${far}Q${b} ${c} ${b} ${shoulder}V${d}Z`;
}

function lineMarks(layout) {
  const group = element("g", { class: "marks" });
  const alone = layout.model.series.length === 1 && layout.axis.domain[0] === 0;
  for (const series of layout.model.series) {
    const runs = runsOf(layout, series);
    const shades = alone && runs.length === 1 ? shade(layout, series, runs[0]) : [];
    group.append(...shades, ...bridges(series, runs), ...runs.flatMap((run) => strokes(series, run)));
  }

  return group;
}

/** Returns a line's points as runs without a hole. */
function runsOf({ model, centres, unfinished, y }, { values }) {
  const runs = [];
  let before = null;
  values.forEach((value, index) => {
    if (value === null) {
      return;
    }
    if (before === null || !adjacent(model.times[before], model.times[index], model.interval)) {
      runs.push([]);
    }
    runs.at(-1).push({ point: [centres[index], y(value)], unfinished: unfinished[index] });
    before = index;
  });

  return runs;
}

/** Returns the faint lines over the holes: nothing was measured there, but the eye may follow. */
function bridges({ colour }, runs) {
  return runs.slice(1).map((run, index) => {
    const [[x1, y1], [x2, y2]] = [runs[index].at(-1).point, run[0].point];

    return element("line", { class: `bridge ${colour}`, x1: round(x1), y1: round(y1), x2: round(x2), y2: round(y2) });
  });
}

/** Returns a run's strokes: firm where the interval is over, dashed towards one that still grows. */
function strokes({ colour }, run) {
  const points = run.map(({ point }) => point);
  if (points.length === 1) {
    return [dot(colour, points[0], 2.5)];
  }
  const pieces = curve(points);
  const firm = pieces.filter((_, index) => !run[index + 1].unfinished);
  const marks = [];
  if (firm.length > 0) {
    marks.push(element("path", { class: `stroke ${colour}`, d: `M${points[0].map(round).join(" ")}${firm.join("")}` }));
  }
  if (firm.length < pieces.length) {
    const start = points[firm.length].map(round).join(" ");
    const rest = pieces.slice(firm.length).join("");
    marks.push(element("path", { class: `stroke dashed ${colour}`, d: `M${start}${rest}` }));
  }

  return marks;
}

/** Returns the shade below a lone line without a hole, and the gradient that fills it. */
function shade({ y, axis }, { colour }, run) {
  if (run.length < 2) {
    return [];
  }
  drawn += 1;
  const id = `shade-${drawn}`;
  const gradient = element("linearGradient", { id, class: colour, x1: 0, x2: 0, y1: 0, y2: 1 });
  gradient.append(element("stop", { class: "shade-from", offset: 0 }), element("stop", { class: "shade-to", offset: 1 }));
  const points = run.map(({ point }) => point);
  const base = round(y(axis.domain[0]));
  const outline = `M${points[0].map(round).join(" ")}${curve(points).join("")}V${base}H${round(points[0][0])}Z`;

  return [gradient, element("path", { class: "shade", fill: `url(#${id})`, d: outline })];
}

function cursorAt({ model, centres, ends, x, y, height }, index) {
  if (model.kind === "bar") {
    const left = x(model.times[index]);

    const size = { width: round(x(ends[index]) - left), height: height - BOTTOM - TOP };

    return [element("rect", { class: "band", x: round(left), y: TOP, ...size })];
  }
  const at = round(centres[index]);
  const dots = model.series
    .filter(({ values }) => values[index] !== null)
    .map(({ colour, values }) => dot(`${colour} ring`, [at, y(values[index])], 4.5));

  return [element("line", { class: "hair", x1: at, x2: at, y1: TOP, y2: height - BOTTOM }), ...dots];
}

function tipRows(model, index) {
  const title = html("p", "tip-title", bucketName(model, index));
  const rows = model.series.map(({ name, colour, values }) => tipRow(colour, name, written(model, values[index])));
  if (model.sum && model.series.length > 1) {
    const total = model.series.reduce((sum, { values }) => sum + (values[index] ?? 0), 0);
    rows.push(tipRow("total", "Total", written(model, total)));
  }

  return [title, ...rows];
}

function tipRow(colour, name, value) {
  const row = html("p", "tip-row");
  row.append(html("span", `swatch ${colour}`), html("span", "tip-name", name), html("span", "tip-value", value));

  return row;
}

function place(tip, { width, centres, left }, index) {
  const [wide, gap] = [tip.offsetWidth, 14];
  const fitsRight = centres[index] + gap + wide <= width;
  const at = fitsRight ? centres[index] + gap : centres[index] - gap - wide;
  const furthest = width - wide;
  tip.style.transform = `translate(${Math.round(Math.max(Math.min(left, furthest), Math.min(at, furthest)))}px, 0)`;
}

function spoken(model, index) {
  const many = model.series.length > 1;
  const values = model.series.map(({ name, values: all }) => (many ? `${name} ` : "") + written(model, all[index]));

  return `${bucketName(model, index)}: ${values.join(", ")}`;
}

function bucketName(model, index) {
  const time = model.times[index];
  const end = intervalEnd(time, model.interval);
  const name = model.moments.bucket(time, end, model.interval);

  return time === model.growing ? `${name}, so far` : name;
}

function written(model, value) {
  return value === null || value === undefined ? "–" : model.values.full(value);
}

/** Returns the rows of the table that stands behind a chart for those who do not see it: header first. */
export function tableRows(model) {
  const head = ["Time", ...model.series.map(({ name }) => name)];
  const cells = (index) => model.series.map(({ values }) => written(model, values[index]));

  return [head, ...model.times.map((_, index) => [bucketName(model, index), ...cells(index)])];
}

function textWidth(content, host) {
  textWidth.pen ??= document.createElement("canvas").getContext("2d");
  const { fontFamily } = getComputedStyle(host);
  textWidth.pen.font = `11px ${fontFamily}`;

  return textWidth.pen.measureText(content).width * 1.04;
}

function dot(colour, [x, y], radius) {
  return element("circle", { class: `dot ${colour}`, cx: round(x), cy: round(y), r: radius });
}

function text(content, attributes) {
  const node = element("text", attributes);
  node.textContent = content;

  return node;
}

function element(name, attributes) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) {
    node.setAttribute(key, value);
  }

  return node;
}

function html(name, className, content = "") {
  const node = document.createElement(name);
  node.className = className;
  node.textContent = content;

  return node;
}
