/**
 * Saves a chart as a file: SVG and PNG as it looks, CSV as it was answered.
 *
 * Nothing is loaded or fetched for it, so that no page's policy stands in its way: pictures are drawn again, shape by
 * shape, from what the browser has computed.
 */

import { svg, svgText } from "./dom";
import type { Answer } from "./wire";

const LOOKS = [
  "fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray", "stroke-linecap", "stroke-linejoin",
  "stroke-opacity", "opacity", "font-family", "font-size", "font-weight", "stop-color", "stop-opacity",
] as const;
const MARGIN = 20;
const HEAD = 34;
const LEGEND = 24;
const SHARPNESS = 2;

export interface Sheet {
  title: string;
  picture: SVGSVGElement;
  legend: { colour: string; name: string }[];
  /** Where computed styles are read for the title, the legend and the ground. */
  host: HTMLElement;
}

/** Returns the chart as SVG that needs no style sheet. */
export function asSvg({ title, picture, legend, host }: Sheet): SVGSVGElement {
  const [width, height] = [Number(picture.getAttribute("width")), Number(picture.getAttribute("height"))];
  const style = getComputedStyle(host);
  const font = { "font-family": style.fontFamily };
  const below = legend.length > 0 ? LEGEND : 0;
  const [wide, tall] = [width + 2 * MARGIN, height + HEAD + below + 2 * MARGIN];
  const sheet = svg("svg", { xmlns: "http://www.w3.org/2000/svg", width: wide, height: tall, viewBox: `0 0 ${wide} ${tall}` });
  const body = styled(picture);
  body.setAttribute("x", String(MARGIN));
  body.setAttribute("y", String(MARGIN + HEAD));
  sheet.append(
    svg("rect", { width: wide, height: tall, fill: style.backgroundColor }),
    svgText(title, { x: MARGIN, y: MARGIN + 16, "font-size": "15px", "font-weight": "600", fill: style.color, ...font }),
    body,
  );
  let x = MARGIN;
  for (const { colour, name } of legend) {
    const y = MARGIN + HEAD + height + 16;
    sheet.append(svg("rect", { x, y: y - 9, width: 10, height: 10, rx: 3, fill: colour }));
    sheet.append(svgText(name, { x: x + 16, y, "font-size": "12px", fill: style.color, ...font }));
    x += 30 + name.length * 6.6;
  }

  return sheet;
}

/** Returns a copy whose looks stand in its attributes. */
function styled(picture: SVGSVGElement): SVGSVGElement {
  const copy = picture.cloneNode(true) as SVGSVGElement;
  const [from, to] = [picture.querySelectorAll("*"), copy.querySelectorAll("*")];
  from.forEach((element, index) => {
    const computed = getComputedStyle(element);
    const target = to[index]!;
    for (const look of LOOKS) {
      const value = computed.getPropertyValue(look);
      if (value && !(look.endsWith("opacity") && value === "1") && !(look === "stroke-dasharray" && value === "none")) {
        target.setAttribute(look, value);
      }
    }
    target.removeAttribute("class");
  });
  copy.removeAttribute("class");

  return copy;
}

/** Returns the chart as a picture, twice as sharp as on the screen. */
export async function asPng(sheet: Sheet): Promise<Blob> {
  const drawn = asSvg(sheet);
  const canvas = document.createElement("canvas");
  canvas.width = Number(drawn.getAttribute("width")) * SHARPNESS;
  canvas.height = Number(drawn.getAttribute("height")) * SHARPNESS;
  const pen = canvas.getContext("2d")!;
  pen.scale(SHARPNESS, SHARPNESS);
  paint(pen, drawn, drawn);

  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("the picture could not be made"))), "image/png");
  });
}

function paint(pen: CanvasRenderingContext2D, element: Element, root: Element): void {
  const number = (name: string) => Number(element.getAttribute(name) ?? 0);
  pen.save();
  pen.globalAlpha *= Number(element.getAttribute("opacity") ?? 1);
  if (element.tagName === "svg" && element !== root) {
    pen.translate(number("x"), number("y"));
  }
  const moved = /translate\(([-\d.]+)[ ,]+([-\d.]+)\)/.exec(element.getAttribute("transform") ?? "");
  if (moved) {
    pen.translate(Number(moved[1]), Number(moved[2]));
  }
  const shape = shapeOf(element, number);
  if (shape) {
    fill(pen, shape, element, root);
    stroke(pen, shape, element);
  }
  if (element.tagName === "text") {
    write(pen, element, number);
  }
  for (const child of element.children) {
    paint(pen, child, root);
  }
  pen.restore();
}

