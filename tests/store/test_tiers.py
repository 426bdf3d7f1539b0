"""
Rows go from the hot volume to the cold one, and leave when retention says so, each by its own lengths.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from metriclake._errors import InvalidPipeline, NewerFormat, StoreError
from metriclake.pipeline import parse
from metriclake.store import Catalogue, Engine, Loader, prepare
from metriclake.tiers import Stay, Tiers
from patience import until
from store.shelf import Shelf, event, fates

pytestmark = pytest.mark.engine

NOW = datetime.now(UTC)
"""Tiers follow the engine's clock."""

Opened = Callable[[Tiers], Shelf]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    """
    Open a store with the tiers that a test wants.
    """
    shelves: list[Shelf] = []

    def make(tiers: Tiers) -> Shelf:
        shelves.append(Shelf(tmp_path / "store", tiers))
        return shelves[-1]

    yield make
    for shelf in shelves:
        shelf.engine.close()


def days(number: float) -> timedelta:
    """
    Return a length.
    """
    return timedelta(days=number)


USUAL = Tiers(days(14), days(365))


def merge(shelf: Shelf) -> None:
    """
    Have the engine merge all that may be merged.
    """
    shelf.engine.command("OPTIMIZE TABLE metriclake.metrics FINAL")


def ids(shelf: Shelf, tenant: str = "a") -> list[object]:
    """
    Return the event ids that a tenant has.
    """
    return [row[0] for row in shelf.rows(tenant)]


@pytest.mark.parametrize("hot", [timedelta(hours=1), days(14), days(100)])
def test_a_late_row_goes_straight_to_the_cold_volume(opened: Opened, hot: timedelta) -> None:
    """
    A row older than `hot` goes to the cold volume at once, a fresh one of the same object lies on the hot one.
    """
    shelf = opened(Tiers(hot, days(365)))
    shelf.load(event("a", "fresh", time=NOW), event("a", "late", time=NOW - hot - timedelta(seconds=1)), now=NOW)

    assert shelf.volumes() == {"fresh": "hot", "late": "cold"}


def test_fresh_rows_stay_hot_whatever_is_merged(opened: Opened) -> None:
    """
    Late rows of the same month do not take fresh ones along to the cold volume when parts are merged.
    """
    shelf = opened(Tiers(timedelta(seconds=1), days(365)))
    for index in range(3):
        times = {"fresh": datetime.now(UTC) + timedelta(hours=1), "late": NOW - timedelta(seconds=2)}
        shelf.load(*(event("a", f"{name}{index}", time=time) for name, time in times.items()), now=datetime.now(UTC))
    merge(shelf)

    found = shelf.volumes()
    assert found == {name: "hot" if name.startswith("fresh") else "cold" for name in found}
    assert len(found) == 6


def test_a_month_goes_cold_by_itself(opened: Opened) -> None:
    """
    The rows of a month move to the cold volume `hot` after its end, without anybody's doing.
    """
    shelf = opened(USUAL)
    month = NOW.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    for seconds in (2, 20, 200):  # until it is loaded before it is time to move
        begin = datetime.now(UTC)
        tiers = Tiers(begin - month + timedelta(seconds=seconds), days(365))
        shelf.loader = Loader(shelf.engine, shelf.catalogue, tiers, shelf.sets)
        last, first = f"last {seconds}", f"first {seconds}"
        shelf.load(event("a", last, time=month - timedelta(seconds=1)), event("a", first, time=month), now=begin)
        if shelf.volumes()[last] == "hot":
            break
    assert (shelf.volumes()[last], shelf.volumes()[first]) == ("hot", "hot")

    until(lambda: shelf.volumes()[last] == "cold")
    assert shelf.volumes()[first] == "hot"


def test_rows_leave_by_themselves(opened: Opened) -> None:
    """
    A row that comes beyond retention leaves without anybody's doing, others stay.
    """
    shelf = opened(USUAL)
    shelf.engine.command("SYSTEM STOP TTL MERGES metriclake.metrics")
    past = NOW - days(365) - timedelta(seconds=1)
    shelf.load(event("a", "kept", time=NOW - days(364)), event("a", "gone", time=past), now=NOW - days(1))
    assert ids(shelf) == ["gone", "kept"]

    shelf.engine.command("SYSTEM START TTL MERGES metriclake.metrics")
    until(lambda: ids(shelf) == ["kept"])


OWN = Tiers(
    days(14),
    days(365),
    metrics={"brief": Stay(retention=days(2)), "long": Stay(days(100), days(700)), "cool": Stay(hot=days(1))},
    tenants={"big": Stay(retention=days(1000)), "warm": Stay(hot=days(50)), "both": Stay(days(2), days(20))},
)


