"""
A tenant's own rows as they are, page by page, in the order of metric, time and event id.

Each page is a statement of its own, so that no connection waits for a slow client, and none is open when it is gone.
Together they are of one moment: rows of objects after `upto` are left out, and no row changes. Why pages:
docs/decisions/0017-exports-in-pages.md.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import chain, islice
from typing import Any

from metriclake._errors import QuestionTooLarge, StoreError
from metriclake.store.bounds import Bounds
from metriclake.store.catalogue import ATTRIBUTE, DIMENSION, MEASURE, TEXT, Catalogue, Metric
from metriclake.store.columns import Columns, Statement
from metriclake.store.conditions import Conditions
from metriclake.store.engine import DATABASE, GIVES_WAY, Engine
from metriclake.store.formats import Cell, Column, Format, Page, table_of
from metriclake.store.reader import TenantReader
from metriclake.store.selection import Condition, Measure
from metriclake.tiers import Tiers

_FIXED = (
    Column("time", "time", "time"),
    Column("metric", TEXT, "metric"),
    Column("event_id", TEXT, "event_id"),
)
_TYPES = ("double", "integer", TEXT, "boolean")
"""The types of measures; where one has several, the first of these keeps the plain name."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_ROWS = 4096
_MOST_ROWS = 65_536
_PAGE_BYTES = 8 * 1024 * 1024
"""What a page is to have, about: so many bytes, and at most so many rows; the first is small, to come soon."""

_BOUNDS = Bounds(seconds=30.0, memory=64 * _PAGE_BYTES, rows_read=0, rows=_MOST_ROWS, threads=1)
_RESULT_BYTES = 8 * _PAGE_BYTES
"""What the engine may take for a page: rows may be of very different size, and too large a page is asked anew.

How many rows are read has no bound: the whole of a tenant may be exported, and a page does not look beyond its days."""


@dataclass(frozen=True, slots=True)
class Extract:
    """
    What to export: the rows of these metrics in [start, end) that are of objects up to `upto` and meet all conditions.
    """

    metrics: tuple[Metric, ...]
    start: datetime
    end: datetime
    upto: int
    conditions: tuple[Condition, ...] = ()

    @property
    def columns(self) -> tuple[Column, ...]:
        """
        Return the columns: what every row has, then dimensions, measures and attributes, each kind by name.

        Where two would have one name, the later says in parentheses what it is: no field's name has such.
        """
        found = [Column(name, TEXT, name, DIMENSION) for name in _names(m.dimensions for m in self.metrics)]
        measures = {(name, kind) for m in self.metrics for name, kinds in m.measures.items() for kind in kinds}
        ordered = sorted(measures, key=lambda one: (one[0], _TYPES.index(one[1])))
        found += [Column(name, kind, name, MEASURE) for name, kind in ordered]
        found += [Column(name, TEXT, name, ATTRIBUTE) for name in _names(m.attributes for m in self.metrics)]
        return _FIXED + tuple(_unlike([column.name for column in _FIXED], found))


def _names(groups: Iterable[tuple[str, ...]]) -> list[str]:
    return sorted({name for names in groups for name in names})


def _unlike(taken: list[str], columns: Sequence[Column]) -> Iterator[Column]:
    names = set(taken)
    for column in columns:
        what = column.type if column.kind == MEASURE else column.kind
        yield replace(column, name=f"{column.name} ({what})") if column.name in names else column
        names.add(column.name)


@dataclass(frozen=True, slots=True)
class _Slice:
    """
    A stretch of time of one metric; from `after` on, a time in microseconds and an event id, where a page has ended.
    """

    metric: Metric
    start: datetime
    end: datetime
    after: tuple[int, str] | None = None


