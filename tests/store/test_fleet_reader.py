"""
The reader of all tenants together: what it reads, and that it is no tenant's reader.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from metriclake._errors import QuestionTooLarge, StoreError
from metriclake.store import (
    Aggregate,
    Bounds,
    Bucket,
    FleetReader,
    FleetSelection,
    FleetView,
    Measure,
    Selection,
    TenantReader,
)
from metriclake.store.fleet import FLEET_TABLES
from metriclake.store.reader import CLOSED_TABLES, TENANT_TABLES
from metriclake.tiers import Stay, Tiers
from store.shelf import TIERS, Shelf, event

pytestmark = pytest.mark.engine

NOW = datetime.now(UTC).replace(microsecond=0)
"""Retention follows the engine's clock."""

DAY = timedelta(days=1)
START, END = NOW - 30 * DAY, NOW + DAY
SIZE = Measure("size", ("double",))


@pytest.fixture(scope="module", autouse=True)
def _tenants(shelf: Shelf) -> None:
    """
    Give three tenants rows now and 40 days ago, one of them a short retention, and a rollup.
    """
    shelf.sets.declare({"uploads": (("kind",),)})
    shelf.load(
        event("acme", "1", time=NOW, dimensions={"kind": "x"}, size=3.0),
        event("acme", "2", time=NOW - DAY, dimensions={"kind": "y"}, size=4.0),
        event("acme", "3", time=NOW - 40 * DAY, size=100.0),
        event("globex", "1", time=NOW, size=1.0),
        event("globex", "2", time=NOW - 40 * DAY, size=1.0),
        event("initech", "1", time=NOW - 40 * DAY, size=2.0),
        event("hooli", "1", metric="builds", time=NOW, note="text"),
        now=NOW,
    )
    shelf.rollups.catch_up()
    shelf.retain(Tiers(TIERS.hot, TIERS.retention, {}, {"initech": Stay(hot=DAY, retention=20 * DAY)}))


def selected(view: FleetView, aggregate: Aggregate = Aggregate.SUM, limit: int | None = None) -> FleetSelection:
    """
    Return what to read of the sizes of uploads in 30 days, and for movers of the 30 before.
    """
    before = (START - (END - START), START) if view is FleetView.MOVERS else None
    return FleetSelection(view, Selection("uploads", aggregate, START, END, SIZE, before=before), limit)


def test_all_tenants_are_one(shelf: Shelf) -> None:
    """
    A total counts the rows of every tenant, a group of rows does not care whose they are.
    """
    reader = FleetReader(shelf.engine, shelf.catalogue)
    by_kind = Selection("uploads", Aggregate.COUNT, START, END, group_by=("kind",))

    assert reader.total(selected(FleetView.TOTAL)).rows == [(8.0,)]
    assert reader.total(FleetSelection(FleetView.TOTAL, by_kind)).rows == [("", 1), ("x", 1), ("y", 1)]


def test_the_largest_tenants_come_first(shelf: Shelf) -> None:
    """
    The tenants with the largest values come by their value, so many as are asked for.
    """
    reader = FleetReader(shelf.engine, shelf.catalogue)

    assert reader.tenants_of(selected(FleetView.TOP)) == [("acme", 7.0), ("globex", 1.0)]
    assert reader.tenants_of(selected(FleetView.TOP, limit=1)) == [("acme", 7.0)]


def test_movers_are_those_that_changed(shelf: Shelf) -> None:
    """
    Who changed most comes first; who did not change does not come, nor rows beyond their retention.
    """
    reader = FleetReader(shelf.engine, shelf.catalogue)
    counted = reader.tenants_of(selected(FleetView.MOVERS, Aggregate.COUNT))

    assert reader.tenants_of(selected(FleetView.MOVERS)) == [("acme", 7.0, 100.0)]
    assert counted == [("acme", 2, 1)]
    assert all(isinstance(value, int) for _, *values in counted for value in values)


