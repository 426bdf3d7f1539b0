/**
 * The tenants: what there is of each, what it cost, when it was last seen; what it sees, and where that comes from.
 */

import { configure } from "../assets/metriclake.js";

import { element, found, moment, number, say, table } from "./parts.js";
import { ask } from "./session.js";

const questions = new WeakMap();
let held = [];
let costs = new Map();

found("name").addEventListener("input", list);
found("search").addEventListener("submit", (event) => event.preventDefault());
found("dashboard").addEventListener("metric-loaded", (event) => questions.set(event.composedPath()[0], event.detail.question));
found("dashboard").addEventListener("metric-point", (event) => tell(questions.get(event.composedPath()[0]), event.detail));

export async function showTenants() {
  held = [];
  let after = "";
  do {
    const part = await ask(`tenants?${new URLSearchParams({ after })}`);
    held.push(...part.tenants);
    after = part.next;
  } while (after);
  costs = new Map((await ask("usage")).tenants.map((one) => [one.tenant, one]));
  list();
}

/** Lists the tenants whose name has what is searched for. */
function list() {
  const wanted = found("name").value.trim().toLowerCase();
  const shown = held.filter(({ tenant }) => tenant.toLowerCase().includes(wanted));
  say("holding", `${number.format(shown.length)} of ${number.format(held.length)} tenants.`);
  table(
    "holdings",
    shown.length > 0 ? ["tenant", "metrics", "rows", "questions", "store ms", "last seen", "what it sees"] : [],
    shown.map(({ tenant, metrics, rows, last_time }) => {
      const cost = costs.get(tenant);
      return [tenant, metrics.length, rows, cost?.questions ?? 0, Math.round(cost?.engine_ms ?? 0), moment(last_time), viewing(tenant)];
    }),
  );
}

function viewing(tenant) {
  const button = element("button", "View as");
  button.addEventListener("click", () => view(tenant));
  return button;
}

/** Shows the dashboard of a tenant with a token of its own; each token leaves a line in the server's log. */
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

/** Tells where a point comes from. */
async function tell(question, { time, group }) {
  if (!question) {
    return;
  }
  const names = question.group_by ?? [];
  const values = Array.isArray(group) ? group : group == null ? [] : [group];
  if (question.limit !== undefined && values.includes("other")) {
    clear("This group is the rest of all groups that are not among the largest: choose one of those.");
    return;
  }
  const filters = [...(question.filters ?? [])];
  if (names.length === 1 && values.length === 1) {
    filters.push({ dimension: names[0], equals: values[0] });
  }
  try {
    const tenant = found("viewed").dataset.tenant;
    showOrigin(await ask("provenance", { tenant, question: { ...question, filters }, ...(time ? { time } : {}) }));
  } catch (error) {
    clear(error.message, true);
  }
}

function showOrigin({ metric, from, to, value, objects, more, rules }) {
  clear(`${metric}, ${moment(from)} to ${moment(to)}: ${value ?? "nothing"}, of ${objects.length}${more ? " or more" : ""} lake objects.`);
  table(
    "objects",
    objects.length > 0 ? ["object", "path", "sealed", "rows", "version", "events"] : [],
    objects.map((one) => [one.number, one.path, one.sealed_at ? moment(one.sealed_at) : "", one.rows, String(one.version), element("code", one.event_ids.join(" "))]),
  );
  found("made").hidden = rules.length === 0;
  found("made").textContent = rules.map((one) => `version ${one.version}${one.in_force ? ", in force" : ""}\n${JSON.stringify(one.rule, null, 2)}`).join("\n\n");
}
