/**
 * Questions over all tenants, and the catalogue of all.
 */

import { bar, element, found, moment, say, table } from "./parts.js";
import { ask } from "./session.js";

const ROWS = "(events)";
let metrics = [];

found("metric").addEventListener("change", offerMeasures);
found("question").addEventListener("submit", (event) => {
  event.preventDefault();
  answer();
});

export async function showFleet() {
  ({ metrics } = await ask("catalog"));
  if (found("metric").options.length !== metrics.length) {
    found("metric").replaceChildren(...metrics.map(({ name }) => new Option(name)));
    offerMeasures();
  }
  if (metrics.length === 0) {
    say("asked", "There are no metrics yet.");
    return;
  }
  await answer();
}

function offerMeasures() {
  const chosen = metrics.find(({ name }) => name === found("metric").value);
  found("measure").replaceChildren(new Option(ROWS), ...(chosen?.measures ?? []).map(({ name }) => new Option(name)));
}

async function answer() {
  const show = found("show").value;
  const measure = found("measure").value;
  const daily = show === "total" || show === "adoption";
  const question = { metric: found("metric").value, show, range: { last: found("range").value } };
  if (daily) {
    Object.assign(question, { interval: "day", fill: "zero" });
  } else {
    question.limit = 20;
  }
  if (show !== "adoption" && measure !== ROWS) {
    question.measure = measure;
  }
  try {
    const { columns, rows, meta } = await ask("fleet", question);
    const heads = columns.map(({ name, unit }) => (unit ? `${name} (${unit})` : name));
    const shown = columns.findIndex(({ name }) => name === (show === "movers" ? "change" : show === "adoption" ? "tenants" : "value"));
    const most = Math.max(0, ...rows.map((row) => Math.abs(row[shown] ?? 0)));
    const named = (row) => row.map((value, index) => (columns[index].type === "time" ? value.slice(0, 10) : value));
    table("answer", rows.length > 0 ? [...heads, "beside the largest"] : [], rows.map((row) => [...named(row), bar(row[shown] ?? 0, most)]));
    say("asked", rows.length > 0 ? `${moment(meta.from)} to ${moment(meta.to)}, of ${meta.tenants} tenants.` : "Nothing in this range.");
  } catch (error) {
    table("answer", [], []);
    say("asked", error.message, true);
  }
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
