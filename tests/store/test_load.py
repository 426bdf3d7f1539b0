"""
A lake object is loaded whole, and each identity is counted once, however often it or its object arrives.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from metriclake._errors import LakeError, MetriclakeError, StoreError
from metriclake.event import MetricEvent
from metriclake.store import Aggregate, Catalogue, Engine, Loader, Selection
from metriclake.store.catalogue import DIMENSION, TEXT, Field, Place
from metriclake.tiers import Tiers
from store.shelf import NOW, VERSION, Shelf, counts, event, fates, lines

pytestmark = pytest.mark.engine


def test_each_event_is_stored_and_counted_by_tenant_and_metric(shelf: Shelf) -> None:
    """
    The outcome says of each tenant and metric how many metric events were stored.
    """
    outcome = shelf.load(event("count-a", "1"), event("count-a", "2"), event("count-b", "1", metric="scans"))

    assert outcome.fates["stored"] == {("count-a", "uploads"): 2, ("count-b", "scans"): 1}
    assert outcome.tenants == {"count-a", "count-b"}


def test_a_row_keeps_its_object_and_the_version_of_its_rules(shelf: Shelf) -> None:
    """
    Every stored row says which lake object and which pipeline version it comes from.
    """
    shelf.load(event("provenance", "1"))

    assert shelf.rows("provenance", "object, version") == [(shelf.number, VERSION)]
    assert shelf.loader.stored(shelf.number) == 1


def test_the_same_object_loaded_twice_has_the_same_outcome(shelf: Shelf) -> None:
    """
    An object that comes again after a crash stores nothing more, and its outcome is the first one.
    """
    events = [event("twice", "1", size=1.0), event("twice", "2", size=2.0), event("twice", "1", size=1.0)]

    first, second = shelf.load(*events), shelf.again(*events)

    assert first == second
    assert fates(first) == {"stored": 2, "duplicate": 1}
    assert shelf.value("twice", "sum", "size") == 3.0


def test_an_event_of_an_earlier_object_is_a_duplicate(shelf: Shelf) -> None:
    """
    The same metric event in two objects is stored by the first and a duplicate in the second, also when that is redone.
    """
    shelf.load(event("later", "1", size=5.0))
    events = (event("later", "1", size=5.0), event("later", "2", size=7.0))

    assert fates(shelf.load(*events)) == {"duplicate": 1, "stored": 1}
    assert fates(shelf.again(*events)) == {"duplicate": 1, "stored": 1}
    assert shelf.rows("later") == [("1",), ("2",)]


@pytest.mark.parametrize(
    "other",
    [
        event("TENANT", "1", size=6.0, dimensions={"kind": "a"}),
        event("TENANT", "1", size=5.0, dimensions={"kind": "b"}),
        event("TENANT", "1", size=5.0),
        event("TENANT", "1", dimensions={"kind": "a"}),
        event("TENANT", "1", size="5.0", dimensions={"kind": "a"}),
        event("TENANT", "1", size=5.0, dimensions={"kind": "a"}, ok=False),
        event("TENANT", "1", size=5.0, dimensions={"kind": "a"}, extra=0.0),
        event("TENANT", "1", size=5.0, dimensions={"kind": "a", "more": "x"}),
    ],
    ids=["measure", "dimension", "no-dimension", "no-measure", "type", "boolean", "zero", "new-dimension"],
)
@pytest.mark.parametrize("apart", [False, True], ids=["one-object", "two-objects"])
def test_another_payload_under_an_identity_is_a_conflict(shelf: Shelf, other: MetricEvent, *, apart: bool) -> None:
    """
    A metric event that differs from the first of its identity in any field is a conflict, and the first stays.
    """
    tenant = f"conflict-{shelf.number}"
    first = event(tenant, "1", size=5.0, dimensions={"kind": "a"})
    second = MetricEvent(other.metric_name, {**other.metadata, "tenant_id": tenant}, other.data)

    if apart:
        shelf.load(first)
        assert fates(shelf.load(second)) == {"conflict": 1}
    else:
        assert fates(shelf.load(first, second)) == {"stored": 1, "conflict": 1}

    assert shelf.value(tenant, "sum", "size") == 5.0
    assert len(shelf.rows(tenant)) == 1


def test_tenant_attributes_make_no_conflict(shelf: Shelf) -> None:
    """
    What the enrich step adds may have changed between two arrivals: they are still duplicates.
    """
    shelf.load(event("enriched", "1", size=1.0, dimensions={"tenant_name": "Acme"}))

    outcome = shelf.load(
        event("enriched", "1", size=1.0, dimensions={"tenant_name": "Acme Inc.", "tenant_environment": "eu"})
    )

    assert fates(outcome) == {"duplicate": 1}
    assert shelf.rows("enriched", "attributes") == [({"tenant_name": "Acme"},)]


def test_the_order_of_fields_makes_no_conflict(shelf: Shelf) -> None:
    """
    The same fields in another order are the same payload, also those beyond the slots.
    """
    measures = {f"m{index}": float(index) for index in range(30)}
    dimensions = {f"d{index}": str(index) for index in range(30)}
    shelf.load(event("order", "1", metric="ordered", dimensions=dimensions, more=measures))

    backwards = event(
        "order",
        "1",
        metric="ordered",
        dimensions=dict(reversed(dimensions.items())),
        more=dict(reversed(measures.items())),
    )

    assert fates(shelf.load(backwards)) == {"duplicate": 1}


def test_an_identity_is_tenant_metric_id_and_time(shelf: Shelf) -> None:
    """
    Metric events that differ in one part of the identity are all stored.
    """
    outcome = shelf.load(
        event("identity", "1"),
        event("identity-2", "1"),
        event("identity", "1", metric="scans"),
        event("identity", "2"),
        event("identity", "1", time=NOW + timedelta(microseconds=1)),
    )

    assert fates(outcome) == {"stored": 5}


@pytest.mark.parametrize("lost", ["event_id < '3'", "event_id >= '3'", "event_id = '0'", "1"])
def test_a_partial_insert_is_completed(shelf: Shelf, lost: str) -> None:
    """
    A load that was cut off while inserting has, when done again, the outcome and the rows of one that was not.
    """
    tenant = f"partial-{shelf.number}"
    shelf.load(event(tenant, "9", size=1.0))
    events = [event(tenant, str(index), size=float(index)) for index in (*range(6), 3, 9)]
    first = shelf.load(*events)
    whole = shelf.rows(tenant, "*")

    condition = f"tenant = '{tenant}' AND object = {shelf.number} AND {lost}"
    shelf.engine.command(f"ALTER TABLE metriclake.metrics DELETE WHERE {condition}", {"mutations_sync": 2})
    assert len(shelf.rows(tenant)) < 7

    assert shelf.again(*events) == first
    assert fates(first) == {"stored": 6, "duplicate": 1, "conflict": 1}
    assert shelf.rows(tenant, "*") == whole


def test_what_is_older_than_retention_is_expired(shelf: Shelf) -> None:
    """
    A metric event beyond retention is counted as expired and not stored.
    """
    now = datetime.now(UTC)
    loader = Loader(shelf.engine, shelf.catalogue, Tiers(timedelta(days=1), timedelta(days=30)), shelf.sets)
    events = [event("old", "1", time=now - timedelta(days=31)), event("old", "2", time=now - timedelta(days=29))]
    shelf.number += 1

    outcome = loader.load(shelf.number, VERSION, lines(events), counts(events), {}, now)

    assert fates(outcome) == {"expired": 1, "stored": 1}
    assert shelf.rows("old") == [("2",)]


def test_a_row_that_a_first_try_stored_does_not_expire_in_the_second(shelf: Shelf) -> None:
    """
    A load that is redone so late that its rows are beyond retention still counts those that it had stored.
    """
    now = datetime.now(UTC)
    loader = Loader(shelf.engine, shelf.catalogue, Tiers(timedelta(days=1), timedelta(days=30)), shelf.sets)
    events = [event("redone", "1", time=now - timedelta(days=29))]
    shelf.number += 1
    body, counted = lines(events), counts(events)

    first = loader.load(shelf.number, VERSION, body, counted, {}, now)
    again = loader.load(shelf.number, VERSION, body, counted, {}, now + timedelta(days=2))

    assert first == again
    assert shelf.rows("redone") == [("1",)]


def test_fields_beyond_the_slots_are_kept_and_answer(shelf: Shelf) -> None:
    """
    The 17th dimension and double and the 5th integer are kept and answer as the first ones do.
    """
    dimensions = {f"dim{index}": f"value {index}" for index in range(20)}
    measures = {f"double{index}": index + 0.5 for index in range(20)} | {f"whole{index}": index for index in range(7)}
    declared = {"wide": [f"whole{index}" for index in range(7)]}
    shelf.load(event("wide", "1", metric="wide", dimensions=dimensions, more=measures), integers=declared)

    metric = shelf.reader("wide").metrics()["wide"]
    assert set(metric.dimensions) == set(dimensions)
    assert set(metric.measures) == set(measures)
    assert {name: shelf.value("wide", "max", name, "wide") for name in measures} == measures
    for name, value in dimensions.items():
        selection = Selection("wide", Aggregate.COUNT, NOW, NOW + timedelta(seconds=1), group_by=(name,))
        assert shelf.reader("wide").select(selection).rows == [(value, 1)]


def test_a_metric_may_grow_past_the_slots_later(shelf: Shelf) -> None:
    """
    Fields that appear in later objects find their place, and the rows before keep theirs.
    """
    for index in range(20):
        shelf.load(
            event("grows", str(index), metric="growing", dimensions={f"dim{index}": "x"}, more={f"m{index}": 1.5})
        )

    assert [shelf.value("grows", "sum", f"m{index}", "growing") for index in range(20)] == [1.5] * 20


def test_each_type_of_a_drifted_measure_is_kept(shelf: Shelf) -> None:
    """
    A measure that comes as number, text and boolean is kept under each type, and its numbers answer.
    """
    shelf.load(event("drift", "1", size=2.0), event("drift", "2", size="2"), event("drift", "3", size=True))
    shelf.load(event("drift", "4", size=False), event("drift", "5", size=3.0))

    assert shelf.reader("drift").metrics()["uploads"].measures == {"size": ("boolean", "double", "string")}
    assert shelf.value("drift", "sum", "size") == 5.0
    assert shelf.rows("drift", "strings, booleans") == [
        ({}, {}),
        ({"size": "2"}, {}),
        ({}, {"size": True}),
        ({}, {"size": False}),
        ({}, {}),
    ]


def test_a_declared_integer_is_exact_beyond_a_double(shelf: Shelf) -> None:
    """
    A measure that the pipeline file declares as integer keeps all of its 64 bits.
    """
    extremes = {"low": -(2**63), "high": 2**63 - 1, "odd": 2**53 + 1}
    for name, value in extremes.items():
        shelf.load(event(name, "1", metric="exact", total=value), integers={"exact": ["total"]})

    assert {name: shelf.value(name, "max", "total", "exact") for name in extremes} == extremes


def test_a_measure_declared_later_keeps_both_types(shelf: Shelf) -> None:
    """
    Rows from before and after a measure was declared as integer are each kept under their own type.
    """
    shelf.load(event("declared", "1", metric="redeclared", total=1.5))
    shelf.load(event("declared", "2", metric="redeclared", total=2), integers={"redeclared": ["total"]})

    assert shelf.reader("declared").metrics()["redeclared"].measures == {"total": ("double", "integer")}


def test_an_object_may_span_many_months(shelf: Shelf) -> None:
    """
    Event times of 130 months in one object are loaded at once.
    """
    events = [event("months", f"{index:03}", time=NOW - timedelta(days=30.5 * index)) for index in range(131)]

    assert fates(shelf.load(*events)) == {"stored": 131}


@pytest.mark.parametrize(
    "wanted",
    [
        {("mismatch", "uploads"): 3},
        {("other", "uploads"): 2},
        {("mismatch", "uploads"): 2, ("other", "uploads"): 1},
        {},
    ],
    ids=["number", "tenant", "more", "nothing"],
)
def test_lines_that_are_not_what_the_manifest_counts_are_refused(
    shelf: Shelf, wanted: dict[tuple[str, str], int]
) -> None:
    """
    An object that does not hold what its manifest says is refused whole.
    """
    events = [event("mismatch", "1"), event("mismatch", "2")]
    shelf.number += 1

    with pytest.raises(LakeError, match=f"{shelf.number}"):
        shelf.loader.load(shelf.number, VERSION, lines(events), wanted, {}, NOW)

    assert shelf.rows("mismatch") == []
    assert "uploads" not in shelf.reader("mismatch").metrics()


@pytest.mark.parametrize(
    "line",
    [
        b'{"metric_name": "uploads", "metadata": {"tenant_id": "torn"',
        b'{"metric_name": "uploads", "metadata": {"tenant_id": "torn"}, "data": {}}',
        b"[]",
    ],
    ids=["cut", "no-time", "array"],
)
def test_a_line_that_is_no_metric_event_is_refused(shelf: Shelf, line: bytes) -> None:
    """
    A torn or foreign line fails the load with an error of ours, and the next load works.
    """
    shelf.number += 1

    with pytest.raises(MetriclakeError):
        shelf.loader.load(shelf.number, VERSION, line + b"\n", {("torn", "uploads"): 1}, {}, NOW)

    assert shelf.rows("torn") == []
    assert fates(shelf.load(event("after-torn", str(shelf.number)))) == {"stored": 1}


def test_the_catalogue_knows_the_first_and_last_time(shelf: Shelf) -> None:
    """
    A tenant's metric has the bounds of its event times, over all objects.
    """
    first, last = datetime(2024, 2, 29, 23, 59, 59, 999_999, UTC), datetime(2026, 6, 30, 1, 2, 3, 4, UTC)
    shelf.load(event("bounds", "1", time=last), event("bounds", "2", time=NOW - timedelta(days=90)))
    shelf.load(event("bounds", "3", time=first))

    metric = shelf.reader("bounds").metrics()["uploads"]

    assert (metric.first, metric.last) == (first, last)


@pytest.mark.parametrize("table", ["slots", "fields"])
def test_a_load_that_fails_in_the_catalogue_takes_nothing_from_the_next(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    """
    Where slots or fields cannot be written, as on a full disk, the same load later finds both as if it were the first.
    """
    insert = Engine.insert

    def fail(engine: Engine, name: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        if name == table:
            raise StoreError("no space left")
        insert(engine, name, columns, rows)

    metric = f"failing_{table}"
    events = (event("failing", "1", metric=metric, dimensions={"kind": "a"}),)
    monkeypatch.setattr(Engine, "insert", fail)
    for _ in range(3):
        with pytest.raises(StoreError):
            shelf.load(*events)
    monkeypatch.undo()

    assert fates(shelf.again(*events)) == {"stored": 1}
    assert shelf.reader("failing").metrics()[metric].dimensions == ("kind",)
    place = shelf.catalogue.place(Field(metric, DIMENSION, "kind", TEXT))
    assert place == Place("d0") == Catalogue(shelf.engine).place(Field(metric, DIMENSION, "kind", TEXT))
