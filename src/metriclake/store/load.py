"""
Load lake objects: each identity counted once, however often it or its object arrives.

A load can be done again after a crash anywhere in it: rows that an earlier try has inserted are found by their object
number and kept. It ends with a count of what the store holds of the object, which must be what was judged.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import accumulate, groupby

from metriclake._errors import LakeError, StoreError
from metriclake.books import Counts, Key
from metriclake.crashpoints import CrashPoint, reach
from metriclake.store import aging
from metriclake.store.catalogue import ATTRIBUTE, DIMENSION, MEASURE, TEXT, Catalogue, Field
from metriclake.store.engine import DATABASE, Engine
from metriclake.store.rollups.sets import RollupSets
from metriclake.store.table import (
    DIMENSION_SLOTS,
    DOUBLE_SLOTS,
    INTEGER_SLOTS,
    payload_hash,
    retain,
    row_columns,
)
from metriclake.tiers import Tiers

_PARSE = {"input_format_parallel_parsing": 0, "max_insert_threads": 1, "input_format_skip_unknown_fields": 0}
_IN_ORDER = {"max_threads": 1, "max_insert_threads": 1, "precise_float_parsing": 1}
_EXPIRY_MARGIN = timedelta(minutes=5)
_IDENTITY = "tenant, metric, time, event_id"
_NO_PUSH_DOWN = {"query_plan_filter_push_down": 0}
"""Rows are numbered before they are filtered."""

_PASSING = ("incoming", "shapes", "staged", "judged")
"""The tables that hold a load while it goes on."""

_SIGNS = {'"': "string", "t": "boolean", "f": "boolean"}
_EPOCH = "'\"1970-01-01T00:00:00.000000Z\"'"
_ALWAYS = frozenset({"tenant", "metric", "time", "event_id", "object", "version", *aging.DEFINITIONS})
_AT_HAND = (
    f"time IN (SELECT time FROM {DATABASE}.incoming) AND (tenant, metric, time) IN"
    f" (SELECT metadata['tenant_id'], metric_name, time FROM {DATABASE}.incoming)"
)
"""The condition of stored rows that may have the identity of a line at hand; it goes by the primary key."""

_KNOWN = (
    f"{_AT_HAND} AND ({_IDENTITY}) IN"
    f" (SELECT metadata['tenant_id'], metric_name, time, metadata['event_id'] FROM {DATABASE}.incoming)"
)
"""The condition of stored rows that have the identity of a line at hand."""

FATES = ("stored", "duplicate", "conflict", "expired")


_NOTHING: Mapping[str, Counts] = {fate: {} for fate in FATES}


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    What became of an object's metric events, by fate, tenant and metric.
    """

    fates: Mapping[str, Counts] = field(default_factory=dict)

    @property
    def tenants(self) -> set[str]:
        """
        Return the tenants of whom something was stored.
        """
        return {tenant for tenant, _ in self.fates.get("stored", {})}


@dataclass(frozen=True, slots=True)
class Arrival:
    """
    An announced object as the loader takes it: its number, the rule version, its lines, and what its manifest says.

    `expected` are the metric events by tenant and metric, `integers` the measures declared as integers by metric.
    """

    number: int
    version: int
    lines: bytes = field(repr=False)
    expected: Counts = field(repr=False)
    integers: Mapping[str, list[str]] = field(default_factory=dict)


