// Draws a line of 10,000 points in a page that has the components, and points at it; returns what that took.
async () => {
  const start = Date.UTC(2026, 0, 1);
  const values = Array.from({ length: 10000 }, (_, i) => (i === 5003 ? -50 : 100 * Math.sin(i / 300) + (i * 7919) % 13 + 120));
  const rows = values.map((value, i) => [new Date(start + i * 60000).toISOString(), value]);
  const meta = { from: rows[0][0], to: new Date(start + 1e4 * 60000).toISOString(), interval: "minute", fresh_as_of: rows[0][0] };
  const answer = { columns: [{ name: "time" }, { name: "value", unit: null }], rows, meta };
  const chart = document.createElement("metric-chart");
  chart.setAttribute("heading", "Large");
  document.body.append(chart);
  const question = { metric: "m", measure: "x", aggregate: "avg", range: { last: "10000m" }, interval: "minute", timezone: "UTC" };
  const source = { ask: async () => answer, stream: { listen: () => () => {}, alive: true } };
  const began = performance.now();
  await new Promise((resolve) => { chart.addEventListener("metric-loaded", resolve, { once: true }); chart.lead(source, question); });
  chart.shadowRoot.querySelector(".plot").getBoundingClientRect();
  const draw = performance.now() - began;
  const d = chart.shadowRoot.querySelector("path.stroke").getAttribute("d");
  const ys = d.match(/[-\d.]+,[-\d.]+/g).map((pair) => Number(pair.split(",")[1]));
  const ticks = [...chart.shadowRoot.querySelectorAll(".grid text")].filter((t) => t.getAttribute("text-anchor") === "end");
  const [a, b] = [ticks[0], ticks.at(-1)].map((t) => [Number(t.textContent.replace("−", "-")), Number(t.getAttribute("y"))]);
  const value = (y) => a[0] + ((y - a[1]) * (b[0] - a[0])) / (b[1] - a[1]);
  const plot = chart.shadowRoot.querySelector(".plot");
  const box = plot.getBoundingClientRect();
  const pointed = performance.now();
  plot.dispatchEvent(new PointerEvent("pointermove", { clientX: box.left + box.width / 2, clientY: box.top + 20 }));
  const point = performance.now() - pointed;
  return { points: ys.length, draw, point, low: -50, drawn_low: Math.round(value(Math.max(...ys))) };
}
