"""
What a reader has yet to take of the announcements, kept up by what has changed since the last question.

A destination that is away leaves announcements by the hundred thousand, and the books are read at every scrape.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from dataclasses import dataclass, field

from metriclake.books import Key
from metriclake.journal.counters import total

_CHECKPOINT = "SELECT coalesce((SELECT number FROM checkpoints WHERE reader = ?), 0)"
_NEWEST = "SELECT coalesce(max(number), 0) FROM announcements"
_COUNTS = "SELECT counts FROM announcements WHERE number > ? AND number <= ?"


@dataclass(slots=True)
class _Span:
    """
    The counts of the announcements after one number, up to another.
    """

    after: int = 0
    until: int = 0
    counts: Counter[Key] = field(default_factory=Counter)


class Waiting:
    """
    The counts that wait, by reader. Its caller lets in one thread at a time, with a snapshot no older than the last.
    """

    def __init__(self) -> None:
        """
        Begin without having asked.
        """
        self._spans: dict[str, _Span] = {}

    def of(self, connection: sqlite3.Connection, reader: str) -> dict[Key, int]:
        """
        Return how many metric events of each tenant and metric a reader has yet to take.
        """
        after = connection.execute(_CHECKPOINT, (reader,)).fetchone()[0]
        until = connection.execute(_NEWEST).fetchone()[0]
        span = self._spans.setdefault(reader, _Span())
        if after - span.after + until - span.until >= until - after:
            span.counts = Counter(total(connection.execute(_COUNTS, (after, until))))
        else:
            span.counts.update(total(connection.execute(_COUNTS, (span.until, until))))
            span.counts.subtract(total(connection.execute(_COUNTS, (span.after, after))))
        span.after, span.until = after, until
        return {key: amount for key, amount in span.counts.items() if amount}
