"""
Read the store for one verified tenant.

Two fences stand between tenants, each enough by itself: the statement is rendered from a `Selection`, whose tenant is
its first condition, and the engine filters every table by the reader's tenant (`additional_table_filters`), also
beneath joins, views and subqueries. A reader cannot be made without a tenant.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from metriclake._errors import Fault, InvalidQuestion, InvalidToken, StoreError
from metriclake.event import is_tenant_id
from metriclake.store.catalogue import ATTRIBUTE, DIMENSION, MEASURE, TEXT, Catalogue, Field, Metric, Place
from metriclake.store.engine import DATABASE, Engine

TENANT_TABLES = ("metrics", "fields", "activity")
"""The tables with rows of tenants: each is filtered by the engine."""

CLOSED_TABLES = ("meta", "slots", "incoming", "shapes", "staged", "judged")
"""The tables that no tenant may read: the engine shows them empty."""

_NUMERIC = ("double", "integer")


class Bucket(StrEnum):
    """
    The lengths of an interval.
    """

    NONE = "none"
    MINUTE = "minute"
    FIVE_MINUTES = "5m"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


_BOUNDS = {
    "159": "{bounds.seconds:g} seconds",
    "241": "{bounds.memory} bytes of memory",
    "396": "{bounds.rows} rows of answer",
}
"""The bounds by the code of the engine's error that says that one is passed."""

_STARTS = {
    Bucket.MINUTE: "toStartOfMinute(time, {zone:String})",
    Bucket.FIVE_MINUTES: "toStartOfFiveMinutes(time, {zone:String})",
    Bucket.HOUR: "toStartOfHour(time, {zone:String})",
    Bucket.DAY: "toStartOfDay(time, {zone:String})",
    Bucket.WEEK: "toDateTime(toStartOfWeek(time, 1, {zone:String}), {zone:String})",
    Bucket.MONTH: "toDateTime(toStartOfMonth(time, {zone:String}), {zone:String})",
    Bucket.QUARTER: "toDateTime(toStartOfQuarter(time, {zone:String}), {zone:String})",
    Bucket.YEAR: "toDateTime(toStartOfYear(time, {zone:String}), {zone:String})",
}

_AGGREGATES = {
    "count": "toInt64(count({value}))",
    "sum": "if(count({value}) = 0, NULL, sum({value}))",
    "avg": "avg({value})",
    "min": "min({value})",
    "max": "max({value})",
}


