"""
Metric events and questions as they come: duplicates, conflicts, late rows, drifted types, clocks that are switched.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice
from typing import Any

from metriclake.event import MetricEvent
from store.shelf import Shelf, event

METRIC = "drawn"
START = datetime(2024, 6, 1, tzinfo=UTC)
END = datetime(2026, 6, 1, tzinfo=UTC)
SWITCHES = (
    datetime(2025, 3, 9, 7, tzinfo=UTC),  # America/New_York
    datetime(2025, 3, 30, 1, tzinfo=UTC),  # Europe/Berlin
    datetime(2025, 4, 5, 15, tzinfo=UTC),  # Australia/Lord_Howe
    datetime(2025, 4, 24, 22, tzinfo=UTC),  # Africa/Cairo, at midnight
    datetime(2025, 10, 4, 15, 30, tzinfo=UTC),  # Australia/Lord_Howe
    datetime(2025, 10, 26, 1, tzinfo=UTC),  # Europe/Berlin
    datetime(2025, 10, 30, 21, tzinfo=UTC),  # Africa/Cairo, at midnight
    datetime(2025, 11, 2, 6, tzinfo=UTC),  # America/New_York
)
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Africa/Cairo",
    "Australia/Lord_Howe",
)
WIDTHS = {
    "none": timedelta(days=700),
    "minute": timedelta(hours=2),
    "5m": timedelta(hours=12),
    "hour": timedelta(days=3),
    "day": timedelta(days=50),
    "week": timedelta(days=200),
    "month": timedelta(days=700),
    "quarter": timedelta(days=700),
    "year": timedelta(days=700),
}
"""How long a range may be, so that plain Python is done in time."""

CODES = ("200", "404", "500", "-1.5", "1e3", "5.", "+7", " 8", "inf", "nan", "1e999", "0x10", "none", "")
DIMENSIONS = ("kind", "region", "code", "tenant_plan")
BOUNDS = (-1.5, 0, 0.25, 1, 1.5, 3, 200, 404.0, 1000)
VALUES = ("a", "b", "c", "eu-1", "us-1", "other", "free", "200", "", "'")


Question = tuple[dict[str, Any], datetime]
"""A question as JSON has it, and the moment at which it is asked."""


@dataclass(frozen=True)
class Drawn:
    """
    A tenant and the events of it that count.
    """

    tenant: str
    events: tuple[MetricEvent, ...]


@dataclass(frozen=True)
class Object:
    """
    A lake object: its events, the measures that are declared integers, and who has what once it is loaded.
    """

    events: list[MetricEvent]
    integers: list[str]
    after: list[Drawn]

    def load(self, shelf: Shelf) -> None:
        """
        Load it.
        """
        shelf.load(*self.events, integers={METRIC: self.integers})


def objects(tenants: int) -> list[Object]:
    """
    Draw the events of several tenants in a few objects: some twice, some again with other fields, some late.
    """
    found = [Object([], ["items", *(["grown"] if index else [])], []) for index in range(3)]
    for number in range(tenants):
        chance = random.Random(number)  # noqa: S311 - test data
        made = [_event(chance, f"tenant-{number}", index) for index in range(400)]
        for one, (start, end) in zip(found, ((0, 200), (200, 300), (300, 400)), strict=True):
            again = made[:200] if start else []
            one.events.extend(made[start:end])
            one.events.extend(chance.sample(again, len(again) // 10))
            one.events.extend(_another(chance, other) for other in chance.sample(again, len(again) // 10))
            one.after.append(Drawn(f"tenant-{number}", tuple(made[:end])))
    return found


def load(shelf: Shelf, tenants: int) -> list[Drawn]:
    """
    Load the events of several tenants.
    """
    drawn = objects(tenants)
    for one in drawn:
        one.load(shelf)
    return drawn[-1].after


def _event(chance: random.Random, tenant: str, number: int) -> MetricEvent:
    span = (END - START) // timedelta(seconds=1)
    near = chance.choice(SWITCHES) + timedelta(seconds=chance.randrange(-100_000, 100_000))
    moment = near if chance.random() < 0.6 else START + timedelta(seconds=chance.randrange(span))
    dimensions = {"kind": chance.choice("aabbbcd"), "tenant_plan": chance.choice(("free", "paid"))}
    if chance.random() < 0.7:
        dimensions["region"] = chance.choice(("eu-1", "eu-2", "us-1", "other", "'"))
    if chance.random() < 0.8:
        dimensions["code"] = chance.choice(CODES)
    return event(tenant, f"{number}", metric=METRIC, time=moment, dimensions=dimensions, more=_measures(chance, number))


def _measures(chance: random.Random, number: int) -> dict[str, Any]:
    """
    Return measures: of doubles, of integers, of a number that is declared an integer later, and one of every type.
    """
    offered: dict[str, Any] = {
        "size": chance.choice((-1.5, -0.0, 0.0, 0.25, 3.0, 1e6)),
        "items": chance.randrange(-3, 9),
        "grown": chance.randrange(5) if number >= 200 else float(chance.randrange(5)),
        "mixed": chance.choice((0.0, 1.5, 2.0, "1.5", "high", "", True, False)),
        "total": float(chance.randrange(4)),
    }
    return {name: value for name, value in offered.items() if chance.random() < 0.8}


def _another(chance: random.Random, one: MetricEvent) -> MetricEvent:
    """
    Return an event of the same identity that says something else.
    """
    return MetricEvent(one.metric_name, one.metadata, {**one.data, "size": 4.5 + chance.randrange(9)})


FILTERS: tuple[dict[str, Any], ...] = (
    {"dimension": "kind", "equals": "b"},
    {"dimension": "region", "equals": ""},
    {"dimension": "region", "prefix": "eu"},
    {"dimension": "region", "prefix": ""},
    {"dimension": "region", "exists": True},
    {"dimension": "region", "exists": False},
    {"measure": "mixed", "exists": True},
    {"measure": "size", "exists": False},
    {"dimension": "size", "exists": True},
)
MEASURES = ("size", "items", "grown", "mixed", "total")
AGGREGATES = ("sum", "avg", "min", "max", "last", "p50", "p90", "p95", "p99", "rate")
FORMULAS = (
    "size / total",
    "100 * (items - 1) / (items + grown)",
    "size + mixed * 2",
    "- items / -total - .5e0",
    "size / (items / total) - items - grown",
)
SUBJECTS: tuple[dict[str, str], ...] = (
    {"aggregate": "count"},
    {"aggregate": "rate"},
    {},
    *({"aggregate": aggregate, "measure": measure} for measure in MEASURES for aggregate in AGGREGATES),
    *(
        {"aggregate": aggregate, "measure": name}
        for name in (*MEASURES, *DIMENSIONS)
        for aggregate in ("count", "unique")
    ),
    *(
        {"aggregate": aggregate, "measure": formula}
        for formula in FORMULAS
        for aggregate in ("sum", "avg", "max", "last", "p90", "rate", "count", "unique")
    ),
)
"""What is asked about: aggregates and measures that go together."""


def drawn_questions(number: int) -> Iterator[Question]:
    """
    Draw so many questions, of each subject and interval in turn: the same ones in every run.
    """
    chance = random.Random(number)  # noqa: S311 - test data
    for subject, interval in islice(zip(cycle(SUBJECTS), cycle(WIDTHS), strict=False), number):
        asked, now = _range(chance, interval)
        groups = chance.sample(DIMENSIONS, chance.choice((0, 0, 1, 1, 2, 3)))
        few = groups == [] or interval not in ("minute", "5m", "hour")
        question = {
            "metric": METRIC,
            **subject,
            "range": asked,
            "interval": interval,
            "timezone": chance.choice(ZONES),
            "group_by": groups,
            "filters": [_filter(chance) for _ in range(chance.choice((0, 0, 1, 2)))],
            "fill": chance.choice(("none", "zero", "null")) if few else "none",
            **({"compare": "previous_period"} if chance.random() < 0.4 else {}),
            **({"limit": chance.randrange(1, 5)} if groups and chance.random() < 0.6 else {}),
        }
        yield question, now


def _range(chance: random.Random, interval: str) -> tuple[dict[str, str], datetime]:
    """
    Draw a range, around a switch of clocks or anywhere, and the moment at which it is asked.
    """
    end = chance.choice((*SWITCHES, *SWITCHES, END)) + timedelta(minutes=chance.randrange(-1500, 1500))
    width = timedelta(minutes=chance.randrange(1, WIDTHS[interval] // timedelta(minutes=1)))
    if chance.random() < 0.3:
        days = width // timedelta(days=1)
        return {"last": f"{days}d" if days else f"{width // timedelta(minutes=1)}m"}, end
    start, end = end - width - timedelta(seconds=chance.randrange(60)), end + timedelta(seconds=chance.randrange(60))
    return {"from": start.isoformat(), "to": end.isoformat()}, END


def _filter(chance: random.Random) -> dict[str, Any]:
    kind = chance.randrange(4)
    if kind == 0:
        values = chance.sample(VALUES, chance.randrange(1, 5))
        return {"dimension": chance.choice(DIMENSIONS), chance.choice(("in", "not_in")): values}
    if kind == 1:
        name, bound = chance.choice(("code", "size", "items", "grown", "mixed")), chance.choice(BOUNDS)
        return {"dimension": name, chance.choice(("gt", "gte", "lt", "lte")): bound}
    if kind == 2:
        low, high = sorted(chance.sample(BOUNDS, 2))
        return {
            "measure": chance.choice(MEASURES),
            chance.choice(("gt", "gte")): low,
            chance.choice(("lt", "lte")): high,
        }
    return chance.choice(FILTERS)
