"""
Plan a question against what the tenant has: from names to a `Selection`.

Pure. A name that the tenant's catalogue does not have is a fault, with the nearest one that it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from metriclake._errors import Fault, InvalidQuestion, QuestionTooLarge
from metriclake.query import intervals
from metriclake.query.names import Names, unknown
from metriclake.query.periods import Period, period_before, period_of
from metriclake.query.points import Points
from metriclake.query.question import RATE, Draft, Question
from metriclake.store import Aggregate, Bucket, Measure, Metric, Operation, Selection, Term

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

    def as_json(self) -> dict[str, Any]:
        """
        Return the column as answers name it.
        """
        return {"name": self.name, "type": self.type, "unit": self.unit}


@dataclass(frozen=True, slots=True)
class Plan:
    """
    What to read, and how to put it into the answer; with `rate`, values are divided by the seconds of their interval.

    `before` is the period that is laid beside the one that was asked about.
    """

    selection: Selection
    period: Period
    before: Period | None
    columns: tuple[Column, ...]
    fill: str
    rate: bool = False


def plan(
    draft: Draft, metrics: Mapping[str, Metric], units: Units, now: datetime, points: Points | None = None
) -> Plan:
    """
    Plan a question at the moment `now`; `points` are those left for the intervals of all questions of the request.

    Raises InvalidQuestion with every fault of the question's shape and every name that is not there, QuestionTooLarge
    where the only fault is that there is no room.
    """
    question, faults = draft.question, list(draft.faults)
    names = Names(question, metrics.get(question.metric))
    if names.known:
        faults += names.faults
    elif question.metric:
        faults.append(unknown("metric", question.metric, "metric", metrics))
    period = _period(draft, now, points, faults)
    if faults or period is None:
        raise InvalidQuestion(tuple(faults))
    before = period_before(period, question.bucket, question.zone) if question.compared else None
    selection = Selection(
        metric=question.metric,
        aggregate=_aggregate(question),
        start=period.start,
        end=period.end,
        value=names.value,
        bucket=question.bucket,
        zone=question.zone,
        edges=intervals.edges((before or period).start, period.end, question.bucket, question.zone),
        group_by=question.group_by,
        conditions=names.conditions,
        before=None if before is None else (before.start, before.end),
        limit=question.limit,
    )
    columns = _columns(question, selection, units)
    return Plan(selection, period, before, columns, question.fill, rate=question.aggregate == RATE)


def _period(draft: Draft, now: datetime, points: Points | None, faults: list[Fault]) -> Period | None:
    """
    Return the period, where what was said of it could be read; notes the fault of one that is cut too fine.
    """
    if any(fault.place.partition(".")[0] in ("question", "range", "timezone", "interval") for fault in draft.faults):
        return None
    try:
        return period_of(draft.question, now, points)
    except InvalidQuestion as error:
        faults += error.faults
    except QuestionTooLarge:
        if not faults:
            raise
    return None


def _aggregate(question: Question) -> Aggregate:
    if question.aggregate == RATE:
        return Aggregate.COUNT if question.measure is None else Aggregate.SUM
    return Aggregate(question.aggregate)


def _columns(question: Question, selection: Selection, units: Units) -> tuple[Column, ...]:
    columns = [Column("time", "time")] if selection.bucket is not Bucket.NONE else []
    columns += [Column(name, "string") for name in selection.group_by]
    whole = selection.whole and question.aggregate != RATE
    values = ("value", "previous") if question.compared else ("value",)
    kind, unit = "integer" if whole else "double", _unit(question, selection, units)
    return (*columns, *(Column(name, kind, unit) for name in values))


def _unit(question: Question, selection: Selection, units: Units) -> str | None:
    if question.aggregate in _UNITLESS:
        return None
    unit = _unit_of(selection.value, selection.metric, units)
    if question.aggregate != RATE:
        return unit
    return "1/s" if selection.value is None else unit and f"{unit}/s"


def _unit_of(term: Term | None, metric: str, units: Units) -> str | None:
    """
    Return the unit of a value; of a formula, where it adds and subtracts what has the same one.
    """
    if isinstance(term, Operation) and term.sign in "+-":
        left, right = _unit_of(term.left, metric, units), _unit_of(term.right, metric, units)
        return left if left == right else None
    return units.get((metric, term.name)) if isinstance(term, Measure) else None
