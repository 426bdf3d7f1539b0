"""
The stretch of time that a question is about, cut into its intervals.

Pure. What a question says of time becomes moments here; where intervals start is decided in `intervals`.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from metriclake._errors import Fault
from metriclake.query import intervals
from metriclake.query.points import MAX_POINTS, Points
from metriclake.query.question import EARLIEST, Question
from metriclake.store import Bucket

_TOO_FINE = Fault("interval", f"cuts the range into more than {MAX_POINTS} pieces", "take a longer one")
_NONE = timedelta()
_TICK = timedelta(microseconds=1)


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


def period_of(question: Question, now: datetime, points: Points | None = None) -> Period:
    """
    Return the period of a question. With intervals, `last` reaches back to the start of the one that it falls into.

    Raises InvalidQuestion where there would be too many intervals; QuestionTooLarge where there is no room for them.
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
    points = points or Points()
    points.check(intervals.at_least(start, end, question.bucket), _TOO_FINE)
    return Period(start, end, points.taken(intervals.starts(start, end, question.bucket, question.zone), _TOO_FINE))


def period_before(period: Period, bucket: Bucket, zone: str) -> Period:
    """
    Return the period before one, to be laid beside it: as many intervals, cut at the ends as its own are.

    So a day that is half over is held against the same half of a day. Without intervals it is as many seconds, which
    end where the period starts.
    """
    if not period.starts:
        return Period(max(EARLIEST, period.start - (period.end - period.start)), period.start)
    starts = [period.starts[0]]
    for _ in period.starts:
        starts.append(intervals.start_of(starts[-1] - _TICK, bucket, zone))
    *starts, next_start = reversed(starts)
    ends = [*starts[1:], next_start]
    start = min(starts[0] + max(_NONE, period.start - period.starts[0]), ends[0])
    end = min(starts[-1] + (period.end - period.starts[-1]), ends[-1])
    return Period(max(EARLIEST, start), max(EARLIEST, start, end), tuple(starts))
