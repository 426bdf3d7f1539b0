"""
The tables of rollups. Their shape does not grow with metrics or measures.

A row of a rollup says what there is of one measure in a quarter of an hour, an hour or a day, for one combination of
the values of its set's dimensions; one without a measure counts the rows themselves. What a later build says replaces
what an earlier one said. Why: docs/decisions/0018-rollups.md.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import Enum

from metriclake._config import MAX_ROLLUP_DIMENSIONS
from metriclake.store.engine import DATABASE

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
"""Rows of later times are in no rollup: the tables' starts are of 32 bits."""

ROW_KEY = "concat(reinterpret(byteSwap(toUInt64(toUnixTimestamp64Micro(time))), 'FixedString(8)'), event_id)"
"""What orders rows by their time and then their event id, as one text."""


class Grain(Enum):
    """
    How long the buckets of a set are, in seconds. All start at whole multiples since 1970, in UTC.

    Days of every time zone of today can be made of quarters of an hour, those of most of hours.
    """

    QUARTER = 900
    HOUR = 3600
    DAY = 86_400

    @property
    def length(self) -> timedelta:
        """
        Return the length.
        """
        return timedelta(seconds=self.value)

    @property
    def start(self) -> str:
        """
        Return the expression of the start of the bucket of a row.
        """
        return {900: "toStartOfFifteenMinutes(time)", 3600: "toStartOfHour(time)", 86_400: "toStartOfDay(time)"}[
            self.value
        ]

    @property
    def rest(self) -> float:
        """
        Return for how many seconds a set rests that is built: the buckets of this moment are built anew each time.

        Questions read them from the rows meanwhile, and would so without a rest wherever a row has come since.
        """
        return self.value / 60


STATE = {
    "rows": ("UInt64", "T64, ZSTD(1)"),
    "whole": ("Int128", "ZSTD(1)"),
    "whole_least": ("Int64", "ZSTD(1)"),
    "whole_most": ("Int64", "ZSTD(1)"),
    "whole_last": ("Int64", "ZSTD(1)"),
    "total": ("Float64", "ZSTD(1)"),
    "least": ("Float64", "ZSTD(1)"),
    "most": ("Float64", "ZSTD(1)"),
    "last": ("Float64", "ZSTD(1)"),
    "last_key": ("String", "ZSTD(1)"),
}
"""What is kept of a measure's values, with type and codec: of integers the `whole` ones, of doubles the others."""


def rollup_tables(fsync: str, upkeep: str) -> list[str]:
    """
    Return the statements that make the tables, with the settings that make a write durable, and those of upkeep.
    """
    key = "LowCardinality(String)"
    dimensions = [f"d{index}" for index in range(MAX_ROLLUP_DIMENSIONS)]
    columns = [
        "set UInt32",
        "tenant String CODEC(ZSTD(1))",
        *(f"{name} {key} CODEC(ZSTD(1))" for name in ("metric", "measure", "kind")),
        "start DateTime('UTC') CODEC(Delta, ZSTD(1))",
        *(f"{name} {key} CODEC(ZSTD(1))" for name in dimensions),
        "build UInt64 CODEC(Delta, ZSTD(1))",
        *(f"{name} {kind} CODEC({codec})" for name, (kind, codec) in STATE.items()),
    ]
    return [
        f"CREATE TABLE IF NOT EXISTS {DATABASE}.rollups ({', '.join(columns)})"
        f" ENGINE = ReplacingMergeTree(build) PARTITION BY toYear(start)"
        f" ORDER BY (set, tenant, measure, kind, start, {', '.join(dimensions)}) SETTINGS {upkeep}, {fsync}",
        f"CREATE TABLE IF NOT EXISTS {DATABASE}.rollup_sets (id UInt32, metric {key}, dimensions Array(String),"
        f" grain UInt32, state {key}, through UInt64, saved UInt64)"
        f" ENGINE = ReplacingMergeTree(saved) ORDER BY id SETTINGS {fsync}",
        f"CREATE TABLE IF NOT EXISTS {DATABASE}.rollup_tenants (tenant String, set UInt32, through UInt64,"
        " rows_a_day Float64, groups_a_day Float64, since Int64, saved UInt64)"
        f" ENGINE = ReplacingMergeTree(saved) ORDER BY (tenant, set) SETTINGS {fsync}",
    ]
