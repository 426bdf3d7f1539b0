"""
Decide whether a pattern matches an event that has arrays of objects on the pattern's paths.

Every value is tied to the array elements that it lies in, and all the values chosen for one pattern have to lie in the
same element of each array they share. Names are settled in the order of their UTF-16 code units, as EventBridge does:
`exists: false` asks only whether a value agrees with the elements chosen so far, so the order can be seen.

Cost is bounded. The event is walked along the pattern's paths only, once. The search remembers the states it has been
in, and a state forgets arrays that no later name lies in; so it grows with the number of elements, not with their
combinations. It gives up with an error after `MOST_STEPS` steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from metriclake._errors import EventTooComplex
from metriclake.rules.leaf import Leaf

MOST_STEPS = 100_000
"""How many choices of a value one event may cost one pattern."""

MOST_NESTED_ARRAYS = 100
"""How deep arrays may lie in each other on a path that the pattern looks at."""

Elements = tuple[tuple[int, int], ...]
"""The array elements that a value lies in, outermost first: (array, index)."""

Found = dict[str, list[tuple[Any, Elements]]]
"""The scalars of an event by their dotted path."""


class Layout:
    """
    Where the paths of one pattern lead: at each point, the keys that may follow, dots inside keys included.
    """

    __slots__ = ("after", "path")

    def __init__(self, paths: Iterable[str]) -> None:
        self.path: str | None = None
        self.after: dict[str, Layout] = {}
        for path in paths:
            self._add(path)

    def _add(self, path: str) -> None:
        """
        Add one path: for `a.b.c` the keys `a`, `a.b` and `a.b.c` here, `b`, `b.c` behind `a`, `c` behind those two.
        """
        names = path.split(".")
        nodes = [self, *(self._reach(names[:depth]) for depth in range(1, len(names) + 1))]
        nodes[-1].path = path
        for start, node in enumerate(nodes):
            for stop in range(start + 1, len(nodes)):
                node.after[".".join(names[start:stop])] = nodes[stop]

    def _reach(self, names: Sequence[str]) -> Layout:
        """
        Return the point behind these names, making it where it is new.
        """
        point = self
        for name in names:
            point = point.after.setdefault(name, Layout(()))
        return point

    def values(self, event: Mapping[str, Any]) -> Found:
        """
        Return every scalar of the event that lies on one of the paths.
        """
        found: Found = {}
        arrays = 0
        waiting: list[tuple[Any, Layout, Elements]] = [(event, self, ())]
        while waiting:
            value, point, elements = waiting.pop()
            if isinstance(value, dict):
                waiting.extend((value[key], after, elements) for key, after in point.after.items() if key in value)
            elif isinstance(value, list):
                arrays += 1
                waiting.extend(_unfold(value, arrays, point, elements, found))
            elif point.path is not None:
                found.setdefault(point.path, []).append((value, elements))
        return found


def _unfold(
    array: list[Any], number: int, point: Layout, elements: Elements, found: Found
) -> Iterator[tuple[Any, Layout, Elements]]:
    """
    Yield an array's objects and arrays, each tied to its index; keep the scalars, which are tied to none.
    """
    if len(elements) >= MOST_NESTED_ARRAYS:
        message = f"The event nests more than {MOST_NESTED_ARRAYS} arrays where a pattern looks: send it flatter."
        raise EventTooComplex(message)
    for index, value in enumerate(array):
        if isinstance(value, dict | list):
            yield value, point, (*elements, (number, index))
        elif point.path is not None:
            found.setdefault(point.path, []).append((value, elements))


class _Choices:
    """
    The values that one name may take, as a tree of the array elements they lie in.
    """

    __slots__ = ("inside", "whole")

    def __init__(self) -> None:
        self.whole: Elements | None = None
        self.inside: dict[int, dict[int, _Choices]] | None = None

    def add(self, chain: Elements) -> None:
        """
        Add one value by the elements it lies in.
        """
        choices = self
        for array, index in chain:
            if choices.inside is None:
                choices.inside = {}
            elements = choices.inside.setdefault(array, {})
            if index not in elements:
                elements[index] = _Choices()
            choices = elements[index]
        choices.whole = chain

    def agreeing(self, chosen: Mapping[int, int], *, loosest: bool) -> Iterator[Elements]:
        """
        Yield the elements of every value that lies in no other element of an array already chosen.

        `loosest` leaves out values that tie down more than another one yielded does.
        """
        waiting: list[Iterator[_Choices]] = [iter((self,))]
        while waiting:
            choices = next(waiting[-1], None)
            if choices is None:
                waiting.pop()
                continue
            if choices.whole is not None:
                yield choices.whole
            if choices.inside is not None and not (loosest and choices.whole is not None):
                waiting.extend(_agreeing_elements(choices.inside, chosen))


def _agreeing_elements(
    inside: Mapping[int, Mapping[int, _Choices]], chosen: Mapping[int, int]
) -> Iterator[Iterator[_Choices]]:
    """
    Yield for each array its chosen element, or all of them where none is chosen.
    """
    for array, elements in inside.items():
        if array not in chosen:
            yield iter(elements.values())
        elif chosen[array] in elements:
            yield iter((elements[chosen[array]],))


def _choices(chains: Iterable[Elements]) -> _Choices:
    """
    Return the choices that these values make.
    """
    choices = _Choices()
    for chain in chains:
        choices.add(chain)
    return choices


class _Name:
    """
    One name of a sub-rule, ready for the search: its choices, and the arrays they lie in.
    """

    __slots__ = ("accepted", "arrays", "hopeless", "present")

    def __init__(self, leaf: Leaf, values: list[tuple[Any, Elements]]) -> None:
        accepted = {chain for value, chain in values if leaf.accepts(value)}
        asked = {chain for _, chain in values} if leaf.absent else accepted
        self.accepted = _choices(accepted)
        self.present = _choices(asked) if leaf.absent else None
        self.hopeless = not accepted and not leaf.absent
        self.arrays = {array for chain in asked for array, _ in chain}

    def options(self, chosen: Mapping[int, int], *, loosest: bool) -> Iterator[Elements]:
        """
        Yield the elements of each choice that agrees with what is chosen; none of them for the name's absence.
        """
        if self.present is not None and next(self.present.agreeing(chosen, loosest=True), None) is None:
            yield ()
        yield from self.accepted.agreeing(chosen, loosest=loosest)


def any_satisfied(rules: Iterable[Sequence[tuple[str, Leaf]]], found: Found) -> bool:
    """
    Tell whether the values satisfy one of the sub-rules, each a sequence of names in their order.
    """
    steps = MOST_STEPS
    # Sub-rules share most of their leaves: a leaf is tried on a large array once, not once for each of them.
    ready: dict[tuple[str, int], _Name] = {}
    for rule in rules:
        for path, leaf in rule:
            if (path, id(leaf)) not in ready:
                ready[path, id(leaf)] = _Name(leaf, found.get(path, []))
        names = [ready[path, id(leaf)] for path, leaf in rule]
        if any(name.hopeless for name in names):
            continue
        satisfied, steps = _search(names, steps)
        if satisfied:
            return True
    return False


def _search(names: list[_Name], steps: int) -> tuple[bool, int]:
    """
    Look for one choice a name, all in agreement; return whether there is one, and the steps that are left.
    """
    # Where a name wants absence, tying down more elements may help; without one it never does.
    loosest = all(name.present is None for name in names)
    later: list[set[int]] = [set()]
    for name in reversed(names[1:]):
        later.insert(0, later[0] | name.arrays)
    seen: set[tuple[int, frozenset[tuple[int, int]]]] = set()
    # One entry a settled name: what is chosen before it, and the options it has left.
    settled = [(frozenset[tuple[int, int]](), names[0].options({}, loosest=loosest))]
    while settled:
        chosen, options = settled[-1]
        elements = next(options, None)
        if elements is None:
            settled.pop()
            continue
        steps = _count_down(steps)
        depth = len(settled)
        if depth == len(names):
            return True, steps
        state = depth, frozenset(pair for pair in (*chosen, *elements) if pair[0] in later[depth - 1])
        if state not in seen:
            seen.add(state)
            settled.append((state[1], names[depth].options(dict(state[1]), loosest=loosest)))
    return False, steps


def _count_down(steps: int) -> int:
    """
    Take one step; refuse the event that asks for too many.
    """
    if steps <= 0:
        message = f"The event's arrays leave a pattern more than {MOST_STEPS} choices: split the event, or the pattern."
        raise EventTooComplex(message)
    return steps - 1
