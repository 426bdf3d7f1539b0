"""
What becomes of one event: at every rule of its bus, with the reason or the metric event.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from metriclake._errors import InvalidEvent
from metriclake.stream import Plan, explain
from metriclake.stream.explanation import Explanation
from stream.plans import event, plan

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
KNOWN = {"acme": {"name": "Acme"}, "globex": None}


def explained(detail: dict[str, object] | None = None, used: Plan | None = None, **rest: str) -> Explanation:
    """
    Explain an event of the tenant acme.
    """

    def resolve(tenants: Iterable[str]) -> dict[str, dict[str, str] | None]:
        return {tenant: KNOWN[tenant] for tenant in tenants if tenant in KNOWN}

    return explain(json.dumps({**event("1", detail), **rest}).encode(), used or plan(), NOW, resolve)


def test_each_rule_says_what_it_makes_or_why_not() -> None:
    """
    A rule that matches shows its finished metric event, one that does not the key that fails.
    """
    uploads, urgent = explained().rules

    assert uploads.metric_event is not None
    assert uploads.metric_event.metadata == {"tenant_id": "acme", "event_id": "1", "tenant_name": "Acme"}
    assert uploads.metric_event.data == {"event_time": "2026-01-31T11:00:00.000000Z", "size": 3}
    assert (urgent.matches, urgent.metric_event) == (False, None)
    assert urgent.mismatch is not None
    assert (urgent.mismatch.path, urgent.mismatch.reason) == ("detail.urgent", "missing")
    assert urgent.why == str(urgent.mismatch)


@pytest.mark.parametrize(
    ("detail", "reason"),
    [
        ({"size": "x"}, "type-mismatch"),
        ({"tenant_id": None}, "missing-tenant"),
        ({"tenant_id": "globex"}, "unknown-tenant"),
    ],
)
def test_what_would_be_refused_says_its_reason(detail: dict[str, object], reason: str) -> None:
    """
    A rule that matches and makes what would not pass shows the reason under which it would lie in the lake.
    """
    found = explained(detail, replace(plan(), accept_unknown=False)).rules[0]

    assert (found.matches, found.metric_event) == (True, None)
    assert found.refused is not None
    assert found.refused.reason == reason


def test_bus_without_rules_names_the_others() -> None:
    """
    Where no rule listens on the event's bus the answer says on which buses rules do.
    """
    found = explained(bus="elsewhere")

    assert (found.bus, found.rules, found.other_buses) == ("elsewhere", [], ["default"])


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b"\xff", b"[" * 5000])
def test_what_is_no_event_is_refused(text: bytes) -> None:
    """
    A text that is no JSON object is an error that says so.
    """
    with pytest.raises(InvalidEvent, match="JSON"):
        explain(text, plan(), NOW, lambda _tenants: {})
