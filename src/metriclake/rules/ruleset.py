"""
Decide which rules an event matches.

Most rules name the sources and detail-types they want, so an index on bus, source and detail-type finds the few that
are worth testing; what the index has proved is not tested again. The others are tested one by one.

A rule belongs to one bus and its pattern sees EventBridge's envelope, in which there is no `bus`: to every pattern the
event's own `bus` key is absent, so a pattern gives the answer here that it gives there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, final

from metriclake.rules.pattern import Pattern
from metriclake.rules.transform import Transform

DEFAULT_BUS = "default"

_Key = tuple[str | None, str | None]
"""A source and a detail-type; None where a rule does not demand one."""

_MOST_FOUND = 4096
"""How many pairs of source and detail-type are remembered with the rules that they lead to."""

_MOST_KEYS = 256
"""How many entries one rule may take in the index before it is indexed by its sources alone."""


@dataclass(frozen=True, slots=True)
class Rule:
    """
    What turns the events of one bus into one metric.
    """

    name: str
    bus: str
    pattern: Pattern
    transform: Transform


@dataclass(frozen=True, slots=True)
class _Candidate:
    """
    A rule that an index key leads to, with the test that is left to do; None where none is left.
    """

    order: int
    rule: Rule
    matches: Callable[[dict[str, Any]], bool] | None


@final
class RuleSet:
    """
    All the rules of a pipeline file, in its order.
    """

    __slots__ = ("_buses", "rules")

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = tuple(rules)
        self._buses: dict[str, _Index] = {}
        for order, rule in enumerate(self.rules):
            self._buses.setdefault(rule.bus, _Index()).add(order, rule)

    def matching(self, event: dict[str, Any]) -> Sequence[Rule]:
        """
        Return the rules of the event's bus that it matches, in the order of their definition.

        Raises:
            EventTooComplex: The event's arrays are beyond a pattern's limits.

        """
        index = self._buses.get(event.get("bus", DEFAULT_BUS))
        if index is None:
            return ()
        return [found.rule for found in index.candidates(event) if found.matches is None or found.matches(event)]


class _Index:
    """
    The rules of one bus by the source and the detail-type that they demand.
    """

    __slots__ = ("_all", "_found", "_keyed")

    def __init__(self) -> None:
        self._all: list[_Candidate] = []
        self._found: dict[tuple[str, str], list[_Candidate]] = {}
        self._keyed: dict[_Key, list[_Candidate]] = {}

    def add(self, order: int, rule: Rule) -> None:
        """
        Add a rule; orders are given ascending.
        """
        self._all.append(_Candidate(order, rule, _test_of(rule.pattern)))
        for key in _keys(rule.pattern):
            proved = {path: text for path, text in zip(("source", "detail-type"), key, strict=True) if text is not None}
            left = rule.pattern.given(proved)
            test = None if left.certain else _test_of(left)
            self._keyed.setdefault(key, []).append(_Candidate(order, rule, test))

    def candidates(self, event: dict[str, Any]) -> list[_Candidate]:
        """
        Return the rules that the event may match, in the order of their definition.
        """
        source, detail_type = event.get("source"), event.get("detail-type")
        if type(source) is not str or type(detail_type) is not str:
            return self._all
        found = self._found.get((source, detail_type))
        if found is None:
            found = self._find(source, detail_type)
            if len(self._found) >= _MOST_FOUND:
                self._found.clear()
            self._found[source, detail_type] = found
        return found

    def _find(self, source: str, detail_type: str) -> list[_Candidate]:
        keys = ((source, detail_type), (source, None), (None, detail_type), (None, None))
        return sorted((one for key in keys for one in self._keyed.get(key, ())), key=lambda one: one.order)


def _keys(pattern: Pattern) -> Iterator[_Key]:
    """
    Yield every pair of source and detail-type that a matching event may have, None for any.
    """
    sources, types = _alternatives(pattern, "source"), _alternatives(pattern, "detail-type")
    if len(sources) * len(types) > max(_MOST_KEYS, len(sources)):
        types = (None,)
    return product(sources, types)


def _alternatives(pattern: Pattern, path: str) -> tuple[str | None, ...]:
    """
    Return the texts that a matching event may have at a path, or None alone for any.
    """
    demanded = pattern.demands(path)
    return (None,) if demanded is None else tuple(sorted(demanded))


def _test_of(pattern: Pattern) -> Callable[[dict[str, Any]], bool]:
    """
    Return a pattern's test of an event without its bus; the copy is made only for a pattern that would see it.
    """
    if not any(path == "bus" or path.startswith("bus.") for path in pattern.paths):
        return pattern.matches
    return lambda event: pattern.matches({key: value for key, value in event.items() if key != "bus"})
