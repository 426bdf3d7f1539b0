"""
What the store holds of each tenant: for the admin key, never for a customer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from metriclake.store.bounds import Bounds
from metriclake.store.columns import Statement
from metriclake.store.engine import DATABASE, Engine

_BOUNDS = Bounds(seconds=50.0, rows_read=0)


@dataclass(frozen=True, slots=True)
class Holding:
    """
    What there is of a tenant: its metrics by name, how many rows, the first and the last time among them.
    """

    tenant: str
    metrics: tuple[str, ...]
    rows: int
    first: datetime
    last: datetime


def holdings(engine: Engine, after: str, limit: int, search: str = "") -> tuple[list[Holding], str]:
    """
    Return what is held of the next tenants after one, by name; and where to go on, empty at the end.

    With `search` only of those whose name has this text, in upper or lower case. Rows beyond their retention are left
    out, and tenants that have no others.
    """
    statement = Statement()
    tenants = _read(
        engine,
        f"SELECT DISTINCT tenant FROM {DATABASE}.activity WHERE tenant > {statement.bind(after)}"
        f" AND {_named(statement, search)} ORDER BY tenant LIMIT {statement.bind(limit, 'UInt64')}",
        statement,
    )
    if not tenants:
        return [], ""
    (last,) = tenants[-1]
    statement = Statement()
    found = _read(
        engine,
        "SELECT tenant, arraySort(groupUniqArray(metric)), count(), min(time), max(time)"
        f" FROM {DATABASE}.metrics WHERE tenant > {statement.bind(after)} AND tenant <= {statement.bind(last)}"
        f" AND {_named(statement, search)}"
        " AND toUnixTimestamp64Micro(time) > toUnixTimestamp64Micro(now64(6)) - toInt64(retention) * 1000000"
        " GROUP BY tenant ORDER BY tenant",
        statement,
    )
    held = [Holding(tenant, tuple(metrics), rows, first, last) for tenant, metrics, rows, first, last in found]
    return held, last if len(tenants) == limit else ""


def matching(engine: Engine, search: str = "") -> int:
    """
    Return of how many tenants there has ever been an event; with `search`, of those whose name has this text.
    """
    statement = Statement()
    sql = f"SELECT uniqExact(tenant) FROM {DATABASE}.activity WHERE {_named(statement, search)}"
    ((found,),) = _read(engine, sql, statement)
    return int(found)


def _named(statement: Statement, search: str) -> str:
    return f"positionCaseInsensitive(tenant, {statement.bind(search)}) > 0" if search else "1"


def _read(engine: Engine, sql: str, statement: Statement) -> list[tuple[Any, ...]]:
    return list(engine.read(sql, statement.parameters, {"readonly": 1, **_BOUNDS.settings()}).result_rows)
