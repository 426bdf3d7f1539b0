"""
A file is sent whole, in order of its own numbers, or not at all.
"""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import socket
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest
import zstandard
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.doorstep import KEYS, Doorstep
from metriclake._errors import MetriclakeError
from metriclake.cli.put import send
from metriclake.journal import SqliteJournal
from metriclake.serve import Reached
from metriclake.tokens import Keys

EVENTS = [{"id": str(number), "source": "s", "detail-type": "t", "detail": {"n": number}} for number in range(2500)]
LINES = "\n".join(map(json.dumps, EVENTS)).encode()
RECORDED = [{"event": "issues", "payload": {"action": "opened", "issue": {"number": number}}} for number in range(3)]


@pytest.fixture
def door(journal: SqliteJournal) -> Doorstep:
    """
    Stand before a gateway with the server's own limit of a body.
    """
    return Doorstep(journal, 16 * 1024 * 1024)


def put(app: ASGIApp, file: Path | str, door: str = "events", keys: Keys = KEYS) -> dict[str, Any]:
    """
    Send a file to an application.
    """

    async def work() -> dict[str, Any]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await send(Reached(client, keys), str(file), door)

    return asyncio.run(work())


def written(tmp_path: Path, name: str, content: bytes) -> Path:
    """
    Write a file to be sent.
    """
    path = tmp_path / name
    path.write_bytes(content)
    return path


def ids(door: Doorstep) -> list[str]:
    """
    Return the ids of all that arrived, sorted by number.
    """
    return sorted((record["id"] for record in door.kept()), key=int)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("e.ndjson", LINES),
        ("e.crlf", LINES.replace(b"\n", b"\r\n\r\n")),
        ("e.json", json.dumps(EVENTS).encode()),
        ("e.pretty", b" \n" + json.dumps(EVENTS, indent=1).encode()),
        ("e.ndjson.gz", gzip.compress(LINES)),
        ("e.json.zst", zstandard.ZstdCompressor().compress(json.dumps(EVENTS).encode())),
        ("e.frames.zst", b"".join(map(zstandard.ZstdCompressor().compress, LINES.splitlines(keepends=True)))),
    ],
)
def test_every_form_of_file_is_sent(door: Doorstep, tmp_path: Path, name: str, content: bytes) -> None:
    """
    Lines or an array, plain or compressed, in as many requests as it takes: all of it arrives.
    """
    assert put(door.app, written(tmp_path, name, content)) == {"accepted": 2500, "rejected": []}
    assert [event["id"] for event in EVENTS] == ids(door)
    assert sorted(entry.count for entry in door.journal.read(0, 0, 10)) == [500, 1000, 1000]


