"""
Firehose's Snappy and ZIP framings, written and read.

Snappy: what snappy-java (xerial) writes, a header and then blocks of at most 32 KiB, each behind its length. It has no
checksum and no end, so one that is cut between two blocks reads as a shorter whole: who must know holds the manifest's
SHA-256 against it. ZIP: one deflated entry, whose CRC-32 and directory stand at the end.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

import cramjam

_SNAPPY_HEADER = b"\x82SNAPPY\x00" + struct.pack(">ii", 1, 1)
"""The magic bytes, the version, and the oldest version that can read it."""

_SNAPPY_BLOCK = 32 * 1024
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
_ZIP_LEVEL = 6
_ZIP_MODE = 0o600 << 16
_UNIX = 3


class Torn(Exception):  # noqa: N818 - technically not an error: what the lake says of an object in its own words
    """
    These bytes are not a whole frame.
    """


def snappy(content: bytes) -> bytes:
    """
    Return content in snappy-java's framing.
    """
    parts = [_SNAPPY_HEADER]
    for start in range(0, len(content), _SNAPPY_BLOCK):
        block = bytes(cramjam.snappy.compress_raw(content[start : start + _SNAPPY_BLOCK]))
        parts += (len(block).to_bytes(4, "big"), block)
    return b"".join(parts)


def unsnappy(packed: bytes) -> bytes:
    """
    Undo `snappy`. Raises Torn where a block is cut short or does not decompress.
    """
    if not packed.startswith(_SNAPPY_HEADER):
        raise Torn("it has no Snappy header")
    parts = []
    place = len(_SNAPPY_HEADER)
    while place < len(packed):
        size = int.from_bytes(packed[place : place + 4], "big")
        block = packed[place + 4 : place + 4 + size]
        place += 4 + size
        if not size or place > len(packed):
            raise Torn("its last block is cut short")
        parts.append(_block(block))
    return b"".join(parts)


def _block(block: bytes) -> bytes:
    try:
        if not 0 < cramjam.snappy.decompress_raw_len(block) <= _SNAPPY_BLOCK:
            raise Torn("a block has an impossible size")
        return bytes(cramjam.snappy.decompress_raw(block))
    except cramjam.DecompressionError as error:
        raise Torn("a block does not decompress") from error


def zipped(name: str, content: bytes) -> bytes:
    """
    Return content as a ZIP of one deflated entry.
    """
    entry = zipfile.ZipInfo(name, _ZIP_EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.create_system = _UNIX
    entry.external_attr = _ZIP_MODE
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr(entry, content, compresslevel=_ZIP_LEVEL)
    return target.getvalue()


def unzipped(packed: bytes) -> bytes:
    """
    Undo `zipped`. Raises Torn unless there is one whole entry, which begins where the bytes do.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            entries = archive.infolist()
            if len(entries) != 1 or entries[0].header_offset:
                raise Torn("it does not hold one entry")
            return archive.read(entries[0])
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, struct.error) as error:
        raise Torn("it is no whole ZIP") from error
