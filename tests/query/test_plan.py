"""
A question is planned against what the tenant has, and the engine's rows are put into the answer as it was asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from metriclake._errors import InvalidQuestion
from metriclake.query import parse, plan
from metriclake.query.plan import MAX_POINTS, Column, Plan, arrange
from metriclake.store import Answer, Metric

NOW = datetime(2026, 7, 1, 12, 34, 56, tzinfo=UTC)
METRICS = {
    "uploads": Metric(
        "uploads",
        NOW - timedelta(days=90),
        NOW,
        dimensions=("kind", "severity"),
        attributes=("tenant_plan",),
        measures={
            "size": ("double",),
            "items": ("integer",),
            "both": ("double", "integer"),
            "note": ("string",),
            "mixed": ("boolean", "double", "string"),
        },
    ),
    "scans": Metric("scans", NOW, NOW),
}
UNITS = {("uploads", "size"): "bytes"}
DAYS = {"from": "2026-06-01T00:00:00Z", "to": "2026-06-04T00:00:00Z"}


def planned(**parts: Any) -> Plan:
    """
    Plan a question over the last day, counting uploads unless told otherwise.
    """
    return plan(parse({"metric": "uploads", "range": {"last": "1d"}, **parts}), METRICS, UNITS, NOW)


def faults(**parts: Any) -> list[tuple[str, str]]:
    """
    Return the place and hint of each fault of a question.
    """
    with pytest.raises(InvalidQuestion) as raised:
        planned(**parts)
    return [(fault.place, fault.hint) for fault in raised.value.faults]


def arranged(rows: Sequence[tuple[Any, ...]], **parts: Any) -> list[list[Any]]:
    """
    Put the engine's rows into the answer of a question.
    """
    return arrange(planned(**parts), Answer(rows))


def day(number: int) -> datetime:
    """
    Return a day of June 2026.
    """
    return datetime(2026, 6, number, tzinfo=UTC)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"metric": "upload"}, [("metric", "did you mean `uploads`?")]),
        ({"metric": "zzz"}, [("metric", "see GET /v1/catalog")]),
        ({"measure": "sice"}, [("measure", "did you mean `size`?")]),
        ({"group_by": ["kinds"]}, [("group_by", "did you mean `kind`?")]),
        ({"group_by": ["tenant_plans"]}, [("group_by", "did you mean `tenant_plan`?")]),
        ({"filters": [{"dimension": "severities", "equals": "x"}]}, [("filters[0]", "did you mean `severity`?")]),
    ],
)
def test_an_unknown_name_gets_the_nearest(parts: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    """
    A name that the tenant does not have is a fault, with the nearest one that it has.
    """
    assert faults(**parts) == expected


def test_all_unknown_names_are_said_at_once() -> None:
    """
    Every name that is not there is named, each at its place.
    """
    found = faults(
        measure="none",
        group_by=["kind", "no"],
        filters=[{"dimension": "kind", "equals": "x"}, {"dimension": "never", "equals": "x"}],
    )

    assert sorted(place for place, _ in found) == ["filters[1]", "group_by", "measure"]


def test_a_strange_name_is_not_repeated() -> None:
    """
    What is not printable, or very long, does not come back in an error.
    """
    for name in ("\x1b[31m", "x" * 61):
        with pytest.raises(InvalidQuestion) as raised:
            planned(metric=name)
        assert name not in str(raised.value)


def test_an_aggregate_of_text_is_refused_and_a_count_is_not() -> None:
    """
    A measure that came as text or boolean alone can be counted and nothing else.
    """
    assert faults(measure="note", aggregate="sum") == [("aggregate", "ask count")]
    assert planned(measure="note", aggregate="count").selection.types == ("string",)


@pytest.mark.parametrize(
    ("measure", "aggregate", "types", "column"),
    [
        ("size", "sum", ("double",), Column("value", "double", "bytes")),
        ("items", "sum", ("integer",), Column("value", "integer")),
        ("items", "avg", ("integer",), Column("value", "double")),
        ("both", "max", ("double", "integer"), Column("value", "double")),
        ("mixed", "sum", ("double",), Column("value", "double")),
        ("mixed", "count", ("boolean", "double", "string"), Column("value", "integer")),
        ("size", "count", ("double",), Column("value", "integer")),
    ],
)
def test_the_value_has_its_type_and_unit(measure: str, aggregate: str, types: tuple[str, ...], column: Column) -> None:
    """
    The value is whole where only whole numbers can come of it; a count has no unit.
    """
    made = planned(measure=measure, aggregate=aggregate)

    assert made.selection.types == types
    assert made.columns == (column,)


def test_the_columns_are_time_dimensions_value() -> None:
    """
    An answer's columns stand in the order of the contract.
    """
    made = planned(interval="day", group_by=["severity", "tenant_plan"])

    assert [(column.name, column.type) for column in made.columns] == [
        ("time", "time"),
        ("severity", "string"),
        ("tenant_plan", "string"),
        ("value", "integer"),
    ]


def test_last_reaches_back_to_the_start_of_an_interval() -> None:
    """
    With intervals the first one is whole; without, the range is to the second.
    """
    whole = planned(range={"last": "7d"}, interval="day", timezone="Asia/Kathmandu").selection
    exact = planned(range={"last": "7d"}).selection

    assert (whole.start, whole.end) == (datetime(2026, 6, 23, 18, 15, tzinfo=UTC), NOW)
    assert (exact.start, exact.end) == (NOW - timedelta(days=7), NOW)


def test_a_range_is_put_into_utc() -> None:
    """
    A range with offsets is the same moments in UTC.
    """
    asked = {"from": "2026-06-01T00:00:00+05:45", "to": "2026-06-02T00:00:00-03:00"}
    selection = planned(range=asked).selection

    assert selection.start.isoformat() == "2026-05-31T18:15:00+00:00"
    assert selection.end.isoformat() == "2026-06-02T03:00:00+00:00"


def test_too_many_intervals_are_refused() -> None:
    """
    A range that an interval cuts into more pieces than an answer may have is refused before it is asked.
    """
    assert [place for place, _ in faults(range={"last": "3660d"}, interval="minute")] == ["interval"]


ROWS = ((day(1), 5), (day(3), 7))


@pytest.mark.parametrize(
    ("fill", "values"), [("none", {1: 5, 3: 7}), ("zero", {1: 5, 2: 0, 3: 7}), ("null", {1: 5, 2: None, 3: 7})]
)
def test_gaps_are_filled_as_asked(fill: str, values: dict[int, int | None]) -> None:
    """
    An interval without events has no row, a zero or a null.
    """
    found = arranged(ROWS, range=DAYS, interval="day", fill=fill)

    assert found == [[f"2026-06-0{number}T00:00:00Z", value] for number, value in values.items()]


def test_gaps_are_filled_for_every_group() -> None:
    """
    Each group that has a row anywhere has one in every interval, and absent dimensions are null.
    """
    rows = [(day(1), "a", "", 1), (day(2), "b", "x", 2)]

    found = arranged(rows, range=DAYS, interval="day", group_by=["kind", "severity"], fill="zero")

    times = [f"2026-06-0{number}T00:00:00Z" for number in (1, 2, 3)]
    assert sorted(found, key=str) == sorted(
        [
            [time, *group, value]
            for group, values in ((("a", None), (1, 0, 0)), (("b", "x"), (0, 2, 0)))
            for time, value in zip(times, values, strict=True)
        ],
        key=str,
    )
    assert [row[0] for row in found] == sorted(row[0] for row in found)


def test_no_row_at_all_is_filled_where_there_are_no_groups() -> None:
    """
    An answer over nothing is a row of zeros for each interval, or nothing where groups were asked.
    """
    assert [row[-1] for row in arranged([], range=DAYS, interval="day", fill="zero")] == [0, 0, 0]
    assert arranged([], range=DAYS, interval="day", fill="zero", group_by=["kind"]) == []


def test_without_an_interval_nothing_is_filled() -> None:
    """
    An answer without intervals is the engine's rows, whatever fill says.
    """
    assert arranged([(None,)], measure="size", aggregate="sum", fill="zero") == [[None]]
    assert arranged([("", 3), ("a", 4)], group_by=["kind"], fill="zero") == [[None, 3], ["a", 4]]


def test_filling_has_a_bound() -> None:
    """
    More rows than an answer may have are refused with what to do, also where intervals alone are not too many.
    """
    rows = [(day(1), str(index), 1) for index in range(50)]

    with pytest.raises(InvalidQuestion) as raised:
        arranged(rows, range={"last": "1500h"}, interval="minute", group_by=["kind"], fill="zero")

    assert [fault.place for fault in raised.value.faults] == ["fill"]
    assert str(MAX_POINTS) in str(raised.value)


def test_times_are_rfc_3339_in_utc() -> None:
    """
    The start of an interval is the moment in UTC, whatever zone it was asked in.
    """
    rows = [(datetime(2026, 6, 1, tzinfo=UTC) - timedelta(hours=2), 1)]

    found = arranged(rows, range=DAYS, interval="day", timezone="Europe/Berlin")

    assert found == [["2026-05-31T22:00:00Z", 1]]
