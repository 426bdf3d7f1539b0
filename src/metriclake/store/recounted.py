"""
Count the store's rows anew: by object, tenant and metric; and say of whom rows may have left by their retention.

The tenants of all rows are read, for operators alone; nothing of it is shown to a customer.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from metriclake.books import Key
from metriclake.store import aging
from metriclake.store.engine import DATABASE, Engine
from metriclake.tiers import Tiers


class RowCount:
    """
    The recount of one store.
    """

    def __init__(self, engine: Engine) -> None:
        """
        `engine` is asked on connections of its readers: loads go on meanwhile.
        """
        self._engine = engine

    def of(self, first: int, last: int) -> Iterable[tuple[int, str, str, int]]:
        """
        Return how many rows there are of some objects, as (object, tenant, metric, rows).
        """
        sql = (
            f"SELECT object, tenant, metric, count() FROM {DATABASE}.metrics"
            " WHERE object BETWEEN {first:UInt64} AND {last:UInt64} GROUP BY object, tenant, metric"
        )
        return self._read(sql, {"first": first, "last": last})

    def aged(self, tiers: Tiers, now: datetime) -> list[Key]:
        """
        Return the tenants and metrics whose oldest rows were beyond their retention, and are not there any more.
        """
        sql = (
            "SELECT a.tenant, a.metric, toUnixTimestamp64Micro(a.oldest), m.rows = 0 OR m.oldest > a.oldest FROM"
            f" (SELECT tenant, metric, min(first) AS oldest FROM {DATABASE}.activity GROUP BY tenant, metric) AS a"
            f" LEFT JOIN (SELECT tenant, metric, min(time) AS oldest, count() AS rows FROM {DATABASE}.metrics"
            " GROUP BY tenant, metric) AS m ON a.tenant = m.tenant AND a.metric = m.metric"
        )
        return [
            (tenant, metric)
            for tenant, metric, oldest, gone in self._read(sql, {})
            if gone and oldest < aging.micros(now - tiers.retention_of(tenant, metric))
        ]

    def _read(self, sql: str, parameters: dict[str, int]) -> list[Any]:
        return list(self._engine.read(sql, parameters, {"join_use_nulls": 0}).result_rows)
