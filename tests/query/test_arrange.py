"""
The engine's rows are put into the answer as it was asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from metriclake._errors import InvalidQuestion
from metriclake.query.arrange import arrange
from metriclake.query.points import MAX_POINTS
from metriclake.store import Answer
from query.uploads import planned

DAYS = {"from": "2026-06-01T00:00:00Z", "to": "2026-06-04T00:00:00Z"}


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


def compared(rows: Sequence[tuple[Any, ...]], before: Sequence[tuple[Any, ...]], **parts: Any) -> list[list[Any]]:
    """
    Put the rows of two periods into the answer of a question that compares them.
    """
    return arrange(planned(compare="previous_period", range=DAYS, **parts), Answer(rows, before))


def test_periods_are_laid_side_by_side() -> None:
    """
    The value before stands beside the value of the same position, and an interval that only one has is there.
    """
    before = [(day(1) - timedelta(days=3), 10), (day(1) - timedelta(days=1), 30)]

    found = compared([(day(1), 1), (day(2), 2)], before, interval="day")

    assert found == [
        ["2026-06-01T00:00:00Z", 1, 10],
        ["2026-06-02T00:00:00Z", 2, None],
        ["2026-06-03T00:00:00Z", None, 30],
    ]


def test_groups_of_either_period_are_there() -> None:
    """
    A group that is gone and one that is new have a row each; `fill` says what stands on the empty side.
    """
    rows, before = [("new", 1), ("same", 2)], [("gone", 3), ("same", 4)]

    assert compared(rows, before, group_by=["kind"]) == [["gone", None, 3], ["new", 1, None], ["same", 2, 4]]
    assert compared(rows, before, group_by=["kind"], fill="zero") == [["gone", 0, 3], ["new", 1, 0], ["same", 2, 4]]


def test_filling_fills_both_periods() -> None:
    """
    Every interval of every group of either period has both values.
    """
    found = compared([(day(2), "a", 1)], [(day(1) - timedelta(days=3), "b", 2)], interval="day", group_by=["kind"],
                     fill="zero")  # fmt: skip

    assert [row[1:] for row in found] == [
        ["a", 0, 0], ["b", 0, 2], ["a", 1, 0], ["b", 0, 0], ["a", 0, 0], ["b", 0, 0],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("parts", "nothing"),
    [({}, 0), ({"measure": "size", "aggregate": "unique"}, 0), ({"measure": "size", "aggregate": "sum"}, None)],
    ids=["count", "unique", "sum"],
)
def test_an_empty_period_has_a_row(parts: dict[str, Any], nothing: int | None) -> None:
    """
    Of everything together there is one row, whatever period has events: a count of none is 0, a sum null.
    """
    assert compared([(5,)], [], **parts) == [[5, nothing]]
    assert compared([], [(5,)], **parts) == [[nothing, 5]]
    assert compared([], [], **parts) == [[nothing, nothing]]


def test_the_largest_come_first_and_the_rest_last() -> None:
    """
    With a limit and no intervals, groups stand by their value, one without a value after them, the rest at the end.
    """
    rows = [("a", 1), ("b", 9), ("c", None), ("d", 9), ("other", 100)]

    found = arranged(rows, group_by=["kind"], limit=4, measure="size", aggregate="max")

    assert found == [["b", 9], ["d", 9], ["a", 1], ["c", None], ["other", 100]]


def test_with_intervals_groups_stand_by_name() -> None:
    """
    A limit changes no order within an interval.
    """
    rows = [(day(1), "a", 1), (day(1), "other", 5), (day(1), "z", 9)]

    found = arranged(rows, range=DAYS, interval="day", group_by=["kind"], limit=2)

    assert [row[1] for row in found] == ["a", "other", "z"]
