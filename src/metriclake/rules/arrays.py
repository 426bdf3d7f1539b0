"""
Decide which values of an event may be taken together, where arrays of objects lie on a pattern's paths.

Every value is tied to the array elements that it lies in, and all the values taken for one sub-rule have to lie in the
same element of each array they share. Names are settled in the order of their UTF-16 code units, as EventBridge does:
`exists: false` asks only whether a value agrees with the elements chosen so far, so the order can be seen.

Mostly all the values of a name lie in one and the same array: then names are settled array by array, and the cost grows
with the number of elements. Else (a name spelled with a dot and nested in one event, say) choices are searched, and the
search remembers the states it has been in. Both give up with an error when their steps are used up.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from metriclake._errors import EventTooComplex

MOST_STEPS = 100_000
"""What one event may cost one pattern: a value, an element, a test or a choice is a step or a few."""

_SEARCH = 12
"""How many steps one choice of a search counts for: it takes so much longer than a look at a value."""

Elements = tuple[tuple[int, int], ...]
"""The array elements that a value lies in, outermost first: (array, index)."""


class Steps:
    """
    The steps that are left to match one event.
    """

    __slots__ = ("_most", "left")

    def __init__(self, more: int = 0) -> None:
        self._most = self.left = MOST_STEPS + more

    def spend(self, steps: int) -> None:
        """
        Take some steps; refuse the event that asks for too many.
        """
        self.left -= steps
        if self.left < 0:
            raise EventTooComplex(
                f"The event takes more than {self._most} steps to match: it has too many array elements, or too long"
                " texts, where patterns look. Split the event, or the pattern."
            )


class Places:
    """
    Where values of one name lie: `here`, in no further array, and `inside` of arrays, by array and index.
    """

    __slots__ = ("here", "inside")

    def __init__(self) -> None:
        self.here = False
        self.inside: Inside = _NO_ARRAYS

    def add(self, elements: Elements) -> None:
        """
        Add one value by the elements it lies in.
        """
        places = self
        for array, index in elements:
            if places.inside is _NO_ARRAYS:
                places.inside = {}
            within = places.inside.get(array)
            if within is None:
                within = places.inside[array] = {}
            inner = within.get(index)
            if inner is None:
                inner = within[index] = Places()
            places = inner
        places.here = True

    def agreeing(self, chosen: Mapping[int, int], steps: Steps, *, loosest: bool) -> Iterator[Elements]:
        """
        Yield the elements of every value that lies in no other element of an array already chosen.

        `loosest` leaves out values that tie down more than another one yielded does.
        """
        waiting: list[tuple[Places, Elements]] = [(self, ())]
        while waiting:
            steps.spend(1)
            places, elements = waiting.pop()
            if places.here:
                yield elements
                if loosest:
                    continue
            for array, within in places.inside.items():
                if array not in chosen:
                    steps.spend(len(within))
                    waiting.extend((inner, (*elements, (array, index))) for index, inner in within.items())
                elif chosen[array] in within:
                    waiting.append((within[chosen[array]], (*elements, (array, chosen[array]))))


Inside = dict[int, dict[int, Places]]

_NO_ARRAYS: Inside = {}
_NOWHERE = Places()


class Name:
    """
    One name of a sub-rule: where values lie that its leaf accepts.

    `present` is where any values lie, for a leaf that is content without one; None for any other leaf.
    """

    __slots__ = ("accepted", "present")

    def __init__(self, accepted: Places, present: Places | None) -> None:
        self.accepted = accepted
        self.present = present

    @property
    def hopeless(self) -> bool:
        """
        Whether nothing that may be chosen elsewhere makes this name content.
        """
        return self.present is None and not self.accepted.here and not self.accepted.inside

    def arrays(self, steps: Steps) -> set[int]:
        """
        Return the arrays that this name's values lie in.
        """
        arrays: set[int] = set()
        waiting = [self.accepted] if self.present is None else [self.accepted, self.present]
        while waiting:
            steps.spend(1)
            places = waiting.pop()
            arrays.update(places.inside)
            waiting.extend(inner for within in places.inside.values() for inner in within.values())
        return arrays

    def within(self, array: int, index: int) -> Name:
        """
        Return this name for one element of an array.
        """
        accepted = self.accepted.inside.get(array, {}).get(index, _NOWHERE)
        # A value that lies in no array is there whichever element is chosen, so the name is not absent then.
        if self.present is None or self.present.here:
            return Name(accepted, None)
        return Name(accepted, self.present.inside.get(array, {}).get(index, _NOWHERE))

    def options(self, chosen: Mapping[int, int], steps: Steps, *, loosest: bool) -> Iterator[Elements]:
        """
        Yield the elements of each choice that agrees with what is chosen; none of them for the name's absence.
        """
        if self.present is not None and next(self.present.agreeing(chosen, steps, loosest=True), None) is None:
            yield ()
        yield from self.accepted.agreeing(chosen, steps, loosest=loosest)


def content_together(names: Sequence[Name], steps: Steps) -> bool:
    """
    Tell whether values can be taken for all these names, in their order, so that they agree.
    """
    if any(name.hopeless for name in names):
        return False
    verdict = _array_by_array(names, steps, loosest=all(name.present is None for name in names))
    return _search(names, steps) if verdict is None else verdict


def _array_by_array(names: Sequence[Name], steps: Steps, *, loosest: bool) -> bool | None:
    """
    Settle each array by itself; None where a name has values in several places that cannot be told apart so.
    """
    by_array: dict[int, list[Name]] = {}
    for name in names:
        accepted, present = name.accepted, name.present
        if accepted.here:
            # Nothing is tied down by this value. To be tied down may still help a later name to be absent.
            if not loosest and (accepted.inside or (present is not None and present.inside)):
                return None
            continue
        arrays = set(accepted.inside)
        if present is not None and not present.here:
            if not present.inside:
                continue
            arrays.update(present.inside)
        if not arrays:
            return False
        if len(arrays) > 1:
            return None
        by_array.setdefault(arrays.pop(), []).append(name)
    for array, together in by_array.items():
        verdict = _one_element(array, together, steps, loosest=loosest)
        if not verdict:
            return verdict
    return True


def _one_element(array: int, names: Sequence[Name], steps: Steps, *, loosest: bool) -> bool | None:
    """
    Tell whether the names are content with one element of an array in which each of them has values.

    The first one has to choose an element: it is not absent while none is chosen.
    """
    for index in _candidates(array, names, steps):
        steps.spend(2 + len(names))
        verdict = _array_by_array([name.within(array, index) for name in names], steps, loosest=loosest)
        if verdict is None or verdict:
            return verdict
    return False


def _candidates(array: int, names: Sequence[Name], steps: Steps) -> Collection[int]:
    """
    Return the elements in which every name has an accepted value that has to have one, and the first in any case.
    """
    several = [
        name.accepted.inside.get(array, {}).keys()
        for number, name in enumerate(names)
        if number == 0 or name.present is None or name.present.here
    ]
    common: Collection[int] = min(several, key=len)
    for keys in several:
        if keys is not common:
            steps.spend(1 + len(common) // 8)
            common = keys & common
    return common


def _search(names: Sequence[Name], steps: Steps) -> bool:
    """
    Look for one choice a name, all in agreement. A state forgets arrays that no later name lies in.
    """
    # Where a name wants absence, tying down more elements may help; without one it never does.
    loosest = all(name.present is None for name in names)
    later: list[set[int]] = [set()]
    for name in reversed(names[1:]):
        later.insert(0, later[0] | name.arrays(steps))
    seen: set[tuple[int, frozenset[tuple[int, int]]]] = set()
    # One entry a settled name: what is chosen before it, and the options it has left.
    settled = [(frozenset[tuple[int, int]](), names[0].options({}, steps, loosest=loosest))]
    while settled:
        chosen, options = settled[-1]
        elements = next(options, None)
        if elements is None:
            settled.pop()
            continue
        steps.spend(_SEARCH)
        depth = len(settled)
        if depth == len(names):
            return True
        state = depth, frozenset(pair for pair in (*chosen, *elements) if pair[0] in later[depth - 1])
        if state not in seen:
            seen.add(state)
            settled.append((state[1], names[depth].options(dict(state[1]), steps, loosest=loosest)))
    return False
