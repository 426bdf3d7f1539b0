"""
A question's range becomes moments, and the period before is one that can be laid beside it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from metriclake._errors import InvalidQuestion
from metriclake.query import parse
from metriclake.query.periods import Period, period_before, period_of
from metriclake.query.points import MAX_POINTS
from metriclake.store import Bucket

NOW = datetime(2026, 7, 1, 12, 34, 56, tzinfo=UTC)


def periods(**parts: Any) -> tuple[Period, Period]:
    """
    Return the period of a question, and the one before it.
    """
    question = parse({"metric": "m", **parts})
    period = period_of(question, NOW)
    return period, period_before(period, question.bucket, question.zone)


def between(start: str, end: str) -> dict[str, str]:
    """
    Return a range of RFC 3339 moments.
    """
    return {"from": start, "to": end}


@pytest.mark.parametrize(
    ("parts", "start", "end"),
    [
        ({"range": {"last": "7d"}}, "2026-06-17T12:34:56", "2026-06-24T12:34:56"),
        ({"range": {"last": "7d"}, "interval": "day"}, "2026-06-16T00:00:00", "2026-06-23T12:34:56"),
        ({"range": {"last": "1d"}, "interval": "week"}, "2026-06-22T00:00:00", "2026-06-24T12:34:56"),
        ({"range": {"last": "24h"}, "interval": "hour"}, "2026-06-29T11:00:00", "2026-06-30T11:34:56"),
        (
            {"range": between("2026-05-01T00:00:00Z", "2026-06-01T00:00:00Z"), "interval": "month"},
            "2026-04-01T00:00:00", "2026-05-01T00:00:00",
        ),
        (
            {"range": between("2026-03-01T00:00:00Z", "2026-03-31T00:00:00Z"), "interval": "month"},
            "2026-02-01T00:00:00", "2026-03-01T00:00:00",
        ),
        (
            {"range": between("2026-06-10T06:00:00Z", "2026-06-11T18:00:00Z"), "interval": "day"},
            "2026-06-08T06:00:00", "2026-06-09T18:00:00",
        ),
        (
            {"range": between("2026-06-10T06:00:00Z", "2026-06-10T18:00:00Z"), "interval": "day"},
            "2026-06-09T06:00:00", "2026-06-09T18:00:00",
        ),
        (
            {"range": between("2026-03-30T00:00:00Z", "2026-03-31T00:00:00Z"), "interval": "month"},
            "2026-03-01T00:00:00", "2026-03-01T00:00:00",
        ),
    ],
    ids=["seconds", "days", "week", "hours", "month", "shorter-month", "cut-days", "cut-day", "no-such-day"],
)  # fmt: skip
def test_the_period_before_is_cut_as_its_own_is(parts: dict[str, Any], start: str, end: str) -> None:
    """
    As many intervals as the range touches, the first and the last as far as the range covers them.
    """
    period, before = periods(**parts)

    assert (before.start.isoformat(), before.end.isoformat()) == (f"{start}+00:00", f"{end}+00:00")
    assert len(before.starts) == len(period.starts)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo"])
@pytest.mark.parametrize("bucket", [bucket for bucket in Bucket if bucket is not Bucket.NONE])
def test_intervals_before_follow_each_other_without_a_gap(bucket: Bucket, zone: str) -> None:
    """
    Around switched clocks too, the intervals before end where the period's own start, and none is left out.
    """
    for start in (
        datetime(2026, 3, 29, tzinfo=UTC),
        datetime(2026, 4, 5, tzinfo=UTC),
        datetime(2018, 11, 4, tzinfo=UTC),
    ):
        asked = between(start.isoformat(), (start + timedelta(hours=30)).isoformat())
        period, before = periods(range=asked, interval=bucket.value, timezone=zone)
        both = (*before.starts, *period.starts)

        assert all(one < other for one, other in pairwise(both))
        covering = period_of(
            parse(
                {
                    "metric": "m",
                    "range": between(before.starts[0].isoformat(), period.end.isoformat()),
                    "interval": bucket.value,
                    "timezone": zone,
                }
            ),
            NOW,
        )
        assert covering.starts == both
        assert before.start <= before.end <= period.start


def test_no_period_lies_before_time() -> None:
    """
    What would begin before 1970 begins there.
    """
    _, before = periods(range=between("1970-01-02T00:00:00Z", "1970-01-06T00:00:00Z"), interval="day")
    _, bare = periods(range=between("1970-01-02T00:00:00Z", "1970-01-06T00:00:00Z"))

    assert (before.start, bare.start) == (datetime(1970, 1, 1, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC))
    assert (before.end, bare.end) == (datetime(1970, 1, 2, tzinfo=UTC), datetime(1970, 1, 2, tzinfo=UTC))


def test_an_interval_has_the_seconds_that_lie_in_the_period() -> None:
    """
    The first and the last are cut, and so is one that is both.
    """
    period, _ = periods(range=between("2026-06-10T06:00:00Z", "2026-06-12T18:00:00Z"), interval="day")
    one, _ = periods(range=between("2026-06-10T06:00:00Z", "2026-06-10T18:00:00Z"), interval="day")
    none, _ = periods(range=between("2026-06-10T06:00:00Z", "2026-06-12T18:00:00Z"))

    assert [period.seconds(position) / 3600 for position in range(3)] == [18, 24, 18]
    assert one.seconds(0) / 3600 == 12
    assert none.seconds(0) / 3600 == 60


def test_a_moment_between_starts_belongs_to_the_interval_before_it() -> None:
    """
    A start that Python does not know is laid into the interval that holds it.
    """
    period, _ = periods(range=between("2026-06-10T00:00:00Z", "2026-06-12T00:00:00Z"), interval="day")

    assert [period.position(start) for start in period.starts] == [0, 1]
    assert period.position(period.starts[1] - timedelta(hours=1)) == 0
    assert period.position(period.starts[0] - timedelta(hours=1)) == 0


def test_a_range_has_a_bound_of_intervals() -> None:
    """
    More intervals than an answer may have are refused before they are asked for.
    """
    with pytest.raises(InvalidQuestion, match="interval"):
        periods(range={"last": "3660d"}, interval="minute")
    with pytest.raises(InvalidQuestion, match="interval"):
        periods(range=between("2026-01-01T00:00:30Z", "2026-03-11T10:40:30Z"), interval="minute")
    exactly, _ = periods(range=between("2026-01-01T00:00:00Z", "2026-03-11T10:40:00Z"), interval="minute")
    assert len(exactly.starts) == MAX_POINTS
