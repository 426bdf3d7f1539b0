"""
The data directory: of one server at a time, and of nobody else on the machine.
"""

from __future__ import annotations

import fcntl
import stat
import threading
from pathlib import Path

import pytest

from metriclake._config import DataDirectory
from metriclake._errors import DataDirectoryInUse
from metriclake.app import running
from metriclake.app.data_directory import locked


def test_a_fresh_data_directory_is_its_owners_alone(tmp_path: Path) -> None:
    """
    What customers' events say is in it: nobody else on the machine may look.
    """
    data = DataDirectory(tmp_path / "below" / "data")
    with locked(data):
        assert stat.S_IMODE(data.root.stat().st_mode) == 0o700


def test_a_command_that_looks_for_a_server_does_not_keep_one_from_starting(tmp_path: Path) -> None:
    """
    The lock that a look takes for an instant is waited out; a server's is not.
    """
    data = DataDirectory(tmp_path)
    with data.lock.open("a+") as look:
        fcntl.flock(look, fcntl.LOCK_SH | fcntl.LOCK_NB)
        threading.Timer(0.05, fcntl.flock, (look, fcntl.LOCK_UN)).start()
        with locked(data):
            assert running(data) is None
            with pytest.raises(DataDirectoryInUse, match="another --data"), locked(data):
                pass


def test_address_of_a_server_that_was_killed_is_forgotten_at_the_next_start(tmp_path: Path) -> None:
    """
    While a server starts, nobody is sent to where its predecessor listened.
    """
    data = DataDirectory(tmp_path)
    data.lock.write_text('{"pid": 1, "url": "http://127.0.0.1:1"}', encoding="utf-8")
    with locked(data):
        assert running(data) is None
