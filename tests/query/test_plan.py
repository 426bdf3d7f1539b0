"""
A question is planned against what the tenant has, and the engine's rows are put into the answer as it was asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from metriclake._errors import InvalidQuestion
from metriclake.query import plan, read
from metriclake.query.periods import MAX_POINTS
from metriclake.query.plan import Column, Plan, arrange
from metriclake.store import Aggregate, Answer, Condition, Dimension, Measure, Metric, Operator

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
    return plan(read({"metric": "uploads", "range": {"last": "1d"}, **parts}), METRICS, UNITS, NOW)


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
        ({"filters": [{"dimension": "item", "gt": 1}]}, [("filters[0]", "did you mean `items`?")]),
        ({"filters": [{"measure": "severities", "gt": 1}]}, [("filters[0]", "see GET /v1/catalog")]),
        ({"filters": [{"measure": "item", "exists": True}]}, [("filters[0]", "did you mean `items`?")]),
        ({"measure": "severities", "aggregate": "unique"}, [("measure", "did you mean `severity`?")]),
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


def test_names_are_said_together_with_what_is_wrong_in_the_shape() -> None:
    """
    Neither kind of fault hides the other.
    """
    found = faults(range={"last": "x"}, interval="dai", fill=1, measure="sice", group_by=["kinds"], filters=[{}])
    unheard = faults(metric="upload", interval="dai", measure="anything")

    assert sorted(place for place, _ in found) == [
        "fill",
        "filters[0]",
        "group_by",
        "interval",
        "measure",
        "range.last",
    ]
    assert unheard == [("interval", "did you mean `day`?"), ("metric", "did you mean `uploads`?")]


def test_too_many_intervals_are_said_with_the_rest() -> None:
    """
    A range that is cut too fine is one fault among the others.
    """
    found = faults(range={"last": "3660d"}, interval="minute", measure="sice")

    assert [place for place, _ in found] == ["measure", "interval"]


def test_a_strange_name_is_not_repeated() -> None:
    """
    What is not printable, or very long, does not come back in an error.
    """
    for name in ("\x1b[31m", "x" * 61):
        with pytest.raises(InvalidQuestion) as raised:
            planned(metric=name)
        assert name not in str(raised.value)


@pytest.mark.parametrize(
    ("parts", "place"),
    [
        ({"measure": "note", "aggregate": "sum"}, "aggregate"),
        ({"measure": "note", "aggregate": "last"}, "aggregate"),
        ({"measure": "kind", "aggregate": "max"}, "aggregate"),
        ({"measure": "tenant_plan", "aggregate": "rate"}, "aggregate"),
        ({"filters": [{"measure": "note", "gt": 1}]}, "filters[0]"),
        ({"filters": [{"dimension": "size", "in": ["1"]}]}, "filters[0]"),
        ({"filters": [{"dimension": "size", "prefix": "1"}]}, "filters[0]"),
    ],
)
def test_what_is_not_of_numbers_or_text_is_refused(parts: dict[str, Any], place: str) -> None:
    """
    A measure of text and a dimension have no sum; a measure has no prefix and is in no list.
    """
    assert [found for found, _ in faults(**parts)] == [place]


@pytest.mark.parametrize("aggregate", ["count", "unique"])
def test_anything_can_be_counted(aggregate: str) -> None:
    """
    Texts and dimensions are counted, and told apart, as numbers are.
    """
    assert planned(measure="note", aggregate=aggregate).selection.value == Measure("note", ("string",))
    assert planned(measure="kind", aggregate=aggregate).selection.value == Dimension("kind")
    assert planned(measure="tenant_plan", aggregate=aggregate).selection.value == Dimension("tenant_plan")


def test_filters_find_what_they_are_put_to() -> None:
    """
    A name is a dimension where there is one of that name; bounds and `exists` may be put to a measure.
    """
    asked = [
        {"dimension": "kind", "prefix": "x"},
        {"dimension": "tenant_plan", "gt": 1},
        {"dimension": "items", "lt": 2, "gt": 0},
        {"measure": "note", "exists": True},
    ]

    assert planned(filters=asked).selection.conditions == (
        Condition(Dimension("kind"), Operator.PREFIX, "x"),
        Condition(Dimension("tenant_plan"), Operator.GT, 1),
        Condition(Measure("items", ("integer",)), Operator.GT, 0),
        Condition(Measure("items", ("integer",)), Operator.LT, 2),
        Condition(Measure("note", ("string",)), Operator.EXISTS, operand=True),
    )


@pytest.mark.parametrize(
    ("measure", "aggregate", "column"),
    [
        ("size", "sum", Column("value", "double", "bytes")),
        ("items", "sum", Column("value", "integer")),
        ("items", "last", Column("value", "integer")),
        ("items", "avg", Column("value", "double")),
        ("items", "p50", Column("value", "double")),
        ("size", "p99", Column("value", "double", "bytes")),
        ("both", "max", Column("value", "double")),
        ("mixed", "sum", Column("value", "double")),
        ("mixed", "count", Column("value", "integer")),
        ("size", "count", Column("value", "integer")),
        ("size", "unique", Column("value", "integer")),
        ("kind", "unique", Column("value", "integer")),
        ("size", "rate", Column("value", "double", "bytes/s")),
        ("items", "rate", Column("value", "double")),
        (None, "rate", Column("value", "double", "1/s")),
    ],
)
def test_the_value_has_its_type_and_unit(measure: str | None, aggregate: str, column: Column) -> None:
    """
    The value is whole where only whole numbers can come of it; a count has no unit, a rate one by the second.
    """
    assert planned(measure=measure, aggregate=aggregate).columns == (column,)


def test_the_store_knows_a_rate_as_a_count_or_a_sum() -> None:
    """
    What is divided by the seconds of an interval is added up first.
    """
    assert planned(aggregate="rate").selection.aggregate is Aggregate.COUNT
    assert planned(aggregate="rate", measure="size").selection.aggregate is Aggregate.SUM


def test_a_rate_is_by_the_seconds_that_lie_in_the_range() -> None:
    """
    The first and the last interval may be cut by the range, and a day may have 23 hours.
    """
    asked = {"from": "2026-03-28T05:00:00Z", "to": "2026-03-30T12:00:00Z"}
    starts = [datetime(2026, 3, 27, 23, tzinfo=UTC), datetime(2026, 3, 28, 23, tzinfo=UTC)]
    starts.append(datetime(2026, 3, 29, 22, tzinfo=UTC))

    found = arranged([(start, 36000) for start in starts], range=asked, interval="day", timezone="Europe/Berlin",
                     aggregate="rate")  # fmt: skip
    whole = arranged([(55 * 3600,)], range=asked, aggregate="rate")
    none = arranged([(None,)], range=asked, aggregate="rate", measure="size")

    assert [row[-1] for row in found] == [36000 / (18 * 3600), 36000 / (23 * 3600), 36000 / (14 * 3600)]
    assert whole == [[1.0]]
    assert none == [[None]]


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
    assert found == [
        [time, *group, value]
        for time, values in zip(times, ((1, 0), (0, 2), (0, 0)), strict=True)
        for group, value in zip((("a", None), ("b", "x")), values, strict=True)
    ]


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
