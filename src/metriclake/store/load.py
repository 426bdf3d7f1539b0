"""
Load lake objects: each identity counted once, however often it or its object arrives.

A load can be done again after a crash anywhere in it: rows that an earlier try has inserted are found by their object
number and kept. It ends with a count of what the store holds of the object, which must be what was judged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import accumulate, groupby

from metriclake._errors import LakeError, StoreError
from metriclake.books import Counts, Key
from metriclake.crashpoints import CrashPoint, reach
from metriclake.store.catalogue import DIMENSION, MEASURE, TEXT, Catalogue, Field
from metriclake.store.engine import DATABASE, Engine
from metriclake.store.table import (
    DIMENSION_SLOTS,
    DOUBLE_SLOTS,
    INTEGER_SLOTS,
    payload_hash,
    row_columns,
)

_PARSE = {"input_format_parallel_parsing": 0, "max_insert_threads": 1, "input_format_skip_unknown_fields": 0}
_IN_ORDER = {"max_threads": 1, "max_insert_threads": 1, "precise_float_parsing": 1}
_EXPIRY_MARGIN = timedelta(minutes=5)
_IDENTITY = "tenant, metric, time, event_id"
_EPOCH = "'\"1970-01-01T00:00:00.000000Z\"'"
FATES = ("stored", "duplicate", "conflict", "expired")


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

    def __init__(self, engine: Engine, catalogue: Catalogue, retention: timedelta) -> None:
        """
        Rows older than `retention` are not stored.
        """
        self._engine = engine
        self._catalogue = catalogue
        self._retention = retention

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
        for _, group in groupby(arrivals, key=lambda arrival: arrival.version):
            outcomes.extend(self._load(list(group), now))
        return outcomes

    def _load(self, arrivals: list[Arrival], now: datetime) -> list[Outcome]:
        integers = {metric: names for arrival in arrivals for metric, names in arrival.integers.items()}
        self._engine.command(f"TRUNCATE TABLE {DATABASE}.incoming")
        lines = b"".join(arrival.lines for arrival in arrivals)
        self._engine.insert_lines("incoming", ["metric_name", "metadata", "data"], lines, _PARSE)
        self._check(arrivals)
        self._learn(integers)
        self._stage(arrivals)
        self._judge(now)
        self._insert()
        reach(CrashPoint.INSERT)
        outcomes = self._outcomes(arrivals)
        self._verify(arrivals, outcomes)
        for table in ("incoming", "staged", "judged"):
            self._engine.command(f"TRUNCATE TABLE {DATABASE}.{table}")
        return outcomes

    def stored(self, number: int) -> int:
        """
        Return how many rows the store holds of an object.
        """
        return int(self._engine.rows(f"SELECT count() FROM {DATABASE}.metrics WHERE object = {int(number)}")[0][0])

    def _check(self, arrivals: Sequence[Arrival]) -> None:
        text = "arrayFirst(f -> f.1 = 'event_time', fields).2"
        rows = self._engine.rows(
            f"SELECT {_object(arrivals)}, metadata['tenant_id'], metric_name, countIf(time <> 0 OR {text} = {_EPOCH})"
            f" FROM (SELECT *, rowNumberInAllBlocks() AS row FROM {DATABASE}.incoming) GROUP BY 1, 2, 3",
            settings=_IN_ORDER,
        )
        found: dict[int, dict[Key, int]] = {arrival.number: {} for arrival in arrivals}
        for number, tenant, metric, count in rows:
            found.setdefault(number, {})[tenant, metric] = count
        for arrival in arrivals:
            if found[arrival.number] != dict(arrival.expected):
                raise LakeError(
                    f"lake object {arrival.number} does not hold what its manifest counts: it was changed after it was"
                    " written; restore it, or rebuild the store without it"
                )

    def _learn(self, integers: Mapping[str, list[str]]) -> None:
        """
        Give the object's new fields their slots, and lay out those of its metrics.
        """
        dimensions = self._engine.rows(
            f"SELECT DISTINCT metric_name, arrayJoin(mapKeys(metadata)) FROM {DATABASE}.incoming"
        )
        measures = self._engine.rows(
            "SELECT DISTINCT metric_name, field.1, substring(field.2, 1, 1) IN ('\"', 't', 'f')"
            f" FROM {DATABASE}.incoming ARRAY JOIN fields AS field WHERE field.1 <> 'event_time'"
        )
        declared = {metric: set(names) for metric, names in integers.items()}
        found = [Field(metric, DIMENSION, name, TEXT) for metric, name in dimensions if _is_dimension(name)]
        found.extend(
            Field(metric, MEASURE, name, "integer" if name in declared.get(metric, ()) else "double")
            for metric, name, other in measures
            if not other
        )
        self._catalogue.learn(found)
        metrics = sorted({metric for metric, _ in dimensions})
        shapes = [(metric, *self._catalogue.shape(metric), integers.get(metric, [])) for metric in metrics]
        self._engine.command(f"TRUNCATE TABLE {DATABASE}.shapes")
        self._engine.insert("shapes", ["metric", "dimensions", "doubles", "integers", "declared"], shapes)

    def _stage(self, arrivals: Sequence[Arrival]) -> None:
        self._engine.command(f"TRUNCATE TABLE {DATABASE}.staged")
        columns = ", ".join([*row_columns(), "row"])
        values = ", ".join([*_values(_object(arrivals, "o.row"), arrivals[0].version), "o.row"])
        self._engine.command(
            f"INSERT INTO {DATABASE}.staged ({columns}) SELECT {values} FROM"
            " (SELECT metric_name, metadata, time, rowNumberInAllBlocks() AS row,"
            "  arrayMap(f -> f.1, fields) AS names, arrayMap(f -> f.2, fields) AS texts,"
            f"  arrayMap(f -> substring(f.2, 1, 1), fields) AS firsts FROM {DATABASE}.incoming) AS o"
            f" LEFT JOIN {DATABASE}.shapes AS s ON s.metric = o.metric_name",
            _IN_ORDER,
        )

    def _judge(self, now: datetime) -> None:
        """
        Say of every staged row whether it is new, and of the others why not. The first arrival wins.
        """
        self._engine.command(f"TRUNCATE TABLE {DATABASE}.judged")
        oldest = int((now - self._retention + _EXPIRY_MARGIN).timestamp())
        known = (
            f"SELECT {_IDENTITY}, min(object) AS first_object, argMin({payload_hash()}, object) AS first_payload"
            f" FROM {DATABASE}.metrics WHERE time IN (SELECT time FROM {DATABASE}.staged)"
            f" AND (tenant, metric, time) IN (SELECT tenant, metric, time FROM {DATABASE}.staged)"
            f" GROUP BY {_IDENTITY}"
        )
        same = f"PARTITION BY {_IDENTITY} ORDER BY row"
        ranked = (
            f"SELECT row, object, {_IDENTITY}, payload, row_number() OVER ({same}) AS nth,"
            f" first_value(payload) OVER ({same}) AS first FROM {DATABASE}.staged"
        )
        self._engine.command(
            f"INSERT INTO {DATABASE}.judged SELECT s.row, s.object, s.tenant, s.metric, multiIf("
            " k.first_object > 0 AND k.first_object < s.object,"
            " if(k.first_payload = s.payload, 'duplicate', 'conflict'),"
            " s.nth > 1, if(s.first = s.payload, 'duplicate', 'conflict'),"
            f" k.first_object = 0 AND s.time < toDateTime64({oldest}, 6, 'UTC'), 'expired', 'stored'),"
            f" k.first_object = s.object FROM ({ranked}) AS s LEFT JOIN ({known}) AS k"
            " ON k.tenant = s.tenant AND k.metric = s.metric AND k.time = s.time AND k.event_id = s.event_id",
            {"join_use_nulls": 0},
        )

    def _insert(self) -> None:
        stored = f"SELECT row FROM {DATABASE}.judged WHERE fate = 'stored'"
        columns = ", ".join(row_columns())
        self._engine.command(
            f"INSERT INTO {DATABASE}.metrics ({columns}) SELECT {columns} FROM {DATABASE}.staged"
            f" WHERE row IN ({stored} AND own = 0)",
            {"max_insert_threads": 1, "max_partitions_per_insert_block": 0},
        )
        rows = (
            "SELECT metadata['tenant_id'] AS tenant, metric_name AS metric, metadata, fields, time FROM"
            f" (SELECT *, rowNumberInAllBlocks() AS row FROM {DATABASE}.incoming) WHERE row IN ({stored})"
        )
        self._engine.command(
            f"INSERT INTO {DATABASE}.activity SELECT tenant, metric, min(time), max(time) FROM ({rows})"
            " GROUP BY tenant, metric",
            {"max_threads": 1},
        )
        kinds = (
            "arrayConcat(arrayMap(name -> (if(startsWith(name, 'tenant_'), 'attribute', 'dimension'), name, 'string'),"
            " arrayFilter(name -> name NOT IN ('tenant_id', 'event_id'), mapKeys(metadata))),"
            " arrayMap(f -> ('measure', f.1, multiIf(startsWith(f.2, '\"'), 'string',"
            " substring(f.2, 1, 1) IN ('t', 'f'), 'boolean', has(s.declared, f.1), 'integer', 'double')),"
            " arrayFilter(f -> f.1 <> 'event_time', fields)))"
        )
        self._engine.command(
            f"INSERT INTO {DATABASE}.fields SELECT DISTINCT r.tenant, r.metric, field.1, field.2, field.3"
            f" FROM ({rows}) AS r LEFT JOIN {DATABASE}.shapes AS s ON s.metric = r.metric ARRAY JOIN {kinds} AS field"
            f" WHERE (r.tenant, r.metric, field.1, field.2, field.3) NOT IN"
            f" (SELECT tenant, metric, kind, name, type FROM {DATABASE}.fields"
            f"  WHERE (tenant, metric) IN (SELECT tenant, metric FROM {DATABASE}.staged))",
            {"max_threads": 1},
        )

    def _outcomes(self, arrivals: Sequence[Arrival]) -> list[Outcome]:
        fates: dict[int, dict[str, dict[Key, int]]] = {
            arrival.number: {fate: {} for fate in FATES} for arrival in arrivals
        }
        for number, fate, tenant, metric, count in self._engine.rows(
            f"SELECT object, fate, tenant, metric, count() FROM {DATABASE}.judged GROUP BY 1, 2, 3, 4"
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


def _object(arrivals: Sequence[Arrival], row: str = "row") -> str:
    """
    Return the expression of a line's object, by the number of its row among all lines.
    """
    numbers = [int(arrival.number) for arrival in arrivals]
    ends = list(accumulate(arrival.lines.count(b"\n") for arrival in arrivals))
    return f"toUInt64({numbers}[arrayFirstIndex(last -> {row} < last, {ends})])"


def _is_dimension(name: str) -> bool:
    return name != "event_id" and not name.startswith("tenant_")


def _values(number: str, version: int) -> list[str]:
    """
    Return the expressions of a staged row, in the order of `row_columns`.
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
    return [
        "o.metadata['tenant_id']",
        "o.metric_name",
        "o.time",
        "o.metadata['event_id']",
        number,
        str(int(version)),
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


_QUOTED = "f = '\"'"
_BOOLEAN = "f IN ('t', 'f')"
_TRUE = "t = 'true'"
