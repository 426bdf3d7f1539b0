"""
Read a request's body: undo its compression within bounds, and split it into the JSON texts it holds.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import AsyncIterator, Sequence

import msgspec
import zstandard

from metriclake._errors import InvalidBody

_RAWS = msgspec.json.Decoder(list[msgspec.Raw])
_RAW = msgspec.json.Decoder(msgspec.Raw)
_OPENING = b"{["
_QUOTE = ord('"')
_GUNZIP_BYTES = 4096
"""Undone at a time: what follows a member is copied, and a hostile body is all members."""


async def read_body(chunks: AsyncIterator[bytes], encoding: str, limit: int) -> bytes:
    """
    Return the body, decompressed, of at most `limit` bytes before and after. Raises InvalidBody.
    """
    sent = bytearray()
    async for chunk in chunks:
        sent += chunk
        if len(sent) > limit:
            raise too_large(limit)
    return inflate(bytes(sent), encoding.strip().lower(), limit)


def inflate(sent: bytes, encoding: str, limit: int) -> bytes:
    """
    Undo a body's compression: all of it or nothing. Raises InvalidBody.
    """
    if encoding in ("", "identity"):
        return sent
    if encoding not in ("gzip", "zstd"):
        raise InvalidBody("Content-Encoding must be gzip, zstd or none", 415)
    try:
        return _gunzip(sent, limit) if encoding == "gzip" else _unzstd(sent, limit)
    except (zlib.error, zstandard.ZstdError, EOFError) as error:
        raise InvalidBody(f"the body is not whole {encoding}: nothing of it was accepted; send it again") from error


def _gunzip(sent: bytes, limit: int) -> bytes:
    body = bytearray()
    member = None
    for start in range(0, len(sent), _GUNZIP_BYTES):
        rest = sent[start : start + _GUNZIP_BYTES]
        while rest:
            member = member or zlib.decompressobj(wbits=31)
            body += member.decompress(rest, limit + 1 - len(body))
            if len(body) > limit:
                raise too_large(limit)
            rest, member = (member.unused_data, None) if member.eof else (b"", member)
    if member is not None:
        raise EOFError
    return bytes(body)


def _unzstd(sent: bytes, limit: int) -> bytes:
    size = zstandard.frame_content_size(sent)
    if size > limit:
        raise too_large(limit)
    inflater = zstandard.ZstdDecompressor(max_window_size=2**27)
    if size >= 0:
        return inflater.decompress(sent, allow_extra_data=False)
    with inflater.stream_reader(sent) as reader:
        if len(reader.read(limit + 1)) > limit:
            raise too_large(limit)
    frame = inflater.decompressobj()
    body = frame.decompress(sent)
    if not frame.eof or frame.unused_data:
        raise EOFError
    return body


def too_large(limit: int) -> InvalidBody:
    """
    Return the error for a body above the limit.
    """
    return InvalidBody(f"the body is larger than {limit} bytes: split it into several requests", 413)


MAX_ITEMS = 100_000
"""How many items one request may hold: each that is refused is answered with its reason."""


def split(body: bytes, content_type: str) -> list[bytes]:
    """
    Return the JSON texts of a body, one line each: of an array, of NDJSON, or of a single object.

    A line of NDJSON may turn out not to be JSON; an array or a single object as a whole may not. Raises InvalidBody.
    """
    text = body.strip(b" \t\r\n")
    if not text:
        raise InvalidBody("the body is empty: send one object, an array, or one object a line")
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidBody(f"the body is not UTF-8 at byte {error.start}: nothing of it was accepted") from error
    if text.startswith(b"["):
        return _array(text)
    if b"\n" not in text or "ndjson" in content_type or "jsonl" in content_type:
        return _lines(text)
    try:
        return [_one_line(memoryview(_RAW.decode(text)))]
    except msgspec.DecodeError:
        return _lines(text)
    except RecursionError as error:
        raise InvalidBody("the body is nested too deep: nothing of it was accepted") from error


def _few(items: Sequence[bytes | msgspec.Raw]) -> None:
    if len(items) > MAX_ITEMS:
        raise InvalidBody(f"the body holds more than {MAX_ITEMS} items: split it into several requests", 413)


def _array(text: bytes) -> list[bytes]:
    try:
        items = _RAWS.decode(text)
        _few(items)
        return [_one_line(memoryview(item)) for item in items]
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidBody(f"the body is not a JSON array: {error}; nothing of it was accepted") from error


def _lines(text: bytes) -> list[bytes]:
    lines = text.splitlines()
    _few(lines)
    return [line for line in (line.strip() for line in lines) if line]


def _one_line(text: memoryview) -> bytes:
    """
    Put a JSON text on one line: a line break in it can stand only between tokens.
    """
    return bytes(text).replace(b"\n", b" ").replace(b"\r", b" ").strip()


MAX_DEPTH = 256
"""How many objects and arrays may stand in one another."""

_SIGNS = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)


def too_deep(text: bytes) -> bool:
    """
    Tell whether a JSON text is nested deeper than `MAX_DEPTH`. Looks closely only at texts that could be.
    """
    if len(text) < 2 * MAX_DEPTH:
        return False
    if text.count(b"{") + text.count(b"[") <= MAX_DEPTH:
        return False
    depth = 0
    for sign in _SIGNS.finditer(text):
        first = text[sign.start()]
        if first in _OPENING:
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif first != _QUOTE:
            depth -= 1
    return False
