/**
 * What `<metric-chart>` and `<metric-value>` have in common: they ask, show, ask again, and say what went wrong.
 */

import { html } from "./dom";
import type { Locale } from "./format";
import { additive, overTime, readRange, usualInterval, usualLimit } from "./question";
import { Given, sourceOf, type Asks, type GetAnswer, type GetToken } from "./source";
import { kindOf, passes, sentence, statePart } from "./states";
import { tokens } from "./style";
import { turn } from "./turn";
import type { Filter, Interval, Kind, Question } from "./wire";
import { ownZone } from "./zone";

const SLOWEST_MS = 60_000;
const USUAL_REFRESH_SECONDS = 15;
/** While new data is told as it comes, asking anyway only follows the clock. */
const TOLD_REFRESH_SECONDS = 60;
const SETTLE_MS = 400;

const OF_QUESTION = [
  "metric", "measure", "aggregate", "range", "interval", "timezone", "group-by", "filters", "fill", "compare", "limit",
];
const OF_LOOK = ["kind", "column", "heading", "unit", "decimals", "locale", "good"];
const OF_ACCESS = ["src", "token", "refresh"];

export abstract class MetricElement extends HTMLElement {
  static readonly observedAttributes = [...OF_QUESTION, ...OF_LOOK, ...OF_ACCESS];

  protected readonly body: HTMLElement;
  /** Whether an answer is on show. */
  protected shown = false;
  #question: Question | null = null;
  #source: Asks | null = null;
  #getToken: GetToken | null = null;
  #given: Given | null = null;
  #getAnswer: GetAnswer | null = null;
  #asked = 0;
  #failures = 0;
  #timer = 0;
  #soon = 0;
  #silent: (() => void) | null = null;
  #led = false;

  constructor(className: string, sheet: CSSStyleSheet) {
    super();
    const root = this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [tokens, sheet];
    this.body = html("article", `card ${className}`);
    this.body.setAttribute("part", "card");
    root.append(this.body);
  }

  /** The question that is asked; one that is set here takes the place of what the attributes say. */
  get question(): Question {
    return this.#question ?? this.#attributes();
  }

  set question(question: Question | null) {
    this.#question = question;
    this.#changed();
  }

  /** A callback that returns a token, asked whenever one is needed. */
  get getToken(): GetToken | null {
    return this.#getToken;
  }

  set getToken(getToken: GetToken | null) {
    this.#getToken = getToken;
    this.#changed();
  }

  /** A callback that answers in the server's place; no token is asked for then. */
  get getAnswer(): GetAnswer | null {
    return this.#getAnswer;
  }

  set getAnswer(getAnswer: GetAnswer | null) {
    this.#getAnswer = getAnswer;
    this.#given = getAnswer && new Given(getAnswer);
    this.#changed();
  }

  // No properties: React and Vue would set what has a getter, in place of the attribute.
  protected shownAs(): Kind {
    return (this.getAttribute("kind") as Kind | null) ?? "line";
  }

  protected notation(): Locale {
    return this.getAttribute("locale") || navigator.language || undefined;
  }

  /** Puts the element under the lead of a dashboard, which says what to ask, whom and when. */
  lead(source: Asks, question: Question): void {
    this.#led = true;
    this.#source = source;
    this.#question = question;
    void this.refresh();
  }

