// Draws what the page itself answers, also below zero; returns what is drawn and what a click says.
async () => {
  const chart = document.createElement("metric-chart");
  const asked = [];
  const pointed = [];
  Object.assign(chart.style, { position: "fixed", inset: "0 auto auto 0", width: "400px", height: "300px" });
  chart.setAttribute("kind", "bar");
  chart.setAttribute("column", "change");
  chart.setAttribute("heading", "Movers");
  chart.setAttribute("refresh", "0");
  chart.question = { metric: "m", range: { last: "7d" }, group_by: ["tenant", "plan"] };
  chart.getAnswer = (question) => {
    asked.push(question.metric);
    return {
      columns: ["tenant", "plan", "value", "previous", "change"].map((name) => ({ name, type: "double", unit: null })),
      rows: [["up", "a", 30, 10, 20], ["down", null, 10, 20, -10], ["other", "b", 5, 0, 5]],
      meta: { from: "2026-01-01T00:00:00Z", to: "2026-01-08T00:00:00Z", interval: "none" },
    };
  };
  chart.addEventListener("metric-point", ({ detail }) => pointed.push(detail));
  const loaded = new Promise((resolve) => chart.addEventListener("metric-loaded", resolve));
  document.body.append(chart);
  await loaded;
  await new Promise((resolve) => setTimeout(resolve, 100));
  const plot = chart.shadowRoot.querySelector(".plot");
  plot.focus();
  for (const key of ["End", "Enter"]) {
    plot.dispatchEvent(new KeyboardEvent("keydown", { key }));
  }
  const bars = [...chart.shadowRoot.querySelectorAll("rect.bar")].map((bar) => {
    return { from: Number(bar.getAttribute("x")), wide: Number(bar.getAttribute("width")), colour: bar.classList[1] };
  });
  const head = [...chart.shadowRoot.querySelectorAll("thead th")].map((cell) => cell.textContent);
  return { asked, bars, head, pointed, csv: await (await chart.export("csv")).text() };
}
