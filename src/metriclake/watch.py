"""
Notice that the pipeline file has changed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

_EVERY_SECONDS = 1.0


class Watcher:
    """
    A thread that looks at a file every second and calls when it has changed.
    """

    def __init__(self, path: Path, changed: Callable[[], object]) -> None:
        """
        Call `changed`, without arguments, after each change of the file at `path`.
        """
        self._path = path
        self._changed = changed
        self._stop = threading.Event()
        self._seen = self._stamp()
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)

    def start(self) -> None:
        """
        Start the thread.
        """
        self._thread.start()

    def stop(self) -> None:
        """
        End the thread.
        """
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(_EVERY_SECONDS):
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
