"""
Read the store for one verified tenant.

Two fences stand between tenants, each enough by itself: the statement is rendered from a `Selection`, whose tenant is
its first condition, and the engine filters every table by the reader's tenant (`additional_table_filters`), also
beneath joins, views and subqueries. A reader cannot be made without a tenant.
"""

from __future__ import annotations

import math
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from metriclake._errors import InvalidToken, StoreError
from metriclake.event import is_tenant_id
from metriclake.store.bounds import Bounds, Spent
from metriclake.store.catalogue import ATTRIBUTE, DIMENSION, MEASURE, Catalogue, Metric
from metriclake.store.columns import Statement
from metriclake.store.engine import DATABASE, GIVES_WAY, Engine
from metriclake.store.rollups.cover import cover
from metriclake.store.rollups.sets import RollupSets
from metriclake.store.rollups.text import RolledText
from metriclake.store.selection import Answer, Bucket, Selection
from metriclake.store.statement import SelectionText, together
from metriclake.tiers import Tiers

TENANT_TABLES = ("metrics", "fields", "activity", "rollups", "rollup_tenants")
"""The tables with rows of tenants: each is filtered by the engine."""

CLOSED_TABLES = ("meta", "slots", "incoming", "shapes", "staged", "judged", "rollup_sets")
"""The tables that no tenant may read: the engine shows them empty."""

TELLING_TABLES = ("mutations", "processes")
"""The engine's own tables that hold our statements, which name tenants: it shows them empty too."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SAMPLES = 5
_SLICE = 2048
"""Rows of an answer that are made by one call of the interpreter's own code."""


@dataclass(frozen=True, slots=True)
class Origin:
    """
    Where rows come from: the number of a lake object and the pipeline file's version; how many, from when to when.

    `event_ids` are of a few of them.
    """

    object: int
    version: int
    rows: int
    first: datetime
    last: datetime
    event_ids: tuple[str, ...]


