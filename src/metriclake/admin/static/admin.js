/**
 * The internal page: health, tenants, questions over all of them, rules, catalogue.
 *
 * The admin key comes in the fragment or the form and goes into a session, a cookie that this script cannot read; it is
 * kept nowhere here. Every request bears a header that no other origin's page can send.
 */

import { element, found, many, number, say, table, words } from "./parts.js";
import { ask, begin, end } from "./session.js";
import { showAudit } from "./audit.js";
import { showCatalogue, showFleet } from "./fleet.js";
import { showRules } from "./rules.js";
import { showTenants } from "./tenants.js";

/** How often a part that changes by itself is asked again. */
const EVERY_MS = { health: 2000, fleet: 60_000 };
/** Where an answer takes long the page asks less often: so many times as long as it took lies between. */
const PATIENCE = 10;
const MOST_ACCOUNTS = 50;
const STORE = ["stored", "duplicate", "conflict", "expired", "deleted", "dead", "waiting"];
const DELIVERY = ["delivered", "dead", "waiting", "not_mapped"];
const STREAM = ["received", "in_flight", "held", "rejected", "laked"];
const PLACES = {
  health: showHealth, tenants: showTenants, fleet: showFleet, rules: showRules, catalogue: showCatalogue, audit: showAudit,
};

const UNKEPT = "The browser kept no session: it does so over https, and at localhost. Open this page there.";

let timer = 0;
let last = null;
/** What is known of the books, and whether it is wrong. */
let verdict = ["", false];
/** Whether the login is so fresh that a missing session is the browser's doing. */
let fresh = false;

found("login").addEventListener("submit", (event) => {
  event.preventDefault();
  logIn(found("key").value.trim());
});
found("filter").addEventListener("submit", (event) => event.preventDefault());
found("account").addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(show, 300);
});
found("logout").addEventListener("click", async () => {
  await end();
  askForKey("Logged out.");
});
document.addEventListener("visibilitychange", () => place() in EVERY_MS && show());
window.addEventListener("hashchange", arrive);
arrive();

/** Takes a key out of the address bar, or shows the part that the address names. */
function arrive() {
  const key = new URLSearchParams(location.hash.slice(1)).get("key");
  if (key) {
    history.replaceState(null, "", location.pathname);
    logIn(key);
    return;
  }
  show();
}

async function logIn(key) {
  const answer = await begin(key);
  found("key").value = "";
  if (!answer.ok) {
    askForKey((await answer.json()).detail);
    return;
  }
  fresh = true;
  show();
}

function place() {
  const named = location.hash.slice(1);
  return Object.hasOwn(PLACES, named) ? named : "health";
}

async function show() {
  clearTimeout(timer);
  if (document.hidden) {
    return;
  }
  const wanted = place();
  const began = performance.now();
  try {
    // The books of very many tenants take a while: only the part that shows them waits for them.
    const status = wanted === "health" ? await books() : await ask("session");
    fresh = false;
    found("login").hidden = true;
    found("places").hidden = false;
    say("verdict", ...verdict);
    for (const section of document.querySelectorAll("[data-place]")) {
      section.hidden = section.id !== wanted;
    }
    for (const link of document.querySelectorAll("nav a")) {
      link.toggleAttribute("aria-current", link.hash === `#${wanted}`);
    }
    await PLACES[wanted](status);
  } catch (error) {
    if (error.status === 401) {
      askForKey(fresh ? UNKEPT : error.message);
      fresh = false;
      return;
    }
    say("verdict", error.status ? error.message : "The server does not answer. Trying again …", true);
  }
  if (wanted in EVERY_MS) {
    timer = setTimeout(show, Math.max(EVERY_MS[wanted], PATIENCE * (performance.now() - began)));
  }
}

/** Asks for the books, of which those accounts are shown that stand out, and says whether they balance. */
async function books() {
  const status = await ask(`status?${new URLSearchParams({ most: MOST_ACCOUNTS, search: found("account").value.trim() })}`);
  verdict = [status.balanced ? "The books balance." : "The books do not balance.", !status.balanced];
  return status;
}

