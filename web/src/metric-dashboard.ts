/**
 * `<metric-dashboard>`: a dashboard of the pipeline file, with its range, its filters and its tiles.
 *
 * All tiles are asked in one request, and again when the server says that something is new.
 */

import { DatesPicker } from "./dates-picker";
import { html, write } from "./dom";
import { timeFormat, words } from "./format";
import { MetricChart } from "./metric-chart";
import type { MetricElement } from "./metric-element";
import { MetricValue } from "./metric-value";
import { rangeWords, readRange, tileQuestion, valueQuestions, type Choice } from "./question";
import { Problem, sourceOf, type GetToken, type Source } from "./source";
import { kindOf, passes, sentence, statePart } from "./states";
import { dashboardSheet, tokens } from "./style";
import type { Answer, Dashboard, Filter, FilterChoice, Question, Tile } from "./wire";
import { ownZone, Zone } from "./zone";

const SLOWEST_RETRY_MS = 10_000;
const TOLD_REFRESH_SECONDS = 60;
const SETTLE_MS = 400;
/** Values of a dimension that a filter offers. */
const MOST_VALUES = 50;
const DESCRIPTION_EVERY_MS = 300_000;

interface Shown {
  tile: Tile;
  element: MetricElement;
}

export class MetricDashboard extends HTMLElement {
  static readonly observedAttributes = ["name", "src", "token", "range", "timezone", "locale"];

  #source: Source | null = null;
  #given: Source | null = null;
  #getToken: GetToken | null = null;
  #dashboard: Dashboard | null = null;
  #described = 0;
  #range = "";
  #chosen = new Map<string, string>();
  #shown: Shown[] = [];
  #stale = new Set<string>();
  #failures = 0;
  #problem: unknown = null;
  #round = 0;
  #timer = 0;
  #soon = 0;
  #silent: (() => void) | null = null;
  #fresh = 0;

