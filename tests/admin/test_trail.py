"""
The audit trail: what is noted, by whom, and how it is listed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request

from metriclake._errors import JournalUnavailable, MetriclakeError
from metriclake.admin import AuditAdmin, Guard, Trail, ViewingAdmin
from metriclake.audit import Action, AuditLine
from metriclake.journal import SqliteJournal
from metriclake.problems import on_error
from metriclake.request_id import RequestIds

KEY = "an-admin-key-of-the-tests-0123456789"
BEARER = {"Authorization": f"Bearer {KEY}"}
NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
SCOPE: dict[str, Any] = {"type": "http", "client": ("10.0.0.1", 1), "headers": []}


def noted(trail: Trail, action: Action, facts: Mapping[str, Any], *, goes_on: bool = False) -> None:
    """
    Note an action.
    """
    asyncio.run(trail.note(Request(SCOPE), "key", action, facts, goes_on=goes_on))


def test_work_in_slices_is_one_line() -> None:
    """
    What goes on with noted work is not noted again; what says so of other work, or of more of it, is.
    """
    lines: list[AuditLine] = []
    trail = Trail(lines.append)
    noted(trail, Action.REDRIVE, {"destination": "segment", "reason": "400"})
    noted(trail, Action.REDRIVE, {"destination": "segment", "reason": "400"}, goes_on=True)
    noted(trail, Action.REDRIVE, {"destination": "segment"}, goes_on=True)
    noted(trail, Action.DROP, {"destination": "segment", "reason": "400"}, goes_on=True)
    noted(trail, Action.REDRIVE, {"destination": "segment", "reason": "400"})

    assert [(line.action, dict(line.facts)) for line in lines] == [
        ("redrive", {"destination": "segment", "reason": "400"}),
        ("redrive", {"destination": "segment"}),
        ("drop", {"destination": "segment", "reason": "400"}),
        ("redrive", {"destination": "segment", "reason": "400"}),
    ]


def test_a_line_is_short() -> None:
    """
    The tenant stands by itself, what is not asked for is left out, and of what is long the beginning is noted.
    """
    lines: list[AuditLine] = []
    facts = {"tenant": "acme", "metric": None, "numbers": list(range(9000)), "reason": "x" * 9000, "dropped": False}
    noted(Trail(lines.append, NOW.timestamp), Action.DROP, facts)

    (line,) = lines
    assert (line.tenant, line.at, line.client) == ("acme", int(NOW.timestamp()) * 1_000_000, "10.0.0.1")
    assert {name: len(value) for name, value in line.facts.items()} == {"numbers": 200, "reason": 200}


def asked(journal: SqliteJournal | None, path: str, **request: Any) -> httpx.Response:
    """
    Ask for the trail, or to view as a tenant, of a server that notes into a journal; without one nothing can be noted.
    """

    def fails(_line: AuditLine) -> None:
        raise JournalUnavailable("the disk is gone")

    guard = Guard(KEY)
    trail = Trail(fails if journal is None else journal.audit.note, NOW.timestamp)
    viewing = ViewingAdmin(guard, dict, lambda tenant: f"token of {tenant}", trail)
    listing = AuditAdmin(guard, lambda *which: [] if journal is None else journal.audit.lines(*which))
    handlers: Any = {MetriclakeError: on_error}
    app = Starlette(routes=[*viewing.routes(), *listing.routes()], exception_handlers=handlers)
    transport = httpx.ASGITransport(RequestIds(app, on_error), client=("10.0.0.1", 1))

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="https://lake.example") as client:
            headers = {**BEARER, "X-Request-Id": "r-1", **request.pop("headers", {})}
            return await client.request("POST" if "json" in request else "GET", path, headers=headers, **request)

    return asyncio.run(ask())


def test_a_view_is_noted_before_there_is_a_token(journal: SqliteJournal) -> None:
    """
    Who views as a tenant is in the trail, with the request's id, and without the key or the token.
    """
    assert asked(journal, "/v1/admin/view-as", json={"tenant": "acme"}).json()["token"] == "token of acme"
    answer = asked(journal, "/v1/admin/audit")

    (line,) = answer.json()["lines"]
    assert line == {
        "number": 1,
        "at": "2026-07-01T12:00:00Z",
        "action": "view-as",
        "tenant": "acme",
        "by": "key",
        "client": "10.0.0.1",
        "request_id": "r-1",
        "facts": {},
    }
    assert answer.json()["next"] == 0
    assert KEY not in answer.text


def test_what_cannot_be_noted_is_not_done() -> None:
    """
    Where the journal cannot write there is no token.
    """
    answer = asked(None, "/v1/admin/view-as", json={"tenant": "acme"})

    assert (answer.status_code, "token" in answer.text) == (503, False)


def test_what_is_no_view_leaves_no_line(journal: SqliteJournal) -> None:
    """
    Neither a wrong key nor a body of another shape is noted.
    """
    asked(journal, "/v1/admin/view-as", json={"tenant": "acme"}, headers={"Authorization": "Bearer x"})
    asked(journal, "/v1/admin/view-as", json={"tenant": "no tenant"})
    asked(journal, "/v1/admin/view-as", json={})

    assert asked(journal, "/v1/admin/audit").json() == {"lines": [], "next": 0}


def test_the_trail_is_read_in_pages(journal: SqliteJournal) -> None:
    """
    The newest lines come first, a page at a time, of all tenants or of one.
    """
    line = AuditLine(1, "view-as", "acme", "key", "", "")
    for number in range(5):
        journal.audit.note(replace(line, tenant=("acme", "globex")[number % 2]))

    def page(**asked_for: Any) -> tuple[list[int], int]:
        body = asked(journal, "/v1/admin/audit", params=asked_for).json()
        return [one["number"] for one in body["lines"]], body["next"]

    assert page(limit=2) == ([5, 4], 4)
    assert page(limit=2, before=4) == ([3, 2], 2)
    assert page(limit=2, before=2) == ([1], 0)
    assert page(tenant="globex") == ([4, 2], 0)


@pytest.mark.parametrize("asked_for", [{"limit": "0"}, {"limit": "1001"}, {"limit": "x"}, {"before": "-1"}])
def test_a_page_that_cannot_be_is_refused(journal: SqliteJournal, asked_for: dict[str, str]) -> None:
    """
    Numbers that are none, or too large, are refused with the name of the parameter.
    """
    answer = asked(journal, "/v1/admin/audit", params=asked_for)

    assert answer.status_code == 400
    assert f"`{next(iter(asked_for))}`" in answer.json()["detail"]
