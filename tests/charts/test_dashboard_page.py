"""
The page at `/d/<name>` as its reader meets it: choosing, waiting, coming back, without a mouse, on a phone, at night.
"""

from __future__ import annotations

import re
from contextlib import closing
from datetime import UTC, datetime, time, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from app.server import Running
from charts.browser import Open, Visit, answers, feed, token, url, write_pipeline
from crash.process import Process
from metriclake.tokens import mint_tenant

pytestmark = pytest.mark.engine

DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


def opened(server: Running, visit: Open, tenant: str = "acme", **options: Any) -> Visit:
    """
    Open a tenant's dashboard, and wait until it shows its numbers.
    """
    found = visit(url(server, f"/d/overview#token={token(server, tenant)}"), **options)
    found.settled()
    return found


def violations(visit: Visit) -> list[str]:
    """
    Return what axe-core finds inaccessible on a page, each with where it is.
    """
    found = Axe().run(visit.page).response["violations"]
    return [f"{one['id']}: {node['target']} {node['failureSummary']}" for one in found for node in one["nodes"]]


def test_a_range_is_chosen(server: Running, visit: Open) -> None:
    """
    Another range asks everything again in one request, and its numbers are the API's.
    """
    page = opened(server, visit)
    asked = len(page.asked)
    page.page.get_by_role("radio", name="Last 7 days").check(force=True)
    ((expected,),) = answers(server, {"metric": "findings", "range": {"last": "7d"}, "timezone": "UTC"})["rows"]

    expect(page.chart("Findings").locator(".number")).to_have_text(f"{expected:,}")
    page.settled()
    ranges = [{question["range"]["last"] for question in queries["queries"].values()} for queries in page.asked[asked:]]
    assert ranges[-1] == {"7d"}
    expect(page.chart("Findings").locator(".note")).to_have_text("vs previous 7 days")


@pytest.mark.parametrize("bound", [{}, {"dashboards": ["overview"]}], ids=["any-token", "dashboards-own-token"])
def test_two_dates_are_chosen_by_keyboard(server: Running, visit: Open, bound: dict[str, Any]) -> None:
    """
    Two dates are days of the reader's zone, both of them whole; the numbers are the API's, also for a bound token.
    """
    zone = ZoneInfo("Europe/Berlin")
    address = url(server, f"/d/overview#token={token(server, **bound)}")
    stream = ("status of 403",) if bound else ()
    page = visit(address, stream, viewport=DESKTOP, timezone_id=zone.key, locale="de-DE")
    page.settled()
    today = datetime.now(zone).date()
    first, last = today - timedelta(days=20), today - timedelta(days=11)
    start, end = (datetime.combine(day, time(), zone) for day in (first, last + timedelta(days=1)))
    between = {"from": start.isoformat(), "to": end.isoformat()}
    ((expected,),) = answers(server, {"metric": "findings", "range": between})["rows"]
    page.page.get_by_label("Choose dates").press("Enter")
    page.page.get_by_label("From", exact=True).fill(first.isoformat())
    page.page.get_by_label("To", exact=True).fill(last.isoformat())
    page.shoot(f"dates-{len(bound)}")
    page.page.get_by_label("To", exact=True).press("Enter")

    expect(page.chart("Findings").locator(".number")).to_have_text(f"{expected:,}".replace(",", "."))
    page.settled()
    assert f"{last.day}." in page.page.locator(".dates summary").inner_text()
    expect(page.chart("Findings by day").locator("tbody tr")).to_have_count((last - first).days + 1)
    assert page.page.locator(".state.forbidden, .state.refused").count() == 0
    assert page.page.get_by_role("radio", checked=True).count() == 0
    assert violations(page) == []


def test_dates_that_the_ranges_do_not_reach_are_told(server: Running, visit: Open) -> None:
    """
    A date before the longest range is not asked for; what may be chosen is said.
    """
    page = opened(server, visit, viewport=DESKTOP)
    asked = len(page.asked)
    page.page.get_by_label("Choose dates").press("Enter")
    page.page.get_by_label("From", exact=True).fill("2020-01-01")
    page.page.get_by_role("button", name="Show", exact=True).click()

    expect(page.page.get_by_role("alert")).to_contain_text("Choose days between")
    assert all("last" in one["range"] for body in page.asked[asked:] for one in body["queries"].values())


def test_a_filter_is_chosen(server: Running, visit: Open) -> None:
    """
    A filter offers the tenant's values, and holds for the tiles whose metric has the dimension, and for no others.
    """
    page = opened(server, visit)
    select = page.page.get_by_label("Severity", exact=True)
    expect(select.locator("option")).to_have_text(["Severity: all", "critical", "high", "low", "medium"])
    before = page.chart("Score").locator(".number").inner_text()
    select.select_option("high")
    question = {"metric": "findings", "range": {"last": "30d"}, "filters": [{"dimension": "severity", "in": ["high"]}]}
    ((expected,),) = answers(server, question)["rows"]

    expect(page.chart("Findings").locator(".number")).to_have_text(f"{expected:,}")
    assert page.chart("Score").locator(".number").inner_text() == before