function shapeOf(element: Element, number: (name: string) => number): Path2D | null {
  const path = new Path2D();
  switch (element.tagName) {
    case "path":
      return new Path2D(element.getAttribute("d") ?? "");
    case "line":
      path.moveTo(number("x1"), number("y1"));
      path.lineTo(number("x2"), number("y2"));
      return path;
    case "circle":
      path.arc(number("cx"), number("cy"), number("r"), 0, 2 * Math.PI);
      return path;
    case "rect":
      path.roundRect(number("x"), number("y"), number("width"), number("height"), number("rx"));
      return path;
    default:
      return null;
  }
}

function fill(pen: CanvasRenderingContext2D, shape: Path2D, element: Element, root: Element): void {
  const value = element.getAttribute("fill") ?? "none";
  if (value === "none" || element.tagName === "line") {
    return;
  }
  const id = /url\("?#([^")]+)"?\)/.exec(value)?.[1];
  pen.save();
  pen.globalAlpha *= Number(element.getAttribute("fill-opacity") ?? 1);
  pen.fillStyle = id ? shade(pen, root, id) : value;
  pen.fill(shape);
  pen.restore();
}

/** Returns a gradient from the top of the plot to its bottom, as the shades below lines are. */
function shade(pen: CanvasRenderingContext2D, root: Element, id: string): CanvasGradient {
  const height = Number(root.querySelector("svg")?.getAttribute("height") ?? 200);
  const gradient = pen.createLinearGradient(0, 0, 0, height);
  for (const stop of root.querySelectorAll(`[id="${id}"] stop`)) {
    const [colour, opacity] = [stop.getAttribute("stop-color") ?? "", Number(stop.getAttribute("stop-opacity") ?? 1)];
    const faint = colour.replace(/^rgb\((.*)\)$/, `rgba($1, ${opacity})`);
    gradient.addColorStop(Number(stop.getAttribute("offset") ?? 0), faint);
  }

  return gradient;
}

function stroke(pen: CanvasRenderingContext2D, shape: Path2D, element: Element): void {
  const value = element.getAttribute("stroke") ?? "none";
  if (value === "none") {
    return;
  }
  pen.save();
  pen.globalAlpha *= Number(element.getAttribute("stroke-opacity") ?? 1);
  pen.strokeStyle = value;
  pen.lineWidth = Number.parseFloat(element.getAttribute("stroke-width") ?? "1");
  pen.lineCap = (element.getAttribute("stroke-linecap") ?? "butt") as CanvasLineCap;
  pen.lineJoin = "round";
  pen.setLineDash((element.getAttribute("stroke-dasharray") ?? "").split(/[ ,]+/).filter(Boolean).map(Number.parseFloat));
  pen.stroke(shape);
  pen.restore();
}

function write(pen: CanvasRenderingContext2D, element: Element, number: (name: string) => number): void {
  const size = element.getAttribute("font-size") ?? "11px";
  const [weight, family] = [element.getAttribute("font-weight") ?? "400", element.getAttribute("font-family")];
  pen.font = `${weight} ${/px$/.test(size) ? size : `${size}px`} ${family ?? "sans-serif"}`;
  pen.fillStyle = element.getAttribute("fill") ?? "#000";
  pen.textAlign = ({ middle: "center", end: "right" }[element.getAttribute("text-anchor") ?? ""] ?? "left") as CanvasTextAlign;
  const drop = Number.parseFloat(element.getAttribute("dy") ?? "0") * Number.parseFloat(size);
  pen.fillText(element.textContent ?? "", number("x"), number("y") + drop);
}

/** Returns an answer as CSV, safe to open in a spreadsheet: text that would be a formula is made text. */
export function asCsv(answer: Answer): string {
  const cell = (value: unknown) => {
    const text = value === null || value === undefined ? "" : String(value);
    const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;

    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  const rows = [answer.columns.map(({ name }) => name), ...answer.rows];

  return rows.map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}

/** Hands a file to the reader. */
export function download(name: string, content: Blob): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
