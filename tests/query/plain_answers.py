"""
What a question means, said once more in plain Python: slow, and simple enough to be believed by reading it.

Questions are taken as JSON and events as they count, each once. Nothing of `metriclake.query` is used.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
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

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
Question = dict[str, Any]
Rows = list[list[Any]]


def answered(events: Iterable[MetricEvent], question: Question, now: datetime) -> Rows:
    """
    Answer a question: rows in the order of their time and groups.
    """
    start, end = range_of(question, now)
    groups: dict[tuple[Any, ...], list[MetricEvent]] = {}
    for one in chosen(events, question, start, end):
        groups.setdefault((*time_of(one, question), *group_of(one, question)), []).append(one)
    if not question.get("group_by") and interval_of(question) == "none":
        groups.setdefault((), [])
    values = {key: value_of(found, question, key, start, end) for key, found in groups.items()}
    filled(values, question, start, end)
    return [
        [*key[: len(key) - len(question.get("group_by", []))], *shown(key, question), values[key]]
        for key in sorted(values)
    ]


def shown(key: tuple[Any, ...], question: Question) -> list[str | None]:
    """
    Return a key's groups as they are shown: what is absent is null.
    """
    count = len(question.get("group_by", []))
    return [name or None for name in key[len(key) - count :]]


def filled(values: dict[tuple[Any, ...], Any], question: Question, start: datetime, end: datetime) -> None:
    """
    Put a value where an interval of a group has none.
    """
    fill = question.get("fill", "none")
    if fill == "none" or interval_of(question) == "none":
        return
    groups = {key[1:] for key in values} if question.get("group_by") else {()}
    for moment in starts_of(question, start, end):
        for group in groups:
            values.setdefault((text(moment), *group), 0 if fill == "zero" else None)


def interval_of(question: Question) -> str:
    """
    Return the interval that a question asks for.
    """
    return str(question.get("interval", "none"))


def range_of(question: Question, now: datetime) -> tuple[datetime, datetime]:
    """
    Return the first moment that is in the range, and the first after it.
    """
    asked = question["range"]
    if "from" in asked:
        return datetime.fromisoformat(asked["from"]), datetime.fromisoformat(asked["to"])
    number, unit = int(asked["last"][:-1]), asked["last"][-1]
    start = now - number * {"m": MINUTE, "h": 60 * MINUTE, "d": timedelta(days=1), "w": timedelta(days=7)}[unit]
    return (start if interval_of(question) == "none" else interval_start(start, question)), now


def chosen(events: Iterable[MetricEvent], question: Question, start: datetime, end: datetime) -> list[MetricEvent]:
    """
    Return the events of the metric that lie in the range and pass the filters.
    """
    return [
        one
        for one in events
        if one.metric_name == question["metric"]
        and start <= moment_of(one) < end
        and all(passes(one, condition) for condition in question.get("filters", []))
    ]


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


def time_of(one: MetricEvent, question: Question) -> tuple[str, ...]:
    """
    Return the start of an event's interval as text, or nothing without intervals.
    """
    return () if interval_of(question) == "none" else (text(interval_start(moment_of(one), question)),)


def group_of(one: MetricEvent, question: Question) -> tuple[str, ...]:
    """
    Return an event's values of the dimensions that are grouped by.
    """
    return tuple(one.metadata.get(name, "") for name in question.get("group_by", []))


def value_of(
    events: list[MetricEvent], question: Question, key: tuple[Any, ...], start: datetime, end: datetime
) -> Any:
    """
    Return the value of a group of events.
    """
    aggregate = question.get("aggregate", "sum" if question.get("measure") else "count")
    measure = question.get("measure")
    if aggregate == "rate":
        amount = aggregated("count" if measure is None else "sum", events, measure)
        return None if amount is None else float(amount) / seconds_of(question, key, start, end)
    return aggregated(aggregate, events, measure)


def aggregated(aggregate: str, events: list[MetricEvent], measure: str | None) -> Any:
    """
    Return an aggregate of a measure's values, or of the events themselves.
    """
    if measure is None:
        return len(events)
    present = [one for one in events if one.metadata.get(measure, "") != "" or measure in one.data]
    if aggregate == "count":
        return len(present)
    if aggregate == "unique":
        return len({distinct(one.metadata.get(measure) or one.data[measure]) for one in present})
    present.sort(key=lambda one: (moment_of(one), one.metadata["event_id"]))
    return of_numbers(aggregate, [one.data[measure] for one in present if is_number(one.data[measure])])


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


def seconds_of(question: Question, key: tuple[Any, ...], start: datetime, end: datetime) -> float:
    """
    Return how many seconds of an interval lie in the range.
    """
    if interval_of(question) == "none":
        return (end - start).total_seconds()
    starts = starts_of(question, start, end)
    at = [text(moment) for moment in starts].index(key[0])
    return ((starts[at + 1] if at + 1 < len(starts) else end) - max(start, starts[at])).total_seconds()


def starts_of(question: Question, start: datetime, end: datetime) -> list[datetime]:
    """
    Return the starts of all intervals that the range touches.
    """
    return list(_starts(interval_of(question), question.get("timezone", "UTC"), start, end))


@lru_cache(maxsize=1000)
def _starts(interval: str, zone: str, start: datetime, end: datetime) -> tuple[datetime, ...]:
    found = {_interval_start(end - timedelta(microseconds=1), interval, zone)}
    while start < end:
        found.add(_interval_start(start, interval, zone))
        start += STEPS[interval]
    return tuple(sorted(found))


def interval_start(moment: datetime, question: Question) -> datetime:
    """
    Return where the interval of a moment starts, by the clocks of the question's zone.
    """
    return _interval_start(moment, interval_of(question), question.get("timezone", "UTC"))


def _interval_start(moment: datetime, interval: str, zone: str) -> datetime:
    local = moment.astimezone(ZoneInfo(zone))
    if interval in ("minute", "5m"):
        return moment - timedelta(
            minutes=local.minute % (5 if interval == "5m" else 1), seconds=local.second, microseconds=local.microsecond
        )
    if interval == "hour":
        return hour_start(moment - timedelta(seconds=local.second, microseconds=local.microsecond), zone)
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
