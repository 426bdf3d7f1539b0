"""
Speak HTTP to an application in this process, without a socket.

The parts of an answer come as they are made, and none is made before the one before it is taken: httpx' own transport
gathers the whole answer first.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
from starlette.types import ASGIApp, Message


class InProcess(httpx.AsyncBaseTransport):
    """
    The transport of a client of an ASGI application.
    """

    def __init__(self, app: ASGIApp) -> None:
        """
        Take an application whose lifespan is the caller's affair.
        """
        self._app = app

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """
        Answer a request.
        """
        exchange = _Exchange(self._app, _scope(request), await request.aread())
        try:
            start = await exchange.next()
        except BaseException:
            await exchange.aclose()
            raise
        return httpx.Response(start["status"], headers=start["headers"], stream=exchange)


class _Exchange(httpx.AsyncByteStream):
    """
    One request and its answer, whose parts it is.
    """

    def __init__(self, app: ASGIApp, scope: dict[str, Any], body: bytes) -> None:
        self._body: bytes | None = body
        self._messages: asyncio.Queue[Message | None] = asyncio.Queue(1)
        self._closed = asyncio.Event()
        self._task = asyncio.create_task(self._work(app, scope))

    async def _work(self, app: ASGIApp, scope: dict[str, Any]) -> None:
        try:
            await app(scope, self._receive, self._messages.put)
        finally:
            await self._messages.put(None)

    async def _receive(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._closed.wait()
        return {"type": "http.disconnect"}

    async def next(self) -> Message:
        """
        Return the application's next message.

        Raises RemoteProtocolError where it has ended before its answer has, and what it has raised itself.
        """
        message = await self._messages.get()
        if message is None:
            await self._task
            raise httpx.RemoteProtocolError("the answer has ended before it was whole")
        return message

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """
        Yield the parts of the answer.
        """
        more = True
        while more:
            message = await self.next()
            more = message.get("more_body", False)
            yield message.get("body", b"")
        await self._messages.get()
        await self._task

    async def aclose(self) -> None:
        """
        Go away, and wait until the application has noticed.
        """
        self._closed.set()
        while not self._task.done():
            while not self._messages.empty():
                self._messages.get_nowait()
            await asyncio.wait({self._task}, timeout=0.01)
        if not self._task.cancelled():
            self._task.exception()  # who goes away does not ask for it


def _scope(request: httpx.Request) -> dict[str, Any]:
    url = request.url
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": url.scheme,
        "path": url.path,
        "raw_path": url.raw_path.split(b"?")[0],
        "query_string": url.query,
        "root_path": "",
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "client": ("in-process", 0),
        "server": (url.host, url.port or 80),
    }
