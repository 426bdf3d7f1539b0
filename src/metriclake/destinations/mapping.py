"""
What a metric event is at a destination: its name there, its properties, its id. Pure, and the same for all of them.

The id is of what the event is and of nothing else, so that an event that is sent again is known again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

import msgspec

from metriclake.event import Measure, MetricEvent
from metriclake.pipeline.destination_specs import DestinationSpec, MappingSpec

_IDS = UUID("5b0e3f4c-7d1a-5c56-9a0b-2f6b0f7a1d53")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_ATTRIBUTE = "tenant_"
_WHOLE_DIGITS = 15
_ALL = MappingSpec()


@dataclass(frozen=True, slots=True)
class Mapped:
    """
    A metric event as a destination has it: `name` and `properties` are its own, the rest is the event's.

    `event_time` is RFC 3339 in UTC, `time` the same in microseconds since 1970.
    """

    tenant: str
    metric: str
    name: str
    event_id: str
    event_time: str
    time: int
    properties: dict[str, Measure] = field(repr=False)


class Mapper:
    """
    What a destination's part of the pipeline file says of metrics, and the ids of its records.
    """

    def __init__(self, namespace: str, metrics: Mapping[str, MappingSpec] | None) -> None:
        """
        Take all metrics, or those that are named. Two namespaces have no id in common.
        """
        self._namespace = namespace
        self._metrics = metrics

    @classmethod
    def of(cls, name: str, spec: DestinationSpec, account: str = "") -> Mapper:
        """
        Return the mapper of a destination; without a namespace of its own it is its name's, and its account's if any.
        """
        return cls(spec.namespace or f"{name} {account}".rstrip(), spec.metrics)

    def mapped(self, event: MetricEvent) -> Mapped | None:
        """
        Return the event as it is there, None where it does not go there.
        """
        spec = _ALL if self._metrics is None else self._metrics.get(event.metric_name)
        if spec is None:
            return None
        event_time = str(event.data["event_time"])
        return Mapped(
            tenant=event.metadata["tenant_id"],
            metric=event.metric_name,
            name=spec.name or event.metric_name,
            event_id=event.metadata["event_id"],
            event_time=event_time,
            time=(datetime.fromisoformat(event_time) - _EPOCH) // _MICROSECOND,
            properties=_all_fields(event) if spec.properties is None else fields_of(event, spec.properties),
        )

    def id_of(self, mapped: Mapped, kind: str, *more: str) -> str:
        """
        Return the id of a record of this kind: a UUID of namespace, tenant, metric, event id and time, and kind.
        """
        parts = (self._namespace, mapped.tenant, mapped.metric, mapped.event_id, mapped.event_time, kind, *more)
        return str(uuid5(_IDS, msgspec.json.encode(parts).decode()))


def fields_of(event: MetricEvent, properties: Mapping[str, str]) -> dict[str, Measure]:
    """
    Return properties by their names, each the value of a field; one whose field the event does not have is left out.
    """
    found = {name: field_of(event, path) for name, path in properties.items()}
    return {name: value for name, value in found.items() if value is not None}


def field_of(event: MetricEvent, path: str) -> Measure | None:
    """
    Return the value of a field, `metadata.x` or `data.y`, None where the event has none.
    """
    part, _, name = path.partition(".")
    return event.metadata.get(name) if part == "metadata" else event.data.get(name)


def attributes_of(event: MetricEvent) -> dict[str, str]:
    """
    Return what the enrich step said of the event's tenant, by the names that the tenants' source has.
    """
    return {
        name.removeprefix(_ATTRIBUTE): value
        for name, value in event.metadata.items()
        if name.startswith(_ATTRIBUTE) and name != "tenant_id"
    }


def as_text(value: Measure) -> str:
    """
    Return a value as text: true, false, and whole numbers without a point.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 10**_WHOLE_DIGITS:
        return str(int(value))
    return str(value)


def _all_fields(event: MetricEvent) -> dict[str, Measure]:
    """
    Return all dimensions and measures; a dimension that is named as a measure is, has its part before its name.
    """
    measures = {name: value for name, value in event.data.items() if name != "event_time"}
    dimensions = {f"metadata.{name}" if name in measures else name: value for name, value in event.metadata.items()}
    return {**dimensions, **measures}
