"""
What happens to a metric event between the rule and the lake: a literal list of named steps, each loss with a reason.

Pure: the clock, the limits and the directory's answers are arguments. A step takes a draft and completes it, or raises
`Refusal`. What leaves the last step is canonical: the store's load can neither refuse nor change it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from metriclake.event import (
    FIELD_NAMES,
    METRIC_NAMES,
    NO_TENANT,
    DropReason,
    Measure,
    MetricEvent,
    account_of,
    json_kind,
    tenant_of,
)
from metriclake.stream.directory import Attributes

MAX_DIMENSIONS = 128
MAX_MEASURES = 1024
MAX_VALUE_BYTES = 2048
MAX_EVENT_ID_BYTES = 256
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LEAST, _MOST = -(2**63), 2**63 - 1
_EXACT = range(-(2**53), 2**53 + 1)


class Refusal(Exception):  # noqa: N818 - technically not an error: a verdict on one record
    """
    This metric event does not pass: for which reason, and what its sender should know.
    """

    def __init__(self, reason: DropReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Terms:
    """
    What a batch's metric events are held against: the oldest and newest event time, in UTC.

    `types` are the declared types of measures, by metric and measure. `oldest_of` returns the oldest time of a tenant
    and a metric, where not all have the same.
    """

    oldest: datetime
    newest: datetime
    types: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    oldest_of: Callable[[str, str], datetime] | None = None


class Draft(msgspec.Struct, gc=False):
    """
    A metric event on its way: `metadata` and `data` as a rule or a sender gave them, and what the steps make of them.

    `raw` is the accepted record that it comes from, and `tenant` whose it is as far as that is usable. `dimensions` and
    `measures` are what the lake will hold: the tenant's and the event's id stand among the ones, the time is the first
    of the others.
    """

    metric: Any
    metadata: Any
    data: Any
    default_id: str | None
    raw: bytes
    arrived_at: int
    tenant: str = NO_TENANT
    event_id: str = ""
    dimensions: dict[str, str] = {}
    measures: dict[str, Measure] = {}

    @property
    def account(self) -> tuple[str, str]:
        """
        Return the books' row of this draft: its tenant and metric as far as they are usable.
        """
        return account_of(self.metric, self.metadata)


Step = Callable[[Draft, Terms], None]


def check_shape(draft: Draft, _terms: Terms) -> None:
    """
    Demand the three parts: a metric name, metadata and data.
    """
    metric, metadata, data = draft.metric, draft.metadata, draft.data
    if not isinstance(metric, str) or not metric:
        raise Refusal(DropReason.MISSING_METRIC_NAME, f"`metric_name` is {_found(metric)}, it must be text")
    if not METRIC_NAMES[metric]:
        raise Refusal(DropReason.INVALID_METRIC_NAME, "`metric_name`: 1 to 128 of letters, digits and _ . : -")
    if not isinstance(metadata, dict):
        raise Refusal(DropReason.MISSING_TENANT, f"`metadata` is {_found(metadata)}, it must be an object")
    if not isinstance(data, dict):
        raise Refusal(DropReason.MISSING_EVENT_TIME, f"`data` is {_found(data)}, it must be an object")
    if len(metadata) > MAX_DIMENSIONS:
        raise Refusal(DropReason.TOO_MANY_FIELDS, f"more than {MAX_DIMENSIONS} dimensions")
    if len(data) > MAX_MEASURES:
        raise Refusal(DropReason.TOO_MANY_FIELDS, f"more than {MAX_MEASURES} measures")


def check_tenant(draft: Draft, _terms: Terms) -> None:
    """
    Demand `metadata.tenant_id`, and that it can name a tenant.
    """
    if draft.tenant != NO_TENANT:
        return
    value = draft.metadata.get("tenant_id")
    if value is None or value == "":
        raise Refusal(DropReason.MISSING_TENANT, "`metadata.tenant_id` is missing")
    draft.tenant = tenant_of(draft.metadata)
    if draft.tenant == NO_TENANT:
        raise Refusal(
            DropReason.INVALID_TENANT,
            f"`metadata.tenant_id` is {_found(value)} that cannot name a tenant: 1 to 128 of letters, digits and"
            " . _ : @ | + = ~ -, without `..`",
        )


def check_identity(draft: Draft, _terms: Terms) -> None:
    """
    Take the identity from `metadata.event_id`, or else from the domain event's id.
    """
    value = draft.metadata.get("event_id")
    if value is None:
        value = draft.default_id
    if type(value) is int:
        value = str(value)
    if value is None or value == "":
        raise Refusal(DropReason.MISSING_EVENT_ID, "`metadata.event_id` is missing, and the event has no id")
    if type(value) is not str or _longer(value, MAX_EVENT_ID_BYTES):
        raise Refusal(
            DropReason.INVALID_EVENT_ID, f"`metadata.event_id` must be text of at most {MAX_EVENT_ID_BYTES} bytes"
        )
    draft.dimensions = {"tenant_id": draft.tenant, "event_id": value}


def check_time(draft: Draft, terms: Terms) -> None:
    """
    Read `data.event_time` and put it into UTC with microseconds; refuse what is too old or in the future.
    """
    value = draft.data.get("event_time")
    if value is None:
        raise Refusal(
            DropReason.MISSING_EVENT_TIME,
            "`data.event_time` is missing; an event that was sent with an id but without a time has no `$.time`",
        )
    time = _time(value)
    oldest = terms.oldest if terms.oldest_of is None else terms.oldest_of(draft.tenant, draft.metric)
    if not oldest <= time <= terms.newest:
        raise _untimely(time, oldest)
    fraction = _PLAIN_UTC.get(len(value)) if type(value) is str and value[-1] == "Z" and value[10] == "T" else None
    if fraction is None:
        draft.measures = {"event_time": time.isoformat(timespec="microseconds")[:26] + "Z"}
    else:
        draft.measures = {"event_time": value[:-1] + fraction}


def check_dimensions(draft: Draft, _terms: Terms) -> None:
    """
    Put every dimension into text. Empty text is the same as no dimension.
    """
    dimensions = draft.dimensions
    for name, value in draft.metadata.items():
        if name in _IDS or value is None or value == "":
            continue
        if not FIELD_NAMES[name] or name.startswith("tenant_"):
            raise Refusal(DropReason.INVALID_DIMENSION, f"{_name(name)} cannot name a dimension")
        text = value if type(value) is str else _text(name, value)
        if _longer(text, MAX_VALUE_BYTES):
            raise Refusal(
                DropReason.INVALID_DIMENSION, f"the dimension `{name}` is longer than {MAX_VALUE_BYTES} bytes"
            )
        dimensions[name] = text


def check_measures(draft: Draft, terms: Terms) -> None:
    """
    Hold every measure against its declared type; an undeclared number is a double.
    """
    types = terms.types.get(draft.metric, _NO_TYPES)
    dimensions, measures = draft.dimensions, draft.measures
    for name, value in draft.data.items():
        if name == "event_time" or value is None:
            continue
        if not FIELD_NAMES[name]:
            raise Refusal(DropReason.INVALID_MEASURE, f"{_name(name)} cannot name a measure")
        if name in dimensions and name not in _IDS:
            raise Refusal(DropReason.INVALID_MEASURE, f"`{name}` is a dimension and a measure: rename one of them")
        declared = types.get(name)
        if type(value) is int and declared == "integer" and _LEAST <= value <= _MOST:
            measures[name] = value
        else:
            measures[name] = _measure(name, value, declared)


VALIDATE: tuple[Step, ...] = (
    check_shape,
    check_tenant,
    check_identity,
    check_time,
    check_dimensions,
    check_measures,
)
"""What a draft passes before the directory is asked for its tenant."""


def as_dimensions(attributes: Attributes) -> dict[str, str]:
    """
    Return a tenant's attributes as the dimensions that the enrich step adds: `tenant_<name>`, none with empty text.
    """
    return {f"tenant_{name}": value for name, value in attributes.items() if value}


def put_attributes(
    draft: Draft, answers: Mapping[str, Mapping[str, str] | None], *, accept_unknown: bool
) -> MetricEvent:
    """
    Enrich, and return the finished metric event; `answers` are the tenants' attributes as dimensions.

    A tenant that is missing in the answers is one of whom nothing could be said: it passes without attributes.
    """
    attributes = answers.get(draft.tenant, _NO_TYPES)
    if attributes is None:
        if not accept_unknown:
            raise Refusal(DropReason.UNKNOWN_TENANT, "the tenants' directory does not know this tenant")
        attributes = _NO_TYPES
    metadata = {**draft.dimensions, **attributes} if attributes else draft.dimensions
    return MetricEvent(draft.metric, metadata, draft.measures)


_PLAIN_UTC = {20: ".000000Z", 24: "000Z", 27: "Z"}
"""What UTC text of these lengths lacks to be canonical: whole seconds, milliseconds, microseconds."""

_NO_TYPES: Mapping[str, str] = {}
_IDS = frozenset({"tenant_id", "event_id"})


def _longer(text: str, most: int) -> bool:
    """
    Tell whether text has more UTF-8 bytes than `most`; a character has four of them at most.
    """
    return 4 * len(text) > most and len(text.encode()) > most


def _time(value: Any) -> datetime:
    if type(value) is str:
        try:
            time = msgspec.convert(value, datetime)
        except msgspec.ValidationError:
            raise Refusal(
                DropReason.INVALID_EVENT_TIME,
                "`data.event_time` is not a time: RFC 3339 text such as 2026-01-31T12:00:00Z, or a number since 1970",
            ) from None
        if time.tzinfo is None:
            raise Refusal(DropReason.INVALID_EVENT_TIME, "`data.event_time` has no offset: end it with Z or +hh:mm")
        try:
            return time if time.tzinfo is UTC else time.astimezone(UTC)
        except OverflowError:
            raise Refusal(DropReason.INVALID_EVENT_TIME, "`data.event_time` lies outside the calendar") from None
    if type(value) in (int, float):
        return _epoch_time(value)
    raise Refusal(DropReason.INVALID_EVENT_TIME, f"`data.event_time` is {_found(value)}, it must be text or a number")


def _untimely(time: datetime, oldest: datetime) -> Refusal:
    if time < _EPOCH:
        return Refusal(DropReason.INVALID_EVENT_TIME, "`data.event_time` lies before 1970")
    if time < oldest:
        return Refusal(DropReason.EXPIRED, "`data.event_time` is older than the store's retention of it")
    return Refusal(DropReason.FUTURE, "`data.event_time` lies in the future: compare the clocks")


def _epoch_time(value: float) -> datetime:
    """
    Read seconds, milliseconds or microseconds since 1970, told apart by their size.
    """
    scale = 1_000_000 if abs(value) < 1e11 else 1_000 if abs(value) < 1e14 else 1
    try:
        return _EPOCH + timedelta(microseconds=round(value * scale))
    except (OverflowError, ValueError):
        raise Refusal(DropReason.INVALID_EVENT_TIME, "`data.event_time` lies outside the calendar") from None


def _text(name: str, value: Any) -> str:
    if isinstance(value, bool | int | float):
        return msgspec.json.encode(value).decode()
    raise Refusal(DropReason.INVALID_DIMENSION, f"the dimension `{name}` is {_found(value)}, it must be text")


def _measure(name: str, value: Any, declared: str | None) -> Measure:
    kind = type(value)
    if kind is float and declared in (None, "double"):
        if math.isfinite(value):
            return value  # type: ignore[no-any-return] # its type is checked above
        raise Refusal(DropReason.INVALID_MEASURE, f"the measure `{name}` is not finite")
    if kind in (int, float):
        return _number(name, value, declared)
    if kind is bool and declared in (None, "boolean"):
        return bool(value)
    if kind is str and declared in (None, "string"):
        return _string(name, value)
    if kind in (bool, str):
        raise _mismatch(name, value, declared)
    raise Refusal(DropReason.INVALID_MEASURE, f"the measure `{name}` is {_found(value)}, it must be a single value")


def _number(name: str, value: float, declared: str | None) -> Measure:
    if declared in (None, "double"):
        if int(value) not in _EXACT and _inexact(value):
            raise Refusal(
                DropReason.INVALID_MEASURE, f"the measure `{name}` does not fit a double: declare `type: integer`"
            )
        return float(value)
    if declared != "integer":
        raise _mismatch(name, value, declared)
    if type(value) is float and not (value.is_integer() and int(value) in _EXACT):
        raise _mismatch(name, value, declared)
    if not _LEAST <= value <= _MOST:
        raise Refusal(DropReason.INVALID_MEASURE, f"the measure `{name}` does not fit 64 bits")
    return int(value)


def _inexact(value: float) -> bool:
    try:
        return float(value) != value
    except OverflowError:
        return True


def _string(name: str, value: str) -> str:
    if _longer(value, MAX_VALUE_BYTES):
        raise Refusal(DropReason.INVALID_MEASURE, f"the measure `{name}` is longer than {MAX_VALUE_BYTES} bytes")
    return value


def _mismatch(name: str, value: Any, declared: str | None) -> Refusal:
    return Refusal(
        DropReason.TYPE_MISMATCH, f"the measure `{name}` is {_found(value)}, the pipeline file says {declared}"
    )


def _found(value: Any) -> str:
    kind = json_kind(value)
    return kind if value is None else f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def _name(name: str) -> str:
    return f"`{name}`" if len(name) <= 60 and name.isprintable() else "a name that is too long or not printable"
