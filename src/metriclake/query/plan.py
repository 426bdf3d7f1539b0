"""
Plan a question against what the tenant has: from names to a `Selection`, and from the engine's rows to the answer.

Pure. A name that the tenant's catalogue does not have is a fault, with the nearest one that it has.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from typing import Any

from metriclake._errors import Fault, InvalidQuestion
from metriclake.query import intervals
from metriclake.query.question import EARLIEST, Question
from metriclake.store import Answer, Bucket, Metric, Selection
from metriclake.store.reader import numeric

MAX_POINTS = 100_000
"""Intervals times groups that one answer may have."""


_INT64 = range(-(2**63), 2**63)


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
    What to read, and how to put it into the answer.
    """

    selection: Selection
    columns: tuple[Column, ...]
    fill: str


def plan(
    question: Question, metrics: Mapping[str, Metric], units: Mapping[tuple[str, str], str | None], now: datetime
) -> Plan:
    """
    Plan a question at the moment `now`; `units` are those of measures, by metric and measure.

    Raises InvalidQuestion with every name that is not there.
    """
    metric = metrics.get(question.metric)
    if metric is None:
        raise InvalidQuestion((_unknown("metric", question.metric, "metric", metrics),))
    faults = [*_dimension_faults(question, metric), *_measure_faults(question, metric)]
    start, end = _range(question, now)
    if question.bucket is not Bucket.NONE and intervals.count(start, end, question.bucket, question.zone) > MAX_POINTS:
        faults.append(Fault("interval", f"cuts the range into more than {MAX_POINTS} pieces", "take a longer one"))
    if faults:
        raise InvalidQuestion(tuple(faults))
    selection = Selection(
        metric=question.metric,
        aggregate=question.aggregate,
        start=start,
        end=end,
        measure=question.measure,
        types=_types(question, metric),
        bucket=question.bucket,
        zone=question.zone,
        edges=intervals.edges(start, end, question.bucket, question.zone),
        group_by=question.group_by,
        filters=question.filters,
    )
    return Plan(selection, _columns(question, selection, units), question.fill)


def arrange(made: Plan, answer: Answer) -> list[list[Any]]:
    """
    Return the rows of the answer: times as RFC 3339, absent dimensions as null, gaps filled as asked.
    """
    selection = made.selection
    rows = [_row(row, selection) for row in answer.rows]
    if made.fill == "none" or selection.bucket is Bucket.NONE:
        return rows
    filler = 0 if made.fill == "zero" else None
    return _filled(rows, selection, filler)


def _range(question: Question, now: datetime) -> tuple[datetime, datetime]:
    """
    Return the range. With intervals, `last` reaches back to the start of the one that it falls into.
    """
    if question.start is not None and question.end is not None:
        return question.start.astimezone(UTC), question.end.astimezone(UTC)
    assert question.last is not None  # noqa: S101 - a question has one or the other
    start = max(now - question.last, EARLIEST)
    if question.bucket is not Bucket.NONE:
        start = intervals.start_of(start, question.bucket, question.zone)
    return start, now


def _dimension_faults(question: Question, metric: Metric) -> list[Fault]:
    known = (*metric.dimensions, *metric.attributes)
    named = [("group_by", name) for name in question.group_by]
    named += [(f"filters[{index}]", found.dimension) for index, found in enumerate(question.filters)]
    return [_unknown(place, name, "dimension", known) for place, name in named if name not in known]


def _measure_faults(question: Question, metric: Metric) -> list[Fault]:
    if question.measure is None:
        return []
    types = metric.measures.get(question.measure)
    if types is None:
        return [_unknown("measure", question.measure, "measure", metric.measures)]
    if question.aggregate == "count" or numeric(metric.measures, question.measure):
        return []
    return [
        Fault("aggregate", f"`{question.aggregate}` needs numbers, the measure is {' and '.join(types)}", "ask count")
    ]


def _types(question: Question, metric: Metric) -> tuple[str, ...]:
    if question.measure is None:
        return ()
    types = metric.measures[question.measure]
    return types if question.aggregate == "count" else numeric(metric.measures, question.measure)


def _unknown(place: str, name: str, what: str, known: Iterable[str]) -> Fault:
    near = difflib.get_close_matches(name, list(known), n=1)
    shown = name if len(name) <= 60 and name.isprintable() else "this"
    return Fault(
        place, f"there is no {what} `{shown}`", f"did you mean `{near[0]}`?" if near else "see GET /v1/catalog"
    )


def _columns(
    question: Question, selection: Selection, units: Mapping[tuple[str, str], str | None]
) -> tuple[Column, ...]:
    columns = [Column("time", "time")] if selection.bucket is not Bucket.NONE else []
    columns += [Column(name, "string") for name in selection.group_by]
    counted = question.aggregate == "count"
    whole = counted or (selection.types == ("integer",) and question.aggregate != "avg")
    unit = None if counted or question.measure is None else units.get((question.metric, question.measure))
    return (*columns, Column("value", "integer" if whole else "double", unit))


def _row(row: Sequence[Any], selection: Selection) -> list[Any]:
    values = list(row)
    first = 0
    if selection.bucket is not Bucket.NONE:
        values[0] = as_text(values[0])
        first = 1
    for index in range(first, first + len(selection.group_by)):
        values[index] = values[index] or None
    if isinstance(values[-1], int) and values[-1] not in _INT64:
        values[-1] = float(values[-1])
    return values


def _filled(rows: list[list[Any]], selection: Selection, filler: int | None) -> list[list[Any]]:
    """
    Put a row where an interval of a group has none.
    """
    times = [
        as_text(start) for start in intervals.starts(selection.start, selection.end, selection.bucket, selection.zone)
    ]
    have = {tuple(row[:-1]): row for row in rows}
    groups: list[tuple[Any, ...]] = list(dict.fromkeys(tuple(row[1:-1]) for row in rows))
    if not selection.group_by:
        groups = [()]
    if len(times) * len(groups) > MAX_POINTS:
        fault = Fault("fill", f"would make more than {MAX_POINTS} rows", "take longer intervals or fewer groups")
        raise InvalidQuestion((fault,))
    return [have.get((time, *group)) or [time, *group, filler] for time, group in product(times, groups)]


def as_text(moment: datetime) -> str:
    """
    Return a moment as RFC 3339 text in UTC.
    """
    text = moment.astimezone(UTC).isoformat()
    return text.replace("+00:00", "Z")
