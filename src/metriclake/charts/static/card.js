/**
 * One metric's card: its headline, its selectors, its chart and its legend.
 */

import { Chart, facts, tableRows } from "./chart.js";
import { change, measureWords, valueFormat, words } from "./format.js";
import {
  AGGREGATES, additive, chartQuestion, choiceOf, firstChoice, numericMeasures, rangeBefore, rangeOf, splitDimensions,
  totalQuestion, usualAggregate,
} from "./question.js";
import { OTHER, colourSlots, numberOf, seriesOf, totalOf } from "./series.js";
import { intervalEnd, intervalStart } from "./scale.js";

const TRIES = 3;
const MANY = 8;
const BEFORE_MS = 300_000;

/** A card; `page` gives `{api, locale, timezone, moments, range}`, all of it as it stands now. */
export class Card {
  #page;
  #choice;
  #searching;
  #slots = new Map();
  #before = { key: "", at: 0, value: null };
  #current = null;
  #shown = "";

  constructor(template, metric, page) {
    this.#page = page;
    this.element = template.content.firstElementChild.cloneNode(true);
    this.element.dataset.metric = metric.name;
    this.metric = metric;
    this.visible = false;
    this.#choice = firstChoice(metric);
    // A sum is worth splitting unasked, by the first dimension that has few values.
    this.#searching = additive(this.#choice);
    this.chart = new Chart(this.#part(".plot"), (sentence) => this.#write(".spoken", sentence));
    this.#write(".card-title", words(metric.name));
    this.#part(".card-title").title = metric.name;
    this.#part(".plot").setAttribute("aria-label", `${words(metric.name)}. Left and right arrow keys walk the points.`);
    this.#fillPicks();
    this.#listen();
  }

  /** Takes the catalogue's newer word on the metric. */
  update(metric) {
    const known = (one) => JSON.stringify([one.dimensions, one.measures]);
    const changed = known(metric) !== known(this.metric);
    this.metric = metric;
    if (changed) {
      this.#fillPicks();
    }
  }

  /** Asks again and shows what came; resolves to the answer's `fresh_as_of`, rejects with a Problem. */
  async refresh({ restart = false } = {}) {
    if (restart) {
      this.#current?.abort();
      this.#current = null;
      this.#part(".plot").classList.add("waiting");
    }
    if (this.#current) {
      return null;
    }

    const turn = new AbortController();
    this.#current = turn;
    try {
      const shown = await this.#ask(turn.signal);
      if (!turn.signal.aborted) {
        this.#show(shown);
      }
      return shown.answer.meta?.fresh_as_of ?? null;
    } catch (problem) {
      return this.#fail(problem, turn.signal);
    } finally {
      if (this.#current === turn) {
        this.#current = null;
      }
    }
  }

  async #ask(signal) {
    const range = rangeOf(this.#page.range, this.metric, Date.now());
    const { answer, series } = await this.#askChart(range, signal);
    const choice = this.#choice;
    const [total, before] = await Promise.all([
      this.#askTotal(choice, answer.meta, series, signal),
      this.#askBefore(choice, range, answer.meta, signal),
    ]);

    return { range, choice, answer, series, total, before };
  }

  async #askChart(range, signal) {
    const tries = this.#searching ? splitDimensions(this.metric).slice(0, TRIES) : [];
    for (const split of tries) {
      const found = await this.#askSplit(split, range, signal).catch(passOver);
      const count = found?.series.series.length ?? 0;
      if (count > 1 && count < MANY) {
        this.#settle(split, found.answer, signal);
        return found;
      }
    }

    const found = await this.#askSplit(this.#choice.split, range, signal);
    this.#settle(this.#choice.split, found.answer, signal);
    return found;
  }

  async #askSplit(split, range, signal) {
    const { api, timezone } = this.#page;
    const choice = { ...this.#choice, split };
    const answer = await api.ask(chartQuestion(this.metric, choice, range, timezone), signal);

    return { answer, series: seriesOf(answer, choice) };
  }

