"""
The store's tables. Their shape does not grow with metrics or tenants.

A row has typed slots for its metric's first fields, and maps for the rest: which field of a metric lies in which slot
is decided once, when the field is first seen, and kept in `slots`. Why slots: docs/decisions/0003-slots.md.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from metriclake._errors import NewerFormat
from metriclake.store import aging, upgrade
from metriclake.store.engine import DATABASE, POLICY, Engine
from metriclake.store.rollups.table import rollup_tables
from metriclake.tiers import Tiers

FORMAT = 3
DIMENSION_SLOTS = 16
DOUBLE_SLOTS = 16
INTEGER_SLOTS = 4

BY_DIMENSION = "by_dimension"
"""
The index by which a filter on a dimension leaves out the blocks of rows that do not have its values.

One Bloom filter a dimension slot and block, all in one file of a part; see docs/decisions/0014-questions.md.
"""

PASSING = "passing"
"""
What the store's `meta` calls the tiers that no longer hold, and by which rows may still leave: rollups must know.
"""

_A_DAY = 86_400
_UPKEEP = {
    "metrics": {"merge_with_ttl_timeout": aging.LEAVE_SECONDS, "min_partition_age_to_force_merge_seconds": _A_DAY},
    "rollups": {"min_age_to_force_merge_seconds": _A_DAY},
}
"""
How the engine looks after tables, in seconds: each part takes its time of every question.

