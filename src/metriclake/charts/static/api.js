/**
 * Asks the query API on the tenant's behalf, and turns every failure into a Problem with a kind and a sentence.
 */

const ROOT = new URL("../v1/", import.meta.url);
const PATIENCE_MS = 20_000;

/** A failed request. `kind` is one of token, forbidden, network, server, refused. */
export class Problem extends Error {
  constructor(kind, detail, status = 0) {
    super(detail);
    this.kind = kind;
    this.status = status;
  }
}

/**
 * Returns the token of this visit, or null.
 *
 * It arrives in the fragment, which browsers keep to themselves, and leaves the address bar at once, so that it is
 * neither bookmarked nor pasted along with a link. Memory alone would be the safest place, but a reload would then
 * lose it; sessionStorage adds only this tab, this origin and the tab's lifetime, and what could read it (a foreign
 * script on this origin) could as well wait for the token in memory. The policy header keeps such scripts out.
 */
export function takeToken(location, history, storage) {
  const place = `metriclake${location.pathname}`;
  const fragment = new URLSearchParams(location.hash.slice(1));
  const arrived = fragment.get("token");

  if (fragment.has("token")) {
    fragment.delete("token");
    const rest = fragment.toString();
    history.replaceState(null, "", location.pathname + location.search + (rest && `#${rest}`));
  }
  if (arrived) {
    attempt(() => storage().setItem(place, arrived));
  }

  return arrived || attempt(() => storage().getItem(place)) || null;
}

/** Forgets a token that the server does not take any more. */
export function dropToken(location, storage) {
  attempt(() => storage().removeItem(`metriclake${location.pathname}`));
}

/** Speaks to the API with one token. */
export class Api {
  constructor(token) {
    this.token = token;
  }

  catalog() {
    return this.#send("catalog", { method: "GET" });
  }

  ask(question, signal) {
    return this.#send("query", { method: "POST", body: JSON.stringify(question) }, signal);
  }

  async #send(path, request, signal) {
    const stop = new AbortController();
    const late = setTimeout(() => stop.abort(), PATIENCE_MS);
    signal?.addEventListener("abort", () => stop.abort());

    try {
      return await this.#exchange(path, request, stop.signal);
    } catch (error) {
      if (signal?.aborted || error instanceof Problem) {
        throw error;
      }
      throw new Problem("network", "The server cannot be reached.");
    } finally {
      clearTimeout(late);
    }
  }

  async #exchange(path, request, signal) {
    const headers = { Accept: "application/json", Authorization: `Bearer ${this.token}` };
    if (request.body) {
      headers["Content-Type"] = "application/json";
    }
    const response = await fetch(new URL(path, ROOT), {
      ...request, headers, signal, cache: "no-store", credentials: "omit", redirect: "error",
    });
    const body = readJson(await response.text());
    if (!response.ok) {
      throw problemOf(response.status, body);
    }
    if (body === null || typeof body !== "object") {
      throw new Problem("server", "The answer could not be read.", response.status);
    }

    return body;
  }
}

/** Returns the Problem that an error answer stands for; its body is an RFC 9457 document, or a proxy's anything. */
export function problemOf(status, body) {
  const said = typeof body?.detail === "string" ? body.detail : typeof body?.title === "string" ? body.title : "";

  return new Problem(kindOf(status), said || `The server answered with status ${status}.`, status);
}

function kindOf(status) {
  if (status === 401) {
    return "token";
  }
  if (status === 403) {
    return "forbidden";
  }

  return status >= 500 || status === 429 ? "server" : "refused";
}

/** Returns what an action returns, or null where it fails, as sessionStorage does in a sandboxed frame. */
function attempt(action) {
  try {
    return action();
  } catch {
    return null;
  }
}

/** Returns decoded JSON, or null for anything else, such as the page of a proxy in between. */
function readJson(text) {
  return attempt(() => JSON.parse(text));
}