HOT_AND_KEPT = {
    ("a", "uploads"): (14, 365),
    ("a", "brief"): (2, 2),
    ("a", "long"): (100, 700),
    ("a", "cool"): (1, 365),
    ("big", "uploads"): (14, 1000),
    ("big", "brief"): (14, 1000),
    ("big", "long"): (100, 1000),
    ("warm", "brief"): (2, 2),
    ("warm", "cool"): (50, 365),
    ("both", "long"): (2, 20),
    ("A", "Brief"): (14, 365),
}
"""For how many days rows of a tenant and metric stay hot, and at all, by `OWN`."""


def test_each_row_stays_by_its_own_lengths(opened: Opened) -> None:
    """
    A tenant's own length wins over a metric's, a metric's over the one of all, for `hot` and `retention` apart.
    """
    shelf = opened(OWN)
    events = []
    volumes: dict[str, str] = {}
    expired = {}
    for (tenant, metric), (hot, kept) in HOT_AND_KEPT.items():
        hour = timedelta(hours=1)
        ages = {
            "young": days(hot) - hour,
            "old": days(hot) + hour,
            "last": days(kept) - hour,
            "beyond": days(kept) + hour,
        }
        events += [
            event(tenant, f"{tenant} {metric} {name}", metric=metric, time=NOW - age) for name, age in ages.items()
        ]
        volumes |= {f"{tenant} {metric} young": "hot", f"{tenant} {metric} last": "hot" if hot == kept else "cold"}
        volumes |= {} if hot == kept else {f"{tenant} {metric} old": "cold"}
        expired[tenant, metric] = 2 if hot == kept else 1

    outcome = shelf.load(*events, now=NOW)

    assert shelf.volumes() == volumes
    assert outcome.fates["expired"] == expired


def test_rows_of_other_lengths_do_not_wait_for_each_other(opened: Opened) -> None:
    """
    Rows of one object and month whose tenants and metrics have other lengths lie in parts of their own.
    """
    shelf = opened(OWN)
    tenants = ("a", "big", "warm", "both")
    shelf.load(*(event(tenant, tenant, time=NOW) for tenant in tenants), now=NOW)

    parts = shelf.engine.rows("SELECT groupUniqArray(tenant) FROM metriclake.metrics GROUP BY _part")

    assert sorted(names for (names,) in parts) == [["a"], ["big"], ["both"], ["warm"]]


def test_a_shorter_retention_removes_what_is_beyond_it(opened: Opened) -> None:
    """
    Where retention becomes shorter, the rows beyond it leave at once, and none comes any more.
    """
    shelf = opened(USUAL)
    old = event("a", "old", time=NOW - days(200))
    shelf.load(event("a", "young", time=NOW - days(20)), old, now=NOW)

    shelf.retain(Tiers(days(7), days(100)))

    assert ids(shelf) == ["young"]
    assert fates(shelf.load(old, now=NOW)) == {"expired": 1}


def test_a_longer_retention_keeps_more(opened: Opened) -> None:
    """
    Where retention becomes longer, the rows that are there stay as long, and older ones may come.
    """
    shelf = opened(Tiers(days(14), days(100)))
    shelf.load(event("a", "saved", time=NOW - days(60)), now=NOW)

    shelf.retain(Tiers(days(14), days(700)))
    shelf.load(event("a", "older", time=NOW - days(600)), now=NOW)
    merge(shelf)

    leave = (
        "SELECT delete_ttl_info_min FROM system.parts WHERE active AND database = 'metriclake' AND table = 'metrics'"
    )
    assert ids(shelf) == ["older", "saved"]
    assert sorted(round((moment - NOW) / days(1)) for (moment,) in shelf.engine.rows(leave)) == [100, 640]


def test_a_shorter_hot_moves_what_is_there(opened: Opened) -> None:
    """
    Where `hot` becomes shorter, rows older than it go to the cold volume by themselves.
    """
    shelf = opened(Tiers(days(40), days(365)))
    shelf.load(event("a", "fresh", time=NOW), event("a", "older", time=NOW - days(35)), now=NOW)
    assert set(shelf.volumes().values()) == {"hot"}

    shelf.retain(Tiers(days(14), days(365)))

    until(lambda: shelf.volumes() == {"fresh": "hot", "older": "cold"})


def test_a_longer_hot_brings_nothing_back(opened: Opened) -> None:
    """
    Where `hot` becomes longer, rows on the cold volume stay there, and rows as old that come now lie on the hot one.
    """
    shelf = opened(Tiers(days(14), days(365)))
    shelf.load(event("a", "before", time=NOW - days(40)), now=NOW)

    shelf.retain(Tiers(days(100), days(365)))
    shelf.load(event("a", "after", time=NOW - days(40)), now=NOW)

    assert shelf.volumes() == {"before": "cold", "after": "hot"}


