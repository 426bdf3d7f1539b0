"""
Events for rollups, and what a rollup of them says, worked out in plain Python.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from metriclake.event import Measure, MetricEvent
from metriclake.store.rollups.table import Grain
from store.shelf import Shelf, event

START = datetime(2026, 1, 25, tzinfo=UTC)
DAYS = 10
"""Ten days, across the end of a month."""

TENANTS = ("acme", "globex")
INTEGERS = ["items"]
DIMENSIONS = ("kind", "region", "tenant_plan")

Rollup = dict[tuple[Any, ...], tuple[Any, ...]]
"""Tenant, bucket, dimensions, measure and its type; to how many, their sum, least, most and last."""


def drawn(chance: random.Random, event_id: str, metric: str) -> MetricEvent:
    """
    Return an event somewhere in the ten days, near a few moments more often than elsewhere.

    Sums of its measures are exact in whatever order they are added up.
    """
    moment = START + timedelta(hours=chance.choice((0, 3, 100, 167, 168)), seconds=chance.randrange(1800))
    if chance.random() < 0.5:
        moment = START + timedelta(seconds=chance.randrange(DAYS * 86_400), microseconds=chance.randrange(1_000_000))
    dimensions = {"kind": chance.choice("ab"), "tenant_plan": chance.choice(("free", "paid"))}
    if chance.random() < 0.7:
        dimensions["region"] = chance.choice(("eu", "us"))
    size, items = chance.choice((-1.5, 0.25, 3.0, 1e6)), chance.randrange(-3, 9)
    measures: dict[str, float | str] = {"size": size, "items": items, "both": chance.randrange(4), "note": "text"}
    kept: dict[str, Measure] = {name: value for name, value in measures.items() if chance.random() < 0.8}
    tenant = chance.choice(TENANTS)
    return event(tenant, event_id, metric=metric, time=moment, dimensions=dimensions, more=kept)


def moment_of(one: MetricEvent) -> datetime:
    """
    Return an event's time.
    """
    return datetime.fromisoformat(str(one.data["event_time"]))


def plain_rollup(events: Iterable[MetricEvent], dimensions: Sequence[str], grain: Grain = Grain.QUARTER) -> Rollup:
    """
    Return what a rollup says of events that all count.
    """
    found: dict[tuple[Any, ...], list[tuple[datetime, str, Any]]] = defaultdict(list)
    for one in events:
        moment, tenant, event_id = moment_of(one), one.metadata["tenant_id"], one.metadata["event_id"]
        key = (tenant, moment - (moment - START) % grain.length, *(one.metadata.get(name, "") for name in dimensions))
        found[(*key, "", "")].append((moment, event_id, 0))
        for name, value in one.data.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                kind = "integer" if name in INTEGERS else "double"
                found[(*key, name, kind)].append((moment, event_id, value))
    return {key: _totals(items) for key, items in found.items()}


def _totals(items: list[tuple[datetime, str, Any]]) -> tuple[Any, ...]:
    values = [value for _, _, value in items]
    return (len(values), sum(values), min(values), max(values), max(items)[2])


def stored_rollup(shelf: Shelf, metric: str, dimensions: Sequence[str], grain: Grain = Grain.QUARTER) -> Rollup:
    """
    Return what the store's rollup says, each key once.
    """
    (one,) = (one for one in shelf.sets.of(metric) if (one.dimensions, one.grain) == (tuple(dimensions), grain))
    names = "".join(f", d{index}" for index in range(len(dimensions)))
    sides = (("whole", "total"), ("whole_least", "least"), ("whole_most", "most"), ("whole_last", "last"))
    values = ", ".join(f"if(kind = 'integer', toFloat64({whole}), {double})" for whole, double in sides)
    rows = shelf.engine.rows(
        f"SELECT tenant, start{names}, measure, kind, rows, {values} FROM metriclake.rollups FINAL WHERE set = {one.id}"  # noqa: S608 - names of the tests' own
    )
    split = 4 + len(dimensions)
    found = {tuple(row[:split]): tuple(row[split:]) for row in rows}
    assert len(found) == len(rows)
    return found
