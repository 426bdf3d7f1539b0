"""
Which selections a rollup may answer, and for which time: what differs from the rows is left to the rows.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from metriclake.store import Aggregate, Bucket, Condition, Dimension, Measure, Operator, Selection
from metriclake.store.rollups.cover import cover
from metriclake.store.rollups.sets import Part, Rollup
from metriclake.store.rollups.table import Grain

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
START = datetime(2026, 3, 1, tzinfo=UTC)
END = datetime(2026, 6, 1, tzinfo=UTC)
PART = Part(through=5, rows_a_day=1000.0, groups_a_day=100.0)
ROLLUPS = (
    Rollup(1, ("kind", "region", "tenant_plan"), Grain.QUARTER, PART),
    Rollup(2, ("kind",), Grain.QUARTER, replace(PART, groups_a_day=20.0)),
    Rollup(3, (), Grain.QUARTER, replace(PART, groups_a_day=10.0)),
)
SIZE = Measure("size", ("double",))


def asked(**parts: Any) -> Selection:
    """
    Return a selection over three months, counting unless told otherwise.
    """
    return Selection(**{"metric": "uploads", "aggregate": Aggregate.COUNT, "start": START, "end": END, **parts})


def on(name: str, operator: Operator = Operator.IN, operand: Any = ("a",)) -> dict[str, Any]:
    """
    Return the filter on a dimension.
    """
    return {"conditions": (Condition(Dimension(name), operator, operand),)}


@pytest.mark.parametrize(
    ("parts", "chosen"),
    [
        ({}, 3),
        ({"group_by": ("kind",)}, 2),
        ({"group_by": ("region", "kind")}, 1),
        ({"group_by": ("tenant_plan",)}, 1),
        (on("kind"), 2),
        (on("region", Operator.NOT_IN), 1),
        (on("region", Operator.PREFIX, "e"), 1),
        (on("region", Operator.EXISTS, operand=True), 1),
        (on("region", Operator.GTE, 5.0), 1),
        ({"value": SIZE}, 3),
        ({"value": Dimension("region")}, 1),
        ({"value": Dimension("kind"), "aggregate": Aggregate.UNIQUE}, 2),
        *(({"value": SIZE, "aggregate": name}, 3) for name in ("sum", "avg", "min", "max", "last")),
        ({"value": Measure("size", ("double", "string")), "aggregate": Aggregate.SUM}, 3),
        *(({"bucket": bucket}, 3) for bucket in Bucket if bucket not in ("minute", "5m")),
    ],
)
def test_the_smallest_set_that_knows_enough_is_read(parts: dict[str, Any], chosen: int) -> None:
    """
    What can be made of a set's dimensions and totals is made of the built set that has the fewest dimensions.
    """
    found = cover(asked(**parts), ROLLUPS, LONG_AGO, 0)

    assert found is not None
    assert found.rollup.id == chosen
    assert found.kept == ((START, END),)


@pytest.mark.parametrize(
    "parts",
    [
        {"group_by": ("code",)},
        {"group_by": ("kind", "size_class")},
        on("code"),
        {"conditions": (Condition(SIZE, Operator.GT, 1.0),)},
        {"conditions": (Condition(SIZE, Operator.EXISTS, operand=True),)},
        {"value": Dimension("code")},
        {"value": SIZE, "aggregate": Aggregate.UNIQUE},
        {"value": Measure("size", ("double", "string")), "aggregate": Aggregate.COUNT},
        {"value": Measure("size", ("boolean",)), "aggregate": Aggregate.COUNT},
        *({"value": SIZE, "aggregate": name} for name in ("p50", "p90", "p95", "p99")),
        {"bucket": Bucket.MINUTE},
        {"bucket": Bucket.FIVE_MINUTES},
    ],
)
def test_what_a_rollup_cannot_tell_is_read_from_the_rows(parts: dict[str, Any]) -> None:
    """
    Other dimensions, filters on measures, percentiles and short intervals are the rows' own.
    """
    assert cover(asked(**parts), ROLLUPS, LONG_AGO, 0) is None


@pytest.mark.parametrize(
    ("zone", "year", "rolled"),
    [
        ("UTC", 1971, True),
        ("Europe/Berlin", 2026, True),
        ("Asia/Kathmandu", 2026, True),
        ("Australia/Eucla", 2026, True),
        ("Australia/Lord_Howe", 2026, True),
        ("Pacific/Chatham", 2026, True),
        ("Africa/Monrovia", 1971, False),
        ("Africa/Monrovia", 1973, True),
        ("Pacific/Kiritimati", 1978, False),
        ("Pacific/Kiritimati", 1980, True),
        ("America/St_Johns", 2010, False),
        ("America/St_Johns", 2012, True),
    ],
)
def test_clocks_that_are_not_on_a_quarter_of_an_hour_are_the_rows(zone: str, year: int, *, rolled: bool) -> None:
    """
    Where a zone's offset is no whole quarter of an hour, or its clocks are switched within one, no rollup is read.

    Newfoundland switched its clocks at one minute past midnight until 2011.
    """
    year_long = {"start": datetime(year, 2, 1, tzinfo=UTC), "end": datetime(year, 12, 1, tzinfo=UTC)}
    for bucket in (Bucket.HOUR, Bucket.DAY, Bucket.MONTH):
        assert (cover(asked(bucket=bucket, zone=zone, **year_long), ROLLUPS, LONG_AGO, 0) is not None) == rolled
    assert cover(asked(zone=zone, **year_long), ROLLUPS, LONG_AGO, 0) is not None


def test_only_whole_quarters_that_are_all_there_are_read() -> None:
    """
    The ends of a range are cut to quarters of an hour, and so is what is older than the rows that are all kept.
    """
    minute = timedelta(minutes=1)
    ragged = asked(start=START + minute, end=END + minute)
    kept = datetime(2026, 5, 1, 12, 20, 0, 1, tzinfo=UTC)

    whole, young = cover(ragged, ROLLUPS, LONG_AGO, 0), cover(ragged, ROLLUPS, kept, 0)

    assert whole is not None
    assert young is not None
    assert whole.kept == ((START + 15 * minute, END),)
    assert young.kept == ((kept.replace(minute=30, microsecond=0), END),)
    assert cover(ragged, ROLLUPS, END, 0) is None


def test_each_period_has_its_own_stretch() -> None:
    """
    Of a comparison both periods are read from the rollup, unless one of them is too old.
    """
    before = (START - (END - START), START)

    both, one = (cover(asked(before=before), ROLLUPS, since, 0) for since in (LONG_AGO, START - timedelta(minutes=1)))

    assert both is not None
    assert one is not None
    assert both.kept == ((START, END), before)
    assert one.kept == ((START, END),)


@pytest.mark.parametrize(
    ("days", "group_by", "least", "chosen"),
    [
        (90, (), 50_000, 3),
        (90, ("region",), 50_000, 1),
        (90, ("region",), 80_000, 1),
        (40, (), 50_000, None),
        (90, (), 100_000, None),
        (90, ("region",), 0, 1),
        (1, (), 0, 3),
    ],
)
def test_a_rollup_is_read_where_the_rows_would_be_many_more(
    days: int, group_by: tuple[str, ...], least: int, chosen: int | None
) -> None:
    """
    Of so many days of a thousand rows and a hundred groups the rows are read where that is as fast.
    """
    selection = asked(group_by=group_by, end=START + timedelta(days=days))

    found = cover(selection, ROLLUPS, LONG_AGO, least)

    assert (found and found.rollup.id) == chosen


def test_many_groups_are_not_worth_it() -> None:
    """
    A rollup with half as many groups as there are rows is not read.
    """
    dense = Rollup(1, (), Grain.QUARTER, replace(PART, groups_a_day=500.0))

    assert cover(asked(), (dense,), LONG_AGO, 1000) is None
