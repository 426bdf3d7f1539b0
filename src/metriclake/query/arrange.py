"""
Put the engine's rows into the answer as it was asked.

Pure. Values are held by the position of their interval in its period, so that two periods can be laid side by side.
Where the engine's rows are the answer's own, they are only spelled: that takes a fraction of the time, and is done in
slices, between which whoever waits for the interpreter has its turn.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import product
from typing import Any

from metriclake._errors import Fault
from metriclake.query.periods import Period
from metriclake.query.plan import Plan
from metriclake.query.points import MAX_POINTS, Points
from metriclake.store import Aggregate, Answer
from metriclake.store.selection import OTHER

_TOO_MANY = Fault("fill", f"would make more than {MAX_POINTS} rows", "take longer intervals or fewer groups")

_SLICE = 2048
"""Rows that are spelled by one call of the interpreter's own code, which no other thread can come between."""

_Key = tuple[Any, ...]
"""The position of an interval (0 where there are none), and the groups."""

_Values = dict[_Key, Any]


def arrange(made: Plan, answer: Answer, points: Points | None = None) -> list[list[Any]]:
    """
    Return the rows of the answer: times as RFC 3339, absent dimensions as null, gaps filled as asked.

    `points` are those left for the filled rows of all questions of the request. Raises InvalidQuestion where filling
    would make too many, QuestionTooLarge where there is no room for them.
    """
    if _as_they_are(made):
        texts = {start: as_text(start) for start in made.period.starts}
        if not texts or texts.keys() >= {row[0] for row in answer.rows}:
            return _spelled(answer.rows, texts)
    values = [_values(answer.rows, made.period, rate=made.rate)]
    if made.before is not None:
        values.append(_values(answer.before, made.before, rate=made.rate))
    times = [[as_text(start)] for start in made.period.starts] or [[]]
    absent = _absent(made)
    return [
        [*times[position], *(name or None for name in groups), *(found.get(key, absent) for found in values)]
        for key in _keys(made, values, points or Points())
        for position, *groups in (key,)
    ]


def _as_they_are(made: Plan) -> bool:
    """
    Tell whether the engine's rows are those of the answer, in their order.
    """
    if made.before is not None or made.rate:
        return False
    if made.period.starts:
        return made.fill == "none"
    return bool(made.selection.group_by) and made.selection.limit is None


def _spelled(rows: Sequence[tuple[Any, ...]], texts: dict[datetime, str]) -> list[list[Any]]:
    """
    Return rows with the texts of their moments, where there are any, and null for dimensions that are absent.
    """
    found: list[list[Any]] = []
    for first in range(0, len(rows), _SLICE):
        *keys, values = zip(*rows[first : first + _SLICE], strict=True)
        times = [[texts[start] for start in keys.pop(0)]] if texts else []
        groups = ([name or None for name in names] for names in keys)
        found += map(list, zip(*times, *groups, values, strict=True))
    return found


def _values(rows: Sequence[tuple[Any, ...]], period: Period, *, rate: bool) -> _Values:
    if period.starts:
        positions = {start: position for position, start in enumerate(period.starts)}
        values = {(_position(positions, row[0], period), *row[1:-1]): row[-1] for row in rows}
    else:
        values = {(0, *row[:-1]): row[-1] for row in rows}
    if not rate:
        return values
    seconds = [period.seconds(position) for position in range(len(period.starts) or 1)]
    return {key: None if value is None else value / seconds[key[0]] for key, value in values.items()}


def _position(positions: dict[datetime, int], start: datetime, period: Period) -> int:
    """
    Return the position of an interval, also where the engine knows a zone's clocks otherwise than Python does.
    """
    found = positions.get(start)
    return period.position(start) if found is None else found


def _keys(made: Plan, values: Sequence[_Values], points: Points) -> Iterable[_Key]:
    """
    Return the keys of the answer's rows in their order: by time, then by groups, or the largest first.
    """
    starts, grouped = made.period.starts, bool(made.selection.group_by)
    if not starts and not grouped:
        return [(0,)]
    if starts and made.fill != "none":
        return _filled(made, {key[1:] for found in values for key in found} if grouped else {()}, points)
    keys = values[0] if len(values) == 1 else sorted({key for found in values for key in found})
    if made.selection.limit is None or starts:
        return keys
    return sorted(keys, key=lambda key: _rank(key[1:], values[0].get(key)))


def _filled(made: Plan, groups: set[_Key], points: Points) -> Iterable[_Key]:
    """
    Return a key for each interval of each group.
    """
    starts = made.period.starts
    points.take(len(starts) * len(groups), _TOO_MANY)
    return ((position, *group) for position, group in product(range(len(starts)), sorted(groups)))


def _rank(groups: _Key, value: float | None) -> tuple[bool, bool, float, _Key]:
    """
    Return where a group stands among the largest: the rest at the end, before it what has no value.
    """
    return all(name == OTHER for name in groups), value is None, -(value or 0), groups


def _absent(made: Plan) -> int | None:
    """
    Return what stands where there is no event: as `fill` says, and of everything together, as the store says.
    """
    if made.period.starts or made.selection.group_by:
        return 0 if made.fill == "zero" else None
    return 0 if made.selection.aggregate in (Aggregate.COUNT, Aggregate.UNIQUE) else None


def as_text(moment: datetime) -> str:
    """
    Return a moment as RFC 3339 text in UTC.
    """
    text = moment.astimezone(UTC).isoformat()
    return text.replace("+00:00", "Z")
