"""
What the tests that plan know of a tenant, and the moment at which they ask.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from metriclake.query import plan, read
from metriclake.query.plan import Plan
from metriclake.store import Metric

NOW = datetime(2026, 7, 1, 12, 34, 56, tzinfo=UTC)
METRICS = {
    "uploads": Metric(
        "uploads",
        NOW - timedelta(days=90),
        NOW,
        dimensions=("kind", "severity"),
        attributes=("tenant_plan",),
        measures={
            "size": ("double",),
            "items": ("integer",),
            "both": ("double", "integer"),
            "note": ("string",),
            "mixed": ("boolean", "double", "string"),
        },
    ),
    "scans": Metric("scans", NOW, NOW),
}
UNITS = {("uploads", "size"): "bytes"}
DAYS = {"from": "2026-06-01T00:00:00Z", "to": "2026-06-04T00:00:00Z"}


def planned(**parts: Any) -> Plan:
    """
    Plan a question over the last day, counting uploads unless told otherwise.
    """
    return plan(read({"metric": "uploads", "range": {"last": "1d"}, **parts}), METRICS, UNITS, NOW)
