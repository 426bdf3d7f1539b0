"""
Rollups say what the rows say, whatever comes late, twice or anew, and wherever the building is cut off.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest

from metriclake._errors import StoreError
from metriclake.event import MetricEvent
from metriclake.store import Rollups
from metriclake.store.rollups.builder import slices
from metriclake.store.rollups.building import Slice
from metriclake.store.rollups.table import Grain
from store.rolled_data import DIMENSIONS, INTEGERS, START, drawn, plain_rollup, stored_rollup
from store.shelf import Shelf, event

pytestmark = pytest.mark.engine

SETS = (DIMENSIONS, ())


@pytest.fixture
def metric(request: pytest.FixtureRequest, shelf: Shelf) -> Iterator[str]:
    """
    Return a metric of the test's own, and declare a rollup of it over three dimensions and one over none.
    """
    name = re.sub(r"\W", "_", request.node.name)
    shelf.sets.declare({name: SETS})
    yield name
    shelf.sets.declare({})


@pytest.fixture
def every_grain(shelf: Shelf) -> Iterator[None]:
    """
    Keep rollups in quarters, hours and days.
    """
    shelf.grains = tuple(Grain)
    shelf.begin()
    yield
    shelf.grains = (Grain.QUARTER,)
    shelf.begin()


@pytest.fixture
def events(metric: str) -> list[MetricEvent]:
    """
    Return events of two tenants.
    """
    chance = random.Random(7)  # noqa: S311 - test data
    return [drawn(chance, f"{index}", metric) for index in range(400)]


def load(shelf: Shelf, *events: MetricEvent) -> None:
    """
    Load events as the next object.
    """
    shelf.load(*events, integers={events[0].metric_name: INTEGERS})


def again(shelf: Shelf, *events: MetricEvent) -> None:
    """
    Load events as the object that came last.
    """
    shelf.again(*events, integers={events[0].metric_name: INTEGERS})


def holds(shelf: Shelf, events: list[MetricEvent]) -> bool:
    """
    Tell whether both rollups, in each grain, say what events say that count.
    """
    return all(
        stored_rollup(shelf, events[0].metric_name, dimensions, grain) == plain_rollup(events, dimensions, grain)
        for dimensions in SETS
        for grain in shelf.grains
    )


def through(shelf: Shelf) -> set[int]:
    """
    Return the checkpoints of the live sets, counted from the last object.
    """
    return {one.through - shelf.number if one.through else -shelf.number for one in shelf.sets.live}


@pytest.mark.usefixtures("every_grain")
def test_rollups_say_what_the_rows_say(shelf: Shelf, events: list[MetricEvent]) -> None:
    """
    Built at first, and again after late rows, duplicates and conflicts, and after merges.
    """
    load(shelf, *events[:200])
    shelf.rollups.catch_up()
    assert holds(shelf, events[:200])

    conflicts = (MetricEvent(one.metric_name, one.metadata, {**one.data, "size": 7.0}) for one in events[:50])
    load(shelf, *events[150:], *conflicts)
    shelf.rollups.catch_up()
    assert holds(shelf, events)

    for table in ("metrics", "rollups"):
        shelf.engine.command(f"OPTIMIZE TABLE metriclake.{table} FINAL")
    assert holds(shelf, events)
    assert through(shelf) == {0}


@pytest.mark.usefixtures("every_grain")
def test_only_buckets_with_later_rows_are_built_again(shelf: Shelf, metric: str, events: list[MetricEvent]) -> None:
    """
    A late row costs its own tenant's buckets, and nothing else.
    """
    load(shelf, *events)
    shelf.rollups.catch_up()
    before = shelf.engine.rows("SELECT max(build) FROM metriclake.rollups")[0][0]

    load(shelf, event("acme", "late", metric=metric, time=START + timedelta(hours=100)))
    shelf.rollups.catch_up()

    sql = f"SELECT DISTINCT tenant, start FROM metriclake.rollups WHERE build > {before}"  # noqa: S608 - a number of the engine's
    assert set(shelf.engine.rows(sql)) == {("acme", START + timedelta(hours=hours)) for hours in (100, 96)}


def test_fields_beyond_the_slots_are_rolled_up(shelf: Shelf, metric: str) -> None:
    """
    Dimensions and measures that lie in maps are rolled up as those in columns are.
    """
    names = [f"n{index:02}" for index in range(20)]
    full = {"dimensions": dict.fromkeys(names, "x"), "more": dict.fromkeys(names, 0.5)}
    one = event("acme", "1", metric=metric, time=START, **full)  # type: ignore[arg-type] # both are what it takes
    other = event("acme", "2", metric=metric, time=START, dimensions={"n19": "y"}, more={"n19": 2.0})
    shelf.sets.declare({metric: (("n19", "n00"),)})

    load(shelf, one, other)
    shelf.rollups.catch_up()

    assert stored_rollup(shelf, metric, ("n19", "n00")) == plain_rollup([one, other], ("n19", "n00"))


def test_large_integers_are_kept_whole(shelf: Shelf, metric: str) -> None:
    """
    Integers beyond what a double holds are kept to the last digit, and so is their sum beyond 64 bits.
    """
    most = 2**63 - 1
    shelf.sets.declare({metric: ((),)})
    load(shelf, *(event("acme", f"{index}", metric=metric, time=START, items=most - index) for index in range(3)))

    shelf.rollups.catch_up()

    columns = "whole, whole_least, whole_most, whole_last"
    sql = f"SELECT DISTINCT {columns} FROM metriclake.rollups WHERE kind = 'integer' AND metric = '{metric}'"  # noqa: S608 - names of the tests' own
    assert shelf.engine.rows(sql) == [(3 * most - 3, most - 2, most, most - 2)]


@pytest.mark.parametrize("steps", [1, 2, 5, 8, 20])
def test_a_build_that_is_cut_off_ends_the_same(shelf: Shelf, events: list[MetricEvent], steps: int) -> None:
    """
    Cut off after so many statements, with more loaded meanwhile, a later process builds the same.
    """
    load(shelf, *events[:200])
    for _ in islice(shelf.rollups.steps(), steps):
        pass
    load(shelf, *events[200:])

    shelf.begin()
    shelf.rollups.catch_up()

    assert holds(shelf, events)
    assert through(shelf) == {0}


def test_a_tenant_whose_rollup_is_built_is_not_built_again(
    shelf: Shelf, metric: str, events: list[MetricEvent]
) -> None:
    """
    After the store was closed and opened, building goes on with the tenant that has no rollup yet.
    """
    shelf.sets.declare({metric: ((),)})
    load(shelf, *events)
    one = shelf.sets.live[0]
    for _ in shelf.rollups.steps():
        if shelf.sets.tenants(one.id):
            break
    first = f"SELECT max(build) FROM metriclake.rollups WHERE set = {one.id} AND tenant = 'acme'"  # noqa: S608 - a number
    before = shelf.engine.rows(first)

    shelf.reopen()
    assert shelf.sets.tenants(one.id) == ["acme"]
    shelf.rollups.catch_up()

    assert shelf.engine.rows(first) == before
    assert shelf.sets.tenants(one.id) == ["acme", "globex"]
    assert stored_rollup(shelf, metric, ()) == plain_rollup(events, ())


def test_who_joins_has_what_a_round_beside_it_has_built(shelf: Shelf, metric: str, events: list[MetricEvent]) -> None:
    """
    Loads and rounds go on while a rollup is begun for a tenant: it joins with what the others have by then.
    """
    shelf.sets.declare({metric: ((),)})
    load(shelf, *events[:200])
    join = shelf.rollups._join(metric)
    for _ in islice(join, 2):
        pass

    load(shelf, *events[200:])
    for one in shelf.sets.live:
        for _ in shelf.rollups._round(one.id):
            pass
    assert through(shelf) == {0}
    for _ in join:
        pass

    assert {one.part.through for one in shelf.sets.rollups("acme", metric)} == {shelf.number}
    assert stored_rollup(shelf, metric, ()) == plain_rollup(events, ())


def test_only_tenants_that_are_worth_it_have_rollups(shelf: Shelf, metric: str, events: list[MetricEvent]) -> None:
    """
    A tenant with few events, or with hardly more of them than groups, has none.
    """
    many = [event("dense", f"{index}", metric=metric, time=START) for index in range(60)]
    few = [event("few", f"{index}", metric=metric, time=START) for index in range(40)]
    sparse = [one for one in events if one.metadata["tenant_id"] == "acme"]
    shelf.sets.declare({metric: ((),)})
    shelf.least = 50

    load(shelf, *many, *few, *sparse)
    shelf.rollups.catch_up()
    found = shelf.sets.tenants(shelf.sets.live[0].id)
    shelf.least = 0

    assert len(sparse) > 60
    assert found == ["dense"]


def test_an_object_that_comes_again_is_built_again(shelf: Shelf, metric: str, events: list[MetricEvent]) -> None:
    """
    Rows that were lost and come back under an old object's number are in the rollup when it is built again.
    """
    load(shelf, *events[:200])
    load(shelf, *events[200:])
    lost = shelf.number - 1
    where = f"metric = '{metric}' AND object = {lost}"
    shelf.engine.command(f"ALTER TABLE metriclake.metrics DELETE WHERE {where}", {"mutations_sync": 2})
    shelf.rollups.catch_up()
    assert through(shelf) == {0}

    with shelf.sets.loading(lost, lost):
        assert through(shelf) == {-2}
        shelf.rollups.catch_up()
        assert through(shelf) == {-2}
    shelf.number -= 1
    again(shelf, *events[:200])
    shelf.number += 1
    shelf.rollups.catch_up()

    assert holds(shelf, events)
    assert through(shelf) == {0}


def test_a_build_beside_which_an_object_comes_again_is_in_vain(shelf: Shelf, events: list[MetricEvent]) -> None:
    """
    The checkpoint does not move over an object that came again while its buckets were being built.
    """
    load(shelf, *events[:200])
    shelf.rollups.catch_up()
    load(shelf, *events[200:])
    shelf.rollups._due.clear()
    steps = shelf.rollups.steps()
    next(steps)

    again(shelf, *events[200:])
    for _ in steps:
        pass

    assert through(shelf) == {-1, 0}
    shelf.rollups.catch_up()
    assert holds(shelf, events)


def test_a_load_that_was_cut_off_is_not_taken_for_whole(shelf: Shelf, events: list[MetricEvent]) -> None:
    """
    Where a process finds the first rows of an object whose load was cut off, it builds its buckets again when it comes.
    """
    load(shelf, *events[:100])
    shelf.begin()
    shelf.rollups.catch_up()
    assert through(shelf) == {0}

    again(shelf, *events[:200])
    assert through(shelf) == {-1}
    shelf.rollups.catch_up()
    assert holds(shelf, events[:200])


def test_a_load_that_failed_is_not_taken_for_whole(
    shelf: Shelf, events: list[MetricEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The checkpoint stays before an object whose load has failed, and moves over it once it is loaded.
    """
    load(shelf, *events[:200])
    shelf.rollups.catch_up()
    with monkeypatch.context() as patched:
        patched.setattr(shelf.loader, "_verify", _fail)
        with pytest.raises(StoreError):
            load(shelf, *events[200:])

    shelf.rollups.catch_up()
    assert through(shelf) == {-1}
    again(shelf, *events[200:])
    shelf.rollups.catch_up()

    assert through(shelf) == {0}
    assert holds(shelf, events)


