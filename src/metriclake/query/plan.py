"""
Plan a question against what the tenant has: from names to a `Selection`, and from the engine's rows to the answer.

Pure. A name that the tenant's catalogue does not have is a fault, with the nearest one that it has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from typing import Any

from metriclake._errors import Fault, InvalidQuestion
from metriclake.query import intervals
from metriclake.query.names import Names, unknown
from metriclake.query.periods import MAX_POINTS, Period, period_of
from metriclake.query.question import RATE, Draft, Question
from metriclake.store import Aggregate, Answer, Bucket, Measure, Metric, Selection

Units = Mapping[tuple[str, str], str | None]
"""The units of measures, by metric and measure."""

_UNITLESS = (Aggregate.COUNT.value, Aggregate.UNIQUE.value)


@dataclass(frozen=True, slots=True)
class Column:
    """
    A column of an answer.
    """

    name: str
    type: str
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """
    What to read, and how to put it into the answer; with `rate`, values are divided by the seconds of their interval.
    """

    selection: Selection
    period: Period
    columns: tuple[Column, ...]
    fill: str
    rate: bool = False


def plan(draft: Draft, metrics: Mapping[str, Metric], units: Units, now: datetime) -> Plan:
    """
    Plan a question at the moment `now`.

    Raises InvalidQuestion with every fault of the question's shape and every name that is not there.
    """
    question, faults = draft.question, list(draft.faults)
    names = Names(question, metrics.get(question.metric))
    if names.known:
        faults += names.faults
    elif question.metric:
        faults.append(unknown("metric", question.metric, "metric", metrics))
    period = _period(draft, now, faults)
    if faults or period is None:
        raise InvalidQuestion(tuple(faults))
    selection = Selection(
        metric=question.metric,
        aggregate=_aggregate(question),
        start=period.start,
        end=period.end,
        value=names.value,
        bucket=question.bucket,
        zone=question.zone,
        edges=intervals.edges(period.start, period.end, question.bucket, question.zone),
        group_by=question.group_by,
        conditions=names.conditions,
    )
    columns = _columns(question, selection, units)
    return Plan(selection, period, columns, question.fill, rate=question.aggregate == RATE)


def _period(draft: Draft, now: datetime, faults: list[Fault]) -> Period | None:
    """
    Return the period, where what was said of it could be read; notes the fault of one that is cut too fine.
    """
    if any(fault.place.partition(".")[0] in ("question", "range", "timezone", "interval") for fault in draft.faults):
        return None
    try:
        return period_of(draft.question, now)
    except InvalidQuestion as error:
        faults += error.faults
        return None


def _aggregate(question: Question) -> Aggregate:
    if question.aggregate == RATE:
        return Aggregate.COUNT if question.measure is None else Aggregate.SUM
    return Aggregate(question.aggregate)


def _columns(question: Question, selection: Selection, units: Units) -> tuple[Column, ...]:
    columns = [Column("time", "time")] if selection.bucket is not Bucket.NONE else []
    columns += [Column(name, "string") for name in selection.group_by]
    whole = selection.whole and question.aggregate != RATE
    return (*columns, Column("value", "integer" if whole else "double", _unit(question, selection, units)))


def _unit(question: Question, selection: Selection, units: Units) -> str | None:
    unit = units.get((selection.metric, selection.value.name)) if isinstance(selection.value, Measure) else None
    if question.aggregate == RATE:
        return "1/s" if selection.value is None else unit and f"{unit}/s"
    return None if question.aggregate in _UNITLESS else unit


def arrange(made: Plan, answer: Answer) -> list[list[Any]]:
    """
    Return the rows of the answer: times as RFC 3339, absent dimensions as null, gaps filled as asked.
    """
    values = _values(made, answer.rows)
    if made.fill != "none" and made.period.starts:
        values = _filled(made, values)
    times = [as_text(start) for start in made.period.starts]
    first = [[time] for time in times] or [[]]
    return [
        [*first[position], *(name or None for name in groups), value] for (position, *groups), value in values.items()
    ]


_Values = dict[tuple[Any, ...], Any]
"""The values of an answer by the position of their interval (0 where there are none) and their groups."""


def _values(made: Plan, rows: Sequence[tuple[Any, ...]]) -> _Values:
    period = made.period
    if period.starts:
        positions = {start: position for position, start in enumerate(period.starts)}
        keyed = {(_position(positions, row[0], period), *row[1:-1]): row[-1] for row in rows}
    else:
        keyed = {(0, *row[:-1]): row[-1] for row in rows}
    if not made.rate:
        return keyed
    seconds = [period.seconds(position) for position in range(len(period.starts) or 1)]
    return {key: None if value is None else value / seconds[key[0]] for key, value in keyed.items()}


def _position(positions: Mapping[datetime, int], start: datetime, period: Period) -> int:
    found = positions.get(start)
    return period.position(start) if found is None else found


def _filled(made: Plan, values: _Values) -> _Values:
    """
    Put a value where an interval of a group has none.
    """
    filler = 0 if made.fill == "zero" else None
    groups = sorted({key[1:] for key in values}) if made.selection.group_by else [()]
    if len(made.period.starts) * len(groups) > MAX_POINTS:
        fault = Fault("fill", f"would make more than {MAX_POINTS} rows", "take longer intervals or fewer groups")
        raise InvalidQuestion((fault,))
    keys = ((position, *group) for position, group in product(range(len(made.period.starts)), groups))
    return {key: values.get(key, filler) for key in keys}


def as_text(moment: datetime) -> str:
    """
    Return a moment as RFC 3339 text in UTC.
    """
    text = moment.astimezone(UTC).isoformat()
    return text.replace("+00:00", "Z")
