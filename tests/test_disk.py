"""
What the data directory may still take.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from metriclake._errors import JournalFull
from metriclake.disk import DiskGauge, Room, size_of

BLOCKS = 64 * 1024


def test_size_counts_every_file(tmp_path: Path) -> None:
    """
    The size of a folder is that of all files below it, and of what is not there nothing.
    """
    (tmp_path / "a" / "b").mkdir(parents=True)
    for name in ("one", "a/two", "a/b/three"):
        (tmp_path / name).write_bytes(b"x" * BLOCKS)

    assert size_of(tmp_path) >= 3 * BLOCKS
    assert size_of(tmp_path / "missing") == 0


def test_quota_bounds_what_is_there_and_what_comes(tmp_path: Path) -> None:
    """
    Appends are let in up to the quota, counted from the last look on, and again when there is room.
    """
    (tmp_path / "file").write_bytes(b"x" * BLOCKS)
    gauge = DiskGauge(tmp_path, lambda: Room(2 * BLOCKS, 0))

    gauge.admit(BLOCKS // 2)
    with pytest.raises(JournalFull, match=r"quota of 131072 bytes: raise `disk\.quota`"):
        gauge.admit(BLOCKS)

    (tmp_path / "file").unlink()
    gauge.measure()
    gauge.admit(BLOCKS)


def test_room_inside_files_is_room(tmp_path: Path) -> None:
    """
    What lies in the directory and can be filled again does not count against the quota, nor does filling it.
    """
    (tmp_path / "file").write_bytes(b"x" * 2 * BLOCKS)
    spare = [0]
    gauge = DiskGauge(tmp_path, lambda: Room(2 * BLOCKS, 0), lambda: spare[0])
    with pytest.raises(JournalFull):
        gauge.admit(BLOCKS)

    spare[0] = BLOCKS
    gauge.measure()
    gauge.admit(BLOCKS // 2)
    with pytest.raises(JournalFull):
        gauge.admit(BLOCKS)


def test_reserve_is_left_free(tmp_path: Path) -> None:
    """
    Nothing is let in that would leave less than the reserve of the disk free.
    """
    gauge = DiskGauge(tmp_path, lambda: Room(None, 2**60))

    with pytest.raises(JournalFull, match=r"make room, or lower `disk\.reserve`"):
        gauge.admit(1)


def test_no_quota_lets_everything_in(tmp_path: Path) -> None:
    """
    Without a quota only the reserve counts.
    """
    DiskGauge(tmp_path, lambda: Room(None, 0)).admit(2**20)