@dataclass(frozen=True, slots=True)
class Filter:
    """
    Keep the rows whose dimension has one of these values.
    """

    dimension: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Selection:
    """
    A question that has been checked against the catalogue: what to read of one metric.

    `types` are the numeric types that the measure has; without a measure the rows themselves are counted. `start` is
    inclusive, `end` exclusive. `edges` are the starts of the intervals, where the engine's own would be others.
    """

    metric: str
    aggregate: str
    start: datetime
    end: datetime
    measure: str | None = None
    types: tuple[str, ...] = ()
    bucket: Bucket = Bucket.NONE
    zone: str = "UTC"
    edges: tuple[datetime, ...] = ()
    group_by: tuple[str, ...] = ()
    filters: tuple[Filter, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """
    What the engine answered: the rows (interval's start where one was asked, dimensions, value) in their order.
    """

    rows: Sequence[tuple[Any, ...]]
    read_rows: int = 0


@dataclass(frozen=True, slots=True)
class Bounds:
    """
    What one statement may use: seconds, bytes of memory, rows of its answer.
    """

    seconds: float = 10.0
    memory: int = 1024 * 1024 * 1024
    rows: int = 100_000


@dataclass(slots=True)
class _Statement:
    """
    A statement under construction: every value of a question goes into `parameters`.
    """

    parameters: dict[str, Any] = field(default_factory=dict)

    def bind(self, value: Any, kind: str = "String") -> str:
        name = f"p{len(self.parameters)}"
        self.parameters[name] = value
        return f"{{{name}:{kind}}}"


class TenantReader:
    """
    All that may be read of one tenant.
    """

    def __init__(self, engine: Engine, catalogue: Catalogue, tenant_id: str, bounds: Bounds | None = None) -> None:
        """
        `tenant_id` comes from a verified token. Raises InvalidToken for what cannot be a tenant.
        """
        if not is_tenant_id(tenant_id):
            raise InvalidToken("this is not a tenant id")
        self._engine = engine
        self._catalogue = catalogue
        self._tenant = tenant_id
        self._bounds = bounds or Bounds()

    def metrics(self) -> dict[str, Metric]:
        """
        Return the tenant's metrics by name.
        """
        statement = _Statement()
        tenant = statement.bind(self._tenant)
        rows = self._read(
            "SELECT a.metric, a.first, a.last, f.fields FROM"
            f" (SELECT metric, min(first) AS first, max(last) AS last FROM {DATABASE}.activity"
            f"  WHERE tenant = {tenant} GROUP BY metric) AS a LEFT JOIN"
            f" (SELECT metric, arraySort(groupUniqArray((kind, name, type))) AS fields FROM {DATABASE}.fields"
            f"  WHERE tenant = {tenant} GROUP BY metric) AS f ON f.metric = a.metric ORDER BY a.metric",
            statement,
        ).rows
        return {name: _metric(name, first, last, fields) for name, first, last, fields in rows}

    def select(self, selection: Selection) -> Answer:
        """
        Answer a selection.
        """
        statement = _Statement()
        columns, groups = self._columns(selection, statement)
        value = _AGGREGATES[selection.aggregate].format(value=self._measure(selection, statement))
        sql = f"SELECT {', '.join([*columns, f'{value} AS value'])} FROM {DATABASE}.metrics"
        sql += f" WHERE {' AND '.join(self._conditions(selection, statement))}"
        if groups:
            sql += f" GROUP BY {groups} ORDER BY {groups}"
        return self._read(sql, statement)

    def _columns(self, selection: Selection, statement: _Statement) -> tuple[list[str], str]:
        columns = []
        if selection.bucket is not Bucket.NONE:
            columns.append(f"{self._bucket(selection, statement)} AS bucket")
        columns.extend(
            f"{self._dimension(selection.metric, name, statement)} AS g{index}"
            for index, name in enumerate(selection.group_by)
        )
        return columns, ", ".join(column.rsplit(" AS ", 1)[1] for column in columns)

    @staticmethod
    def _bucket(selection: Selection, statement: _Statement) -> str:
        if selection.edges:
            edges = statement.bind([int(edge.timestamp()) for edge in selection.edges], "Array(UInt32)")
            return f"toDateTime(roundDown(toUnixTimestamp(time), {edges}), 'UTC')"
        statement.parameters["zone"] = selection.zone
        return _STARTS[selection.bucket]

    def _conditions(self, selection: Selection, statement: _Statement) -> list[str]:
        conditions = [
            f"tenant = {statement.bind(self._tenant)}",
            f"metric = {statement.bind(selection.metric)}",
            f"time >= {_moment(selection.start, statement)}",
            f"time < {_moment(selection.end, statement)}",
        ]
        for condition in selection.filters:
            dimension = self._dimension(selection.metric, condition.dimension, statement)
            conditions.append(f"{dimension} IN {statement.bind(list(condition.values), 'Array(String)')}")
        return conditions

    def _measure(self, selection: Selection, statement: _Statement) -> str:
        if selection.measure is None:
            return ""
        fields = {kind: Field(selection.metric, MEASURE, selection.measure, kind) for kind in selection.types}
        columns = {kind: _nullable(self._catalogue.place(found), statement) for kind, found in fields.items()}
        if selection.aggregate == "count":
            return f"nullIf({' OR '.join(f'isNotNull({column})' for column in columns.values())}, 0)"
        if tuple(columns) == ("integer",):
            return f"toInt128({columns['integer']})"
        return f"coalesce({', '.join(f'toFloat64({column})' for column in columns.values())})"

    def _dimension(self, metric: str, name: str, statement: _Statement) -> str:
        kind = ATTRIBUTE if name.startswith("tenant_") else DIMENSION
        place = self._catalogue.place(Field(metric, kind, name, TEXT))
        return place.column if place.key is None else f"{place.column}[{statement.bind(place.key)}]"

    def _read(self, sql: str, statement: _Statement) -> Answer:
        try:
            result = self._engine.read(sql, statement.parameters, self._settings())
        except StoreError as error:
            raise self._too_much(error) or error from error
        return Answer(list(result.result_rows), int(result.summary.get("read_rows", 0)))

    def _too_much(self, error: StoreError) -> InvalidQuestion | None:
        """
        Return what to say of a question that needs more than it may; None where the store failed for another reason.
        """
        code = re.search(r"Code: (\d+)\.", str(error))
        bound = _BOUNDS.get(code[1] if code else "")
        if bound is None:
            return None
        what = f"needs more than {bound.format(bounds=self._bounds)}"
        return InvalidQuestion((Fault("question", what, "ask for a shorter range, longer intervals or fewer groups"),))

    def _settings(self) -> dict[str, Any]:
        condition = f"tenant = \\'{self._tenant}\\'"
        filters = [f"'{DATABASE}.{table}': '{condition}'" for table in TENANT_TABLES]
        filters += [f"'{DATABASE}.{table}': '0'" for table in CLOSED_TABLES]
        return {
            "additional_table_filters": "{" + ", ".join(filters) + "}",
            "readonly": 1,
            "max_execution_time": self._bounds.seconds,
            "max_memory_usage": self._bounds.memory,
            "max_result_rows": self._bounds.rows,
            "max_threads": 2,
        }


def _moment(value: datetime, statement: _Statement) -> str:
    micros = statement.bind(int(value.timestamp() * 1_000_000), "Int64")
    return f"fromUnixTimestamp64Micro({micros}, 'UTC')"


def _nullable(place: Place, statement: _Statement) -> str:
    if place.key is None:
        return place.column
    key = statement.bind(place.key)
    return f"if(mapContains({place.column}, {key}), {place.column}[{key}], NULL)"


def _metric(name: str, first: datetime, last: datetime, fields: Sequence[tuple[str, str, str]]) -> Metric:
    measures: dict[str, tuple[str, ...]] = {}
    for kind, field_name, type_name in fields:
        if kind == MEASURE:
            measures[field_name] = (*measures.get(field_name, ()), type_name)
    named: Callable[[str], tuple[str, ...]] = lambda kind: tuple(field[1] for field in fields if field[0] == kind)  # noqa: E731
    return Metric(name, first, last, named(DIMENSION), named(ATTRIBUTE), measures)


def numeric(types: Mapping[str, tuple[str, ...]], measure: str) -> tuple[str, ...]:
    """
    Return the numeric types that a measure has.
    """
    return tuple(kind for kind in types.get(measure, ()) if kind in _NUMERIC)
