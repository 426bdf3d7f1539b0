"""
The SQL that makes rollups of the rows: what there is to build, and the building of a part of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from metriclake.store import aging
from metriclake.store.catalogue import Catalogue, Field
from metriclake.store.columns import Columns, Statement
from metriclake.store.engine import DATABASE
from metriclake.store.rollups.sets import RollupSet
from metriclake.store.rollups.table import EPOCH, LATEST, ROW_KEY, STATE, Grain
from metriclake.store.rollups.touched import Pair
from metriclake.store.selection import Measure
from metriclake.tiers import Tiers

_NAMES = ("measure", "kind", *STATE)
_WHOLE = ("toInt128(0)", "toInt64(0)", "toInt64(0)", "toInt64(0)")
_DOUBLE = ("toFloat64(0)", "toFloat64(0)", "toFloat64(0)", "toFloat64(0)")
_COUNT = f"('', '', count(), {', '.join((*_WHOLE, *_DOUBLE))}, '')"
"""The state of the rows themselves."""

_MARGIN = timedelta(days=2)
"""How much longer than their rows rollups stay: longer than a bucket, and than any clock is wrong."""

_MEASURES_AT_ONCE = 12
"""Of so many measures a statement makes the states; each takes six aggregates."""


@dataclass(frozen=True, slots=True)
class Slice:
    """
    What one statement builds: some tenants, from `start` to before `end`.
    """

    tenants: tuple[str, ...]
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Build:
    """
    What is built of a set: the buckets into which rows beyond `after` up to `upto` fall.

    After 0 all buckets are built. `number` is higher than that of every build before.
    """

    of: RollupSet
    after: int
    upto: int
    number: int


def tenants_statement(build: Build, tenants: Sequence[str], statement: Statement) -> str:
    """
    Return the question of who has something to build: tenant, rows beyond, and the buckets from and to, in seconds.
    """
    start = build.of.grain.start
    return (
        f"SELECT tenant, count(), toUnixTimestamp(min({start})), toUnixTimestamp(max({start}))"
        f" FROM {DATABASE}.metrics WHERE {_of(build.of.metric, tenants, statement)} AND {_numbers(build)}"
        f" AND {_within(EPOCH, LATEST, statement)} GROUP BY tenant ORDER BY tenant"
    )


def sizes_statement(metric: str, least: int, statement: Statement) -> str:
    """
    Return the question of the tenants that have so many rows of a metric: tenant, rows, and the days they span.
    """
    days = "greatest(1, dateDiff('second', min(time), max(time)) / 86400)"
    return (
        f"SELECT tenant, count() AS rows, {days} FROM {DATABASE}.metrics WHERE metric = {statement.bind(metric)}"
        f" GROUP BY tenant HAVING rows >= {statement.bind(least, 'UInt64')} ORDER BY tenant"
    )


def beyond_statement(after: int, pairs: Sequence[Pair], statement: Statement) -> str:
    """
    Return the question of tenants, metrics, quarters (in seconds) and the highest object of rows beyond an object.
    """
    quarter = f"toUnixTimestamp({Grain.QUARTER.start})"
    return (
        f"SELECT tenant, metric, {quarter} AS quarter, max(object) FROM {DATABASE}.metrics"
        f" WHERE object > {int(after)} AND {_within(EPOCH, LATEST, statement)}"
        f" AND (tenant, metric) IN {statement.bind(list(pairs), 'Array(Tuple(String, String))')}"
        " GROUP BY tenant, metric, quarter"
    )


def groups_statement(one: RollupSet, tenant: str, catalogue: Catalogue, statement: Statement) -> str:
    """
    Return the question of how many groups a tenant's rows make in a set, within a few in a hundred.
    """
    columns = Columns(catalogue, one.metric, statement)
    keys = [one.grain.start, *(columns.text(name) for name in one.dimensions)]
    return (
        f"SELECT uniqCombined64({', '.join(keys)}) FROM {DATABASE}.metrics"
        f" WHERE tenant = {statement.bind(tenant)} AND metric = {statement.bind(one.metric)}"
    )


def build_statements(
    build: Build, part: Slice, measures: Sequence[Field], catalogue: Catalogue
) -> Iterator[tuple[str, Statement]]:
    """
    Yield the statements that build a slice: of a few measures each, the first also of the rows themselves.
    """
    for first in range(0, len(measures) or 1, _MEASURES_AT_ONCE):
        statement = Statement()
        columns = Columns(catalogue, build.of.metric, statement)
        states = [
            _state(found, columns.of(Measure(found.name, (found.type,)), (found.type,))[0], statement)
            for found in measures[first : first + _MEASURES_AT_ONCE]
        ]
        if not first:
            states.insert(0, _COUNT)
        yield _build(build, part, states, columns, statement), statement


def purge(tiers: Tiers, now: datetime) -> str:
    """
    Return the statement that removes what rollups have of rows that are beyond their retention.
    """
    oldest = aging.lengths(tiers, "tenant", "metric")["retention"]
    last = int(now.timestamp()) - _MARGIN // timedelta(seconds=1)
    return f"ALTER TABLE {DATABASE}.rollups DELETE WHERE toInt64(toUnixTimestamp(start)) < {last} - {oldest}"


def _build(build: Build, part: Slice, states: Sequence[str], columns: Columns, statement: Statement) -> str:
    start = build.of.grain.start
    keys = {"tenant": "tenant", "metric": "metric", "start": start}
    for index, name in enumerate(build.of.dimensions):
        keys[f"d{index}"] = columns.text(name)
    scope = f"{_of(build.of.metric, part.tenants, statement)} AND {_within(part.start, part.end, statement)}"
    if build.after:
        touched = f"SELECT tenant, {start} FROM {DATABASE}.metrics WHERE {scope} AND {_numbers(build)}"
        scope += f" AND (tenant, {start}) IN ({touched})"
    named = ", ".join(f"{text} AS key{index}" for index, text in enumerate(keys.values()))
    grouped = ", ".join(f"key{index}" for index in range(len(keys)))
    taken = ", ".join(f"state.{index + 1}" for index in range(len(_NAMES)))
    return (
        f"INSERT INTO {DATABASE}.rollups (set, build, {', '.join([*keys, *_NAMES])})"
        f" SELECT {int(build.of.id)}, {int(build.number)}, {grouped}, {taken} FROM"
        f" (SELECT {named}, [{', '.join(states)}] AS states FROM {DATABASE}.metrics WHERE {scope} GROUP BY {grouped})"
        " ARRAY JOIN states AS state WHERE state.3 > 0"
    )


def _state(found: Field, value: str, statement: Statement) -> str:
    """
    Return what is kept of a measure's values of one type, in the order of the table.
    """
    last = f"argMax({value}, {ROW_KEY})"
    kept = [f"sum({value})", f"min({value})", f"max({value})", last]
    if found.type == "integer":
        kept[0] = f"sum(toInt128({value}))"
        numbers = [*_filled(kept, _WHOLE), *_DOUBLE]
    else:
        numbers = [*_WHOLE, *_filled(kept, _DOUBLE)]
    name, there = statement.bind(found.name), f"isNotNull({value})"
    return f"({name}, '{found.type}', count({value}), {', '.join(numbers)}, maxIf({ROW_KEY}, {there}))"


def _filled(aggregates: Sequence[str], fillers: Sequence[str]) -> list[str]:
    return [f"ifNull({aggregate}, {filler})" for aggregate, filler in zip(aggregates, fillers, strict=True)]


def _of(metric: str, tenants: Sequence[str], statement: Statement) -> str:
    return f"metric = {statement.bind(metric)} AND tenant IN {statement.bind(list(tenants), 'Array(String)')}"


def _numbers(build: Build) -> str:
    return f"object > {int(build.after)} AND object <= {int(build.upto)}"


def _within(start: datetime, end: datetime, statement: Statement) -> str:
    return f"time >= {statement.moment(start)} AND time < {statement.moment(end)}"
