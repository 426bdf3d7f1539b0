/**
 * Runs the dashboard: takes the token, reads the catalogue, keeps a card a metric and asks again while someone looks.
 */

import { Api, dropToken, takeToken } from "./api.js";
import { Card } from "./card.js";
import { timeFormat } from "./format.js";
import { firstRange } from "./question.js";

const EVERY_MS = 4000;
const CATALOG_EVERY_MS = 15_000;
const SLOWEST_MS = 60_000;

const STATES = {
  missing: [
    "Open this page from your product",
    "It shows numbers only to someone who brings a key, and the link to it had none. Go back and open it again.",
  ],
  token: [
    "This visit has ended",
    "The key that came with the link is no longer valid. Go back to your product and open the dashboard again.",
  ],
  forbidden: [
    "This dashboard is not open to you",
    "The key that came with the link does not allow it. Ask whoever gave you the link.",
  ],
  network: ["The server cannot be reached", "Check your connection. The page keeps trying by itself."],
  server: ["The numbers are not available right now", "The page keeps trying by itself."],
  refused: ["The numbers are not available", "The server did not accept the question."],
  empty: ["No metrics yet", "Charts appear here by themselves as soon as the first events have arrived."],
};
const FINAL = new Set(["missing", "token", "forbidden"]);

const find = (selector) => document.querySelector(selector);
const storage = () => window.sessionStorage;
const locale = navigator.language || undefined;
const timezone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
const page = { api: null, locale, timezone, moments: timeFormat(locale, timezone), range: "30d", chosen: false };
const cards = new Map();
const watch = new IntersectionObserver(noticed, { rootMargin: "300px" });
const progress = { timer: 0, due: 0, running: false, again: false, failures: 0, catalogAt: 0, freshAt: 0 };

function start() {
  showRange();
  for (const input of document.querySelectorAll(".ranges input")) {
    input.addEventListener("change", () => changeRange(input.value));
  }
  find(".state-action").addEventListener("click", () => soon(0));
  document.addEventListener("visibilitychange", () => soon(0));
  window.addEventListener("online", () => soon(0));
  // The product around an embedded page may hand over a new token before the old one ends.
  window.addEventListener("hashchange", enter);
  enter();
}

function enter() {
  const token = takeToken(window.location, window.history, storage) ?? page.api?.token;
  if (!token) {
    showState("missing");
    return;
  }
  if (token !== page.api?.token) {
    forget();
    page.api = new Api(token);
    showSkeletons();
  }
  soon(0);
}

/** A new token may be another tenant's: nothing of the one before stays on the page. */
function forget() {
  for (const card of cards.values()) {
    removeCard(card);
  }
  Object.assign(progress, { failures: 0, catalogAt: 0, freshAt: 0 });
  find(".state").hidden = true;
  find(".banner").hidden = true;
  find(".tenant").textContent = "";
  find(".environment").hidden = true;
  find(".fresh-text").textContent = "";
}

/** Asks again after a delay, or earlier if that was wanted before. */
function soon(delay) {
  if (document.visibilityState !== "visible" || !page.api) {
    return;
  }
  const due = Date.now() + delay;
  if (progress.timer && progress.due <= due) {
    return;
  }
  clearTimeout(progress.timer);
  progress.due = due;
  progress.timer = setTimeout(tick, delay);
}

async function tick() {
  progress.timer = 0;
  if (progress.running) {
    progress.again = true;
    return;
  }
  const { api } = page;
  progress.running = true;
  try {
    await refreshCatalog();
    const freshness = await refreshCards();
    if (api === page.api) {
      succeed(freshness);
    }
  } catch (problem) {
    if (api === page.api) {
      fail(problem);
    }
  } finally {
    progress.running = false;
  }
  soon(progress.again || api !== page.api ? 0 : Math.min(SLOWEST_MS, EVERY_MS * 2 ** progress.failures));
  progress.again = false;
}

async function refreshCatalog() {
  if (Date.now() - progress.catalogAt < CATALOG_EVERY_MS && cards.size > 0) {
    return;
  }
  const { api } = page;
  const catalog = await api.catalog();
  if (api !== page.api) {
    return;
  }
  progress.catalogAt = Date.now();
  showTenant(catalog.tenant);
  if (!page.chosen) {
    page.range = firstRange(catalog.metrics, Date.now());
    showRange();
  }
  showCards(catalog.metrics);
}

async function refreshCards() {
  const shown = [...cards.values()].filter((card) => card.visible);
  const results = await Promise.allSettled(shown.map((card) => card.refresh()));
  // A question that one metric refuses is that card's matter; anything else stops them all.
  const problem = results.map(({ reason }) => reason).find((reason) => reason && reason.kind !== "refused");
  if (problem) {
    throw problem;
  }

  return results.map(({ value }) => Date.parse(value ?? "")).filter((time) => !Number.isNaN(time));
}

