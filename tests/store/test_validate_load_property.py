"""
THE property of the path: what the stream's steps pass, the load neither refuses nor changes.

Drafts of every shape go through the stream's own sorting and composing; what comes out as a lake object is loaded, and
each row is read back and compared with what was sent, doubles by their bits.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from metriclake.entry import EntryKind, Seal, StoredEntry, as_counts
from metriclake.event import is_field_name
from metriclake.rules import RuleSet
from metriclake.store import Place
from metriclake.store.catalogue import Field
from metriclake.store.load import Loader
from metriclake.stream.compose import Plan, compose, sort, tenants
from metriclake.tiers import Stay, Tiers
from store.shelf import Shelf, counts, event, lines

pytestmark = pytest.mark.engine

RECORDS = 1500
BATCH = 250
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TICK = timedelta(microseconds=1)
SEALED_AT = (datetime(2085, 1, 1, tzinfo=UTC) - EPOCH) // TICK
METRICS = ("m", "M.2", "a:b-c_d", "_", "x" * 128)
INTEGERS = {name: {"whole": "integer", "$whole.2": "integer", "w" * 60: "integer"} for name in METRICS}
PLAN = Plan(
    version=2**52 - 1,
    rules=RuleSet(()),
    tiers=Tiers(TICK * SEALED_AT, TICK * SEALED_AT),
    future=(datetime(2200, 1, 1, tzinfo=UTC) - EPOCH) // TICK - SEALED_AT,
    suffix=".zst",
    types={name: {**whole, "flag": "boolean", "text": "string", "real": "double"} for name, whole in INTEGERS.items()},
)
SEAL = Seal("journal", 0, 1, 1, 1, 0, SEALED_AT, PLAN.version)

FIELD_NAMES = st.sampled_from(
    ("a", "b", "A", "$f", "x.y:z-0", "f" * 60, "event_times", "tenant", "value", *(f"n{index}" for index in range(24)))
)
TEXTS = st.one_of(
    st.sampled_from(("", " ", "\0", "'", '"', "\\", "\\'", '\\"', "\\u0000", "{}", "null", "\t\n\r\x1b\x7f", "\u2028",
                     "\U0001f600", "\ufffd", "\ufeff", "é", "e\u0301", "ß" * 1024, "a" * 2048, "NaN", "1e400", "true",
                     "%s", "{p0:String}", "`", ";--", "/*")),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)  # fmt: skip
DOUBLES = st.one_of(
    st.sampled_from((0.0, -0.0, 5e-324, -5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 1e308, -1e308, 0.1,
                     1e22, 1e23, 9007199254740993.0, 123456789.123456789, 2.5e-308, 4.35, 1e15, 1e16, 1e-7, 3.0)),
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(2**53), 2**53),
)  # fmt: skip
WHOLES = st.one_of(
    st.sampled_from((0, 1, -1, 2**63 - 1, -(2**63), 2**53 + 1, -(2**53) - 1, 10**18)), st.integers(-(2**63), 2**63 - 1)
)
MEASURES = st.one_of(DOUBLES, TEXTS, st.booleans(), st.none(), DOUBLES)
TIMES = st.datetimes(datetime(1970, 1, 2), datetime(2199, 12, 30))  # noqa: DTZ001 - hypothesis wants them without zone
OFFSETS = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@st.composite
def event_times(draw: st.DrawFn) -> tuple[Any, int]:
    """
    Draw an event time as a sender writes it, and the microseconds since 1970 that it means.
    """
    moment = draw(TIMES).replace(tzinfo=UTC)
    micros = (moment - EPOCH) // TICK
    kind = draw(st.sampled_from(("utc", "offset", "seconds", "milliseconds", "microseconds")))
    if kind == "utc":
        return moment.isoformat().replace("+00:00", "Z"), micros
    if kind == "offset":
        return moment.astimezone(draw(OFFSETS)).isoformat(), micros
    if kind == "seconds":
        return micros // 10**6, micros // 10**6 * 10**6
    if kind == "milliseconds" and micros >= 10**14:
        return micros // 1000, micros // 1000 * 1000
    return (micros, micros) if micros >= 10**14 else (micros // 10**6, micros // 10**6 * 10**6)


@st.composite
def records(draw: st.DrawFn) -> tuple[dict[str, Any], int]:
    """
    Draw a metric event as a sender may write it, and its time.
    """
    written, micros = draw(event_times())
    dimensions = draw(st.dictionaries(FIELD_NAMES, st.one_of(TEXTS, WHOLES, st.booleans(), st.none()), max_size=20))
    measures = draw(st.dictionaries(FIELD_NAMES, MEASURES, max_size=20))
    for name in sorted(INTEGERS["m"]):
        if draw(st.booleans()):
            measures[name] = draw(WHOLES)
    if draw(st.booleans()):
        measures["flag"] = draw(st.booleans())
    measures = {name: value for name, value in measures.items() if not dimensions.get(name)}
    dimensions = {name: value for name, value in dimensions.items() if measures.get(name) is None}
    record = {
        "metric_name": draw(st.sampled_from(METRICS)),
        "metadata": {"tenant_id": draw(st.sampled_from(("acme", "a=b~c|d+e", "T.1", "0" * 128))), **dimensions},
        "data": {"event_time": written, **measures},
    }
    return record, micros


def drawn() -> list[tuple[dict[str, Any], int]]:
    """
    Draw the records of the property: the same ones in every run.
    """
    found: dict[str, tuple[dict[str, Any], int]] = {}

    @settings(
        max_examples=RECORDS, derandomize=True, deadline=None, database=None, phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(records(), TEXTS)
    def draw(record: tuple[dict[str, Any], int], tail: str) -> None:
        event_id = f"{len(found)}-{tail}"[:60]
        record[0]["metadata"]["event_id"] = event_id
        found[event_id] = record

    draw()
    return list(found.values())


def bits(value: Any) -> Any:
    """
    Return a value so that only what is exactly the same is equal: type and, of a double, each bit.
    """
    return struct.pack(">d", value) if type(value) is float else (type(value).__name__, value)


def as_stored(record: dict[str, Any], micros: int) -> dict[str, Any]:
    """
    Return what the store must hold of a record: dimensions as text, numbers by their declared type.
    """
    metric = record["metric_name"]
    dimensions = {
        name: value if isinstance(value, str) else msgspec.json.encode(value).decode()
        for name, value in record["metadata"].items()
        if name not in ("tenant_id", "event_id") and value not in (None, "")
    }
    measures = {
        name: float(value) if type(value) is int and name not in INTEGERS[metric] else value
        for name, value in record["data"].items()
        if name != "event_time" and value is not None
    }
    return {
        "identity": (record["metadata"]["tenant_id"], metric, micros, record["metadata"]["event_id"]),
        "dimensions": dimensions,
        "measures": {name: bits(value) for name, value in measures.items()},
    }


def read_back(shelf: Shelf) -> list[dict[str, Any]]:
    """
    Return the newest object's rows in the order they were sent, each put together from its slots and maps.
    """
    names = [name for name, _ in shelf.engine.rows(
        "SELECT name, position FROM system.columns WHERE database = 'metriclake' AND table = 'metrics'"
        " ORDER BY position"
    )]  # fmt: skip
    columns = ", ".join("toUnixTimestamp64Micro(time)" if name == "time" else name for name in names)
    sql = f"SELECT {columns} FROM metriclake.metrics WHERE object = {shelf.number}"  # noqa: S608 - names of our own
    rows = [row_as_sent(shelf, dict(zip(names, values, strict=True))) for values in shelf.engine.rows(sql)]
    return sorted(rows, key=lambda row: int(row["identity"][3].partition("-")[0]))


def row_as_sent(shelf: Shelf, row: dict[str, Any]) -> dict[str, Any]:
    """
    Return a row in the shape of `as_stored`.
    """
    metric = row["metric"]
    dimensions, doubles, integers = shelf.catalogue.shape(metric)
    measures: dict[str, Any] = {}
    for kind, group in (("double", doubles), ("integer", integers)):
        places = {name: shelf.catalogue.place(Field(metric, "measure", name, kind)) for name in group}
        measures |= {name: row[place.column] for name, place in places.items() if row[place.column] is not None}
    measures |= row["doubles"] | row["integers"] | row["strings"] | row["booleans"]
    placed: dict[str, Place] = {
        name: shelf.catalogue.place(Field(metric, "dimension", name, "string")) for name in dimensions
    }
    texts = {name: row[place.column] for name, place in placed.items() if row[place.column]}
    return {
        "identity": (row["tenant"], metric, row["time"], row["event_id"]),
        "dimensions": texts | row["dimensions"],
        "measures": {name: bits(value) for name, value in measures.items()},
    }


@pytest.fixture(scope="module")
def still(shelf: Shelf) -> Shelf:
    """
    Take the tiers away: times here lie beyond any retention, and rows would leave by the engine's own clock.
    """
    shelf.engine.command("ALTER TABLE metriclake.metrics REMOVE TTL")
    return shelf


def test_what_validate_passes_the_load_neither_refuses_nor_changes(still: Shelf) -> None:
    """
    Every record that passes the steps is stored as it was sent, each field under its own type, each double to its bits.
    """
    sent = drawn()
    passed = 0
    for first in range(0, len(sent), BATCH):
        batch = sent[first : first + BATCH]
        wanted = [as_stored(record, micros) for record, micros in batch]
        still.number += 1

        found = load(still, b"".join(msgspec.json.encode(record) + b"\n" for record, _ in batch))

        assert found == [row for row in wanted if row["identity"] in {row["identity"] for row in found}]
        passed += len(found)
    assert passed > 0.9 * len(sent)


def load(shelf: Shelf, body: bytes) -> list[dict[str, Any]]:
    """
    Take records through the stream into the store; return the rows that the store has of them.
    """
    entry = StoredEntry(1, EntryKind.METRICS, SEAL.oldest_at, body.count(b"\n"), body)
    batch = sort([entry], SEAL, PLAN)
    composed = compose(batch, [entry], SEAL, PLAN, dict.fromkeys(tenants(batch)))
    data = composed.manifest.data
    assert data is not None
    lines = next(content.lines for content in composed.contents if content.about is data)
    outcome = shelf.loader.load(
        shelf.number, PLAN.version, lines, as_counts(data.counts), composed.manifest.integers, EPOCH
    )
    assert sum(outcome.fates["stored"].values()) == data.rows
    return read_back(shelf)


LENGTHS = st.sampled_from([timedelta(hours=1), timedelta(days=1), timedelta(days=45), timedelta(days=20_000)])
OWN = st.builds(Stay, st.none() | LENGTHS, st.none() | LENGTHS)
TENANTS, MEASURED = ("acme", "a=b~c|d+e", "T.1"), ("m", "M.2", "a:b-c_d")
TIERS = st.builds(
    Tiers,
    LENGTHS,
    LENGTHS,
    st.dictionaries(st.sampled_from(MEASURED), OWN),
    st.dictionaries(st.sampled_from(TENANTS), OWN),
)
MARGIN = timedelta(minutes=5)
"""What would leave so soon after it is loaded is not stored."""


def of_tiers() -> list[Tiers]:
    """
    Draw what pipeline files say of how long rows stay: the same in every run.
    """
    found: list[Tiers] = []

    @settings(max_examples=12, derandomize=True, deadline=None, database=None, phases=(Phase.generate,))
    @given(TIERS)
    def draw(tiers: Tiers) -> None:
        found.append(tiers)

    draw()
    return found


@pytest.mark.parametrize("tiers", of_tiers(), ids=lambda tiers: f"{tiers.retention.days}d")
def test_validate_and_load_agree_on_what_is_expired(still: Shelf, tiers: Tiers) -> None:
    """
    The load stores what the steps pass, but for what would leave within minutes, whatever lengths are somebody's own.

    It stores nothing that the steps refuse, and each row carries the retention that both went by.
    """
    now = datetime.now(UTC)
    lefts = (-TICK, TICK * 0, MARGIN - TICK, MARGIN, timedelta(minutes=59))
    kept = {(tenant, metric): tiers.retention_of(tenant, metric) for tenant in TENANTS for metric in MEASURED}
    events = {
        f"{tenant} {metric} {left}": (
            event(tenant, f"{tenant} {metric} {left}", metric=metric, time=now - length + left),
            left,
        )
        for (tenant, metric), length in kept.items()
        for left in lefts
    }
    sent = [one for one, _ in events.values()]
    seal = replace(SEAL, sealed_at=(now - EPOCH) // TICK)
    still.number += 1

    batch = sort([StoredEntry(1, EntryKind.METRICS, 0, len(sent), lines(sent))], seal, replace(PLAN, tiers=tiers))
    loader = Loader(still.engine, still.catalogue, tiers, still.sets)
    outcome = loader.load(still.number, PLAN.version, lines(sent), counts(sent), {}, now)

    sql = f"SELECT event_id, tenant, metric, retention FROM metriclake.metrics WHERE object = {still.number}"  # noqa: S608 - a number of ours
    stored = {event_id: (tenant, metric, kept_for) for event_id, tenant, metric, kept_for in still.engine.rows(sql)}
    passed = {draft.dimensions["event_id"] for draft in batch.passed}
    assert passed == {name for name, (_, left) in events.items() if left >= TICK * 0}
    assert set(stored) == {name for name, (_, left) in events.items() if left >= MARGIN}
    assert sum(outcome.fates["expired"].values()) == len(events) - len(stored)
    assert all(kept[tenant, metric] == timedelta(seconds=found) for tenant, metric, found in stored.values())


@pytest.mark.parametrize("name", ["a", "_", "$", "A.b:c-d_1", "x" * 60, "time2", "event_id2"])
def test_the_names_of_the_property_are_field_names(name: str) -> None:
    """
    What the property draws names from is what the grammar of fields allows.
    """
    assert is_field_name(name)
