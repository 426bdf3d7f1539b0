"""
Where intervals start, in a time zone: its days and months, whatever the clocks do.

Pure. The store's engine truncates in the same way; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from metriclake.store import Bucket

_FIXED = {
    Bucket.MINUTE: timedelta(minutes=1),
    Bucket.FIVE_MINUTES: timedelta(minutes=5),
    Bucket.HOUR: timedelta(hours=1),
}
_MONTHS = {Bucket.MONTH: 1, Bucket.QUARTER: 3, Bucket.YEAR: 12}
_LONGEST = timedelta(days=367)
_SWITCHES = timedelta(days=30)
"""Clocks are put back less often than that."""
_HOUR = timedelta(hours=1)
_CLOCK_STEP = timedelta(minutes=15)


def start_of(moment: datetime, bucket: Bucket, zone: str) -> datetime:
    """
    Return the start of the interval that holds `moment`, in UTC.
    """
    info = ZoneInfo(zone)
    local = moment.astimezone(info)
    if bucket is Bucket.HOUR:
        return _hour(moment, info)
    if bucket in _FIXED:
        into = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond) % _FIXED[bucket]
        return (moment - into).astimezone(UTC)
    return _midnight(_first_day(local, bucket), info)


def starts(start: datetime, end: datetime, bucket: Bucket, zone: str) -> Iterator[datetime]:
    """
    Yield the starts of the intervals that [start, end) touches, in UTC.
    """
    found = start_of(start, bucket, zone)
    while found < end:
        yield found
        found = _next(found, bucket, zone)


def at_least(start: datetime, end: datetime, bucket: Bucket) -> int:
    """
    Return how many intervals [start, end) touches at least, without looking for them.

    An hour may be longer where clocks are put back, which happens a few times a year.
    """
    length = _FIXED.get(bucket, _LONGEST)
    return max(0, (end - start) // length - (end - start) // _SWITCHES)


def edges(start: datetime, end: datetime, bucket: Bucket, zone: str) -> tuple[datetime, ...]:
    """
    Return the starts that the engine must be told: of hours, where a zone's clocks are put forward from uneven offsets.

    There, and only there, the engine cuts hours by the time since midnight instead of by the clock.
    """
    if bucket is not Bucket.HOUR or not _uneven(start, end, ZoneInfo(zone)):
        return ()
    return tuple(starts(start, end, bucket, zone))


def _uneven(start: datetime, end: datetime, info: ZoneInfo) -> bool:
    """
    Tell whether a zone has several offsets around the range, and one that is not of whole hours.
    """
    months = range((end - start).days // 30 + 13)
    offsets = {(start + timedelta(days=30 * (month - 6))).astimezone(info).utcoffset() for month in months}
    return len(offsets) > 1 and any(offset is not None and offset % _HOUR for offset in offsets)


def _next(start: datetime, bucket: Bucket, zone: str) -> datetime:
    info = ZoneInfo(zone)
    if bucket in _FIXED:
        probe = start + _FIXED[bucket]
        if probe.astimezone(info).utcoffset() != start.astimezone(info).utcoffset():
            probe = start + min(_CLOCK_STEP, _FIXED[bucket])
        while (found := start_of(probe, bucket, zone)) <= start:
            probe += _CLOCK_STEP
        return found
    local = start.astimezone(info).replace(tzinfo=None)
    if bucket in _MONTHS:
        months = local.year * 12 + local.month - 1 + _MONTHS[bucket]
        return _midnight(local.replace(year=months // 12, month=months % 12 + 1, day=1), info)
    return _midnight(local + timedelta(days=7 if bucket is Bucket.WEEK else 1), info)


def _hour(moment: datetime, info: ZoneInfo) -> datetime:
    """
    Return the start of an hour, also where clocks are put by half an hour: such an hour is shorter or longer.
    """
    local = moment.astimezone(info)
    start = moment - timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
    there = start.astimezone(info)
    if there.hour == local.hour:
        return start.astimezone(UTC) if there.minute == 0 else _hour(start, info)
    while start.astimezone(info).hour != local.hour:
        start += timedelta(minutes=1)
    return start.astimezone(UTC)


def _first_day(local: datetime, bucket: Bucket) -> datetime:
    day = local.replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0)
    if bucket is Bucket.WEEK:
        return day - timedelta(days=day.weekday())
    if bucket is Bucket.DAY:
        return day
    months = _MONTHS[bucket]
    return day.replace(month=(day.month - 1) // months * months + 1, day=1)


def _midnight(day: datetime, info: ZoneInfo) -> datetime:
    """
    Return the first moment of a day, also where its midnight is skipped or comes twice.
    """
    midnight = day.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=info, fold=0)
    moment = midnight.astimezone(UTC)
    if moment.astimezone(info).date() < midnight.date():
        moment += midnight.replace(fold=0).utcoffset() - midnight.replace(fold=1).utcoffset()  # type: ignore[operator]
    return moment
