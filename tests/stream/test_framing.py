"""
Firehose's framings as other programs know them: by the byte, and by the standard library's reader.
"""

from __future__ import annotations

import io
import zipfile

import pytest

from metriclake.stream.framing import Torn, snappy, unsnappy, unzipped, zipped

HEADER = bytes.fromhex("82534e41505059000000000100000001")
LINES = b'{"n":1}\n' * 10_000


def test_snappy_header_and_blocks_are_those_of_snappy_java() -> None:
    """
    Magic, version and compatible version, then blocks of 32 KiB, each behind its length.
    """
    packed = snappy(LINES)
    sizes = []
    place = len(HEADER)
    while place < len(packed):
        size = int.from_bytes(packed[place : place + 4], "big")
        sizes.append(size)
        place += 4 + size

    assert packed.startswith(HEADER)
    assert len(sizes) == -(-len(LINES) // 32_768)
    assert snappy(b"") == HEADER


def test_snappy_blocks_of_other_writers_are_read() -> None:
    """
    A block written by hand: its length, the content's length, a literal of three bytes.
    """
    block = bytes.fromhex("000000050308616263")

    assert unsnappy(HEADER + block + block) == b"abcabc"


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"abc",
        HEADER[:-1],
        HEADER + b"\0\0",
        HEADER + bytes(4),
        HEADER + bytes.fromhex("000000050308"),
        HEADER + bytes.fromhex("00000006ffffffff0f00"),
        HEADER + bytes.fromhex("000000050408616263"),
    ],
)
def test_what_is_no_snappy_is_refused(packed: bytes) -> None:
    """
    No header, a block cut short, a block that claims gigabytes, a block of another length than it says.
    """
    with pytest.raises(Torn):
        unsnappy(packed)


def test_zip_is_one_deflated_entry_for_every_reader() -> None:
    """
    Any reader finds one entry by the object's name; its date is none of this machine's.
    """
    with zipfile.ZipFile(io.BytesIO(zipped("one.ndjson", LINES))) as archive:
        (entry,) = archive.infolist()
        assert archive.testzip() is None
        assert archive.read(entry) == LINES

    assert (entry.filename, entry.compress_type) == ("one.ndjson", zipfile.ZIP_DEFLATED)
    assert entry.date_time == (1980, 1, 1, 0, 0, 0)
    assert entry.compress_size < entry.file_size


def test_zip_with_a_changed_byte_is_refused() -> None:
    """
    The entry's checksum is held against its content.
    """
    packed = bytearray(zipped("one.ndjson", LINES))
    packed[60] ^= 1

    with pytest.raises(Torn):
        unzipped(bytes(packed))


def test_zip_of_several_entries_is_refused() -> None:
    """
    What holds more than one entry is not an object of ours.
    """
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("one", b"1")
        archive.writestr("two", b"2")

    with pytest.raises(Torn):
        unzipped(target.getvalue())