def _fail(*_: object) -> None:
    raise StoreError("cut off")


def test_another_declaration_is_another_set(shelf: Shelf, metric: str, events: list[MetricEvent]) -> None:
    """
    What is no longer declared is dropped, what is new is built; the same dimensions in another order stay as they are.
    """
    load(shelf, *events)
    shelf.rollups.catch_up()
    kept, dropped = shelf.sets.live

    shelf.sets.declare({metric: (DIMENSIONS[::-1], ("kind",))})
    assert {one.dimensions for one in shelf.sets.live} == {kept.dimensions, ("kind",)}
    assert kept in shelf.sets.live
    shelf.begin()
    shelf.rollups.catch_up()

    assert stored_rollup(shelf, metric, kept.dimensions) == plain_rollup(events, kept.dimensions)
    assert stored_rollup(shelf, metric, ("kind",)) == plain_rollup(events, ("kind",))
    assert shelf.engine.rows(f"SELECT count() FROM metriclake.rollups WHERE set = {dropped.id}") == [(0,)]  # noqa: S608 - a number
    shelf.sets.declare({metric: ((),)})
    assert min(one.id for one in shelf.sets.live) > max(kept.id, dropped.id)


def test_a_set_is_dropped_when_no_question_reads_it_any_more(
    shelf: Shelf, metric: str, events: list[MetricEvent]
) -> None:
    """
    A question that has begun to read a set still finds its rows, for longer than a question may take.
    """
    now = 100.0
    rollups = Rollups(shelf.engine, shelf.catalogue, shelf.sets, lambda: shelf.tiers, lambda: now)
    load(shelf, *events)
    rollups.catch_up()
    count = f"SELECT count() FROM metriclake.rollups WHERE set = {shelf.sets.live[-1].id}"  # noqa: S608 - a number

    shelf.sets.declare({metric: SETS[:1]})
    rollups.turn()
    now += 59
    rollups.turn()
    assert shelf.engine.rows(count) != [(0,)]

    now += 2
    rollups.turn()
    assert shelf.engine.rows(count) == [(0,)]
    assert shelf.sets.retired == ()