class Loader:
    """
    The one writer of the store's rows.
    """

    def __init__(self, engine: Engine, catalogue: Catalogue, tiers: Tiers, sets: RollupSets) -> None:
        """
        `tiers` are those that the store is prepared with; rows beyond their retention are not stored.

        `sets` hear of each object before it is loaded, and of each change of the tiers.
        """
        self._engine = engine
        self._catalogue = catalogue
        self._tiers = tiers
        self._sets = sets
        self._turn = threading.Lock()

    @property
    def tiers(self) -> Tiers:
        """
        Return how long rows stay.
        """
        return self._tiers

    def retain(self, tiers: Tiers, now: datetime) -> None:
        """
        Let rows stay as long as `tiers` say: those that come, and those that are there, between two loads.

        Raises StoreError where the engine fails; what held before still holds then.
        """
        with self._turn:
            try:
                retain(self._engine, tiers, now)
            finally:
                self._sets.retained()
            self._tiers = tiers

    def load(
        self,
        number: int,
        version: int,
        lines: bytes,
        expected: Counts,
        integers: Mapping[str, list[str]],
        now: datetime,
    ) -> Outcome:
        """
        Load one object; see `load_all`.
        """
        return self.load_all([Arrival(number, version, lines, expected, integers)], now)[0]

    def load_all(self, arrivals: Sequence[Arrival], now: datetime) -> list[Outcome]:
        """
        Load objects that follow each other, in as few statements as their rule versions allow.

        Raises LakeError where lines are not what their manifest says, StoreError where the engine fails.
        """
        outcomes = []
        with self._turn:
            for _, group in groupby(arrivals, key=lambda arrival: arrival.version):
                batch = list(group)
                numbers = [arrival.number for arrival in batch]
                with self._sets.loading(min(numbers), max(numbers)):
                    outcomes.extend(self._load(batch, now))
        return outcomes

    def _load(self, arrivals: list[Arrival], now: datetime) -> list[Outcome]:
        integers = {metric: names for arrival in arrivals for metric, names in arrival.integers.items()}
        for table in _PASSING:
            self._engine.command(f"TRUNCATE TABLE {DATABASE}.{table}")
        lines = b"".join(arrival.lines for arrival in arrivals)
        self._engine.insert_lines("incoming", ["metric_name", "metadata", "data"], lines, _PARSE)
        fresh = self._check(arrivals, now)
        used = self._learn(integers)
        tenants = {tenant for arrival in arrivals for tenant, _ in arrival.expected}
        stay = aging.lengths(self._tiers, "metadata['tenant_id']", "metric_name", tenants)
        hand = _Hand(arrivals, used, stay, now)
        if fresh and self._all_new():
            outcomes = [Outcome({**_NOTHING, "stored": arrival.expected}) for arrival in arrivals]
            self._insert(_Rows(hand))
        else:
            self._judge(hand)
            outcomes = self._outcomes(arrivals)
            self._insert(_Rows(hand, "stored"))
        self._touch(arrivals)
        self._engine.sync_parts()
        reach(CrashPoint.INSERT)
        self._verify(arrivals, outcomes)
        for table in _PASSING:
            self._engine.command(f"TRUNCATE TABLE {DATABASE}.{table}")
        return outcomes

    def stored(self, number: int) -> int:
        """
        Return how many rows the store holds of an object.
        """
        return int(self._engine.rows(f"SELECT count() FROM {DATABASE}.metrics WHERE object = {int(number)}")[0][0])

    def _check(self, arrivals: Sequence[Arrival], now: datetime) -> bool:
        """
        Hold the lines against their manifests; tells whether none of them is expired.
        """
        text = "arrayFirst(f -> f.1 = 'event_time', fields).2"
        rows = self._engine.rows(
            f"SELECT object, metadata['tenant_id'], metric_name, countIf(time <> 0 OR {text} = {_EPOCH}),"
            f" toUnixTimestamp64Micro(min(time)) FROM ({_numbered(arrivals)}) GROUP BY 1, 2, 3",
            settings=_IN_ORDER,
        )
        found: dict[int, dict[Key, int]] = {arrival.number: {} for arrival in arrivals}
        latest = now + _EXPIRY_MARGIN
        fresh = True
        for number, tenant, metric, count, first in rows:
            found.setdefault(number, {})[tenant, metric] = count
            fresh = fresh and first >= aging.micros(latest - self._tiers.retention_of(tenant, metric))
        for arrival in arrivals:
            if found[arrival.number] != dict(arrival.expected):
                raise LakeError(
                    f"lake object {arrival.number} does not hold what its manifest counts: it was changed after it was"
                    " written; restore it, or rebuild the store without it"
                )
        return fresh

    def _learn(self, integers: Mapping[str, list[str]]) -> frozenset[str]:
        """
        Give new fields their slots, say which tenant has them, and lay out the slots of the metrics at hand.

        Returns the columns that any line at hand fills: a statement over few columns is planned and run in less time.
        """
        kinds = "arrayMap(f -> (f.1, substring(f.2, 1, 1)), arrayFilter(f -> f.1 <> 'event_time', fields))"
        shapes = self._engine.rows(
            f"SELECT metric_name, mapKeys(metadata) AS dimensions, {kinds} AS measures,"
            f" groupUniqArray(metadata['tenant_id']) FROM {DATABASE}.incoming GROUP BY 1, 2, 3"
        )
        fields = [
            (_fields(metric, dimensions, measures, integers.get(metric, [])), tenants)
            for metric, dimensions, measures, tenants in shapes
        ]
        self._catalogue.learn(found for group, _ in fields for found in group)
        self._catalogue.note(fields)
        metrics = sorted({metric for metric, *_ in shapes})
        rows = [(metric, *self._catalogue.shape(metric), integers.get(metric, [])) for metric in metrics]
        self._engine.insert("shapes", ["metric", "dimensions", "doubles", "integers", "declared"], rows)
        return frozenset(self._catalogue.place(found).column for group, _ in fields for found in group)

    def _all_new(self) -> bool:
        """
        Tell whether every line's identity is new to the store and among the lines: the usual case.
        """
        identity = "sipHash128(metadata['tenant_id'], metric_name, time, metadata['event_id'])"
        known, lines, identities = self._engine.rows(
            f"SELECT (SELECT count() FROM {DATABASE}.metrics WHERE {_KNOWN}), count(), uniqExact({identity})"
            f" FROM {DATABASE}.incoming"
        )[0]
        return bool(known == 0 and lines == identities)

    def _judge(self, hand: _Hand) -> None:
        """
        Say of every line whether it is new, and of the others why not. The first arrival wins.
        """
        payload = "cityHash64(arraySort(fields), mapSort(mapFilter((n, v) -> NOT startsWith(n, 'tenant_'), metadata)))"
        lines = (
            "SELECT row, object, metadata['tenant_id'] AS tenant, metric_name AS metric, time, retention,"
            f" metadata['event_id'] AS event_id, {payload} AS payload FROM ({_numbered(hand.arrivals, hand.stay)})"
        )
        same = f"PARTITION BY {_IDENTITY} ORDER BY row"
        ranked = (
            f"SELECT *, row_number() OVER ({same}) AS nth, first_value(payload) OVER ({same}) AS first FROM ({lines})"
        )
        known = (
            f"SELECT {_IDENTITY}, min(object) AS first_object FROM {DATABASE}.metrics WHERE {_AT_HAND}"
            f" GROUP BY {_IDENTITY}"
        )
        oldest = f"{aging.micros(hand.now + _EXPIRY_MARGIN)} - 1000000 * s.retention"
        self._engine.command(
            f"INSERT INTO {DATABASE}.judged SELECT s.row, s.object, s.tenant, s.metric, s.time, s.event_id, multiIf("
            " k.first_object > 0 AND k.first_object < s.object, 'known',"
            " s.nth > 1, if(s.first = s.payload, 'duplicate', 'conflict'),"
            f" k.first_object = 0 AND toUnixTimestamp64Micro(s.time) < {oldest}, 'expired', 'stored'),"
            f" k.first_object = s.object FROM ({ranked}) AS s LEFT JOIN ({known}) AS k"
            f" ON {_joined('k', 's')}",
            {**_IN_ORDER, "join_use_nulls": 0},
        )
        if self._engine.rows(f"SELECT count() FROM {DATABASE}.judged WHERE fate = 'known'")[0][0]:
            self._compare(_Rows(hand, "known", numbered=True))

    def _compare(self, rows: _Rows) -> None:
        """
        Say of the lines whose identity the store has already whether they say the same.
        """
        self._engine.command(
            f"INSERT INTO {DATABASE}.staged ({rows.columns}) {rows.query}", {**_IN_ORDER, **_NO_PUSH_DOWN}
        )
        stored = (
            f"SELECT {_IDENTITY}, argMin({payload_hash()}, object) AS first_payload FROM {DATABASE}.metrics"
            f" WHERE time IN (SELECT time FROM {DATABASE}.staged)"
            f" AND (tenant, metric, time) IN (SELECT tenant, metric, time FROM {DATABASE}.staged) GROUP BY {_IDENTITY}"
        )
        self._engine.command(
            f"INSERT INTO {DATABASE}.judged SELECT s.row, s.object, s.tenant, s.metric, s.time, s.event_id,"
            f" if(k.first_payload = s.payload, 'duplicate', 'conflict'), 0 FROM {DATABASE}.staged AS s"
            f" INNER JOIN ({stored}) AS k ON {_joined('k', 's')}"
        )

    def _insert(self, rows: _Rows) -> None:
        self._engine.command(
            f"INSERT INTO {DATABASE}.metrics ({rows.columns}) {rows.query}",
            {**_IN_ORDER, **_NO_PUSH_DOWN, "max_partitions_per_insert_block": 0},
        )
        moments = (
            f"SELECT metadata['tenant_id'] AS tenant, metric_name AS metric, time FROM {DATABASE}.incoming"
            if rows.fate is None
            else f"SELECT tenant, metric, time FROM {DATABASE}.judged WHERE fate = '{rows.fate}'"
        )
        self._engine.command(
            f"INSERT INTO {DATABASE}.activity SELECT tenant, metric, min(time), max(time) FROM ({moments})"
            " GROUP BY tenant, metric"
        )
        self._catalogue.known.meet(key for arrival in rows.arrivals for key in arrival.expected)

    def _touch(self, arrivals: Sequence[Arrival]) -> None:
        """
        Tell the rollups into which quarters of an hour the lines at hand fall.
        """
        pairs = self._sets.touched({key for arrival in arrivals for key in arrival.expected})
        if pairs:
            found = self._engine.rows(
                "SELECT metadata['tenant_id'] AS tenant, metric_name, toUnixTimestamp(toStartOfFifteenMinutes(time))"
                f" FROM {DATABASE}.incoming WHERE time >= 0"
                " AND (tenant, metric_name) IN {pairs:Array(Tuple(String, String))}"
                " GROUP BY ALL",
                {"pairs": sorted(pairs)},
            )
            self._sets.touch(found, max(arrival.number for arrival in arrivals))

    def _outcomes(self, arrivals: Sequence[Arrival]) -> list[Outcome]:
        fates: dict[int, dict[str, dict[Key, int]]] = {
            arrival.number: {fate: {} for fate in FATES} for arrival in arrivals
        }
        for number, fate, tenant, metric, count in self._engine.rows(
            f"SELECT object, fate, tenant, metric, count() FROM {DATABASE}.judged"
            " WHERE fate <> 'known' GROUP BY 1, 2, 3, 4"
        ):
            fates[number][fate][tenant, metric] = count
        return [Outcome(fates[arrival.number]) for arrival in arrivals]

    def _verify(self, arrivals: Sequence[Arrival], outcomes: Sequence[Outcome]) -> None:
        numbers = ", ".join(str(int(arrival.number)) for arrival in arrivals)
        found = dict(
            self._engine.rows(
                f"SELECT object, count() FROM {DATABASE}.metrics WHERE object IN ({numbers}) GROUP BY object"
            )
        )
        for arrival, outcome in zip(arrivals, outcomes, strict=True):
            wanted, held = sum(outcome.fates["stored"].values()), found.get(arrival.number, 0)
            if held != wanted:
                raise StoreError(f"the store holds {held} rows of object {arrival.number}, it should hold {wanted}")


