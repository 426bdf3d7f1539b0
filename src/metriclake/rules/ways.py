"""
Prepare the ways to satisfy patterns: what is tested where, and which ways an event's values lead to.

A way that names exact values for some path can only be satisfied by an event that has one of them there. So it is filed
under the values of that of its paths where it shares them with the fewest other ways. What names none is tried in turn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from msgspec import UNSET

from metriclake.rules.leaf import Accepts, Leaf

FEW = 8
"""So few ways under the values of one path are tried in turn: looking them up would not cost less."""

MOST_IN_TURN = 64
"""With more ways to try, they are looked up wherever that is possible."""


@dataclass(frozen=True, slots=True)
class Way:
    """
    One way to satisfy a pattern: its leaves by their paths, in the order that names are settled in.

    `rule` is the number of the pattern that it belongs to.
    """

    rule: int
    leaves: tuple[tuple[str, Leaf], ...]


class Trial(NamedTuple):
    """
    A way ready to be tried.

    `own` tests are position among the paths and test; `shared` ones, which other ways have too, come with a number
    before. `leaves` are number, path and leaf of all of them, in the order that names are settled in.
    """

    rule: int
    shared: tuple[tuple[int, int, Accepts], ...]
    own: tuple[tuple[int, Accepts], ...]
    leaves: tuple[tuple[int, str, Leaf], ...]


Table = dict[Hashable, tuple[Trial, ...]]
"""The ways that are filed under the values of one path."""


@dataclass(frozen=True, slots=True)
class Filed:
    """
    The ways by the values at a path, given by its position, that they are filed under; and the rest.
    """

    tables: tuple[tuple[int, Table], ...]
    rest: tuple[Trial, ...]


def prepared(ways: Sequence[Way], paths: Sequence[str]) -> Filed:
    """
    Return the ways ready to be tried, each of them filed where it can be, and where that is worth a look-up.
    """
    trials = _trials(ways, {path: at for at, path in enumerate(paths)})
    tables, rest = _file(ways, trials)
    small = [path for path, table in tables.items() if len(_in_table(table)) <= FEW]
    in_turn = [trial for path in small for trial in _in_table(tables[path])]
    if len(rest) + len(in_turn) <= MOST_IN_TURN:
        rest += in_turn
        tables = {path: table for path, table in tables.items() if path not in small}
    return Filed(
        tuple(
            (at, {key: tuple(several) for key, several in tables[path].items()})
            for at, path in enumerate(paths)
            if path in tables
        ),
        tuple(rest),
    )


def satisfied(trials: Iterable[Trial], values: Sequence[Any], found: list[int]) -> None:
    """
    Add the rules whose ways are satisfied by these values, none of which is a list, to those found.
    """
    known: dict[int, bool] = {}
    for rule, shared, own, _ in trials:
        if shared and (rule in found or not _all_hold(shared, values, known)):
            continue
        for at, accepts in own:
            if not accepts(values[at]):
                break
        else:
            if rule not in found:
                found.append(rule)


def satisfied_somewhere(trials: Iterable[Trial], values: Sequence[Any], found: list[int]) -> None:
    """
    Do as `satisfied` where some values are lists of scalars, of which one element is enough.
    """
    for rule, shared, own, _ in trials:
        if rule not in found and all(
            any(map(accepts, values[at])) if type(values[at]) is list else accepts(values[at])
            for at, accepts in (*((at, accepts) for _, at, accepts in shared), *own)
        ):
            found.append(rule)


def _all_hold(shared: Iterable[tuple[int, int, Accepts]], values: Sequence[Any], known: dict[int, bool]) -> bool:
    """
    Tell whether all these tests hold, each of them made once an event.
    """
    for number, at, accepts in shared:
        holds = known.get(number)
        if holds is None:
            holds = known[number] = accepts(values[at])
        if not holds:
            return False
    return True


def _trials(ways: Sequence[Way], at: Mapping[str, int]) -> list[Trial]:
    """
    Return the ways ready to be tried, the tests of shallow paths first: source and detail-type tell most ways apart.
    """
    times = Counter((path, leaf) for way in ways for path, leaf in way.leaves)
    numbers = {each: number for number, each in enumerate(times)}
    tests = {each: _test_of(each[1]) for each in times}
    trials = []
    depth = {path: path.count(".") for path in at}
    for way in ways:
        shallow = sorted(way.leaves, key=lambda each: depth[each[0]])
        trials.append(
            Trial(
                way.rule,
                tuple((numbers[each], at[each[0]], tests[each]) for each in shallow if times[each] > 1),
                tuple((at[each[0]], tests[each]) for each in shallow if times[each] == 1),
                tuple((numbers[each], *each) for each in way.leaves),
            )
        )
    return trials


def _test_of(leaf: Leaf) -> Accepts:
    """
    Return the test of a leaf on what there is at its path: a scalar, or UNSET for nothing.
    """
    accepts = leaf.accepts
    if leaf.absent:
        return lambda value: value is UNSET or accepts(value)
    # A test that names types does not accept UNSET.
    return (lambda value: value is not UNSET and accepts(value)) if leaf.unless else accepts


def _file(ways: Sequence[Way], trials: Sequence[Trial]) -> tuple[dict[str, dict[Hashable, list[Trial]]], list[Trial]]:
    """
    Return the ways under the values of their least shared paths, and those that name no exact values.
    """
    crowds = Counter((path, key) for way in ways for path, leaf in way.leaves for key in leaf.keys or ())
    tables: dict[str, dict[Hashable, list[Trial]]] = {}
    rest = []
    for way, trial in zip(ways, trials, strict=True):
        exact = [
            (max(crowds[path, key] for key in leaf.keys), path, leaf.keys) for path, leaf in way.leaves if leaf.keys
        ]
        if not exact:
            rest.append(trial)
            continue
        _, path, keys = min(exact, key=lambda each: each[:2])
        for key in keys:
            tables.setdefault(path, {}).setdefault(key, []).append(trial)
    return tables, rest


def _in_table(table: Mapping[Hashable, Sequence[Trial]]) -> list[Trial]:
    """
    Return the ways of a table, each once.
    """
    return list({id(trial): trial for several in table.values() for trial in several}.values())
