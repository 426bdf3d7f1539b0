"""
Hostile bytes at every door: each is answered or hung up on, and the server is afterwards what it was before.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from app.hostile import Answer, Hostile, Shot, shoot
from app.server import Running, write_pipeline
from app.test_main_job import METRIC, upload
from crash.process import Process

pytestmark = pytest.mark.engine

_BYTES = int(os.environ.get("METRICLAKE_TORTURE_BYTES", "250000"))
_SECONDS = float(os.environ.get("METRICLAKE_TORTURE_SECONDS", "60"))
_SEED = int(os.environ.get("METRICLAKE_TORTURE_SEED", "1"))
_GROWTH_MEGABYTES = 128
"""How much larger the process may be after the bytes than it was after the first tenth of them."""


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Running]:
    """
    Run a server for one test.
    """
    yield from _run(tmp_path)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """
    Run a server for the other tests.
    """
    yield from _run(tmp_path_factory.mktemp("server"))


def _run(folder: Path) -> Iterator[Running]:
    write_pipeline(folder)
    with Process(folder) as process:
        running = Running(folder, process)
        with closing(running.client):
            yield running


def _megabytes(pid: int) -> float:
    """
    Return the resident memory of a process.
    """
    said = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], check=True, capture_output=True)  # noqa: S603, S607 - a system tool
    return int(said.stdout) / 1024


def _address(server: Running) -> tuple[str, int]:
    url = server.client.base_url
    return url.host, url.port or 80


def test_hostile_bytes_at_every_door(target: Running) -> None:
    """
    No door fails by them, memory stays within its bound, the books balance, and the next good request is served.
    """
    assert target.post("/v1/events", msgspec.json.encode(upload("acme", "before"))).status_code == 200
    target.settled()
    sent = accepted = 0
    statuses: Counter[tuple[str, int]] = Counter()
    failed: list[tuple[Shot, Answer]] = []
    warm = 0.0
    until = time.monotonic() + _SECONDS
    for shot in Hostile(_SEED, target.keys, "acme", METRIC):
        answer = shoot(_address(target), shot)
        sent += len(shot.wire)
        accepted += answer.accepted
        statuses[shot.door, answer.status] += 1
        if answer.status >= 500:
            failed.append((shot, answer))
        if not warm and sent > _BYTES / 10:
            warm = _megabytes(target.process.pid)
        if sent >= _BYTES or time.monotonic() > until:
            break
    status = target.settled()
    grown = _megabytes(target.process.pid) - warm
    print(f"{sent} bytes, {statuses.total()} requests, {warm:.0f} MB, {grown:+.0f} MB: {sorted(statuses.items())}")  # noqa: T201 - the figures of the run

    assert [(shot.door, answer.status, answer.body, shot.wire[:3000]) for shot, answer in failed[:5]] == []
    assert {door for door, _ in statuses} >= {"events", "metrics", "github", "query", "catalog", "admin", "pages"}
    assert grown < _GROWTH_MEGABYTES
    assert status["balanced"]
    assert status["failures"] == []
    assert status["domain_events"]["accepted"] + sum(row["received"] for row in status["books"]) > accepted
    assert target.post("/v1/events", msgspec.json.encode(upload("acme", "after"))).status_code == 200
    assert target.account("acme", METRIC)["store"]["stored"] >= 2
    assert target.process.stop() == 0
    log = (target.folder / "log").read_text(encoding="utf-8")
    assert "Traceback" not in log
    assert not [key for key in (target.keys.ingest, target.keys.admin, target.keys.github) if key in log]


@pytest.mark.parametrize(
    "start",
    [
        b"GET /",
        b"GET / HTTP/1.1\r\nX: ",
        b"GET / HTTP/1.1\r\n",
        b"POST /v1/events HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
    ],
    ids=["line", "value", "headers", "trailers"],
)
def test_a_head_without_end_is_ended(server: Running, start: bytes) -> None:
    """
    A sender without a key cannot fill the memory with a request's line, its headers or its trailers.
    """
    before = _megabytes(server.process.pid)
    piece = b"x: y\r\n" * 10_000 if start.endswith(b"\n") else b"x" * 60_000
    sent = 0
    with closing(socket.create_connection(_address(server), timeout=30)) as connection, contextlib.suppress(OSError):
        connection.sendall(start)
        while sent < 100_000_000:
            connection.sendall(piece)
            sent += len(piece)
    assert sent < 20_000_000
    assert _megabytes(server.process.pid) - before < 20
    assert server.client.get("/healthz").status_code == 200


def test_a_sender_that_hangs_up_leaves_no_alarm(server: Running) -> None:
    """
    A connection that ends in the middle of a body is nothing that the log calls an error, and nothing is accepted.
    """
    head = f"POST /v1/events HTTP/1.1\r\nAuthorization: Bearer {server.keys.ingest}\r\nContent-Length: 1000\r\n\r\n"
    for _ in range(5):
        with closing(socket.create_connection(_address(server), timeout=30)) as connection:
            connection.sendall(head.encode() + b'{"source":')
    assert server.post("/v1/events", msgspec.json.encode(upload("acme", "one"))).status_code == 200
    assert server.settled()["domain_events"]["accepted"] == 1
    assert "error" not in (server.folder / "log").read_text(encoding="utf-8")