@dataclass(frozen=True, slots=True)
class _Hand:
    """
    The lines at hand: their objects, the columns that any of them fills, and how long they stay (`aging.lengths`).
    """

    arrivals: Sequence[Arrival]
    used: frozenset[str]
    stay: Mapping[str, str]
    now: datetime


def _numbered(arrivals: Sequence[Arrival], more: Mapping[str, str] | None = None) -> str:
    """
    Return the query of all lines with their row, their object and `more` columns, in the order in which they came.
    """
    numbers = [int(arrival.number) for arrival in arrivals]
    ends = list(accumulate(arrival.lines.count(b"\n") for arrival in arrivals))
    added = "".join(f", {expression} AS {name}" for name, expression in (more or {}).items())
    return (
        "SELECT metric_name, metadata, fields, time, rowNumberInAllBlocks() AS row,"
        f" toUInt64({numbers}[arrayFirstIndex(last -> row < last, {ends})]) AS object{added} FROM {DATABASE}.incoming"
    )


class _Rows:
    """
    The store's rows of the lines at hand, as a query: of all, or of those with a fate that no earlier try has stored.

    `numbered` adds each line's row.
    """

    def __init__(self, hand: _Hand, fate: str | None = None, *, numbered: bool = False) -> None:
        self.arrivals = hand.arrivals
        self.fate = fate
        ages = aging.ages("o.hot", "o.retention", "o.time", hand.now)
        values = {
            column: value
            for column, value in _values("o.object", hand.arrivals[0].version, ages).items()
            if column in hand.used or column in _ALWAYS
        }
        if numbered:
            values["row"] = "o.row"
        self.columns = ", ".join(values)
        chosen = f" WHERE row IN (SELECT row FROM {DATABASE}.judged WHERE fate = '{fate}' AND own = 0)" if fate else ""
        self.query = (
            f"SELECT {', '.join(values.values())} FROM ("
            "SELECT metric_name, metadata, time, row, object, hot, retention,"
            " arrayMap(f -> f.1, fields) AS names, arrayMap(f -> f.2, fields) AS texts,"
            " arrayMap(f -> substring(f.2, 1, 1), fields) AS firsts"
            f" FROM ({_numbered(hand.arrivals, hand.stay)}){chosen}) AS o"
            f" LEFT JOIN {DATABASE}.shapes AS s ON s.metric = o.metric_name"
        )


