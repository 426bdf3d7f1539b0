"""
Tell why an event does not match a pattern: the first key that fails, what the event has there, and what was wanted.

Of several ways through a pattern's `$or`s it is the one with the most keys satisfied that is told of. Where every key
is satisfied by itself, but no one element of an array of objects satisfies all of them, it is the first key that finds
no element.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from metriclake.rules.arrays import Name, Steps, content_together
from metriclake.rules.layout import Found, Layout
from metriclake.rules.leaf import Leaf, accepts_nothing
from metriclake.rules.spelling import LONGEST, spelled
from metriclake.rules.ways import Way

_SHOWN = 3
"""How many of the values at a path are shown."""

_MOST_KEYS = 1000
"""An object with more keys is not searched for one that was meant."""


class Reason(StrEnum):
    """
    What is wrong with the event at the key that fails.
    """

    MISSING = "missing"
    """There is no value, and the pattern wants one."""

    OTHER = "other"
    """There are values, and the pattern wants others."""

    PRESENT = "present"
    """There is a value, and the pattern wants none."""

    APART = "apart"
    """There is a value that the pattern wants, but not in the array element that satisfies the keys before it."""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """
    Why an event does not match a pattern. As text it is one sentence.

    Attributes:
        path: The dotted path of the first key that fails, in the order of the pattern.
        reason: What is wrong there.
        wanted: What the pattern says there, as JSON; long ones are cut.
        values: What the event has there, as JSON: the first few values, long ones cut.
        more: How many further values it has there.
        together: For `APART` the keys that want the same array element.
        hint: What may have been meant, empty without a guess.
        satisfied: How many of the `keys` are satisfied, each by itself.
        keys: How many keys this way through the pattern has.
        ways: How many ways there are through the pattern; this is the one with the most keys satisfied.

    """

    path: str
    reason: Reason
    wanted: str
    values: tuple[str, ...] = ()
    more: int = 0
    together: tuple[str, ...] = ()
    hint: str = ""
    satisfied: int = 0
    keys: int = 1
    ways: int = 1

    def __str__(self) -> str:
        """
        Return the mismatch as one sentence.
        """
        has = " or ".join(self.values) + (f" and {self.more} more" if self.more else "")
        what = {
            Reason.MISSING: f"{self.path} is missing",
            Reason.OTHER: f"{self.path} is {has}",
            Reason.PRESENT: f"{self.path} is there ({has})",
            Reason.APART: f"{self.path} is {has}, but not in the array element with {', '.join(self.together)}",
        }[self.reason]
        of = f"; nearest of {self.ways} ways, {self.satisfied} of {self.keys} keys satisfied" if self.ways > 1 else ""
        return f"{what}, and the pattern wants {self.wanted}{of}" + (f" ({self.hint})" if self.hint else "")


def mismatch_of(ways: Sequence[Way], event: Mapping[str, Any], steps: Steps) -> Mismatch | None:
    """
    Return why an event satisfies none of the ways; None where it satisfies one.

    Raises:
        EventTooComplex: The event's arrays or texts are beyond the limits.

    """
    found = Layout({path for way in ways for path, _ in way.leaves}).find(event, steps)
    names: dict[tuple[str, Leaf], Name] = {}
    nearest, least = ways[0], len(ways[0].leaves) + 1
    for way in ways:
        steps.spend(1 + len(way.leaves) // 8)
        for each in way.leaves:
            if each not in names:
                names[each] = _name(*each, found, steps)
        settled = [names[each] for each in way.leaves]
        if content_together(settled, steps):
            return None
        hopeless = sum(name.hopeless for name in settled)
        if hopeless < least:
            nearest, least = way, hopeless
    alone = [each for each in nearest.leaves if names[each].hopeless]
    if alone:
        path, leaf = min(alone, key=lambda each: each[1].position)
        mismatch = _alone(path, leaf, event, *_shown(found.get(path), steps))
    else:
        mismatch = _not_with_others(nearest, names, found, steps)
    satisfied = len(nearest.leaves) - max(1, least)
    return replace(mismatch, satisfied=satisfied, keys=len(nearest.leaves), ways=len(ways))


def _name(path: str, leaf: Leaf, found: Mapping[str, Found], steps: Steps) -> Name:
    """
    Return what a leaf accepts of what was found at its path.
    """
    there = found.get(path) or Found()
    return Name(there.accepted(leaf, steps, by_key=False), there.present(steps) if leaf.absent else None)


def _alone(path: str, leaf: Leaf, event: Mapping[str, Any], values: Sequence[Any], more: int) -> Mismatch:
    """
    Return the mismatch of a leaf that wants a value, and accepts none of those at its path.
    """
    if not values:
        return Mismatch(path, Reason.MISSING, leaf.text, hint=_meant_key(path, event))
    return Mismatch(path, Reason.OTHER, leaf.text, _spelled(values), more, hint=_meant_value(leaf, values))


def _not_with_others(
    way: Way, names: Mapping[tuple[str, Leaf], Name], found: Mapping[str, Found], steps: Steps
) -> Mismatch:
    """
    Return the mismatch of the first name that is not content with what those before it leave.
    """
    settled: list[Name] = []
    path, leaf = way.leaves[-1]
    for path, leaf in way.leaves:
        settled.append(names[path, leaf])
        if not content_together(settled, steps):
            break
    values, more = _shown(found.get(path), steps)
    if not content_together(settled[-1:], steps):
        reason = Reason.PRESENT if leaf.accepts is accepts_nothing else Reason.OTHER
        return Mismatch(path, reason, leaf.text, _spelled(values), more)
    shared = settled[-1].arrays(steps)
    before = zip(way.leaves, settled[:-1], strict=False)
    together = tuple(other for (other, _), name in before if shared & name.arrays(steps))
    return Mismatch(path, Reason.APART, leaf.text, _spelled(values), more, together)


def _spelled(values: Iterable[Any]) -> tuple[str, ...]:
    return tuple(map(spelled, values))


def _shown(there: Found | None, steps: Steps) -> tuple[list[Any], int]:
    """
    Return the first of the values, each once, and how many more there are.
    """
    if there is None:
        return [], 0
    values = [several[0][0] for several in there.by_key(steps).values()]
    return values[:_SHOWN], max(0, len(values) - _SHOWN)


def _meant_key(path: str, event: Mapping[str, Any]) -> str:
    """
    Return how far a path leads in an event that has nothing at its end, and a key that may have been meant.
    """
    reached = ""
    node: Any = event
    for name in path.split("."):
        if not isinstance(node, Mapping):
            return f"{reached} is {spelled(node)}"
        if name not in node:
            meant = _similar(name, node)
            return (
                f"there is {reached}{'.' if reached else ''}{meant}" if meant else f"{reached} is there" * bool(reached)
            )
        reached += f"{'.' if reached else ''}{name}"
        node = node[name]
    return f"it is {spelled(node)}, which is no value"


def _below(reached: str, name: str) -> str:
    return f"{reached}.{name}" if reached else name


def _similar(name: str, node: Mapping[str, Any]) -> str:
    """
    Return a key that differs from a name by case, dashes and underscores only; nothing where there is none.
    """
    if len(node) > _MOST_KEYS:
        return ""
    return next((key for key in (str(each)[:LONGEST] for each in node) if _alike(key) == _alike(name)), "")


def _alike(key: str) -> str:
    return key.casefold().replace("-", "").replace("_", "")


def _meant_value(leaf: Leaf, values: Iterable[Any]) -> str:
    """
    Return what may have been meant by a leaf that names exact values, none of them the event's.
    """
    wanted = leaf.keys or frozenset()
    for value in values:
        if isinstance(value, str):
            text = value[:LONGEST].strip()
            if any(isinstance(key, str) and key.casefold() == text.casefold() for key in wanted):
                return "only case or white space differ: equals-ignore-case takes any case"
            if any(isinstance(key, float) and repr(key).removesuffix(".0") == text for key in wanted):
                return "the event has a text, the pattern a number"
        elif spelled(value).removesuffix(".0") in wanted:
            return "the pattern has a text, the event has none"
    return ""
