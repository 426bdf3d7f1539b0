"""
Decide which rules an event matches.

Most rules name the sources and detail-types they want, so the rules of a bus are grouped by these; an event's own lead
to the few groups that can hold a rule for it, and what the groups have proved is not tested again. Within a group,
`Index` finds the rules by any other exact value.

A rule belongs to one bus and its pattern sees EventBridge's envelope, in which there is no `bus`: to every pattern the
event's own `bus` key is absent, so a pattern gives the answer here that it gives there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, final

from metriclake.rules.arrays import Steps
from metriclake.rules.explain import Mismatch, mismatch_of
from metriclake.rules.index import STEPS_A_RULE, Index
from metriclake.rules.pattern import Pattern
from metriclake.rules.transform import Transform
from metriclake.rules.ways import Way

DEFAULT_BUS = "default"

_Key = tuple[str | None, str | None]
"""A source and a detail-type; None where a rule does not demand one."""

_MOST_ROUTES = 4096
"""How many combinations of bus, source and detail-type are remembered with the rules that they lead to."""

_MOST_KEYS = 256
"""How many groups one rule may be in before it is grouped by its sources alone."""


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
class Verdict:
    """
    What became of an event at one rule; `mismatch` is None where it matches.
    """

    rule: Rule
    mismatch: Mismatch | None


@final
class RuleSet:
    """
    All the rules of a pipeline file, in its order.
    """

    __slots__ = ("_buses", "_routes", "rules")

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = tuple(rules)
        by_bus: dict[str, list[int]] = {}
        for number, rule in enumerate(self.rules):
            by_bus.setdefault(rule.bus, []).append(number)
        self._buses = {bus: _Bus(self.rules, numbers) for bus, numbers in by_bus.items()}
        self._routes: dict[tuple[Any, Any, Any], _Route] = {}

    def matching(self, event: dict[str, Any]) -> Sequence[Rule]:
        """
        Return the rules of the event's bus that it matches, in the order of their definition.

        Raises:
            EventTooComplex: The event's arrays or texts are beyond the limits.

        """
        try:
            route = self._routes[event.get("bus", DEFAULT_BUS), event.get("source"), event.get("detail-type")]
        except (KeyError, TypeError):
            route = self._route(event)
        return route.certain if not route.groups else route.matching(event)

    def explain(self, event: Mapping[str, Any]) -> tuple[Verdict, ...]:
        """
        Tell for each rule of the event's bus whether the event matches it, and why not; in the order of definition.

        Raises:
            EventTooComplex: The event's arrays or texts are beyond the limits.

        """
        bus = event.get("bus", DEFAULT_BUS)
        seen = {key: value for key, value in event.items() if key != "bus"}
        rules = [rule for rule in self.rules if rule.bus == bus]
        steps = Steps(STEPS_A_RULE * len(rules))
        return tuple(Verdict(rule, mismatch_of(rule.pattern.ways, seen, steps)) for rule in rules)

    def _route(self, event: dict[str, Any]) -> _Route:
        """
        Return where an event's rules are, and remember it for others of the same bus, source and detail-type.
        """
        name, source, detail_type = event.get("bus", DEFAULT_BUS), event.get("source"), event.get("detail-type")
        bus = self._buses.get(name) if type(name) is str else None
        if bus is None:
            return _NOWHERE
        if type(source) is not str or type(detail_type) is not str:
            return bus.whole
        if len(self._routes) >= _MOST_ROUTES:
            self._routes.clear()
        route = self._routes[name, source, detail_type] = bus.route(source, detail_type)
        return route


@dataclass(frozen=True, slots=True)
class _Group:
    """
    Rules that are worth trying together: those that nothing is left to be tested of, and an index of the others.
    """

    certain: tuple[int, ...]
    index: Index | None
    sees_bus: bool

    def of_event(self, event: Mapping[str, Any]) -> Sequence[int]:
        """
        Return the numbers of the rules of the index that the event satisfies.
        """
        if self.index is None:
            return ()
        if self.sees_bus:
            event = {key: value for key, value in event.items() if key != "bus"}
        return self.index.of_event(event)


class _Route:
    """
    The rules that the events of one bus, source and detail-type may match: some certainly, some of the groups.
    """

    __slots__ = ("_numbers", "_rules", "certain", "groups")

    def __init__(self, rules: Sequence[Rule], groups: Sequence[_Group]) -> None:
        self._rules = rules
        self._numbers = sorted(number for group in groups for number in group.certain)
        self.certain = tuple(rules[number] for number in self._numbers)
        self.groups = [group for group in groups if group.index is not None]

    def matching(self, event: Mapping[str, Any]) -> Sequence[Rule]:
        """
        Return the rules that the event matches, in the order of their definition.
        """
        if len(self.groups) == 1 and not self._numbers:
            numbers = self.groups[0].of_event(event)
        else:
            found = [number for group in self.groups for number in group.of_event(event)]
            numbers = sorted((*self._numbers, *found))
        return [self._rules[number] for number in numbers]


class _Bus:
    """
    The rules of one bus by the source and the detail-type that they demand.
    """

    __slots__ = ("_by_key", "_rules", "whole")

    def __init__(self, rules: Sequence[Rule], numbers: Sequence[int]) -> None:
        self._rules = rules
        all_ways: list[Way] = []
        by_key: dict[_Key, list[Way]] = {}
        for number in numbers:
            ways = [Way(number, way.leaves) for way in rules[number].pattern.ways]
            all_ways += ways
            for key in _keys(ways):
                by_key.setdefault(key, []).extend(_given(ways, key))
        self.whole = _Route(rules, [_group(all_ways)])
        self._by_key = {key: _group(ways) for key, ways in by_key.items()}

    def route(self, source: str, detail_type: str) -> _Route:
        """
        Return the route of events with this source and detail-type.
        """
        keys = ((source, detail_type), (source, None), (None, detail_type), (None, None))
        return _Route(self._rules, [self._by_key[key] for key in keys if key in self._by_key])


_NOWHERE = _Route((), ())


def _group(ways: Sequence[Way]) -> _Group:
    """
    Return the group of some rules by the ways that are left of them.
    """
    certain = {way.rule for way in ways if not way.leaves}
    left = [way for way in ways if way.rule not in certain]
    if not left:
        return _Group(tuple(certain), None, sees_bus=False)
    index = Index(left, len({way.rule for way in left}))
    return _Group(tuple(certain), index, any(path == "bus" or path.startswith("bus.") for path in index.paths))


def _keys(ways: Sequence[Way]) -> Iterator[_Key]:
    """
    Yield every pair of source and detail-type that an event satisfying one of the ways may have, None for any.
    """
    sources, types = _alternatives(ways, "source"), _alternatives(ways, "detail-type")
    if len(sources) * len(types) > max(_MOST_KEYS, len(sources)):
        types = (None,)
    return product(sources, types)


def _alternatives(ways: Sequence[Way], path: str) -> tuple[str | None, ...]:
    """
    Return the texts of which a path must hold one in every event that satisfies one of the ways; None alone for any.
    """
    demanded: set[str] = set()
    for way in ways:
        keys = next((leaf.keys for name, leaf in way.leaves if name == path), None)
        if keys is None:
            return (None,)
        texts = {key for key in keys if isinstance(key, str)}
        if len(texts) < len(keys):
            return (None,)
        demanded |= texts
    return tuple(sorted(demanded))


def _given(ways: Sequence[Way], key: _Key) -> Iterator[Way]:
    """
    Yield the ways that an event with this source and detail-type may satisfy, without the leaves that it does.
    """
    known = {path: text for path, text in zip(("source", "detail-type"), key, strict=True) if text is not None}
    for way in ways:
        if all(leaf.accepts(known[path]) for path, leaf in way.leaves if path in known):
            yield Way(way.rule, tuple((path, leaf) for path, leaf in way.leaves if path not in known))
