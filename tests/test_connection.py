"""
What connections may take: hundreds that wait, drip or do not read, and the others are answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from metriclake._errors import MetriclakeError
from metriclake.connection import Connections, ConnectionTerms, Ended, raise_files
from metriclake.intake import Intake
from metriclake.problems import on_error, on_http_error
from metriclake.serve import Listening, _event_loop, listen

HASTY = ConnectionTerms(most=8, patience=0.3, keep_alive=0.3)
STEADY = ConnectionTerms(most=8, patience=1.0, keep_alive=1.0)
PATIENT = ConnectionTerms(most=8, patience=60.0, keep_alive=60.0)
_LARGE = 64 * 1024 * 1024
_PATIENCE_SECONDS = 20
_DRIP_SECONDS = 0.05
_POST = b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"


class Served:
    """
    A small application on a real socket.
    """

    def __init__(self, terms: ConnectionTerms) -> None:
        """
        Begin to listen.
        """
        self.terms = terms
        self.gate = threading.Event()
        self.connections = Connections(lambda: terms)
        self.listener = listen("127.0.0.1", 0)
        self.address: tuple[str, int] = self.listener.getsockname()
        app = Starlette(
            routes=[
                Route("/", lambda _: PlainTextResponse("hello")),
                Route("/read", self._read, methods=["POST"]),
                Route("/ignore", lambda _: PlainTextResponse("no"), methods=["POST"]),
                Route("/large", lambda _: Response(bytes(_LARGE))),
                Route("/wait", self._wait),
            ],
            middleware=[Middleware(Intake, lambda: terms.patience, _LARGE)],
            exception_handlers={MetriclakeError: on_error, HTTPException: on_http_error},
        )
        self.listening = Listening(app, self.connections, lambda: None, self.listener)

    async def _read(self, request: Request) -> Response:
        return PlainTextResponse(str(len(await request.body())))

    def _wait(self, _: Request) -> Response:
        self.gate.wait(_PATIENCE_SECONDS)
        return PlainTextResponse("done")

    def run(self) -> None:
        """
        Serve until `stop`.
        """
        with asyncio.Runner(loop_factory=_event_loop) as runner:
            runner.run(self.listening.serve())

    def connect(self, *sent: bytes) -> socket.socket:
        """
        Return a connection on which something was sent.
        """
        connection = socket.create_connection(self.address, timeout=_PATIENCE_SECONDS)
        for part in sent:
            connection.sendall(part)
        return connection

    def ask(self, path: bytes = b"/") -> bytes:
        """
        Return the whole answer to a request of its own connection.
        """
        with closing(self.connect(b"GET " + path + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")) as connection:
            return rest(connection)

    def until(self, holds: Callable[[], bool]) -> None:
        """
        Wait until something holds.
        """
        end = time.monotonic() + _PATIENCE_SECONDS
        while not holds():
            assert time.monotonic() < end, dict(self.connections.ended)
            time.sleep(0.01)


@pytest.fixture
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    """
    Serve for one test, in haste unless it asks for other terms.
    """
    served = Served(getattr(request, "param", HASTY))
    thread = threading.Thread(target=served.run)
    thread.start()
    served.until(lambda: served.listening.started)
    yield served
    served.gate.set()
    served.listening.stop()
    thread.join(_PATIENCE_SECONDS)
    assert not thread.is_alive()


def rest(connection: socket.socket) -> bytes:
    """
    Return what comes until the server hangs up.
    """
    received = bytearray()
    with contextlib.suppress(ConnectionResetError):
        while chunk := connection.recv(1 << 20):
            received += chunk
    return bytes(received)


def dripped(connection: socket.socket, byte: bytes = b"x") -> bytes:
    """
    Send byte after byte until the server hangs up; return what it said.
    """
    end = time.monotonic() + _PATIENCE_SECONDS
    connection.settimeout(_DRIP_SECONDS)
    received = bytearray()
    while time.monotonic() < end:
        with contextlib.suppress(TimeoutError):
            try:
                connection.sendall(byte)
                chunk = connection.recv(65536)
            except (ConnectionResetError, BrokenPipeError):
                return bytes(received)
            if not chunk:
                return bytes(received)
            received += chunk
    message = "the server did not hang up"
    raise TimeoutError(message)


@pytest.mark.parametrize(
    "start",
    [b"GET /", b"GET / HTTP/1.1\r\nX: ", b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /"],
    ids=["line", "headers", "second"],
)
def test_a_head_that_drips_is_ended(served: Served, start: bytes) -> None:
    """
    A head that is not whole in time is answered with 408, also the second on a connection; others are answered.
    """
    with closing(served.connect(start)) as connection:
        assert served.ask().endswith(b"hello")
        said = dripped(connection)

    assert said.endswith(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    assert said.count(b"HTTP/1.1 ") == start.count(b"\r\n\r\n") + 1
    assert +served.connections.ended == {"head": 1}


def test_a_connection_without_a_word_is_ended(served: Served) -> None:
    """
    Where no request comes the connection is closed, without an answer to what was not asked.
    """
    with closing(served.connect()) as connection:
        assert rest(connection) == b""
    assert +served.connections.ended == {"head": 1}


def test_an_idle_connection_is_ended(served: Served) -> None:
    """
    A connection that is kept for the next request is closed when none comes, which nobody has to be told.
    """
    with closing(served.connect(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")) as connection:
        assert rest(connection).endswith(b"hello")
    served.until(lambda: len(served.connections) == 0)
    assert +served.connections.ended == {}


@pytest.mark.parametrize("drip", [b"", b"x"], ids=["silent", "drips"])
def test_a_body_that_does_not_come_is_ended(served: Served, drip: bytes) -> None:
    """
    A body that was announced and does not come is answered with 408, and its connection closed.
    """
    with closing(served.connect(_POST % b"/read")) as connection:
        said = dripped(connection, drip)

    assert said.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert b"send it again" in said
    served.until(lambda: len(served.connections) == 0)


def test_a_body_that_nobody_reads_is_ended(served: Served) -> None:
    """
    A request that is answered before its body has come does not keep its connection by letting the rest drip.
    """
    with closing(served.connect(_POST % b"/ignore")) as connection:
        assert dripped(connection).endswith(b"\r\n\r\nno")
    assert +served.connections.ended == {"head": 1}


def test_an_answer_that_is_not_read_is_ended(served: Served) -> None:
    """
    A client that asks for much and reads nothing is hung up on: the server does not keep its answer.
    """
    with closing(served.connect(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")) as connection:
        served.until(lambda: served.connections.ended[Ended.ANSWER] == 1)
        served.until(lambda: len(served.connections) == 0)
        assert len(rest(connection)) < _LARGE


@pytest.mark.parametrize("served", [STEADY], indirect=True)
def test_an_answer_that_is_read_slowly_is_whole(served: Served) -> None:
    """
    A client that takes longer than the patience, but reads, gets all of its answer.
    """
    began, received = time.monotonic(), 0
    with closing(served.connect(b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")) as connection:
        while chunk := connection.recv(_LARGE // 20, socket.MSG_WAITALL):
            received += len(chunk)
            time.sleep(0.1)

    assert received > _LARGE
    assert time.monotonic() - began > 2 * served.terms.patience
    assert +served.connections.ended == {}


@pytest.mark.parametrize("served", [PATIENT], indirect=True)
def test_requests_in_a_row_are_answered_in_a_row(served: Served) -> None:
    """
    Some requests may be sent before the answers to earlier ones; of thousands at once only the first are kept.
    """
    ask = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    last = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    with closing(served.connect(ask * 29 + last)) as connection:
        assert rest(connection).count(b"\r\n\r\nhello") == 30
    with closing(served.connect(ask * 3000)) as connection:
        assert rest(connection).count(b"\r\n\r\nhello") <= 33
    assert served.ask().endswith(b"hello")


@pytest.mark.parametrize("served", [PATIENT], indirect=True)
def test_who_waits_gives_way(served: Served) -> None:
    """
    With all places taken by connections that wait, the one that waits longest gives way to one that asks.
    """
    with ExitStack() as stack:
        held = [stack.enter_context(closing(served.connect(b"GET / HT"))) for _ in range(served.terms.most)]
        served.until(lambda: len(served.connections) == served.terms.most)
        assert served.ask().endswith(b"hello")
        assert rest(held[0]).startswith(b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n")
        assert served.connections.ended[Ended.ROOM] == 1


@pytest.mark.parametrize("served", [PATIENT], indirect=True)
def test_where_nobody_can_give_way_the_newcomer_is_told(served: Served) -> None:
    """
    With all places taken by requests at work, another is answered with 503 until one of them is done.
    """
    ask = b"GET /wait HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    with ExitStack() as stack:
        held = [stack.enter_context(closing(served.connect(ask))) for _ in range(served.terms.most)]
        served.until(lambda: not any(served.connections.waiting))
        refused = served.ask()
        served.gate.set()
        assert all(rest(connection).endswith(b"done") for connection in held)

    assert refused.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    for said in (b"retry-after: 1\r\n", b"x-request-id: ", b"`gateway.connections`"):
        assert said in refused
    assert +served.connections.ended == {"full": 1}
    assert served.ask().endswith(b"hello")


def test_open_files_are_raised_to_what_is_allowed() -> None:
    """
    The soft limit of open files goes up to the hard one, and connections leave files for the store.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    try:
        most = raise_files()
        raised = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert raised > 1024
    assert most == raised - 512
