/**
 * `<metric-value>`: one number, how it has changed against the period before, and its course.
 */

import { area, curveMonotoneX, line } from "d3-shape";
import { html, svg, write } from "./dom";
import { change, valueFormat, words, type ValueFormat } from "./format";
import { MetricElement } from "./metric-element";
import { meaning } from "./model";
import { rangeWords, valueQuestions } from "./question";
import { round } from "./scale";
import { numberOf, seriesOf } from "./series";
import type { Asks } from "./source";
import { valueSheet } from "./style";
import type { Answer, Question } from "./wire";

const SPARK = { width: 120, height: 40, inset: 3 };

interface Both {
  total: Answer;
  course: Answer;
}

export class MetricValue extends MetricElement {
  #title = html("h3", "title");
  #number = html("span", "number");
  #unit = html("span", "unit");
  #badge = html("span", "badge");
  #note = html("span", "note");
  #spark = html("div", "spark");

  constructor() {
    super("value waiting", valueSheet);
    this.#title.setAttribute("part", "title");
    this.#number.setAttribute("part", "value");
    this.#spark.setAttribute("aria-hidden", "true");
    const figure = html("p", "figure", this.#number, " ", this.#unit);
    this.body.append(this.#title, html("div", "row", figure, this.#spark), html("p", "change", this.#badge, " ", this.#note));
  }

  override attributeChangedCallback(name: string, before: string | null, now: string | null): void {
    super.attributeChangedCallback(name, before, now);
    this.#head();
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.#head();
  }

  protected async ask(source: Asks, question: Question): Promise<Both> {
    const { total, course } = valueQuestions(question);
    const [one, many] = await Promise.all([source.ask(total), source.ask(course)]);

    return { total: one, course: many };
  }

  protected show({ total, course }: Both, question: Question): void {
    const row = total.rows[0] ?? [];
    const at = (name: string) => numberOf(row[total.columns.findIndex((column) => column.name === name)]);
    const [now, before] = [at("value"), at("previous")];
    const unit = this.getAttribute("unit") ?? total.columns.find(({ name }) => name === "value")?.unit ?? null;
    const decimals = this.getAttribute("decimals");
    const values = valueFormat(unit, this.notation(), decimals === null ? null : Number(decimals));
    this.body.classList.remove("waiting");
    write(this.#number, now === null ? "–" : values.short(now));
    this.#number.title = now === null ? "" : values.full(now);
    write(this.#unit, now === null ? "" : values.label);
    this.#showChange(now, before, values, unit, question);
    this.#showCourse(course, question);
    const about = `${this.#title.textContent ?? ""}: ${meaning(question)}, ${rangeWords(question.range)}`;
    this.body.setAttribute("aria-label", about);
  }

  protected clear(): void {
    write(this.#number, "");
    write(this.#unit, "");
    write(this.#note, "");
    this.#badge.hidden = true;
    this.#spark.replaceChildren();
  }

  #head(): void {
    write(this.#title, this.getAttribute("heading") ?? words(this.question.metric));
  }

  #showChange(now: number | null, before: number | null, values: ValueFormat, unit: string | null, question: Question): void {
    const changed = change(now, before, unit, this.notation());
    const up = (now ?? 0) > (before ?? 0);
    const same = now === before;
    const good = this.getAttribute("good");
    this.#badge.hidden = !changed;
    this.#badge.className = `badge ${!good || same ? "" : (good === "up") === up ? "better" : "worse"}`;
    const arrow = html("span", "", same ? "=" : up ? "↑" : "↓");
    arrow.setAttribute("aria-hidden", "true");
    const spoken = html("span", "unseen", same ? "no change, " : up ? "up by " : "down by ");
    this.#badge.replaceChildren(arrow, spoken, ` ${changed}`);
    const period = rangeWords(question.range).replace(/^last/, "previous");
    this.#badge.title = before === null ? "" : `${period}: ${values.full(before)}`;
    write(this.#note, changed ? `vs ${period}` : rangeWords(question.range));
  }

  #showCourse(course: Answer, question: Question): void {
    const [only] = seriesOf(course, question, new Map()).series;
    // So small a picture has no room for holes: it goes from what is known to what is known next.
    const values = (only?.values ?? []).flatMap((value, index) => (value === null ? [] : [[index, value] as const]));
    const known = values.map(([, value]) => value);
    if (known.length < 2) {
      this.#spark.replaceChildren();
      return;
    }
    const last = only!.values.length - 1;
    const [low, high] = known.reduce(([a, b], value) => [Math.min(a, value), Math.max(b, value)], [Infinity, -Infinity]);
    const { width, height, inset } = SPARK;
    const x = (index: number) => round(inset + (index * (width - 2 * inset)) / last);
    const y = (value: number) => round(height - inset - ((value - low) * (height - 2 * inset)) / (high - low || 1));
    const stroke = line<readonly [number, number]>().x(([index]) => x(index)).y(([, value]) => y(value));
    const shade = area<readonly [number, number]>().x(([index]) => x(index)).y0(height).y1(([, value]) => y(value));
    const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none" });
    picture.append(
      svg("path", { class: "shade", d: shade.curve(curveMonotoneX)(values) ?? "" }),
      svg("path", { class: "stroke", d: stroke.curve(curveMonotoneX)(values) ?? "" }),
    );
    this.#spark.replaceChildren(picture);
  }
}
