"""
The aggregates of values, as SQL; null over nothing, but for counts.
"""

from __future__ import annotations

from collections.abc import Callable

from metriclake.store.columns import Columns, Statement
from metriclake.store.selection import Aggregate, Constant, Dimension, Measure, Operation, Term

_PERCENTILES = {Aggregate.P50: 0.5, Aggregate.P90: 0.9, Aggregate.P95: 0.95, Aggregate.P99: 0.99}


class Aggregates:
    """
    The aggregates of one metric's values.
    """

    def __init__(self, columns: Columns, statement: Statement) -> None:
        """
        Constants of formulas go into `statement`.
        """
        self._columns = columns
        self._bind = statement.bind

    def text(self, aggregate: Aggregate, value: Term | None) -> str:
        """
        Return an aggregate of a value; of the rows themselves where there is none.
        """
        if aggregate is Aggregate.COUNT:
            return f"toInt64({self._count(value)})"
        assert value is not None  # noqa: S101 - rows themselves can only be counted
        if aggregate is Aggregate.UNIQUE:
            return f"toInt64(uniqExact({self._identity(value)}))"
        if isinstance(value, Operation) and aggregate is Aggregate.SUM:
            return self._arithmetic(value, self._sum)
        whole = isinstance(value, Measure) and value.whole
        return _aggregated(aggregate, self._number(value), whole=whole)

    def _count(self, value: Term | None) -> str:
        if value is None:
            return "count()"
        if isinstance(value, Dimension):
            return f"countIf({self._columns.text(value.name)} <> '')"
        return (
            f"countIf({self._columns.there(value)})" if isinstance(value, Measure) else f"count({self._number(value)})"
        )

    def _identity(self, value: Term) -> str:
        """
        Return what two equal values have in common: a number is never equal to a text or a boolean.
        """
        if isinstance(value, Dimension):
            return f"nullIf({self._columns.text(value.name)}, '')"
        if not isinstance(value, Measure):
            return f"{self._number(value)} + 0."
        found = {}
        if value.numbers:
            found["n"] = self._number(value) if value.whole else f"{self._number(value)} + 0."
        others = tuple(kind for kind in value.types if kind not in value.numbers)
        found.update(zip(others, self._columns.of(value, others), strict=True))
        if len(found) == 1:
            return next(iter(found.values()))
        tagged = (f"concat('{kind}', toString({column}))" for kind, column in found.items())
        return f"coalesce({', '.join(tagged)})"

    def _number(self, value: Term) -> str:
        """
        Return the number of a row; a formula's is null where it is beyond all doubles.
        """
        if isinstance(value, Measure):
            return self._columns.number(value)
        number = self._arithmetic(value, lambda measure: f"toFloat64({self._columns.number(measure)})")
        return f"if(isFinite({number}), {number}, NULL)"

    def _sum(self, measure: Measure) -> str:
        return f"toFloat64({_aggregated(Aggregate.SUM, self._columns.number(measure), whole=measure.whole)})"

    def _arithmetic(self, value: Term, number: Callable[[Measure], str]) -> str:
        """
        Return a formula over what stands for its measures.
        """
        if isinstance(value, Operation):
            left, right = self._arithmetic(value.left, number), self._arithmetic(value.right, number)
            return f"({left} {value.sign} {f'nullIf({right}, 0)' if value.sign == '/' else right})"
        if isinstance(value, Constant):
            return self._bind(value.value, "Float64")
        assert isinstance(value, Measure)  # noqa: S101 - a formula has no texts
        return number(value)


def _aggregated(aggregate: Aggregate, number: str, *, whole: bool) -> str:
    """
    Return an aggregate of numbers, each of which may be null, as then is one of nothing but nulls.

    Integers are added up in 128 bits: 64 would wrap around without a word.
    """
    if aggregate in _PERCENTILES:
        return f"quantileExactInclusive({_PERCENTILES[aggregate]})(toFloat64({number}))"
    wide = f"toInt128({number})" if whole else number
    return {
        Aggregate.SUM: f"sum({wide})",
        Aggregate.AVG: f"avg({wide})",
        Aggregate.MIN: f"min({number})",
        Aggregate.MAX: f"max({number})",
        Aggregate.LAST: f"argMax({number}, (time, event_id))",
    }[aggregate]
