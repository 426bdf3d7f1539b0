/**
 * Shows one drawing and lets pointer and keyboard walk its places.
 *
 * A drawing is replaced whole, and only where what it shows or its size has changed.
 */

import { cartesian } from "./cartesian";
import { html, write } from "./dom";
import type { Draw, Drawing, Place } from "./drawing";
import { heatmap } from "./heatmap";
import type { Model } from "./model";
import { donut, ranked } from "./parts";
import { within } from "./scale";

export class Plot {
  readonly element: HTMLDivElement;
  readonly spoken: HTMLParagraphElement;
  #canvas = html("div", "drawing");
  #tip = html("div", "tip");
  #model: Model | null = null;
  #drawing: Drawing | null = null;
  #at: number | null = null;
  #size = "";
  #font = "";
  #pointed: (place: Place) => void;

  /** `pointed` hears of the places that are clicked. */
  constructor(pointed: (place: Place) => void) {
    this.#pointed = pointed;
    this.element = html("div", "plot", this.#canvas, this.#tip);
    this.spoken = html("p", "unseen");
    this.spoken.setAttribute("aria-live", "polite");
    this.element.tabIndex = 0;
    this.element.setAttribute("role", "group");
    this.element.setAttribute("aria-roledescription", "chart");
    this.#tip.hidden = true;
    this.#tip.setAttribute("aria-hidden", "true");
    this.#listen();
    new ResizeObserver(() => this.#redraw(false)).observe(this.#canvas);
  }

  get picture(): SVGSVGElement | null {
    return this.#drawing?.picture ?? null;
  }

  /** Shows a model; null empties the plot. */
  show(model: Model | null): void {
    this.#model = model;
    if (model) {
      this.element.setAttribute("aria-label", `${model.label}. Arrow keys walk the points.`);
    }
    this.#redraw(true);
  }

  #redraw(changed: boolean): void {
    const [width, height] = [this.#canvas.clientWidth, this.#canvas.clientHeight];
    const size = `${width} ${height}`;
    if (!changed && size === this.#size) {
      return;
    }
    this.#size = size;
    this.#font = getComputedStyle(this.#canvas).fontFamily;
    const drawable = this.#model && width > 0 && height > 0;
    const fresh = this.#drawing === null;
    this.#drawing = drawable ? drawOf(this.#model!)(this.#model!, { width, height, measure: this.#measure }) : null;
    this.#drawing?.picture.classList.toggle("entering", fresh);
    this.#canvas.replaceChildren(...(this.#drawing ? [this.#drawing.picture] : []));
    const at = this.#at;
    this.#visit(at !== null && this.#drawing && at < this.#drawing.places ? at : null);
  }

  #measure = (text: string): number => {
    pen ??= document.createElement("canvas").getContext("2d")!;
    pen.font = `11px ${this.#font}`;

    return pen.measureText(text).width * 1.04;
  };

  #listen(): void {
    const plot = this.element;
    const follow = (event: PointerEvent) => this.#visit(this.#nearest(event));
    plot.addEventListener("pointermove", follow);
    plot.addEventListener("pointerdown", follow);
    // A finger leaves as soon as it is lifted; what it has pointed at stays until it taps elsewhere, which blurs.
    plot.addEventListener("pointerleave", ({ pointerType }) => pointerType === "touch" || this.#visit(null));
    plot.addEventListener("blur", () => this.#visit(null));
    plot.addEventListener("click", (event) => this.#click(this.#nearest(event)));
    plot.addEventListener("keydown", (event) => this.#key(event));
  }

  #nearest(event: MouseEvent): number | null {
    const { left, top } = this.#canvas.getBoundingClientRect();

    return this.#drawing?.nearest(event.clientX - left, event.clientY - top) ?? null;
  }

  #click(place: number | null): void {
    if (place !== null && this.#drawing) {
      this.#pointed(this.#drawing.describe(place));
    }
  }

  #key(event: KeyboardEvent): void {
    if (!this.#drawing || this.#drawing.places === 0) {
      return;
    }
    if (event.key === "Enter") {
      this.#click(this.#at);
      return;
    }
    const target = this.#drawing.next(this.#at, event.key);
    if (target === undefined) {
      return;
    }
    event.preventDefault();
    this.#visit(target);
    if (target !== null) {
      const { title, rows } = this.#drawing.describe(target);
      write(this.spoken, `${title}: ${rows.map(({ name, value }) => `${name} ${value}`.trim()).join(", ")}`);
    }
  }

  #visit(place: number | null): void {
    this.#at = place;
    this.#drawing?.mark(place);
    this.#tip.hidden = place === null;
    if (place !== null && this.#drawing) {
      const found = this.#drawing.describe(place);
      this.#tip.replaceChildren(...tipParts(found));
      this.#place(found);
    }
  }

  #place({ x, y }: Place): void {
    const room = this.#canvas.clientWidth;
    const [wide, tall, gap] = [this.#tip.offsetWidth, this.#tip.offsetHeight, 14];
    const left = x + gap + wide <= room ? x + gap : x - gap - wide;
    const top = within(0, y, Math.max(0, this.#canvas.clientHeight - tall));
    this.#tip.style.transform = `translate(${Math.round(within(0, left, Math.max(0, room - wide)))}px, ${Math.round(top)}px)`;
  }
}

let pen: CanvasRenderingContext2D | null = null;

function drawOf(model: Model): Draw {
  if (model.kind === "donut") {
    return donut;
  }
  if (model.kind === "heatmap") {
    return heatmap;
  }

  return model.times.length === 0 ? ranked : cartesian;
}

function tipParts({ title, rows }: Place): HTMLElement[] {
  const made = rows.map(({ colour, name, value }) =>
    html("p", `tip-row ${colour}`, html("span", `swatch ${colour}`), html("span", "tip-name", name), html("span", "tip-value", value)),
  );

  return [html("p", "tip-title", title), ...made];
}
