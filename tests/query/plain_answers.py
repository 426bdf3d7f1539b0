"""
What a question means, said once more in plain Python: slow, and simple enough to be believed by reading it.

Questions are taken as JSON and events as they count, each once. Nothing of `metriclake.query` is used.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from metriclake.event import MetricEvent

MINUTE = timedelta(minutes=1)
STEPS = {
    "minute": MINUTE,
    "5m": 5 * MINUTE,
    "hour": 15 * MINUTE,
    "day": timedelta(hours=6),
    "week": timedelta(days=1),
    "month": timedelta(days=1),
    "quarter": timedelta(days=1),
    "year": timedelta(days=1),
}
"""For each interval a step that is too short to miss one of them."""

OPERATIONS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
Question = dict[str, Any]
Group = tuple[str, ...]
Values = dict[tuple[Any, ...], Any]
Rows = list[list[Any]]


def answered(events: Iterable[MetricEvent], question: Question, now: datetime) -> Rows:
    """
    Answer a question: rows in the order of their time and groups, or the largest first where only some are asked.
    """
    metric = [one for one in events if one.metric_name == question["metric"] and filtered(one, question)]
    now_period = period_of(question, now)
    periods = [now_period] + ([period_before(question, now_period)] if question.get("compare") else [])
    largest = largest_of(within(metric, now_period), question)
    columns = [values_of(within(metric, period), question, period, largest) for period in periods]
    keys = keys_of(columns, question, now_period)
    times = [[text(start)] for start in now_period.starts] or [[]]
    return [[*times[key[0]], *(name or None for name in key[1:]),
             *(column.get(key, absent(question)) for column in columns)] for key in keys]  # fmt: skip


def same(found: Rows, wanted: Rows) -> bool:
    """
    Tell whether two answers are the same, cell by cell.
    """
    return len(found) == len(wanted) and all(
        len(one) == len(other) and all(map(alike, one, other)) for one, other in zip(found, wanted, strict=True)
    )


def alike(one: Any, other: Any) -> bool:
    """
    Tell whether two cells are the same; numbers may differ in what adding up in another order changes.
    """
    if isinstance(one, int | float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)
    return bool(one == other)


def values_of(events: list[MetricEvent], question: Question, period: Period, largest: set[Group] | None) -> Values:
    """
    Return the values of a period by the position of the interval and the group.
    """
    found: dict[tuple[Any, ...], list[MetricEvent]] = {}
    for one in events:
        group = group_of(one, question)
        if largest is not None and group not in largest:
            group = ("other",) * len(group)
        found.setdefault((period.position(moment_of(one)), *group), []).append(one)
    return {key: value_of(chosen, question, period.seconds(key[0])) for key, chosen in found.items()}


def largest_of(events: list[MetricEvent], question: Question) -> set[Group] | None:
    """
    Return the groups that keep their name: those with the largest values over the whole period.
    """
    if question.get("limit") is None:
        return None
    groups: dict[Group, list[MetricEvent]] = {}
    for one in events:
        groups.setdefault(group_of(one, question), []).append(one)
    groups.pop(("other",) * len(question["group_by"]), None)
    values = {group: value_of(found, question, 1) for group, found in groups.items()}
    ranked = sorted(groups, key=lambda group: (values[group] is None, -(values[group] or 0), group))
    return set(ranked[: question["limit"]])


def keys_of(columns: list[Values], question: Question, period: Period) -> list[tuple[Any, ...]]:
    """
    Return the keys of the rows in their order.
    """
    keys = {key for column in columns for key in column}
    if not question.get("group_by") and not period.starts:
        return [(0,)]
    if period.starts and question.get("fill", "none") != "none":
        groups = {key[1:] for key in keys} if question.get("group_by") else {()}
        return sorted((position, *group) for position in range(len(period.starts)) for group in groups)
    if question.get("limit") is None or period.starts:
        return sorted(keys)
    rest = ("other",) * len(question["group_by"])
    value = columns[0].get
    return sorted(keys, key=lambda key: (key[1:] == rest, value(key) is None, -(value(key) or 0), key))


def absent(question: Question) -> int | None:
    """
    Return what stands where there is nothing.
    """
    if interval_of(question) == "none" and not question.get("group_by"):
        bare = question.get("measure") is None
        return 0 if bare or question.get("aggregate") in ("count", "unique") else None
    return 0 if question.get("fill") == "zero" else None


def interval_of(question: Question) -> str:
    """
    Return the interval that a question asks for.
    """
    return str(question.get("interval", "none"))


@dataclass(frozen=True)
class Period:
    """
    [start, end) and the starts of the intervals that it touches, if there are any.
    """

    start: datetime
    end: datetime
    starts: tuple[datetime, ...]

    def position(self, moment: datetime) -> int:
        """
        Return which interval a moment lies in.
        """
        return max(0, sum(start <= moment for start in self.starts) - 1)

    def seconds(self, position: int) -> float:
        """
        Return how many seconds of an interval lie in the period.
        """
        edges = [*self.starts, self.end] if self.starts else [self.start, self.end]
        return (edges[position + 1] - max(self.start, edges[position])).total_seconds()


def period_of(question: Question, now: datetime) -> Period:
    """
    Return the period that a question is about.
    """
    asked, zone, interval = question["range"], question.get("timezone", "UTC"), interval_of(question)
    if "from" in asked:
        start, end = datetime.fromisoformat(asked["from"]), datetime.fromisoformat(asked["to"])
    else:
        number, unit = int(asked["last"][:-1]), asked["last"][-1]
        start = now - number * {"m": MINUTE, "h": 60 * MINUTE, "d": timedelta(days=1), "w": timedelta(days=7)}[unit]
        start, end = start if interval == "none" else interval_start(start, interval, zone), now
    return Period(start, end, () if interval == "none" else starts_of(interval, zone, start, end))


def period_before(question: Question, period: Period) -> Period:
    """
    Return the period before: as long, or as many intervals, the first and the last cut as they are in this one.
    """
    if not period.starts:
        return Period(period.start - (period.end - period.start), period.start, ())
    starts = [period.starts[0]]
    while len(starts) <= len(period.starts):
        before = starts[0] - timedelta(microseconds=1)
        starts.insert(0, interval_start(before, interval_of(question), question.get("timezone", "UTC")))
    cut = max(timedelta(), period.start - period.starts[0])
    start, end = min(starts[0] + cut, starts[1]), min(starts[-2] + (period.end - period.starts[-1]), starts[-1])
    return Period(start, max(start, end), tuple(starts[:-1]))


def within(events: list[MetricEvent], period: Period) -> list[MetricEvent]:
    """
    Return the events that lie in a period.
    """
    return [one for one in events if period.start <= moment_of(one) < period.end]


def filtered(one: MetricEvent, question: Question) -> bool:
    """
    Tell whether an event passes all filters.
    """
    return all(passes(one, condition) for condition in question.get("filters", []))


def passes(one: MetricEvent, condition: dict[str, Any]) -> bool:
    """
    Tell whether an event passes a filter: a dimension's text, read as a number where it is one, or a measure's number.
    """
    name = str(condition.get("dimension", condition.get("measure")))
    dimension, measure = one.metadata.get(name, ""), one.data.get(name)
    number = number_of(dimension) if measure is None else measure if is_number(measure) else None
    there = dimension != "" or measure is not None
    tests: dict[str, Callable[[Any], bool]] = {
        "in": lambda values: dimension in values,
        "not_in": lambda values: dimension not in values,
        "equals": lambda wanted: dimension == wanted,
        "prefix": dimension.startswith,
        "exists": lambda wanted: there == wanted,
        "gt": lambda bound: number is not None and number > bound,
        "gte": lambda bound: number is not None and number >= bound,
        "lt": lambda bound: number is not None and number < bound,
        "lte": lambda bound: number is not None and number <= bound,
    }
    return all(tests[key](operand) for key, operand in condition.items() if key in tests)


def number_of(written: str) -> float | None:
    """
    Return a text read as a number; None for what is none, or none that a double can hold.
    """
    return float(written) if NUMBER.fullmatch(written) and math.isfinite(float(written)) else None


def moment_of(one: MetricEvent) -> datetime:
    """
    Return an event's time.
    """
    return datetime.fromisoformat(str(one.data["event_time"]))


def group_of(one: MetricEvent, question: Question) -> tuple[str, ...]:
    """
    Return an event's values of the dimensions that are grouped by.
    """
    return tuple(one.metadata.get(name, "") for name in question.get("group_by", []))


def value_of(events: list[MetricEvent], question: Question, seconds: float) -> Any:
    """
    Return the value of a group of events of so many seconds.
    """
    measure = question.get("measure")
    aggregate = question.get("aggregate", "sum" if measure else "count")
    if aggregate == "rate":
        amount = aggregated("count" if measure is None else "sum", events, measure)
        return None if amount is None else float(amount) / seconds
    return aggregated(aggregate, events, measure)


def aggregated(aggregate: str, events: list[MetricEvent], measure: str | None) -> Any:
    """
    Return an aggregate of a measure's values, or of the events themselves.
    """
    if measure is None:
        return len(events)
    if " " in measure:
        return derived(aggregate, events, ast.parse(measure, mode="eval").body)
    present = [one for one in events if one.metadata.get(measure, "") != "" or measure in one.data]
    if aggregate == "count":
        return len(present)
    if aggregate == "unique":
        return len({distinct(one.metadata.get(measure) or one.data[measure]) for one in present})
    return of_numbers(aggregate, [number for one in ordered(events) if (number := number_in(one, measure)) is not None])


def derived(aggregate: str, events: list[MetricEvent], formula: ast.expr) -> Any:
    """
    Return an aggregate of a formula: of a sum the formula of the sums, else of what it is for each event.
    """
    if aggregate == "sum":
        return computed(formula, lambda name: aggregated("sum", events, name))
    each = [computed(formula, lambda name, one=one: number_in(one, name)) for one in ordered(events)]  # type: ignore[misc]
    numbers = [number for number in each if number is not None]
    counts = {"count": len(numbers), "unique": len(set(numbers))}
    return counts[aggregate] if aggregate in counts else of_numbers(aggregate, numbers)


def computed(formula: ast.expr, value: Callable[[str], Any]) -> float | None:
    """
    Return what a formula makes of numbers, in doubles; None where one is missing, or where it divides by 0.
    """
    if isinstance(formula, ast.UnaryOp):
        negated = computed(formula.operand, value)
        return None if negated is None else 0 - negated
    if isinstance(formula, ast.BinOp):
        left, right = computed(formula.left, value), computed(formula.right, value)
        if left is None or right is None or (isinstance(formula.op, ast.Div) and right == 0):
            return None
        return OPERATIONS[type(formula.op)](left, right)
    found = value(formula.id) if isinstance(formula, ast.Name) else ast.literal_eval(formula)
    return None if found is None else float(found)


def ordered(events: list[MetricEvent]) -> list[MetricEvent]:
    """
    Return events in the order of their time; of one moment, of their ids.
    """
    return sorted(events, key=lambda one: (moment_of(one), one.metadata["event_id"]))


def number_in(one: MetricEvent, measure: str) -> Any:
    """
    Return the number that an event has of a measure, if any.
    """
    value = one.data.get(measure)
    return value if is_number(value) else None


def is_number(value: Any) -> bool:
    """
    Tell whether a measure's value is a number.
    """
    return isinstance(value, int | float) and not isinstance(value, bool)


def distinct(value: Any) -> tuple[str, Any]:
    """
    Return what two equal values have in common: 3 and 3.0 are equal, "3" and true are others.
    """
    return ("number", Fraction(value)) if is_number(value) else (type(value).__name__, value)


def of_numbers(aggregate: str, numbers: list[Any]) -> Any:
    """
    Return an aggregate of numbers that stand in the order of their time; None of none.
    """
    if not numbers:
        return None
    if aggregate.startswith("p"):
        return percentile(sorted(float(number) for number in numbers), int(aggregate[1:]))
    exact = sum(map(Fraction, numbers), Fraction())
    results = {
        "sum": int(exact) if exact.denominator == 1 else float(exact),
        "avg": float(exact / len(numbers)),
        "min": min(numbers),
        "max": max(numbers),
        "last": numbers[-1],
    }
    return results[aggregate]


def percentile(ordered: list[float], percent: int) -> float:
    """
    Return the value below which so many of a hundred lie, on the straight line between its two neighbours.
    """
    place = Fraction(percent, 100) * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    low, high = Fraction(ordered[below]), Fraction(ordered[above])
    return float(low + (high - low) * (place - below))


@lru_cache(maxsize=1000)
def starts_of(interval: str, zone: str, start: datetime, end: datetime) -> tuple[datetime, ...]:
    """
    Return the starts of all intervals that a range touches.
    """
    found = {interval_start(end - timedelta(microseconds=1), interval, zone)}
    while start < end:
        found.add(interval_start(start, interval, zone))
        start += STEPS[interval]
    return tuple(sorted(found))


def interval_start(moment: datetime, interval: str, zone: str) -> datetime:
    """
    Return where the interval of a moment starts, by the clocks of a zone.
    """
    local = moment.astimezone(ZoneInfo(zone))
    seconds = timedelta(seconds=local.second, microseconds=local.microsecond)
    if interval in ("minute", "5m"):
        return moment - seconds - timedelta(minutes=local.minute % (5 if interval == "5m" else 1))
    if interval == "hour":
        return hour_start(moment - seconds, zone)
    first = {
        "day": local.date(),
        "week": local.date() - timedelta(days=local.weekday()),
        "month": local.date().replace(day=1),
        "quarter": local.date().replace(day=1, month=(local.month - 1) // 3 * 3 + 1),
        "year": local.date().replace(day=1, month=1),
    }
    return day_start(first[interval], zone)


def hour_start(minute: datetime, zone: str) -> datetime:
    """
    Go back to a minute that clocks call :00, or before which they show another hour.
    """
    while True:
        local, before = minute.astimezone(ZoneInfo(zone)), (minute - MINUTE).astimezone(ZoneInfo(zone))
        if local.minute == 0 or local.hour != before.hour:
            return minute
        minute -= MINUTE


@lru_cache(maxsize=10_000)
def day_start(day: date, zone: str) -> datetime:
    """
    Return the first minute that a zone's calendar calls this day.
    """
    minute = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=15)
    while minute.astimezone(ZoneInfo(zone)).date() != day:
        minute += MINUTE
    return minute


def text(moment: datetime) -> str:
    """
    Return a moment as answers have it.
    """
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