def test_standard_input_is_sent(door: Doorstep, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    `-` is what comes by standard input.
    """
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(LINES)))

    assert put(door.app, "-")["accepted"] == 2500


@pytest.mark.parametrize("content", [b"", b" \n\n", b"[]"])
def test_empty_file_sends_nothing(door: Doorstep, tmp_path: Path, content: bytes) -> None:
    """
    A file without events is done at once.
    """
    assert put(door.app, written(tmp_path, "e", content)) == {"accepted": 0, "rejected": []}


def test_rejections_are_numbered_as_in_the_file(door: Doorstep, tmp_path: Path) -> None:
    """
    What a door rejects is named by its number in the file, whichever request it went with.
    """
    lines = LINES.splitlines()
    lines[5] = lines[1700] = b'{"id":"x"}'
    sent = put(door.app, written(tmp_path, "e", b"\n".join(lines)))

    assert (sent["accepted"], [item["index"] for item in sent["rejected"]]) == (2498, [5, 1700])


def test_metric_events_go_through_their_door(door: Doorstep, tmp_path: Path) -> None:
    """
    The metrics door takes the unified schema.
    """
    metric = {"metric_name": "m", "metadata": {"tenant_id": "acme", "event_id": "1"}, "data": {"event_time": 1}}
    put(door.app, written(tmp_path, "m", json.dumps(metric).encode()), "metrics")

    assert [metric] == door.kept()


def test_recorded_deliveries_are_signed_and_sent(door: Doorstep, tmp_path: Path) -> None:
    """
    Recorded GitHub deliveries arrive as GitHub would send them.
    """
    sent = put(door.app, written(tmp_path, "g", b"\n".join(json.dumps(one).encode() for one in RECORDED)), "github")

    assert sent["accepted"] == 3
    assert {"issues.opened"} == {record["detail-type"] for record in door.kept()}
    assert sorted(record["detail"]["issue"]["number"] for record in door.kept()) == [0, 1, 2]


def test_same_recorded_file_is_the_same_deliveries(door: Doorstep, tmp_path: Path) -> None:
    """
    A file sent again has the same delivery ids; equal deliveries within a file have different ones.
    """
    file = written(tmp_path, "g", b"\n".join([json.dumps(RECORDED[0]).encode()] * 2))
    put(door.app, file, "github")
    put(door.app, file, "github")

    found = [record["id"] for record in door.kept()]
    assert (len(found), len(set(found))) == (4, 2)


def random_lines() -> bytes:
    """
    Return lines that do not compress into a single block.
    """
    chance = Random(1)  # noqa: S311 - numbers that are hard to compress, not secrets
    records = ({**event, "detail": {"n": chance.getrandbits(60)}} for event in EVENTS)
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def damaged() -> list[tuple[str, bytes]]:
    """
    Return compressed files that are cut short or changed.
    """
    lines = random_lines()
    zipped, squeezed = gzip.compress(lines), zstandard.ZstdCompressor(write_checksum=True).compress(lines)
    return [
        ("cut.gz", zipped[: len(zipped) // 2]),
        ("changed.gz", zipped[:1000] + b"xxxxxxxx" + zipped[1008:]),
        ("other.gz", lines),
        ("cut.zst", squeezed[: len(squeezed) // 2]),
        ("changed.zst", squeezed[:1000] + b"xxxxxxxx" + squeezed[1008:]),
        ("other.zst", lines),
    ]


@pytest.mark.parametrize(("name", "content"), damaged(), ids=[name for name, _ in damaged()])
def test_damaged_file_sends_nothing(door: Doorstep, tmp_path: Path, name: str, content: bytes) -> None:
    """
    Of a compressed file that is not whole, nothing is sent, and the error names the file.
    """
    with pytest.raises(MetriclakeError, match=name):
        put(door.app, written(tmp_path, name, content))

    assert door.kept() == []


@pytest.mark.parametrize(
    ("content", "which", "said"),
    [
        (b"[{}", "events", "not a JSON array"),
        (b'{"event": "push"}', "github", "line 1 is not a recorded delivery"),
        (b'{"event": "push", "payload": {}}\nnot json', "github", "line 2 is not a recorded delivery"),
    ],
)
def test_file_that_cannot_be_read_sends_nothing(
    door: Doorstep, tmp_path: Path, content: bytes, which: str, said: str
) -> None:
    """
    A file of the wrong form is refused before anything is sent.
    """
    with pytest.raises(MetriclakeError, match=f"{said}.*nothing was sent"):
        put(door.app, written(tmp_path, "e", content), which)

    assert door.kept() == []


def test_missing_file_is_said(door: Doorstep, tmp_path: Path) -> None:
    """
    A file that is not there is an error by its name.
    """
    with pytest.raises(MetriclakeError, match=r"none\.ndjson cannot be read"):
        put(door.app, tmp_path / "none.ndjson")


class Busy:
    """
    A server that asks to come again a few times, and then lets everything in.
    """

    def __init__(self, app: ASGIApp, status: int, times: int) -> None:
        """
        `app` is behind it.
        """
        self.app = app
        self.status = status
        self.left = times

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """
        Answer a request.
        """
        self.left -= 1
        if self.left < 0:
            await self.app(scope, receive, send)
            return
        headers = [(b"retry-after", b"0"), (b"content-type", b"application/problem+json")]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": b'{"detail": "come again"}'})


@pytest.mark.parametrize("status", [429, 503])
def test_busy_server_is_waited_for(door: Doorstep, tmp_path: Path, status: int) -> None:
    """
    Told to come again, the sender does, and nothing is sent twice.
    """
    sent = put(Busy(door.app, status, 3), written(tmp_path, "e", LINES))

    assert sent == {"accepted": 2500, "rejected": []}
    assert [event["id"] for event in EVENTS] == ids(door)


def test_server_that_stays_busy_is_said(door: Doorstep, tmp_path: Path) -> None:
    """
    A server that never takes anything is given up with its own words.
    """
    with pytest.raises(MetriclakeError, match="come again"):
        put(Busy(door.app, 503, 10**6), written(tmp_path, "e", b'{"a":1}'))


def test_refusal_is_said_in_the_servers_words(door: Doorstep, tmp_path: Path) -> None:
    """
    With a wrong key the sender learns what the server said.
    """
    with pytest.raises(MetriclakeError, match="not the ingest key of this server"):
        put(door.app, written(tmp_path, "e", LINES), keys=Keys("wrong", "", "", ""))


def test_server_that_is_away_is_said(tmp_path: Path) -> None:
    """
    Where no one listens the error says so, and what to do.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    file = written(tmp_path, "e", LINES)

    async def work() -> None:
        async with httpx.AsyncClient(base_url=url) as client:
            await send(Reached(client, KEYS), str(file), "events")

    with pytest.raises(MetriclakeError, match=r"does not answer.*run put again"):
        asyncio.run(work())
