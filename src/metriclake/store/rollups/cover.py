"""
Decide whether a rollup answers a selection as the rows do, and for which time.

Pure. A rollup has the rows' own answer where all that a selection groups by and filters on is among its dimensions,
where its intervals start where buckets do, and where none of the rows may have left yet. A percentile, a unique count
of numbers, a formula and a filter on a measure are always the rows': a rollup keeps no state they could be made of.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from metriclake.store.rollups.sets import Rollup, Stretch
from metriclake.store.rollups.table import EPOCH, LATEST, Grain
from metriclake.store.selection import Aggregate, Bucket, Dimension, Measure, Selection

_A_GROUP = 2
"""A group of a rollup costs about as much as two rows."""

_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)
_MARGIN = timedelta(minutes=1)
"""Rows leave while a question is answered."""

_MOST_RAW = 50
"""Of so many stretches rows are read in one statement."""

_SHORT = (Bucket.MINUTE, Bucket.FIVE_MINUTES)
_OF_NUMBERS = (Aggregate.SUM, Aggregate.AVG, Aggregate.MIN, Aggregate.MAX, Aggregate.LAST)


@dataclass(frozen=True, slots=True)
class Cover:
    """
    A rollup that answers a selection: `kept` are the stretches that are read from it, `raw` those read from the rows.
    """

    rollup: Rollup
    kept: tuple[Stretch, ...]
    raw: tuple[Stretch, ...]


def cover(selection: Selection, rollups: Iterable[Rollup], oldest: datetime, least: int) -> Cover | None:
    """
    Return the rollup that costs least of those that answer a selection; None where none does, or it is not worth it.

    `rollups` are those of the selection's metric, `oldest` is the moment from which on rows are still shown.
    """
    needed = _needed(selection)
    if needed is None:
        return None
    days = _days(selection.periods)
    best: tuple[float, Cover] | None = None
    for one in rollups:
        if needed <= set(one.dimensions) and _aligned(selection, one.grain):
            kept = _without(_stretches(selection, one, max(oldest, one.part.since)), one.dirty)
            raw = _without(selection.periods, kept)
            cost = one.part.rows_a_day * _days(raw) + cost_of(one.part.groups_a_day * _days(kept))
            worth = kept and len(raw) <= _MOST_RAW and is_worth(one.part.rows_a_day * days, cost, least)
            if worth and (best is None or cost < best[0]):
                best = cost, Cover(one, kept, raw)
    return None if best is None else best[1]


def is_worth(rows: float, cost: float, least: int) -> bool:
    """
    Tell whether it is faster to read what costs as much as some rows than so many rows themselves. 0 at least: always.

    A statement over a rollup looks for the rows that are not in it as well: that costs about half of `least` more.
    """
    return least == 0 or (rows >= least and cost + least / 2 <= rows)


def cost_of(groups: float) -> float:
    """
    Return the number of rows that cost as much as so many groups.
    """
    return _A_GROUP * groups


def _stretches(selection: Selection, one: Rollup, since: datetime) -> tuple[Stretch, ...]:
    """
    Return the stretches of whole buckets of which all rows are there.
    """
    cut = (
        (_up(max(start, since + _MARGIN), one.grain), _down(min(end, LATEST), one.grain))
        for start, end in selection.periods
    )
    return tuple((start, end) for start, end in cut if start < end)


def _without(stretches: Iterable[Stretch], others: Sequence[Stretch]) -> tuple[Stretch, ...]:
    """
    Return what is left of stretches without others.
    """
    left = list(stretches)
    for gone in others:
        pieces = (piece for start, end in left for piece in ((start, min(end, gone[0])), (max(start, gone[1]), end)))
        left = [(start, end) for start, end in pieces if start < end]
    return tuple(left)


def _days(stretches: Iterable[Stretch]) -> float:
    return sum((end - start) / _DAY for start, end in stretches)


def _needed(selection: Selection) -> set[str] | None:
    """
    Return the dimensions that a set must have; None where what is asked cannot be made of any.
    """
    value, aggregate = selection.value, selection.aggregate
    needed = set(selection.group_by)
    for condition in selection.conditions:
        if not isinstance(condition.subject, Dimension):
            return None
        needed.add(condition.subject.name)
    if isinstance(value, Dimension) and aggregate in (Aggregate.COUNT, Aggregate.UNIQUE):
        return needed | {value.name}
    if isinstance(value, Measure):
        counted = aggregate is Aggregate.COUNT and value.numbers == value.types
        return needed if counted or aggregate in _OF_NUMBERS else None
    return needed if value is None else None


def _aligned(selection: Selection, grain: Grain) -> bool:
    """
    Tell whether every interval of a selection starts where a bucket does.
    """
    if selection.bucket is Bucket.NONE:
        return True
    if selection.bucket in _SHORT or (selection.bucket is Bucket.HOUR and grain is Grain.DAY):
        return False
    years = {year for start, end in selection.periods for year in range(start.year, end.year + 1)}
    return all(_even(selection.zone, year, grain) for year in years)


@lru_cache(maxsize=10_000)
def _even(zone: str, year: int, grain: Grain) -> bool:
    """
    Tell whether a zone's clocks are whole buckets from UTC all year, and are switched at the start of one.
    """
    info = ZoneInfo(zone)
    day, end = datetime(year, 1, 1, tzinfo=UTC) - 2 * _DAY, datetime(year + 1, 1, 1, tzinfo=UTC) + 2 * _DAY
    while day < end:
        offset = day.astimezone(info).utcoffset()
        if offset is None or offset % grain.length:
            return False
        following = day + _DAY
        if following.astimezone(info).utcoffset() != offset and (_switch(info, day, following) - EPOCH) % grain.length:
            return False
        day = following
    return True


def _switch(info: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """
    Return the second at which a zone's clocks are switched between two moments.
    """
    offset = before.astimezone(info).utcoffset()
    while after - before > _SECOND:
        middle = before + (after - before) // _SECOND // 2 * _SECOND
        if middle.astimezone(info).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after


def _down(moment: datetime, grain: Grain) -> datetime:
    return moment - (moment - EPOCH) % grain.length


def _up(moment: datetime, grain: Grain) -> datetime:
    return _down(moment + grain.length - timedelta(microseconds=1), grain)
