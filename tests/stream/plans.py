"""
A pipeline, its events and its entries, as the tests of the stream share them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from metriclake.entry import Entry, EntryKind
from metriclake.pipeline import FieldSpec
from metriclake.rules import Pattern, Rule, RuleSet, Transform
from metriclake.stream import Plan
from metriclake.tiers import Tiers

SEALED_AT = 1_769_860_800_000_000
"""2026-01-31T12:00:00Z in microseconds."""

TIME = "2026-01-31T11:00:00Z"
DAY = 86_400_000_000
TIERS = Tiers(timedelta(days=10_000), timedelta(days=10_000))


def plan(
    version: int = 1, metric: str = "uploads", *, accept_unknown: bool = True, suffix: str = ".zst",
    wait: bool = False, types: Mapping[str, Mapping[str, str]] | None = None,
) -> Plan:  # fmt: skip
    """
    Return a plan of two rules: one for the source `findings`, one for those of its events that are urgent.
    """
    uploads = _rule(metric, {"source": ["findings"]})
    urgent = _rule("urgent", {"source": ["findings"], "detail": {"urgent": [True]}})
    return Plan(
        version=version,
        rules=RuleSet([uploads, urgent]),
        tiers=TIERS,
        future=DAY,
        suffix=suffix,
        types={metric: {"size": "integer"}} if types is None else types,
        accept_unknown=accept_unknown,
        wait=wait,
    )


def _rule(name: str, pattern: dict[str, Any]) -> Rule:
    metadata = {"tenant_id": FieldSpec(path="$.detail.tenant_id")}
    data = {"event_time": FieldSpec(path="$.time"), "size": FieldSpec(path="$.detail.size")}
    return Rule(name, "default", Pattern.compile(pattern), Transform.compile(metadata, data))


def event(event_id: str, detail: Mapping[str, Any] | None = None, source: str = "findings") -> dict[str, Any]:
    """
    Return a domain event of the tenant acme, with other details where given.
    """
    body = {"tenant_id": "acme", "size": 3, **(detail or {})}
    return {"id": event_id, "source": source, "detail-type": "uploaded", "time": TIME, "detail": body}


def metric(event_id: str, data: Mapping[str, Any] | None = None, tenant: Any = "acme") -> dict[str, Any]:
    """
    Return a metric event, with other data where given.
    """
    metadata = {"tenant_id": tenant, "event_id": event_id}
    return {"metric_name": "posted", "metadata": metadata, "data": {"event_time": TIME, **(data or {})}}


def lines(*records: Mapping[str, Any]) -> bytes:
    """
    Return records as NDJSON.
    """
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def events(*records: Mapping[str, Any], arrived_at: int = SEALED_AT) -> Entry:
    """
    Return an entry of domain events.
    """
    return Entry(EntryKind.EVENTS, arrived_at, len(records), lines(*records))