A month of rows to which none has come for so long becomes one part; one that rows still come to would be rewritten each
day. Rollups are small, and what has been there for so long becomes one part. A partition of rows is rewritten without
what is beyond its retention at most once in so long.
"""

_FSYNC = "fsync_after_insert = 1, fsync_part_directory = 1"
_TIERS = msgspec.json.Decoder(Tiers)
_PASSING = msgspec.json.Decoder(list[Tiers])
_IN_BACKGROUND = {"mutations_sync": 0, "max_query_size": 2**30}
"""A statement may name thousands of tenants."""


def dimension_slots() -> list[str]:
    """
    Return the columns of the dimension slots.
    """
    return [f"d{index}" for index in range(DIMENSION_SLOTS)]


def double_slots() -> list[str]:
    """
    Return the columns of the double slots.
    """
    return [f"f{index}" for index in range(DOUBLE_SLOTS)]


def integer_slots() -> list[str]:
    """
    Return the columns of the integer slots.
    """
    return [f"i{index}" for index in range(INTEGER_SLOTS)]


def payload_columns() -> list[str]:
    """
    Return the columns that the sender's fields fill: two rows of one identity conflict where they differ here.
    """
    maps = ["dimensions", "doubles", "integers", "strings", "booleans"]
    return [*dimension_slots(), *double_slots(), *integer_slots(), *maps]


def payload_hash() -> str:
    """
    Return the expression of a hash of the sender's fields; an absent number is told from every present one.
    """
    parts = []
    for name in payload_columns():
        if name in double_slots():
            parts.append(f"ifNull({name}, nan)")
        elif name in integer_slots():
            parts.extend((f"ifNull({name}, 0)", f"isNull({name})"))
        else:
            parts.append(name)
    return f"cityHash64({', '.join(parts)})"


def row_columns() -> list[str]:
    """
    Return all columns of a stored row.
    """
    head = ["tenant", "metric", "time", "event_id", "object", "version"]
    return [*head, *aging.DEFINITIONS, *payload_columns(), "attributes"]


def _row_definitions() -> str:
    key = "LowCardinality(String)"
    columns = [
        "tenant String CODEC(ZSTD(1))",
        f"metric {key} CODEC(ZSTD(1))",
        "time DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1))",
        "event_id String CODEC(ZSTD(1))",
        "object UInt64 CODEC(Delta, ZSTD(1))",
        "version UInt64 CODEC(Delta, ZSTD(1))",
        *(f"{name} {definition}" for name, definition in aging.DEFINITIONS.items()),
        *(f"{name} {key} CODEC(ZSTD(1))" for name in dimension_slots()),
        *(f"{name} Nullable(Float64) CODEC(ZSTD(1))" for name in double_slots()),
        *(f"{name} Nullable(Int64) CODEC(ZSTD(1))" for name in integer_slots()),
        f"dimensions Map({key}, String) CODEC(ZSTD(1))",
        f"doubles Map({key}, Float64) CODEC(ZSTD(1))",
        f"integers Map({key}, Int64) CODEC(ZSTD(1))",
        f"strings Map({key}, String) CODEC(ZSTD(1))",
        f"booleans Map({key}, Bool) CODEC(ZSTD(1))",
        f"attributes Map({key}, String) CODEC(ZSTD(1))",
    ]
    return ", ".join(columns)


def prepare(engine: Engine, tiers: Tiers, now: datetime) -> None:
    """
    Create the tables, or bring them to this version's shape and to what the pipeline file says. Raises NewerFormat.
    """
    engine.command(
        f"CREATE TABLE IF NOT EXISTS {DATABASE}.meta (key String, value String)"
        f" ENGINE = ReplacingMergeTree ORDER BY key SETTINGS {_FSYNC}"
    )
    found = int(_meta(engine).get("format", 1))
    if found > FORMAT:
        raise NewerFormat(f"the store has format {found}, this version of metriclake reads {FORMAT}: upgrade")
    if found < FORMAT:
        upgrade.age(engine, metrics_table, tiers, now)
    for statement in (metrics_table("metrics"), *_tables()):
        engine.command(statement)
    _look_after(engine)
    retain(engine, tiers, now)
    _note(engine, "format", str(FORMAT))
    engine.sync_folders()


def retain(engine: Engine, tiers: Tiers, now: datetime) -> None:
    """
    Bring the rows that are there to what the pipeline file says now. The engine does so in the background.

    Rows that are written later are not looked at: whoever writes them knows already. What fails here is done by the
    next call, whatever that one is to bring about: while a change is begun, nothing is noted as what holds.
    """
    noted, wanted = _meta(engine).get("tiers"), msgspec.json.encode(tiers, order="sorted").decode()
    if noted == wanted:
        return
    if noted is not None:
        before = _TIERS.decode(noted) if noted else None
        passing = _PASSING.decode(_meta(engine).get(PASSING, "[]"))
        passing += [tiers] if before is None else [before, tiers]
        _note(engine, PASSING, msgspec.json.encode(passing, order="sorted").decode())
        _note(engine, "tiers", "")
        engine.sync_parts()
        change = aging.change(before, tiers, now)
        engine.command(f"ALTER TABLE {DATABASE}.metrics UPDATE {change}", _IN_BACKGROUND)
        engine.sync_parts()
    _note(engine, "tiers", wanted)
    engine.sync_parts()


def _look_after(engine: Engine) -> None:
    """
    Have tables that an older version has made be looked after as this one's are.
    """
    sql = "SELECT engine_full FROM system.tables WHERE database = {database:String} AND name = {table:String}"
    for table, wanted in _UPKEEP.items():
        ((found,),) = engine.rows(sql, {"database": DATABASE, "table": table})
        if any(f"{name} = {value}" not in found for name, value in wanted.items()):
            engine.command(f"ALTER TABLE {DATABASE}.{table} MODIFY SETTING {_upkeep(table)}")


def _meta(engine: Engine) -> dict[str, str]:
    return dict(engine.rows(f"SELECT key, value FROM {DATABASE}.meta FINAL"))


def _note(engine: Engine, key: str, value: str) -> None:
    if _meta(engine).get(key) != value:
        engine.insert("meta", ["key", "value"], [(key, value)])


def metrics_table(name: str) -> str:
    """
    Return the statement that makes the table of rows, where there is none of that name.
    """
    return (
        f"CREATE TABLE IF NOT EXISTS {DATABASE}.{name} ({_row_definitions()},"
        " INDEX objects object TYPE minmax GRANULARITY 1,"
        f" INDEX {BY_DIMENSION} ({', '.join(dimension_slots())}) TYPE bloom_filter(0.01) GRANULARITY 1)"
        f" ENGINE = MergeTree PARTITION BY {aging.PARTITION} ORDER BY (tenant, metric, time)"
        f" TTL {aging.TTL}"
        f" SETTINGS storage_policy = '{POLICY}', {_upkeep('metrics')}, {_FSYNC}"
    )


def _upkeep(table: str) -> str:
    return ", ".join(f"{name} = {value}" for name, value in _UPKEEP[table].items())


def _tables() -> list[str]:
    key = "LowCardinality(String)"
    return [
        f"CREATE TABLE IF NOT EXISTS {DATABASE}.slots (metric String, kind {key}, name String, type {key}, slot Int16)"
        f" ENGINE = MergeTree ORDER BY (metric, kind, slot) SETTINGS {_FSYNC}",
        f"CREATE TABLE IF NOT EXISTS {DATABASE}.fields (tenant String, metric {key}, kind {key}, name {key},"
        f" type {key})"
        f" ENGINE = ReplacingMergeTree ORDER BY (tenant, metric, kind, name, type) SETTINGS {_FSYNC}",
        f"CREATE TABLE IF NOT EXISTS {DATABASE}.activity (tenant String, metric {key},"
        " first SimpleAggregateFunction(min, DateTime64(6, 'UTC')),"
        " last SimpleAggregateFunction(max, DateTime64(6, 'UTC')))"
        f" ENGINE = AggregatingMergeTree ORDER BY (tenant, metric) SETTINGS {_FSYNC}",
        f"CREATE OR REPLACE TABLE {DATABASE}.incoming (metric_name String, metadata Map(String, String),"
        " data String EPHEMERAL '',"
        " fields Array(Tuple(String, String)) DEFAULT JSONExtractKeysAndValuesRaw(data),"
        " time DateTime64(6, 'UTC') DEFAULT"
        "  parseDateTime64BestEffortOrZero(JSONExtractString(data, 'event_time'), 6, 'UTC')"
        ") ENGINE = Memory",
        f"CREATE OR REPLACE TABLE {DATABASE}.shapes (metric String, dimensions Array(String), doubles Array(String),"
        " integers Array(String), declared Array(String)) ENGINE = Memory",
        f"CREATE OR REPLACE TABLE {DATABASE}.staged ({_row_definitions()}, row UInt64,"
        f" payload UInt64 DEFAULT {payload_hash()}) ENGINE = Memory",
        f"CREATE OR REPLACE TABLE {DATABASE}.judged (row UInt64, object UInt64, tenant String, metric String,"
        f" time DateTime64(6, 'UTC'), event_id String, fate {key}, own UInt8)"
        " ENGINE = Memory",
        *rollup_tables(_FSYNC, _upkeep("rollups")),
    ]
