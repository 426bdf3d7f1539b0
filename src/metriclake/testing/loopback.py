"""
Speak HTTP/1.1 on the loopback interface, from a thread of its own: keep-alive, slow answers, hung-up connections.

What is answered is decided elsewhere, one request at a time; here are only bytes and sockets.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, cast

import httptools

_HOST = "127.0.0.1"
_BACKLOG = 512
_TURNS = 5
_MOST_HEAD_BYTES = 64 * 1024
_MOST_WAITING = 16
_PATIENCE_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Request:
    """
    One request. Names of headers are in lower case; `body` is as it was sent, which may be compressed.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """
    One answer: its status, headers and body.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def wire(self, *, keep: bool) -> bytes:
        """
        Return the bytes that are sent; after them the connection is kept, or not.
        """
        known = self.status in HTTPStatus._value2member_map_
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase if known else 'Unknown'}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if self.status != HTTPStatus.NO_CONTENT:
            lines.append(f"Content-Length: {len(self.body)}")
        if not keep:
            lines.append("Connection: close")
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + self.body


@dataclass(frozen=True, slots=True)
class Reply:
    """
    What becomes of a request: an answer after so many seconds, a part of one, or none and the end of the connection.
    """

    answer: Answer | None
    seconds: float = 0.0
    broken: bool = False


class Loopback:
    """
    Listens on a free port of 127.0.0.1, and gives each whole request to `handle`, in its one thread.
    """

    def __init__(self, handle: Callable[[Request], Reply], most_bytes: int) -> None:
        """
        Answer a body of more than `most_bytes` with 413, and end its connection.
        """
        self.handle = handle
        self.most_bytes = most_bytes
        self.connections: set[_Connection] = set()
        self.port = 0
        self.listening = False  # a connection that was on its way when that ended is hung up too
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._server: asyncio.Server | None = None

    def start(self) -> None:
        """
        Begin to listen.
        """
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="metriclake-twin", daemon=True)
        self._thread.start()
        self.listen()

    def stop(self) -> None:
        """
        Hang up all connections and end the thread; what is not answered by now is not answered.
        """
        if self._loop is None or self._thread is None:
            return
        self.hang_up()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_PATIENCE_SECONDS)
        self._loop.close()
        self._loop = self._thread = None

    def listen(self) -> None:
        """
        Listen, on the same port as before where there was one.
        """
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((_HOST, self.port))
        self.port = listener.getsockname()[1]
        self._ask(self._listen(listener))

    def hang_up(self) -> None:
        """
        Stop listening, so that connections are refused, and hang up those that are open.
        """
        self._ask(self._hang_up())

    def _ask(self, what: Coroutine[Any, Any, None]) -> None:
        if self._loop is None:
            what.close()
            raise RuntimeError("this twin is not running: use it in a `with` statement, or start() it")
        asyncio.run_coroutine_threadsafe(what, self._loop).result(_PATIENCE_SECONDS)

    async def _listen(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        self.listening = True
        self._server = await loop.create_server(lambda: _Connection(self), sock=listener, backlog=_BACKLOG)

    async def _hang_up(self) -> None:
        self.listening = False
        server, self._server = self._server, None
        if server is not None:
            await self._accept_no_more(server)
            server.close()
        # Some turns of the loop: what was being accepted becomes a connection, and the transports close their sockets.
        for _ in range(_TURNS):
            for connection in tuple(self.connections):
                connection.hang_up()
            await asyncio.sleep(0)

    @staticmethod
    async def _accept_no_more(server: asyncio.Server) -> None:
        """
        Let what was just accepted become connections: in a server that is closed meanwhile they would be nobody's.
        """
        loop = asyncio.get_running_loop()
        for listener in server.sockets:
            loop.remove_reader(listener.fileno())
        for _ in range(_TURNS):
            await asyncio.sleep(0)


class _Connection(asyncio.Protocol):
    """
    One connection: requests in their order, each answered before the next one is looked at.
    """

    def __init__(self, server: Loopback) -> None:
        self._server = server
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[tuple[Request, bool]] = deque()
        self._busy: asyncio.TimerHandle | None = None
        self._url = b""
        self._headers: dict[str, str] = {}
        self._head_size = 0
        self._body = bytearray()
        self._refused = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """
        Begin.
        """
        self._transport = cast("asyncio.Transport", transport)
        self._server.connections.add(self)
        if not self._server.listening:
            self.hang_up()

    def connection_lost(self, exc: Exception | None) -> None:
        """
        Forget what waits: there is nobody to be answered.
        """
        del exc
        self._server.connections.discard(self)
        self._waiting.clear()
        if self._busy is not None:
            self._busy.cancel()
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """
        Parse; what is not HTTP is answered with 400.
        """
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._refused = self._refused or 400
        if self._refused:
            self._end(Answer(self._refused))
        self._next()

    def hang_up(self) -> None:
        """
        End without another byte.
        """
        if self._transport is not None:
            self._transport.abort()

    def on_message_begin(self) -> None:
        self._url = b""
        self._headers = {}
        self._head_size = 0
        self._body = bytearray()

    def on_url(self, url: bytes) -> None:
        if self._head_fits(len(url)):
            self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._head_fits(len(name) + len(value)):
            self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if self._headers.get("expect", "").lower() == "100-continue" and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        if len(self._body) + len(body) > self._server.most_bytes:
            self._refused = 413
        else:
            self._body += body

    def on_message_complete(self) -> None:
        url = httptools.parse_url(self._url)
        request = Request(
            self._parser.get_method().decode("latin-1"),
            (url.path or b"/").decode("latin-1"),
            (url.query or b"").decode("latin-1"),
            self._headers,
            bytes(self._body),
        )
        if not self._refused:
            self._waiting.append((request, self._parser.should_keep_alive()))

    def _head_fits(self, size: int) -> bool:
        self._head_size += size
        if self._head_size > _MOST_HEAD_BYTES:
            self._refused = 431
        return not self._refused

    def _next(self) -> None:
        """
        Take requests that wait, until one of them is answered later.
        """
        while self._waiting and self._busy is None and self._transport is not None:
            request, keep = self._waiting.popleft()
            reply = self._server.handle(request)
            if reply.seconds > 0:
                loop = asyncio.get_running_loop()
                self._busy = loop.call_later(reply.seconds, self._later, reply, keep)
            else:
                self._send(reply, keep=keep)
        self._breathe()

    def _later(self, reply: Reply, keep: bool) -> None:  # noqa: FBT001 - call_later passes positions only
        self._busy = None
        self._send(reply, keep=keep)
        self._next()

    def _send(self, reply: Reply, *, keep: bool) -> None:
        if self._transport is None:
            return
        if reply.answer is None:
            self._transport.abort()
        elif reply.broken:
            wire = reply.answer.wire(keep=True)
            self._transport.write(wire[: len(wire) // 2])
            self._transport.close()
        else:
            self._transport.write(reply.answer.wire(keep=keep))
            if not keep:
                self._transport.close()

    def _end(self, answer: Answer) -> None:
        self._waiting.clear()
        if self._transport is not None:
            self._transport.write(answer.wire(keep=False))
            self._transport.close()

    def _breathe(self) -> None:
        """
        Read on only while few requests wait: who sends without waiting for answers fills no memory.
        """
        if self._transport is None or self._transport.is_closing():
            return
        if len(self._waiting) > _MOST_WAITING:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()
