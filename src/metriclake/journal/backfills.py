"""
What the embedded journal keeps of backfills: for each archived batch and rule, how far it is. Functions of a write.

A row is pinned before objects are made, and gets its number in the transaction that announces them: 1, 2, … in this
order, 0 where the rule makes nothing of the batch.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from metriclake._errors import StaleSeal

TABLE = """
CREATE TABLE IF NOT EXISTS backfilled (manifest TEXT PRIMARY KEY, answers BLOB, number INTEGER) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS backfilled_by_number ON backfilled (number) WHERE number > 0;
"""
"""Came later than format 1, and is nothing to those who do not know it."""

SELECT = "SELECT answers, number FROM backfilled WHERE manifest = ?"
LAST = "SELECT coalesce(max(number), 0) FROM backfilled WHERE number > 0"


def pin(connection: sqlite3.Connection, manifest: str, answers: bytes) -> bytes:
    """
    Keep what the directory answered for a batch; returns what was kept first. Raises StaleSeal where it is announced.
    """
    connection.execute("INSERT OR IGNORE INTO backfilled VALUES (?, ?, NULL)", (manifest, answers))
    kept, number = connection.execute(SELECT, (manifest,)).fetchone()
    if number is not None:
        raise _stale(manifest)
    return bytes(kept)


def finish(connection: sqlite3.Connection, manifest: str) -> None:
    """
    Give a pinned batch its number, and forget what was answered. Raises StaleSeal where it has one.
    """
    number = connection.execute(LAST).fetchone()[0] + 1
    done = connection.execute(
        "UPDATE backfilled SET answers = NULL, number = ? WHERE manifest = ? AND number IS NULL", (number, manifest)
    )
    if done.rowcount != 1:
        raise _stale(manifest)


def pass_over(connection: sqlite3.Connection, manifests: Sequence[str]) -> None:
    """
    Note batches of which the rule makes nothing.
    """
    connection.executemany("INSERT OR IGNORE INTO backfilled VALUES (?, NULL, 0)", [(path,) for path in manifests])


def _stale(manifest: str) -> StaleSeal:
    return StaleSeal(f"another backfill has announced {manifest} first: run it again")
