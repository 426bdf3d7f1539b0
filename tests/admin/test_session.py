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
from metriclake.admin import Admin, Guard, Sessions, Trail
from metriclake.admin.login import MOST_TRIES, WINDOW_SECONDS, Tries
from metriclake.admin.session import COOKIE, SECONDS, is_session, session
from metriclake.audit import AuditLine
from metriclake.problems import on_error

KEY = "an-admin-key-of-the-tests-0123456789"
OTHER = "another-admin-key-of-tests-0123456789"
PAGE = {"X-Metriclake-Page": "internal", "Sec-Fetch-Site": "same-origin"}
NOW = 1_800_000_000.0


class Server:
    """
    A server whose admin key is known, with its clock and its audit trail.
    """

    def __init__(self) -> None:
        """
        Begin at the beginning of an hour, with nothing noted.
        """
        self.now = NOW
        self.noted: list[AuditLine] = []
        guard = Guard(KEY, lambda: self.now)
        sessions = Sessions(guard, Trail(self.noted.append, lambda: self.now), Tries(lambda: self.now))
        admin = Admin(guard, lambda _most, _search: {"balanced": True}, lambda: {"tenants": []})
        handlers: Any = {MetriclakeError: on_error}
        self.app = Starlette(routes=[*sessions.routes(), *admin.routes()], exception_handlers=handlers)

    def asked(self, method: str, path: str, client: str = "10.0.0.1", **request: Any) -> httpx.Response:
        """
        Ask a route from an address.
        """
        transport = httpx.ASGITransport(self.app, client=(client, 1))

        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=transport, base_url="https://lake.example") as asking:
                return await asking.request(method, path, **request)

        return asyncio.run(ask())

    def logged_in(self) -> dict[str, str]:
        """
        Return the headers that a browser sends with a session and without the page's own.
        """
        answer = self.asked("POST", "/v1/admin/session", json={"key": KEY}, headers=PAGE)
        assert answer.status_code == 204
        return {"Cookie": f"{COOKIE}={answer.cookies[COOKIE]}"}


def asked(method: str, path: str, **request: Any) -> httpx.Response:
    """
    Ask a route of a new server, which takes the sessions of others with its key.
    """
    return Server().asked(method, path, **request)


def logged_in() -> dict[str, str]:
    """
    Return the headers that a browser sends with a session of a new server.
    """
    return Server().logged_in()


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
    assert asked("GET", "/v1/admin/session", headers={"Authorization": f"Bearer {KEY}"}).json() == {"by": "key"}
    assert asked("GET", "/v1/admin/session", headers={**cookie, **PAGE}).json()["by"].startswith("session ")
    assert asked("GET", "/v1/admin/status", headers=PAGE).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "same-origin"},
        {"X-Metriclake-Page": "internal", "Sec-Fetch-Site": "cross-site"},
        {"X-Metriclake-Page": "internal", "Sec-Fetch-Site": "same-site"},
        {"X-Metriclake-Page": "internal", "Origin": "https://evil.example"},
        {"X-Metriclake-Page": "internal", "Origin": "https://lake.example.evil"},
        {"X-Metriclake-Page": "internal", "Origin": "null"},
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
    for headers in ({}, {**PAGE, "Sec-Fetch-Site": "cross-site"}, {**PAGE, "Origin": "https://evil.example"}):
        answer = asked("POST", "/v1/admin/session", json={"key": KEY}, headers=headers)

        assert (answer.status_code, answer.headers.get("set-cookie")) == (401, None)


def test_our_own_origin_is_no_other_site() -> None:
    """
    A browser that names the page's own origin, as it does with every POST, is let in, also behind http.
    """
    for origin in ("https://lake.example", "http://lake.example"):
        headers = {**PAGE, "Origin": origin}
        assert asked("POST", "/v1/admin/session", json={"key": KEY}, headers=headers).status_code == 204


def test_a_logout_takes_the_cookie_away() -> None:
    """
    The page's logout answers with an empty cookie that is over; nobody without a session can log anybody out.
    """
    answer = asked("DELETE", "/v1/admin/session", headers={**logged_in(), **PAGE})

    assert answer.status_code == 204
    assert f'{COOKIE}="";' in answer.headers["set-cookie"]
    assert "Max-Age=0" in answer.headers["set-cookie"]
    assert asked("DELETE", "/v1/admin/session", headers=logged_in()).status_code == 401


def test_a_copied_cookie_is_worth_nothing_after_a_logout() -> None:
    """
    A session that is ended counts no more, while another one does.
    """
    server = Server()
    ended, other = server.logged_in(), server.logged_in()
    assert server.asked("DELETE", "/v1/admin/session", headers={**ended, **PAGE}).status_code == 204

    assert server.asked("GET", "/v1/admin/status", headers={**ended, **PAGE}).status_code == 401
    assert server.asked("GET", "/v1/admin/status", headers={**other, **PAGE}).status_code == 200


def test_who_tries_keys_is_let_wait() -> None:
    """
    After some wrong keys within a minute an address is told to wait, with a right key too; others are not.
    """
    server = Server()

    def login(key: str, client: str = "10.0.0.1") -> httpx.Response:
        return server.asked("POST", "/v1/admin/session", client, json={"key": key}, headers=PAGE)

    wrong = []
    for _ in range(MOST_TRIES):
        server.now += 1
        wrong.append(login(OTHER).status_code)
    refused = login(KEY)
    assert wrong == [401] * MOST_TRIES
    assert (refused.status_code, refused.headers.get("set-cookie")) == (429, None)
    assert 0 < int(refused.headers["Retry-After"]) <= WINDOW_SECONDS
    assert login(KEY, "10.0.0.2").status_code == 204
    assert server.asked("GET", "/v1/admin/usage", headers={"Authorization": f"Bearer {KEY}"}).status_code == 200
    server.now += int(refused.headers["Retry-After"])
    assert login(KEY).status_code == 204


def test_logins_and_logouts_are_noted() -> None:
    """
    The trail names a session by its beginning, which is not enough to be it; a wrong key leaves no line.
    """
    server = Server()
    cookie = server.logged_in()
    server.asked("POST", "/v1/admin/session", json={"key": OTHER}, headers=PAGE)
    server.asked("DELETE", "/v1/admin/session", headers={**cookie, **PAGE})

    assert [line.action for line in server.noted] == ["login", "logout"]
    (by,) = {line.by for line in server.noted}
    kind, name = by.split()
    assert (kind, len(name)) == ("session", 8)
    assert f".{name}" in cookie["Cookie"]
    assert not is_session(name, KEY, NOW)


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