def test_lengths_of_its_own_come_change_and_go_while_rows_are_there(opened: Opened) -> None:
    """
    Lengths that a tenant or a metric is given, that change, or that are taken away hold for the rows that are there.
    """
    shelf = opened(USUAL)
    names = [(tenant, metric, age) for tenant in "ab" for metric in ("x", "y") for age in (300, 150, 60, 20, 1)]
    shelf.load(*(event(t, f"{m}{age}", metric=m, time=NOW - days(age)) for t, m, age in names), now=NOW)

    def oldest() -> dict[str, int]:
        """
        Return the age in days of each tenant's and metric's oldest row.
        """
        sql = "SELECT tenant || metric, max(toUInt32(substring(event_id, 2))) FROM metriclake.metrics GROUP BY 1"
        return dict(shelf.engine.rows(sql))

    assert oldest() == {"ax": 300, "ay": 300, "bx": 300, "by": 300}
    shelf.retain(Tiers(days(14), days(365), tenants={"b": Stay(retention=days(200))}))
    assert oldest() == {"ax": 300, "ay": 300, "bx": 150, "by": 150}
    shelf.retain(Tiers(days(14), days(365), {"x": Stay(retention=days(100))}, {"b": Stay(retention=days(180))}))
    assert oldest() == {"ax": 60, "ay": 300, "bx": 150, "by": 150}
    shelf.retain(Tiers(days(14), days(30), {"x": Stay(retention=days(100))}, {"b": Stay(hot=days(2))}))
    assert oldest() == {"ax": 60, "ay": 20, "bx": 60, "by": 20}
    shelf.retain(Tiers(days(14), days(365)))
    assert oldest() == {"ax": 60, "ay": 20, "bx": 60, "by": 20}
    assert shelf.engine.rows("SELECT DISTINCT retention FROM metriclake.metrics") == [(365 * 86_400,)]


def test_a_file_that_changed_while_the_store_was_closed(opened: Opened) -> None:
    """
    A store that is opened with other lengths treats the rows that are there as if they had changed while it was open.
    """
    shelf = opened(USUAL)
    shelf.load(*(event(tenant, "1", time=NOW - days(200)) for tenant in "ab"), now=NOW)

    shelf.tiers = Tiers(days(14), days(365), tenants={"a": Stay(retention=days(100))})
    shelf.reopen()
    shelf.settle()

    assert (ids(shelf, "a"), ids(shelf, "b")) == ([], ["1"])


