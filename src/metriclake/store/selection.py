"""
What to read of one metric, as values: a question that has been checked against the catalogue.

Pure; nothing here knows a tenant or SQL. `query` makes selections, the reader answers them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

NUMERIC = ("double", "integer")


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


class Aggregate(StrEnum):
    """
    What is made of the values of many rows. A percentile lies between two values where no single one stands for it.
    """

    COUNT = "count"
    SUM = "sum"
    AVG = "avg"
    MIN = "min"
    MAX = "max"
    LAST = "last"
    UNIQUE = "unique"
    P50 = "p50"
    P90 = "p90"
    P95 = "p95"
    P99 = "p99"


class Operator(StrEnum):
    """
    How a condition compares.
    """

    IN = "in"
    NOT_IN = "not_in"
    PREFIX = "prefix"
    EXISTS = "exists"
    GT = "gt"
    GTE = "gte"
    LT = "lt"
    LTE = "lte"


OTHER = "other"
"""The name, in each dimension, of the groups that are not among the largest."""

BOUNDS = (Operator.GT, Operator.GTE, Operator.LT, Operator.LTE)
"""The operators that compare with a number."""


@dataclass(frozen=True, slots=True)
class Dimension:
    """
    The text of a dimension or of one of the tenant's attributes; empty where a row has none.
    """

    name: str


@dataclass(frozen=True, slots=True)
class Measure:
    """
    The values of a measure that came as one of these types; the numbers among them are read together.
    """

    name: str
    types: tuple[str, ...]

    @property
    def whole(self) -> bool:
        """
        Tell whether all of its numbers are integers.
        """
        return self.numbers == ("integer",)

    @property
    def numbers(self) -> tuple[str, ...]:
        """
        Return the numeric types among its types.
        """
        return tuple(kind for kind in self.types if kind in NUMERIC)


Subject = Dimension | Measure
"""What a condition can be put to."""


@dataclass(frozen=True, slots=True)
class Constant:
    """
    A number of a formula.
    """

    value: float


@dataclass(frozen=True, slots=True)
class Operation:
    """
    Arithmetic by one of `+ - * /` in doubles; null where a side is null, or where it would divide by 0.

    Of a sum the sides are sums, so that `a / b` is the one sum by the other; of all else it is done for each row.
    """

    sign: str
    left: Term
    right: Term


Term = Subject | Constant | Operation
"""What values are made of: text to be counted, numbers, or a formula of measures."""


@dataclass(frozen=True, slots=True)
class Condition:
    """
    Keep the rows whose subject compares so with the operand.

    The operand is texts for `in` and `not_in`, a text for `prefix`, a number for the bounds; for `exists` it is whether
    the subject must be there. What is absent is empty text to the first three, and within no bounds.
    """

    subject: Subject
    operator: Operator
    operand: tuple[str, ...] | str | bool | float


@dataclass(frozen=True, slots=True)
class Selection:
    """
    What to read of one metric in [start, end): one value for each interval and group.

    Without a `value` the rows themselves are counted. `edges` are the starts of the intervals, where the engine's own
    would be others. `before` is an earlier period, which is answered beside this one. With a `limit` only so many
    groups keep their names, those with the largest values over [start, end), and the rows of all others are one group.
    """

    metric: str
    aggregate: Aggregate
    start: datetime
    end: datetime
    value: Term | None = None
    bucket: Bucket = Bucket.NONE
    zone: str = "UTC"
    edges: tuple[datetime, ...] = ()
    group_by: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()
    before: tuple[datetime, datetime] | None = None
    limit: int | None = None

    @property
    def periods(self) -> tuple[tuple[datetime, datetime], ...]:
        """
        Return the stretches of time that are read.
        """
        period = (self.start, self.end)
        return (period,) if self.before is None else (period, self.before)

    @property
    def whole(self) -> bool:
        """
        Tell whether every value is an integer.
        """
        if self.aggregate in (Aggregate.COUNT, Aggregate.UNIQUE):
            return True
        kept = self.aggregate in (Aggregate.SUM, Aggregate.MIN, Aggregate.MAX, Aggregate.LAST)
        return kept and isinstance(self.value, Measure) and self.value.whole


@dataclass(frozen=True, slots=True)
class Answer:
    """
    What the engine answered: the rows (interval's start where one was asked, dimensions, value) in their order.

    `before` are those of the period before, where one was asked. An integer that 64 bits do not hold is a double.
    `rolled` tells whether a rollup was read.
    """

    rows: Sequence[tuple[Any, ...]]
    before: Sequence[tuple[Any, ...]] = ()
    rolled: bool = False
