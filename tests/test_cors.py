"""
Pages of other origins may ask what the pipeline file lets them ask.
"""

from __future__ import annotations

import asyncio

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from metriclake.cors import Cors
from metriclake.pipeline.dashboard_specs import allows, is_origin

ORIGINS = ["https://app.example.com", "https://*.customer.example", "http://localhost:3000"]


def call(method: str, path: str, origin: str | None) -> httpx.Response:
    """
    Return the answer to a request of a page.
    """

    async def answer(_request: Request) -> Response:
        return PlainTextResponse("numbers", headers={"Vary": "Accept-Encoding"})

    async def send() -> httpx.Response:
        around = [Middleware(Cors, lambda found: allows(ORIGINS, found), ("/v1/query",))]
        routes = [Route(name, answer, methods=["GET", "POST"]) for name in ("/v1/query", "/v1/query/x", "/v1/queryx")]
        transport = httpx.ASGITransport(Starlette(routes=routes, middleware=around))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.request(method, path, headers={"Origin": origin} if origin else {})

    return asyncio.run(send())


@pytest.mark.parametrize("path", ["/v1/query", "/v1/query/x"])
def test_a_named_origin_may_read(path: str) -> None:
    """
    The answer names the page's own origin, never any, and caches keep answers to different pages apart.
    """
    answer = call("POST", path, "https://app.example.com")

    assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example.com"
    assert answer.headers["Vary"] == "Accept-Encoding, Origin"
    assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize(("path", "origin"), [("/v1/query", "https://evil.example"), ("/v1/queryx", ORIGINS[0])])
def test_another_origin_or_path_may_not(path: str, origin: str) -> None:
    """
    To pages that are not named, and on other paths, nothing is said that would let them read.
    """
    assert "Access-Control-Allow-Origin" not in call("POST", path, origin).headers


def test_a_preflight_allows_what_the_components_send() -> None:
    """
    The token's header and JSON bodies, not the header in which our own page names the one that frames it.
    """
    answer = call("OPTIONS", "/v1/query", "https://app.example.com")

    assert answer.status_code == 204
    assert answer.headers["Access-Control-Allow-Headers"] == "authorization, content-type, last-event-id"
    assert answer.headers["Access-Control-Allow-Methods"] == "GET, POST"


def test_a_preflight_of_another_origin_is_refused() -> None:
    """
    It is said which key of the pipeline file would allow it.
    """
    answer = call("OPTIONS", "/v1/query", "https://evil.example")

    assert answer.status_code == 403
    assert "embedding" in answer.text
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_without_an_origin_nothing_changes() -> None:
    """
    What is no page of another origin is answered as ever.
    """
    assert "Origin" not in call("GET", "/v1/query", None).headers["Vary"]


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://app.example.com", True),
        ("https://app.example.com:8443", False),
        ("http://app.example.com", False),
        ("https://a.customer.example", True),
        ("https://b.a.customer.example", True),
        ("https://customer.example", False),
        ("https://evilcustomer.example", False),
        ("https://evil.example/.customer.example", False),
        ("https://evil.example?.customer.example", False),
        ("http://a.customer.example", False),
        ("http://localhost:3000", True),
        ("null", False),
        ("", False),
    ],
)
def test_which_origins_are_meant(origin: str, allowed: bool) -> None:  # noqa: FBT001 - a column of the table
    """
    An origin is one that is named, or lies below one that is written with `*.`; scheme and port count.
    """
    assert allows(ORIGINS, origin) is allowed


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://app.example.com", True),
        ("https://*.example.com", True),
        ("http://localhost:3000", True),
        ("http://[::1]:3000", True),
        ("https://app.example.com/", False),
        ("https://app.example.com/x", False),
        ("app.example.com", False),
        ("*", False),
        ("https://*", False),
        ("https://app.*.com", False),
        ("https://app.example.com; script-src *", False),
        ("https://a b", False),
        ("https://user@example.com", False),
        ("https://example.com:port", False),
        ("https://Example.com", False),
    ],
)
def test_what_is_an_origin(text: str, origin: bool) -> None:  # noqa: FBT001 - a column of the table
    """
    Nothing but an origin gets into the header that says who may frame the page.
    """
    assert is_origin(text) is origin
