"""
Judge one event of Mixpanel's: may it be taken, and what of it is kept. Pure: the time is an argument.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from metriclake.testing.record import Arrival, Rule

_PAGE = "Mixpanel, Import Events, 2026-08-21"
_DEDUPLICATION = "Mixpanel, Event Deduplication, 2026-08-21"
_TRACK = "Mixpanel, Track Events, 2026-08-21"

EVENT_SIZE = Rule("mixpanel-event-size", "an event must be smaller than 1 MB of JSON", f"{_PAGE}: Validation")
MEGABYTES = Rule(
    "mixpanel-megabytes",
    "MB are 1,048,576 bytes, as in the sample of the 413",
    "Mixpanel, Ingestion API (OpenAPI), 2026-08-21: StrictTooLarge",
)
PROPERTIES = Rule("mixpanel-properties", "an event must have fewer than 255 properties", f"{_PAGE}: Validation")
NESTING = Rule(
    "mixpanel-nesting", "objects have fewer than 255 keys, and are nested at most 3 deep", f"{_PAGE}: Validation"
)
NESTING_COUNTED = Rule("mixpanel-nesting-counted", "the object that is a property's value is the first level")
ARRAYS = Rule("mixpanel-arrays", "arrays have fewer than 255 elements", f"{_PAGE}: Validation")
STRINGS = Rule("mixpanel-strings", "strings are cut after 255 characters", f"{_PAGE}: Common Issues")
REQUIRED = Rule("mixpanel-required", "event, time, distinct_id and $insert_id are required", f"{_PAGE}: Validation")
TIME_UNIT = Rule("mixpanel-time-unit", "time is in seconds or milliseconds since 1970", f"{_PAGE}: properties.time")
TIME_RANGE = Rule(
    "mixpanel-time-range", "a time before 1971, or more than an hour ahead, is rejected", f"{_PAGE}: properties.time"
)
TIME_AHEAD = Rule(
    "mixpanel-time-ahead",
    "a time that is ahead by less is replaced by the time of arrival",
    f"{_PAGE}: properties.time",
)
TIME_REPLACED = Rule(
    "mixpanel-time-replaced", "what is compared is the replaced time: such an event, sent again, is a second one"
)
DISTINCT_ID = Rule(
    "mixpanel-distinct-id",
    "distinct_id may be empty, and must not be a placeholder such as anonymous, null, 0 or the zero UUID",
    f"{_PAGE}: properties.distinct_id",
)
INSERT_ID = Rule(
    "mixpanel-insert-id",
    "$insert_id has at most 36 bytes of A-Z, a-z, 0-9 and -, and must not be such a placeholder",
    f"{_PAGE}: properties.$insert_id",
)
FOUR = Rule(
    "mixpanel-duplicates",
    "events with the same event, time, distinct_id and $insert_id are one; the latest is shown",
    f"{_PAGE}: properties.$insert_id; {_DEDUPLICATION}",
)
SAME_DAY = Rule(
    "mixpanel-compaction",
    "later, events of one UTC day with the same event, distinct_id and $insert_id may become one: `compact()`",
    f"{_DEDUPLICATION}: Compaction-Time Deduplication",
)
GENERATED_ID = Rule(
    "mixpanel-generated-id",
    "where an event without $insert_id is taken it is given one, and is never a duplicate",
    f"{_DEDUPLICATION}: Deduplication Example",
)
TRACK_AGE = Rule("mixpanel-track-age", "/track takes events of the last 5 days", f"{_TRACK}: When to use")

EVENT_RULES = (
    EVENT_SIZE, MEGABYTES, PROPERTIES, NESTING, NESTING_COUNTED, ARRAYS, STRINGS, REQUIRED, TIME_UNIT, TIME_RANGE,
    TIME_AHEAD, TIME_REPLACED, DISTINCT_ID, INSERT_ID, FOUR, SAME_DAY, GENERATED_ID, TRACK_AGE,
)  # fmt: skip

_YEAR_SECONDS = 365 * 24 * 3600
_AHEAD_SECONDS = 3600
_TRACK_SECONDS = 5 * 24 * 3600
_MOST = 255
_DEEPEST = 3
_INSERT_ID_BYTES = 36
_INSERT_ID = re.compile(r"[A-Za-z0-9-]+")
_PLACEHOLDERS = frozenset(
    {"00000000-0000-0000-0000-000000000000", "anon", "anonymous", "nil", "none", "null", "n/a", "na", "undefined",
     "unknown", "<nil>", "0", "-1", "true", "false", "[]", "{}"}
)  # fmt: skip
_FAR = _YEAR_SECONDS * 1000
"""From here on a number is milliseconds: the first that are taken, and as seconds a day in the year 2969."""


@dataclass(frozen=True, slots=True)
class EventTerms:
    """
    What an event is held against: the time, a size, and how strictly.
    """

    now: float
    most_bytes: int
    strict: bool
    track: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    """
    What is wrong with an event, and where.
    """

    rule: Rule
    field: str
    message: str


def judged(raw: bytes, terms: EventTerms) -> tuple[dict[str, Any], Fault | None]:
    """
    Return an event, as it was sent, and what is wrong with it.
    """
    try:
        event = msgspec.json.decode(raw, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}, Fault(REQUIRED, "", "event is not a JSON object")
    if len(raw) >= terms.most_bytes:
        return event, Fault(EVENT_SIZE, "", f"event must be smaller than {terms.most_bytes} bytes")
    return event, next(_faults(event, terms), None)


def arrival(event: dict[str, Any], terms: EventTerms) -> Arrival:
    """
    Return what is kept of an event without faults: strings cut, and its time replaced where it is ahead.
    """
    properties = {name: _cut(value) for name, value in event["properties"].items()}
    time = _seconds(properties.get("time"))
    if time is None or time > terms.now:
        properties["time"] = int(terms.now)
    given = properties.get("$insert_id")
    identity = (event["event"], properties["time"], properties.get("distinct_id"), given) if given else None
    return Arrival(event["event"], {**event, "properties": properties}, identity)


def same_day(event: dict[str, Any]) -> tuple[Any, ...] | None:
    """
    Return by what an event is found again at compaction, if it can be.
    """
    properties = event["properties"]
    seconds = _seconds(properties["time"])
    if not properties.get("$insert_id") or seconds is None:
        return None
    return event["event"], int(seconds // 86400), properties.get("distinct_id"), properties["$insert_id"]


def _faults(event: dict[str, Any], terms: EventTerms) -> Iterator[Fault]:
    if not isinstance(event.get("event"), str) or not event["event"]:
        yield Fault(REQUIRED, "event", "'event' is missing or empty")
    properties = event.get("properties")
    if not isinstance(properties, dict):
        yield Fault(REQUIRED, "properties", "'properties' is missing or no object")
        return
    if len(properties) >= _MOST:
        yield Fault(PROPERTIES, "properties", f"'properties' must have fewer than {_MOST} keys")
    yield from _time_faults(properties, terms)
    yield from _id_faults(properties, terms)
    for name, value in properties.items():
        yield from _value_faults(f"properties.{name}", value, 1)


def _time_faults(properties: dict[str, Any], terms: EventTerms) -> Iterator[Fault]:
    if "time" not in properties:
        if terms.strict:
            yield Fault(REQUIRED, "properties.time", "'properties.time' is missing")
        return
    seconds = _seconds(properties["time"])
    if seconds is None:
        yield Fault(
            TIME_UNIT, "properties.time", "'properties.time' is invalid: must be specified as seconds since epoch"
        )
    elif seconds < _YEAR_SECONDS or seconds > terms.now + _AHEAD_SECONDS:
        yield Fault(
            TIME_RANGE, "properties.time", "'properties.time' is invalid: before 1971-01-01 or over an hour ahead"
        )
    elif terms.track and seconds < terms.now - _TRACK_SECONDS:
        yield Fault(TRACK_AGE, "properties.time", "'properties.time' is invalid: older than 5 days")


def _id_faults(properties: dict[str, Any], terms: EventTerms) -> Iterator[Fault]:
    for name, rule in (("distinct_id", DISTINCT_ID), ("$insert_id", INSERT_ID)):
        field = f"properties.{name}"
        if name not in properties:
            if terms.strict:
                yield Fault(REQUIRED, field, f"'{field}' is missing")
        elif not isinstance(properties[name], str) or properties[name].lower() in _PLACEHOLDERS:
            yield Fault(rule, field, f"'{field}' is invalid: must be a string that identifies")
    given = properties.get("$insert_id")
    if isinstance(given, str) and (len(given.encode()) > _INSERT_ID_BYTES or not _INSERT_ID.fullmatch(given)):
        message = "'properties.$insert_id' is invalid: must be at most 36 bytes, alphanumeric or -"
        yield Fault(INSERT_ID, "properties.$insert_id", message)


def _value_faults(field: str, value: Any, depth: int) -> Iterator[Fault]:
    if isinstance(value, dict):
        if len(value) >= _MOST:
            yield Fault(NESTING, field, f"'{field}' is invalid: must have fewer than {_MOST} keys")
        if depth > _DEEPEST:
            yield Fault(NESTING, field, f"'{field}' is invalid: objects are nested at most {_DEEPEST} deep")
            return
        for name, inner in value.items():
            yield from _value_faults(f"{field}.{name}", inner, depth + 1)
    elif isinstance(value, list):
        if len(value) >= _MOST:
            yield Fault(ARRAYS, field, f"'{field}' is invalid: must have fewer than {_MOST} elements")
        for inner in value:
            yield from _value_faults(field, inner, depth)


def _seconds(time: Any) -> float | None:
    """
    Return a time in seconds, if it is a number.
    """
    if isinstance(time, bool) or not isinstance(time, int | float):
        return None
    return time / 1000 if abs(time) >= _FAR else time


def _cut(value: Any) -> Any:
    if isinstance(value, str):
        return value[:_MOST]
    if isinstance(value, list):
        return [_cut(inner) for inner in value]
    if isinstance(value, dict):
        return {name: _cut(inner) for name, inner in value.items()}
    return value
