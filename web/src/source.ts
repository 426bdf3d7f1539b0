/**
 * Asks the query API on the tenant's behalf: every question of one moment in one request, with a token that is fresh.
 *
 * Each failure becomes a Problem with a kind and a sentence.
 */

import { Stream } from "./stream";
import type { Answer, Dashboard, Question } from "./wire";

const PATIENCE_MS = 20_000;
/** A token that ends so soon is fetched anew before it is used: clocks differ, and requests take time. */
const EARLY_MS = 20_000;
/** The most questions that the server takes in one request. */
const MOST = 50;
const LINES = "application/x-ndjson";

/** What went wrong; `absent` is a question for something that the tenant does not have, or not yet. */
export type ProblemKind = "missing" | "token" | "forbidden" | "network" | "server" | "refused" | "absent";

/** A failed request. */
export class Problem extends Error {
  readonly kind: ProblemKind;
  readonly status: number;

  constructor(kind: ProblemKind, detail: string, status = 0) {
    super(detail);
    this.kind = kind;
    this.status = status;
  }
}

/** Gives a tenant token: a callback of the page, which asks its own backend for one. */
export type GetToken = () => string | Promise<string>;

export interface Access {
  /** The server's address, up to but without `/v1/`. */
  src: string;
  token?: string | null;
  getToken?: GetToken | null;
  /** The origin of the page that frames this one, where one does. */
  embedder?: string | null;
}

/** Answers a question in the server's place: a callback of the page, which has the numbers from elsewhere. */
export type GetAnswer = (question: Question) => Answer | Promise<Answer>;

/** What an element asks, and what tells it of new data. */
export interface Asks {
  readonly stream: Pick<Stream, "alive" | "listen">;
  ask(question: Question): Promise<Answer>;
}

/** Asks a callback of the page; nothing tells of new data. */
export class Given implements Asks {
  readonly stream = { alive: false, listen: () => () => undefined };
  #getAnswer: GetAnswer;

  constructor(getAnswer: GetAnswer) {
    this.#getAnswer = getAnswer;
  }

  async ask(question: Question): Promise<Answer> {
    return this.#getAnswer(question);
  }
}

interface Waiting {
  question: Question;
  resolve: (answer: Answer) => void;
  reject: (problem: unknown) => void;
}

/** A line of an answer: of one question, what was found or what is wrong with it. */
interface Line {
  query: string;
  answer?: Answer;
  problem?: { status?: number };
}

/** One server for one tenant. */
export class Source implements Asks {
  readonly root: URL;
  readonly stream: Stream;
  #token: string | null;
  #getToken: GetToken | null;
  #embedder: string | null;
  #fetching: Promise<string> | null = null;
  #waiting: Waiting[] = [];
  #ahead = new Map<string, Promise<Answer>>();

  constructor(access: Access) {
    this.root = new URL("v1/", new URL(access.src.endsWith("/") ? access.src : `${access.src}/`, document.baseURI));
    this.#token = access.token ?? null;
    this.#getToken = access.getToken ?? null;
    this.#embedder = access.embedder ?? null;
    this.stream = new Stream((headers, signal) => this.#fetch("stream", { headers, signal }));
  }

  /** Answers a question, together with all others that are asked before the page comes to rest. */
  ask(question: Question): Promise<Answer> {
    const asked = this.#ahead.get(JSON.stringify(question));
    if (asked) {
      return asked;
    }

    return new Promise((resolve, reject) => {
      if (this.#waiting.length === 0) {
        setTimeout(() => this.#flush());
      }
      this.#waiting.push({ question, resolve, reject });
    });
  }

  /**
   * Asks questions now, the most urgent first, before what shows them is built: the server is at it meanwhile.
   *
   * Who asks one of them until this turn of the page is over gets the same answer.
   */
  ahead(questions: Question[]): void {
    for (const question of questions) {
      const answer = this.ask(question);
      answer.catch(() => undefined);
      this.#ahead.set(JSON.stringify(question), answer);
    }
    this.#flush();
    queueMicrotask(() => this.#ahead.clear());
  }

  dashboard(name: string): Promise<Dashboard> {
    return this.#json(`dashboards/${encodeURIComponent(name)}`) as Promise<Dashboard>;
  }

  #flush(): void {
    const byText = new Map<string, Waiting[]>();
    for (const one of this.#waiting.splice(0)) {
      const text = JSON.stringify(one.question);
      byText.set(text, [...(byText.get(text) ?? []), one]);
    }
    const all = [...byText.values()];
    for (let start = 0; start < all.length; start += MOST) {
      void this.#askTogether(all.slice(start, start + MOST));
    }
  }

  async #askTogether(asked: Waiting[][]): Promise<void> {
    const queries = Object.fromEntries(asked.map(([one], index) => [`q${index}`, one!.question]));
    const open = new Map(asked.map((same, index) => [`q${index}`, same]));
    try {
      const response = await this.#fetch("query", { ...sent({ queries }), headers: { Accept: LINES } });
      for await (const { query, answer, problem } of linesOf(response)) {
        const same = open.get(query) ?? [];
        open.delete(query);
        same.forEach(({ resolve, reject }) => (answer ? resolve(answer) : reject(problemOf(problem?.status ?? 0, problem))));
      }
      if (open.size > 0) {
        throw new Problem("network", "The answer was cut short.");
      }
    } catch (problem) {
      const failed = problem instanceof Problem ? problem : new Problem("network", "The server cannot be reached.");
      [...open.values()].flat().forEach(({ reject }) => reject(failed));
    }
  }

  async #json(path: string): Promise<unknown> {
    const response = await this.#fetch(path, { signal: AbortSignal.timeout(PATIENCE_MS) });
    const body = readJson(await response.text().catch(() => ""));
    if (body === null || typeof body !== "object") {
      throw new Problem("server", "The answer could not be read.", response.status);
    }

    return body;
  }