@pytest.mark.parametrize("cut", ["ALTER TABLE", "INSERT"])
def test_a_change_that_was_cut_off_leaves_nothing_behind(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, cut: str
) -> None:
    """
    Where a change fails before or after the engine has begun with it, going back to what held before brings that back.
    """
    shelf = opened(USUAL)
    shelf.load(event("a", "1", time=NOW), event("b", "1", time=NOW), now=NOW)
    command, insert = Engine.command, Engine.insert

    def fail_command(engine: Engine, sql: str, settings: Mapping[str, Any] | None = None) -> None:
        if sql.startswith(cut):
            raise StoreError("no space left")
        command(engine, sql, settings)

    def fail_insert(engine: Engine, table: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        if cut == "INSERT" and any("P50D" in str(row) for row in rows):
            raise StoreError("no space left")
        insert(engine, table, columns, rows)

    monkeypatch.setattr(Engine, "command", fail_command)
    monkeypatch.setattr(Engine, "insert", fail_insert)
    with pytest.raises(StoreError):
        shelf.loader.retain(Tiers(days(14), days(365), tenants={"a": Stay(retention=days(50))}), NOW)
    monkeypatch.undo()
    shelf.settle()
    shelf.retain(USUAL)

    assert shelf.loader.tiers == USUAL
    assert shelf.engine.rows("SELECT DISTINCT retention FROM metriclake.metrics") == [(365 * 86_400,)]


def test_rows_that_come_while_lengths_change_stay_by_the_last_ones(opened: Opened) -> None:
    """
    Whatever is loaded while the file changes, in the end every row stays as long as the file says.
    """
    shelf = opened(USUAL)
    done = threading.Event()

    def change() -> None:
        for turn in range(4):
            shelf.loader.retain(Tiers(days(14), days(100 + turn), tenants={"b": Stay(days(1), days(200 - turn))}), NOW)
        done.set()

    thread = threading.Thread(target=change)
    thread.start()
    while not done.is_set():
        shelf.load(event("a", str(shelf.number), time=NOW), event("b", str(shelf.number), time=NOW), now=NOW)
    thread.join()
    shelf.settle()

    found = shelf.engine.rows("SELECT DISTINCT tenant, intDiv(retention, 86400) FROM metriclake.metrics ORDER BY 1")
    assert found == [("a", 103), ("b", 197)]


def test_tenants_do_not_grow_the_table(opened: Opened) -> None:
    """
    With 20,000 tenants that have lengths of their own the table's definition is the one without them, also changed.
    """
    shelf = opened(USUAL)
    before = shelf.engine.rows("SHOW CREATE TABLE metriclake.metrics")
    shelf.load(event("t7", "1", time=NOW - days(40)), event("t8", "1", time=NOW - days(40)), now=NOW)
    many = {f"t{index}": Stay(days(1), days(30 + index % 7)) for index in range(20_000)}

    shelf.retain(Tiers(days(14), days(365), tenants=many | {"t8": Stay()}))

    assert (ids(shelf, "t7"), ids(shelf, "t8")) == ([], ["1"])
    assert fates(shelf.load(event("t9", "1", time=NOW - days(40)), now=NOW)) == {"expired": 1}
    assert shelf.engine.rows("SHOW CREATE TABLE metriclake.metrics") == before


def test_what_is_beyond_its_retention_is_not_shown(opened: Opened) -> None:
    """
    Rows that the engine has not removed yet are neither counted nor named to their tenant.
    """
    shelf = opened(Tiers(days(1), days(700)))
    ages = {("a", "x"): (10, 100, 600), ("a", "y"): (100,), ("b", "y"): (100, 600)}
    shelf.load(
        *(event(t, f"{t}{m}{age}", metric=m, time=NOW - days(age)) for (t, m), own in ages.items() for age in own),
        now=NOW,
    )
    shelf.tiers = Tiers(days(1), days(300), {"y": Stay(retention=days(50))}, {"b": Stay(retention=days(400))})

    assert len(shelf.rows("a")) == 4
    assert (shelf.value("a", "count", metric="x"), shelf.value("b", "count", metric="y")) == (2, 1)
    assert shelf.value("a", "count", metric="y") == 0
    assert ([*shelf.reader("a").metrics()], [*shelf.reader("a").known()]) == (["x"], ["x", "y"])
    assert abs(shelf.reader("a").metrics()["x"].first - (NOW - days(300))) < timedelta(hours=1)
    assert shelf.reader("b").metrics()["y"].last == NOW - days(100)


@pytest.mark.parametrize("retention", ["365d", "18250d", "29500d", "36500d", "60000d", "73000d"])
def test_a_retention_that_the_pipeline_file_may_say_keeps_what_is_new(opened: Opened, retention: str) -> None:
    """
    However long a retention is, it is refused at `check`, or keeps what is new and what is almost a year old.
    """
    try:
        store = parse(f"store: {{hot: 14d, retention: {retention}}}", Path("metriclake.yaml"), {}).pipeline.store
    except InvalidPipeline:
        return

    shelf = opened(store.tiers())
    shelf.load(event("a", "1", time=NOW), event("a", "2", time=NOW - days(360)), now=NOW)
    merge(shelf)

    assert ids(shelf) == ["1", "2"]


def test_preparing_again_changes_nothing(opened: Opened) -> None:
    """
    A store that is opened with the same settings has the same rows and fates as before, and nothing is rewritten.
    """
    shelf = opened(OWN)
    shelf.load(event("a", "1", time=NOW), now=NOW)

    for _ in range(3):
        prepare(shelf.engine, OWN, NOW)

    assert fates(shelf.load(event("a", "1", time=NOW), now=NOW)) == {"duplicate": 1}
    assert shelf.engine.rows("SELECT count() FROM system.mutations WHERE database = 'metriclake'") == [(0,)]


def test_a_newer_format_is_refused(opened: Opened) -> None:
    """
    A store that a newer version has written is not opened, and not changed.
    """
    shelf = opened(USUAL)
    shelf.engine.insert("meta", ["key", "value"], [("format", "4")])

    with pytest.raises(NewerFormat, match="upgrade"):
        prepare(shelf.engine, Tiers(days(1), days(2)), NOW)

    assert dict(shelf.engine.rows("SELECT key, value FROM metriclake.meta FINAL"))["format"] == "4"


def test_an_empty_folder_becomes_a_store(tmp_path: Path) -> None:
    """
    A folder that is not there yet is made, with a volume for each tier.
    """
    engine = Engine(tmp_path / "new" / "store")
    prepare(engine, USUAL, NOW)

    assert Catalogue(engine).tenants() == []
    assert {path.name for path in (tmp_path / "new" / "store").iterdir()} >= {"hot", "cold"}
    engine.close()
