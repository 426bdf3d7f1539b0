"""
Who may ask the internal routes: the admin key, and the internal page's own requests once somebody logged in there.
"""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette

from metriclake._errors import MetriclakeError
from metriclake.admin import Admin, Sessions
from metriclake.admin.session import COOKIE, SECONDS, is_session, session
from metriclake.problems import on_error

KEY = "an-admin-key-of-the-tests-0123456789"
OTHER = "another-admin-key-of-tests-0123456789"
PAGE = {"X-Metriclake-Page": "internal", "Sec-Fetch-Site": "same-origin"}
NOW = 1_800_000_000.0


def asked(method: str, path: str, **request: Any) -> httpx.Response:
    """
    Ask the routes of a server whose admin key is known.
    """
    handlers: Any = {MetriclakeError: on_error}
    routes = [*Sessions(KEY).routes(), *Admin(KEY, lambda: {"balanced": True}, lambda: {"tenants": []}).routes()]
    transport = httpx.ASGITransport(Starlette(routes=routes, exception_handlers=handlers))

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="https://lake.example") as client:
            return await client.request(method, path, **request)

    return asyncio.run(ask())


def logged_in() -> dict[str, str]:
    """
    Return the headers that a browser sends with a session and without the page's own.
    """
    answer = asked("POST", "/v1/admin/session", json={"key": KEY}, headers=PAGE)
    assert answer.status_code == 204
    return {"Cookie": f"{COOKIE}={answer.cookies[COOKIE]}"}


def test_a_login_sets_a_cookie_that_nobody_else_reads_or_sends() -> None:
    """
    The cookie is for secure connections, hidden from scripts, and stays away from requests of other sites.
    """
    answer = asked("POST", "/v1/admin/session", json={"key": KEY}, headers=PAGE)
    said = {part.strip().lower() for part in answer.headers["set-cookie"].split(";")[1:]}

    assert said == {"secure", "httponly", "samesite=strict", "path=/", f"max-age={SECONDS}"}
    assert answer.headers["cache-control"] == "no-store"
    assert KEY not in answer.headers["set-cookie"]


def test_the_page_asks_by_its_session() -> None:
    """
    With the cookie and the page's header the internal routes answer; the admin key as a bearer works as ever.
    """
    cookie = logged_in()

    assert asked("GET", "/v1/admin/status", headers={**cookie, **PAGE}).json() == {"balanced": True}
    assert asked("GET", "/v1/admin/usage", headers={"Authorization": f"Bearer {KEY}"}).status_code == 200
    assert asked("GET", "/v1/admin/status", headers=PAGE).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "same-origin"},
        {"X-Metriclake-Page": "internal", "Sec-Fetch-Site": "cross-site"},
        {"X-Metriclake-Page": "internal", "Sec-Fetch-Site": "same-site"},
        {"Authorization": f"Bearer {OTHER}", **PAGE},
        {"Authorization": "", **PAGE},
    ],
)
def test_a_cookie_alone_does_nothing(headers: dict[str, str]) -> None:
    """
    A request that another page has made the browser send is refused, and a wrong key is not mended by a session.
    """
    answer = asked("GET", "/v1/admin/status", headers={**logged_in(), **headers})

    assert answer.status_code == 401
    assert "balanced" not in answer.text


@pytest.mark.parametrize("body", [b"", b"{}", b'{"key": 3}', b"[]", b'{"key": "k", "more": 1}', b"[" * 100_000])
def test_what_is_no_login_is_refused(body: bytes) -> None:
    """
    A body of another shape is refused, and its words are not repeated.
    """
    answer = asked("POST", "/v1/admin/session", content=body, headers=PAGE)

    assert (answer.status_code, answer.json()["detail"]) == (400, "a login is an object with `key`")


@pytest.mark.parametrize("key", [OTHER, "", " ", KEY[:-1], KEY + "x", "é" * 40])
def test_a_wrong_key_begins_no_session(key: str) -> None:
    """
    Another key is refused without a cookie.
    """
    answer = asked("POST", "/v1/admin/session", json={"key": key}, headers=PAGE)

    assert (answer.status_code, answer.headers.get("set-cookie")) == (401, None)


def test_no_other_site_can_log_a_reader_in() -> None:
    """
    A login without the page's header, as a form of another site would send it, begins no session.
    """
    answer = asked("POST", "/v1/admin/session", json={"key": KEY})

    assert (answer.status_code, answer.headers.get("set-cookie")) == (401, None)


def test_a_logout_takes_the_cookie_away() -> None:
    """
    The page's logout answers with an empty cookie that is over; nobody without a session can log anybody out.
    """
    answer = asked("DELETE", "/v1/admin/session", headers={**logged_in(), **PAGE})

    assert answer.status_code == 204
    assert f'{COOKIE}="";' in answer.headers["set-cookie"]
    assert "Max-Age=0" in answer.headers["set-cookie"]
    assert asked("DELETE", "/v1/admin/session", headers=logged_in()).status_code == 401


def test_a_session_ends_by_time_and_by_another_key() -> None:
    """
    A session counts for its hours, and for the admin key that it was begun with.
    """
    begun = session(KEY, NOW)

    assert is_session(begun, KEY, NOW + SECONDS - 1)
    assert not is_session(begun, KEY, NOW + SECONDS)
    assert not is_session(begun, OTHER, NOW)
    assert begun != session(KEY, NOW)


@given(st.text(), st.integers(0, 100), st.characters())
def test_no_other_text_is_a_session(text: str, place: int, letter: str) -> None:
    """
    Neither any text nor a session with a letter changed counts.
    """
    begun = session(KEY, NOW)
    changed = begun[: place % len(begun)] + letter + begun[place % len(begun) + 1 :]

    assert not is_session(text, KEY, NOW)
    assert changed == begun or not is_session(changed, KEY, NOW)
