// Draws 10,000 points of each kind in a page that has the components; returns how far the marks reach, in values.
async () => {
  const start = Date.UTC(2026, 0, 1);
  const time = (index) => new Date(start + index * 60000).toISOString();
  const places = Array.from({ length: 10000 }, (_, index) => index);
  const meta = { from: time(0), to: time(10000), interval: "minute", fresh_as_of: time(0) };
  const columns = [{ name: "time" }, { name: "group" }, { name: "value", unit: null }];
  const value = (index) => (index === 5003 ? 900 : 100 + (index % 7));
  const rows = { one: places.map((index) => [time(index), "a", value(index)]) };
  rows.two = places.flatMap((index) => ["a", "b"].map((name) => [time(index), name, value(index)]));
  rows.holes = rows.one.map(([at, name, number], index) => [at, name, index > 4000 && index < 6000 ? null : number]);
  const question = { metric: "m", measure: "x", aggregate: "sum", range: { last: "10000m" }, interval: "minute", timezone: "UTC", group_by: ["group"] };
  const found = {};
  for (const [kind, data, aggregate] of [["bar", rows.one, "sum"], ["stacked_bar", rows.two, "sum"], ["area", rows.two, "sum"], ["line", rows.holes, "avg"]]) {
    const chart = document.createElement("metric-chart");
    chart.setAttribute("kind", kind);
    document.body.append(chart);
    const source = { ask: async () => ({ columns, rows: data, meta }), stream: { listen: () => () => {}, alive: true } };
    await new Promise((resolve) => { chart.addEventListener("metric-loaded", resolve, { once: true }); chart.lead(source, { ...question, aggregate }); });
    const inside = (selector) => [...chart.shadowRoot.querySelectorAll(selector)];
    const ticks = inside(".grid text").filter((text) => text.getAttribute("text-anchor") === "end");
    const [a, b] = [ticks[0], ticks.at(-1)].map((tick) => [Number(tick.textContent.replace(/,/g, "").replace("K", "e3")), Number(tick.getAttribute("y"))]);
    const paths = inside(".marks path").map((path) => path.getAttribute("d"));
    const tops = paths.flatMap((d) => (kind.includes("bar") ? [...d.matchAll(/V([-\d.]+)/g)].map(([, y]) => Number(y)) : [...d.matchAll(/,([-\d.]+)/g)].map(([, y]) => Number(y))));
    const highest = a[0] + ((Math.min(...tops) - a[1]) * (b[0] - a[0])) / (b[1] - a[1]);
    const strokes = inside("path.stroke").map((path) => path.getAttribute("d")).join("");
    found[kind] = { marks: paths.join("").split("M").length - 1, highest, pieces: strokes.split("M").length - 1 };
    chart.remove();
  }
  return found;
}
