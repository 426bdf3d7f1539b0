"""
Bring a store that an older version has written to the shape of this one.

An upgrade that was cut off is begun again at the next start: until it is done, the rows lie where they lay.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from metriclake.store import aging
from metriclake.store.engine import DATABASE, Engine
from metriclake.tiers import Tiers

_NEXT = "metrics_next"


def age(engine: Engine, made: Callable[[str], str], tiers: Tiers, now: datetime) -> None:
    """
    From format 1: give each row the columns by which it ages, and its partition.

    `made` is the statement that makes the table of rows under a name. The key of partitions cannot be altered, so the
    rows are copied: that takes as much disk again until it is done.
    """
    names = _columns(engine)
    if names and not set(names) & set(aging.DEFINITIONS):
        engine.command(f"DROP TABLE IF EXISTS {DATABASE}.{_NEXT} SYNC")
        engine.command(made(_NEXT))
        own = aging.lengths(tiers, "tenant", "metric")
        row = aging.ages(own["hot"], own["retention"], "time", now)
        engine.command(
            f"INSERT INTO {DATABASE}.{_NEXT} ({', '.join([*names, *row])})"
            f" SELECT {', '.join([*names, *row.values()])} FROM {DATABASE}.metrics",
            {"max_partitions_per_insert_block": 0, "max_insert_threads": 1, "max_query_size": 2**30},
        )
        engine.sync_folders()
        engine.command(f"EXCHANGE TABLES {DATABASE}.metrics AND {DATABASE}.{_NEXT}")
    engine.command(f"DROP TABLE IF EXISTS {DATABASE}.{_NEXT} SYNC")


def _columns(engine: Engine) -> list[str]:
    rows = engine.rows(
        "SELECT name FROM system.columns WHERE database = {database:String} AND table = 'metrics' ORDER BY position",
        {"database": DATABASE},
    )
    return [name for (name,) in rows]
