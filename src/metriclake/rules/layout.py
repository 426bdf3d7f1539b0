"""
Find the scalars of an event at the paths that patterns look at, with the array elements they lie in.

Dots in keys and nesting are one and the same, and arrays may lie in arrays: this finds every value, where a `Shape`
only holds the usual event. The event is walked along the paths only; what it holds off them costs nothing, however
deep.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from itertools import count
from typing import Any

from metriclake._errors import EventTooComplex
from metriclake.rules.arrays import Elements, Places, Steps
from metriclake.rules.leaf import Leaf, key_of

MOST_NESTED_ARRAYS = 100
"""How deep arrays may lie in each other on a path that a pattern looks at."""

_FEW = 16
"""So few keys that may follow are looked for one by one."""

_Found = tuple[Any, Elements, int, int]
"""A value, the array elements it lies in but for the innermost, and the array and index of that one, -1 for none."""


class Found:
    """
    The scalars of an event at one path.
    """

    __slots__ = ("_by_key", "values")

    def __init__(self) -> None:
        self.values: list[_Found] = []
        self._by_key: dict[Hashable, list[_Found]] | None = None

    def accepted(self, leaf: Leaf, steps: Steps, *, by_key: bool) -> Places:
        """
        Return the places of the values that a leaf accepts; where it names exact values these can be looked up.
        """
        return _places(self._looked_up(leaf.keys, steps) if by_key and leaf.keys else self._tested(leaf, steps), steps)

    def present(self, steps: Steps) -> Places:
        """
        Return the places of all values.
        """
        return _places(self.values, steps)

    def by_key(self, steps: Steps) -> Mapping[Hashable, Sequence[_Found]]:
        """
        Return the values by what stands for them.
        """
        if self._by_key is None:
            steps.spend(1 + 2 * len(self.values))
            self._by_key = {}
            for each in self.values:
                self._by_key.setdefault(key_of(each[0]), []).append(each)
        return self._by_key

    def _looked_up(self, keys: frozenset[Hashable], steps: Steps) -> list[_Found]:
        by_key = self.by_key(steps)
        steps.spend(1 + min(len(keys), len(by_key)) // 8)
        return [each for key in keys & by_key.keys() for each in by_key[key]]

    def _tested(self, leaf: Leaf, steps: Steps) -> list[_Found]:
        values = self.values
        steps.spend(sum(leaf.price(each[0]) for each in values) if leaf.letters else leaf.cost * len(values))
        accepts = leaf.accepts
        return [each for each in values if accepts(each[0])]


def _places(values: Sequence[_Found], steps: Steps) -> Places:
    """
    Return the places of values.
    """
    places = Places()
    for _, above, array, index in values:
        steps.spend(2 + len(above))
        places.add(above if array < 0 else (*above, (array, index)))
    return places


class Layout:
    """
    Where paths lead: at each point, the keys that may follow, dots inside keys included.
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
        points = [self, *(self._reach(names[:depth]) for depth in range(1, len(names) + 1))]
        points[-1].path = path
        for start, point in enumerate(points):
            for stop in range(start + 1, len(points)):
                point.after[".".join(names[start:stop])] = points[stop]

    def _reach(self, names: Sequence[str]) -> Layout:
        """
        Return the point behind these names, making it where it is new.
        """
        point = self
        for name in names:
            point = point.after.setdefault(name, Layout(()))
        return point

    def find(self, event: Mapping[str, Any], steps: Steps) -> Mapping[str, Found]:
        """
        Return what the event has at each of the paths where it has something.

        Raises:
            EventTooComplex: The event nests too many arrays, or has too many elements, where the paths lead.

        """
        return _Walk(steps).follow(event, self)

    def leading_on(self, objects: Sequence[_Found], steps: Steps) -> Iterable[tuple[str, Layout]]:
        """
        Return the keys that lead on from some of these objects, with the points they lead to.
        """
        after = self.after
        if len(after) <= _FEW:
            steps.spend(1 + len(objects) * len(after))
            return after.items()
        steps.spend(1 + sum(min(len(each[0]), len(after)) for each in objects))
        keys = {key for each in objects for key in (each[0] if len(each[0]) < len(after) else after) if key in each[0]}
        return [(key, after[key]) for key in keys if key in after]


class _Walk:
    """
    A walk through one event: all the objects in which a point is reached are looked at together, key by key.
    """

    __slots__ = ("_arrays", "_found", "_steps")

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._arrays = count()
        self._found: defaultdict[str, Found] = defaultdict(Found)

    def follow(self, event: Mapping[str, Any], layout: Layout) -> Mapping[str, Found]:
        """
        Return what the event has where the layout leads.
        """
        waiting: list[tuple[list[_Found], Layout]] = [([(event, (), -1, 0)], layout)]
        while waiting:
            objects, point = waiting.pop()
            for key, following in point.leading_on(objects, self._steps):
                inner = self._behind(key, objects, following)
                if inner:
                    waiting.append((inner, following))
        return self._found

    def _behind(self, key: str, objects: Sequence[_Found], following: Layout) -> list[_Found]:
        """
        Return the objects behind a key, and keep the scalars there.
        """
        inner: list[_Found] = []
        goes_on = inner if following.after else None
        scalars = None if following.path is None else self._found[following.path].values
        for each, above, array, index in objects:
            if key in each:
                value = each[key]
                if isinstance(value, dict):
                    if goes_on is not None:
                        goes_on.append((value, above, array, index))
                elif isinstance(value, list):
                    elements = above if array < 0 else (*above, (array, index))
                    self._unfold(value, elements, goes_on, scalars)
                elif scalars is not None:
                    scalars.append((value, above, array, index))
        return inner

    def _unfold(
        self, array: list[Any], elements: Elements, objects: list[_Found] | None, scalars: list[_Found] | None
    ) -> None:
        """
        Keep an array's objects, and those of arrays in it, each tied to its index; and the scalars, tied to none.
        """
        waiting = [(array, elements)]
        while waiting:
            array, elements = waiting.pop()
            if len(elements) >= MOST_NESTED_ARRAYS:
                raise EventTooComplex(
                    f"The event nests more than {MOST_NESTED_ARRAYS} arrays where a pattern looks: send it flatter."
                )
            self._steps.spend(2 + len(array) + len(elements) // 2)
            number = next(self._arrays)
            for index, value in enumerate(array):
                if isinstance(value, dict):
                    if objects is not None:
                        objects.append((value, elements, number, index))
                elif isinstance(value, list):
                    waiting.append((value, (*elements, (number, index))))
                elif scalars is not None:
                    scalars.append((value, elements, -1, 0))
