"""
Measure what customers wait for: the weight of a page, the time until its first chart is drawn, and 10,000 points.

Runs the demo, and opens its dashboard in the machine's own Chromium, each time as a new reader with empty caches.
Times are from the start of the navigation, in the browser's own clock. Needs Playwright (`pip install playwright`) and
Chromium; says so where they are not there. docs/decisions/0023-charts.md tells why charts are drawn as they are.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import IO, Any

try:
    from playwright.sync_api import Browser, sync_playwright
except ImportError:
    print("charts are not measured: Playwright is not installed (pip install playwright)")
    sys.exit()

RUNS = 15
POINTS = 10_000
_CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

_FIRST = """
(() => {
  const inside = (one, selector) => one?.shadowRoot?.querySelector(selector);
  const look = () => {
    const charts = document.querySelector("metric-dashboard")?.shadowRoot?.querySelectorAll("metric-chart") ?? [];
    const drawn = [...charts].filter((one) => inside(one, "svg.picture .marks"));
    window.firstChart ??= drawn.length > 0 ? performance.now() : undefined;
    window.lastChart ??= charts.length > 0 && drawn.length === charts.length ? performance.now() : undefined;
    if (window.lastChart === undefined) {
      requestAnimationFrame(look);
    }
  };
  requestAnimationFrame(look);
})();
"""
_MANY = """async (points) => {
  const start = Date.UTC(2026, 0, 1);
  const time = (index) => new Date(start + index * 60000).toISOString();
  const rows = Array.from({ length: points }, (_, i) => [time(i), 100 * Math.sin(i / 300) + ((i * 7919) % 13) + 120]);
  const meta = { from: time(0), to: time(points), interval: "minute", fresh_as_of: time(0) };
  const answer = { columns: [{ name: "time" }, { name: "value", unit: null }], rows, meta };
  const source = { ask: async () => answer, stream: { listen: () => () => {}, alive: true } };
  const range = { last: `${points}m` };
  const question = { metric: "m", measure: "x", aggregate: "avg", range, interval: "minute", timezone: "UTC" };
  const took = {};
  const long = [];
  const note = (seen) => long.push(...seen.getEntries().map(({ duration }) => duration));
  new PerformanceObserver(note).observe({ type: "longtask" });
  const rest = () => new Promise((resolve) => setTimeout(resolve, 700));
  for (const kind of ["line", "area", "bar"]) {
    await rest();
    long.length = 0;
    const chart = document.createElement("metric-chart");
    chart.setAttribute("kind", kind);
    document.body.append(chart);
    const began = performance.now();
    await new Promise((resolve) => {
      chart.addEventListener("metric-loaded", resolve, { once: true });
      chart.lead(source, question);
    });
    await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
    took[`${kind}_ms`] = Math.round(performance.now() - began);
    await rest();
    took[`${kind}_longest_task_ms`] = long.length > 0 ? Math.round(Math.max(...long)) : "under 50";
    const plot = chart.shadowRoot.querySelector(".plot");
    const { left, top, width } = plot.getBoundingClientRect();
    const moves = [];
    for (let x = 40; x < width; x += 20) {
      const pointed = performance.now();
      plot.dispatchEvent(new PointerEvent("pointermove", { clientX: left + x, clientY: top + 20 }));
      plot.getBoundingClientRect();
      moves.push(performance.now() - pointed);
    }
    moves.sort((a, b) => a - b);
    took[`${kind}_move_ms`] = Math.round(moves[moves.length >> 1] * 10) / 10;
    took[`${kind}_slowest_move_ms`] = Math.round(moves.at(-1) * 10) / 10;
    chart.remove();
  }
  return took;
}"""


@contextmanager
def demo() -> Iterator[str]:
    """
    Run the demo; yields the address of a customer's dashboard.
    """
    command = [sys.executable, "-c", "from metriclake.cli import main; main()", "demo", "--port", "0"]
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True) as run,
    ):
        try:
            yield _address(run.stdout)
        finally:
            run.terminate()


def _address(printed: IO[str] | None) -> str:
    for line in printed or ():
        if "/d/default#token=" in line:
            return line.split()[-1]
    sys.exit("the demo ended before it printed an address")


def weigh() -> dict[str, int]:
    """
    Return the bytes of each file that a page is made of, compressed as they are served.
    """
    folder = files("metriclake.charts").joinpath("static")
    weights = {file.name: len(gzip.compress(file.read_bytes(), 9)) for file in folder.iterdir() if file.is_file()}
    return {**dict(sorted(weights.items())), "all": sum(weights.values())}


def wait(browser: Browser, address: str) -> dict[str, float]:
    """
    Return how long readers wait for the first chart, and for all of them, in milliseconds.
    """
    first, last = [], []
    for _ in range(RUNS):
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        context.add_init_script(_FIRST)
        page = context.new_page()
        page.goto(address)
        page.wait_for_function("() => window.lastChart !== undefined")
        first.append(page.evaluate("window.firstChart"))
        last.append(page.evaluate("window.lastChart"))
        context.close()
    slow = statistics.quantiles(first, n=10)[-1]
    found = {
        "first_chart_ms": statistics.median(first),
        "first_chart_p90_ms": slow,
        "all_charts_ms": statistics.median(last),
    }
    return {name: round(value) for name, value in found.items()}


def many(browser: Browser, address: str) -> dict[str, Any]:
    """
    Return how long 10,000 points take until they are on the screen, and how long an answer to a pointer's move.

    The longest task is one in which the browser hears nobody; it tells of those from 50 ms on.
    """
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(address)
    page.wait_for_function("() => customElements.get('metric-chart')")
    found: dict[str, Any] = page.evaluate(_MANY, POINTS)
    page.close()
    return found


def main() -> None:
    """
    Measure, print, and write the figures as JSON.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/charts.json"))
    given = parser.parse_args()
    figures: dict[str, Any] = {"compressed_bytes": weigh()}
    if _CHROMIUM is None:
        print("first charts are not measured: Chromium is not installed (apt-get install chromium)")
    else:
        with demo() as address, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=_CHROMIUM, args=["--no-sandbox"])
            figures["waiting"] = wait(browser, address)
            figures[f"points_{POINTS}"] = many(browser, address)
            browser.close()
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
