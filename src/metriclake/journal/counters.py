"""
The books' counters in SQLite, and counts as the tables keep them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from metriclake.books import Counts, Delta, Key

_ADD = """
INSERT INTO counters
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
  json_extract(value, '$[3]'), json_extract(value, '$[4]')
FROM json_each(?) WHERE true
ON CONFLICT (scope, tenant, metric, counter) DO UPDATE SET amount = amount + excluded.amount
"""


def add(connection: sqlite3.Connection, deltas: Sequence[Delta]) -> None:
    """
    Add to the counters, all in one step: between two steps the interpreter may let other threads go first.
    """
    rows = [(delta.scope, delta.tenant, delta.metric, delta.counter, delta.amount) for delta in deltas if delta.amount]
    if rows:
        connection.execute(_ADD, (msgspec.json.encode(rows).decode(),))


def packed(counts: Counts) -> bytes:
    """
    Return counts as a table keeps them.
    """
    return msgspec.json.encode([(*key, amount) for key, amount in counts.items()])


def unpacked(kept: bytes) -> dict[Key, int]:
    """
    Return what `packed` was given.
    """
    return {(tenant, metric): amount for tenant, metric, amount in msgspec.json.decode(kept)}


def total(rows: sqlite3.Cursor) -> dict[Key, int]:
    """
    Add up counts, one a row.
    """
    summed: dict[Key, int] = {}
    for (kept,) in rows:
        for key, amount in unpacked(kept).items():
            summed[key] = summed.get(key, 0) + amount
    return summed
