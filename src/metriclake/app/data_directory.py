"""
The data directory: held by one server at a time, which tells commands where it listens.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import msgspec

from metriclake._config import DataDirectory
from metriclake._errors import DataDirectoryInUse, MetriclakeError
from metriclake.store import fsync_folder

_LOCK_TRIES = 10
_LOCK_PAUSE_SECONDS = 0.02


@contextlib.contextmanager
def locked(data: DataDirectory) -> Iterator[None]:
    """
    Hold the data directory for this process alone.
    """
    try:
        data.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        file: IO[str] = data.lock.open("a+", encoding="utf-8")
    except OSError as error:
        raise MetriclakeError(f"the data directory {data.root} cannot be used: {error.strerror}") from error
    with file:
        if not _taken(file):
            raise DataDirectoryInUse(f"{data.root} is in use by {_holder(data)}: stop it, or take another --data")
        file.truncate(0)  # a server that was killed has left its address
        try:
            yield
        finally:
            file.truncate(0)


def mark_unclean(data: DataDirectory) -> bool:
    """
    Mark the directory as in use, durably, until `stop`; tells whether an earlier server has left its mark.

    The mark's removal is not fsynced: where a power cut undoes it, the next start looks once more than it must.
    """
    found = data.unclean.exists()
    try:
        data.unclean.touch(mode=0o600)
        for folder in (data.root, data.root.parent):
            fsync_folder(folder)
    except OSError as error:
        raise MetriclakeError(f"the data directory {data.root} cannot be written: {error.strerror}") from error
    return found


def _taken(file: IO[str]) -> bool:
    """
    Take the lock; patient for a moment, since a command that looks whether a server runs holds it for an instant.
    """
    for _ in range(_LOCK_TRIES):
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(_LOCK_PAUSE_SECONDS)
    return False


def _holder(data: DataDirectory) -> str:
    found = running(data)
    return "another process" if found is None else f"the server at {found['url']} (process {found['pid']})"


def running(data: DataDirectory) -> dict[str, Any] | None:
    """
    Return where the server that holds the data directory listens, None where none does.
    """
    try:
        with data.lock.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                found = msgspec.json.decode(file.read())
                return found if isinstance(found, dict) else None
    except (OSError, msgspec.DecodeError):
        return None
    return None


def publish(data: DataDirectory, url: str, pipeline: Path) -> None:
    """
    Tell other processes where this server listens, and by which pipeline file it runs.
    """
    data.lock.write_bytes(msgspec.json.encode({"pid": os.getpid(), "url": url}))
    data.served.write_text(str(pipeline.resolve()), encoding="utf-8")