function askForKey(why) {
  clearTimeout(timer);
  found("login").hidden = false;
  found("places").hidden = true;
  for (const section of document.querySelectorAll("[data-place]")) {
    section.hidden = true;
  }
  say("verdict", why);
}

/** Says how many events were accepted a second since the page looked last. */
function showPace({ accepted }) {
  const now = { accepted, at: performance.now() };
  if (last && now.at > last.at) {
    const pace = (accepted - last.accepted) / ((now.at - last.at) / 1000);
    say("pace", `${number.format(Math.round(pace))} domain events a second accepted.`);
  }
  last = now;
}

async function showHealth(status) {
  showPace(status.domain_events);
  const [dead, refused] = await Promise.all([ask("deadletters"), reasons()]);
  table(
    "stages",
    ["stage", "waiting", "seconds behind"],
    Object.entries(status.stages).map(([name, stage]) => [name, stage.waiting, stage.lag_seconds]),
  );
  showDestinations(status.delivered);
  const events = status.domain_events;
  table("events", Object.keys(events).map(words), [Object.values(events)]);
  say("accounts", status.matching > status.books.length
    ? `${number.format(status.books.length)} of ${number.format(status.matching)} accounts: what does not balance and what waits comes first.`
    : `${many(status.matching, "account")}.`);
  const all = (name) => status.totals[name];
  table("totals", [...STREAM.map(words), ...STORE], [[...STREAM.map(all), ...STORE.map((name) => all(`store_${name}`))]]);
  table(
    "books",
    ["tenant", "metric", ...STREAM.map(words), ...STORE],
    status.books.map((row) => [
      row.tenant,
      row.metric,
      ...STREAM.map((name) => row[name]),
      ...STORE.map((name) => row.store[name]),
    ]),
  );
  found("failures").replaceChildren(...status.failures.map((text) => element("li", text, "wrong")));
  say("refused", refused.length > 0 ? "metriclake errors show prints them." : "None.");
  table("errors", refused.length > 0 ? ["reason", "records"] : [], refused);
  showLetters(dead.groups);
}

/** Returns how many records were refused by each reason, all slices of the answer together. */
async function reasons() {
  const sums = new Map();
  let after = "";
  do {
    const part = await ask(`errors?${new URLSearchParams({ after })}`);
    for (const { reason, records } of part.groups) {
      sums.set(reason, (sums.get(reason) ?? 0) + records);
    }
    after = part.next;
  } while (after);
  return [...sums];
}

/** Shows what became of each destination's metric events: the sums of its books. */
function showDestinations(delivered) {
  const sums = Object.entries(delivered);
  found("outside").hidden = sums.length === 0;
  table(
    "destinations",
    ["destination", ...DELIVERY.map(words)],
    sums.map(([name, sum]) => [name, ...DELIVERY.map((counter) => sum[counter])]),
  );
}

/** Shows dead letters by what they have in common, each with a button that has them tried again. */
function showLetters(groups) {
  if (groups.length > 0) {
    found("outside").hidden = false;
  }
  const heads = ["destination", "reason", "tenant", "metric", "state", "letters", "newest", "again"];
  table(
    "letters",
    groups.length > 0 ? heads : [],
    groups.map((group) => [
      ...heads.slice(0, 6).map((name) => group[name]),
      new Date(group.newest).toLocaleString(),
      group.state === "dead" ? redriving(group) : "",
    ]),
  );
  if (groups.length === 0) {
    found("redriven").textContent = "None.";
  }
}

function redriving({ destination, reason, tenant, metric }) {
  const button = element("button", "Redrive");
  button.addEventListener("click", async () => {
    button.disabled = true;
    let after = 0;
    let letters = 0;
    do {
      let body;
      try {
        body = await ask("deadletters/redrive", { destination, reason, tenant, metric, after });
      } catch (error) {
        found("redriven").textContent = error.message;
        return;
      }
      letters += body.letters;
      after = body.next;
    } while (after);
    found("redriven").textContent = `${number.format(letters)} of ${destination} are tried again.`;
    show();
  });
  return button;
}
