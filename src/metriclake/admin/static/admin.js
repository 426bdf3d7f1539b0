/**
 * The internal page: asks for the status with the admin key, and shows it as tables.
 *
 * The key comes in the fragment or the form, is kept for this tab, and is only ever sent as a bearer header.
 */

const PLACE = "metriclake/admin";
const EVERY_MS = 2000;
const STORE = ["stored", "duplicate", "conflict", "expired", "deleted", "dead", "waiting"];
const DELIVERY = ["delivered", "dead", "waiting", "not_mapped"];
const STREAM = ["received", "in_flight", "held", "rejected", "laked"];

const found = (id) => document.getElementById(id);
const number = new Intl.NumberFormat();

let key = takeKey();
let timer = 0;

found("login").addEventListener("submit", (event) => {
  event.preventDefault();
  key = found("key").value.trim();
  sessionStorage.setItem(PLACE, key);
  refresh();
});
document.addEventListener("visibilitychange", refresh);
refresh();

/** Takes the key out of the address bar, or the tab's memory. */
function takeKey() {
  const arrived = new URLSearchParams(location.hash.slice(1)).get("key");
  if (arrived) {
    sessionStorage.setItem(PLACE, arrived);
    history.replaceState(null, "", location.pathname);
  }
  return arrived ?? sessionStorage.getItem(PLACE);
}

async function refresh() {
  clearTimeout(timer);
  if (document.hidden) {
    return;
  }
  if (!key) {
    askForKey("Give the admin key.");
    return;
  }
  try {
    const [answer, dead] = await Promise.all([ask("status"), ask("deadletters")]);
    const body = await answer.json();
    if (answer.status === 401) {
      sessionStorage.removeItem(PLACE);
      key = null;
      askForKey(body.detail);
      return;
    }
    show(body);
    showLetters((await dead.json()).groups);
  } catch {
    verdict("The server does not answer. Trying again …", true);
  }
  timer = setTimeout(refresh, EVERY_MS);
}

function ask(what, body) {
  const headers = { Authorization: `Bearer ${key}` };
  const sent = body ? { method: "POST", body: JSON.stringify(body) } : {};
  return fetch(new URL(`../v1/admin/${what}`, import.meta.url), { headers, ...sent });
}

function askForKey(why) {
  found("login").hidden = false;
  found("facts").hidden = true;
  verdict(why, false);
}

function verdict(text, wrong) {
  found("verdict").textContent = text;
  found("verdict").className = wrong ? "wrong" : "";
}

function show(status) {
  found("login").hidden = true;
  found("facts").hidden = false;
  verdict(status.balanced ? "The books balance." : "The books do not balance.", !status.balanced);
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
  const heads = ["destination", "reason", "tenant", "metric", "state", "letters", "newest", ""];
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
      const answer = await ask("deadletters/redrive", { destination, reason, tenant, metric, after });
      const body = await answer.json();
      if (!answer.ok) {
        found("redriven").textContent = body.detail;
        return;
      }
      letters += body.letters;
      after = body.next;
    } while (after);
    found("redriven").textContent = `${number.format(letters)} of ${destination} are tried again.`;
    refresh();
  });
  return button;
}

function table(id, heads, rows) {
  const head = element("tr");
  head.append(...heads.map((text, index) => element("th", text, kind(rows[0]?.[index]))));
  const lines = rows.map((row) => {
    const line = element("tr");
    line.append(...row.map((value) => (value instanceof Node ? cell(value) : element("td", text(value), kind(value)))));
    return line;
  });
  found(id).replaceChildren(head, ...lines);
}

function cell(node) {
  const made = element("td");
  made.append(node);
  return made;
}

function element(name, content = "", className = "") {
  const made = document.createElement(name);
  made.textContent = content;
  made.className = className;
  return made;
}

function text(value) {
  return typeof value === "number" ? number.format(value) : value;
}

function kind(value) {
  if (typeof value !== "number") {
    return "name";
  }
  return value === 0 ? "nothing" : "";
}

function words(name) {
  return name.replaceAll("_", " ");
}
