"""
How full the data directory is, and whether it may take more: measured from time to time, asked at each append.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from metriclake._errors import JournalFull
from metriclake.repeat import Repeat

_EVERY_SECONDS = 5.0
_BLOCK = 512


@dataclass(frozen=True, slots=True)
class Room:
    """
    What the disk may be filled to: `quota` bytes of the data directory, leaving `reserve` bytes of the disk free.
    """

    quota: int | None
    reserve: int


class DiskGauge(Repeat):
    """
    Measure the data directory every few seconds, and judge what may still be accepted.
    """

    def __init__(self, root: Path, room: Callable[[], Room], spare: Callable[[], int] = lambda: 0) -> None:
        """
        Measure `root` once; `room` returns the bounds in force, `spare` how many bytes of its files can be used again.
        """
        self._root = root
        self._room = room
        self._spare_now = spare
        self._since = 0
        super().__init__("disk-gauge", _EVERY_SECONDS, self.measure)
        self.measure()

    def measure(self) -> None:
        """
        Look how much there is, and how much is free.
        """
        self.used = size_of(self._root)
        self._free = shutil.disk_usage(self._root).free
        self._spare = self._spare_now()
        self._since = 0

    def admit(self, size: int) -> None:
        """
        Let `size` bytes in, or raise JournalFull that says what to do.
        """
        room = self._room()
        more = self._since + size - self._spare
        if room.quota is not None and self.used + more > room.quota:
            raise JournalFull(
                f"the data directory {self._root} is at its quota of {room.quota} bytes: raise `disk.quota`, or shorten"
                " `store.retention`"
            )
        if self._free - more < room.reserve:
            raise JournalFull(
                f"the disk of the data directory {self._root} has less than {room.reserve} bytes left: make room, or"
                " lower `disk.reserve`"
            )
        self._since += size


def size_of(root: Path) -> int:
    """
    Return the bytes that a folder takes on the disk; what vanishes while it is looked at counts nothing.
    """
    total = 0
    folders = [str(root)]
    while folders:
        try:
            entries = list(os.scandir(folders.pop()))
        except OSError:
            continue
        for entry in entries:
            try:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    total += entry.stat(follow_symlinks=False).st_blocks * _BLOCK
            except OSError:
                continue
    return total