def test_adoption_counts_tenants(shelf: Shelf) -> None:
    """
    Each interval has the number of tenants with events in it.
    """
    reader = FleetReader(shelf.engine, shelf.catalogue)
    daily = Selection("uploads", Aggregate.COUNT, START, END, bucket=Bucket.DAY)
    found = reader.total(FleetSelection(FleetView.ADOPTION, daily)).rows

    assert [count for _, count in found] == [1, 2]
    assert reader.total(selected(FleetView.ADOPTION)).rows == [(2,)]


def test_the_metrics_are_those_of_all(shelf: Shelf) -> None:
    """
    A metric has the fields that any tenant has, and tenants are counted once.
    """
    reader = FleetReader(shelf.engine, shelf.catalogue)
    found = reader.metrics()

    assert set(found) == {"builds", "uploads"}
    assert (found["uploads"].dimensions, found["uploads"].measures) == (("kind",), {"size": ("double",)})
    assert reader.tenants() == 4


def test_only_the_named_tables_are_open(shelf: Shelf) -> None:
    """
    Of all tables of the store, the reader's settings show rows of those that are allowed and of no other.
    """
    reader = FleetReader(shelf.engine, shelf.catalogue)
    tables = [name for (name,) in shelf.engine.rows("SELECT name FROM system.tables WHERE database = 'metriclake'")]
    counts = {
        name: shelf.engine.read(f"SELECT count() FROM metriclake.{name}", {}, reader._settings()).result_rows[0][0]  # noqa: S608 - the names are the engine's
        for name in tables
    }

    assert set(tables) == {*TENANT_TABLES, *CLOSED_TABLES}
    assert {name for name, count in counts.items() if count} == set(FLEET_TABLES)
    assert shelf.engine.rows("SELECT count() > 0 FROM metriclake.rollups") == [(1,)]


@pytest.mark.parametrize("table", ["processes", "mutations"])
def test_statements_of_others_are_not_shown(shelf: Shelf, table: str) -> None:
    """
    The engine's own tables that hold statements are empty.
    """
    reader = FleetReader(shelf.engine, shelf.catalogue)

    assert shelf.engine.read(f"SELECT * FROM system.{table}", {}, reader._settings()).result_rows == []  # noqa: S608 - as above


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM metriclake.metrics SETTINGS additional_table_filters = {}",
        "SET readonly = 0",
        "ALTER TABLE metriclake.metrics DELETE WHERE 1",
        "INSERT INTO metriclake.meta VALUES ('format', '9')",
        "DROP TABLE metriclake.metrics",
    ],
)
def test_it_changes_nothing(shelf: Shelf, sql: str) -> None:
    """
    What writes, or loosens the settings, is refused.
    """
    with pytest.raises(StoreError):
        shelf.engine.read(sql, {}, FleetReader(shelf.engine, shelf.catalogue)._settings())


def test_a_selection_of_one_kind_is_none_of_the_other(shelf: Shelf) -> None:
    """
    A tenant's reader takes no fleet selection and the fleet's reader no tenant's: neither has the other's parts.
    """
    fleet, tenant = FleetReader(shelf.engine, shelf.catalogue), shelf.reader("acme")

    assert not issubclass(FleetSelection, Selection)
    assert not issubclass(FleetReader, TenantReader)
    with pytest.raises(AttributeError):
        tenant.select(selected(FleetView.TOTAL))  # type: ignore[arg-type] # that is what is shown
    with pytest.raises(AttributeError):
        fleet.total(selected(FleetView.TOTAL).of)  # type: ignore[arg-type] # as above


def test_a_question_that_needs_too_much_is_said_to(shelf: Shelf) -> None:
    """
    What goes beyond the bounds of a statement is the question's fault.
    """
    reader = FleetReader(shelf.engine, shelf.catalogue, Bounds(rows_read=1))

    with pytest.raises(QuestionTooLarge):
        reader.total(selected(FleetView.TOTAL))
