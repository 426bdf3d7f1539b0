"""
What a store has learnt is there when it is opened again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from metriclake._errors import StoreError
from metriclake.store import Engine
from patience import until
from store.shelf import Shelf, event, fates

pytestmark = pytest.mark.engine


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    """
    Open a store for one test.
    """
    opened = Shelf(tmp_path / "store")
    yield opened
    opened.engine.close()


def test_slots_survive_reopening(shelf: Shelf) -> None:
    """
    After a restart the fields lie where they lay, and new ones do not take their places.
    """
    measures = {f"m{index}": float(index) for index in range(10)}
    shelf.load(event("acme", "1", dimensions={"kind": "a", "size": "b"}, more=measures))
    shape = shelf.catalogue.shape("uploads")

    shelf.reopen()
    assert shelf.catalogue.shape("uploads") == shape

    later = {f"a{index}": index + 0.25 for index in range(10)}
    shelf.load(event("acme", "2", dimensions={"a": "x"}, more=later))
    shelf.reopen()

    assert {name: shelf.value("acme", "sum", name) for name in measures | later} == measures | later


def test_identities_survive_reopening(shelf: Shelf) -> None:
    """
    After a restart an object that comes again has its first outcome, and an event that comes again is a duplicate.
    """
    events = (event("acme", "1", size=1.0), event("acme", "2", size=2.0))
    first = shelf.load(*events)

    shelf.reopen()

    assert shelf.again(*events) == first
    assert fates(shelf.load(events[0], event("acme", "2", size=3.0))) == {"duplicate": 1, "conflict": 1}
    assert shelf.value("acme", "sum", "size") == 3.0


def test_a_month_without_new_rows_becomes_one_part(shelf: Shelf) -> None:
    """
    The engine makes one part of a partition that has had no row for a while, also in a store of an older version.
    """
    setting = "min_partition_age_to_force_merge_seconds"
    shelf.engine.command(f"ALTER TABLE metriclake.metrics RESET SETTING {setting}")
    shelf.engine.command("ALTER TABLE metriclake.rollups RESET SETTING min_age_to_force_merge_seconds")
    shelf.reopen()
    found = dict(shelf.engine.rows("SELECT name, engine_full FROM system.tables WHERE database = 'metriclake'"))
    assert f"{setting} = 86400" in found["metrics"]
    assert "min_age_to_force_merge_seconds = 86400" in found["rollups"]

    for number in range(3):
        shelf.load(event("acme", str(number)))
    shelf.engine.command(f"ALTER TABLE metriclake.metrics MODIFY SETTING {setting} = 1")

    parts = "SELECT count() FROM system.parts WHERE active AND table = 'metrics'"
    until(lambda: shelf.engine.rows(parts) == [(1,)])


@pytest.mark.parametrize("name", ["with space", "it's", "<odd>", "größe"])
def test_a_store_may_lie_in_any_folder(tmp_path: Path, name: str) -> None:
    """
    A folder's name may hold characters that mean something in XML or in SQL.
    """
    shelf = Shelf(tmp_path / name)
    try:
        shelf.load(event("acme", "1"))
        shelf.reopen()

        assert shelf.rows("acme") == [("1",)]
        assert [path.name for path in tmp_path.iterdir()] == [name]
    finally:
        shelf.engine.close()


@pytest.mark.parametrize("name", ["a&b", "a%20b", "a#b", "a?b"])
def test_a_folder_that_the_engine_cannot_take_is_refused(tmp_path: Path, name: str) -> None:
    """
    Where a folder's name cannot be told to the engine, the error names the character, and nothing is made elsewhere.
    """
    with pytest.raises(StoreError, match=re.escape(name[1])):
        Engine(tmp_path / name)

    assert {path.name for path in tmp_path.iterdir()} <= {name}
