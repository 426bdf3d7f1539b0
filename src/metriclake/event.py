"""
The nouns that every stage speaks: domain event, metric event, and the reasons of a refusal.

A domain event is what a service emits, in EventBridge's shape. A metric event is what a rule makes of it, in the
unified schema: `metric_name`, `metadata` with `tenant_id`, `data` with `event_time`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import msgspec

NO_TENANT = "(none)"
"""The books' row for metric events whose tenant is missing or malformed."""

NO_METRIC = "(none)"
"""The books' row for metric events without a usable metric name."""

_TENANT_ID = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_:@|+=~-]|\.(?!\.)){0,127}", re.ASCII)
_METRIC_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}", re.ASCII)
_FIELD_NAME = re.compile(r"[A-Za-z_$][A-Za-z0-9_.$:-]{0,59}", re.ASCII)
_MOST_NAME = 128
_MOST_JUDGED = 65_536
_RESERVED_FIELDS = frozenset({"time", "measure_name", "measure_value"})

Number = int | float
Measure = bool | int | float | str


class DomainEvent(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True, gc=False):
    """
    What a service emits: EventBridge's event shape, plus the bus it came by.

    `detail` stays raw JSON until a rule looks at it. `time` stays absent where the sender gave an id but no time: the
    arrival's time would be another on a retry, and the retry would count twice. `cloudevent` holds the attributes of a
    CloudEvent that have no place of their own here.
    """

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=256)] | msgspec.UnsetType = msgspec.UNSET
    source: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    detail_type: Annotated[str, msgspec.Meta(min_length=1, max_length=256)] = msgspec.field(name="detail-type")
    bus: Annotated[str, msgspec.Meta(min_length=1, max_length=256)] = "default"
    time: Annotated[datetime, msgspec.Meta(tz=True)] | msgspec.UnsetType = msgspec.UNSET
    account: str | None = None
    region: str | None = None
    version: str | None = None
    resources: list[str] | None = None
    cloudevent: dict[str, str] | None = None
    detail: msgspec.Raw


class MetricEvent(msgspec.Struct, frozen=True, gc=False):
    """
    The unified schema, valid and canonical: what a `Data/` object holds, one a line.

    `metadata` holds dimensions as text, with `tenant_id` and `event_id` among them. `data` holds `event_time`
    (RFC 3339, UTC, microseconds) and the measures: a double is written with a point or an exponent, a declared
    integer without.
    """

    metric_name: str
    metadata: dict[str, str]
    data: dict[str, Measure]


class DropReason(StrEnum):
    """
    Why a metric event was refused; also the folder below `Error/` where it is kept.
    """

    MISSING_METRIC_NAME = "missing-metric-name"
    INVALID_METRIC_NAME = "invalid-metric-name"
    MISSING_TENANT = "missing-tenant"
    INVALID_TENANT = "invalid-tenant"
    UNKNOWN_TENANT = "unknown-tenant"
    MISSING_EVENT_ID = "missing-event-id"
    INVALID_EVENT_ID = "invalid-event-id"
    MISSING_EVENT_TIME = "missing-event-time"
    INVALID_EVENT_TIME = "invalid-event-time"
    EXPIRED = "expired"
    FUTURE = "future"
    INVALID_DIMENSION = "invalid-dimension"
    INVALID_MEASURE = "invalid-measure"
    TYPE_MISMATCH = "type-mismatch"
    TOO_MANY_FIELDS = "too-many-fields"
    MALFORMED = "malformed"
    TOO_COMPLEX = "too-complex"
    TRANSFORM_FAILED = "transform-failed"


class Judged(dict[str, bool]):
    """
    A test of names that is made once for each: `names[name]` costs a look-up, where a test costs a call.

    It forgets all of them before they are too many to hold.
    """

    __slots__ = ("_test",)

    def __init__(self, test: Callable[[str], bool]) -> None:
        super().__init__()
        self._test = test

    def __missing__(self, name: str) -> bool:
        if len(name) > _MOST_NAME:
            return False
        if len(self) >= _MOST_JUDGED:
            self.clear()
        verdict = self._test(name)
        self[name] = verdict
        return verdict


TENANT_IDS = Judged(lambda text: _TENANT_ID.fullmatch(text) is not None)
METRIC_NAMES = Judged(lambda text: _METRIC_NAME.fullmatch(text) is not None)
FIELD_NAMES = Judged(lambda text: _FIELD_NAME.fullmatch(text) is not None and text not in _RESERVED_FIELDS)


def is_tenant_id(text: str) -> bool:
    """
    Tell whether `text` may name a tenant: 1 to 128 ASCII characters, no quotes, slashes, spaces or `..`.
    """
    return TENANT_IDS[text]


def is_metric_name(text: str) -> bool:
    """
    Tell whether `text` may name a metric: 1 to 128 of letters, digits and `_ . : -`, not starting with a digit.
    """
    return METRIC_NAMES[text]


def is_field_name(text: str) -> bool:
    """
    Tell whether `text` may name a dimension or a measure: 1 to 60 characters, none of Timestream's reserved names.
    """
    return FIELD_NAMES[text]


def tenant_of(metadata: Any) -> str:
    """
    Return the tenant id in a record's metadata, or `(none)`.
    """
    value = metadata.get("tenant_id") if isinstance(metadata, dict) else None
    if type(value) is int:
        value = str(value)
    return value if type(value) is str and TENANT_IDS[value] else NO_TENANT


def account_of(metric: Any, metadata: Any) -> tuple[str, str]:
    """
    Return the books' row of a record: its tenant and metric as far as they are usable.
    """
    usable = isinstance(metric, str) and is_metric_name(metric)
    return (tenant_of(metadata), metric if usable else NO_METRIC)


def json_kind(value: Any) -> str:
    """
    Return the JSON name of a decoded value's type, for messages that must not show the value.
    """
    kinds = {str: "string", bool: "boolean", int: "number", float: "number", dict: "object", list: "array"}
    return "null" if value is None else kinds.get(type(value), type(value).__name__)
