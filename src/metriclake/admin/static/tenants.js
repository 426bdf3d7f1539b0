/**
 * The tenants: what there is of each, what it cost, when it was last seen; what it sees, and where that comes from.
 */

import { configure } from "../assets/metriclake.js";

import { element, found, many, moment, number, say, table } from "./parts.js";
import { ask } from "./session.js";

const PAGE = 50;
const SETTLE_MS = 250;
const questions = new WeakMap();
/** Where the pages before this one begin, this one last. */
let begins = [""];
let following = "";
let asked = 0;
let soon = 0;

found("name").addEventListener("input", () => {
  clearTimeout(soon);
  begins = [""];
  soon = setTimeout(list, SETTLE_MS);
});
found("back").addEventListener("click", () => {
  begins.pop();
  list();
});
found("further").addEventListener("click", () => {
  begins.push(following);
  list();
});
found("search").addEventListener("submit", (event) => event.preventDefault());
found("dashboard").addEventListener("metric-loaded", (event) => questions.set(event.composedPath()[0], event.detail.question));
found("dashboard").addEventListener("metric-point", (event) => tell(questions.get(event.composedPath()[0]), event.detail));

export async function showTenants() {
  begins = [""];
  await list();
}

/** Lists a page of the tenants whose id has what is searched for; the server searches. */
async function list() {
  asked += 1;
  const mine = asked;
  const search = found("name").value.trim();
  const page = await ask(`tenants?${new URLSearchParams({ after: begins.at(-1), limit: PAGE, search })}`).catch((error) => error);
  if (mine !== asked) {
    return;
  }
  if (page instanceof Error) {
    say("holding", page.message, true);
    return;
  }
  const { tenants, next, matching } = page;
  following = next;
  found("back").disabled = begins.length < 2;
  found("further").disabled = !next;
  found("turning").hidden = begins.length < 2 && !next;
  say("holding", `${many(matching, "tenant")}${search ? " found" : ""}${next || begins.length > 1 ? `, page ${number.format(begins.length)}` : ""}.`);
  table(
    "holdings",
    tenants.length > 0 ? ["tenant", "what it sees", "name", "metrics", "rows", "questions", "store ms", "last seen"] : [],
    tenants.map(({ tenant, name, metrics, rows, last_time, cost }) => [
      tenant, viewing(tenant), name ?? "", metrics.length, rows, cost.questions, Math.round(cost.engine_ms), moment(last_time),
    ]),
  );
}

function viewing(tenant) {
  const button = element("button", "View as");
  button.addEventListener("click", () => view(tenant));
  return button;
}

/** Shows the dashboard of a tenant with a token of its own; each token leaves a line in the audit trail. */
function view(tenant) {
  configure({ getToken: async () => (await ask("view-as", { tenant })).token });
  const dashboard = document.createElement("metric-dashboard");
  dashboard.setAttribute("name", "default");
  found("dashboard").replaceChildren(dashboard);
  found("viewing").textContent = `As ${tenant}`;
  found("viewed").dataset.tenant = tenant;
  found("viewed").hidden = false;
  clear("");
  found("viewed").scrollIntoView();
}

function clear(why, wrong = false) {
  say("origin", why, wrong);
  table("objects", [], []);
  found("made").hidden = true;
}

/** Tells where a point comes from: of its interval, and of its groups where it is of one of each dimension. */
async function tell(question, { time, groups }) {
  if (!question) {
    return;
  }
  const own = Object.entries(groups ?? {});
  if (question.limit !== undefined && own.length > 0 && own.every(([, value]) => value === "other")) {
    clear("This group is the rest of all groups that are not among the largest: choose one of those.");
    return;
  }
  const only = own.map(([dimension, value]) => (value === null ? { dimension, exists: false } : { dimension, equals: value }));
  const filters = [...(question.filters ?? []), ...only];
  try {
    const tenant = found("viewed").dataset.tenant;
    showOrigin(await ask("provenance", { tenant, question: { ...question, filters }, ...(time ? { time } : {}) }));
  } catch (error) {
    clear(error.message, true);
  }
}

function showOrigin({ metric, from, to, value, objects, more, rules }) {
  clear(`${metric}, ${moment(from)} to ${moment(to)}: ${value ?? "nothing"}, of ${more ? `more than ${objects.length} lake objects` : many(objects.length, "lake object")}.`);
  table(
    "objects",
    objects.length > 0 ? ["object", "path", "sealed", "rows", "version", "events"] : [],
    objects.map((one) => [one.number, one.path, one.sealed_at ? moment(one.sealed_at) : "", one.rows, String(one.version), element("code", one.event_ids.join(" "))]),
  );
  found("made").hidden = rules.length === 0;
  found("made").textContent = rules.map((one) => `version ${one.version}${one.in_force ? ", in force" : ""}\n${JSON.stringify(one.rule, (_, value) => value ?? undefined, 2)}`).join("\n\n");
}