def _joined(left: str, right: str) -> str:
    return " AND ".join(f"{left}.{name} = {right}.{name}" for name in _IDENTITY.split(", "))


def _fields(
    metric: str, dimensions: Sequence[str], measures: Sequence[tuple[str, str]], declared: Sequence[str]
) -> tuple[Field, ...]:
    """
    Return the fields of a line's shape: the names in its metadata, and its measures with the first sign of each text.
    """
    found = [
        Field(metric, ATTRIBUTE if name.startswith("tenant_") else DIMENSION, name, TEXT)
        for name in dimensions
        if name not in {"tenant_id", "event_id"}
    ]
    for name, sign in measures:
        number = "integer" if name in declared else "double"
        found.append(Field(metric, MEASURE, name, _SIGNS.get(sign, number)))
    return tuple(found)


def _values(number: str, version: int, ages: Mapping[str, str]) -> dict[str, str]:
    """
    Return the expressions of a stored row by column; `ages` are those by which it ages.
    """
    text = "o.texts[indexOf(o.names, {name})]"
    doubles = [f"toFloat64OrNull({text.format(name=f's.doubles[{slot + 1}]')})" for slot in range(DOUBLE_SLOTS)]
    integers = [f"toInt64OrNull({text.format(name=f's.integers[{slot + 1}]')})" for slot in range(INTEGER_SLOTS)]
    number_left = "f NOT IN ('\"', 't', 'f') AND NOT has({taken}, n)"
    picked = "arrayFilter((n, f) -> n <> 'event_time' AND ({test}), o.names, o.firsts)"
    texts = "arrayFilter((t, n, f) -> n <> 'event_time' AND ({test}), o.texts, o.names, o.firsts)"

    def made(test: str, convert: str) -> str:
        return f"mapFromArrays({picked.format(test=test)}, arrayMap(t -> {convert}, {texts.format(test=test)}))"

    left_double = number_left.format(taken="s.doubles") + " AND NOT has(s.declared, n)"
    left_integer = number_left.format(taken="s.integers") + " AND has(s.declared, n)"
    expressions = [
        "o.metadata['tenant_id']",
        "o.metric_name",
        "o.time",
        "o.metadata['event_id']",
        number,
        str(int(version)),
        *ages.values(),
        *(f"o.metadata[s.dimensions[{slot + 1}]]" for slot in range(DIMENSION_SLOTS)),
        *doubles,
        *integers,
        "mapSort(mapFilter((n, v) -> n <> 'event_id' AND NOT startsWith(n, 'tenant_') AND NOT has(s.dimensions, n),"
        " o.metadata))",
        f"mapSort({made(left_double, 'toFloat64(t)')})",
        f"mapSort({made(left_integer, 'toInt64(t)')})",
        f"mapSort({made(_QUOTED, 'JSONExtractString(t)')})",
        f"mapSort({made(_BOOLEAN, _TRUE)})",
        "mapFilter((n, v) -> n <> 'tenant_id' AND startsWith(n, 'tenant_'), o.metadata)",
    ]
    return dict(zip(row_columns(), expressions, strict=True))


_QUOTED = "f = '\"'"
_BOOLEAN = "f IN ('t', 'f')"
_TRUE = "t = 'true'"