class TenantReader:
    """
    All that may be read of one tenant.
    """

    def __init__(
        self,
        engine: Engine,
        catalogue: Catalogue,
        tenant_id: str,
        bounds: Bounds | None = None,
        tiers: Tiers | None = None,
        sets: RollupSets | None = None,
    ) -> None:
        """
        `tenant_id` comes from a verified token. Raises InvalidToken for what cannot be a tenant.

        What is beyond its retention by `tiers` is not shown, although the engine may take a day to remove it. Without
        `sets` all is read from the rows themselves.
        """
        if not is_tenant_id(tenant_id):
            raise InvalidToken("this is not a tenant id")
        self._engine = engine
        self._catalogue = catalogue
        self._tenant = tenant_id
        self._bounds = bounds or Bounds()
        self._tiers = tiers
        self._sets = sets
        self.spent = Spent()

    @property
    def bounds(self) -> Bounds:
        """
        Return what one statement may use.
        """
        return self._bounds

    def metrics(self) -> dict[str, Metric]:
        """
        Return the tenant's metrics by name: those that have rows within their retention.
        """
        found = {name: (metric, self._oldest(name)) for name, metric in self._had().items()}
        return {
            name: replace(metric, first=max(metric.first, oldest))
            for name, (metric, oldest) in found.items()
            if metric.last >= oldest
        }

    def _had(self) -> dict[str, Metric]:
        """
        Return the metrics that the tenant has ever had, with the first and last times of all that came.

        What is allowed to questions does not bound this.
        """
        statement = Statement()
        tenant = statement.bind(self._tenant)
        rows = self._read(
            "SELECT a.metric, a.first, a.last, f.fields FROM"
            f" (SELECT metric, min(first) AS first, max(last) AS last FROM {DATABASE}.activity"
            f"  WHERE tenant = {tenant} GROUP BY metric) AS a LEFT JOIN"
            f" (SELECT metric, arraySort(groupUniqArray((kind, name, type))) AS fields FROM {DATABASE}.fields"
            f"  WHERE tenant = {tenant} GROUP BY metric) AS f ON f.metric = a.metric ORDER BY a.metric",
            statement,
            Bounds(),
        )
        return {name: metric_of(name, first, last, fields) for name, first, last, fields in rows}

    def known(self) -> dict[str, Metric]:
        """
        Return the tenant's metrics by name, as remembered: their fields are all there, their first and last times old.

        Those of which all rows have left are among them.
        """
        return self._catalogue.known.of(self._tenant, self._had)

    def select(self, selection: Selection) -> Answer:
        """
        Answer a selection. Raises QuestionTooLarge where it needs more than the bounds allow.
        """
        statement = Statement()
        text = self._text(selection, statement)
        return answer_of(self._result(text.sql(), statement).result_columns, text)

    def select_all(self, selections: Sequence[Selection]) -> list[Answer]:
        """
        Answer several selections by one statement, in their order. Raises QuestionTooLarge as `select` does.
        """
        if len(selections) < 2:
            return [self.select(selection) for selection in selections]
        statement = Statement()
        texts = [self._text(selection, statement) for selection in selections]
        groups = max(len(selection.group_by) for selection in selections)
        found = self._result(together(texts, groups), statement).result_columns
        numbers, *columns = found or ((),)
        starts = [bisect_left(numbers, number) for number in range(len(texts) + 1)]
        return [
            answer_of([column[start:end] for column in _own(columns, text.selection)] if columns else [], text)
            for text, start, end in zip(texts, starts, starts[1:], strict=False)
        ]

    def origins(self, selection: Selection, most: int) -> list[Origin]:
        """
        Return which lake objects brought a selection's rows, the last `most` of them first.

        Raises QuestionTooLarge as `select` does.
        """
        statement = Statement()
        oldest = self._oldest(selection.metric)
        text = SelectionText(selection, self._catalogue, self._tenant, statement, oldest)
        found = self._read(text.origins(most, _SAMPLES), statement)
        return [
            Origin(number, version, rows, first, last, tuple(sample))
            for number, version, rows, first, last, sample in found
        ]

    def narrowed(self, parts: int) -> TenantReader:
        """
        Return a reader of the same tenant whose statements may take one of so many parts of the time.

        What they use is counted here.
        """
        return self._with(replace(self._bounds, seconds=self._bounds.seconds / parts))

    def giving_way(self) -> TenantReader:
        """
        Return a reader of the same tenant whose statements let shorter ones go first. What they use is counted here.
        """
        return self._with(replace(self._bounds, nice=GIVES_WAY))

    def _with(self, bounds: Bounds) -> TenantReader:
        found = TenantReader(self._engine, self._catalogue, self._tenant, bounds, self._tiers, self._sets)
        found.spent = self.spent
        return found

    def _text(self, selection: Selection, statement: Statement) -> SelectionText:
        """
        Return a selection as SQL, over a rollup where there is one that answers it.
        """
        found, oldest = None, self._oldest(selection.metric)
        if self._sets is not None:
            rollups = self._sets.rollups(self._tenant, selection.metric)
            found = cover(selection, rollups, oldest, self._sets.least())
        if found is None:
            return SelectionText(selection, self._catalogue, self._tenant, statement, oldest)
        return RolledText(selection, found, self._catalogue, self._tenant, statement, oldest)

    def _read(self, sql: str, statement: Statement, bounds: Bounds | None = None) -> Sequence[tuple[Any, ...]]:
        rows: Sequence[tuple[Any, ...]] = self._result(sql, statement, bounds).result_rows
        return rows

    def _result(self, sql: str, statement: Statement, bounds: Bounds | None = None) -> Any:
        """
        Return the client's result.
        """
        bounds = bounds or self._bounds
        summary: Mapping[str, Any] = {}
        began = time.perf_counter()
        try:
            result = self._engine.read(sql, statement.parameters, self._settings(bounds))
            summary = result.summary
        except StoreError as error:
            raise bounds.passed(error) or error from error
        finally:
            self.spent.add(summary, time.perf_counter() - began)
        return result

    def _oldest(self, metric: str) -> datetime:
        """
        Return the oldest time that a metric's rows may have to be shown.
        """
        if self._tiers is None:
            return _EPOCH
        return datetime.now(UTC) - self._tiers.retention_of(self._tenant, metric)

    def _filters(self) -> dict[str, str]:
        """
        Return the conditions of rows that may be seen, by table: each costs every statement time, so tenants alone.
        """
        own = f"tenant = '{self._tenant}'"
        filters = {f"{DATABASE}.{table}": own for table in TENANT_TABLES}
        filters |= {f"{DATABASE}.{table}": "0" for table in CLOSED_TABLES}
        return filters | {f"system.{table}": "0" for table in TELLING_TABLES}

    def _settings(self, bounds: Bounds | None = None) -> dict[str, Any]:
        filters = (f"'{table}': '{escaped(condition)}'" for table, condition in self._filters().items())
        return {
            "additional_table_filters": "{" + ", ".join(filters) + "}",
            "readonly": 1,
            **(bounds or self._bounds).settings(),
            "precise_float_parsing": 1,
            "do_not_merge_across_partitions_select_final": 1,
        }


