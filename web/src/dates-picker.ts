/**
 * Lets the reader choose two dates: days of the dashboard's zone, within the longest of its ranges.
 *
 * The fields are the browser's own: it writes dates as the reader does, and knows keyboard, touch and screen reader.
 */

import { html, write } from "./dom";
import { timeFormat, type Locale } from "./format";
import { daysOf, readRange } from "./question";
import { ownZone, Zone } from "./zone";

const DAY = 86_400_000;

export class DatesPicker {
  readonly element = html("details", "dates");
  #summary = html("summary");
  #from = dateField();
  #to = dateField();
  #problem = html("p", "dates-problem");
  #zone = new Zone(ownZone());
  #locale: Locale = undefined;
  #picked: (range: string) => void;

  /** `picked` hears of the range that was chosen, as attributes write it. */
  constructor(picked: (range: string) => void) {
    this.#picked = picked;
    this.#problem.setAttribute("role", "alert");
    const fields = [field("From", this.#from), field("To", this.#to)];
    const form = html("form", "", ...fields, this.#problem, html("button", "apply", "Show"));
    form.noValidate = true;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#choose();
    });
    this.element.hidden = true;
    this.element.append(this.#summary, form);
    this.element.addEventListener("keydown", ({ key }) => key === "Escape" && this.#close());
    this.element.addEventListener("focusout", ({ relatedTarget }) => {
      if (relatedTarget && !this.element.contains(relatedTarget as Node)) {
        this.element.open = false;
      }
    });
  }

  /** Offers the days that lie wholly within the longest of some ranges. */
  offer(ranges: string[], zone: Zone, locale: Locale): void {
    [this.#zone, this.#locale] = [zone, locale];
    const longest = Math.max(...ranges.map((range) => daysOf(readRange(range))));
    const now = Date.now();
    const [first, today] = [this.#text(now - longest * DAY + DAY), this.#text(now)];
    for (const one of [this.#from, this.#to]) {
      Object.assign(one, { min: first, max: today });
    }
    this.#from.value ||= first;
    this.#to.value ||= today;
    this.element.hidden = ranges.length < 2;
  }

  /** Shows which range is in force. */
  show(range: string): void {
    const read = readRange(range);
    const chosen = "from" in read;
    this.element.classList.toggle("chosen", chosen);
    const format = timeFormat(this.#locale, this.#zone);
    const words = chosen ? format.interval(Date.parse(read.from), Date.parse(read.to), "week") : "Dates";
    write(this.#summary, words);
    this.#summary.setAttribute("aria-label", chosen ? `Dates: ${words}` : "Choose dates");
  }

  #choose(): void {
    const [from, to] = [this.#from, this.#to];
    const wrong = [from, to].find((one) => !one.value || one.value < one.min || one.value > one.max);
    const { day } = timeFormat(this.#locale, this.#zone);
    if (wrong) {
      const [first, last] = [day(this.#zone.day(from.min)), day(this.#zone.day(from.max))];
      write(this.#problem, `Choose days between ${first} and ${last}.`);
      wrong.focus();
      return;
    }
    const [start, end] = from.value <= to.value ? [from.value, to.value] : [to.value, from.value];
    write(this.#problem, "");
    this.#close();
    const moments = [this.#zone.day(start), this.#zone.day(end, 1)].map((time) => new Date(time).toISOString());
    this.#picked(moments.join("/"));
  }

  #close(): void {
    this.element.open = false;
    this.#summary.focus();
  }

  /** Writes the day of a moment as date fields do. */
  #text(time: number): string {
    return this.#zone.local(time).toISOString().slice(0, 10);
  }
}

function dateField(): HTMLInputElement {
  const made = html("input");
  made.type = "date";
  made.required = true;

  return made;
}

function field(name: string, input: HTMLInputElement): HTMLLabelElement {
  return html("label", "", html("span", "", name), input);
}
