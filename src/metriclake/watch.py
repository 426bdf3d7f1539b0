"""
Notice that the pipeline file has changed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from metriclake.repeat import Repeat

_EVERY_SECONDS = 1.0


class Watcher(Repeat):
    """
    Look at a file every second, and call when it has changed.
    """

    def __init__(self, path: Path, changed: Callable[[], object]) -> None:
        """
        Call `changed`, without arguments, after each change of the file at `path`.
        """
        self._path = path
        self._changed = changed
        self._seen = self._stamp()
        super().__init__("watcher", _EVERY_SECONDS, self._look)

    def _look(self) -> None:
        stamp = self._stamp()
        if stamp is not None and stamp != self._seen:
            self._seen = stamp
            self._changed()

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            stat = self._path.stat()
        except OSError:
            return None
        return (stat.st_mtime_ns, stat.st_size, stat.st_ino)