  connectedCallback(): void {
    // React and Vue may set a property before the element is defined: such a value hides the setter.
    for (const name of ["question", "getToken", "getAnswer"] as const) {
      if (Object.hasOwn(this, name)) {
        const given = this[name];
        delete (this as Partial<this>)[name];
        Object.assign(this, { [name]: given });
      }
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
    this.#silent?.();
    this.#silent = null;
    clearTimeout(this.#timer);
    clearTimeout(this.#soon);
  }

  attributeChangedCallback(_name: string, before: string | null, now: string | null): void {
    if (before !== now) {
      this.#changed();
    }
  }

  /** Asks again now. */
  async refresh(): Promise<void> {
    clearTimeout(this.#timer);
    const source = this.#source;
    if (!this.isConnected || !source) {
      return;
    }
    this.#asked += 1;
    const number = this.#asked;
    const question = this.question;
    this.toggleAttribute("data-loading", true);
    try {
      const answer = await this.ask(source, question);
      await turn();
      if (number === this.#asked) {
        this.#failures = 0;
        this.#showState(null);
        this.shown = true;
        await this.show(answer, question);
        this.dispatchEvent(this.event("metric-loaded", { question, answer }));
      }
    } catch (problem) {
      if (number === this.#asked) {
        this.#fail(problem);
      }
    } finally {
      if (number === this.#asked) {
        this.toggleAttribute("data-loading", false);
        this.#again();
      }
    }
  }

  protected abstract ask(source: Asks, question: Question): Promise<unknown>;
  /** Shows an answer; may take several turns of the page for a large one. */
  protected abstract show(answer: unknown, question: Question): Promise<void> | void;
  protected abstract clear(): void;

  protected event(name: string, detail: unknown): CustomEvent {
    return new CustomEvent(name, { detail, bubbles: true, composed: true });
  }

  /** Shows a state in place of what there is to see; null shows that again. */
  protected stateOf(part: HTMLElement | null): void {
    this.body.querySelector(".state")?.remove();
    this.body.classList.toggle("instead", part !== null);
    if (part) {
      this.body.append(part);
    }
  }

  #attributes(): Question {
    const text = (name: string) => this.getAttribute(name) || undefined;
    const range = readRange(text("range") ?? "30d");
    const groups = text("group-by")?.split(",").map((name) => name.trim());
    const limit = text("limit");
    const filters = text("filters");
    const question: Question = {
      metric: text("metric") ?? "",
      range,
      timezone: text("timezone") ?? ownZone(),
      ...(text("measure") ? { measure: text("measure")! } : {}),
      ...(text("aggregate") ? { aggregate: text("aggregate")! } : {}),
      ...(groups ? { group_by: groups } : {}),
      ...(filters ? { filters: JSON.parse(filters) as Filter[] } : {}),
      ...(text("compare") ? { compare: text("compare") as "previous_period" } : {}),
      ...(limit ? { limit: Number(limit) } : groups ? { limit: usualLimit(this.shownAs()) } : {}),
    };
    const interval = (text("interval") as Interval | undefined) ?? usualInterval(range);
    if (interval !== "none" && overTime(this.shownAs(), question)) {
      question.interval = interval;
      question.fill = (text("fill") as "zero" | undefined) ?? (additive(question) ? "zero" : "null");
    }

    return question;
  }

  #changed = (): void => {
    clearTimeout(this.#soon);
    if (this.isConnected) {
      // Attributes come one by one; together they are one change. So short a wait is none where many ask.
      this.#soon = window.setTimeout(() => this.#begin());
    }
  };

  #begin(): void {
    if (this.#led) {
      // A dashboard says when to ask; what a page changes of a tile by itself is shown with what is there.
      void (this.shown && this.refresh());
      return;
    }
    const own = { src: this.getAttribute("src"), token: this.getAttribute("token"), getToken: this.#getToken };
    const source = this.#given ?? sourceOf(Object.fromEntries(Object.entries(own).filter(([, value]) => value)));
    if (source !== this.#source && this.#source) {
      this.#forget();
    }
    this.#source = source;
    this.#silent?.();
    this.#silent = source?.stream.listen(this.#heard) ?? null;
    if (!this.#source) {
      // A page that takes a moment to say where tokens come from sees a skeleton meanwhile.
      this.#soon = window.setTimeout(() => this.#source ?? this.#showState(statePart("missing", "", null)), 2000);
      return;
    }
    void this.refresh();
  }

  /** A new token may be another tenant's: nothing of the one before stays. */
  #forget(): void {
    this.#asked += 1;
    this.shown = false;
    this.#showState(null);
    this.clear();
  }

  #heard = (metric: string | null): void => {
    if (metric === null || metric === this.question.metric) {
      clearTimeout(this.#timer);
      this.#timer = window.setTimeout(() => void this.refresh(), SETTLE_MS);
    }
  };

  #seen = (): void => {
    if (document.visibilityState === "visible" && !this.#led) {
      void this.refresh();
    }
  };

  #again(): void {
    if (this.#led || !this.isConnected || document.visibilityState !== "visible") {
      return;
    }
    const asked = Number(this.getAttribute("refresh") ?? USUAL_REFRESH_SECONDS);
    if (asked > 0) {
      const seconds = this.#source?.stream.alive ? Math.max(asked, TOLD_REFRESH_SECONDS) : asked;
      const wait = Math.min(SLOWEST_MS, seconds * 1000 * 2 ** this.#failures);
      clearTimeout(this.#timer);
      this.#timer = window.setTimeout(() => void this.refresh(), wait);
    }
  }

  #fail(problem: unknown): void {
    const kind = kindOf(problem);
    const message = problem instanceof Error ? problem.message : "";
    this.#failures = Math.min(this.#failures + 1, 5);
    const detail = { kind, message };
    const quiet = !this.dispatchEvent(new CustomEvent("metric-error", { detail, bubbles: true, composed: true, cancelable: true }));
    // What was shown stays while the server is away: old numbers, said to be old, are better than none.
    if (this.shown && passes(problem)) {
      this.body.classList.toggle("stale", !quiet);
      this.body.title = quiet ? "" : sentence(kind);
    } else if (!quiet) {
      this.shown = false;
      this.clear();
      // Who writes a page wants to know of a name that is not there; who reads a dashboard does not.
      const shown = kind === "absent" && !this.#led ? "refused" : kind;
      this.#showState(statePart(shown, message, () => void this.refresh()));
    }
  }

  #showState(part: HTMLElement | null): void {
    this.body.classList.remove("stale", "waiting");
    this.body.removeAttribute("title");
    this.stateOf(part);
  }
}