  #title = html("h2", "name");
  #environment = html("span", "environment");
  #freshness = html("p", "freshness");
  #ranges = html("fieldset", "ranges");
  #dates = new DatesPicker((range) => this.#pick(range));
  #filters = html("div", "filters");
  #banner = html("p", "banner");
  #tiles = html("div", "tiles");
  #body = html("section", "dashboard");

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [tokens, dashboardSheet];
    const who = html("div", "who", this.#title, this.#environment);
    const top = html("header", "top", who, this.#freshness, html("div", "controls", this.#filters, this.#ranges, this.#dates.element));
    this.#banner.setAttribute("role", "status");
    this.#banner.hidden = true;
    this.#title.hidden = true;
    this.#environment.hidden = true;
    this.#body.append(top, this.#banner, this.#tiles);
    root.append(this.#body);
    this.#tiles.addEventListener("metric-error", (event) => this.#failed(event as CustomEvent));
    this.#tiles.addEventListener("metric-loaded", (event) => this.#loaded(event as CustomEvent));
    this.#skeletons();
  }

  get getToken(): GetToken | null {
    return this.#getToken;
  }

  set getToken(getToken: GetToken | null) {
    this.#getToken = getToken;
    this.#changed();
  }

  /** Uses a source that is made already. */
  set source(source: Source) {
    this.#given = source;
    this.#changed();
  }

  connectedCallback(): void {
    if (Object.hasOwn(this, "getToken")) {
      const given = this.getToken;
      delete (this as Partial<this>).getToken;
      this.getToken = given;
    }
    document.addEventListener("visibilitychange", this.#seen);
    window.addEventListener("online", this.#seen);
    window.addEventListener("metric-configured", this.#changed);
    this.#changed();
  }

  disconnectedCallback(): void {
    document.removeEventListener("visibilitychange", this.#seen);
    window.removeEventListener("online", this.#seen);
    window.removeEventListener("metric-configured", this.#changed);
    clearTimeout(this.#timer);
    clearTimeout(this.#soon);
    this.#silent?.();
    this.#silent = null;
  }

  attributeChangedCallback(name: string, before: string | null, now: string | null): void {
    if (before === now) {
      return;
    }
    if (name === "name") {
      this.#forget();
    }
    if (name === "range" && now && this.#dashboard) {
      this.#pick(now);
      return;
    }
    this.#changed();
  }

  /** Asks everything again. */
  async refresh(): Promise<void> {
    clearTimeout(this.#timer);
    const source = this.#source;
    if (!source || !this.isConnected) {
      return;
    }
    this.#round += 1;
    const round = this.#round;
    this.#problem = null;
    try {
      if (!this.#dashboard || Date.now() - this.#described > DESCRIPTION_EVERY_MS || this.#dashboard.tiles.length === 0) {
        const described = await source.dashboard(this.getAttribute("name") || "default");
        if (round !== this.#round || source !== this.#source) {
          return;
        }
        this.#described = Date.now();
        this.#range ||= this.getAttribute("range") || described.range;
        source.ahead(this.#questions(described));
        this.#describe(described);
      }
      this.#lead(() => true);
      await this.#askValues(source);
    } catch (problem) {
      if (round === this.#round) {
        this.#fail(problem);
      }
    }
    if (round === this.#round) {
      this.#again();
    }
  }

  #changed = (): void => {
    clearTimeout(this.#soon);
    if (this.isConnected) {
      this.#soon = window.setTimeout(() => this.#begin());
    }
  };

  #begin(): void {
    const own = { src: this.getAttribute("src"), token: this.getAttribute("token"), getToken: this.#getToken };
    const source = this.#given ?? sourceOf(Object.fromEntries(Object.entries(own).filter(([, value]) => value)));
    if (source) {
      this.#use(source);
      return;
    }
    this.#soon = window.setTimeout(() => this.#source ?? this.#fail(new Problem("missing", "")), 2000);
  }

  #use(source: Source): void {
    if (source !== this.#source) {
      this.#forget();
    }
    this.#source = source;
    this.#silent?.();
    this.#silent = source.stream.listen(this.#heard);
    void this.refresh();
  }

  /** A new token may be another tenant's: nothing of the one before stays. */
  #forget(): void {
    this.#round += 1;
    this.#dashboard = null;
    this.#shown = [];
    this.#chosen.clear();
    this.#fresh = 0;
    this.#range = "";
    this.#name("");
    write(this.#freshness, "");
    this.#environment.hidden = true;
    this.#filters.replaceChildren();
    this.#ranges.replaceChildren();
    this.#dates.element.hidden = true;
    this.#banner.hidden = true;
    this.#body.classList.remove("instead", "stale");
    this.#body.querySelector(".state")?.remove();
    this.#skeletons();
  }

  #describe(dashboard: Dashboard): void {
    const same = JSON.stringify(dashboard) === JSON.stringify(this.#dashboard);
    this.#dashboard = dashboard;
    if (same) {
      return;
    }
    const { tenant } = dashboard;
    const name = tenant.name ?? tenant.id;
    this.#name(dashboard.title || name);
    write(this.#environment, dashboard.title ? name : (tenant.environment ?? ""));
    this.#environment.hidden = !this.#environment.textContent;
    this.#showRanges(dashboard);
    this.#showFilters(dashboard.filters);
    this.#stopInstead();
    this.#showTiles(dashboard.tiles);
    this.dispatchEvent(new CustomEvent("metric-described", { detail: dashboard, bubbles: true, composed: true }));
  }

  /** Writes the title; one that is empty is no heading. */
  #name(title: string): void {
    write(this.#title, title);
    this.#title.hidden = !title;
  }

  #showTiles(tiles: Tile[]): void {
    this.#shown = tiles.map((tile) => ({ tile, element: elementOf(tile, this.getAttribute("locale")) }));
    this.#tiles.setAttribute("aria-busy", "true");
    this.#tiles.replaceChildren(...this.#shown.map(({ element }) => element));
    if (tiles.length === 0) {
      this.#instead(statePart("empty", "", null));
    }
  }

  #choice(dashboard = this.#dashboard): Choice {
    return {
      range: readRange(this.#range || "30d"),
      timezone: this.getAttribute("timezone") || ownZone(),
      filters: [],
      intervals: dashboard?.intervals ?? {},
    };
  }

  #filtersOf(tile: Tile, dashboard = this.#dashboard): Filter[] {
    const chosen = dashboard?.filters ?? [];

    return chosen.flatMap(({ dimension, metrics }) => {
      const value = this.#chosen.get(dimension);
      return value !== undefined && metrics.includes(tile.question.metric) ? [{ dimension, in: [value] }] : [];
    });
  }

  /** Returns all questions of a dashboard: its first chart's, its numbers', then the others in their order. */
  #questions(dashboard: Dashboard): Question[] {
    const charts = dashboard.tiles.filter(({ kind }) => kind !== "value");
    const numbers = dashboard.tiles.filter(({ kind }) => kind === "value");
    const choice = this.#choice(dashboard);
    const asked = [...charts.slice(0, 1), ...numbers, ...charts.slice(1)].flatMap((tile) => {
      const question = tileQuestion(tile, { ...choice, filters: this.#filtersOf(tile, dashboard) });
      return tile.kind === "value" ? Object.values<Question>(valueQuestions(question)) : [question];
    });

    return [...asked, ...valuesQuestions(dashboard, choice)];
  }

  /** Sets tiles to ask; all of them ask in one request. */
  #lead(which: (tile: Tile) => boolean): void {
    const choice = this.#choice();
    for (const { tile, element } of this.#shown) {
      if (which(tile)) {
        element.lead(this.#source!, tileQuestion(tile, { ...choice, filters: this.#filtersOf(tile) }));
      }
    }
  }

  #showRanges({ ranges }: Dashboard): void {
    const legend = html("legend", "unseen", "Time range");
    const inputs = ranges.map((range) => {
      const input = html("input");
      Object.assign(input, { type: "radio", name: "range", value: range, checked: range === this.#range });
      input.addEventListener("change", () => this.#pick(range));
      const label = html("label", "", input, html("span", "", range));
      label.title = capital(rangeWords(readRange(range)));
      input.setAttribute("aria-label", label.title);
      return label;
    });
    this.#ranges.replaceChildren(legend, ...inputs);
    this.#ranges.hidden = ranges.length < 2;
    this.#dates.offer(ranges, new Zone(this.#choice().timezone), this.getAttribute("locale") || navigator.language);
    this.#dates.show(this.#range);
  }

  #pick(range: string): void {
    this.#range = range;
    this.#dates.show(range);
    for (const input of this.#ranges.querySelectorAll("input")) {
      input.checked = input.value === range;
    }
    this.dispatchEvent(new CustomEvent("metric-range", { detail: { range }, bubbles: true, composed: true }));
    void this.refresh();
  }

  #showFilters(filters: FilterChoice[]): void {
    const made = filters.map(({ dimension, title }) => {
      const select = html("select");
      select.dataset["dimension"] = dimension;
      select.setAttribute("aria-label", title);
      select.append(new Option(`${title}: all`, ""));
      select.addEventListener("change", () => {
        select.value ? this.#chosen.set(dimension, select.value) : this.#chosen.delete(dimension);
        select.classList.toggle("chosen", select.value !== "");
        void this.refresh();
      });
      return html("label", "filter", select);
    });
    this.#filters.replaceChildren(...made);
  }

  /** Asks which values filters may offer; in the same request as the tiles. */
  async #askValues(source: Source): Promise<void> {
    const filters = (this.#dashboard?.filters ?? []).filter(hasMetric);
    const questions = this.#dashboard ? valuesQuestions(this.#dashboard, this.#choice()) : [];
    const asked = questions.map(async (question, index) => {
      const { dimension, title } = filters[index]!;
      this.#offer(dimension, title, await source.ask(question));
    });
    // A filter without its values is a pity, and no reason to show nothing.
    await Promise.allSettled(asked);
  }

  #offer(dimension: string, title: string, answer: Answer): void {
    const select = [...this.#filters.querySelectorAll("select")].find((one) => one.dataset["dimension"] === dimension);
    const chosen = this.#chosen.get(dimension);
    const found = answer.rows.map(([value]) => String(value ?? "")).filter((value) => value && value !== "other");
    const values = [...new Set([...(chosen ? [chosen] : []), ...found])].sort((a, b) => a.localeCompare(b));
    const known = [...(select?.options ?? [])].slice(1).map(({ value }) => value);
    if (select && values.join("\n") !== known.join("\n")) {
      select.replaceChildren(new Option(`${title}: all`, ""), ...values.map((value) => new Option(value, value)));
      select.value = chosen ?? "";
    }
  }

  #loaded(event: CustomEvent): void {
    const { answer } = event.detail as { answer: Answer | { total: Answer } };
    const { meta } = "total" in answer ? answer.total : answer;
    this.#failures = 0;
    this.#fresh = Math.max(this.#fresh, Date.parse(meta.fresh_as_of));
    this.#tiles.setAttribute("aria-busy", "false");
    this.#body.classList.remove("stale");
    this.#banner.hidden = true;
    this.#stopInstead();
    const zone = new Zone(this.#choice().timezone);
    const moments = timeFormat(this.getAttribute("locale") || navigator.language, zone);
    write(this.#freshness, `Fresh as of ${moments.moment(this.#fresh, Date.now())} · ${zone.name.replaceAll("_", " ")}`);
  }

  /** What one question alone is refused for is that tile's matter; what fails all of them is told once, above. */
  #failed(event: CustomEvent): void {
    const { kind, message } = event.detail as { kind: Problem["kind"]; message: string };
    if (kind === "refused" || kind === "absent") {
      return;
    }
    event.preventDefault();
    this.#fail(new Problem(kind, message));
  }

  #fail(problem: unknown): void {
    if (this.#problem) {
      return;
    }
    this.#problem = problem;
    this.#failures = Math.min(this.#failures + 1, 5);
    const kind = kindOf(problem);
    const message = problem instanceof Error ? problem.message : "";
    this.#body.classList.add("stale");
    if (this.#fresh > 0 && passes(problem)) {
      write(this.#banner, sentence(kind));
      this.#banner.hidden = false;
    } else {
      this.#instead(statePart(kind, message, () => void this.refresh()));
    }
    const detail = { kind, message };
    this.dispatchEvent(new CustomEvent("metric-error", { detail, bubbles: true, composed: true }));
    this.#again();
  }

  #instead(part: HTMLElement): void {
    this.#body.querySelector(".state")?.remove();
    this.#body.classList.add("instead");
    this.#tiles.setAttribute("aria-busy", "false");
    this.#body.append(part);
  }

  #stopInstead(): void {
    this.#body.querySelector(".state")?.remove();
    this.#body.classList.remove("instead");
  }

  #heard = (metric: string | null): void => {
    this.#stale.add(metric ?? "");
    clearTimeout(this.#soon);
    this.#soon = window.setTimeout(() => {
      const heard = new Set(this.#stale);
      this.#stale.clear();
      if (this.#dashboard && document.visibilityState === "visible") {
        this.#problem = null;
        this.#lead(({ question }) => heard.has("") || heard.has(question.metric));
      }
    }, SETTLE_MS);
  };

  #seen = (): void => {
    if (document.visibilityState === "visible") {
      void this.refresh();
    }
  };

  #again(): void {
    clearTimeout(this.#timer);
    if (document.visibilityState !== "visible" || !this.isConnected) {
      return;
    }
    const asked = this.#dashboard?.refresh ?? 15;
    const seconds = this.#source?.stream.alive ? Math.max(asked, TOLD_REFRESH_SECONDS) : asked;
    const waits = this.#failures > 0 ? Math.min(SLOWEST_RETRY_MS, 1000 * 2 ** this.#failures) : seconds * 1000;
    if (waits > 0 && !(this.#problem && !passes(this.#problem))) {
      this.#timer = window.setTimeout(() => void this.refresh(), waits);
    }
  }

  #skeletons(): void {
    const made = Array.from({ length: 7 }, (_, index) => {
      const card = html("div", `card skeleton ${index < 4 ? "small" : ""}`);
      card.style.setProperty("--span", String(index < 4 ? 3 : index === 4 ? 12 : 6));
      card.setAttribute("aria-hidden", "true");
      return card;
    });
    this.#tiles.setAttribute("aria-busy", "true");
    this.#tiles.replaceChildren(...made);
  }
}

function hasMetric({ metrics }: FilterChoice): boolean {
  return metrics.length > 0;
}

/** Returns what tells the values that filters may offer. */
function valuesQuestions({ filters }: Dashboard, { range, timezone }: Choice): Question[] {
  return filters.filter(hasMetric).map(({ dimension, metrics: [metric] }) => {
    return { metric: metric!, aggregate: "count", range, timezone, group_by: [dimension], limit: MOST_VALUES };
  });
}

function elementOf(tile: Tile, locale: string | null): MetricElement {
  const element = tile.kind === "value" ? new MetricValue() : new MetricChart();
  const looks = {
    kind: tile.kind, heading: tile.title || words(tile.question.metric), unit: tile.unit, decimals: tile.decimals,
    good: tile.good, locale,
  };
  for (const [name, value] of Object.entries(looks)) {
    if (value !== null) {
      element.setAttribute(name, String(value));
    }
  }
  if (tile.description) {
    element.title = tile.description;
  }
  element.style.setProperty("--span", String(tile.width));
  element.style.setProperty("--rows", String(tile.height));
  element.classList.add(tile.kind === "value" ? "small" : "large");

  return element;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