def test_each_tenant_sees_its_own(server: Running, visit: Open) -> None:
    """
    The same page with another tenant's token shows that tenant's name and numbers.
    """
    page = opened(server, visit, "globex")
    ((expected,),) = answers(server, {"metric": "findings", "range": {"last": "30d"}}, "globex")["rows"]

    expect(page.chart("Findings").locator(".number")).to_have_text(f"{expected:,}")
    expect(page.page.locator(".environment")).to_have_text("Globex")


def test_a_token_bound_to_the_dashboard_draws_all_of_it(server: Running, visit: Open) -> None:
    """
    What the page asks, in every range and with a filter chosen, is what such a token may ask.
    """
    bound = mint_tenant(server.keys.signing, "acme", now=datetime.now(UTC), dashboards=("overview",))
    page = visit(url(server, f"/d/overview#token={bound}"))
    page.settled()
    ranges = ("Last 24 hours", "Last 7 days", "Last 30 days")
    for name in ranges:
        page.page.get_by_role("radio", name=name).check(force=True)
        page.settled()
    page.page.get_by_label("Severity", exact=True).select_option("high")
    for name in ranges:
        page.page.get_by_role("radio", name=name).check(force=True)
        page.settled()

    assert page.page.locator(".state.forbidden, .state.refused").count() == 0
    assert {status for path, status in page.statuses if path == "/v1/query"} == {200}


def test_another_dashboard_is_not_open_to_it(server: Running, visit: Open) -> None:
    """
    A page of another dashboard says so, and tells what to do.
    """
    bound = mint_tenant(server.keys.signing, "acme", now=datetime.now(UTC), dashboards=("overview",))
    page = visit(url(server, f"/d/other#token={bound}"), expected=("status of 403",))

    expect(page.page.get_by_role("alert")).to_contain_text("Not open to you")


@pytest.mark.parametrize("wrong", ["expired", "forged", "missing"])
def test_a_token_that_is_not_valid(server: Running, visit: Open, wrong: str) -> None:
    """
    One that has expired, that is none, or that is not there: no numbers, a sentence, and nothing else.
    """
    past = mint_tenant(
        server.keys.signing, "acme", now=datetime.now(UTC) - timedelta(hours=1), ttl=timedelta(minutes=1)
    )
    fragment = {"expired": f"#token={past}", "forged": "#token=a.b.c", "missing": ""}[wrong]
    page = visit(url(server, f"/d/overview{fragment}"), expected=("status of 401",))
    said = "Open this from your product" if wrong == "missing" else "This visit has ended"

    expect(page.page.get_by_role("alert")).to_contain_text(said)
    assert page.page.locator("metric-chart, metric-value").count() == 0
    page.shoot(f"state-{wrong}")


def test_the_token_leaves_the_address(server: Running, visit: Open) -> None:
    """
    The token is gone from the address bar at once, a reload still has it, and no request had it in its URL.
    """
    page = visit()
    seen: list[str] = []
    page.page.on("request", lambda request: seen.append(request.url))
    secret = token(server)
    page.page.goto(url(server, f"/d/overview#token={secret}"))
    page.settled()
    assert page.page.url == url(server, "/d/overview")
    page.page.reload()
    page.settled()

    assert not any(secret in address for address in seen)


def test_new_data_shows_by_itself(server: Running, visit: Open) -> None:
    """
    A number that has changed is shown without a word of the reader's.
    """
    tenant = "initech"
    feed(server, tenant)
    page = opened(server, visit, tenant)
    before = int(page.chart("Findings").locator(".number").inner_text().replace(",", ""))
    event = {"tenant": tenant, "severity": "low", "scanner": "sca", "cost": 1, "seconds": 1, "at": datetime.now(UTC)}
    send_one(server, "finding", event)

    expect(page.chart("Findings").locator(".number")).to_have_text(f"{before + 1:,}")


def send_one(server: Running, kind: str, detail: dict[str, Any]) -> None:
    """
    Send one event, and wait until it is in the answers.
    """
    detail = {**detail, "at": detail["at"].isoformat()}
    server.client.post(
        "/v1/events",
        json={"id": f"new-{kind}", "source": "s", "detail-type": kind, "detail": detail},
        headers={"Authorization": f"Bearer {server.keys.ingest}"},
    ).raise_for_status()
    server.settled()


