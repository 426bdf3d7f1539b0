"""
Send a file's events through a door: in requests of a fair size, with a progress bar, waiting when told to.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import sys
import uuid
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import httpx
import msgspec
import zstandard
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from metriclake._errors import MetriclakeError
from metriclake.serve import Reached, answered
from metriclake.tokens import sign_github

_MOST_LINES = 1000
_MOST_BYTES = 4 * 1024 * 1024
_AT_ONCE = 8
_TRIES = 8
_DELIVERIES = uuid.UUID("6f0d2f0e-8f0b-5a53-9d7e-0c1f4f6f3b52")
"""The namespace of the delivery ids that are made of a recorded delivery's content."""


@dataclass(slots=True)
class _Sent:
    """
    What the doors have answered so far.
    """

    accepted: int = 0
    rejected: list[dict[str, Any]] = field(default_factory=list)

    def add(self, answer: dict[str, Any], first: int) -> None:
        self.accepted += answer.get("accepted", 0)
        self.rejected.extend({**item, "index": first + item["index"]} for item in answer.get("rejected", []))


@dataclass(frozen=True, slots=True)
class _Post:
    """
    One request: its body, headers beside the key's, and the number of its first item in the file.
    """

    path: str
    body: bytes = field(repr=False)
    headers: dict[str, str]
    first: int
    items: int


async def send(reached: Reached, file: str, door: str) -> dict[str, Any]:
    """
    Send a file; returns how many items were accepted, and which were rejected and why.

    Raises MetriclakeError where the server refuses a request whole or does not answer.
    """
    lines = list(_lines(file))
    posts = list(_deliveries(lines, reached.keys.github) if door == "github" else _requests(lines, door))
    sent = _Sent()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(f"put {door}", total=len(lines))
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(post: _Post) -> None:
            async with gate:
                sent.add(await _post(reached, post), post.first)
                progress.advance(task, post.items)

        await asyncio.gather(*(one(post) for post in posts))
    return {"accepted": sent.accepted, "rejected": sorted(sent.rejected, key=lambda item: int(item["index"]))}


async def _post(reached: Reached, post: _Post) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {reached.keys.ingest}", **post.headers}
    for attempt in range(_TRIES):
        try:
            response = await reached.client.post(post.path, content=post.body, headers=headers)
        except httpx.HTTPError as error:
            raise MetriclakeError(f"{reached.client.base_url} does not answer: {error}; run put again") from error
        if response.status_code not in {429, 503} or attempt == _TRIES - 1:
            break
        await asyncio.sleep(float(response.headers.get("Retry-After", "1")))
    answer: dict[str, Any] = answered(response)
    return answer


def _requests(lines: list[bytes], door: str) -> Iterator[_Post]:
    headers = {"Content-Type": "application/x-ndjson"}
    batch: list[bytes] = []
    size = first = 0
    for line in lines:
        if batch and (len(batch) == _MOST_LINES or size + len(line) > _MOST_BYTES):
            yield _Post(f"/v1/{door}", b"\n".join(batch), headers, first, len(batch))
            first, size, batch = first + len(batch), 0, []
        batch.append(line)
        size += len(line)
    if batch:
        yield _Post(f"/v1/{door}", b"\n".join(batch), headers, first, len(batch))


def _deliveries(lines: list[bytes], secret: str) -> Iterator[_Post]:
    """
    Make webhook deliveries of recorded ones, `{"event": …, "payload": …}` a line.

    A delivery id is made of the content, so that the same file sent again is the same deliveries again.
    """
    seen: Counter[bytes] = Counter()
    for index, line in enumerate(lines):
        try:
            recorded = _RECORDED.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise MetriclakeError(f"line {index + 1} is not a recorded delivery: {error}; nothing was sent") from error
        digest = hashlib.sha256(line).digest()
        seen[digest] += 1
        body = bytes(recorded.payload)
        headers = {
            "Content-Type": "application/json",
            "X-GitHub-Event": recorded.event,
            "X-GitHub-Delivery": str(uuid.uuid5(_DELIVERIES, f"{digest.hex()}:{seen[digest]}")),
            "X-Hub-Signature-256": sign_github(body, secret),
        }
        yield _Post("/v1/webhooks/github", body, headers, index, 1)


class _Recorded(msgspec.Struct):
    """
    A recorded webhook delivery.
    """

    event: str
    payload: msgspec.Raw


_RECORDED = msgspec.json.Decoder(_Recorded)


def _lines(file: str) -> Iterator[bytes]:
    with _opened(file) as source:
        start = source.read(1)
        while start.isspace():
            start = source.read(1)
        if start == b"[":
            yield from _array(start + source.read())
            return
        yield from (line.strip() for line in io.BytesIO(start + source.read()) if line.strip())


def _array(text: bytes) -> list[bytes]:
    try:
        return [bytes(item).replace(b"\n", b" ") for item in msgspec.json.decode(text, type=list[msgspec.Raw])]
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MetriclakeError(f"the file is not a JSON array: {error}; nothing was sent") from error


def _opened(file: str) -> BinaryIO:
    if file == "-":
        return io.BytesIO(sys.stdin.buffer.read())
    try:
        packed = Path(file).read_bytes()
        if file.endswith(".gz"):
            return io.BytesIO(gzip.decompress(packed))
        if file.endswith(".zst"):
            return io.BytesIO(_unzstd(packed))
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise MetriclakeError(f"{file} cannot be read: {error}") from error
    return io.BytesIO(packed)


def _unzstd(packed: bytes) -> bytes:
    """
    Undo all frames of a zstd file. Raises EOFError where the last is cut short.
    """
    frames, rest = [], packed
    while rest:
        frame = zstandard.ZstdDecompressor().decompressobj()
        frames.append(frame.decompress(rest))
        if not frame.eof:
            raise EOFError("it is cut short")
        rest = frame.unused_data
    return b"".join(frames)
