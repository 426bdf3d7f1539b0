"""
What a connection may take, and how many there are: bytes and seconds for a head, seconds for an answer to be read.

Uvicorn by itself keeps a head of any length, and waits for the rest of one, and for an answer to be read, as long as it
takes. A connection that waits for a request gives way when there are too many.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any

import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from metriclake._config import MAX_HEAD_BYTES
from metriclake.pace import LEAST_BYTES, Pace
from metriclake.problems import on_error, problem
from metriclake.request_id import RequestIds

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ConnectionTerms:
    """
    How many connections may be open at once, the seconds of patience with each, and those between two requests.
    """

    most: int
    patience: float
    keep_alive: float


_SWEEP_SECONDS = 1.0
_HURRIED_SECONDS = 5.0
_MOST_PIPELINED = 32
"""Requests of one connection that may wait for the answers to earlier ones: one read may bring thousands."""

_OTHER_FILES = 512
"""Open files that are no connections: the store's, the journal's, the lake's."""
_MOST_FILES = 65_536


def raise_files() -> int:
    """
    Let this process open as many files as it may; returns how many of them may be connections.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    with contextlib.suppress(ValueError, OSError):  # some systems allow less than they say
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(1, soft - _OTHER_FILES)


class Ended(StrEnum):
    """
    Why a connection was ended that its client would have kept.
    """

    HEAD = "head"
    """A head was not whole in time, or what was left of a body that nobody reads any more."""
    ANSWER = "answer"
    """An answer was not read."""
    ROOM = "room"
    """It waited for its client, while a new one found no room."""
    FULL = "full"
    """It found no room, and none that could give way: its request was answered with 503."""


class Wait(IntEnum):
    """
    What of its client a connection waits for, in the order in which they give way where there are too many.
    """

    FIRST = 0
    """A first request's head."""
    NEXT = 1
    """Another request's head."""
    BODY = 2
    """The rest of a body."""


class Connections:
    """
    The open connections of one server. All of it happens on the event loop.
    """

    def __init__(self, terms: Callable[[], ConnectionTerms], leaving: Callable[[], None] = lambda: None) -> None:
        """
        `terms` returns those in force; `leaving` is called when the server is to end, to end answers that have no end.

        Each connection keeps its place in `waiting` itself: who waits longest is first.
        """
        self._terms = terms
        self._leaving = leaving
        self._open: set[Connection] = set()
        self.waiting: tuple[dict[Connection, None], ...] = tuple({} for _ in Wait)
        self._hurried = False
        self.ended: Counter[Ended] = Counter(dict.fromkeys(Ended, 0))

    def __len__(self) -> int:
        """
        Return how many are open.
        """
        return len(self._open)

    @property
    def terms(self) -> ConnectionTerms:
        """
        Return the terms in force.
        """
        return self._terms()

    def opened(self, connection: Connection) -> bool:
        """
        Take in a new connection; where there are too many another gives way. False where none can: refuse its request.
        """
        room = len(self._open) < self._terms().most
        if not room:
            longest = next((one for there in self.waiting for one in there), None)
            room = longest is not None
            self.ended[Ended.ROOM if room else Ended.FULL] += 1
            if longest is not None:
                longest.end(Ended.ROOM)
        self._open.add(connection)
        return room

    def closed(self, connection: Connection) -> None:
        """
        Note that a connection is gone.
        """
        self._open.discard(connection)

    async def look_after(self) -> None:
        """
        Sweep every second until cancelled.
        """
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            self.sweep(loop.time())

    def hurry(self) -> None:
        """
        Have little patience from now on, also with bodies: the server is to end.
        """
        self._hurried = True
        self._leaving()

    def sweep(self, now: float) -> None:
        """
        End those with which patience has come to its end; `now` is the event loop's time.
        """
        patience = self._terms().patience
        if self._hurried:
            patience = min(patience, _HURRIED_SECONDS)
        before = self.ended.copy()
        waiting = [one for there in self.waiting for one in there]
        for connection in [one for one in waiting if one.overdue(now - patience, also_bodies=self._hurried)]:
            self.ended[Ended.HEAD] += 1
            connection.end(Ended.HEAD)
        for connection in [one for one in self._open if one.unread(now, patience)]:
            self.ended[Ended.ANSWER] += 1
            connection.abort()
        if self.ended != before:
            counts = {str(why): count for why, count in (self.ended - before).items()}
            _LOG.info("connections were ended that did not come to an end", extra=counts)


class Config(uvicorn.Config):
    """
    Uvicorn's configuration, with the connections that its server keeps.
    """

    def __init__(self, app: Any, connections: Connections, **rest: Any) -> None:
        """
        `rest` is Uvicorn's.
        """
        super().__init__(app, http=Connection, ws="none", **rest)
        self.connections = connections