def escaped(condition: str) -> str:
    """
    Return a condition as it stands within the text of a setting.
    """
    return condition.replace("\\", "\\\\").replace("'", "\\'")


def _own(columns: Sequence[Sequence[Any]], selection: Selection) -> list[Sequence[Any]]:
    """
    Return a selection's columns without those that only others have.
    """
    earlier, bucket = selection.before is not None, selection.bucket is not Bucket.NONE
    kept = [index for index, has in enumerate((earlier, bucket)) if has]
    kept += range(2, 2 + len(selection.group_by))
    return [*(columns[index] for index in kept), *columns[-2:]]


def answer_of(columns: Sequence[Sequence[Any]], text: SelectionText) -> Answer:
    """
    Return an answer: the rows of each period, moments of seconds, and one value of the two that stand for it.

    Of no rows the client has no columns. It is made in slices, between which whoever waits for the interpreter has its
    turn.
    """
    selection = text.selection
    rows: list[tuple[Any, ...]] = []
    before: list[tuple[Any, ...]] = []
    moments: dict[int, datetime] = {}
    for first in range(0, len(columns[-1]) if columns else 0, _SLICE):
        *keys, wholes, values = (column[first : first + _SLICE] for column in columns)
        periods = keys.pop(0) if selection.before is not None else None
        if selection.bucket is not Bucket.NONE:
            for second in set(keys[0]).difference(moments):
                moments[second] = datetime.fromtimestamp(second, UTC)
            keys[0] = [moments[second] for second in keys[0]]
        found = zip(*keys, map(value_of, wholes, values), strict=True)
        if periods is None:
            rows += found
        else:
            for row, earlier in zip(found, periods, strict=True):
                (before if earlier else rows).append(row)
    return Answer(rows, before, rolled=text.rolled)


def value_of(whole: int | None, value: float | None) -> float | None:
    """
    Return the integer where there is one; what is no number is null, as an overflow is.
    """
    if whole is not None:
        return whole
    return value if value is not None and math.isfinite(value) else None


def metric_of(name: str, first: datetime, last: datetime, fields: Sequence[tuple[str, str, str]]) -> Metric:
    """
    Return a metric of its fields, each a kind, a name and a type.
    """
    measures: dict[str, tuple[str, ...]] = {}
    for kind, field_name, type_name in fields:
        if kind == MEASURE:
            measures[field_name] = (*measures.get(field_name, ()), type_name)
    named: Callable[[str], tuple[str, ...]] = lambda kind: tuple(field[1] for field in fields if field[0] == kind)  # noqa: E731
    return Metric(name, first, last, named(DIMENSION), named(ATTRIBUTE), measures)