def test_the_builder_rests_longer_than_it_works(shelf: Shelf, events: list[MetricEvent]) -> None:
    """
    After a turn it does nothing for nine times as long.
    """
    ticks = iter(range(10**6))
    rollups = Rollups(shelf.engine, shelf.catalogue, shelf.sets, lambda: shelf.tiers, lambda: float(next(ticks)))
    load(shelf, *events)

    turns = 0
    while any(len(shelf.sets.tenants(one.id)) < 2 for one in shelf.sets.live):
        rollups.turn()
        turns += 1

    assert turns > 9


def test_while_nothing_is_loaded_nothing_is_asked(shelf: Shelf, events: list[MetricEvent]) -> None:
    """
    Steps without news cost no statement, but that it is looked every hour who has become large.
    """
    now = 0.0
    rollups = Rollups(shelf.engine, shelf.catalogue, shelf.sets, lambda: shelf.tiers, lambda: now)
    load(shelf, *events)
    rollups.catch_up()
    session, rollups._session = rollups._session, None  # type: ignore[assignment] # whoever asks fails

    now = 100.0
    rollups.turn()
    now = 3599.0
    rollups.turn()
    now = 3601.0
    with pytest.raises(AttributeError):
        rollups.turn()
    session.rows("SELECT 1", {})


