/**
 * The internal page: health, tenants, questions over all of them, rules, catalogue.
 *
 * The admin key comes in the fragment or the form and goes into a session, a cookie that this script cannot read; it is
 * kept nowhere here. Every request bears a header that no other origin's page can send.
 */

import { element, found, number, say, table, words } from "./parts.js";
import { ask, begin, end } from "./session.js";
import { showCatalogue, showFleet } from "./fleet.js";
import { showRules } from "./rules.js";
import { showTenants } from "./tenants.js";

const EVERY_MS = 2000;
const STORE = ["stored", "duplicate", "conflict", "expired", "deleted", "dead", "waiting"];
const DELIVERY = ["delivered", "dead", "waiting", "not_mapped"];
const STREAM = ["received", "in_flight", "held", "rejected", "laked"];
const PLACES = { health: showHealth, tenants: showTenants, fleet: showFleet, rules: showRules, catalogue: showCatalogue };

let timer = 0;
let last = null;

found("login").addEventListener("submit", (event) => {
  event.preventDefault();
  logIn(found("key").value.trim());
});
found("logout").addEventListener("click", async () => {
  await end();
  askForKey("Logged out.");
});
document.addEventListener("visibilitychange", () => place() === "health" && show());
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
  if (answer.ok) {
    show();
  } else {
    askForKey((await answer.json()).detail);
  }
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
  try {
    const status = await ask("status");
    found("login").hidden = true;
    found("places").hidden = false;
    say("verdict", status.balanced ? "The books balance." : "The books do not balance.", !status.balanced);
    for (const section of document.querySelectorAll("[data-place]")) {
      section.hidden = section.id !== wanted;
    }
    for (const link of document.querySelectorAll("nav a")) {
      link.toggleAttribute("aria-current", link.hash === `#${wanted}`);
    }
    await PLACES[wanted](status);
  } catch (error) {
    if (error.status === 401) {
      askForKey(error.message);
      return;
    }
    say("verdict", error.status ? error.message : "The server does not answer. Trying again …", true);
  }
  if (wanted === "health") {
    timer = setTimeout(show, EVERY_MS);
  }
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
  showDestinations(status.books);
  const events = status.domain_events;
  table("events", Object.keys(events).map(words), [Object.values(events)]);
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
function showDestinations(books) {
  const sums = new Map();
  for (const row of books) {
    for (const [name, counters] of Object.entries(row.destinations)) {
      const sum = sums.get(name) ?? DELIVERY.map(() => 0);
      sums.set(name, sum.map((amount, index) => amount + counters[DELIVERY[index]]));
    }
  }
  found("outside").hidden = sums.size === 0;
  table("destinations", ["destination", ...DELIVERY.map(words)], [...sums].map(([name, sum]) => [name, ...sum]));
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