class ExportReader(TenantReader):
    """
    A tenant's reader that returns its rows; behind the same two fences.
    """

    def __init__(
        self,
        engine: Engine,
        catalogue: Catalogue,
        tenant_id: str,
        bounds: Bounds = _BOUNDS,
        tiers: Tiers | None = None,
    ) -> None:
        """
        As TenantReader; `bounds` are those of a page.
        """
        super().__init__(engine, catalogue, tenant_id, bounds, tiers)

    def count(self, extract: Extract) -> dict[str, int]:
        """
        Return how many rows there are of each metric that has any. Raises QuestionTooLarge where that takes too long.
        """
        if not extract.metrics:
            return {}
        statement = Statement()
        within = self._within(extract.start, extract.end, extract, statement)
        metrics = [f"({' AND '.join(self._of(metric, extract, statement))})" for metric in extract.metrics]
        found = self._ask(
            f"SELECT metric AS name, count() AS amount FROM {DATABASE}.metrics"
            f" WHERE {' AND '.join(within)} AND ({' OR '.join(metrics)}) GROUP BY name",
            statement,
        )
        return dict(zip(found["name"].to_pylist(), found["amount"].to_pylist(), strict=True))

    def export(self, extract: Extract, amounts: Mapping[str, int], form: Format) -> Iterator[bytes]:
        """
        Yield an export in parts of some megabytes at most; `amounts` are what `count` has said of it.

        Raises StoreError and QuestionTooLarge, also after parts; the first part comes when the first page is there.
        """
        pages = self._pages(extract, amounts, form)
        first = list(islice(pages, 1))
        yield from form.begin(extract.columns)
        for page in chain(first, pages):
            yield from form.write(page)
        yield from form.end()

    def _pages(self, extract: Extract, amounts: Mapping[str, int], form: Format) -> Iterator[Page]:
        rows = _FIRST_ROWS
        for metric in extract.metrics:
            for piece in self._slices(metric, amounts.get(metric.name, 0), extract):
                rest: _Slice | None = piece
                while rest is not None:
                    page, rows = self._page(rest, rows, extract, form)
                    if len(page):
                        yield page
                    rest = _rest(rest, page, rows)
                    rows = _next_rows(page, rows)

    def _slices(self, metric: Metric, amount: int, extract: Extract) -> list[_Slice]:
        """
        Cut the range by days, so that each slice has about a page's rows: a page does not look beyond its slice.
        """
        if amount <= _MOST_ROWS:
            return [_Slice(metric, extract.start, extract.end)] * min(amount, 1)
        statement = Statement()
        conditions = [
            *self._within(extract.start, extract.end, extract, statement),
            *self._of(metric, extract, statement),
        ]
        found = self._ask(
            "SELECT toUnixTimestamp(toStartOfDay(time, 'UTC')) AS day, count() AS amount"
            f" FROM {DATABASE}.metrics WHERE {' AND '.join(conditions)} GROUP BY day ORDER BY day",
            statement,
        )
        days = [datetime.fromtimestamp(day, UTC) for day in found["day"].to_pylist()]
        return [
            _Slice(metric, max(start, extract.start), min(end, extract.end))
            for start, end in cut(days, found["amount"].to_pylist(), _MOST_ROWS)
        ]

    def _page(self, piece: _Slice, rows: int, extract: Extract, form: Format) -> tuple[Page, int]:
        """
        Return the next rows of a slice, and how many were asked for: fewer where so many are more than a page may be.
        """
        while True:
            statement = Statement()
            conditions = [
                *self._within(piece.start, piece.end, extract, statement),
                *self._of(piece.metric, extract, statement),
                *_beyond(piece.after, statement),
            ]
            cells = self._cells(piece.metric, extract, statement)
            wanted = ["toUnixTimestamp64Micro(time) AS at", "event_id AS id", *form.expressions(cells, statement.bind)]
            sql = f"SELECT {', '.join(wanted)} FROM {DATABASE}.metrics WHERE {' AND '.join(conditions)}"
            sql += f" ORDER BY time, event_id LIMIT {statement.bind(rows, 'UInt64')}"
            try:
                return Page(cells, self._ask(sql, statement, form.settings)), rows
            except QuestionTooLarge:
                if rows == 1:
                    raise
            rows = max(1, rows // 8)

    def _within(self, start: datetime, end: datetime, extract: Extract, statement: Statement) -> list[str]:
        return [
            f"tenant = {statement.bind(self._tenant)}",
            f"time >= {_moment(start, statement)}",
            f"time < {_moment(end, statement)}",
            f"object <= {statement.bind(extract.upto, 'UInt64')}",
        ]

    def _of(self, metric: Metric, extract: Extract, statement: Statement) -> list[str]:
        conditions = Conditions(self._columns(metric, statement), statement)
        own = (conditions.text(condition) for condition in extract.conditions)
        shown = f"time > {_moment(self._oldest(metric.name), statement)}"
        return [f"metric = {statement.bind(metric.name)}", shown, *own]

    def _columns(self, metric: Metric, statement: Statement) -> Columns:
        return Columns(self._catalogue, metric.name, statement)

    def _cells(self, metric: Metric, extract: Extract, statement: Statement) -> list[Cell]:
        columns = self._columns(metric, statement)
        return [Cell(column, _value(metric, column, columns)) for column in extract.columns]

    def _ask(self, sql: str, statement: Statement, settings: Mapping[str, Any] | None = None) -> Any:
        own = {"max_result_bytes": _RESULT_BYTES, "os_threads_nice_value_query": GIVES_WAY}
        wanted = {**self._settings(), **own, **(settings or {})}
        summary: Mapping[str, Any] = {}
        began = time.perf_counter()
        try:
            stream, summary = self._engine.arrow(sql, statement.parameters, wanted)
        except StoreError as error:
            raise self._bounds.passed(error) or error from error
        finally:
            self.spent.add(summary, time.perf_counter() - began)
        return table_of(stream)


def _value(metric: Metric, column: Column, columns: Columns) -> str | None:
    """
    Return the SQL of a metric's column, None where the metric does not have it.
    """
    name = column.field
    if column.kind is None:
        return name
    if column.kind != MEASURE:
        names = metric.attributes if column.kind == ATTRIBUTE else metric.dimensions
        return f"nullIf({columns.text(name)}, '')" if name in names else None
    if column.type not in metric.measures.get(name, ()):
        return None
    (value,) = columns.of(Measure(name, (column.type,)), (column.type,))
    return value


def cut(days: Sequence[datetime], amounts: Sequence[int], most: int) -> list[tuple[datetime, datetime]]:
    """
    Return stretches of whole days, each with at most so many rows, or of one day with more.
    """
    found: list[tuple[datetime, datetime]] = []
    rows = 0
    for day, amount in zip(days, amounts, strict=True):
        end = day + timedelta(days=1)
        if found and rows + amount <= most:
            found[-1] = (found[-1][0], end)
            rows += amount
        else:
            found.append((day, end))
            rows = amount
    return found


def _rest(piece: _Slice, page: Page, asked: int) -> _Slice | None:
    """
    Return what is left of a slice after a page, None where the page was not full.
    """
    if len(page) < asked:
        return None
    return replace(piece, after=(page.table["at"][-1].as_py(), page.table["id"][-1].as_py()))


def _next_rows(page: Page, asked: int) -> int:
    """
    Return how many rows the next page should have, judged by the bytes of this one; it grows by steps.
    """
    if not len(page):
        return asked
    fitting: int = _PAGE_BYTES * len(page) // max(1, page.table.nbytes)
    return max(1, min(_MOST_ROWS, 4 * asked, fitting))


def _beyond(after: tuple[int, str] | None, statement: Statement) -> list[str]:
    if after is None:
        return []
    time = f"fromUnixTimestamp64Micro({statement.bind(after[0], 'Int64')}, 'UTC')"
    return [f"time >= {time}", f"(time > {time} OR event_id > {statement.bind(after[1])})"]


def _moment(value: datetime, statement: Statement) -> str:
    micros = (value - _EPOCH) // timedelta(microseconds=1)
    return f"fromUnixTimestamp64Micro({statement.bind(micros, 'Int64')}, 'UTC')"
