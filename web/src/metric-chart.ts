/**
 * `<metric-chart>`: one question as a line, area, bar, stacked bar, donut, heatmap or table.
 */

import { button, html, write } from "./dom";
import { words } from "./format";
import { MetricElement } from "./metric-element";
import { BEFORE, isEmpty, modelOf, tableRows, type Model } from "./model";
import { Plot } from "./plot";
import { rangeWords } from "./question";
import { asCsv, asPng, asSvg, download, type Sheet } from "./save";
import type { Asks } from "./source";
import { statePart } from "./states";
import { chartSheet } from "./style";
import { turn, whenIdle } from "./turn";
import type { Answer, Question } from "./wire";

/** Rows from which on an answer is read in one turn of the page and drawn in the next. */
const LARGE = 2000;
/** Rows of the table that stands behind a chart; the CSV has all of them. */
const MOST_ROWS = 400;

export class MetricChart extends MetricElement {
  #title = html("h3", "title");
  #menu = html("details", "menu");
  #content = html("div", "content");
  #legend = html("ul", "legend");
  #table = html("div", "behind unseen");
  #plot: Plot;
  #slots = new Map<string, number>();
  #answer: Answer | null = null;
  #model: Model | null = null;
  #tabled: Model | null = null;
  #drawn = "";
  #tabular = false;

  constructor() {
    super("chart waiting", chartSheet);
    this.#plot = new Plot(({ detail }) => this.dispatchEvent(this.event("metric-point", detail)));
    this.#title.setAttribute("part", "title");
    this.#content.append(this.#plot.element, this.#legend);
    this.#legend.hidden = true;
    this.body.append(html("header", "head", this.#title, this.#menu), this.#content, this.#table, this.#plot.spoken);
    this.#fillMenu();
  }

  override attributeChangedCallback(name: string, before: string | null, now: string | null): void {
    super.attributeChangedCallback(name, before, now);
    this.#head();
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.#head();
  }

  /** Returns the chart as a file's content; null where nothing is on show. */
  async export(format: "csv" | "svg" | "png"): Promise<Blob | null> {
    if (!this.#answer) {
      return null;
    }
    if (format === "csv") {
      return new Blob([asCsv(this.#answer)], { type: "text/csv;charset=utf-8" });
    }
    const sheet = this.#sheet();
    if (!sheet) {
      return null;
    }

    return format === "png"
      ? asPng(sheet)
      : new Blob([new XMLSerializer().serializeToString(asSvg(sheet))], { type: "image/svg+xml" });
  }

  protected ask(source: Asks, question: Question): Promise<Answer> {
    return source.ask(question);
  }

  protected async show(answer: Answer, question: Question): Promise<void> {
    this.#answer = answer;
    const decimals = this.getAttribute("decimals");
    const manner = {
      kind: this.shownAs(),
      column: this.getAttribute("column"),
      title: this.#heading(),
      unit: this.getAttribute("unit"),
      decimals: decimals === null ? null : Number(decimals),
      locale: this.notation(),
      slots: this.#slots,
    };
    // What did not change is not touched: no flicker, and a reader's selection stays.
    const shown = JSON.stringify([manner.kind, manner.column, manner.title, manner.unit, decimals, this.notation(), answer.columns, answer.rows]);
    if (shown === this.#drawn) {
      return;
    }
    this.#drawn = shown;
    const model = modelOf(answer, question, manner);
    if (answer.rows.length > LARGE) {
      await turn();
      if (shown !== this.#drawn) {
        return;
      }
    }
    this.#model = model;
    this.body.classList.remove("waiting");
    if (isEmpty(this.#model)) {
      this.#plot.show(null);
      this.stateOf(statePart("empty", `Nothing in the ${rangeWords(question.range)}.`, null));
      return;
    }
    this.#head();
    // The legend first: what room it leaves is the plot's.
    this.#showLegend();
    this.#plot.show(this.#shows() ? null : this.#model);
    if (this.#shows()) {
      this.#showTable();
    } else {
      whenIdle(() => this.#showTable());
    }
  }

  protected clear(): void {
    this.#answer = null;
    this.#model = null;
    this.#tabled = null;
    this.#drawn = "";
    this.#slots.clear();
    this.#plot.show(null);
    this.#table.replaceChildren();
    this.#legend.hidden = true;
  }

  #heading(): string {
    return this.getAttribute("heading") ?? words(this.question.metric);
  }

  #head(): void {
    write(this.#title, this.#heading());
    this.body.dataset["kind"] = this.shownAs();
    this.body.classList.toggle("tabular", this.#shows());
    this.#table.classList.toggle("unseen", !this.#shows());
  }

  /** Tells whether the table stands in place of the chart. */
  #shows(): boolean {
    return this.shownAs() === "table" || this.#tabular;
  }

  #fillMenu(): void {
    const summary = html("summary");
    summary.setAttribute("aria-label", "Chart options");
    const swap = button("", "Show as table", () => {
      this.#tabular = !this.#tabular;
      this.#showTable();
      swap.textContent = this.#tabular ? "Show as chart" : "Show as table";
      this.#menu.open = false;
      this.#head();
      this.#plot.show(this.#shows() ? null : this.#model);
    });
    const save = (format: "csv" | "svg" | "png") =>
      button(`save-${format}`, `Save as ${format.toUpperCase()}`, () => {
        this.#menu.open = false;
        void this.#save(format);
      });
    this.#menu.append(summary, html("div", "items", swap, save("png"), save("svg"), save("csv")));
    this.#menu.addEventListener("keydown", ({ key }) => {
      if (key === "Escape") {
        this.#menu.open = false;
        summary.focus();
      }
    });
    this.#menu.addEventListener("focusout", ({ relatedTarget }) => {
      if (!this.#menu.contains(relatedTarget as Node | null)) {
        this.#menu.open = false;
      }
    });
  }

  async #save(format: "csv" | "svg" | "png"): Promise<void> {
    const content = await this.export(format);
    if (content) {
      const name = this.#heading().toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "");
      download(`${name || "chart"}.${format}`, content);
    }
  }

