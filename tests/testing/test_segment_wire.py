"""
Segment's twin by plain HTTP: what its own library cannot be made to send.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from metriclake.testing import Clock, SegmentTwin
from testing.plain_http import speaking

NOON = 1_772_366_400.0


@pytest.fixture
def twin() -> Iterator[SegmentTwin]:
    """
    Know one source.
    """
    with SegmentTwin(["key"], clock=Clock(NOON)) as twin:
        yield twin


@pytest.fixture
def http(twin: SegmentTwin) -> Iterator[httpx.Client]:
    """
    Speak to the twin.
    """
    with speaking(twin.url) as client:
        yield client


def basic(text: str) -> dict[str, str]:
    """
    Return the header of Basic authentication.
    """
    return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}


TRACK: dict[str, Any] = {"userId": "u", "event": "Seen"}


@pytest.mark.rule("segment-authentication", "segment-bearer", "segment-any-token")
@pytest.mark.parametrize(
    ("headers", "key", "taken"),
    [
        ({}, "key", 1),
        (basic("key:"), None, 1),
        (basic("key"), None, 0),
        ({"Authorization": "Basic nonsense!"}, None, 0),
        ({"Authorization": "Bearer any"}, "key", 1),
        ({"Authorization": "Bearer any"}, None, 0),
        ({}, None, 0),
        ({}, "", 0),
        (basic("key:"), "mistyped", 0),
    ],
)
def test_ways_to_bring_the_key(
    twin: SegmentTwin, http: httpx.Client, headers: dict[str, str], key: str | None, taken: int
) -> None:
    """
    The key is taken from the body or from Basic with its colon; a bearer token alone names no source.
    """
    body = TRACK if key is None else {**TRACK, "writeKey": key}
    answer = http.post("/v1/track", json=body, headers=headers)

    assert (answer.status_code, twin.counts.taken, twin.counts.rejected) == (200, taken, 1 - taken)


@pytest.mark.rule("segment-endpoints", "segment-timestamp")
@pytest.mark.parametrize("call", ["identify", "track", "page", "screen", "group", "alias"])
def test_single_calls(twin: SegmentTwin, http: httpx.Client, call: str) -> None:
    """
    Each method has a path of its own, which gives the call its type; without a timestamp it has the time of arrival.
    """
    http.post(f"/v1/{call}", json={**TRACK, "writeKey": "key"})

    assert twin.taken[0].kind == twin.records[0]["type"] == call
    assert twin.records[0]["timestamp"] == twin.records[0]["receivedAt"] == "2026-03-01T12:00:00.000Z"
    assert "writeKey" not in twin.records[0]


@pytest.mark.rule("segment-other-paths")
def test_other_paths(http: httpx.Client) -> None:
    """
    What is no endpoint is not found.
    """
    assert [http.post(path, json=TRACK).status_code for path in ("/", "/v1/import", "/v2/track")] == [404, 404, 404]
    assert http.get("/v1/track").status_code == 404


@pytest.mark.rule("segment-content-type", "segment-content-type-status")
def test_content_type(twin: SegmentTwin, http: httpx.Client) -> None:
    """
    JSON under another name is refused; parameters of the type do not matter.
    """
    body = b'{"userId": "u", "event": "Seen", "writeKey": "key"}'
    wrong = http.post("/v1/track", content=body, headers={"Content-Type": "text/plain"})
    right = http.post("/v1/track", content=body, headers={"Content-Type": "application/json; charset=utf-8"})

    assert (wrong.status_code, right.status_code, twin.counts.taken) == (400, 200, 1)


@pytest.mark.rule("segment-invalid-json", "segment-error-body")
@pytest.mark.parametrize("path", ["/v1/track", "/v1/batch"])
@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'"text"', b'{"batch": 1}', b'{"batch": [1]}', b'{"a": "\xff"}', b"[" * 5000]
)
def test_what_is_not_json(twin: SegmentTwin, http: httpx.Client, path: str, body: bytes) -> None:
    """
    What cannot be read is refused with code and message; for a single call `batch` is a field like others.
    """
    answer = http.post(path, content=body, headers={"Content-Type": "application/json"})
    readable = path == "/v1/track" and b"batch" in body

    assert answer.status_code == (200 if readable else 400)
    assert readable or set(answer.json()) == {"code", "message"}
    assert twin.counts.taken == 0


@pytest.mark.rule("segment-call-size")
def test_a_call_that_is_too_large(twin: SegmentTwin, http: httpx.Client) -> None:
    """
    A single call of 32,768 bytes is taken, and one of a byte more is refused.
    """
    frame = len('{"userId":"u","event":"Seen","writeKey":"key","text":""}')
    bodies = [{**TRACK, "writeKey": "key", "text": "x" * (32 * 1024 - frame + more)} for more in (0, 1)]

    assert [http.post("/v1/track", json=body).status_code for body in bodies] == [200, 400]
    assert twin.counts.taken == 1


def test_compression_that_is_broken_or_unknown(twin: SegmentTwin, http: httpx.Client) -> None:
    """
    What cannot be decompressed is refused, and nothing of it is taken.
    """
    kind = {"Content-Type": "application/json"}
    broken = http.post("/v1/track", content=b"no gzip", headers={**kind, "Content-Encoding": "gzip"})
    unknown = http.post("/v1/track", content=b"{}", headers={**kind, "Content-Encoding": "br"})

    assert (broken.status_code, unknown.status_code, twin.counts.taken) == (400, 415, 0)
