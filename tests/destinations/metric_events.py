"""
Metric events as the lake has them, for the tests of destinations.
"""

from __future__ import annotations

from typing import Any

import msgspec

from metriclake.destinations import Batch, Destination, Record
from metriclake.event import Measure, MetricEvent

TIME = "2026-03-01T12:00:00.000000Z"
SECONDS = 1_772_366_400


def an_event(number: int = 1, **change: Any) -> MetricEvent:
    """
    Return a metric event; `change` is of its dimensions, `metric` and `time` aside.
    """
    metric, time = change.pop("metric", "scans"), change.pop("time", TIME)
    metadata = {"tenant_id": "acme", "event_id": f"e{number}", "severity": "high", **change}
    data: dict[str, Measure] = {"event_time": time, "count": number, "seconds": 1.5}
    return MetricEvent(metric, metadata, data)


def as_line(event: MetricEvent) -> MetricEvent:
    """
    Return the event as it comes back from the lake.
    """
    return msgspec.json.decode(msgspec.json.encode(event), type=MetricEvent)


def batch_of(destination: Destination, *events: MetricEvent, kind: str | None = None, attempt: int = 1) -> Batch:
    """
    Return the events' records of one kind, the first kind where none is named, as a batch.
    """
    records = [record for event in events for record in destination.records(event)]
    wanted = kind or records[0].kind
    return Batch(wanted, [record for record in records if record.kind == wanted], attempt)


def verdicts(destination: Destination, batch: Batch) -> list[tuple[str, str]]:
    """
    Deliver a batch, and return what became of each record, and why.
    """
    return [(fate.verdict.value, fate.reason) for fate in destination.deliver(batch).fates]


def only(records: list[Record]) -> Record:
    """
    Return the one record that there is.
    """
    (record,) = records
    return record
