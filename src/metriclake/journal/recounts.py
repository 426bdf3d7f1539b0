"""
What the embedded journal says of one moment: its counters, and beside them what it has itself.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

import msgspec

from metriclake.books import DOMAIN_EVENTS, STREAM
from metriclake.entry import EntryKind
from metriclake.event import NO_TENANT
from metriclake.journal import backfills, deliveries
from metriclake.recount import IN_FLIGHT, Moment, Row, Snapshot


def snapshot(connection: sqlite3.Connection) -> Snapshot:
    """
    Return one moment; to be called in a transaction.
    """
    sealed = connection.execute("SELECT partition, max(number) FROM seals WHERE announced = 1 GROUP BY partition")
    moment = Moment(
        announced=connection.execute("SELECT coalesce(max(number), 0) FROM announcements").fetchone()[0],
        sealed={str(partition): number for partition, number in sealed},
        backfilled=connection.execute(backfills.LAST).fetchone()[0],
        checkpoints=dict(connection.execute("SELECT reader, number FROM checkpoints")),
    )
    said = connection.execute("SELECT scope, tenant, metric, counter, amount FROM counters")
    in_flight = connection.execute("SELECT counts FROM entries WHERE kind = ?", (EntryKind.METRICS,))
    events = connection.execute("SELECT coalesce(sum(count), 0) FROM entries WHERE kind = ?", (EntryKind.EVENTS,))
    found: list[Row] = [
        (STREAM, NO_TENANT, DOMAIN_EVENTS, IN_FLIGHT, events.fetchone()[0]),
        *_counted(IN_FLIGHT, in_flight),
        *map(tuple, deliveries.events_by_state(connection)),
        *_counted("held", connection.execute("SELECT counts FROM held")),
    ]
    return Snapshot(moment=moment, said=[tuple(row) for row in said], found=found)


def _counted(counter: str, rows: Iterable[tuple[bytes]]) -> list[Row]:
    return [
        (STREAM, tenant, metric, counter, amount)
        for (packed,) in rows
        for tenant, metric, amount in msgspec.json.decode(packed)
    ]
