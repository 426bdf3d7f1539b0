"""
A changed file is noticed.
"""

from __future__ import annotations

import threading
from pathlib import Path

from metriclake.watch import Watcher


def test_change_is_noticed_and_absence_is_not(tmp_path: Path) -> None:
    """
    The call comes after a change, also when the file was replaced, and not while the file is away.
    """
    path = tmp_path / "file"
    path.write_text("one", encoding="utf-8")
    changed = threading.Event()
    watcher = Watcher(path, changed.set)
    watcher.start()
    try:
        path.unlink()
        assert not changed.wait(1.5)
        path.write_text("another", encoding="utf-8")
        assert changed.wait(10)
    finally:
        watcher.stop()
