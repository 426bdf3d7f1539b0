"""
Rows go from the hot volume to the cold one, and leave when retention says so; a newer format is left alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from metriclake._errors import InvalidPipeline, NewerFormat
from metriclake.pipeline import duration, parse
from metriclake.store import Catalogue, Engine, prepare
from store.shelf import Shelf, event, fates

pytestmark = pytest.mark.engine

NOW = datetime.now(UTC)
"""Tiers follow the engine's clock."""


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[[timedelta, timedelta], Shelf]]:
    """
    Open a store with the tiers that a test wants.
    """
    shelves: list[Shelf] = []

    def make(hot: timedelta, retention: timedelta) -> Shelf:
        shelves.append(Shelf(tmp_path / "store", hot, retention))
        return shelves[-1]

    yield make
    for shelf in shelves:
        shelf.engine.close()


def days(number: float) -> timedelta:
    """
    Return a length.
    """
    return timedelta(days=number)


def volumes(shelf: Shelf) -> dict[str, str]:
    """
    Return the disk of each row, by event id.
    """
    sql = (
        "SELECT event_id, disk_name FROM metriclake.metrics AS m INNER JOIN system.parts AS p ON m._part = p.name"
        " WHERE p.database = 'metriclake' AND p.table = 'metrics' AND p.active"
    )
    return dict(shelf.engine.rows(sql))


def test_late_rows_lie_on_the_cold_volume(opened: Callable[[timedelta, timedelta], Shelf]) -> None:
    """
    A row older than `hot` goes to the cold volume at once, a fresh one lies on the hot one.
    """
    shelf = opened(days(14), days(365))
    shelf.load(event("a", "fresh", time=NOW), event("a", "late", time=NOW - days(100)), now=NOW)

    assert volumes(shelf) == {"fresh": "hot", "late": "cold"}


def test_rows_go_when_retention_says_so(opened: Callable[[timedelta, timedelta], Shelf]) -> None:
    """
    A row that comes beyond retention leaves when parts are merged, others stay.
    """
    shelf = opened(days(14), days(365))
    soon = datetime.now(UTC) - days(365) + timedelta(seconds=4)
    shelf.load(event("a", "kept", time=NOW - days(300)), event("a", "gone", time=soon), now=NOW - days(1))

    for _ in range(60):
        shelf.engine.command("OPTIMIZE TABLE metriclake.metrics FINAL")
        if len(shelf.rows("a")) < 2:
            break
        time.sleep(0.5)

    assert shelf.rows("a") == [("kept",)]


def test_other_tiers_take_hold_of_what_is_there(opened: Callable[[timedelta, timedelta], Shelf]) -> None:
    """
    A store that is opened with another retention removes the rows beyond it.
    """
    shelf = opened(days(14), days(365))
    shelf.load(event("a", "young", time=NOW - days(20)), event("a", "old", time=NOW - days(200)), now=NOW)

    prepare(shelf.engine, days(7), days(100))
    shelf.engine.command("OPTIMIZE TABLE metriclake.metrics FINAL")

    assert shelf.rows("a") == [("young",)]


def test_a_longer_retention_keeps_more(opened: Callable[[timedelta, timedelta], Shelf]) -> None:
    """
    A store that is opened with a longer retention keeps what the shorter one would have removed.
    """
    shelf = opened(days(14), days(100))
    shelf.retention = days(700)
    shelf.reopen()
    shelf.load(event("a", "old", time=NOW - days(600)), now=NOW)
    shelf.engine.command("OPTIMIZE TABLE metriclake.metrics FINAL")

    assert shelf.rows("a") == [("old",)]


def test_without_a_cold_time_all_is_hot(opened: Callable[[timedelta, timedelta], Shelf]) -> None:
    """
    Where `hot` is as long as `retention`, nothing moves.
    """
    shelf = opened(days(365), days(365))
    shelf.load(event("a", "late", time=NOW - days(300)), now=NOW)

    assert volumes(shelf) == {"late": "hot"}


@pytest.mark.parametrize("retention", ["365d", "18250d", "29500d", "36500d", "60000d", "73000d"])
def test_a_retention_that_the_pipeline_file_may_say_keeps_what_is_new(
    opened: Callable[[timedelta, timedelta], Shelf], retention: str
) -> None:
    """
    However long a retention is, it is refused at `check`, or keeps what is new and what is almost a year old.
    """
    try:
        parse(f"store: {{hot: 14d, retention: {retention}}}", Path("metriclake.yaml"), {})
    except InvalidPipeline:
        return

    shelf = opened(days(14), duration(retention))
    shelf.load(event("a", "1", time=NOW), event("a", "2", time=NOW - days(360)), now=NOW)
    shelf.engine.command("OPTIMIZE TABLE metriclake.metrics FINAL")

    assert shelf.rows("a") == [("1",), ("2",)]


def test_preparing_again_changes_nothing(opened: Callable[[timedelta, timedelta], Shelf]) -> None:
    """
    A store that is opened with the same settings has the same rows and fates as before.
    """
    shelf = opened(days(14), days(365))
    shelf.load(event("a", "1", time=NOW), now=NOW)

    for _ in range(3):
        prepare(shelf.engine, days(14), days(365))

    assert fates(shelf.load(event("a", "1", time=NOW), now=NOW)) == {"duplicate": 1}


def test_a_newer_format_is_refused(opened: Callable[[timedelta, timedelta], Shelf]) -> None:
    """
    A store that a newer version has written is not opened, and not changed.
    """
    shelf = opened(days(14), days(365))
    shelf.engine.insert("meta", ["key", "value"], [("format", "2")])

    with pytest.raises(NewerFormat, match="upgrade"):
        prepare(shelf.engine, days(1), days(2))

    assert dict(shelf.engine.rows("SELECT key, value FROM metriclake.meta FINAL"))["format"] == "2"


def test_an_empty_folder_becomes_a_store(tmp_path: Path) -> None:
    """
    A folder that is not there yet is made, with a volume for each tier.
    """
    engine = Engine(tmp_path / "new" / "store")
    prepare(engine, days(14), days(365))

    assert Catalogue(engine).tenants() == []
    assert {path.name for path in (tmp_path / "new" / "store").iterdir()} >= {"hot", "cold"}
    engine.close()
