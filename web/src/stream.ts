/**
 * Hears of new data as it comes: server-sent events, read by `fetch` because they need the token's header.
 *
 * Where the server has no stream, or none for this token, those who listen go on asking every few seconds.
 */

const SLOWEST_MS = 60_000;
/** The server breathes every 15 seconds; a stream that is silent for longer is dead. */
const SILENCE_MS = 40_000;

export type Heard = (metric: string | null) => void;
type Open = (headers: Record<string, string>, signal: AbortSignal) => Promise<Response>;

export class Stream {
  /** Whether new data is told as it comes. */
  alive = false;
  #open: Open;
  #listeners = new Set<Heard>();
  #stop: AbortController | null = null;
  #last = "";
  #absent = false;

  constructor(open: Open) {
    this.#open = open;
  }

  /** Calls back with a metric that has new data, or with null where anything may have; returns what ends it. */
  listen(heard: Heard): () => void {
    this.#listeners.add(heard);
    if (!this.#stop && !this.#absent) {
      this.#stop = new AbortController();
      void this.#run(this.#stop.signal);
    }

    return () => {
      this.#listeners.delete(heard);
      if (this.#listeners.size === 0) {
        this.#stop?.abort();
        this.#stop = null;
      }
    };
  }

  async #run(signal: AbortSignal): Promise<void> {
    let pause = 1000;
    while (!signal.aborted) {
      const began = Date.now();
      try {
        await this.#read(signal);
      } catch (problem) {
        const status = (problem as { status?: number }).status ?? 0;
        if (status >= 400 && status < 500 && status !== 429 && status !== 408) {
          this.#absent = true;
          return;
        }
      }
      if (this.alive && !signal.aborted) {
        // What comes from now on is not told: those who listen ask, and see for themselves whether the server is away.
        this.alive = false;
        this.#tell(null);
      }
      pause = Date.now() - began > SILENCE_MS ? 1000 : Math.min(SLOWEST_MS, pause * 2);
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }

  async #read(signal: AbortSignal): Promise<void> {
    const silence = new AbortController();
    let watch = 0;
    const heardOf = () => {
      clearTimeout(watch);
      watch = window.setTimeout(() => silence.abort(), SILENCE_MS);
    };
    heardOf();
    try {
      const headers: Record<string, string> = { Accept: "text/event-stream" };
      if (this.#last) {
        headers["Last-Event-ID"] = this.#last;
      }
      const response = await this.#open(headers, AbortSignal.any([signal, silence.signal]));
      const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
      this.alive = true;
      let kept = "";
      for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
        heardOf();
        const events = (kept + value).split(/\r?\n\r?\n/);
        kept = events.pop() ?? "";
        events.forEach((event) => this.#take(event));
      }
    } finally {
      clearTimeout(watch);
    }
  }

  #take(text: string): void {
    const fields: Record<string, string> = {};
    for (const line of text.split(/\r?\n/)) {
      const at = line.indexOf(":");
      if (at > 0) {
        fields[line.slice(0, at)] = line.slice(at + 1).trim();
      }
    }
    this.#last = fields["id"] ?? this.#last;
    if (fields["event"] === "metric") {
      const { metric } = JSON.parse(fields["data"] ?? "{}") as { metric?: string };
      this.#tell(metric ?? null);
    } else if (fields["event"] === "reset") {
      this.#tell(null);
    }
  }

  #tell(metric: string | null): void {
    this.#listeners.forEach((heard) => heard(metric));
  }
}
