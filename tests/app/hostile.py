"""
Hostile requests to every door: valid ones that are cut, bent, spliced, nested and stuffed, and bytes that are no HTTP.

The same seed makes the same requests.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from random import Random
from typing import Any

import zstandard

from metriclake.tokens import Keys, mint_tenant, sign_github

_PATIENCE_SECONDS = 30.0
_IMPATIENCE_SECONDS = 0.05
"""How long an answer to a request is awaited that may be incomplete."""

_VALUES = [
    b"null", b"true", b"0", b"-0", b"-1e308", b"1e-400", b"9" * 400, b"0." + b"0" * 400 + b"1", b"1e3", b"[1,2,3]",
    b"18446744073709551616", b"9223372036854775807", b"-9223372036854775809", b'""', b"{}", b"[]", b'"\\u0000"',
    b'"\xf0\x9f\x98\x80"', b'"../../etc/passwd"', b"\"' OR 1=1 --\"", b'"{p0:String}"', b'"$.detail"', b'"acme\',1"',
    b'"1970-01-01T00:00:00Z"', b'"9999-12-31T23:59:59.999999+14:00"', b'"0001-01-01T00:00:00+23:59"',
    b'"2026-02-30T25:61:61Z"', b'"\\/\\b\\f\\n\\r\\t"', b'"' + b"x" * 3000 + b'"', b'{"tenant_id":"x"}', b'[{"a":[]}]',
    b'"week"', b'"5m"', b'"999999w"', b'"America/St_Johns"', b'"Europe"', b'"count"', b'"max"', b'"zero"',
    b'"tenant_name"', b'["tenant_name","severity"]', b"1e15", b"-1", b"1790000000.5", b"1790000000000000",
]  # fmt: skip
"""JSON that is not what is asked for, or is at the edge of it."""

_SIGNS = [
    b"1e999", b"1E+309", b"9" * 5000, b"NaN", b"Infinity", b'"\\ud800"', b'"\xff\xfe"', b'"\xed\xa0\x80"',
    b'"\xc0\xaf"',
    b"\x00", b"\r", b"\n", b"\xe2\x80\xa8", b"\xef\xbb\xbf", b"[" * 300, b'{"a":' * 300,
    b"-", b".", b"+1", b"01", b"1.", b",", b":", b"}", b"]",
]  # fmt: skip
"""What breaks JSON."""

_HEADERS = [
    b"Content-Encoding: gzip", b"Content-Encoding: zstd", b"Content-Encoding: br, gzip", b"Content-Encoding: \xff",
    b"Content-Type: application/x-ndjson", b"Content-Type: text/plain; charset=utf-16", b"Content-Type:",
    b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip, chunked", b"Content-Length: -1",
    b"Content-Length: 99999999999999999999", b"Content-Length: \xb2", b"Content-Length: 0x10", b"Expect: 100-continue",
    b"Upgrade: websocket\r\nConnection: Upgrade", b"Connection: keep-alive, close, \x00", b"Host:", b"Host: \xff\xff",
    b"Authorization: Bearer", b"Authorization: Basic AAAA", b"Authorization: Bearer \xff\xb2.e30.e30",
    b"Authorization: Bearer " + b"W1tb" * 2000 + b".e30.e30", b"Origin: null", b"Accept-Encoding: gzip;q=nan",
    b"If-None-Match: *", b"If-None-Match: " + b"W/" * 500, b"Range: bytes=0-", b"X-Hub-Signature-256: sha256=\xff",
    b"X-GitHub-Event: \xff", b"X-GitHub-Delivery: " + b"d" * 3000, b"Cookie: " + b"c" * 9000, b": empty", b"no colon",
    b"X-Folded: a\r\n b", b"X-Nul: \x00",
]  # fmt: skip
_METHODS = [b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"TRACE", b"PATCH", b"CONNECT", b"get", b"P\x00ST", b"PRI"]
_TARGETS = [
    b"/d/%2e%2e%2f", b"/d/\xff", b"/assets/..%2f..%2fpage.html", b"/admin/%00", b"/d/" + b"a" * 9000, b"//v1//events",
    b"*", b"http://elsewhere.invalid/v1/events", b"/v1/events?%ff=%", b"/v1/admin/status/../status", b"/%", b"",
]  # fmt: skip
_GARBAGE = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), b"\r\n" * 500, b"GET\r\n\r\n", b"\x00" * 1000,
    b"POST /v1/events HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
    b"POST /v1/events HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 50,
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shot:
    """
    The bytes of one connection, and whether a whole request is in them, so that an answer must come.
    """

    door: str
    wire: bytes = field(repr=False)
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """
    What came back: 0 where nothing did.
    """

    status: int
    body: bytes = field(repr=False)

    @property
    def accepted(self) -> int:
        """
        Return how many items the answer says are accepted.
        """
        if self.status not in (200, 207) or not self.body.startswith(b'{"accepted"'):
            return 0
        number: int = json.loads(self.body)["accepted"]
        return number


@dataclass(slots=True)
class _Seed:
    """
    A valid request.
    """

    door: str
    method: bytes
    target: bytes
    headers: list[bytes]
    body: bytes = b""


class Hostile:
    """
    Endless hostile requests, the same for the same seed.
    """

    def __init__(self, seed: int, keys: Keys, tenant: str, metric: str) -> None:
        """
        `keys` open the doors, so that what is behind them is reached; `tenant` has the `metric`.
        """
        self._random = Random(seed)  # noqa: S311 - made-up faults, the same each time
        self._keys = keys
        self._seeds = _seeds(keys, tenant, metric)
        self._bodies = [seed.body for seed in self._seeds if seed.body]
        self._bends: list[Callable[[bytes], bytes]] = [
            self._cut, self._flip, self._splice, self._nest, self._insert, self._repeat,
            self._swap, self._swap, self._swap, self._swap, self._swap, self._swap,
        ]  # fmt: skip

    def __iter__(self) -> Iterator[Shot]:
        """
        Yield requests without end.
        """
        while True:
            chance = self._random.random()
            if chance < 0.06:
                yield self._garbage()
            elif chance < 0.07:
                yield self._bomb()
            else:
                yield self._bent(self._random.choice(self._seeds))

    def _garbage(self) -> Shot:
        if self._random.random() < 0.5:
            return Shot("raw", self._random.choice(_GARBAGE), whole=False)
        return Shot("raw", self._random.randbytes(self._random.randrange(1, 3000)), whole=False)

    def _bomb(self) -> Shot:
        packed, name = self._random.choice(_bombs())
        seed = self._random.choice(self._seeds)
        return Shot(seed.door, _wire(seed, packed, [b"Content-Encoding: " + name]))

    def _bent(self, seed: _Seed) -> Shot:
        random, body = self._random, seed.body
        for _ in range(random.choice((0, 1, 1, 1, 1, 1, 2, 6))):
            body = random.choice(self._bends)(body) if body else body
        if random.random() < 0.1:
            body = gzip.compress(body, 1) if random.random() < 0.5 else zstandard.ZstdCompressor().compress(body)
            body = self._flip(body) if random.random() < 0.3 else body
        more: list[bytes] = [self._signed(body)] if seed.door == "github" else []
        whole = True
        if random.random() < 0.15:
            more += random.choices(_HEADERS, k=random.choice((1, 1, 2, 5)))
            whole = False
        changed = _Seed(seed.door, seed.method, seed.target, seed.headers)
        if random.random() < 0.06:
            changed.method, whole = random.choice(_METHODS), False
        if random.random() < 0.06:
            changed.target, whole = random.choice(_TARGETS), False
        if random.random() < 0.05:
            changed.headers = random.sample(seed.headers, k=random.randrange(len(seed.headers) + 1))
        wire = _wire(changed, body, more)
        if random.random() < 0.06:
            wire, whole = self._flip(wire[:400]) + wire[400:], False
        if random.random() < 0.04:
            wire, whole = wire[: random.randrange(len(wire))], False
        return Shot(seed.door, wire, whole)

    def _signed(self, body: bytes) -> bytes:
        return b"X-Hub-Signature-256: " + sign_github(body, self._keys.github).encode()

    def _at(self, body: bytes) -> int:
        return self._random.randrange(len(body) + 1)

    def _cut(self, body: bytes) -> bytes:
        return body[: self._at(body)] if self._random.random() < 0.5 else body[self._at(body) :]

    def _flip(self, body: bytes) -> bytes:
        flipped = bytearray(body)
        for _ in range(self._random.choice((1, 1, 4, 40)) if body else 0):
            flipped[self._random.randrange(len(body))] ^= 1 << self._random.randrange(8)
        return bytes(flipped)

    def _splice(self, body: bytes) -> bytes:
        other = self._random.choice(self._bodies)
        start = self._at(other)
        return body[: self._at(body)] + other[start : start + self._at(other)] + body[self._at(body) :]

    def _nest(self, body: bytes) -> bytes:
        depth = self._random.choice((2, 50, 250, 300, 1500))
        opening, closing_ = self._random.choice(((b"[", b"]"), (b'{"detail":', b"}"), (b'{"a":[', b"]}")))
        at = self._at(body)
        return body[:at] + opening * depth + closing_ * self._random.choice((depth, depth - 1, 0)) + body[at:]

    def _swap(self, body: bytes) -> bytes:
        """
        Put something else in a value's place.
        """
        starts = [index + 1 for index, sign in enumerate(body) if sign in b":,[" and index + 1 < len(body)]
        if not starts:
            return self._insert(body)
        start = self._random.choice(starts)
        ends = [at for sign in (b",", b"}", b"]") if (at := body.find(sign, start)) >= 0]
        return body[:start] + self._random.choice(_VALUES) + body[min(ends, default=len(body)) :]

    def _insert(self, body: bytes) -> bytes:
        at = self._at(body)
        return body[:at] + self._random.choice(_SIGNS) + body[at:]

    def _repeat(self, body: bytes) -> bytes:
        start = self._at(body)
        return body[:start] + body[start : start + 60] * self._random.choice((2, 5, 40)) + body[start:]


@cache
def _bombs() -> list[tuple[bytes, bytes]]:
    """
    Return small bodies of 30 megabytes, of 15 that are two million items, and of a thousand members of nothing.
    """
    content, items = b'{"a":1}\n' * 4_000_000, b'{"a":1}\n' * 2_000_000
    return [
        (gzip.compress(content, 9), b"gzip"),
        (zstandard.ZstdCompressor().compress(content), b"zstd"),
        (zstandard.ZstdCompressor().compress(items), b"zstd"),
        (gzip.compress(b"") * 1000, b"gzip"),
    ]


def _seeds(keys: Keys, tenant: str, metric: str) -> list[_Seed]:
    ingest = b"Authorization: Bearer " + keys.ingest.encode()
    token = mint_tenant(keys.signing, tenant, now=datetime.now(UTC), ttl=timedelta(hours=2)).encode()
    reader = b"Authorization: Bearer " + token
    admin = b"Authorization: Bearer " + keys.admin.encode()
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    event = {
        "id": "hostile-1", "source": "findings", "detail-type": "findings-uploaded", "bus": "findings-service-bus",
        "time": today.isoformat(), "resources": ["a", "b"],
        "detail": {"tenant_id": tenant, "event_id": "e1", "created_at": today.isoformat(), "severity": "high",
                   "new": 1.5, "existing": 7, "kind": "real"},
    }  # fmt: skip
    posted = {
        "metric_name": "posted",
        "metadata": {"tenant_id": tenant, "event_id": "m1", "kind": "a", "count": 3},
        "data": {"event_time": today.isoformat(), "size": 1.25, "name": "x", "flag": True},
    }
    delivery = {
        "action": "closed",
        "pull_request": {"merged": True, "additions": 4, "updated_at": today.isoformat()},
        "repository": {"name": "r"},
        "organization": {"login": tenant},
    }
    github = [b"X-GitHub-Event: pull_request", b"X-GitHub-Delivery: d1", b"Content-Type: application/json"]
    question: dict[str, Any] = {
        "metric": metric, "measure": "new_findings_count", "aggregate": "sum", "range": {"last": "30d"},
        "interval": "day", "timezone": "Europe/Berlin", "group_by": ["severity"],
        "filters": [{"dimension": "severity", "in": ["high", "critical"]}], "fill": "null",
    }  # fmt: skip
    asked: dict[str, Any] = {
        "metric": metric, "measure": "100 * new_findings_count / (existing_findings_count + 1.5)", "aggregate": "p95",
        "range": {"last": "4w"}, "interval": "week", "group_by": ["severity"], "limit": 3, "compare": "previous_period",
        "filters": [{"dimension": "severity", "not_in": ["low"]}, {"dimension": "new_findings_count", "gt": 1},
                    {"dimension": "severity", "prefix": "h"}, {"dimension": "severity", "exists": True}],
    }  # fmt: skip
    span = {"from": (today - timedelta(days=3)).isoformat(), "to": today.isoformat()}
    return [
        _Seed("events", b"POST", b"/v1/events", [ingest], json.dumps(event).encode()),
        _Seed("events", b"POST", b"/v1/events", [ingest], json.dumps([event, {**event, "id": "hostile-2"}]).encode()),
        _Seed("events", b"POST", b"/v1/events", [ingest], (json.dumps(event) + "\n").encode() * 3),
        _Seed("metrics", b"POST", b"/v1/metrics", [ingest], json.dumps(posted).encode()),
        _Seed("metrics", b"POST", b"/v1/metrics", [ingest], (json.dumps(posted) + "\n").encode() * 3),
        _Seed("github", b"POST", b"/v1/webhooks/github", github, json.dumps(delivery).encode()),
        _Seed("query", b"POST", b"/v1/query", [reader], json.dumps(question).encode()),
        _Seed("query", b"POST", b"/v1/query", [reader], json.dumps({"metric": metric, "range": span}).encode()),
        _Seed("query", b"POST", b"/v1/query", [reader], json.dumps(asked).encode()),
        _Seed("query", b"POST", b"/v1/query", [reader], json.dumps({"queries": {"a": asked, "b": question}}).encode()),
        _Seed("catalog", b"GET", b"/v1/catalog", [reader]),
        _Seed("admin", b"GET", b"/v1/admin/status", [admin]),
        _Seed("pages", b"GET", b"/d/default", [b"Accept-Encoding: gzip"]),
        _Seed("pages", b"GET", b"/admin", []),
        _Seed("pages", b"GET", b"/healthz", []),
    ]


def _wire(seed: _Seed, body: bytes, more: list[bytes]) -> bytes:
    head = [seed.method + b" " + seed.target + b" HTTP/1.1", b"Host: localhost", b"Connection: close", *seed.headers]
    head += [b"Content-Length: " + str(len(body)).encode()] if body else []
    return b"\r\n".join([*head, *more]) + b"\r\n\r\n" + body


def shoot(address: tuple[str, int], shot: Shot) -> Answer:
    """
    Send the bytes on a connection of their own, and return what comes back.
    """
    with closing(socket.create_connection(address, timeout=_PATIENCE_SECONDS)) as connection:
        with contextlib.suppress(OSError):  # the server may hang up; what it said first can still be read
            connection.sendall(shot.wire)
        connection.settimeout(_PATIENCE_SECONDS if shot.whole else _IMPATIENCE_SECONDS)
        received = bytearray()
        try:
            while chunk := connection.recv(65536):
                received += chunk
                connection.settimeout(_PATIENCE_SECONDS)
        except TimeoutError:
            if shot.whole:
                raise
        except OSError:
            pass  # reset, with what was said before it
    head, _, body = bytes(received).partition(b"\r\n\r\n")
    status = head.split(b" ", 2)[1:2]
    return Answer(int(status[0]) if status else 0, body)
