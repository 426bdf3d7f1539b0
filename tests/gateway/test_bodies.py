"""
A body is read whole, within bounds, whatever its form; or nothing of it is.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from metriclake._errors import InvalidBody
from metriclake.gateway.bodies import inflate, read_body, split, too_deep

LIMIT = 1024 * 1024
CASES = [
    json.loads(line) for line in (Path(__file__).parents[1] / "cases" / "bodies.jsonl").read_text("utf-8").splitlines()
]
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=6,
)
OBJECTS = st.lists(st.dictionaries(st.text(), JSON, max_size=3), min_size=1, max_size=5)


def streamed(body: bytes) -> bytes:
    """
    Compress as a stream does, which does not know its size beforehand.
    """
    compressor = zstandard.ZstdCompressor().compressobj()
    return compressor.compress(body) + compressor.flush()


PACKED = {
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "zstd of unknown size": streamed,
    "": bytes,
}
PACKINGS = st.sampled_from(sorted(PACKED))


def encoding(packing: str) -> str:
    """
    Return a packing's `Content-Encoding`.
    """
    return packing.partition(" ")[0]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_split(case: dict[str, Any]) -> None:
    """
    Every row of the table: a body is these texts, or is refused with these words.
    """
    body, content_type = case["body"].encode(), case.get("content_type", "application/json")
    if "refused" in case:
        with pytest.raises(InvalidBody, match=case["refused"]):
            split(body, content_type)
        return

    assert case["texts"] == [text.decode() for text in split(body, content_type)]


@given(OBJECTS, st.sampled_from([None, 2]), PACKINGS)
def test_array_is_its_items_on_one_line_each(objects: list[Any], indent: int | None, packing: str) -> None:
    """
    An array, pretty-printed or not, in every compression, is its items.
    """
    texts = split(round_trip(json.dumps(objects, indent=indent).encode(), packing), "application/json")

    assert objects == [json.loads(text) for text in texts]
    assert not any(b"\n" in text or b"\r" in text for text in texts)


@given(OBJECTS, PACKINGS)
def test_ndjson_is_its_lines(objects: list[Any], packing: str) -> None:
    """
    One object a line, with or without its content type, is these objects.
    """
    body = round_trip("\n".join(map(json.dumps, objects)).encode() + b"\n", packing)

    assert objects == [json.loads(text) for text in split(body, "application/x-ndjson")]
    assert objects == [json.loads(text) for text in split(body, "application/json")]


@given(OBJECTS, st.sampled_from([None, 2]), PACKINGS)
def test_single_object_is_one_line(objects: list[Any], indent: int | None, packing: str) -> None:
    """
    One object, pretty-printed or not, is one text on one line.
    """
    texts = split(round_trip(json.dumps(objects[0], indent=indent).encode(), packing), "application/json")

    assert [objects[0]] == [json.loads(text) for text in texts]


def round_trip(body: bytes, packing: str) -> bytes:
    """
    Pack a body and read it as the gateway does.
    """
    return inflate(PACKED[packing](body), encoding(packing), LIMIT)


@pytest.mark.parametrize("packing", ["gzip", "zstd", "zstd of unknown size"])
def test_broken_compression_is_refused_whole(packing: str) -> None:
    """
    A body that is cut short or changed anywhere gives an error and never a part of itself.
    """
    packed = PACKED[packing](b"".join(b'{"n":%d}\n' % number for number in range(500)))
    broken = [packed[:cut] for cut in range(1, len(packed), 7)] + [packed + b"x", b"\0" + packed]

    for sent in broken:
        with pytest.raises(InvalidBody, match="nothing of it was accepted"):
            inflate(sent, encoding(packing), LIMIT)


@pytest.mark.parametrize("packing", ["gzip", "zstd", "zstd of unknown size"])
@pytest.mark.parametrize(("size", "fits"), [(LIMIT, True), (LIMIT + 1, False), (64 * LIMIT, False)])
def test_bomb_is_stopped_at_the_limit(packing: str, size: int, fits: bool) -> None:  # noqa: FBT001 - pytest gives it by name
    """
    The limit holds after decompression, to the byte, however small the body was as sent.
    """
    packed = PACKED[packing](b" " * size)

    if fits:
        assert len(inflate(packed, encoding(packing), LIMIT)) == size
        return
    with pytest.raises(InvalidBody, match="split it into several requests") as refused:
        inflate(packed, encoding(packing), LIMIT)
    assert refused.value.status == 413


def test_gzip_of_several_members_is_one_body() -> None:
    """
    Concatenated gzip members are one body, as gzip says.
    """
    assert inflate(gzip.compress(b'{"a":1}\n') + gzip.compress(b'{"b":2}'), "gzip", LIMIT) == b'{"a":1}\n{"b":2}'


def test_a_body_of_a_hundred_thousand_gzip_members_costs_their_bytes() -> None:
    """
    What a member leaves over is not copied for each of the others: such a body is read in a moment, not in minutes.
    """
    began = time.process_time()
    body = inflate(gzip.compress(b"x") * 150_000, "gzip", 2**24)

    assert body == b"x" * 150_000
    assert time.process_time() - began < 3


@pytest.mark.parametrize("packing", ["zstd", "zstd of unknown size"])
def test_second_zstd_frame_is_not_lost(packing: str) -> None:
    """
    Of several zstd frames all are read or none: never the first alone.
    """
    with pytest.raises(InvalidBody, match="nothing of it was accepted"):
        inflate(PACKED[packing](b'{"a":1}\n') + PACKED[packing](b'{"b":2}'), "zstd", LIMIT)


def test_unknown_encoding_is_refused() -> None:
    """
    A compression that is not understood is refused by its own status.
    """
    with pytest.raises(InvalidBody, match="gzip, zstd or none") as refused:
        inflate(b"x", "br", LIMIT)

    assert refused.value.status == 415


def test_stream_is_stopped_at_the_limit() -> None:
    """
    A body that comes in chunks is not read further than the limit.
    """
    read = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(100):
            read += 1
            yield b"x" * 10

    with pytest.raises(InvalidBody) as refused:
        asyncio.run(read_body(chunks(), "", 25))

    assert (refused.value.status, read) == (413, 3)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    """
    Whatever bytes come, the answer is texts or InvalidBody.
    """
    try:
        texts = split(body, "application/json")
    except InvalidBody:
        return

    assert not any(b"\n" in text for text in texts)


@pytest.mark.parametrize("body", [b"[" * 100_000, b"[" * 100_000 + b"]" * 100_000])
def test_bottomless_nesting_is_refused(body: bytes) -> None:
    """
    A body that nests deeper than anyone reads is refused, whole or as an item, whatever depth this Python reads.
    """
    try:
        texts = split(body, "application/json")
    except InvalidBody:
        return

    assert [too_deep(text) for text in texts] == [True]


@pytest.mark.parametrize("body", [b"1\n" * 100_001, b"[" + b"1," * 100_000 + b"1]"])
def test_more_items_than_a_request_may_hold_are_refused_whole(body: bytes) -> None:
    """
    A body of a great many small items is refused before each of them gets an answer of its own.
    """
    with pytest.raises(InvalidBody, match="more than 100000 items") as refused:
        split(body, "application/x-ndjson")

    assert refused.value.status == 413
