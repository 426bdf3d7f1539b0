"""
A real browser against a real server with events of which every chart's numbers are known.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec
import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright

from app.server import Running
from metriclake.tokens import mint_tenant

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SHOTS = os.environ.get("METRICLAKE_SCREENSHOTS")
"""A folder for pictures of what the tests see; none are kept where it is not named."""

DAYS = 40
_PATIENCE_MS = 20_000
expect.set_options(timeout=_PATIENCE_MS)
SEVERITIES = ("critical", "high", "medium", "low")
SCANNERS = ("sast", "sca", "secrets")

TENANTS = """
acme: {name: Acme Inc, environment: production}
globex: {name: Globex}
"""

PIPELINE = """
tenants: {file: tenants.yaml}
stream: {buffer: {seconds: 0.1, megabytes: 5}}
metrics:
  findings:
    pattern: {detail-type: [finding]}
    metadata: {tenant_id: $.detail.tenant, severity: $.detail.severity, scanner: $.detail.scanner}
    data:
      event_time: $.detail.at
      cost: {path: $.detail.cost, unit: EUR}
      seconds: {path: $.detail.seconds, type: integer, unit: seconds}
  scans:
    pattern: {detail-type: [scan]}
    metadata: {tenant_id: $.detail.tenant, scanner: $.detail.scanner}
    data: {event_time: $.detail.at, score: {path: $.detail.score, unit: ratio}}
  later:
    pattern: {detail-type: [nothing-yet]}
    metadata: {tenant_id: $.detail.tenant}
    data: {event_time: $.detail.at}
embedding:
  origins: ORIGINS
dashboards:
  overview:
    title: Overview
    ranges: [24h, 7d, 30d]
    filters: [severity]
    refresh: 1s
    tiles:
      - {kind: value, title: Findings, metric: findings, good: down}
      - {kind: value, title: Score, metric: scans, measure: score, aggregate: avg, good: up}
      - {kind: value, title: Cost, metric: findings, measure: cost, decimals: 2}
      - {kind: value, title: Time, metric: findings, measure: seconds, aggregate: p90}
      - {kind: line, title: Score by scanner, metric: scans, measure: score, aggregate: avg, group_by: [scanner]}
      - {kind: area, title: Cost over time, metric: findings, measure: cost}
      - {kind: bar, title: Findings by day, metric: findings, compare: true}
      - {kind: stacked_bar, title: By severity, metric: findings, group_by: [severity]}
      - {kind: donut, title: By scanner, metric: findings, group_by: [scanner]}
      - {kind: heatmap, title: Scanner by severity, metric: findings, group_by: [scanner, severity]}
      - {kind: heatmap, title: Scanner by day, metric: findings, group_by: [scanner]}
      - {kind: table, title: Table, metric: findings, group_by: [severity], interval: none}
      - {kind: bar, title: Ranked, metric: findings, group_by: [scanner], interval: none, range: 7d}
      - {kind: line, title: Later, metric: later}
  other:
    tiles: [{metric: scans}]
