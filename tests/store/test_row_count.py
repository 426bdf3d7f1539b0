"""
The store's rows are counted anew, and whose oldest have left by their retention is told from whose are lost.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from metriclake.store import RowCount
from metriclake.tiers import Stay, Tiers
from store.shelf import Shelf, event

pytestmark = pytest.mark.engine

NOW = datetime.now(UTC)
LONG = timedelta(days=10_000)


def test_rows_are_counted_by_object(shelf: Shelf) -> None:
    """
    Duplicates make no rows; each object's rows stand by tenant and metric.
    """
    shelf.load(event("a", "1"), event("a", "2"), event("b", "1", metric="scans"))
    shelf.load(event("a", "2"), event("a", "3"))
    first, second = shelf.number - 1, shelf.number
    count = RowCount(shelf.engine)

    assert sorted(count.of(first, second)) == [
        (first, "a", "uploads", 2),
        (first, "b", "scans", 1),
        (second, "a", "uploads", 1),
    ]
    assert list(count.of(second + 1, second + 9)) == []


def test_only_whose_oldest_rows_are_gone_and_old_have_aged(shelf: Shelf) -> None:
    """
    Rows that are there, and such as are gone before their retention, are no matter of age.
    """
    old = NOW - timedelta(days=30)
    for tenant in ("left", "kept", "lost"):
        shelf.load(event(tenant, "1", time=old), event(tenant, "2", time=NOW), now=NOW)
    shelf.load(event("all", "1", time=old), now=NOW)
    gone = "DELETE WHERE tenant IN ('left', 'lost', 'all') AND event_id = '1'"
    shelf.engine.command(f"ALTER TABLE metriclake.metrics {gone}", {"mutations_sync": 1})
    tiers = Tiers(LONG, timedelta(days=7), tenants={"lost": Stay(retention=LONG)})
    aged = RowCount(shelf.engine).aged(tiers, NOW)

    assert {tenant for tenant, _ in aged if tenant in ("left", "kept", "lost", "all")} == {"left", "all"}
