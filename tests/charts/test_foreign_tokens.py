"""
Every route that takes a tenant's token, by the program's own list, answers for that tenant and for nobody else.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest

from app.server import Running
from charts.browser import token
from metriclake.tokens import mint_tenant

pytestmark = pytest.mark.engine

CANARIES = ("Acme Inc", "acme")
"""What only one tenant's answers may hold; numbers of the two differ, and are compared in the tests of questions."""

BODIES: dict[str, Any] = {
    "/v1/query": {"queries": {"q": {"metric": "findings", "range": {"last": "30d"}, "group_by": ["tenant_name"]}}},
    "/v1/sql": {"sql": "SELECT * FROM metrics"},
}


@pytest.fixture(name="routes", scope="module")
def routes_fixture(server: Running) -> list[tuple[str, str]]:
    """
    Return (method, path) of each route that takes a tenant's token, as the server itself describes them.
    """
    document = server.client.get("/openapi.json").raise_for_status().json()
    return [
        (method, path)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if {"tenantToken": []} in operation["security"]
    ]


def call(server: Running, method: str, path: str, bearer: str | None) -> httpx.Response:
    """
    Send a request that the route can answer; of a stream, what comes at once.
    """
    headers = {} if bearer is None else {"Authorization": f"Bearer {bearer}"}
    place = path.replace("{dashboard}", "overview")
    body = BODIES.get(path)
    content = None if body is None else msgspec.json.encode(body)
    with server.client.stream(method, place, headers=headers, content=content) as answer:
        if answer.headers["Content-Type"].startswith("text/event-stream"):
            answer._content = next(answer.iter_bytes())
        else:
            answer.read()
        return answer


def test_the_list_has_what_there_is(routes: list[tuple[str, str]]) -> None:
    """
    The list is not empty by mistake.
    """
    assert {("post", "/v1/query"), ("get", "/v1/catalog"), ("get", "/v1/dashboards/{dashboard}")} <= set(routes)


def test_a_tenant_sees_its_own(server: Running, routes: list[tuple[str, str]]) -> None:
    """
    Each route answers the one tenant with what is looked for below: the canaries can be seen.
    """
    texts = [call(server, method, path, token(server)).text for method, path in routes]

    assert any(canary in text for text in texts for canary in CANARIES)


def test_no_route_tells_of_another_tenant(server: Running, routes: list[tuple[str, str]]) -> None:
    """
    With another tenant's token each route answers, and has no word of the first.
    """
    for method, path in routes:
        answer = call(server, method, path, token(server, "globex"))

        assert answer.status_code == 200, path
        assert [canary for canary in CANARIES if canary in answer.text] == [], path


def test_no_route_answers_without_a_valid_token(server: Running, routes: list[tuple[str, str]]) -> None:
    """
    None, a forged one, an expired one, the admin's and a door's key: 401 everywhere.
    """
    past = datetime.now(UTC) - timedelta(hours=1)
    forged = mint_tenant("another-key-of-the-tests-0123456789", "acme", now=datetime.now(UTC))
    expired = mint_tenant(server.keys.signing, "acme", now=past, ttl=timedelta(minutes=1))
    for method, path in routes:
        for bearer in (None, forged, expired, server.keys.admin, server.keys.ingest):
            assert call(server, method, path, bearer).status_code == 401, path


def test_no_route_takes_a_token_of_another_page(server: Running, routes: list[tuple[str, str]]) -> None:
    """
    A token that is bound to an origin is refused on every route where none is named: a copied link is worth nothing.
    """
    bound = token(server, origin="https://app.example.com")
    for method, path in routes:
        assert call(server, method, path, bound).status_code == 403, path


def test_a_token_of_a_dashboard_opens_nothing_else(server: Running, routes: list[tuple[str, str]]) -> None:
    """
    With a token of one dashboard its questions, its page and its stream are open; all else is refused.
    """
    bound = token(server, dashboards=("overview",))
    found = {path: call(server, method, path, bound) for method, path in routes}

    assert found.pop("/v1/dashboards/{dashboard}").status_code == 200
    (asked,) = found.pop("/v1/query").json()["queries"].values()
    assert asked["status"] == 403
    heard = found.pop("/v1/stream")
    assert '"metrics":["findings","later","scans"]' in heard.text
    assert {path: answer.status_code for path, answer in found.items()} == dict.fromkeys(found, 403)


def test_no_internal_route_takes_a_tenants_token(server: Running) -> None:
    """
    Each route of the admin key, by the server's own list, refuses every other key and token: 401, before it reads more.
    """
    document = server.client.get("/openapi.json").raise_for_status().json()
    internal = [
        (method, path.replace("{tenant}", "acme"))
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if {"adminKey": []} in operation["security"]
    ]
    session = {"Cookie": "metriclake_admin=1.2.3", "X-Metriclake-Page": "internal"}

    assert {("get", "/v1/admin/audit"), ("post", "/v1/admin/view-as"), ("post", "/v1/admin/fleet")} <= set(internal)
    for method, path in internal:
        for bearer in (token(server), token(server, dashboards=("overview",)), server.keys.ingest, "x"):
            headers = {"Authorization": f"Bearer {bearer}"}
            assert server.client.request(method, path, headers=headers).status_code == 401, (method, path)
        assert server.client.request(method, path, headers=session).status_code == 401, (method, path)
