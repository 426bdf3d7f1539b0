"""
A question is planned against what the tenant has.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from metriclake._errors import InvalidQuestion
from metriclake.query.plan import Column
from metriclake.store import Aggregate, Condition, Constant, Dimension, Measure, Operation, Operator
from query.uploads import NOW, planned


def faults(**parts: Any) -> list[tuple[str, str]]:
    """
    Return the place and hint of each fault of a question.
    """
    with pytest.raises(InvalidQuestion) as raised:
        planned(**parts)
    return [(fault.place, fault.hint) for fault in raised.value.faults]


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


def test_a_formula_finds_its_measures() -> None:
    """
    Each name of a formula is a measure with its types; the result is a double.
    """
    made = planned(measure="100 * size / (items + both)", aggregate="sum")

    items, both = Measure("items", ("integer",)), Measure("both", ("double", "integer"))
    above = Operation("*", Constant(100.0), Measure("size", ("double",)))
    assert made.selection.value == Operation("/", above, Operation("+", items, both))
    assert made.columns == (Column("value", "double"),)
    assert planned(measure="items + items", aggregate="count").columns == (Column("value", "integer"),)


@pytest.mark.parametrize(
    ("measure", "unit"),
    [("size + size", "bytes"), ("size - (size + size)", "bytes"), ("size / size", None), ("size + items", None)],
)
def test_a_formula_has_a_unit_where_all_of_it_has(measure: str, unit: str | None) -> None:
    """
    What is added and subtracted keeps its unit; what is divided or mixed has none.
    """
    assert planned(measure=measure, aggregate="sum").columns == (Column("value", "double", unit),)
    assert planned(measure=measure, aggregate="rate").columns == (Column("value", "double", unit and f"{unit}/s"),)


@pytest.mark.parametrize(
    ("measure", "hints"),
    [
        ("sice / item", ["did you mean `size`?", "did you mean `items`?"]),
        ("sice / sice + size", ["did you mean `size`?"]),
        ("note + size", [""]),
        ("kind + size", [""]),
        ("size-items", ["to subtract, put spaces around the `-`"]),
        ("size-items * 2", ["to subtract, put spaces around the `-`"]),
    ],
)
def test_each_wrong_name_of_a_formula_is_said_once(measure: str, hints: list[str]) -> None:
    """
    Names that are no measures, or none with numbers, are faults of their own, with the nearest that is.
    """
    assert faults(measure=measure, aggregate="sum") == [("measure", hint) for hint in hints]


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


def test_a_comparison_has_a_second_value() -> None:
    """
    The period before has a column of its own beside the value, of the same type and unit.
    """
    made = planned(interval="day", measure="size", aggregate="sum", compare="previous_period")

    assert [(column.name, column.type, column.unit) for column in made.columns] == [
        ("time", "time", None),
        ("value", "double", "bytes"),
        ("previous", "double", "bytes"),
    ]
    assert made.before is not None
    assert made.selection.before == (made.before.start, made.before.end)
    assert planned(compare="none").before is None


def test_a_limit_is_the_stores() -> None:
    """
    Which groups are the largest is found where the rows are.
    """
    assert planned(group_by=["kind"], limit=3).selection.limit == 3
    assert planned(group_by=["kind"]).selection.limit is None