  #settle(split, answer, signal) {
    if (this.#searching && !signal.aborted && answer.rows.length > 0) {
      this.#choice = { ...this.#choice, split };
      this.#searching = false;
      this.#part(".pick-split select").value = split ?? "";
    }
  }

  /** Averages have to be asked for as a whole: the mean of days' means is not the month's. */
  async #askTotal(choice, { from, to }, { series }, signal) {
    if (choice.aggregate !== "avg") {
      return totalOf(series.map(({ total }) => total).filter(Number.isFinite), choice.aggregate);
    }

    return this.#askOne(choice, { from, to }, signal);
  }

  async #askBefore(choice, range, meta, signal) {
    const earlier = meta && rangeBefore(meta, this.metric.first_time);
    const key = JSON.stringify([choice.measure?.name, choice.aggregate, range]);
    if (!earlier) {
      return null;
    }
    if (this.#before.key !== key || Date.now() - this.#before.at > BEFORE_MS) {
      // The comparison is a courtesy: without it the card is still whole.
      const value = await this.#askOne(choice, earlier, signal).catch(() => null);
      signal.throwIfAborted();
      this.#before = { key, at: Date.now(), value };
    }

    return this.#before.value;
  }

  async #askOne(choice, range, signal) {
    const { api, timezone } = this.#page;
    const { rows } = await api.ask(totalQuestion(this.metric, choice, range, timezone), signal);

    return numberOf(rows[0]?.at(-1));
  }

  #show({ range, choice, answer, series, total, before }) {
    const plot = this.#part(".plot");
    plot.classList.remove("loading", "waiting");
    const model = this.#model(range, choice, answer, series);
    // What did not change is not touched: no flicker, and a reader's selection stays.
    const shown = JSON.stringify([range, facts(model), total, before, series.left, this.metric.last_time]);
    if (shown === this.#shown) {
      return;
    }

    this.#shown = shown;
    const silent = series.series.length === 0 || Date.parse(this.metric.last_time ?? "") < Date.parse(answer.meta.from);
    this.#note(silent ? this.#silence(range) : "");
    this.#headline(model, range, choice, total, before);
    this.#legend(model, series, choice);
    this.#table(model);
    this.chart.show(series.series.length === 0 ? null : model);
  }

  #model(range, choice, answer, { times, series }) {
    const { locale, moments } = this.#page;
    const { interval } = range;
    const unit = choice.measure ? (answer.columns.at(-1).unit ?? choice.measure.unit) : null;
    this.#slots = colourSlots(series.map(({ key }) => key), this.#slots);
    const [from, to] = [Date.parse(answer.meta.from), Date.parse(answer.meta.to)];
    const last = times.at(-1) ?? -Infinity;

    return {
      kind: additive(choice) && series.every(({ values }) => values.every((value) => value >= 0)) ? "bar" : "line",
      interval,
      span: [
        Math.min(intervalStart(from, interval), times[0] ?? Infinity),
        intervalEnd(Math.max(intervalStart(to - 1, interval), last), interval),
      ],
      times,
      cut: times[0] < from ? times[0] : null,
      growing: intervalEnd(last, interval) > to ? last : null,
      series: series.map((one) => this.#drawable(one, choice)),
      whole: additive(choice) && series.every(({ values }) => values.every(Number.isInteger)),
      sum: additive(choice),
      unit,
      values: valueFormat(unit, locale),
      moments,
      label: `${words(this.metric.name)}, ${this.#meaning(choice)}, ${range.words}`,
    };
  }

  #drawable(one, choice) {
    return { name: this.#nameOf(one.key, choice), colour: this.#colourOf(one), values: one.values };
  }

  #nameOf(key, choice) {
    if (key === OTHER) {
      return "other";
    }

    return choice.split ? String(key) : this.#meaning(choice);
  }

  #colourOf({ key, step }) {
    if (step >= 0) {
      return `step-${Math.min(step, 4)}`;
    }

    return this.#slots.get(key) < 0 ? "other" : `series-${this.#slots.get(key)}`;
  }

  #meaning(choice) {
    return choice.measure ? `${AGGREGATES[choice.aggregate]} ${measureWords(choice.measure).toLowerCase()}` : "Events";
  }

  #silence(range) {
    const last = Date.parse(this.metric.last_time ?? "");

    const latest = Number.isNaN(last) ? "" : ` The latest is of ${this.#page.moments.day(last)}.`;

    return `Nothing in the ${range.words}.${latest}`;
  }

  #headline(model, range, choice, total, before) {
    const known = Number.isFinite(total) && total !== null && model.series.length > 0;
    this.#write(".headline-value", known ? model.values.short(total) : "–");
    this.#part(".headline-value").title = known ? model.values.full(total) : "";
    this.#write(".headline-unit", known ? model.values.label : "");
    const changed = known ? change(total, before, model.unit, this.#page.locale) : "";
    const badge = this.#part(".headline-change");
    badge.hidden = !changed;
    badge.textContent = changed && `${total > before ? "↑" : total < before ? "↓" : "="} ${changed}`;
    badge.title = changed && `${range.before}: ${model.values.full(before)}`;
    this.#write(".headline-note", changed && `vs ${range.before}`);
  }

  #legend(model, { series, left }, choice) {
    const legend = this.#part(".legend");
    const totals = series.map(({ total }) => (model.sum ? model.values.short(total) : ""));
    const items = choice.split ? model.series.map((one, index) => legendItem(one, totals[index])) : [];
    if (left > 0) {
      items.push(legendItem({ name: `${left} more not shown`, colour: "none" }, ""));
    }
    legend.hidden = items.length === 0;
    legend.replaceChildren(...items);
  }

  #table(model) {
    const table = document.createElement("table");
    table.createCaption().textContent = `${model.label} (${this.#page.timezone})`;
    const [head, ...rows] = tableRows(model);
    const top = table.createTHead().insertRow();
    top.append(...head.map((name) => headCell(name, "col")));
    const body = table.createTBody();
    for (const [name, ...cells] of rows) {
      const row = body.insertRow();
      row.append(headCell(name, "row"));
      for (const cell of cells) {
        row.insertCell().textContent = cell;
      }
    }
    this.#part(".behind").replaceChildren(table);
  }

  #fail(problem, signal) {
    if (signal.aborted) {
      return null;
    }
    this.#part(".plot").classList.remove("loading", "waiting");
    if (problem.kind === "refused" || !this.#shown) {
      this.#shown = "";
      this.chart.show(null);
      this.#write(".headline-value", "–");
      this.#note(problem.kind ? problem.message : "This chart could not be drawn.");
    }

    throw problem;
  }

  #note(sentence) {
    this.#write(".note", sentence);
    this.#part(".note").hidden = !sentence;
  }

  #fillPicks() {
    const measures = numericMeasures(this.metric);
    const splits = splitDimensions(this.metric);
    const { measure, aggregate, split } = this.#choice;
    const named = measures.map((one) => [one.name, measureWords(one)]);
    const splittable = splits.map((name) => [name, `By ${words(name).toLowerCase()}`]);
    fill(this.#part(".pick-measure"), [...named, ["", "Events"]], measure?.name ?? "");
    fill(this.#part(".pick-aggregate"), Object.entries(AGGREGATES), aggregate);
    fill(this.#part(".pick-split"), [["", "No split"], ...splittable], split ?? "");
    this.#part(".only").hidden = measures.length > 0;
    this.#part(".pick-aggregate").hidden = measure === null;
  }

  #listen() {
    const select = (name) => this.#part(`.pick-${name} select`);
    const [measure, aggregate, split] = ["measure", "aggregate", "split"].map(select);
    measure.addEventListener("change", () => {
      const chosen = numericMeasures(this.metric).find(({ name }) => name === measure.value) ?? null;
      this.#choose(chosen, chosen ? usualAggregate(chosen) : "count", this.#choice.split);
    });
    aggregate.addEventListener("change", () => this.#choose(this.#choice.measure, aggregate.value, this.#choice.split));
    split.addEventListener("change", () => {
      this.#choose(this.#choice.measure, this.#choice.aggregate, split.value || null);
    });
  }

  #choose(measure, aggregate, split) {
    this.#choice = choiceOf(measure, aggregate, split);
    this.#searching = false;
    this.#fillPicks();
    // The page's loop tells of what goes wrong; here the card itself has already said it.
    this.refresh({ restart: true }).catch(() => null);
  }

  #part(selector) {
    return this.element.querySelector(selector);
  }

  #write(selector, content) {
    const part = this.#part(selector);
    if (part.textContent !== content) {
      part.textContent = content;
    }
  }
}

/** A split that the server refuses, for having too many values, is one that is not shown unasked. */
function passOver(problem) {
  if (problem.kind !== "refused") {
    throw problem;
  }

  return null;
}

function fill(pick, options, chosen) {
  const select = pick.querySelector("select");
  const nodes = options.map(([value, label]) => new Option(label, value));
  select.replaceChildren(...nodes);
  select.value = chosen;
  pick.hidden = options.length < 2;
}

function legendItem({ name, colour }, value) {
  const item = document.createElement("li");
  for (const [className, content] of [[`swatch ${colour}`, ""], ["legend-name", name], ["legend-value", value]]) {
    const part = document.createElement("span");
    part.className = className;
    part.textContent = content;
    item.append(part);
  }

  return item;
}

function headCell(content, scope) {
  const cell = document.createElement("th");
  cell.scope = scope;
  cell.textContent = content;

  return cell;
}
