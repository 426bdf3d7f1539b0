"""
Hundreds of clients that idle, drip or do not read, at every door: the others are served, and it passes by itself.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import httpx
import msgspec
import pytest

from app.server import Running, write_pipeline
from app.test_hostile import _address, _megabytes
from app.test_main_job import METRIC, upload
from crash.process import Process

pytestmark = pytest.mark.engine

_EACH = 80
_PATIENCE_SECONDS = 30
_GROWTH_MEGABYTES = 64
"""A tenth of a megabyte for each of them: a fourth have an answer before them, the whole OpenAPI document."""
_ANSWERED_SECONDS = 5.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    """
    Run a server with little patience, and fewer places than there will be clients.
    """
    write_pipeline(tmp_path)
    with (tmp_path / "metriclake.yaml").open("a", encoding="utf-8") as file:
        file.write(f"gateway: {{connections: {4 * _EACH}, patience: 1s, keep_alive: 1s}}\n")
    with Process(tmp_path) as process:
        running = Running(tmp_path, process)
        with closing(running.client):
            yield running


def _starts(ingest: str) -> dict[str, bytes]:
    post = f"POST /v1/events HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {ingest}\r\n"
    return {
        "silent": b"",
        "kept": b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
        "head": b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: ",
        "body": f"{post}Content-Length: 1000000\r\n\r\n".encode(),
        "chunks": f"{post}Transfer-Encoding: chunked\r\n\r\n5\r\n".encode(),
        "webhook": b"POST /v1/webhooks/github HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n",
        "unread": b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n" * 30,
        "pipelined": b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n" * 3000,
    }


def test_slow_clients_hold_up_nobody(server: Running) -> None:
    """
    While hundreds are slow in each way, events are taken and answered; then they are gone, and memory is as before.
    """
    for name in ("one", "two"):
        assert server.post("/v1/events", msgspec.json.encode(upload("acme", name))).status_code == 200
    server.settled()
    before, longest, sent = _megabytes(server.process.pid), 0.0, 2
    with ExitStack() as stack:
        starts = _starts(server.keys.ingest).values()
        slow = [stack.enter_context(closing(_connected(server, start))) for start in starts for _ in range(_EACH)]
        until = time.monotonic() + 4
        while time.monotonic() < until:
            for connection in slow:
                _send(connection, b"x")
            began = time.monotonic()
            answer = httpx.post(
                f"{server.client.base_url}/v1/events",
                content=msgspec.json.encode(upload("acme", f"more-{sent}")),
                headers={"Authorization": f"Bearer {server.keys.ingest}"},
                timeout=_PATIENCE_SECONDS,
            )
            longest = max(longest, time.monotonic() - began)
            assert answer.status_code == 200
            sent += 1
        grown = _megabytes(server.process.pid) - before
        _until(lambda: _open(server) <= 2)

    ended = _ended(server)
    assert sent > 5
    assert longest < _ANSWERED_SECONDS
    assert grown < _GROWTH_MEGABYTES
    assert ended.keys() == {"head", "answer", "room", "full"}
    assert sum(ended.values()) > 0
    assert server.account("acme", METRIC)["store"]["stored"] == sent
    assert server.settled()["failures"] == []
    assert server.process.stop() == 0
    assert "Traceback" not in (server.folder / "log").read_text(encoding="utf-8")


def test_slow_clients_do_not_hold_up_the_end(server: Running) -> None:
    """
    A server that is told to stop ends while clients are slow in each way.
    """
    with ExitStack() as stack:
        for start in _starts(server.keys.ingest).values():
            for _ in range(5):
                stack.enter_context(closing(_connected(server, start)))
        assert server.post("/v1/events", msgspec.json.encode(upload("acme", "last"))).status_code == 200
        assert server.process.stop() == 0


def _connected(server: Running, start: bytes) -> socket.socket:
    """
    Return a connection that waits for nothing and has room for little, on which something was sent.
    """
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(_address(server))
    connection.settimeout(0)
    _send(connection, start)
    return connection


def _send(connection: socket.socket, data: bytes) -> None:
    """
    Send what the server takes; it may have hung up.
    """
    with contextlib.suppress(OSError):
        connection.send(data)


def _until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + _PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.1)


def _samples(server: Running) -> dict[str, float]:
    lines = [line for line in server.client.get("/metrics").text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def _open(server: Running) -> float:
    return _samples(server)["metriclake_connections"]


def _ended(server: Running) -> dict[str, float]:
    start = "metriclake_connections_ended{why="
    return {name.split('"')[1]: value for name, value in _samples(server).items() if name.startswith(start)}
