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
from functools import cached_property
from itertools import product
from operator import attrgetter
from typing import Any, final

from msgspec import UNSET

from metriclake.rules.arrays import Steps
from metriclake.rules.eventtext import FAULTS, Decode, decode_event
from metriclake.rules.explain import Mismatch, mismatch_of
from metriclake.rules.index import STEPS_A_RULE, Index
from metriclake.rules.pattern import Pattern
from metriclake.rules.shape import LISTS, attribute, shape_of
from metriclake.rules.transform import Transform
from metriclake.rules.ways import Way

DEFAULT_BUS = "default"

_ENVELOPE = ("bus", "source", "detail-type")
_envelope = attrgetter(*map(attribute, _ENVELOPE))
"""Takes from the part of a text what tells where an event's rules are."""

_NAMES = frozenset((str, type(UNSET)))

_Key = tuple[str | None, str | None]
"""A source and a detail-type; None where a rule does not demand one."""

_MOST_ROUTES = 4096
"""How many combinations of bus, source and detail-type are remembered with the rules that they lead to."""

_LONGEST = 256
"""Longer sources and detail-types are not remembered."""

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
        bus, source, detail_type = event.get("bus", DEFAULT_BUS), event.get("source"), event.get("detail-type")
        try:
            route = self._routes[bus, source, detail_type]
        except (KeyError, TypeError):
            route = self._route(bus, source, detail_type)
        return route.matching(event) if route.groups else route.certain

    def matching_json(self, text: bytes | str) -> Sequence[Rule]:
        """
        Do as `matching` for an event that is JSON text, at less cost: only what rules look at is decoded.

        So a fault elsewhere, bytes that are no UTF-8 for one, need not be noticed.

        Raises:
            InvalidEvent: The text is no JSON object.
            EventTooComplex: The event is longer than `MOST_BYTES` of `eventtext`, or otherwise beyond the limits.

        """
        if self._decode is not None:
            try:
                part = self._decode(text)
            except FAULTS:
                # An unusual event, or none: decoding it as a whole tells.
                return self.matching(decode_event(text))
            bus, source, detail_type = _envelope(part)
            try:
                route = self._routes[bus, source, detail_type]
            except (KeyError, TypeError):
                route = self._route(bus, source, detail_type)
            found = route.of_part(part) if route.groups else route.certain
            if found is not None:
                return found
        return self.matching(decode_event(text))

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

    def _route(self, bus: Any, source: Any, detail_type: Any) -> _Route:
        """
        Return where the rules of such events are, and remember it.
        """
        rules = self._buses.get(DEFAULT_BUS if bus is UNSET else bus) if type(bus) in _NAMES else None
        if rules is None:
            return _NOWHERE
        if type(source) in LISTS or type(detail_type) in LISTS:
            return rules.whole
        route = rules.route(source, detail_type)
        if len(self._routes) >= _MOST_ROUTES:
            self._routes.clear()
        if len(str(source)) <= _LONGEST and len(str(detail_type)) <= _LONGEST:
            self._routes[bus, source, detail_type] = route
        return route

    @cached_property
    def _decode(self) -> Decode | None:
        """
        What takes from a text all that the rules look at; None where that is too much for one shape.
        """
        paths = dict.fromkeys(path for bus in self._buses.values() for path in bus.whole.paths if not _sees_bus(path))
        shape = shape_of(tuple(dict.fromkeys((*_ENVELOPE, *paths))))
        return None if shape is None else shape.decoder()


def _sees_bus(path: str) -> bool:
    return path == "bus" or path.startswith("bus.")


@dataclass(frozen=True, slots=True)
class _Group:
    """
    Rules that are worth trying together: those that nothing is left to be tested of, and an index of the others.
    """

    certain: tuple[int, ...]
    index: Index
    sees_bus: bool

    def of_event(self, event: Mapping[str, Any]) -> Sequence[int]:
        """
        Return the numbers of the rules of the index that the event satisfies.
        """
        if self.sees_bus:
            event = {key: value for key, value in event.items() if key != "bus"}
        return self.index.of_event(event)

    def of_part(self, part: Any) -> Sequence[int] | None:
        """
        Do as `of_event` for the part of a text; None for that of an unusual event.
        """
        return None if self.sees_bus else self.index.of_part(part)


class _Route:
    """
    The rules that the events of one bus, source and detail-type may match: some certainly, some of the groups.
    """

    __slots__ = ("_numbers", "_only", "_rules", "certain", "groups")

    def __init__(self, rules: Sequence[Rule], groups: Sequence[_Group]) -> None:
        self._rules = rules
        self._numbers = sorted(number for group in groups for number in group.certain)
        self.certain = tuple(rules[number] for number in self._numbers)
        self.groups = [group for group in groups if group.index.paths]
        alone = len(self.groups) == 1 and not self._numbers and not self.groups[0].sees_bus
        self._only = self.groups[0].index if alone else None

    @property
    def paths(self) -> Iterator[str]:
        """
        The paths that the rules look at.
        """
        return (path for group in self.groups for path in group.index.paths)

    def matching(self, event: Mapping[str, Any]) -> Sequence[Rule]:
        """
        Return the rules that the event matches, in the order of their definition.
        """
        if self._only is not None:
            return self._of(self._only.of_event(event))
        found = [number for group in self.groups for number in group.of_event(event)]
        return self._of(sorted((*self._numbers, *found)))

    def of_part(self, part: Any) -> Sequence[Rule] | None:
        """
        Do as `matching` for the part of a text; None for that of an unusual event.
        """
        if self._only is not None:
            numbers = self._only.of_part(part)
            return None if numbers is None else self._of(numbers)
        found = list(self._numbers)
        for group in self.groups:
            numbers = group.of_part(part)
            if numbers is None:
                return None
            found += numbers
        return self._of(sorted(found))

    def _of(self, numbers: Sequence[int]) -> Sequence[Rule]:
        rules = self._rules
        return [rules[number] for number in numbers]


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

    def route(self, source: Any, detail_type: Any) -> _Route:
        """
        Return the route of events with this source and detail-type, each a scalar or nothing at all.
        """
        sources = (source, None) if type(source) is str else (None,)
        types = (detail_type, None) if type(detail_type) is str else (None,)
        keys = product(sources, types)
        return _Route(self._rules, [self._by_key[key] for key in keys if key in self._by_key])


_NOWHERE = _Route((), ())


def _group(ways: Sequence[Way]) -> _Group:
    """
    Return the group of some rules by the ways that are left of them.
    """
    certain = {way.rule for way in ways if not way.leaves}
    left = [way for way in ways if way.rule not in certain]
    index = Index(left, len({way.rule for way in left}))
    return _Group(tuple(certain), index, any(map(_sees_bus, index.paths)))


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