  #sheet(): Sheet | null {
    const picture = this.#plot.picture;
    const colourOf = (item: Element) => getComputedStyle(item.querySelector(".swatch")!).backgroundColor;
    const legend = this.#legend.hidden ? [] : [...this.#legend.children];
    const named = legend.map((item) => {
      return { colour: colourOf(item), name: item.querySelector(".legend-name")?.textContent ?? "" };
    });

    return picture && { title: this.#heading(), picture, legend: named, host: this.body };
  }

  #showLegend(): void {
    const model = this.#model!;
    const named = model.series.length > 1 || model.series.some(({ name }) => name !== "");
    const listed = named && model.kind !== "heatmap" && (model.times.length > 0 || model.kind === "donut");
    const items = model.series.map((one) => {
      const value = model.kind === "donut" ? model.values.short(one.values[0] ?? 0) : "";
      return legendItem(one.colour, one.name, value);
    });
    if (model.series.length === 1 && model.series[0]!.before) {
      items.push(legendItem("earlier", BEFORE, ""));
    }
    this.#legend.hidden = (!listed && items.length < 2) || this.#shows() || model.kind === "heatmap" || (!listed && model.times.length === 0);
    this.#legend.replaceChildren(...items);
  }

  /** Builds the table of what is on show, where that is not done yet. */
  #showTable(): void {
    const model = this.#model;
    if (!model || model === this.#tabled || isEmpty(model)) {
      return;
    }
    this.#tabled = model;
    const [head = [], ...rows] = tableRows(model, MOST_ROWS);
    const table = html("table");
    const left = Math.max(model.places.length, model.times.length > 0 ? 0 : model.series.length) - rows.length;
    const cut = left > 0 ? ` The latest ${rows.length} rows; the CSV file has all.` : "";
    const caption = table.createCaption();
    caption.textContent = `${model.label}.${cut}`;
    caption.className = this.shownAs() === "table" ? "unseen" : "";
    const top = table.createTHead().insertRow();
    top.append(...head.map((name) => headCell(name, "col")));
    const body = table.createTBody();
    // The latest is what a reader of a table looks for first.
    for (const [name = "", ...cells] of model.times.length > 0 ? rows.reverse() : rows) {
      const row = body.insertRow();
      row.append(headCell(name, "row"), ...cells.map((cell) => html("td", "", cell)));
    }
    const frame = html("div", "scroll", table);
    frame.tabIndex = 0;
    frame.setAttribute("role", "region");
    frame.setAttribute("aria-label", `${this.#heading()}, as a table`);
    this.#table.replaceChildren(frame);
  }
}

function legendItem(colour: string, name: string, value: string): HTMLLIElement {
  return html("li", "", html("span", `swatch ${colour}`), html("span", "legend-name", name), html("span", "legend-value", value));
}

function headCell(content: string, scope: string): HTMLTableCellElement {
  const cell = html("th", "", content);
  cell.scope = scope;

  return cell;
}