"""


def events(tenant: str, now: datetime, factor: int = 1) -> Iterator[dict[str, Any]]:
    """
    Yield the sample events of a tenant: some findings and scans every day, of which each chart's numbers follow.
    """
    for day in range(DAYS):
        at = now - timedelta(days=day, minutes=5)
        for index in range(factor * (1 + (day * 7) % 5)):
            detail = {
                "tenant": tenant,
                "severity": SEVERITIES[(day + index) % 4],
                "scanner": SCANNERS[(day * index) % 3],
                "cost": 10.25 * (index + 1),
                "seconds": 60 * (day + 1),
                "at": at.isoformat(),
            }
            yield {"id": f"f-{tenant}-{day}-{index}", "source": "s", "detail-type": "finding", "detail": detail}
        scan = {"tenant": tenant, "scanner": SCANNERS[day % 2], "score": 0.5 + day / 100, "at": at.isoformat()}
        yield {"id": f"s-{tenant}-{day}", "source": "s", "detail-type": "scan", "detail": scan}


def write_pipeline(folder: Path, origins: list[str]) -> Path:
    """
    Write the pipeline file, and the tenants beside it.
    """
    (folder / "tenants.yaml").write_text(TENANTS, encoding="utf-8")
    text = PIPELINE.replace("ORIGINS", msgspec.json.encode(origins).decode())
    (folder / "metriclake.yaml").write_text(text, encoding="utf-8")
    return folder


def feed(running: Running, tenant: str, factor: int = 1) -> None:
    """
    Send a tenant's events, and wait until they are in the answers.
    """
    body = b"\n".join(map(msgspec.json.encode, events(tenant, datetime.now(UTC), factor)))
    answer = running.post("/v1/events", body, Content_Type="application/x-ndjson")
    assert answer.json()["rejected"] == []
    running.settled()


@contextmanager
def chromium() -> Iterator[Browser]:
    """
    Run the machine's own Chromium; skips the tests where there is none.
    """
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed: nothing is drawn in a real browser (apt-get install chromium)")
    with sync_playwright() as playwright:
        # A container's root has no sandbox to drop into; the pages are our own.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Visit:
    """
    A page of the browser: what it asked, and what went wrong in it.
    """

    def __init__(self, page: Page, expected: tuple[str, ...] = ()) -> None:
        """
        Listen to a page; `expected` are parts of messages of its console that are no fault of it.
        """
        self.page = page
        self.asked: list[dict[str, Any]] = []
        self.statuses: list[tuple[str, int]] = []
        self.problems: list[str] = []
        self._expected = ("/v1/stream", "status of 404", *expected)
        page.on("console", lambda message: self._hear(message.type, message.text))
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("request", lambda request: self._note(request.url, request.post_data))
        page.on("response", lambda answer: self.statuses.append((urlsplit(answer.url).path, answer.status)))

    def _hear(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and not any(part in text for part in self._expected):
            self.problems.append(text)

    def _note(self, url: str, body: str | None) -> None:
        if urlsplit(url).path == "/v1/query" and body:
            self.asked.append(msgspec.json.decode(body))

    def chart(self, heading: str) -> Locator:
        """
        Return the element with a heading, wherever it stands.
        """
        return self.page.locator(f'[heading="{heading}"]')

    def settled(self) -> None:
        """
        Wait until every chart shows what it was asked for.
        """
        self.page.wait_for_function(_SETTLED)

    def shoot(self, name: str, *, full: bool = True) -> None:
        """
        Keep a picture, where a folder for pictures is named.
        """
        if SHOTS:
            self.page.wait_for_timeout(300)
            self.page.screenshot(path=Path(SHOTS) / f"{name}.png", full_page=full)


Open = Callable[..., Visit]


@contextmanager
def visiting(browser: Browser) -> Iterator[Open]:
    """
    Give what opens a page, each as a reader of its own; at the end none of them may have said that something is wrong.
    """
    opened: list[Visit] = []
    contexts: list[BrowserContext] = []

    def visit(address: str | None = None, expected: tuple[str, ...] = (), **options: Any) -> Visit:
        context = browser.new_context(**{"locale": "en-US", "timezone_id": "UTC", **options})
        contexts.append(context)
        context.set_default_timeout(_PATIENCE_MS)
        found = Visit(context.new_page(), expected)
        opened.append(found)
        if address is not None:
            found.page.goto(address)
        return found

    yield visit
    for context in contexts:
        context.close()
    problems = [problem for found in opened for problem in found.problems]
    assert problems == [], problems


_SETTLED = """() => {
  const within = (one) => (one.shadowRoot ? all(one.shadowRoot) : []);
  const all = (root) => [...root.querySelectorAll("*")].flatMap((one) => [one, ...within(one)]);
  const charts = all(document).filter(({ localName }) => ["metric-chart", "metric-value"].includes(localName));
  const busy = (one) => one.hasAttribute("data-loading") || one.shadowRoot.querySelector(".waiting:not(.instead)");
  return charts.length > 0 && !charts.some(busy) && !all(document).some((one) => one.matches?.(".skeleton"));
}"""


def token(running: Running, tenant: str = "acme", **claims: Any) -> str:
    """
    Return a tenant's token.
    """
    return mint_tenant(running.keys.signing, tenant, now=datetime.now(UTC), **claims)


def answers(running: Running, question: dict[str, Any], tenant: str = "acme") -> dict[str, Any]:
    """
    Return what the API itself answers to a question.
    """
    headers = {"Authorization": f"Bearer {token(running, tenant)}"}
    found: dict[str, Any] = running.client.post("/v1/query", json=question, headers=headers).raise_for_status().json()
    return found


def url(running: Running, path: str) -> str:
    """
    Return an address on the server.
    """
    return str(httpx.URL(str(running.client.base_url)).join(path))
