"""
A store that an older version has written is brought to this version's shape when it is opened, with all of its rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from metriclake._errors import StoreError
from metriclake.event import MetricEvent
from metriclake.store import Aggregate, Engine, Selection
from metriclake.tiers import Stay, Tiers
from store.shelf import Shelf, event, fates

pytestmark = pytest.mark.engine

NOW = datetime.now(UTC).replace(microsecond=0)
TIERS = Tiers(timedelta(days=14), timedelta(days=365), tenants={"short": Stay(retention=timedelta(days=30))})
AGES = {"new": 0, "month": 40, "year": 300}
"""The age in days of the rows that each of the two tenants has."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """
    Make a store of format 1: of a metric `uploads` with the dimension `kind` and the measure `size`.
    """
    path = tmp_path / "store"
    engine = Engine(path)
    for statement in Path(__file__).with_name("format_1.sql").read_text(encoding="utf-8").split(";\n")[:-1]:
        engine.command(statement)
    tenants = ("acme", "short")
    fields = (("dimension", "kind", "string"), ("measure", "size", "double"))
    engine.insert("meta", ["key", "value"], [("format", "1"), ("ttl", "…")])
    engine.insert("slots", ["metric", "kind", "name", "type", "slot"], [("uploads", *field, 0) for field in fields])
    engine.insert(
        "fields", ["tenant", "metric", "kind", "name", "type"],
        [(tenant, "uploads", *field) for tenant in tenants for field in fields],
    )  # fmt: skip
    engine.insert(
        "activity", ["tenant", "metric", "first", "last"],
        [(tenant, "uploads", NOW - timedelta(days=300), NOW) for tenant in tenants],
    )  # fmt: skip
    engine.insert(
        "metrics", ["tenant", "metric", "time", "event_id", "object", "version", "d0", "f0", "strings", "attributes"],
        [
            (tenant, "uploads", NOW - timedelta(days=age), name, 1, 7, "k", age * 1.0, {"note": "n"}, {"tenant_a": "b"})
            for tenant in tenants
            for name, age in AGES.items()
        ],
    )  # fmt: skip
    engine.close()
    return path


@pytest.fixture
def shelf(folder: Path) -> Iterator[Shelf]:
    """
    Open the store of format 1 with this version.
    """
    opened = Shelf(folder, TIERS, number=1)
    yield opened
    opened.engine.close()


def again(tenant: str, name: str, size: float) -> MetricEvent:
    """
    Return one of the rows as the metric event that it came from, with a size.
    """
    time = NOW - timedelta(days=AGES[name])
    return event(tenant, name, time=time, dimensions={"kind": "k"}, size=size, note="n")


def test_rows_are_all_there_and_lie_where_they_belong(shelf: Shelf) -> None:
    """
    Each row has kept what it had, and stays from now on by its tenant's own lengths.
    """
    columns = "event_id, object, version, d0, f0, strings, attributes"
    was = [(name, 1, 7, "k", float(age), {"note": "n"}, {"tenant_a": "b"}) for name, age in AGES.items()]

    assert shelf.rows("acme", columns) == sorted(was)
    assert set(shelf.rows("acme", "retention")) == {(365 * 86_400,)}
    assert set(shelf.rows("short", "retention")) <= {(30 * 86_400,)}
    assert {name: shelf.volumes()[name] for name in AGES} == {"new": "hot", "month": "cold", "year": "cold"}
    assert dict(shelf.engine.rows("SELECT key, value FROM metriclake.meta FINAL"))["format"] == "3"


def test_what_is_beyond_its_own_retention_leaves(shelf: Shelf) -> None:
    """
    The rows beyond a tenant's own retention leave after the upgrade, and only those.
    """
    shelf.engine.command("OPTIMIZE TABLE metriclake.metrics FINAL")

    assert shelf.rows("short") == [("new",)]
    assert shelf.rows("acme") == [("month",), ("new",), ("year",)]


def test_identities_and_questions_go_on(shelf: Shelf) -> None:
    """
    A metric event from before is a duplicate or a conflict, a new one is stored, and both answer together.
    """
    outcome = shelf.load(
        again("acme", "new", 0.0), again("acme", "year", 1.5), event("acme", "more", size=2.0), now=NOW
    )

    assert fates(outcome) == {"duplicate": 1, "conflict": 1, "stored": 1}
    assert shelf.value("acme", "sum", "size") == 342.0


@pytest.mark.parametrize(
    ("cut", "times"), [("INSERT INTO metriclake.metrics_next", 1), ("EXCHANGE TABLES", 1), ("DROP TABLE", 2)]
)
def test_an_upgrade_that_was_cut_off_is_begun_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch, cut: str, times: int
) -> None:
    """
    Wherever an upgrade ends, before its rows are copied, before or after they take their place, the next start has all.
    """
    command, seen = Engine.command, []

    def fail(engine: Engine, sql: str, settings: Mapping[str, Any] | None = None) -> None:
        seen.extend([sql] if sql.startswith(cut) else [])
        if len(seen) == times:
            raise StoreError("no space left")
        command(engine, sql, settings)

    monkeypatch.setattr(Engine, "command", fail)
    with pytest.raises(StoreError):
        Shelf(folder, TIERS)
    monkeypatch.undo()

    opened = Shelf(folder, TIERS)
    assert opened.rows("acme") == [("month",), ("new",), ("year",)]
    assert opened.engine.rows("SHOW TABLES FROM metriclake LIKE '%next'") == []
    opened.engine.close()


def test_a_store_of_format_2_gets_rollups_of_its_rows(tmp_path: Path) -> None:
    """
    Rollups are made of what the store has already.
    """
    shelf = Shelf(tmp_path / "store", TIERS)
    shelf.load(*(event("acme", name, time=NOW - timedelta(days=age)) for name, age in AGES.items()), now=NOW)
    for table in ("rollups", "rollup_sets", "rollup_tenants"):
        shelf.engine.command(f"DROP TABLE metriclake.{table} SYNC")
    shelf.engine.insert("meta", ["key", "value"], [("format", "2")])

    shelf.reopen()
    shelf.sets.declare({"uploads": ((),)})
    shelf.rollups.catch_up()
    found = shelf.rolled_reader("acme").select(Selection("uploads", Aggregate.COUNT, NOW - timedelta(days=360), NOW))
    shelf.engine.close()

    assert found.rolled
    assert found.rows == [(2,)]