class Connection(HttpToolsProtocol):
    """
    Uvicorn's HTTP on one connection, with an end to each wait.
    """

    def __init__(
        self, config: Config, server_state: ServerState, app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:  # fmt: skip
        """
        Uvicorn makes one for each connection.
        """
        super().__init__(config, server_state, app_state, _loop)
        self._connections = config.connections
        self.timeout_keep_alive = self._connections.terms.keep_alive  # type: ignore[assignment]  # a timer's seconds
        self._waiting = self._connections.waiting
        self._wait: Wait | None = None
        self._head = 0
        self._since = self.loop.time()
        self._unsent = 0
        self._pace: Pace | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in Uvicorn
        """
        Begin, or refuse what will be asked.
        """
        super().connection_made(transport)
        if not self._connections.opened(self):
            self.app = _REFUSING
        self._waits(Wait.FIRST)

    def connection_lost(self, exc: Exception | None) -> None:
        """
        Come to the end.
        """
        self._waits(None)
        self._connections.closed(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """
        Read on, until too much has come that is no body.
        """
        if not self._head and self._wait is not Wait.BODY:
            self._since = self.loop.time()
        self._head += len(data)
        super().data_received(data)
        if self._head > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.transport.write(_HEAD_TOO_LARGE)
            self.transport.close()

    def on_headers_complete(self) -> None:
        """
        Wait for the body; count afresh.
        """
        self._head = 0
        if len(self.pipeline) >= _MOST_PIPELINED:
            raise _TooManyError
        self._waits(Wait.BODY)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """
        Count afresh.
        """
        self._head = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """
        Go to work; count afresh.
        """
        self._head = 0
        self._waits(Wait.NEXT if self.cycle.response_complete else None)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """
        Wait for the next request, or for what is left of this one's body.
        """
        super().on_response_complete()
        if self.cycle.response_complete and not self.transport.is_closing():
            self._since = self.loop.time()
            if self._wait is None:
                self._waits(Wait.NEXT)

    def _waits(self, wait: Wait | None) -> None:
        if self._wait is not None:
            del self._waiting[self._wait][self]
        if wait is not None:
            self._waiting[wait][self] = None
        self._wait = wait

    def send_400_response(self, msg: str) -> None:
        """
        Hang up; what comes after requests that are not answered yet is refused without a word in between.
        """
        if self.pipeline:
            self.transport.close()
        else:
            super().send_400_response(msg)

    def resume_writing(self) -> None:
        """
        Note that much of an answer was read.
        """
        if self._pace is not None:
            self._pace.move(LEAST_BYTES, self.loop.time())
        super().resume_writing()

    def overdue(self, before: float, *, also_bodies: bool) -> bool:
        """
        Tell whether a head, or the rest of a body that nobody reads, has begun before that time and is not whole.

        A connection that is idle has a timer of its own; a body that is read has its reader's.
        """
        match self._wait:
            case Wait.FIRST:
                begun = True
            case Wait.NEXT:
                begun = self._head > 0
            case _:
                begun = also_bodies or self.cycle.response_complete
        return begun and self._since < before

    def unread(self, now: float, patience: float) -> bool:
        """
        Tell whether of an answer too little was read in time.
        """
        left = self.transport.get_write_buffer_size()
        if not left:
            self._pace, self._unsent = None, 0
            return False
        if self._pace is None:
            self._pace = Pace(patience, now)
        self._pace.move(max(0, self._unsent - left), now)
        self._unsent = left
        return now > self._pace.until

    def end(self, why: Ended) -> None:
        """
        Close; whose head has begun, or whose body is awaited, is told why.
        """
        begun = self._head > 0
        if self._wait is Wait.BODY:
            begun = not (self.cycle.response_started or self.pipeline)
        if begun:
            self.transport.write(_HEAD_TOO_SLOW if why is Ended.HEAD else _NO_ROOM)
        self._waits(None)
        self.transport.close()

    def abort(self) -> None:
        """
        Close, whatever is still to be sent.
        """
        self.transport.abort()


class _TooManyError(Exception):
    """
    Ends the parsing of requests that nobody waits for.
    """


def _said(status: str) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()


_HEAD_TOO_LARGE = _said("431 Request Header Fields Too Large")
_HEAD_TOO_SLOW = _said("408 Request Timeout")
_NO_ROOM = _said("503 Service Unavailable\r\nRetry-After: 1")


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    detail = "as many connections are open as may be (`gateway.connections`), each with a request: try again"
    answer = problem(503, "Too many connections", detail, headers={"Retry-After": "1", "Connection": "close"})
    await answer(scope, receive, send)


_REFUSING = RequestIds(_refuse, on_error)