function succeed(freshness) {
  progress.failures = 0;
  find(".banner").hidden = true;
  find(".cards").setAttribute("aria-busy", "false");
  progress.freshAt = Math.max(progress.freshAt, ...freshness);
  showFreshness();
  if (cards.size === 0) {
    showState("empty");
  } else {
    find(".state").hidden = true;
  }
}

function fail(problem) {
  const kind = problem.kind ?? "server";
  progress.failures = Math.min(progress.failures + 1, 5);
  if (FINAL.has(kind)) {
    dropToken(window.location, storage);
    page.api = null;
  }
  find(".top").classList.add("stale");
  if (cards.size > 0 && [...cards.values()].some((card) => card.element.isConnected)) {
    showBanner(kind, problem.kind ? problem.message : "");
  } else {
    showState(kind, problem.kind ? problem.message : "");
  }
  if (!problem.kind) {
    window.reportError(problem);
  }
}

function showTenant(tenant) {
  const name = tenant.name ?? tenant.id;
  find(".tenant").textContent = name;
  find(".environment").textContent = tenant.environment ?? "";
  find(".environment").hidden = !tenant.environment;
  document.title = `${name} – Metrics`;
  find(".top").hidden = false;
}

function showCards(metrics) {
  const names = new Set(metrics.map(({ name }) => name));
  for (const [name, card] of cards) {
    if (!names.has(name)) {
      removeCard(card);
    }
  }
  find(".cards").querySelectorAll(".skeleton").forEach((skeleton) => skeleton.remove());
  for (const metric of metrics) {
    if (cards.has(metric.name)) {
      cards.get(metric.name).update(metric);
    } else {
      addCard(metric);
    }
  }
}

function addCard(metric) {
  const card = new Card(find("#card"), metric, page);
  cards.set(metric.name, card);
  find(".cards").append(card.element);
  watch.observe(card.element);
}

function removeCard(card) {
  watch.unobserve(card.element);
  cards.delete(card.metric.name);
  card.element.remove();
}

/** Cards ask only while they can be seen: a catalogue of hundreds costs what one screen costs. */
function noticed(entries) {
  for (const { target, isIntersecting } of entries) {
    const card = cards.get(target.dataset.metric);
    if (card) {
      card.visible = isIntersecting;
    }
  }
  if (entries.some(({ isIntersecting }) => isIntersecting) && !progress.failures) {
    soon(0);
  }
}

function showSkeletons() {
  const skeletons = Array.from({ length: 6 }, () => {
    const skeleton = find("#card").content.firstElementChild.cloneNode(true);
    skeleton.classList.add("skeleton");
    skeleton.setAttribute("aria-hidden", "true");
    skeleton.querySelector(".plot").removeAttribute("tabindex");
    skeleton.querySelector(".picks").replaceChildren();
    return skeleton;
  });
  find(".cards").replaceChildren(...skeletons);
  find(".cards").setAttribute("aria-busy", "true");
  find(".top").hidden = false;
}

function showState(kind, detail = "") {
  const [title, sentence] = STATES[kind];
  for (const card of cards.values()) {
    removeCard(card);
  }
  find(".cards").replaceChildren();
  find(".cards").setAttribute("aria-busy", "false");
  find(".banner").hidden = true;
  find(".top").hidden = kind !== "empty";
  find(".state-title").textContent = title;
  find(".state-text").textContent = sentence;
  find(".state-detail").textContent = kind === "network" ? "" : detail;
  find(".state-action").hidden = FINAL.has(kind) || kind === "empty";
  find(".state").hidden = false;
  find(".state").dataset.kind = kind;
}

function showBanner(kind, detail) {
  const [title, sentence] = STATES[kind];
  find(".banner").textContent = `${title}. ${sentence}${kind === "server" && detail ? ` (${detail})` : ""}`;
  find(".banner").hidden = false;
}

function showFreshness() {
  const zone = page.timezone.replaceAll("_", " ");
  const fresh = progress.freshAt ? `Fresh as of ${page.moments.moment(progress.freshAt)}` : "";
  find(".top").classList.remove("stale");
  find(".fresh-text").textContent = [fresh, zone].filter(Boolean).join(" · ");
}

function showRange() {
  for (const input of document.querySelectorAll(".ranges input")) {
    input.checked = input.value === page.range;
  }
}

function changeRange(range) {
  page.range = range;
  page.chosen = true;
  for (const card of cards.values()) {
    if (card.visible) {
      card.refresh({ restart: true }).catch(() => soon(0));
    }
  }
}

start();
