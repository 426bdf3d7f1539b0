"""
Find the rules that an event satisfies, without trying them all.

Mostly an event fits a `Shape`: then its values are at hand, none of them in an array of objects, and each leaf is
tested by itself, by a function that is written for these rules. Where it does not, a `Layout` finds the values and
`arrays` settles which of them go together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, final

from metriclake.rules.arrays import MOST_STEPS, Name, Steps, content_together
from metriclake.rules.layout import Found, Layout
from metriclake.rules.leaf import LETTERS_A_STEP
from metriclake.rules.program import Match, Plan, of_events, of_lists, of_parts
from metriclake.rules.shape import Shape, shape_of
from metriclake.rules.ways import Trial, Way, prepared

STEPS_A_RULE = 256
"""How many steps more an event may cost for each rule that it is held against."""

_FEW = 4
"""From more leaves of one path on, the values there are looked up by what stands for them."""

_HEAVY = 2000
"""From so many steps a value on, arrays are left to the `Layout`, which counts them."""


@final
class Index:
    """
    The ways to satisfy one pattern, or many.

    `rules` is for how many patterns `STEPS_A_RULE` are allowed beyond `MOST_STEPS`.
    """

    def __init__(self, ways: Iterable[Way], rules: int = 0) -> None:
        ways = tuple(ways)
        self.paths = tuple(dict.fromkeys(path for way in ways for path, _ in way.leaves))
        self._filed = prepared(ways, self.paths)
        self._allowed = STEPS_A_RULE * rules
        leaves = {each for way in ways for each in way.leaves}
        self._light = sum(leaf.cost for _, leaf in leaves) <= _HEAVY
        self._searched = {path for path, leaf in leaves if leaf.letters}
        self._letters = sum(leaf.letters for _, leaf in leaves)
        self._crowded = {path for path, times in Counter(path for path, _ in leaves).items() if times > _FEW}

    @cached_property
    def shape(self) -> Shape | None:
        """
        The shape of the paths, None where there is none.
        """
        return shape_of(self.paths)

    @cached_property
    def of_part(self) -> Match:
        """
        Return the numbers of the rules that the part of a text satisfies, None for that of an unusual event.
        """
        return _unusual if self.shape is None else of_parts(self._plan, self.shape, self._of_lists)

    def of_event(self, event: Mapping[str, Any]) -> Sequence[int]:
        """
        Return the numbers of the rules that a decoded event satisfies, ascending.

        Raises:
            EventTooComplex: Its arrays or texts are beyond the limits.

        """
        found = self._match(event)
        return self.of_unusual(event) if found is None else found

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
    def _match(self) -> Match:
        return _unusual if self.shape is None else of_events(self._plan, self.shape, self._of_lists)

    def _of_lists(self, values: Any) -> Sequence[int] | None:
        return self._lists(values)

    @cached_property
    def _lists(self) -> Match:
        return of_lists(self._plan)

    @cached_property
    def _layout(self) -> Layout:
        return Layout(self.paths)

    @property
    def _plan(self) -> Plan:
        searched = tuple(at for at, path in enumerate(self.paths) if path in self._searched)
        longest = (MOST_STEPS + self._allowed) // 8 * LETTERS_A_STEP // max(1, self._letters)
        return Plan(self._filed, len(self.paths), searched, longest, self._light)

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
