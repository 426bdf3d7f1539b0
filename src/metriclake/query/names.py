"""
Find the names of a question in the tenant's catalogue: what its measure, groups and filters are.

Pure. What is not there is a fault, with the nearest name that is.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import replace

from metriclake._errors import Fault
from metriclake.query.filters import Filter
from metriclake.query.formula import measures_of
from metriclake.query.question import Question
from metriclake.store import Aggregate, Condition, Dimension, Measure, Metric, Operation, Operator, Term
from metriclake.store.selection import BOUNDS, Subject

_COUNTS = (Aggregate.COUNT.value, Aggregate.UNIQUE.value)
"""The aggregates of anything; the others need numbers."""


class Names:
    """
    The names of one question as one tenant's metric has them; its `faults` name those that it has not.
    """

    def __init__(self, question: Question, metric: Metric | None) -> None:
        """
        Without a metric nothing is known, and nothing else is a fault.
        """
        self.faults: list[Fault] = []
        self.value: Term | None = None
        self.conditions: tuple[Condition, ...] = ()
        self.known = metric is not None
        if metric is None:
            return
        self._question = question
        self._metric = metric
        self._dimensions = (*metric.dimensions, *metric.attributes)
        if question.measure is not None:
            self.value = self._value(question.measure)
        for name in question.group_by:
            if name not in self._dimensions:
                self.faults.append(unknown("group_by", name, "dimension", self._dimensions))
        found = (self._condition(condition) for condition in question.filters)
        self.conditions = tuple(condition for condition in found if condition is not None)

    def _value(self, asked: Term) -> Term | None:
        if isinstance(asked, Measure):
            return self._subject_of(asked.name)
        for name in dict.fromkeys(measure.name for measure in measures_of(asked)):
            self._check_side(name)
        return self._typed(asked)

    def _check_side(self, name: str) -> None:
        """
        Note what is wrong with a name in a formula.
        """
        types = self._metric.measures.get(name)
        if types is None and name in self._dimensions:
            self.faults.append(Fault("measure", f"`{name}` is a dimension, a formula is made of measures"))
        elif types is None:
            self.faults.append(self._unmeasured(name, self._metric.measures))
        elif not Measure(name, types).numbers:
            self.faults.append(Fault("measure", f"a formula needs numbers, `{name}` is {' and '.join(types)}"))

    def _typed(self, term: Term) -> Term:
        if isinstance(term, Operation):
            return Operation(term.sign, self._typed(term.left), self._typed(term.right))
        return replace(term, types=self._metric.measures.get(term.name, ())) if isinstance(term, Measure) else term

    def _unmeasured(self, name: str, known: Iterable[str]) -> Fault:
        """
        Return the fault of a measure that is not there; one that may be meant as a difference is said to be none.
        """
        fault = unknown("measure", name, "measure", known)
        parts = name.split("-")
        meant = len(parts) > 1 and all(part in self._metric.measures for part in parts)
        return replace(fault, hint="to subtract, put spaces around the `-`") if meant else fault

    def _subject_of(self, name: str) -> Subject | None:
        aggregate = self._question.aggregate
        counted = aggregate in _COUNTS
        types = self._metric.measures.get(name)
        if types is not None:
            measure = Measure(name, types)
            if not counted and not measure.numbers:
                what = f"`{aggregate}` needs numbers, the measure is {' and '.join(types)}"
                self.faults.append(Fault("aggregate", what, "ask `count` or `unique`"))
            return measure
        if name in self._dimensions:
            if not counted:
                what = f"`{aggregate}` needs a measure, this is a dimension"
                self.faults.append(Fault("aggregate", what, "ask `count` or `unique`"))
            return Dimension(name)
        self.faults.append(self._unmeasured(name, (*self._metric.measures, *(self._dimensions if counted else ()))))
        return None

    def _condition(self, condition: Filter) -> Condition | None:
        subject = self._subject(condition)
        return None if subject is None else Condition(subject, condition.operator, condition.operand)

    def _subject(self, condition: Filter) -> Subject | None:
        """
        Return what a filter is put to: a dimension; a measure where it says so, or where no dimension has the name.
        """
        name, place, bounded = condition.name, condition.place, condition.operator in BOUNDS
        if name in self._dimensions and not condition.measured:
            return Dimension(name)
        if name not in self._metric.measures:
            measured = condition.measured or bounded or condition.operator is Operator.EXISTS
            known = (*(() if condition.measured else self._dimensions), *(self._metric.measures if measured else ()))
            self.faults.append(unknown(place, name, "measure" if condition.measured else "dimension", known))
            return None
        measure = Measure(name, self._metric.measures[name])
        if bounded and not measure.numbers:
            self.faults.append(Fault(place, f"needs numbers, the measure is {' and '.join(measure.types)}"))
        elif not bounded and condition.operator is not Operator.EXISTS:
            what = f"`{condition.operator}` is put to a dimension, this is a measure"
            self.faults.append(Fault(place, what, "compare it by gt, gte, lt, lte or exists"))
        else:
            return measure
        return None


def unknown(place: str, name: str, what: str, known: Iterable[str]) -> Fault:
    """
    Return the fault of a name that is not there, with the nearest one that is.
    """
    near = difflib.get_close_matches(name, list(known), n=1)
    shown = name if len(name) <= 60 and name.isprintable() else "this"
    return Fault(
        place, f"there is no {what} `{shown}`", f"did you mean `{near[0]}`?" if near else "see GET /v1/catalog"
    )
