"""
Read the store over all tenants: for whoever has the admin key, never for a customer.

What is read is a `FleetSelection`, which no tenant's reader takes, as this reader takes no tenant's `Selection`. It
has filters of its own: of the tables below, only rows within their retention; every other table is empty to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from metriclake._errors import StoreError
from metriclake.store.bounds import Bounds
from metriclake.store.catalogue import Catalogue, Metric
from metriclake.store.columns import Statement
from metriclake.store.engine import DATABASE, Engine
from metriclake.store.reader import (
    CLOSED_TABLES,
    TELLING_TABLES,
    TENANT_TABLES,
    answer_of,
    escaped,
    metric_of,
    value_of,
)
from metriclake.store.selection import Aggregate, Answer, Selection
from metriclake.store.statement import SelectionText

FLEET_TABLES = ("metrics", "fields", "activity")
"""The tables that are read over all tenants; rollups are not among them."""

_BOUNDS = Bounds(seconds=30.0, rows_read=0)
_KEPT = "toUnixTimestamp64Micro(time) > toUnixTimestamp64Micro(now64(6)) - toInt64(retention) * 1000000"
_ADDED_UP = (Aggregate.COUNT, Aggregate.UNIQUE, Aggregate.SUM)
"""What is 0 over no events; of all else there is none."""


class FleetView(StrEnum):
    """
    What is shown of all tenants.

    Of `total` they are as one; `top` are those with the largest values, `movers` those whose value differs most from
    that of the period before; `adoption` is how many of them have events.
    """

    TOTAL = "total"
    TOP = "top"
    MOVERS = "movers"
    ADOPTION = "adoption"


@dataclass(frozen=True, slots=True)
class FleetSelection:
    """
    What to read of one metric over all tenants: `of` says which rows and what is made of them.

    With a `limit` only so many tenants, those that stand first.
    """

    view: FleetView
    of: Selection
    limit: int | None = None


class FleetReader:
    """
    All that may be read of all tenants together.
    """

    def __init__(self, engine: Engine, catalogue: Catalogue, bounds: Bounds = _BOUNDS) -> None:
        """
        `bounds` is what one statement may use.
        """
        self._engine = engine
        self._catalogue = catalogue
        self._bounds = bounds

    def metrics(self) -> dict[str, Metric]:
        """
        Return the metrics that any tenant has ever had, each with the fields of all.
        """
        rows = self._read(
            "SELECT a.metric, a.first, a.last, f.fields FROM"
            f" (SELECT metric, min(first) AS first, max(last) AS last FROM {DATABASE}.activity GROUP BY metric) AS a"
            " LEFT JOIN"
            f" (SELECT metric, arraySort(groupUniqArray((kind, name, type))) AS fields FROM {DATABASE}.fields"
            "  GROUP BY metric) AS f ON f.metric = a.metric ORDER BY a.metric",
            Statement(),
        )
        return {name: metric_of(name, first, last, fields) for name, first, last, fields in rows}

    def tenants(self) -> int:
        """
        Return of how many tenants there has ever been an event.
        """
        ((found,),) = self._read(f"SELECT uniqExact(tenant) FROM {DATABASE}.activity", Statement())
        return int(found)

    def total(self, selection: FleetSelection) -> Answer:
        """
        Answer `total` or `adoption`. Raises QuestionTooLarge where it needs more than the bounds allow.
        """
        statement = Statement()
        kind = _AdoptionText if selection.view is FleetView.ADOPTION else _FleetText
        text = kind(selection.of, self._catalogue, statement)
        return answer_of(self._result(text.sql(), statement).result_columns, text)

    def tenants_of(self, selection: FleetSelection) -> list[tuple[Any, ...]]:
        """
        Answer `top` with (tenant, value), `movers` with (tenant, value, value of the period before). Raises as `total`.
        """
        statement = Statement()
        text = _FleetText(selection.of, self._catalogue, statement)
        sql = text.movers(selection.limit) if selection.view is FleetView.MOVERS else text.top(selection.limit)
        return [
            (tenant, *(value_of(whole, value) for whole, value in zip(values[::2], values[1::2], strict=True)))
            for tenant, *values in self._read(sql, statement)
        ]

    def _read(self, sql: str, statement: Statement) -> Sequence[tuple[Any, ...]]:
        rows: Sequence[tuple[Any, ...]] = self._result(sql, statement).result_rows
        return rows

    def _result(self, sql: str, statement: Statement) -> Any:
        """
        Return the client's result.
        """
        try:
            return self._engine.read(sql, statement.parameters, self._settings())
        except StoreError as error:
            raise self._bounds.passed(error) or error from error

    def _filters(self) -> Mapping[str, str]:
        """
        Return the conditions of rows that may be seen, by table.
        """
        closed = (set(TENANT_TABLES) | set(CLOSED_TABLES)) - set(FLEET_TABLES)
        filters = {f"{DATABASE}.{table}": "0" for table in sorted(closed)}
        filters |= {f"system.{table}": "0" for table in TELLING_TABLES}
        return filters | {f"{DATABASE}.metrics": _KEPT}

    def _settings(self) -> dict[str, Any]:
        filters = (f"'{table}': '{escaped(condition)}'" for table, condition in self._filters().items())
        return {
            "additional_table_filters": "{" + ", ".join(filters) + "}",
            "readonly": 1,
            **self._bounds.settings(),
            "precise_float_parsing": 1,
        }


class _FleetText(SelectionText):
    """
    A selection over all tenants as SQL.
    """

    def __init__(self, selection: Selection, catalogue: Catalogue, statement: Statement) -> None:
        """
        Parameters go into `statement`. No tenant has an empty name: what would ask for one finds nothing.
        """
        super().__init__(selection, catalogue, "", statement)

    def _whose(self) -> list[str]:
        return []

    def top(self, limit: int | None) -> str:
        """
        Return the statement of the tenants with the largest values.
        """
        select = self._select({"tenant": "tenant", **self._values()}, "tenant")
        return f"{select} ORDER BY value DESC NULLS LAST, tenant{self._limited(limit)}"

    def movers(self, limit: int | None) -> str:
        """
        Return the statement of the tenants whose value is another than in the period before, most of all first.
        """
        selection = self._selection
        keys = {"tenant": "tenant", "earlier": f"time < {self._moment(selection.start)}"}
        values = {name: f"toNullable({text})" for name, text in self._values().items()}
        each = self._select({**keys, **values}, "tenant, earlier")
        nothing = "0" if selection.aggregate in _ADDED_UP else "NULL"
        found = {"after": "NOT earlier", "before": "earlier"}
        columns = ", ".join(
            f"if(isNull(anyIf(value, {when})), {nothing if selection.whole else 'NULL'}, anyIf(whole, {when}))"
            f" AS whole_{name}, coalesce(anyIf(value, {when}), {nothing}) AS {name}"
            for name, when in found.items()
        )
        return (
            f"SELECT tenant, {columns} FROM ({each}) GROUP BY tenant HAVING after <> before"
            f" ORDER BY abs(after - before) DESC, tenant{self._limited(limit)}"
        )

    def _limited(self, limit: int | None) -> str:
        return "" if limit is None else f" LIMIT {self._bind(limit, 'UInt64')}"


class _AdoptionText(_FleetText):
    """
    How many tenants have events, as SQL.
    """

    def _aggregate(self) -> str:
        return "toInt64(uniqExact(tenant))"
