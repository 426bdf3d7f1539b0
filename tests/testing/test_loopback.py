"""
The HTTP of twins, byte by byte.
"""

from __future__ import annotations

import gc
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress

import pytest

from metriclake.testing.loopback import Answer, Loopback, Reply, Request

MOST_BYTES = 100_000


class Echo:
    """
    Answers with the body, and remembers the requests; `/later` waits a little first.
    """

    def __init__(self) -> None:
        """
        Begin to listen.
        """
        self.requests: list[Request] = []
        self.loopback = Loopback(self.handle, MOST_BYTES)
        self.loopback.start()

    def handle(self, request: Request) -> Reply:
        """
        Answer.
        """
        self.requests.append(request)
        return Reply(Answer(204) if request.path == "/nothing" else Answer(200, {"X-A": "b"}, request.body),
                     0.1 if request.path == "/later" else 0)  # fmt: skip

    def say(self, *parts: bytes) -> bytes:
        """
        Send parts over one connection, and return what comes until it ends.
        """
        received = bytearray()
        with closing(socket.create_connection(("127.0.0.1", self.loopback.port), timeout=5)) as connection:
            with suppress(ConnectionResetError, BrokenPipeError):
                for part in parts:
                    connection.sendall(part)
            with suppress(ConnectionResetError):
                while chunk := connection.recv(65536):
                    received += chunk
        return bytes(received)


@pytest.fixture
def echo() -> Iterator[Echo]:
    """
    Listen for one test.
    """
    echo = Echo()
    yield echo
    echo.loopback.stop()


def post(body: bytes, path: bytes = b"/", *headers: bytes) -> bytes:
    """
    Return a request.
    """
    head = [b"POST " + path + b" HTTP/1.1", b"Host: a", b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join([*head, b"", body])


LAST = b"Connection: close"


def test_requests_on_one_connection(echo: Echo) -> None:
    """
    Requests that are sent one after the other without waiting are answered in their order, also after a slow one.
    """
    said = echo.say(post(b"one", b"/later") + post(b"two", b"/nothing") + post(b"three", b"/", LAST))

    assert said == (
        b"HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 3\r\n\r\none"
        b"HTTP/1.1 204 No Content\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 5\r\nConnection: close\r\n\r\nthree"
    )


def test_many_requests_without_waiting(echo: Echo) -> None:
    """
    Hundreds of requests that do not wait for answers all get theirs.
    """
    said = echo.say(*[post(b"%03d" % number, b"/later" if number == 0 else b"/") for number in range(300)],
                    post(b"end", b"/", LAST))  # fmt: skip

    assert said.count(b"HTTP/1.1 200 OK") == 301
    assert [request.body for request in echo.requests] == [*(b"%03d" % number for number in range(300)), b"end"]


def test_in_pieces_and_in_chunks(echo: Echo) -> None:
    """
    A request that comes byte by byte, and one whose body comes in chunks, are whole when they are handled.
    """
    chunked = b"POST /a?b=c HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    echo.say(*(bytes([byte]) for byte in post(b"body", b"/", LAST)))
    echo.say(chunked, b"3\r\nabc\r\n", b"2\r\nde\r\n0\r\n\r\n")

    assert [(request.path, request.query, request.body) for request in echo.requests] == [
        ("/", "", b"body"),
        ("/a", "b=c", b"abcde"),
    ]


def test_continue(echo: Echo) -> None:
    """
    Who asks whether to send the body is told to.
    """
    assert echo.say(post(b"x", b"/", LAST, b"Expect: 100-continue")).startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP")


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (post(b"x" * (MOST_BYTES + 1)), b"413"),
        (post(b"", b"/", b"A: " + b"x" * 70_000), b"431"),
        (post(b"", b"/" + b"x" * 70_000), b"431"),
    ],
    ids=["nonsense", "body", "header", "path"],
)
def test_what_is_refused_at_once(echo: Echo, said: bytes, status: bytes) -> None:
    """
    What is no HTTP, or too large, is refused without being handled, and the connection ends.
    """
    assert echo.say(said).startswith(b"HTTP/1.1 " + status)
    assert echo.requests == []


def test_the_end_hangs_up(echo: Echo) -> None:
    """
    Stopping ends connections that wait for an answer.
    """
    with closing(socket.create_connection(("127.0.0.1", echo.loopback.port), timeout=5)) as connection:
        connection.sendall(post(b"", b"/later"))
        while not echo.requests:
            pass
        echo.loopback.stop()
        with suppress(ConnectionResetError):
            assert connection.recv(1) == b""


def test_the_end_hangs_up_what_was_just_accepted(echo: Echo) -> None:
    """
    Connections that wait to be accepted when the end comes are ended as the others are.
    """
    loop = echo.loopback._loop  # held up, so that connections and the end are seen in one turn
    assert loop is not None
    held, go = threading.Event(), threading.Event()
    loop.call_soon_threadsafe(held.set)
    loop.call_soon_threadsafe(go.wait, 5)
    assert held.wait(5)
    with ExitStack() as opened:
        connections = [
            opened.enter_context(closing(socket.create_connection(("127.0.0.1", echo.loopback.port), timeout=5)))
            for _ in range(10)
        ]
        ending = threading.Thread(target=echo.loopback.stop)
        ending.start()
        time.sleep(0.1)
        go.set()
        ending.join()
        for connection in connections:
            with suppress(ConnectionResetError):
                assert connection.recv(1) == b""
    gc.collect()
