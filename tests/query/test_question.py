"""
A question is read whole, or refused with every fault and its place.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from metriclake._errors import InvalidQuestion
from metriclake.query import parse
from metriclake.query.filters import Filter
from metriclake.query.question import AGGREGATES
from metriclake.store import Bucket, Measure, Operator

CASES = [
    json.loads(line)
    for line in (Path(__file__).parent.parent / "cases" / "questions.jsonl").read_text(encoding="utf-8").splitlines()
]


def faults(question: Any) -> list[tuple[str, str, str]]:
    """
    Return the place, words and hint of each fault of a question.
    """
    try:
        parse(question)
    except InvalidQuestion as error:
        return [(fault.place, fault.what, fault.hint) for fault in error.faults]
    return []


@pytest.mark.parametrize("case", [pytest.param(case, id=case["id"]) for case in CASES])
def test_each_case_has_its_faults(case: dict[str, Any]) -> None:
    """
    What the truth table says of a question is so: it is read, or each of its faults is named once, at its place.
    """
    found = faults(case["question"])

    assert sorted(place for place, _, _ in found) == sorted(case["faults"])
    assert all(what for _, what, _ in found)


def test_a_whole_question_becomes_what_it_says() -> None:
    """
    Every part of a question arrives, with times as moments and names as they were.
    """
    question = parse(next(case["question"] for case in CASES if case["id"] == "whole"))

    assert (question.metric, question.measure, question.aggregate) == ("m", Measure("x", ()), "sum")
    assert (question.start, question.end) == (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 31, 23, tzinfo=UTC))
    assert (question.last, question.bucket, question.zone) == (None, Bucket.DAY, "Europe/Berlin")
    assert question.group_by == ("a", "b", "c")
    assert question.filters == (
        Filter("filters[0]", "a", Operator.IN, ("x", "y")),
        Filter("filters[1]", "b", Operator.IN, ("z",)),
    )
    assert question.fill == "zero"


def test_what_is_left_out_has_its_default() -> None:
    """
    Without an interval there is one row, in UTC, unfilled; count without a measure, sum with one.
    """
    counted = parse({"metric": "m", "range": {"last": "2w"}})
    summed = parse({"metric": "m", "measure": "x", "range": {"last": "2w"}})

    assert (counted.last, counted.bucket, counted.zone, counted.fill) == (
        timedelta(weeks=2),
        Bucket.NONE,
        "UTC",
        "none",
    )
    assert (counted.aggregate, summed.aggregate) == ("count", "sum")


@pytest.mark.parametrize("bucket", Bucket)
def test_every_interval_can_be_asked(bucket: Bucket) -> None:
    """
    Each length of an interval is read as itself.
    """
    assert parse({"metric": "m", "range": {"last": "1d"}, "interval": bucket.value}).bucket is bucket


@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_every_aggregate_can_be_asked(aggregate: str) -> None:
    """
    Each aggregate is read as itself.
    """
    question = {"metric": "m", "measure": "x", "aggregate": aggregate, "range": {"last": "1d"}}

    assert parse(question).aggregate == aggregate


@pytest.mark.parametrize(
    ("condition", "filters"),
    [
        ({"dimension": "a", "not_in": ["x", ""]}, [("a", Operator.NOT_IN, ("x", ""), False)]),
        ({"dimension": "a", "prefix": "x/"}, [("a", Operator.PREFIX, "x/", False)]),
        ({"measure": "a", "exists": False}, [("a", Operator.EXISTS, False, True)]),
        ({"dimension": "a", "gt": 1}, [("a", Operator.GT, 1, False)]),
        ({"measure": "a", "lt": 9, "gte": 1.5}, [("a", Operator.GTE, 1.5, True), ("a", Operator.LT, 9, True)]),
    ],
    ids=lambda value: next(reversed(value)) if isinstance(value, dict) else "",
)
def test_a_filter_becomes_its_conditions(condition: dict[str, Any], filters: list[tuple[Any, ...]]) -> None:
    """
    Each comparison is read as itself; two bounds are two conditions at one place.
    """
    question = parse({"metric": "m", "range": {"last": "1d"}, "filters": [condition]})

    assert question.filters == tuple(Filter("filters[0]", *parts) for parts in filters)


@pytest.mark.parametrize(
    ("condition", "hint"),
    [
        ({"dimension": "a", "not-in": ["x"]}, "did you mean `not_in`?"),
        ({"dimension": "a", "gte": "1"}, 'such as {"measure": "seconds", "gte": 0, "lt": 60}'),
        ({"measure": "a", "in": ["x"]}, 'such as {"measure": "seconds", "gte": 0, "lt": 60}'),
    ],
    ids=["key", "operand", "measure"],
)
def test_a_wrong_filter_gets_a_way_out(condition: dict[str, Any], hint: str) -> None:
    """
    A filter that cannot be read comes with one that can.
    """
    assert [hint_ for _, _, hint_ in faults({"metric": "m", "range": {"last": "1d"}, "filters": [condition]})] == [hint]


@pytest.mark.parametrize(
    ("key", "value", "hint"),
    [
        ("intervall", "day", "did you mean `interval`?"),
        ("group-by", [], "did you mean `group_by`?"),
        ("interval", "dai", "did you mean `day`?"),
        ("timezone", "europe/berlin", "did you mean `Europe/Berlin`?"),
        ("fill", "zeros", "did you mean `zero`?"),
        ("aggregate", "summ", "did you mean `sum`?"),
    ],
)
def test_a_misspelt_word_gets_the_nearest_one(key: str, value: Any, hint: str) -> None:
    """
    A key or a word that is nearly right comes with what was probably meant.
    """
    found = faults({"metric": "m", "measure": "x", "range": {"last": "1d"}, key: value})

    assert [(place, hint_) for place, _, hint_ in found] == [(key, hint)]


def test_a_thousand_values_may_be_filtered_and_no_more() -> None:
    """
    A filter has a bound.
    """
    values = [str(index) for index in range(1001)]
    question = {"metric": "m", "range": {"last": "1d"}}

    assert faults({**question, "filters": [{"dimension": "a", "in": values[:1000]}]}) == []
    assert [place for place, _, _ in faults({**question, "filters": [{"dimension": "a", "in": values}]})] == [
        "filters[0]"
    ]


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("0001-01-01T00:00:00+14:00", "0001-01-02T00:00:00+00:00"),
        ("0001-01-01T00:00:00Z", "0001-01-03T00:00:00Z"),
        ("9999-12-30T00:00:00Z", "9999-12-31T23:59:59Z"),
        ("9999-12-30T00:00:00Z", "9999-12-31T23:59:59-14:00"),
    ],
)
def test_a_range_at_the_calendars_ends_is_refused(start: str, end: str) -> None:
    """
    Moments that no zone's calendar reaches are a fault of the range, and no error of the server's.
    """
    question = {"metric": "m", "range": {"from": start, "to": end}, "interval": "day", "timezone": "America/New_York"}

    assert {place.partition(".")[0] for place, _, _ in faults(question)} == {"range"}