@pytest.mark.parametrize(("tenant", "claims"), [("umbrella", {}), ("hooli", {"dashboards": ("overview",)})])
def test_a_stream_tells_of_new_data(server: Running, visit: Open, tenant: str, claims: dict[str, Any]) -> None:
    """
    What the server's stream tells is asked for at once, and nothing else is, long before the page would ask by itself.

    So it is with a token that is bound to the dashboard.
    """
    feed(server, tenant)
    page = visit()
    page.page.route("**/v1/dashboards/*", lambda route: route.fulfill(json={**route.fetch().json(), "refresh": 3600}))
    with page.page.expect_response("**/v1/stream") as opening:
        page.page.goto(url(server, f"/d/overview#token={token(server, tenant, **claims)}"))
    page.settled()
    assert opening.value.headers["content-type"].startswith("text/event-stream")
    detail = {"tenant": tenant, "scanner": "sca", "score": 0.9, "at": datetime.now(UTC)}
    with page.page.expect_request(lambda request: only_of(request.post_data_json, "scans")):
        send_one(server, "scan", detail)


def only_of(body: Any, metric: str) -> bool:
    """
    Tell whether a request asks of one metric and of nothing else.
    """
    return bool(body) and {question["metric"] for question in body["queries"].values()} == {metric}


def test_a_server_that_comes_back(tmp_path: Path, visit: Open) -> None:
    """
    While the server is away the numbers stay, said to be old; when it is back the page goes on by itself.
    """
    folder = write_pipeline(tmp_path, [])
    with Process(folder) as process:
        running = Running(folder, process)
        with closing(running.client):
            feed(running, "acme")
            page = opened(running, visit, expected=("ERR_CONNECTION", "status of 5"))
            port = urlsplit(str(running.client.base_url)).port
            process.stop()
    before = page.chart("Findings").locator(".number").inner_text()
    expect(page.page.locator(".banner")).to_contain_text("No connection")
    assert page.chart("Findings").locator(".number").inner_text() == before
    page.shoot("server-away")

    with Process(folder, port=port or 0) as process:
        running = Running(folder, process)
        with closing(running.client):
            # The page tries less and less often while the server is away.
            expect(page.page.locator(".banner")).to_be_hidden(timeout=60_000)
            assert page.chart("Findings").locator(".number").inner_text() == before
            page.page.goto("about:blank")


def test_keys_walk_a_chart(server: Running, visit: Open) -> None:
    """
    Arrow keys visit the points one by one, each is spoken, Enter tells the page, Escape leaves.
    """
    page = opened(server, visit, viewport=DESKTOP)
    chart = page.chart("Findings by day")
    page.page.evaluate("addEventListener('metric-point', ({ detail }) => { window.pointed = detail; })")
    chart.locator(".plot").focus()
    page.page.keyboard.press("End")
    last = chart.locator("[aria-live]").inner_text()
    page.page.keyboard.press("ArrowLeft")
    page.page.keyboard.press("Enter")
    found = page.page.evaluate("window.pointed")
    question = {"metric": "findings", "range": {"last": "30d"}, "interval": "day", "timezone": "UTC", "fill": "zero"}
    rows = answers(server, question)["rows"]

    assert "so far" in last
    assert [found["time"].replace(".000Z", "Z"), found["value"]] == rows[-2]
    assert str(rows[-2][1]) in chart.locator("[aria-live]").inner_text()
    page.page.keyboard.press("Escape")
    expect(chart.locator(".tip")).to_be_hidden()


def test_charts_are_saved(server: Running, visit: Open) -> None:
    """
    Each chart saves as CSV with the answer's rows, as SVG that needs no style sheet, and as PNG.
    """
    page = opened(server, visit, viewport=DESKTOP)
    chart = page.chart("By severity")
    saved = {}
    for form in ("csv", "svg", "png"):
        chart.locator("summary").click()
        with page.page.expect_download() as downloading:
            chart.locator(f".save-{form}").click()
        assert downloading.value.suggested_filename == f"by-severity.{form}"
        saved[form] = Path(downloading.value.path()).read_bytes()
    question = {"metric": "findings", "group_by": ["severity"], "limit": 8, "range": {"last": "30d"}}
    rows = answers(server, {**question, "interval": "day", "timezone": "UTC", "fill": "zero"})["rows"]

    assert saved["csv"].decode().splitlines() == ["time,severity,value", *(",".join(map(str, row)) for row in rows)]
    text = saved["svg"].decode()
    assert "By severity" in text
    assert re.search(r'fill="rgb\(', text)
    assert not re.search(r"class=|style=|var\(", text)
    assert saved["png"].startswith(b"\x89PNG")
    assert len(BytesIO(saved["png"]).getvalue()) > 5_000
    if shots():
        (shots() / "saved.svg").write_bytes(saved["svg"])
        (shots() / "saved.png").write_bytes(saved["png"])


