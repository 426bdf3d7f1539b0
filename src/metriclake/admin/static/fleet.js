/**
 * Questions over all tenants, drawn by the charts that customers see; and the catalogue of all.
 */

import { problemOf } from "../assets/metriclake.js";

import { element, found, many, moment, say, table } from "./parts.js";
import { ask } from "./session.js";

const ROWS = "(events)";
const MOST_TENANTS = 20;
const STEPS = { "24h": "hour", "7d": "day", "30d": "day", "90d": "day", "365d": "week" };
const [ROW_HEIGHT, LEAST_HEIGHT] = [34, 120];
const LISTS = ["top", "movers"];
const asking = new Map();
let metrics = [];

found("metric").addEventListener("change", () => {
  offerMeasures();
  answer();
});
found("measure").addEventListener("change", () => {
  found("aggregate").disabled = found("measure").value === ROWS;
  answer();
});
for (const name of ["aggregate", "range"]) {
  found(name).addEventListener("change", answer);
}
found("question").addEventListener("submit", (event) => {
  event.preventDefault();
  answer();
});
found("charts").addEventListener("metric-loaded", ({ target, detail }) => heard(target, detail.answer));
found("charts").addEventListener("metric-error", ({ detail }) => say("asked", detail.message, true));
found("charts").addEventListener("metric-point", ({ detail }) => detail.groups?.tenant && visit(detail.groups.tenant));

export async function showFleet() {
  ({ metrics } = await ask("catalog"));
  const names = metrics.map(({ name }) => name);
  if (names.join("\n") !== [...found("metric").options].map(({ value }) => value).join("\n")) {
    const chosen = found("metric").value;
    found("metric").replaceChildren(...names.map((name) => new Option(name)));
    found("metric").value = names.includes(chosen) ? chosen : (names[0] ?? "");
    offerMeasures();
  }
  found("charts").hidden = metrics.length === 0;
  if (metrics.length === 0) {
    say("asked", "There are no metrics yet.");
    return;
  }
  answer();
}

function charts() {
  return [...document.querySelectorAll("#charts metric-chart")];
}

function offerMeasures() {
  const chosen = metrics.find(({ name }) => name === found("metric").value);
  found("measure").replaceChildren(new Option(ROWS), ...(chosen?.measures ?? []).map(({ name }) => new Option(name)));
  found("aggregate").disabled = true;
}

/** Sets every chart its question; each asks by `answerOf`. */
function answer() {
  const measure = found("measure").value;
  const measured = measure === ROWS ? {} : { measure, aggregate: found("aggregate").value };
  const plain = { metric: found("metric").value, range: { last: found("range").value } };
  for (const chart of charts()) {
    const { show } = chart.dataset;
    const of = show === "adoption" ? plain : { ...plain, ...measured };
    chart.getAnswer ??= (question) => answerOf(show, question);
    chart.question = LISTS.includes(show)
      ? { ...of, group_by: ["tenant"] }
      : { ...of, interval: STEPS[plain.range.last], fill: show === "adoption" || adds(measured) ? "zero" : "null" };
  }
}

function adds({ aggregate }) {
  return aggregate === undefined || aggregate === "sum";
}

/** Asks a chart's question over all tenants; two charts of one answer ask once. */
function answerOf(show, { group_by: _, ...question }) {
  const asked = JSON.stringify({ ...question, show, ...(LISTS.includes(show) ? { limit: MOST_TENANTS } : {}) });
  if (!asking.has(asked)) {
    asking.set(asked, told(asked).finally(() => asking.delete(asked)));
  }
  return asking.get(asked);
}

async function told(asked) {
  try {
    return await ask("fleet", asked);
  } catch (error) {
    throw problemOf(error.status ?? 0, { detail: error.message });
  }
}

function heard(chart, { columns, rows, meta }) {
  if (LISTS.includes(chart.dataset.show)) {
    chart.style.setProperty("--ml-chart-height", `${Math.max(LEAST_HEIGHT, rows.length * ROW_HEIGHT)}px`);
  }
  if (chart.dataset.show === "total") {
    say("asked", `${moment(meta.from)} to ${moment(meta.to)}, of ${many(meta.tenants, "tenant")}.`);
  }
  if (chart.dataset.show === "movers") {
    const heads = columns.map(({ name, unit }) => (unit ? `${name} (${unit})` : name));
    const lines = rows.map(([tenant, ...values]) => [opening(tenant), ...values]);
    table("moved", rows.length > 0 ? heads : [], lines);
  }
}

function opening(tenant) {
  const button = element("button", tenant, "plain");
  button.type = "button";
  button.addEventListener("click", () => visit(tenant));
  return button;
}

/** Goes to a tenant, in the list of them. */
function visit(tenant) {
  found("name").value = tenant;
  location.hash = "#tenants";
}

export async function showCatalogue() {
  ({ metrics } = await ask("catalog"));
  const drifted = metrics.flatMap(({ name, measures }) => measures.filter((one) => one.drifted).map((one) => `${name}.${one.name}`));
  say("drift", drifted.length > 0 ? `Drifted, of more than one type: ${drifted.join(", ")}.` : "No measure has drifted.", drifted.length > 0);
  table(
    "metrics",
    metrics.length > 0 ? ["metric", "dimensions", "measures", "first", "last"] : [],
    metrics.map(({ name, dimensions, measures, first_time, last_time }) => [
      name,
      element("span", dimensions.join(", ")),
      measured(measures),
      moment(first_time),
      moment(last_time),
    ]),
  );
}

function measured(measures) {
  const made = element("span");
  for (const { name, types, unit, drifted } of measures) {
    made.append(element("div", `${name}: ${types.join(" and ")}${unit ? `, ${unit}` : ""}`, drifted ? "wrong" : ""));
  }
  return made;
}
