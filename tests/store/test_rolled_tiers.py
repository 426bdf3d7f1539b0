"""
Rollups and retention: what has left the rows is in no answer, whichever retention held in between.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from metriclake.store import Aggregate, Answer, Bucket, Rollups, Selection
from metriclake.store.rollups.table import Grain
from metriclake.tiers import Stay, Tiers
from store.shelf import Shelf, event

pytestmark = pytest.mark.engine

NOW = datetime.now(UTC)
"""Tiers follow the engine's clock."""

LONG, SHORT = timedelta(days=400), timedelta(days=30)
USUAL = Tiers(timedelta(days=14), LONG)
AGES = (0, 3, 29, 31, 100, 300)
SELECTION = Selection("uploads", Aggregate.COUNT, NOW - LONG, NOW + timedelta(hours=1), bucket=Bucket.DAY)


@pytest.fixture
def aged(tmp_path: Path) -> Iterator[Shelf]:
    """
    Open a store with old and new rows of two tenants, rolled up.
    """
    shelf = Shelf(tmp_path / "store", USUAL, grains=(Grain.QUARTER, Grain.DAY))
    shelf.sets.declare({"uploads": ((),)})
    times = {f"{age}": NOW - timedelta(days=age) for age in AGES}
    shelf.load(
        *(event(tenant, name, time=time) for tenant in ("acme", "other") for name, time in times.items()), now=NOW
    )
    shelf.rollups.catch_up()
    yield shelf
    shelf.engine.close()


def answer(shelf: Shelf, tenant: str = "acme") -> Answer:
    """
    Return what rollups say, which is what the rows say.
    """
    found = shelf.rolled_reader(tenant).select(SELECTION)
    assert found.rows == shelf.reader(tenant).select(SELECTION).rows
    return found


def rolled_rows(shelf: Shelf, tenant: str = "acme") -> int:
    """
    Return how many buckets of days the store holds of a tenant.
    """
    (key,) = (one.id for one in shelf.sets.live if one.grain is Grain.DAY)
    sql = f"SELECT count() FROM metriclake.rollups FINAL WHERE set = {key} AND tenant = '{tenant}'"  # noqa: S608 - names of the tests' own
    return int(shelf.engine.rows(sql)[0][0])


def test_a_rollup_shows_nothing_beyond_retention(aged: Shelf) -> None:
    """
    When a tenant's retention becomes shorter, older buckets are shown no more, those of other tenants still are.
    """
    assert len(answer(aged).rows) == len(AGES)

    aged.retain(Tiers(USUAL.hot, LONG, tenants={"acme": Stay(retention=SHORT)}))

    shown = answer(aged)
    assert shown.rolled
    assert len(shown.rows) == 3
    assert len(answer(aged, "other").rows) == len(AGES)


@pytest.mark.parametrize("stay", ["tenant", "metric"])
def test_rows_that_have_left_do_not_come_back(aged: Shelf, stay: str) -> None:
    """
    When retention becomes longer again, rows that have left meanwhile are not in answers from rollups either.
    """
    short = Stay(retention=SHORT)
    own = {"tenants": {"acme": short}} if stay == "tenant" else {"metrics": {"uploads": short}}
    aged.retain(Tiers(USUAL.hot, LONG, **own))
    aged.engine.command("OPTIMIZE TABLE metriclake.metrics FINAL")
    assert len(aged.rows("acme")) == 3

    aged.retain(USUAL)
    assert aged.sets.passing
    assert len(answer(aged).rows) == 3

    aged.rollups.catch_up()
    assert not list(aged.sets.passing)
    assert len(answer(aged).rows) == 3

    aged.reopen()
    aged.rollups.catch_up()
    assert answer(aged).rolled
    assert len(answer(aged).rows) == 3
    assert len(answer(aged, "other").rows) == (len(AGES) if stay == "tenant" else 3)


def test_a_change_that_a_process_has_not_seen_through_is_remembered(aged: Shelf) -> None:
    """
    A store that is opened with another retention knows by which one rows may have left.
    """
    aged.retain(Tiers(USUAL.hot, SHORT))
    aged.engine.command("OPTIMIZE TABLE metriclake.metrics FINAL")
    aged.tiers = USUAL
    aged.reopen()

    assert aged.sets.passing
    aged.rollups.catch_up()
    aged.settle()
    assert len(answer(aged).rows) == 3


def test_what_is_beyond_retention_is_removed_from_rollups(aged: Shelf) -> None:
    """
    Once a day the buckets of rows that have left are removed.
    """
    aged.retain(Tiers(USUAL.hot, LONG, tenants={"acme": Stay(retention=SHORT)}))
    assert rolled_rows(aged) == len(AGES)

    Rollups(aged.engine, aged.catalogue, aged.sets, lambda: aged.tiers).catch_up()
    aged.settle()

    assert rolled_rows(aged) == 4  # the bucket of a row that is a day over is left until it is two
    assert rolled_rows(aged, "other") == len(AGES)


def test_late_rows_of_old_buckets_are_in_both(aged: Shelf) -> None:
    """
    A late row next to rows that have left is counted alone, from the rows as from the rollup.
    """
    aged.retain(Tiers(USUAL.hot, SHORT))
    aged.engine.command("OPTIMIZE TABLE metriclake.metrics FINAL")
    aged.retain(USUAL)
    aged.load(event("acme", "late", time=NOW - timedelta(days=100)), now=NOW)
    assert len(answer(aged).rows) == 4

    aged.rollups.catch_up()
    assert len(answer(aged).rows) == 4
