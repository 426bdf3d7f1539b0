// What the truth table's expressions are made of.
const berlin = new Zone("Europe/Berlin");
const axis = (values, options) => scale.valueAxis(Math.min(...values, Infinity), Math.max(...values, -Infinity), options);
const times = (locale) => format.timeFormat(locale, berlin);
const space = (text) => text.replace(/[\u00a0\u202f\u2009]/g, " ");
const hours = (start, count) => Array.from({ length: count }, (_, index) => start + index * 3_600_000);
const days = (start, count) => {
  const found = [start];
  while (found.length < count) {
    found.push(berlin.end(found.at(-1), "day"));
  }
  return found;
};
const choice = { range: { last: "30d" }, timezone: "UTC", filters: [], intervals: {} };
const tile = (more) => ({ kind: "line", interval: "auto", range: null, question: { metric: "m" }, ...more });
const answer = (names, rows, interval) => ({
  columns: names.map((name) => ({ name, unit: null })),
  rows,
  meta: { from: "2026-01-01T00:00:00Z", to: "2026-01-01T12:00:00Z", interval },
});
const split = (rows, more = {}, slots = new Map()) =>
  series.seriesOf(answer(["time", "k", "value"], rows, "day"), { metric: "m", group_by: ["k"], ...more }, slots).series;
const modelled = (question, rows, names, interval) =>
  model.modelOf(answer(names, rows, interval), { metric: "m", range: { last: "1d" }, timezone: "UTC", ...question }, {
    kind: "line", title: "M", unit: null, decimals: null, locale: "en-US", slots: new Map(),
  });
