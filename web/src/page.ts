/**
 * The page at `/d/<name>`: a dashboard on its own, or in a frame of the product.
 *
 * The token comes in the fragment, which browsers keep to themselves; or from the page around it, which is asked for one
 * whenever one is needed.
 */

import { attempt, Source } from "./source";
import type { MetricDashboard } from "./metric-dashboard";
import "./index";

/** The page around may listen only when it is whole, after this one has asked. */
const AGAIN_MS = 1_000;
const PATIENCE_MS = 10_000;
const ASK = "metriclake:token-needed";
const GIVE = "metriclake:token";

const framed = window.parent !== window;
const place = `metriclake${location.pathname}`;
const dashboard = document.querySelector<MetricDashboard>("metric-dashboard")!;
let embedder = embedderAtFirst();
let waiting: ((token: string) => void) | null = null;

/** Returns the origin of the page around this one, where the browser tells; no page can make one up. */
function embedderAtFirst(): string | null {
  if (!framed) {
    return null;
  }
  const ancestor = location.ancestorOrigins?.[0];

  return ancestor && ancestor !== "null" ? ancestor : attempt(() => new URL(document.referrer).origin);
}

/**
 * Returns the token of this visit, or null.
 *
 * It leaves the address bar at once, so that it is neither bookmarked nor pasted along with a link. Memory alone would be
 * the safest place, but a reload would then lose it; sessionStorage adds only this tab, this origin and the tab's lifetime.
 */
function takeToken(): string | null {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const arrived = fragment.get("token");
  if (fragment.has("token")) {
    fragment.delete("token");
    const rest = fragment.toString();
    history.replaceState(null, "", location.pathname + location.search + (rest && `#${rest}`));
  }
  if (arrived) {
    attempt(() => sessionStorage.setItem(place, arrived));
  }

  return arrived || attempt(() => sessionStorage.getItem(place)) || null;
}

/** Asks the page around this one for a token; only the one that frames us can answer. */
function askAround(): Promise<string> {
  return new Promise((resolve, reject) => {
    const say = () => window.parent.postMessage({ type: ASK }, embedder ?? "*");
    const again = setInterval(say, AGAIN_MS);
    const late = setTimeout(() => {
      clearInterval(again);
      reject(new Error("no answer"));
    }, PATIENCE_MS);
    waiting = (token) => {
      clearInterval(again);
      clearTimeout(late);
      resolve(token);
    };
    say();
  });
}

function use(token: string | null): void {
  const src = new URL("..", import.meta.url).href;
  dashboard.source = new Source({ src, token, getToken: framed ? askAround : null, embedder });
}

function enter(): void {
  const token = takeToken();
  if (token || framed) {
    use(token);
  }
}

window.addEventListener("message", (event: MessageEvent<{ type?: string; token?: string }>) => {
  if (event.source !== window.parent || event.data?.type !== GIVE || typeof event.data.token !== "string") {
    return;
  }
  const first = embedder !== event.origin;
  embedder = event.origin;
  if (waiting && !first) {
    waiting(event.data.token);
  } else {
    use(event.data.token);
  }
  waiting = null;
});
window.addEventListener("hashchange", enter);
dashboard.addEventListener("metric-described", (event) => {
  const { title, tenant } = (event as CustomEvent<{ title: string; tenant: { id: string; name: string | null } }>).detail;
  document.title = [title, tenant.name ?? tenant.id].filter(Boolean).join(" – ");
  document.querySelector("h1")!.textContent = document.title;
});
dashboard.addEventListener("metric-error", (event) => {
  if ((event as CustomEvent<{ kind: string }>).detail.kind === "token") {
    attempt(() => sessionStorage.removeItem(place));
  }
});
dashboard.setAttribute("name", decodeURIComponent(location.pathname.split("/").at(-1) ?? ""));
const theme = new URLSearchParams(location.search).get("theme");
if (theme === "light" || theme === "dark") {
  document.documentElement.dataset["theme"] = theme;
}
enter();
