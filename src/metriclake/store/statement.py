"""
The SQL of selections. Every value of a question travels as a parameter: in the text stand only names of ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from metriclake.store.catalogue import ATTRIBUTE, DIMENSION, MEASURE, TEXT, Catalogue, Field, Place
from metriclake.store.engine import DATABASE
from metriclake.store.selection import (
    BOUNDS,
    OTHER,
    Aggregate,
    Bucket,
    Condition,
    Dimension,
    Measure,
    Operator,
    Selection,
)

_STARTS = {
    Bucket.MINUTE: "toStartOfMinute(time, {zone})",
    Bucket.FIVE_MINUTES: "toStartOfFiveMinutes(time, {zone})",
    Bucket.HOUR: "toStartOfHour(time, {zone})",
    Bucket.DAY: "toStartOfDay(time, {zone})",
    Bucket.WEEK: "toDateTime(toStartOfWeek(time, 1, {zone}), {zone})",
    Bucket.MONTH: "toDateTime(toStartOfMonth(time, {zone}), {zone})",
    Bucket.QUARTER: "toDateTime(toStartOfQuarter(time, {zone}), {zone})",
    Bucket.YEAR: "toDateTime(toStartOfYear(time, {zone}), {zone})",
}
_PERCENTILES = {Aggregate.P50: 0.5, Aggregate.P90: 0.9, Aggregate.P95: 0.95, Aggregate.P99: 0.99}
_SIGNS = {Operator.GT: ">", Operator.GTE: ">=", Operator.LT: "<", Operator.LTE: "<="}
_NO_KEYS = {"earlier": "0", "bucket": "0"}
_INT64 = range(-(2**63), 2**63)


@dataclass(slots=True)
class Statement:
    """
    A statement under construction: its parameters by name.
    """

    parameters: dict[str, Any] = field(default_factory=dict)

    def bind(self, value: Any, kind: str = "String") -> str:
        """
        Take a value into the parameters; returns what stands for it in the text.
        """
        name = f"p{len(self.parameters)}"
        self.parameters[name] = value
        return f"{{{name}:{kind}}}"


class SelectionText:
    """
    One selection of one tenant as SQL.

    Its columns, each where it is asked for: `earlier`, whether a row is of the period before; `bucket`, the interval's
    start in seconds; the groups; then the value twice: `whole` where it is an integer that 64 bits hold, and `value` as
    a double.
    """

    def __init__(self, selection: Selection, catalogue: Catalogue, tenant: str, statement: Statement) -> None:
        """
        Parameters go into `statement`.
        """
        self._selection = selection
        self._catalogue = catalogue
        self._tenant = tenant
        self._statement = statement
        self._bind = statement.bind

    def sql(self) -> str:
        """
        Return the statement of this selection alone.
        """
        keys = self._keys()
        names = ", ".join(keys)
        return f"{self._select({**keys, **self._values()}, names)}{f' ORDER BY {names}' if names else ''}"

    def part(self, number: int, groups: int) -> str:
        """
        Return the statement as one of several that are answered together, each by its number and with so many groups.
        """
        keys = self._keys()
        columns = {"question": str(number), **_NO_KEYS, **{f"g{index}": "''" for index in range(groups)}}
        return self._select({**columns, **keys, **self._values()}, ", ".join(keys))

    def _select(self, columns: Mapping[str, str], keys: str) -> str:
        named = ", ".join(f"{text} AS {name}" for name, text in columns.items())
        return f"SELECT {named} {self._rows(self._times())}{f' GROUP BY {keys}' if keys else ''}"

    def _keys(self) -> dict[str, str]:
        selection = self._selection
        keys = {} if selection.before is None else {"earlier": f"time < {self._moment(selection.start)}"}
        if selection.bucket is not Bucket.NONE:
            keys["bucket"] = f"toUnixTimestamp({self._bucket()})"
        return {**keys, **{f"g{index}": group for index, group in enumerate(self._groups())}}

    def _values(self) -> dict[str, str]:
        value = self._aggregate()
        whole = f"accurateCastOrNull({value}, 'Int64')" if self._selection.whole else "NULL"
        return {"whole": whole, "value": f"toFloat64({value})"}

    def _groups(self) -> list[str]:
        """
        Return the groups' names; with a limit, of those that are not among the largest the name of the rest.

        A group that has that name itself is part of the rest: no two rows are named alike.
        """
        selection = self._selection
        names = [self._text(name) for name in selection.group_by]
        if selection.limit is None:
            return names
        group, rest = ", ".join(names), ", ".join(f"'{OTHER}'" for _ in names)
        within = self._within(selection.start, selection.end)
        largest = f"SELECT {group} {self._rows(within)} GROUP BY {group} HAVING ({group}) <> ({rest})"
        largest += (
            f" ORDER BY {self._aggregate()} DESC NULLS LAST, {group} LIMIT {self._bind(selection.limit, 'UInt64')}"
        )
        return [f"if(({group}) IN ({largest}), {name}, '{OTHER}')" for name in names]

    def _bucket(self) -> str:
        selection = self._selection
        if selection.edges:
            edges = self._bind([int(edge.timestamp()) for edge in selection.edges], "Array(UInt32)")
            return f"toDateTime(roundDown(toUnixTimestamp(time), {edges}), 'UTC')"
        return _STARTS[selection.bucket].format(zone=self._bind(selection.zone))

    def _rows(self, times: str) -> str:
        """
        Return where to read and which rows, of some times.
        """
        selection = self._selection
        conditions = [
            f"tenant = {self._bind(self._tenant)}",
            f"metric = {self._bind(selection.metric)}",
            times,
            *(self._condition(condition) for condition in selection.conditions),
        ]
        return f"FROM {DATABASE}.metrics WHERE {' AND '.join(conditions)}"

    def _times(self) -> str:
        """
        Return the condition of the times of all periods.
        """
        selection = self._selection
        within = self._within(selection.start, selection.end)
        return within if selection.before is None else f"({within} OR {self._within(*selection.before)})"

    def _within(self, start: datetime, end: datetime) -> str:
        return f"time >= {self._moment(start)} AND time < {self._moment(end)}"

    def _moment(self, value: datetime) -> str:
        return f"fromUnixTimestamp64Micro({self._bind(int(value.timestamp() * 1_000_000), 'Int64')}, 'UTC')"

    def _condition(self, condition: Condition) -> str:
        subject, operator, operand = condition.subject, condition.operator, condition.operand
        if operator in BOUNDS:
            return self._bound(subject, _SIGNS[operator], operand)
        if isinstance(subject, Measure):
            there = self._there(subject)
            return there if operand else f"NOT {there}"
        text = self._text(subject.name)
        if operator is Operator.EXISTS:
            return f"{text} <> ''" if operand else f"{text} = ''"
        if operator is Operator.PREFIX:
            return f"startsWith({text}, {self._bind(operand)})"
        return f"{text} {'NOT ' * (operator is Operator.NOT_IN)}IN {self._bind(list(_texts(operand)), 'Array(String)')}"

    def _bound(self, subject: Dimension | Measure, sign: str, operand: Any) -> str:
        """
        Compare numbers; of a dimension, those of its texts that are finite numbers.
        """
        bound = self._bind(operand, "Int64" if isinstance(operand, int) and operand in _INT64 else "Float64")
        if isinstance(subject, Measure):
            columns = self._columns(subject, subject.numbers)
            return f"({' OR '.join(f'{column} {sign} {bound}' for column in columns)})"
        number = f"toFloat64OrNull({self._text(subject.name)})"
        return f"(isFinite({number}) AND {number} {sign} {bound})"

    def _aggregate(self) -> str:
        """
        Return the aggregate of the selection's value; null over nothing, but for counts.
        """
        selection = self._selection
        value, aggregate = selection.value, selection.aggregate
        if aggregate is Aggregate.COUNT:
            return f"toInt64({self._count(value)})"
        if aggregate is Aggregate.UNIQUE:
            return f"toInt64(uniqExact({self._identity(value)}))"
        assert isinstance(value, Measure)  # noqa: S101 - only rows and texts can be counted, and nothing else of them
        return _aggregated(aggregate, self._number(value), whole=value.whole)

    def _count(self, value: Dimension | Measure | None) -> str:
        if value is None:
            return "count()"
        there = f"{self._text(value.name)} <> ''" if isinstance(value, Dimension) else self._there(value)
        return f"countIf({there})"

    def _identity(self, value: Dimension | Measure | None) -> str:
        """
        Return what two equal values have in common: a number is never equal to a text or a boolean.
        """
        assert value is not None  # noqa: S101 - a question without a measure only counts
        if isinstance(value, Dimension):
            return f"nullIf({self._text(value.name)}, '')"
        found = {}
        if value.numbers:
            found["n"] = self._number(value) if value.whole else f"{self._number(value)} + 0."
        others = tuple(kind for kind in value.types if kind not in value.numbers)
        found.update(zip(others, self._columns(value, others), strict=True))
        if len(found) == 1:
            return next(iter(found.values()))
        tagged = (f"concat('{kind}', toString({column}))" for kind, column in found.items())
        return f"coalesce({', '.join(tagged)})"

    def _number(self, measure: Measure) -> str:
        """
        Return the number of a row: an integer where all are, else a double; null where it has none.
        """
        columns = self._columns(measure, measure.numbers)
        return columns[0] if len(columns) == 1 else f"coalesce({', '.join(f'toFloat64({one})' for one in columns)})"

    def _there(self, measure: Measure) -> str:
        return f"({' OR '.join(f'isNotNull({column})' for column in self._columns(measure, measure.types))})"

    def _columns(self, measure: Measure, types: Sequence[str]) -> list[str]:
        fields = (Field(self._selection.metric, MEASURE, measure.name, kind) for kind in types)
        return [self._nullable(self._catalogue.place(found)) for found in fields]

    def _nullable(self, place: Place) -> str:
        if place.key is None:
            return place.column
        key = self._bind(place.key)
        return f"if(mapContains({place.column}, {key}), {place.column}[{key}], NULL)"

    def _text(self, name: str) -> str:
        kind = ATTRIBUTE if name.startswith("tenant_") else DIMENSION
        place = self._catalogue.place(Field(self._selection.metric, kind, name, TEXT))
        return place.column if place.key is None else f"{place.column}[{self._bind(place.key)}]"


def together(texts: Sequence[SelectionText], groups: int) -> str:
    """
    Return one statement of several selections: its columns are those of each, with `question` before them.
    """
    parts = " UNION ALL ".join(text.part(number, groups) for number, text in enumerate(texts))
    keys = ", ".join(["question", *_NO_KEYS, *(f"g{index}" for index in range(groups))])
    return f"SELECT * FROM ({parts}) ORDER BY {keys}"


def _aggregated(aggregate: Aggregate, number: str, *, whole: bool) -> str:
    """
    Return an aggregate of numbers. Integers are added up in 128 bits: 64 would wrap around without a word.
    """
    if aggregate in _PERCENTILES:
        return f"quantileExactInclusive({_PERCENTILES[aggregate]})(toFloat64({number}))"
    wide = f"toInt128({number})" if whole else number
    return {
        Aggregate.SUM: f"if(count({number}) = 0, NULL, sum({wide}))",
        Aggregate.AVG: f"avg({wide})",
        Aggregate.MIN: f"min({number})",
        Aggregate.MAX: f"max({number})",
        Aggregate.LAST: f"argMax({number}, (time, event_id))",
    }[aggregate]


def _texts(operand: Any) -> tuple[str, ...]:
    assert isinstance(operand, tuple)  # noqa: S101 - `in` and `not_in` compare with texts
    return operand
