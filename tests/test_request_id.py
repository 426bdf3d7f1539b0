"""
Request ids: on every answer, in every problem document, in the log.
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from metriclake._errors import InvalidToken, JournalUnavailable, MetriclakeError
from metriclake.problems import as_json, on_error, on_http_error
from metriclake.request_id import RequestIds, chosen, current
from metriclake.serve import _JsonLines


async def good(_request: Request) -> Response:
    """
    Answer with the id, as a thread sees it.
    """
    return as_json(await run_in_threadpool(current))


def raising(error: Exception) -> Any:
    """
    Return a handler that fails.
    """

    async def handler(_request: Request) -> Response:
        raise error

    return handler


async def torn(_request: Request) -> Response:
    """
    Answer with a stream that breaks.
    """

    def parts() -> Any:
        yield b"x"
        msg = "broken"
        raise ValueError(msg)

    return StreamingResponse(parts())


HANDLERS: Any = {MetriclakeError: on_error, HTTPException: on_http_error}
APP = Starlette(
    routes=[
        Route("/good", good),
        Route("/refused", raising(InvalidToken("no"))),
        Route("/journal", raising(JournalUnavailable("disk"))),
        Route("/broken", raising(ValueError("a secret"))),
        Route("/gone", raising(ClientDisconnect())),
        Route("/torn", torn),
    ],
    middleware=[Middleware(RequestIds, on_error)],
    exception_handlers=HANDLERS,
)


def get(path: str, headers: Any = None) -> httpx.Response:
    """
    Return an answer of the app.
    """

    async def send() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(APP), base_url="http://localhost") as client:
            return await client.get(path, headers=headers)

    return asyncio.run(send())


@pytest.mark.parametrize(
    ("path", "status"),
    [("/good", 200), ("/refused", 401), ("/journal", 503), ("/broken", 500), ("/nowhere", 404)],
)
def test_every_answer_has_the_callers_id(path: str, status: int) -> None:
    """
    Whatever becomes of a request, its answer carries its id, and a problem names it.
    """
    answer = get(path, {"X-Request-Id": "abc-123"})

    assert (answer.status_code, answer.headers.get_list("X-Request-Id")) == (status, ["abc-123"])
    assert answer.json() == "abc-123" if status == 200 else answer.json()["instance"] == "urn:request:abc-123"


def test_without_one_each_request_gets_its_own() -> None:
    """
    New ids differ, and nothing of one request is left for the next.
    """
    ids = {get("/good").headers["X-Request-Id"] for _ in range(10)}

    assert len(ids) == 10
    assert current() is None


@given(st.binary(max_size=140))
def test_only_plain_ids_are_taken_over(sent: bytes) -> None:
    """
    What is not 1 to 128 printable ASCII characters without spaces is replaced.
    """
    plain = 1 <= len(sent) <= 128 and all(0x21 <= byte <= 0x7E for byte in sent)

    assert (chosen([(b"x-request-id", sent)]).encode() == sent) == plain


def test_instance_is_a_uri() -> None:
    """
    What a URI cannot hold is percent-encoded in `instance`; the header repeats it as it came.
    """
    answer = get("/refused", {"X-Request-Id": 'a"<%>'})

    assert answer.headers["X-Request-Id"] == 'a"<%>'
    assert answer.json()["instance"] == "urn:request:a%22%3C%25%3E"


@pytest.mark.parametrize("path", ["/broken", "/journal"])
def test_log_lines_of_errors_carry_it(path: str, caplog: pytest.LogCaptureFixture) -> None:
    """
    An error in the log and the answer that hides it have the same id.
    """
    lines = list[dict[str, Any]]()

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(json.loads(_JsonLines().format(record)))

    kept = Kept()
    logging.getLogger("metriclake").addHandler(kept)
    try:
        answer = get(path, {"X-Request-Id": "r-1"})
    finally:
        logging.getLogger("metriclake").removeHandler(kept)

    assert [line["request_id"] for line in lines if line["level"] == "error"] == ["r-1"]
    assert "a secret" not in answer.text
    assert len(caplog.records) == 1


def test_answer_that_breaks_off_is_not_ended_well() -> None:
    """
    An error in the middle of an answer goes on to the server, which breaks the connection off.
    """
    with pytest.raises(ValueError, match="broken"):
        get("/torn")


def test_caller_that_went_away_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    """
    A caller that leaves early is not logged as a failure of the server.
    """
    with caplog.at_level(logging.INFO), pytest.raises(AssertionError):
        get("/gone")

    assert {record.levelname for record in caplog.records if record.name.startswith("metriclake")} == {"INFO"}