@pytest.mark.parametrize(
    ("found", "cut"),
    [
        ([], []),
        ([("a", 4, 0, 3), ("b", 5, 2, 8), ("c", 2, 1, 2)], [("ab", 0, 8), ("c", 1, 2)]),
        ([("a", 25, 0, 9)], [("a", 0, 3), ("a", 3, 6), ("a", 6, 9)]),
        ([("a", 99, 4, 6)], [("a", 4, 5), ("a", 5, 6)]),
        ([("a", 1, 0, 1), ("b", 11, 0, 4), ("c", 1, 0, 1)], [("a", 0, 1), ("b", 0, 2), ("b", 2, 4), ("c", 0, 1)]),
    ],
    ids=["none", "together", "by-time", "no-smaller-than-buckets", "alone"],
)
def test_slices(found: list[tuple[str, int, int, int]], cut: list[tuple[str, int, int]]) -> None:
    """
    Small tenants are built together, a large one piece by piece, in whole buckets; nothing is left out.
    """

    def at(bucket: int) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + bucket * timedelta(minutes=15)

    given = [(tenant, rows, at(start), at(end)) for tenant, rows, start, end in found]
    assert slices(given, timedelta(minutes=15), 10) == [
        Slice(tuple(tenants), at(start), at(end)) for tenants, start, end in cut
    ]
