"""
A client in the server's own process gets answers as they are made, and sees how they end.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from metriclake.in_process import InProcess

START = {"type": "http.response.start", "status": 200, "headers": [(b"x-kind", b"parts")]}


class Parts:
    """
    An application that answers in parts, without end unless told otherwise.
    """

    def __init__(self, most: int = 2**62, *, whole: bool = True, fault: Exception | None = None) -> None:
        """
        Of so many parts, with the end or without, or with a fault after them.
        """
        self.made = 0
        self.left = False
        self._most = most
        self._whole = whole
        self._fault = fault

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """
        Answer.
        """
        assert scope["type"] == "http"
        await receive()
        leaving = asyncio.create_task(self._notice(receive))
        await send(START)
        while self.made < self._most and not self.left:
            self.made += 1
            await send({"type": "http.response.body", "body": b"part", "more_body": True})
        leaving.cancel()
        if self._fault is not None:
            raise self._fault
        if self._whole:
            await send({"type": "http.response.body", "body": b""})

    async def _notice(self, receive: Receive) -> None:
        self.left = (await receive())["type"] == "http.disconnect"


def client(app: Any) -> httpx.AsyncClient:
    """
    Return a client of an application.
    """
    return httpx.AsyncClient(transport=InProcess(app), base_url="http://in-process")


def test_parts_are_made_as_they_are_taken() -> None:
    """
    An answer without end takes no memory: a part is made when one before it was taken; who leaves is noticed.
    """
    app = Parts()

    async def work() -> list[bytes]:
        async with client(app) as asking, asking.stream("GET", "/") as answer:
            assert answer.headers["x-kind"] == "parts"
            parts = answer.aiter_raw()
            taken = [await anext(parts) for _ in range(3)]
            await asyncio.sleep(0.01)
            assert app.made <= 6
            return taken

    assert asyncio.run(work()) == [b"part"] * 3
    assert app.left


def test_an_answer_that_is_not_whole_is_an_error() -> None:
    """
    Where an application ends without the end of its answer, or by a fault, the client does not take it for whole.
    """

    async def work(app: Parts) -> bytes:
        async with client(app) as asking:
            return (await asking.get("/")).content

    assert asyncio.run(work(Parts(2))) == b"partpart"
    with pytest.raises(httpx.RemoteProtocolError):
        asyncio.run(work(Parts(2, whole=False)))
    with pytest.raises(ZeroDivisionError):
        asyncio.run(work(Parts(2, fault=ZeroDivisionError())))


def test_a_request_arrives_as_it_was_sent() -> None:
    """
    The method, the path, the query, the headers and the body are those of the request.
    """

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        found = {key: scope[key] for key in ("method", "path")}
        found |= {"query": scope["query_string"].decode(), "raw": scope["raw_path"].decode()}
        found |= {"key": dict(scope["headers"])[b"x-key"].decode(), "body": (await receive())["body"].decode()}
        await send(START)
        await send({"type": "http.response.body", "body": json.dumps(found).encode()})

    async def work() -> Any:
        async with client(app) as asking:
            answer = await asking.post("/a%20b", params={"x": ["1", "2"]}, headers={"X-Key": "k"}, content=b"body")
            return answer.json()

    assert asyncio.run(work()) == {
        "method": "POST", "path": "/a b", "raw": "/a%20b", "query": "x=1&x=2", "key": "k", "body": "body",
    }  # fmt: skip
