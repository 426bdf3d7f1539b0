"""
The internal page in a real browser: logging in, each of its parts, and looking as a tenant.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from app.hooked import Hooked, hook_of, send, status_when
from app.server import Running
from charts.browser import Open, Visit, answers, url
from metriclake.testing import Status, WebhookTwin

pytestmark = pytest.mark.engine

DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


def opened(server: Running, visit: Open, **options: object) -> Visit:
    """
    Open the page with the admin key in the fragment, and wait until it shows the books.
    """
    found = visit(url(server, f"/admin#key={server.keys.admin}"), expected=("status of 401",), **options)
    expect(found.page.locator("#verdict")).to_have_text("The books balance.")
    return found


def part(found: Visit, name: str) -> None:
    """
    Go to a part of the page.
    """
    found.page.get_by_role("link", name=name, exact=True).click()


def violations(found: Visit) -> list[str]:
    """
    Return what axe-core finds inaccessible.
    """
    wrong = Axe().run(found.page).response["violations"]
    return [f"{one['id']}: {node['target']} {node['failureSummary']}" for one in wrong for node in one["nodes"]]


def test_the_key_is_kept_in_no_place_that_a_script_can_read(server: Running, visit: Open) -> None:
    """
    After the login the key is neither in the address nor in any storage, the cookie hidden; a logout ends it.
    """
    page = opened(server, visit).page
    kept = page.evaluate("() => [location.href, document.cookie, {...localStorage}, {...sessionStorage}]")
    (cookie,) = page.context.cookies()

    assert server.keys.admin not in json.dumps(kept)
    assert (kept[1], kept[2], kept[3]) == ("", {}, {})
    assert (cookie.get("httpOnly"), cookie.get("secure"), cookie.get("sameSite")) == (True, True, "Strict")
    page.reload()
    expect(page.locator("#health")).to_be_visible()
    page.get_by_role("button", name="Log out").click()
    expect(page.locator("#login")).to_be_visible()
    expect(page.locator("#health")).to_be_hidden()
    page.reload()
    expect(page.locator("#login")).to_be_visible()


def test_a_wrong_key_shows_nothing(server: Running, visit: Open) -> None:
    """
    Who types another key is told so, and sees no facts.
    """
    page = visit(url(server, "/admin"), expected=("status of 401",)).page
    page.get_by_label("Admin key").fill("not-the-key")
    page.get_by_role("button", name="Log in").click()

    expect(page.locator("#verdict")).to_contain_text("this is not the admin key")
    expect(page.locator("#health")).to_be_hidden()


@pytest.mark.parametrize(("scheme", "size"), [("light", DESKTOP), ("dark", PHONE)], ids=["desktop", "phone"])
def test_each_part_shows_what_the_routes_say(server: Running, visit: Open, scheme: str, size: dict[str, int]) -> None:
    """
    Each part has the server's numbers, is accessible, and no wider than the screen, by day and by night.
    """
    found = opened(server, visit, viewport=size, color_scheme=scheme, reduced_motion="reduce")
    page = found.page
    shown: dict[str, Callable[[], None]] = {
        "Health": lambda: shows_health(page),
        "Tenants": lambda: shows_tenants(page),
        "All tenants": lambda: shows_fleet(page),
        "Rules": lambda: shows_rules(page),
        "Catalogue": lambda: shows_catalogue(page),
        "Audit trail": lambda: shows_audit(page),
    }
    for name, shows in shown.items():
        part(found, name)
        shows()
        found.shoot(f"internal-{name.lower().replace(' ', '-')}-{scheme}-{size['width']}")

        assert violations(found) == [], name
        assert page.evaluate("document.documentElement.scrollWidth") == size["width"], name


def shows_health(page: Page) -> None:
    """
    Look at the books, and at one account of them.
    """
    expect(page.locator("#stages")).to_contain_text("rollups")
    expect(page.locator("#pace")).to_contain_text("domain events a second accepted.")
    page.locator("#account").fill("GLOBEX")
    expect(page.locator("#accounts")).to_have_text("2 accounts.")
    expect(page.locator("#books tr")).to_have_count(3)


def shows_tenants(page: Page) -> None:
    """
    Search, and look at what a tenant sees and where that comes from.
    """
    page.locator("#name").fill("GLO")
    expect(page.locator("#holding")).to_have_text("1 tenant found.")
    expect(page.locator("#holdings tr")).to_have_count(2)
    page.locator("#name").fill("acm")
    page.locator("#holdings tr", has_text="Acme Inc").get_by_role("button", name="View as").click()
    page.locator("#viewed .plot .picture").first.wait_for()
    page.locator("#viewed .plot").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator("#made")).to_contain_text("in force")


def shows_fleet(page: Page) -> None:
    """
    See every chart of all tenants drawn.
    """
    expect(page.locator("#charts .picture")).to_have_count(5)
    expect(page.locator("#asked")).to_contain_text("tenants.")


def shows_rules(page: Page) -> None:
    """
    Have an event explained.
    """
    event = {"source": "s", "detail-type": "scan", "detail": {"tenant": "acme"}}
    page.get_by_label("A domain event, as JSON").fill(json.dumps(event))
    page.get_by_role("button", name="Explain").click()
    expect(page.locator("#explained")).to_contain_text("1 of 3 rules match")


def shows_catalogue(page: Page) -> None:
    """
    Look at the metrics of all tenants.
    """
    expect(page.locator("#metrics")).to_contain_text("cost: double, EUR")
    expect(page.locator("#drift")).to_have_text("No measure has drifted.")


def shows_audit(page: Page) -> None:
    """
    Find in the audit trail what was done above.
    """
    expect(page.locator("#lines tr", has_text="view-as").first).to_contain_text("acme")
    expect(page.locator("#lines tr", has_text="login").first).to_contain_text("session ")


def test_charts_over_all_tenants_have_the_fleets_numbers(server: Running, visit: Open) -> None:
    """
    What is drawn is what `/v1/admin/fleet` answers; each chart is walked by keys, has its table, and is saved.
    """
    found = opened(server, visit, viewport=DESKTOP)
    page = found.page
    part(found, "All tenants")
    page.get_by_label("Measure").select_option("cost")
    page.get_by_label("Aggregate").select_option("max")
    question = {"metric": "findings", "measure": "cost", "aggregate": "max", "range": {"last": "30d"}, "show": "top"}
    rows = fleet(server, question)["rows"]
    top = page.locator('[data-show="top"]')

    expect(top.locator(".row-name")).to_have_text([tenant for tenant, _ in rows])
    top.locator(".plot").focus()
    page.keyboard.press("ArrowRight")
    expect(top.locator("[aria-live]")).to_contain_text(rows[0][0])
    top.locator("summary").click()
    with page.expect_download() as downloading:
        top.locator(".save-csv").click()
    saved = Path(downloading.value.path()).read_text("utf-8").splitlines()
    assert saved == ["tenant,value", *(f"{tenant},{value:g}" for tenant, value in rows)]
    top.locator("summary").click()
    top.get_by_role("button", name="Show as table").click()
    expect(top.locator("tbody tr")).to_have_count(len(rows))
    moved = fleet(server, {**question, "show": "movers"})["rows"]
    expect(page.locator("#moved tr")).to_have_count(1 + len(moved))


def test_a_tenant_in_a_chart_leads_to_the_tenant(server: Running, visit: Open) -> None:
    """
    Who chooses a bar of the largest tenants finds that tenant in the list.
    """
    found = opened(server, visit, viewport=DESKTOP)
    part(found, "All tenants")
    plot = found.page.locator('[data-show="top"] .plot')
    plot.locator(".picture").wait_for()
    first = plot.locator(".row-name").first.text_content()
    plot.focus()
    found.page.keyboard.press("ArrowRight")
    found.page.keyboard.press("Enter")

    expect(found.page.locator("#holdings tr").nth(1)).to_contain_text(first or "?")
    assert found.page.locator("#name").input_value() == first


def fleet(server: Running, question: dict[str, Any]) -> dict[str, Any]:
    """
    Return what the route itself answers to a question over all tenants.
    """
    headers = {"Authorization": f"Bearer {server.keys.admin}"}
    asked = {**question, "limit": 20}
    answer = server.client.post("/v1/admin/fleet", json=asked, headers=headers).raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


def test_a_point_of_two_dimensions_tells_where_it_comes_from(server: Running, visit: Open) -> None:
    """
    A cell of a heatmap of scanners by severities has the events of that scanner and that severity, and no others.
    """
    found = opened(server, visit, viewport=DESKTOP)
    page = found.page
    page.route("**/v1/dashboards/default", lambda route: route.fulfill(json=crossed(route.fetch().json())))
    part(found, "Tenants")
    page.locator("#holdings tr", has_text="acme").get_by_role("button", name="View as").click()
    page.locator("#viewed .cell").first.wait_for()
    page.locator("#viewed .plot").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    with page.expect_request("**/v1/admin/provenance") as asking:
        page.keyboard.press("Enter")
    filters = {one["dimension"]: one["equals"] for one in (asking.value.post_data_json or {})["question"]["filters"]}
    question = {"metric": "findings", "range": {"last": "30d"}, "group_by": ["scanner", "severity"]}
    values = {tuple(groups): value for *groups, value in answers(server, question)["rows"]}

    assert set(filters) == {"scanner", "severity"}
    expected = values[filters["scanner"], filters["severity"]]
    expect(page.locator("#origin")).to_contain_text(f": {expected}, of 1 lake object.")


def crossed(described: dict[str, Any]) -> dict[str, Any]:
    """
    Return a dashboard of one tile with two dimensions in place of a tenant's own.
    """
    question = {"metric": "findings", "group_by": ["scanner", "severity"], "limit": 20}
    tile = {**described["tiles"][-1], "kind": "heatmap", "title": "Crossed", "question": question}
    return {**described, "filters": [], "tiles": [tile]}


def test_a_view_is_in_the_audit_trail(server: Running, visit: Open) -> None:
    """
    Looking as a tenant leaves a line in the journal and in the log, with the session, and without key or token.
    """
    found = opened(server, visit)
    part(found, "Tenants")
    found.page.locator("#holdings tr", has_text="globex").get_by_role("button", name="View as").click()
    expect(found.page.locator("#viewing")).to_have_text("As globex")
    found.page.locator("#viewed .plot .picture").first.wait_for()
    headers = {"Authorization": f"Bearer {server.keys.admin}"}
    asked = server.client.get("/v1/admin/audit", params={"tenant": "globex"}, headers=headers).raise_for_status()
    line = asked.json()["lines"][0]

    assert (line["action"], line["tenant"], line["client"]) == ("view-as", "globex", "127.0.0.1")
    assert line["by"].startswith("session ")
    log = (server.folder / "log").read_text(encoding="utf-8")
    said = [json.loads(text) for text in log.splitlines() if "audit trail" in text]
    assert [one for one in said if one["tenant"] == "globex" and one["request_id"] == line["request_id"]]
    assert server.keys.admin not in log + asked.text


def test_who_keeps_no_cookie_is_told_why(server: Running, visit: Open) -> None:
    """
    A browser that drops the session, as all do on plain http but at localhost, is told what to do.
    """
    found = visit(expected=("status of 401",))
    found.page.route("**/v1/admin/session", lambda route: route.fulfill(status=204))
    found.page.goto(url(server, f"/admin#key={server.keys.admin}"))

    expect(found.page.locator("#verdict")).to_contain_text("over https, and at localhost")
    expect(found.page.locator("#login")).to_be_visible()


def test_dead_letters_are_redriven_by_a_button(visit: Open, tmp_path: Path) -> None:
    """
    What a receiver refuses stands on the page with its reason; after a fix a button has it tried again.
    """
    with WebhookTwin() as twin:
        hooked = Hooked(tmp_path, twin)
        hooked.say()
        twin.fail(Status(422))
        with hooked.up() as server:
            send(server, 1, 2)
            status_when(server, lambda found: hook_of(found) == {"dead": 2})
            page = opened(server, visit).page
            expect(page.locator("#letters tbody tr, #letters tr:has(td)")).to_have_count(1)
            expect(page.locator("#letters")).to_contain_text("422")
            twin.heal()
            page.get_by_role("button", name="Redrive").click()
            expect(page.locator("#redriven")).to_have_text("2 of hook are tried again.")
            status_when(server, lambda found: hook_of(found) == {"delivered": 2})

        assert sum(hooked.taken.values()) == 2
