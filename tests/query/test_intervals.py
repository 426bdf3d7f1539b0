"""
Python and the engine cut time in the same way, in every zone, whatever its clocks do.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from metriclake.query.intervals import at_least, edges, start_of, starts
from metriclake.store import Aggregate, Bucket, Selection
from store.shelf import Shelf, event

HOUR = timedelta(hours=1)
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",
    "America/St_Johns",
    "America/Havana",
    "Asia/Beirut",
    "Asia/Kathmandu",
    "Asia/Tehran",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Pacific/Chatham",
)
BUCKETS = tuple(bucket for bucket in Bucket if bucket is not Bucket.NONE)
SPANS = ((datetime(2017, 6, 1, tzinfo=UTC), 800), (datetime(2024, 1, 1, tzinfo=UTC), 1100))
AROUND = (
    -49 * 60,
    -24 * 60 - 1,
    -24 * 60,
    -90,
    -60,
    -31,
    -30,
    -5,
    -1,
    0,
    1,
    29,
    30,
    59,
    60,
    89,
    90,
    121,
    24 * 60,
    1500,
)


@cache
def switches(zone: str) -> list[datetime]:
    """
    Return the moments at which the clocks of a zone are put forward or back, in the spans that are looked at.
    """
    info = ZoneInfo(zone)
    found = []
    for start, days in SPANS:
        half_hours = [start + timedelta(minutes=30 * step) for step in range(days * 48)]
        offsets = [moment.astimezone(info).utcoffset() for moment in half_hours]
        found += [half_hours[index + 1] for index, (one, other) in enumerate(pairwise(offsets)) if one != other]
    return found


def moments(zone: str) -> list[datetime]:
    """
    Return moments around each switch of a zone's clocks, and around new year.
    """
    centres = [*switches(zone), datetime(2025, 1, 1, tzinfo=UTC), datetime(2024, 2, 29, 12, 34, 56, 789_012, UTC)]
    return sorted({centre + timedelta(minutes=minutes) for centre in centres for minutes in AROUND})


@pytest.mark.engine
@pytest.mark.parametrize("zone", ZONES)
def test_an_interval_starts_where_the_engine_says(shelf: Shelf, zone: str) -> None:
    """
    Around every switch of the clocks, the start of the interval of a moment is the engine's, for every length.
    """
    known = {str(index): moment for index, moment in enumerate(moments(zone))}
    tenant = zone.replace("/", "-")
    shelf.load(*(event(tenant, key, time=moment, dimensions={"key": key}) for key, moment in known.items()))
    first, last = min(known.values()), max(known.values()) + HOUR

    wrong = []
    for bucket in BUCKETS:
        told = edges(first, last, bucket, zone)
        selection = Selection(
            "uploads", Aggregate.COUNT, first, last, bucket=bucket, zone=zone, edges=told, group_by=("key",)
        )
        rows = shelf.reader(tenant).select(selection).rows
        assert len(rows) == len(known)
        wrong += [
            (bucket.value, known[key].isoformat(), start_of(known[key], bucket, zone).isoformat(), start.isoformat())
            for start, key, _ in rows
            if start_of(known[key], bucket, zone) != start
        ]

    assert wrong == []


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("bucket", BUCKETS)
def test_the_starts_of_a_range_cover_it_once(bucket: Bucket, zone: str) -> None:
    """
    Starts rise, the first interval holds the range's start, none starts after its end, and each moment has its own.
    """
    for switch in [*switches(zone), datetime(2025, 1, 1, tzinfo=UTC)]:
        width = 60 if bucket in (Bucket.MINUTE, Bucket.FIVE_MINUTES) else 1500
        begin, end = switch - timedelta(minutes=width), switch + timedelta(minutes=width)
        found = list(starts(begin, end, bucket, zone))

        assert found[0] <= begin
        assert found[-1] < end
        assert all(one < other for one, other in pairwise(found))
        around = [switch + timedelta(minutes=minutes) for minutes in AROUND if abs(minutes) < width]
        assert {start_of(moment, bucket, zone) for moment in around} <= set(found)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("bucket", [Bucket.DAY, Bucket.WEEK, Bucket.MONTH, Bucket.QUARTER, Bucket.YEAR])
def test_a_long_interval_starts_at_the_first_moment_of_a_day(bucket: Bucket, zone: str) -> None:
    """
    The moment before a start is of another day: also where midnight is skipped or comes twice.
    """
    info = ZoneInfo(zone)
    for start, days in SPANS:
        for found in starts(start, start + timedelta(days=days), bucket, zone):
            before, at = (found - timedelta(seconds=1)).astimezone(info), found.astimezone(info)
            assert before.date() < at.date()


@pytest.mark.parametrize(
    ("zone", "day", "start"),
    [
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00:00+00:00"),
        ("Asia/Beirut", "2025-03-30", "2025-03-29T22:00:00+00:00"),
        ("Africa/Cairo", "2025-04-25", "2025-04-24T22:00:00+00:00"),
        ("Australia/Lord_Howe", "2025-04-06", "2025-04-05T13:00:00+00:00"),
        ("Asia/Kathmandu", "2025-01-01", "2024-12-31T18:15:00+00:00"),
    ],
)
def test_days_of_a_switch_start_where_the_almanac_says(zone: str, day: str, start: str) -> None:
    """
    Known days on which clocks are switched start at known moments.
    """
    noon = datetime.fromisoformat(f"{day}T12:00").replace(tzinfo=ZoneInfo(zone))

    assert start_of(noon, Bucket.DAY, zone).isoformat() == start


def test_weeks_start_on_monday() -> None:
    """
    A week starts on Monday, as ISO 8601 says.
    """
    found = start_of(datetime(2026, 7, 5, 23, 59, tzinfo=UTC), Bucket.WEEK, "UTC")

    assert found == datetime(2026, 6, 29, tzinfo=UTC)


def test_an_empty_range_has_no_interval() -> None:
    """
    Where nothing lies between start and end there is no interval, even on an interval's start.
    """
    moment = datetime(2026, 7, 1, tzinfo=UTC)

    assert list(starts(moment, moment, Bucket.DAY, "UTC")) == []


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("bucket", BUCKETS)
def test_there_are_at_least_as_many_intervals_as_are_told_without_looking(bucket: Bucket, zone: str) -> None:
    """
    The quick count is never too large, also over days on which an hour is longer, and near the truth over years.
    """
    counted = bucket in (Bucket.MINUTE, Bucket.FIVE_MINUTES, Bucket.HOUR)
    days = 100 if bucket is Bucket.HOUR or not counted else 2
    for switch in [*switches(zone)[:4], datetime(2025, 1, 1, tzinfo=UTC)]:
        begin, end = switch - timedelta(days=1), switch + timedelta(days=days)
        truly = sum(1 for _ in starts(begin, end, bucket, zone))
        told = at_least(begin, end, bucket)

        assert told <= truly
        assert not counted or truly - 10 <= told