def shots() -> Any:
    """
    Return the folder for pictures, None where none is named.
    """
    from charts.browser import SHOTS  # noqa: PLC0415 - read where it is used

    return Path(SHOTS) if SHOTS else None


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_everyone_can_use_it(server: Running, visit: Open, scheme: str, size: dict[str, int]) -> None:
    """
    In light and dark, on a desktop and on a phone, axe-core finds nothing, and nothing is wider than the screen.
    """
    page = opened(server, visit, viewport=size, color_scheme=scheme, reduced_motion="reduce")
    page.shoot(f"dashboard-{scheme}-{size['width']}")

    assert violations(page) == []
    assert page.page.evaluate("document.documentElement.scrollWidth") == size["width"]
    page.chart("By severity").locator("summary").click()
    page.chart("By severity").get_by_role("button", name="Show as table").click()
    page.chart("Findings by day").locator("summary").click()
    assert violations(page) == []
    page.shoot(f"table-{scheme}-{size['width']}")


def test_states_are_accessible_too(server: Running, visit: Open) -> None:
    """
    A page that can show nothing is as accessible as one that can.
    """
    page = visit(url(server, "/d/overview#token=a.b.c"), expected=("status of 401",))
    expect(page.page.get_by_role("alert")).to_be_visible()

    assert violations(page) == []


def test_motion_is_reduced(server: Running, visit: Open) -> None:
    """
    Who asks for less motion gets none.
    """
    page = opened(server, visit, reduced_motion="reduce")

    assert page.page.evaluate("document.getAnimations({ subtree: true }).length") == 0


def test_numbers_and_dates_are_the_readers_own(server: Running, visit: Open) -> None:
    """
    Notation follows the browser's language, and time its zone.
    """
    page = opened(server, visit, locale="de-DE", timezone_id="Europe/Berlin")
    ((cost,),) = answers(server, {"metric": "findings", "measure": "cost", "range": {"last": "30d"}})["rows"]
    written = f"{cost:,.2f}".replace(",", " ").replace(".", ",").replace(" ", ".")

    assert page.chart("Cost").locator(".number").inner_text().replace("\xa0", " ") == f"{written} €"
    assert "Europe/Berlin" in page.page.locator(".freshness").inner_text()
    assert {question["timezone"] for question in page.asked[0]["queries"].values()} == {"Europe/Berlin"}


def test_ten_thousand_points_are_drawn_at_once(server: Running, visit: Open) -> None:
    """
    A line of 10,000 points is thinned to what a screen can show: drawing, and pointing at it, are a matter of moments.
    """
    page = opened(server, visit, viewport=DESKTOP)
    took = page.page.evaluate(Path(__file__).with_name("large.js").read_text("utf-8"))

    assert took["points"] < 6 * DESKTOP["width"]
    assert took["low"] == pytest.approx(took["drawn_low"], abs=3)
    assert took["draw"] < 1000
    assert took["point"] < 200


def test_bars_of_ten_thousand_points_reach_as_far_as_their_values(server: Running, visit: Open) -> None:
    """
    Of the bars in a column of pixels the highest is drawn, of stacked ones that of the whole; a hole stays a hole.
    """
    page = opened(server, visit, viewport=DESKTOP)
    took = page.page.evaluate(Path(__file__).with_name("dense.js").read_text("utf-8"))

    assert took["bar"]["marks"] < 2 * DESKTOP["width"]
    assert took["bar"]["highest"] == pytest.approx(900, rel=0.02)
    assert took["stacked_bar"]["marks"] < 4 * DESKTOP["width"]
    assert took["stacked_bar"]["highest"] == pytest.approx(1800, rel=0.02)
    assert took["area"]["highest"] == pytest.approx(1800, rel=0.02)
    assert took["line"]["pieces"] == 2


def test_each_chart_has_its_answer_as_soon_as_it_comes(server: Running, visit: Open) -> None:
    """
    The first line of an answer is given to who asked it, once for the same question, before the last has come.
    """
    page = opened(server, visit)
    found = page.page.evaluate(Path(__file__).with_name("parts.js").read_text("utf-8"))

    assert found["asked"] == [[2, "application/x-ndjson"], "sent"]
    assert found["early"] == 0
    assert found["open"] == ["first answered", "first answered"]
    assert found["told"] == ["first answered", "first answered", "second network"]


def test_the_first_chart_is_asked_first(server: Running, visit: Open) -> None:
    """
    In the request of a page the first chart stands before the numbers, and those before the other charts.
    """
    page = opened(server, visit)

    asked = [question.get("group_by") for question in page.asked[0]["queries"].values()]
    assert asked[0] == ["scanner"]
    assert asked[1:9] == [None] * 8
