"""
The SQL of a selection that is read from a rollup, and from the rows where those know better.

One statement reads both sides: whole buckets from the rollup; buckets that it may not have all rows of, and what lies
outside of whole ones, from the rows. Both sides have the same columns, so that one row of the rollup stands for many:
their `time`, the dimensions as `k0` and on, how many they are as `n`, their value as `v`, and what orders the last of
them as `l`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from metriclake.store.catalogue import Catalogue
from metriclake.store.columns import Columns, Statement
from metriclake.store.conditions import Conditions
from metriclake.store.engine import DATABASE
from metriclake.store.rollups.cover import Cover
from metriclake.store.rollups.sets import Stretch
from metriclake.store.rollups.table import ROW_KEY
from metriclake.store.selection import Aggregate, Bucket, Dimension, Measure, Selection
from metriclake.store.statement import SelectionText

_KEPT = {
    Aggregate.SUM: ("whole", "total"),
    Aggregate.AVG: ("whole", "total"),
    Aggregate.MIN: ("whole_least", "least"),
    Aggregate.MAX: ("whole_most", "most"),
    Aggregate.LAST: ("whole_last", "last"),
}
"""Where a rollup has what an aggregate of numbers is made of: of integers, of doubles."""


class _Named(Columns):
    """
    The texts of dimensions as columns of ours: what a side calls them, or a rollup.
    """

    def __init__(self, catalogue: Catalogue, metric: str, statement: Statement, names: Mapping[str, str]) -> None:
        super().__init__(catalogue, metric, statement)
        self._names = names

    def text(self, name: str) -> str:
        """
        Return the column of a dimension.
        """
        return self._names[name]


class RolledText(SelectionText):
    """
    A selection as SQL over both sides: the columns of its answer are those of `SelectionText`.
    """

    rolled = True

    def __init__(
        self,
        selection: Selection,
        cover: Cover,
        catalogue: Catalogue,
        tenant: str,
        statement: Statement,
        oldest: datetime | None = None,
    ) -> None:
        """
        Parameters go into `statement`. Rows of `oldest` and before it are not shown; `cover` keeps none of them.
        """
        super().__init__(selection, catalogue, tenant, statement)
        value = selection.value
        texts = (*selection.group_by, *((value.name,) if isinstance(value, Dimension) else ()))
        names = {name: f"k{index}" for index, name in enumerate(dict.fromkeys(texts))}
        self._columns = _Named(catalogue, selection.metric, statement, names)
        raw = _RawSide(selection, catalogue, tenant, statement, oldest)
        kept = _KeptSide(selection, cover, catalogue, tenant, statement)
        sides = [kept.sql_of(names)]
        if cover.raw:
            sides.append(raw.sql_of(names, cover.raw))
        self._sides = " UNION ALL ".join(sides)

    def _rows(self, times: str) -> str:
        return f"FROM ({self._sides}){f' WHERE {times}' if times else ''}"

    def _times(self) -> str:
        """
        Return no condition: the sides have rows of the periods alone.
        """
        return ""

    def _aggregate(self) -> str:
        aggregate, value = self._selection.aggregate, self._selection.value
        if aggregate is Aggregate.COUNT:
            there = f"sumIf(n, {self._columns.text(value.name)} <> '')" if isinstance(value, Dimension) else "sum(n)"
            return f"toInt64({there})"
        if isinstance(value, Dimension):
            return f"toInt64(uniqExact(nullIf({self._columns.text(value.name)}, '')))"
        return {
            Aggregate.SUM: "sum(v)",
            Aggregate.AVG: "if(sum(n) = 0, NULL, toFloat64(sum(v)) / sum(n))",
            Aggregate.MIN: "min(v)",
            Aggregate.MAX: "max(v)",
            Aggregate.LAST: "argMax(v, l)",
        }[aggregate]


class _RawSide(SelectionText):
    """
    The rows that the rollup does not stand for.
    """

    def sql_of(self, names: Mapping[str, str], stretches: Iterable[Stretch]) -> str:
        """
        Return the question of the rows of some stretches of time, with dimensions under their names.
        """
        texts = {column: self._columns.text(name) for name, column in names.items()}
        columns = {"time": "time", **texts, **self._amounts()}
        taken = ", ".join(f"{text} AS {column}" for column, text in columns.items())
        times = " OR ".join(self._within(*stretch) for stretch in stretches)
        return f"SELECT {taken} {self._rows(f'({times})')}"

    def _amounts(self) -> dict[str, str]:
        aggregate, value = self._selection.aggregate, self._selection.value
        if not isinstance(value, Measure):
            return {"n": "toUInt64(1)"}
        if aggregate is Aggregate.COUNT:
            return {"n": f"toUInt64({self._columns.there(value)})"}
        number = self._columns.number(value)
        wide = f"toInt128({number})" if value.whole and aggregate in (Aggregate.SUM, Aggregate.AVG) else number
        count = {"n": f"toUInt64(isNotNull({number}))"} if aggregate is Aggregate.AVG else {}
        last = {"l": ROW_KEY} if aggregate is Aggregate.LAST else {}
        return {**count, "v": wide, **last}


class _KeptSide(SelectionText):
    """
    The buckets of the rollup that have all their rows.
    """

    def __init__(
        self, selection: Selection, cover: Cover, catalogue: Catalogue, tenant: str, statement: Statement
    ) -> None:
        super().__init__(selection, catalogue, tenant, statement)
        self._cover = cover
        names = {name: f"d{index}" for index, name in enumerate(cover.rollup.dimensions)}
        self._columns = _Named(catalogue, selection.metric, statement, names)
        self._conditions = Conditions(self._columns, statement)

    def sql_of(self, names: Mapping[str, str]) -> str:
        """
        Return the question of the buckets, with dimensions under their names.

        All conditions are on what the table is sorted by: they hold for a row as for the one that replaces it.
        """
        columns = {"time": "toDateTime64(start, 6, 'UTC')"}
        columns |= {column: self._columns.text(name) for name, column in names.items()}
        columns |= self._amounts()
        taken = ", ".join(f"{text} AS {column}" for column, text in columns.items())
        stretches = " OR ".join(
            f"start >= {self._second(start)} AND start < {self._second(end)}" for start, end in self._cover.kept
        )
        conditions = [
            f"set = {int(self._cover.rollup.id)}",
            f"tenant = {self._bind(self._tenant)}",
            *self._measures(),
            f"({stretches})",
            *(self._conditions.text(condition) for condition in self._selection.conditions),
        ]
        return f"SELECT {taken} FROM {DATABASE}.rollups FINAL PREWHERE {' AND '.join(conditions)}"

    def _second(self, value: datetime) -> str:
        return f"toDateTime({self._bind(int(value.timestamp()), 'UInt32')}, 'UTC')"

    def _measures(self) -> list[str]:
        """
        Return which rows of the rollup are read: where there are groups also those that only say that they are there.
        """
        value = self._selection.value
        if not isinstance(value, Measure):
            return ["measure = ''"]
        keyed = self._selection.group_by or self._selection.before or self._selection.bucket is not Bucket.NONE
        also = [""] if keyed else []
        names, kinds = [*also, value.name], [*also, *value.numbers]
        return [f"measure IN {self._bind(names, 'Array(String)')}", f"kind IN {self._bind(kinds, 'Array(String)')}"]

    def _amounts(self) -> dict[str, str]:
        aggregate, value = self._selection.aggregate, self._selection.value
        if not isinstance(value, Measure):
            return {"n": "rows"}
        count = {"n": "if(measure = '', 0, rows)"}
        if aggregate is Aggregate.COUNT:
            return count
        last = {"l": "last_key"} if aggregate is Aggregate.LAST else {}
        number = f"if(measure = '', NULL, {_number(value, *_KEPT[aggregate])})"
        return {**(count if aggregate is Aggregate.AVG else {}), "v": number, **last}


def _number(value: Measure, whole: str, double: str) -> str:
    """
    Return what a rollup has of a measure's numbers, whose columns are named; only those are read that may have some.
    """
    if value.whole:
        return whole
    return double if value.numbers == ("double",) else f"if(kind = 'integer', toFloat64({whole}), {double})"
