"""
Objects are put once, whole, and read back whole or not at all.
"""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metriclake._errors import LakeError
from metriclake.stream.lake import SUFFIXES as BY_NAME
from metriclake.stream.lake import Lake, pack, unpack

SUFFIXES = tuple(BY_NAME.values())
TELLING = (".zst", ".gz", ".zip")
LINES = b'{"n":1}\n' * 1000


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """
    Open a fresh lake.
    """
    return Lake(tmp_path / "lake")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_object_is_read_back(lake: Lake, suffix: str) -> None:
    """
    What is put is what is got, in every compression, also by a lake that is opened later.
    """
    path = f"Data/2026/01/31/12/one.ndjson{suffix}"

    assert lake.put(path, LINES) == LINES
    assert Lake(lake.root).get(path) == LINES


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_first_object_wins(lake: Lake, suffix: str) -> None:
    """
    An object that is there already stays, and its content is the answer; without a checksum, if it is vouched for.
    """
    lake.put(f"Data/one.ndjson{suffix}", b"first\n")

    assert lake.put(f"Data/one.ndjson{suffix}", b"second\n", lambda found: found == b"first\n") == b"first\n"
    assert lake.get(f"Data/one.ndjson{suffix}") == b"first\n"


def test_of_concurrent_puts_one_wins(lake: Lake) -> None:
    """
    All who put the same object at once are given the content of one of them.
    """
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda number: lake.put("Data/one.ndjson.zst", b"%d\n" % number), range(40)))

    assert {lake.get("Data/one.ndjson.zst")} == set(answers)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("left", [0, 1, 8, 20, 80, -1])
def test_torn_object_is_replaced(lake: Lake, suffix: str, left: int) -> None:
    """
    Of an object that a power cut has cut short nothing can have been announced: it is written again, whole.
    """
    path = f"Data/one.ndjson{suffix}"
    lake.put(path, LINES)
    (lake.root / path).write_bytes((lake.root / path).read_bytes()[:left])

    assert lake.put(path, LINES) == LINES
    assert lake.get(path) == LINES


@pytest.mark.parametrize("left", [0, 1, -1])
def test_torn_manifest_is_replaced(lake: Lake, left: int) -> None:
    """
    A manifest has no checksum, and is written again all the same where a power cut has cut it short.
    """
    manifest = b'{"format":1}\n'
    lake.put("Manifest/one.json", manifest)
    (lake.root / "Manifest/one.json").write_bytes(manifest[:left])

    assert lake.put("Manifest/one.json", manifest) == manifest
    assert lake.get("Manifest/one.json") == manifest


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_torn_object_is_not_read(lake: Lake, suffix: str) -> None:
    """
    A torn object is never given out in part.
    """
    path = f"Data/one.ndjson{suffix}"
    lake.put(path, LINES)
    (lake.root / path).write_bytes((lake.root / path).read_bytes()[:-1])

    with pytest.raises(LakeError, match="torn"):
        lake.get(path)


def test_missing_object_is_said(lake: Lake) -> None:
    """
    An object that is not there is an error that names it.
    """
    with pytest.raises(LakeError, match=r"Data/none\.ndjson is not there"):
        lake.get("Data/none.ndjson")


def test_lake_that_cannot_write_says_so(lake: Lake) -> None:
    """
    Where a file stands in the way of a folder, the put fails by the lake's own error.
    """
    (lake.root / "Data").write_text("in the way")

    with pytest.raises(LakeError, match=r"Data/one\.ndjson"):
        lake.put("Data/one.ndjson", LINES)


def test_lake_below_a_file_is_refused(tmp_path: Path) -> None:
    """
    A lake that cannot be opened is refused at once.
    """
    (tmp_path / "file").touch()

    with pytest.raises(LakeError, match="cannot be opened"):
        Lake(tmp_path / "file" / "lake")


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda some: some * 2000), st.sampled_from(SUFFIXES))
def test_packing_is_undone_and_always_the_same(content: bytes, suffix: str) -> None:
    """
    Unpacking undoes packing, and the same content is always packed into the same bytes.
    """
    packed = pack(f"one{suffix}", content)

    assert unpack(f"one{suffix}", packed) == content
    assert pack(f"one{suffix}", content) == packed


@given(st.binary(max_size=60), st.integers(1, 2000), st.sampled_from(SUFFIXES), st.data())
def test_no_part_of_an_object_passes_for_the_whole(line: bytes, rows: int, suffix: str, data: st.DataObject) -> None:
    """
    Every truncation of an object is refused, or is told by its content: never is less taken for all.
    """
    content = (line.replace(b"\n", b" ") + b"\n") * rows
    packed = pack(f"one.ndjson{suffix}", content)
    left = packed[: data.draw(st.integers(0, len(packed) - 1))]
    try:
        found = unpack(f"one.ndjson{suffix}", left)
    except LakeError:
        return

    assert suffix not in TELLING
    assert found != content


@given(st.binary(max_size=200), st.sampled_from(SUFFIXES))
def test_nonsense_is_refused_in_the_lakes_own_words(nonsense: bytes, suffix: str) -> None:
    """
    Bytes that no lake has written are read as they are or refused, and nothing else happens.
    """
    with contextlib.suppress(LakeError):
        assert unpack(f"one{suffix}", nonsense) == nonsense or suffix