  /** Sends a request; where the server takes the token no more, once again with a new one. */
  async #fetch(path: string, request: RequestInit): Promise<Response> {
    // Nothing waits for a token that is there: what is asked ahead is on its way before the page goes on.
    const token = this.#usable() ?? (await this.#freshToken());
    const response = await this.#send(path, request, token);
    if (response.ok) {
      return response;
    }
    if (response.status === 401 && this.#getToken) {
      this.#token = this.#token === token ? null : this.#token;
      const again = await this.#send(path, request, await this.#freshToken());
      if (again.ok) {
        return again;
      }
      throw problemOf(again.status, readJson(await again.text()));
    }
    throw problemOf(response.status, readJson(await response.text().catch(() => "")));
  }

  async #send(path: string, request: RequestInit, token: string): Promise<Response> {
    const headers = new Headers(request.headers);
    headers.set("Authorization", `Bearer ${token}`);
    if (request.body) {
      headers.set("Content-Type", "application/json");
    }
    if (this.root.origin === location.origin) {
      // Browsers name no origin where a page reads from its own; and a framed page is another's by its frame.
      headers.set("X-Embedding-Origin", this.#embedder ?? location.origin);
    }
    try {
      return await fetch(new URL(path, this.root), {
        ...request, headers, cache: "no-store", credentials: "omit", redirect: "error",
      });
    } catch {
      throw new Problem("network", "The server cannot be reached.");
    }
  }

  #usable(): string | null {
    return this.#token && (!this.#getToken || endOf(this.#token) > Date.now() + EARLY_MS) ? this.#token : null;
  }

  async #freshToken(): Promise<string> {
    const usable = this.#usable();
    if (usable) {
      return usable;
    }
    if (!this.#getToken) {
      throw new Problem("missing", "No token was given.");
    }
    // Charts that find the token too old at once ask for one new one together.
    this.#fetching ??= Promise.resolve(this.#getToken()).finally(() => {
      this.#fetching = null;
    });
    try {
      this.#token = await this.#fetching;
    } catch {
      throw new Problem("token", "The page could not get a new token.");
    }
    if (!this.#token) {
      throw new Problem("token", "The page has no token to give.");
    }

    return this.#token;
  }
}

function sent(body: unknown): RequestInit {
  return { method: "POST", body: JSON.stringify(body), signal: AbortSignal.timeout(PATIENCE_MS) };
}

/** Yields the lines of an answer as they come. */
async function* linesOf(response: Response): AsyncGenerator<Line> {
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let kept = "";
  for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
    const lines = (kept + value).split("\n");
    kept = lines.pop() ?? "";
    for (const line of lines) {
      const read = readJson(line) as Line | null;
      if (typeof read?.query !== "string") {
        throw new Problem("server", "The answer could not be read.", response.status);
      }
      yield read;
    }
  }
}

/** Returns when a token ends; one that cannot be read is left for the server to judge. */
function endOf(token: string): number {
  const claims = readJson(attempt(() => atob((token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/"))) ?? "");
  const end = (claims as { exp?: unknown } | null)?.exp;

  return typeof end === "number" ? end * 1000 : Infinity;
}

/** Returns the Problem that an error answer stands for; its body is an RFC 9457 document, or a proxy's anything. */
export function problemOf(status: number, body: unknown): Problem {
  const { detail, title, errors } = (body ?? {}) as { detail?: unknown; title?: unknown; errors?: { error?: string }[] };
  const said = typeof detail === "string" ? detail : typeof title === "string" ? title : "";

  const absent = status === 400 && Array.isArray(errors) && errors.every(({ error }) => /^there is no /.test(error ?? ""));

  return new Problem(absent ? "absent" : kindOf(status), said || `The server answered with status ${status}.`, status);
}

function kindOf(status: number): ProblemKind {
  if (status === 401) {
    return "token";
  }
  if (status === 403) {
    return "forbidden";
  }

  return status >= 500 || status === 429 || status === 0 ? "server" : "refused";
}

/** Returns what an action returns, or null where it fails. */
export function attempt<T>(action: () => T): T | null {
  try {
    return action();
  } catch {
    return null;
  }
}

/** Returns decoded JSON, or null for anything else, such as the page of a proxy in between. */
function readJson(text: string): unknown {
  return attempt(() => JSON.parse(text) as unknown);
}

const sources = new Map<string, Source>();
const byGiver = new WeakMap<GetToken, Map<string, Source>>();
let usual: Access = { src: new URL("..", import.meta.url).href };

/** Says once for all elements of a page where the server is and where tokens come from. */
export function configure(access: Partial<Access>): void {
  usual = { ...usual, ...access };
  window.dispatchEvent(new Event("metric-configured"));
}

/** Returns the source of an access; elements with the same one ask together. */
export function sourceOf(own: Partial<Access>): Source | null {
  const named = own.token || own.getToken;
  const access = named ? { ...usual, token: null, getToken: null, ...own } : { ...usual, ...own, token: usual.token ?? null };
  const getToken = named ? own.getToken : usual.getToken;
  if (!access.token && !getToken) {
    return null;
  }
  const known = getToken ? (byGiver.get(getToken) ?? new Map<string, Source>()) : sources;
  if (getToken) {
    byGiver.set(getToken, known);
  }
  const key = JSON.stringify([access.src, access.token ?? null]);
  const found = known.get(key) ?? new Source({ ...access, getToken: getToken ?? null });
  known.set(key, found);

  return found;
}
