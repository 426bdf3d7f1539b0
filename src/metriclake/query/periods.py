"""
The stretch of time that a question is about, cut into its intervals.

Pure. What a question says of time becomes moments here; where intervals start is decided in `intervals`.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice

from metriclake._errors import Fault, InvalidQuestion
from metriclake.query import intervals
from metriclake.query.question import EARLIEST, Question
from metriclake.store import Bucket

MAX_POINTS = 100_000
"""Intervals times groups that one answer may have."""


@dataclass(frozen=True, slots=True)
class Period:
    """
    [start, end), and the starts of the intervals that it touches; none where no interval was asked.

    The first start may lie before the period's own, and the last interval may end after it.
    """

    start: datetime
    end: datetime
    starts: tuple[datetime, ...] = field(default=(), repr=False)

    def position(self, start: datetime) -> int:
        """
        Return which of the intervals starts there.
        """
        return max(0, bisect_right(self.starts, start) - 1)

    def seconds(self, position: int) -> float:
        """
        Return how much of an interval lies within the period; all of the period where there are no intervals.
        """
        if not self.starts:
            return (self.end - self.start).total_seconds()
        start = max(self.start, self.starts[position])
        last = position + 1 == len(self.starts)
        return ((self.end if last else self.starts[position + 1]) - start).total_seconds()


def period_of(question: Question, now: datetime) -> Period:
    """
    Return the period of a question. With intervals, `last` reaches back to the start of the one that it falls into.

    Raises InvalidQuestion where there would be too many intervals.
    """
    if question.start is not None and question.end is not None:
        start, end = question.start.astimezone(UTC), question.end.astimezone(UTC)
    else:
        assert question.last is not None  # noqa: S101 - a question has one or the other
        start, end = max(now - question.last, EARLIEST), now
        if question.bucket is not Bucket.NONE:
            start = intervals.start_of(start, question.bucket, question.zone)
    if question.bucket is Bucket.NONE:
        return Period(start, end)
    found = tuple(islice(intervals.starts(start, end, question.bucket, question.zone), MAX_POINTS + 1))
    if len(found) > MAX_POINTS:
        fault = Fault("interval", f"cuts the range into more than {MAX_POINTS} pieces", "take a longer one")
        raise InvalidQuestion((fault,))
    return Period(start, end, found)
