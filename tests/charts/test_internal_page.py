"""
The internal page in a real browser: logging in, each of its parts, and looking as a tenant.
"""

from __future__ import annotations

import json

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from app.server import Running
from charts.browser import Open, Visit, url

pytestmark = pytest.mark.engine


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


def test_each_part_shows_what_the_routes_say(server: Running, visit: Open) -> None:
    """
    Health, tenants, all tenants, rules and the catalogue have the server's numbers, and are accessible.
    """
    found = opened(server, visit)
    page = found.page
    expect(page.locator("#books")).to_contain_text("globex")
    expect(page.locator("#pace")).to_have_text("0 domain events a second accepted.")
    found.shoot("internal-health")
    wrong = violations(found)

    part(found, "Tenants")
    expect(page.locator("#holdings tr")).to_have_count(3)
    page.get_by_label("Search").fill("GLO")
    expect(page.locator("#holdings tr")).to_have_count(2)
    found.shoot("internal-tenants")
    wrong += violations(found)

    part(found, "All tenants")
    expect(page.locator("#answer tr").nth(1)).to_contain_text("globex")
    expect(page.locator("#asked")).to_contain_text("of 2 tenants")
    found.shoot("internal-fleet")
    page.get_by_label("Show").select_option("adoption")
    page.get_by_role("button", name="Ask").click()
    expect(page.locator("#answer tr")).to_have_count(32)
    wrong += violations(found)

    part(found, "Rules")
    event = {"source": "s", "detail-type": "scan", "detail": {"tenant": "acme"}}
    page.get_by_label("A domain event, as JSON").fill(json.dumps(event))
    page.get_by_role("button", name="Explain").click()
    expect(page.locator("#explained")).to_contain_text("1 of 3 rules match")
    found.shoot("internal-rules")
    wrong += violations(found)

    part(found, "Catalogue")
    expect(page.locator("#metrics")).to_contain_text("cost: double, EUR")
    expect(page.locator("#drift")).to_have_text("No measure has drifted.")
    found.shoot("internal-catalogue")

    assert [*wrong, *violations(found)] == []


def test_a_point_of_a_tenants_chart_tells_where_it_comes_from(server: Running, visit: Open) -> None:
    """
    Looking as a tenant shows its dashboard and leaves a line in the log; a chosen point shows its lake objects.
    """
    found = opened(server, visit)
    page = found.page
    part(found, "Tenants")
    page.locator("#holdings tr", has_text="acme").get_by_role("button", name="View as").click()
    expect(page.locator("#viewing")).to_have_text("As acme")
    found.settled()
    plot = page.locator("metric-chart .plot").first
    plot.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")

    expect(page.locator("#origin")).to_contain_text("lake objects")
    expect(page.locator("#objects tr").nth(1)).to_contain_text("Data/")
    expect(page.locator("#made")).to_contain_text("in force")
    found.shoot("internal-provenance")
    log = (server.folder / "log").read_text(encoding="utf-8")
    said = [json.loads(line) for line in log.splitlines() if "views as a tenant" in line]
    assert {line["tenant"] for line in said} == {"acme"}
