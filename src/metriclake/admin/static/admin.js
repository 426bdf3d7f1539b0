/**
 * The internal page: asks for the status with the admin key, and shows it as tables.
 *
 * The key comes in the fragment or the form, is kept for this tab, and is only ever sent as a bearer header.
 */

const PLACE = "metriclake/admin";
const EVERY_MS = 2000;
const STORE = ["stored", "duplicate", "conflict", "expired", "deleted", "dead", "waiting"];
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
    const answer = await fetch(new URL("../v1/admin/status", import.meta.url), {
      headers: { Authorization: `Bearer ${key}` },
    });
    const body = await answer.json();
    if (answer.status === 401) {
      sessionStorage.removeItem(PLACE);
      key = null;
      askForKey(body.detail);
      return;
    }
    show(body);
  } catch {
    verdict("The server does not answer. Trying again …", true);
  }
  timer = setTimeout(refresh, EVERY_MS);
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

function table(id, heads, rows) {
  const head = element("tr");
  head.append(...heads.map((text, index) => element("th", text, kind(rows[0]?.[index]))));
  const lines = rows.map((row) => {
    const line = element("tr");
    line.append(...row.map((value) => element("td", text(value), kind(value))));
    return line;
  });
  found(id).replaceChildren(head, ...lines);
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
