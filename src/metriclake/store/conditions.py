"""
The SQL of conditions on a metric's rows.
"""

from __future__ import annotations

from typing import Any

from metriclake.store.columns import Columns, Statement
from metriclake.store.selection import BOUNDS, Condition, Dimension, Measure, Operator

_SIGNS = {Operator.GT: ">", Operator.GTE: ">=", Operator.LT: "<", Operator.LTE: "<="}
_INT64 = range(-(2**63), 2**63)


class Conditions:
    """
    The conditions of one statement on one metric.
    """

    def __init__(self, columns: Columns, statement: Statement) -> None:
        """
        Operands go into `statement`.
        """
        self._columns = columns
        self._bind = statement.bind

    def text(self, condition: Condition) -> str:
        """
        Return a condition as SQL.
        """
        subject, operator, operand = condition.subject, condition.operator, condition.operand
        if operator in BOUNDS:
            return self._bound(subject, _SIGNS[operator], operand)
        if isinstance(subject, Measure):
            there = self._columns.there(subject)
            return there if operand else f"NOT {there}"
        text = self._columns.text(subject.name)
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
            columns = self._columns.of(subject, subject.numbers)
            return f"({' OR '.join(f'{column} {sign} {bound}' for column in columns)})"
        number = f"toFloat64OrNull({self._columns.text(subject.name)})"
        return f"(isFinite({number}) AND {number} {sign} {bound})"


def _texts(operand: Any) -> tuple[str, ...]:
    assert isinstance(operand, tuple)  # noqa: S101 - `in` and `not_in` compare with texts
    return operand
