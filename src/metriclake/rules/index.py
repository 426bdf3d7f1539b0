"""
Find the rules that an event satisfies, without trying them all.

Mostly an event is what its rules expect: objects on the way, and at the ends of the paths scalars or short arrays of
them; here and there an array of objects. Then functions that are written for these rules try them. For any other event
a `Layout` finds the values and `arrays` settles which of them go together, all of it counted in steps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, final

from metriclake.rules.arrays import MOST_STEPS, Name, Steps, content_together
from metriclake.rules.eventtext import FAULTS, Decode, decode_event
from metriclake.rules.layout import Found, Layout
from metriclake.rules.leaf import LETTERS_A_STEP
from metriclake.rules.program import Match, Plan, of_arrays, of_lists, usual
from metriclake.rules.rows import arrays_in
from metriclake.rules.shape import MOST_ELEMENTS, Shape, shape_of
from metriclake.rules.ways import Trial, Way, prepared

STEPS_A_RULE = 256
"""How many steps more an event may cost for each rule that it is held against."""

_MOST_ROWS = 64
"""How many objects of an array are put into rows; more are left to the `Layout`."""

_MOST_VARIANTS = 16
"""For how many sets of paths with arrays behind them a function is written."""

_FEW = 4
"""From more leaves of one path on, the values there are looked up by what stands for them."""


@final
class Index:
    """
    The ways to satisfy one pattern, or many.

    `rules` is for how many patterns `STEPS_A_RULE` are allowed beyond `MOST_STEPS`.
    """

    def __init__(self, ways: Iterable[Way], rules: int = 0) -> None:
        self._ways = tuple(ways)
        self.paths = tuple(dict.fromkeys(path for way in self._ways for path, _ in way.leaves))
        self._filed = prepared(self._ways, self.paths)
        self._allowed = STEPS_A_RULE * rules

    @cached_property
    def shape(self) -> Shape | None:
        """
        The shape of the paths, None where there is none.
        """
        return shape_of(self.paths)

    def of_event(self, event: Mapping[str, Any]) -> Sequence[int]:
        """
        Return the numbers of the rules that a decoded event satisfies, ascending.

        Raises:
            EventTooComplex: Its arrays or texts are beyond the limits.

        """
        found = self._of_usual(event)
        return self.of_unusual(event) if found is None else found

    def of_text(self, text: bytes | str) -> Sequence[int]:
        """
        Do as `of_event` for an event that is JSON text.

        Raises:
            InvalidEvent: The text is no JSON object.
            EventTooComplex: The event is beyond the limits.

        """
        if self._decode is not None:
            try:
                found = self.of_part(self._decode(text))
            except FAULTS:
                # An unusual event, or none: decoding it as a whole tells.
                pass
            else:
                if found is not None:
                    return found
        return self.of_event(decode_event(text))

    @cached_property
    def of_part(self) -> Match:
        """
        Return the numbers of the rules that the part of a text satisfies, None for that of an unusual event.
        """
        return self._written(of_text=True)

    @cached_property
    def _of_usual(self) -> Match:
        return self._written(of_text=False)

    @cached_property
    def _decode(self) -> Decode | None:
        return None if self.shape is None else self.shape.decoder()

    def _written(self, *, of_text: bool) -> Match:
        """
        Return the function that tries the rules, on parts of texts or on decoded events.
        """
        return _unusual if self.shape is None else _Functions(self._plan(self.shape, of_text=of_text), self._ways).usual

    def _plan(self, shape: Shape, *, of_text: bool) -> Plan:
        """
        Return what functions are written of.
        """
        leaves = {each for way in self._ways for each in way.leaves}
        searched = {path for path, leaf in leaves if leaf.letters}
        letters = sum(leaf.letters for _, leaf in leaves)
        cost = sum(leaf.cost for way in self._ways for _, leaf in way.leaves)
        return Plan(
            filed=self._filed,
            tree=shape.tree,
            paths=len(self.paths),
            of_text=of_text,
            searched=frozenset(at for at, path in enumerate(self.paths) if path in searched),
            longest=(MOST_STEPS + self._allowed) // 8 * LETTERS_A_STEP // max(1, letters),
            most_rows=min(_MOST_ROWS, (MOST_STEPS // 4 + self._allowed) // cost),
        )

    def of_unusual(self, event: Mapping[str, Any]) -> Sequence[int]:
        """
        Do as `of_event`, for any event, at more cost.
        """
        steps = Steps(self._allowed)
        found = self._layout.find(event, steps)
        names: dict[int, Name] = {}
        rules: set[int] = set()
        for trial in self._worth_trying(found, steps):
            if trial.rule not in rules and self._agrees(trial, found, names, steps):
                rules.add(trial.rule)
        return sorted(rules)

    @cached_property
    def _layout(self) -> Layout:
        return Layout(self.paths)

    @cached_property
    def _crowded(self) -> frozenset[str]:
        """
        The paths with several leaves.
        """
        times = Counter(path for path, _ in {each for way in self._ways for each in way.leaves})
        return frozenset(path for path, several in times.items() if several > _FEW)

    def _worth_trying(self, found: Mapping[str, Found], steps: Steps) -> Iterator[Trial]:
        for at, table in self._filed.tables:
            there = found.get(self.paths[at])
            if there is not None:
                for key in there.by_key(steps):
                    yield from table.get(key, ())
        yield from self._filed.rest

    def _agrees(self, trial: Trial, found: Mapping[str, Found], names: dict[int, Name], steps: Steps) -> bool:
        """
        Tell whether values that go together satisfy all leaves of a way; `names` remembers what leaves accept.
        """
        steps.spend(1)
        settled = []
        for number, path, leaf in trial.leaves:
            name = names.get(number)
            if name is None:
                there = found.get(path, _NOTHING)
                accepted = there.accepted(leaf, steps, by_key=path in self._crowded)
                name = names[number] = Name(accepted, there.present(steps) if leaf.absent else None)
            if name.hopeless:
                return False
            settled.append(name)
        steps.spend(2 * len(settled))
        return content_together(settled, steps)


_NOTHING = Found()


def _unusual(_event: Any) -> None:
    """
    Tell of every event that it is unusual: there is no shape.
    """


class _Functions:
    """
    The functions written for one plan, each when it is first needed.
    """

    def __init__(self, plan: Plan, ways: Sequence[Way]) -> None:
        self._plan = plan
        self._absent = {path for way in ways for path, leaf in way.leaves if leaf.absent}
        # Where the tests of one value cost much, those of several are left to be counted.
        self._light = plan.most_rows >= MOST_ELEMENTS
        self._by_arrays: dict[frozenset[str], Match] = {}
        self._latest: Match = _unusual
        self.usual = usual(plan, self._lists, self._arrays)

    @cached_property
    def _of_lists(self) -> Match:
        return of_lists(self._plan)

    def _lists(self, values: Any) -> Sequence[int] | None:
        """
        Try values among which there are lists.
        """
        return self._of_lists(values) if self._light else None

    def _arrays(self, event: Any) -> Sequence[int] | None:
        """
        Try an event with arrays of objects; mostly they lie where they did in the one before.
        """
        found = self._latest(event)
        if found is not None:
            return found
        arrays = frozenset(arrays_in(self._plan.tree, event, of_text=self._plan.of_text))
        match = self._by_arrays.get(arrays)
        if match is None:
            full = len(self._by_arrays) >= _MOST_VARIANTS
            if not arrays or full or not self._light or self._asks_for_absence(arrays):
                return None
            match = self._by_arrays[arrays] = of_arrays(self._plan, arrays)
        self._latest = match
        return match(event)

    def _asks_for_absence(self, arrays: Iterable[str]) -> bool:
        """
        Tell whether something is wanted absent behind one of the arrays: then the order of names counts.
        """
        return any(path.startswith(f"{array}.") for path in self._absent for array in arrays)
