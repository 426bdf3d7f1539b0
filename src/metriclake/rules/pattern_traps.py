"""
Find what a pattern that compiles does not do as it seems to: leaves that accept everything, or nothing.

The pattern is read as it is written, not as it compiles, since a warning has to name the place in the file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from metriclake.rules.envelope import ALWAYS, PATTERN_KEYS, TEXTS, unknown_key
from metriclake.rules.trap import Trap

_NEVER = "never-matches"
_ALL = "matches-everything"
_LOWER, _UPPER = frozenset({">", ">="}), frozenset({"<", "<="})
_GITHUB = "github"


@dataclass(frozen=True, slots=True)
class Leaf:
    """
    A leaf as it is written: its dotted path, its place in the file, and its alternatives.
    """

    path: str
    keys: tuple[str | int, ...]
    values: Sequence[Any]

    @property
    def wants_absence(self) -> bool:
        """
        Tell whether the leaf is content where nothing is there.
        """
        return any(_asks_exists(value, there=False) for value in self.values)

    @property
    def wants_only_absence(self) -> bool:
        """
        Tell whether the leaf is content only where nothing is there.
        """
        return all(_asks_exists(value, there=False) for value in self.values)


Way = dict[str, Leaf]
"""One way through a pattern's `$or`s: its leaves by their paths."""


def pattern_traps(bus: str, pattern: Mapping[str, Any]) -> Iterator[Trap]:
    """
    Yield the traps of a pattern that compiles, in its own order.
    """
    replaced: dict[Trap, None] = {}
    found = ways(pattern, replaced)
    for leaf in leaves(pattern):
        yield from _envelope_traps(leaf)
        yield from _value_traps(leaf)
    yield from replaced
    yield from _pair_traps(found)
    yield from _bus_traps(bus, found)


def leaves(
    pattern: Mapping[str, Any], names: tuple[str, ...] = (), keys: tuple[str | int, ...] = ("pattern",)
) -> Iterator[Leaf]:
    """
    Yield every leaf of a pattern, those of all its `$or`s among them.
    """
    for name, below in pattern.items():
        if name == "$or":
            for number, branch in enumerate(below):
                yield from leaves(branch, names, (*keys, name, number))
        elif isinstance(below, Mapping):
            yield from leaves(below, (*names, name), (*keys, name))
        else:
            yield Leaf(".".join((*names, name)), (*keys, name), below)


def ways(pattern: Mapping[str, Any], replaced: dict[Trap, None] | None = None) -> list[Way]:
    """
    Return the ways through a pattern, as it compiles: a later leaf of a path takes the place of an earlier one.
    """
    return _ways(pattern, [], (), ("pattern",), {} if replaced is None else replaced) or [{}]


def _ways(
    pattern: Mapping[str, Any], found: list[Way], names: tuple[str, ...], keys: tuple[str | int, ...],
    replaced: dict[Trap, None],
) -> list[Way]:  # fmt: skip
    for name, below in pattern.items():
        if name == "$or":
            found = [
                way
                for number, branch in enumerate(below)
                for way in _ways(branch, [dict(way) for way in found or [{}]], names, (*keys, name, number), replaced)
            ]
        elif isinstance(below, Mapping):
            found = _ways(below, found, (*names, name), (*keys, name), replaced)
        else:
            leaf = Leaf(".".join((*names, name)), (*keys, name), below)
            found = found or [{}]
            for way in found:
                if leaf.path in way:
                    replaced[_replacing(leaf)] = None
                way[leaf.path] = leaf
    return found


def _replacing(leaf: Leaf) -> Trap:
    what = f"`{leaf.path}` is given a second time, and takes the place of the first: both are not demanded together"
    return Trap("given-twice", leaf.keys, what, "put the values into one list, or give each branch of `$or` its own")


def _envelope_traps(leaf: Leaf) -> Iterator[Trap]:
    """
    Yield what a leaf asks of an envelope that cannot answer so.
    """
    top, _, below = leaf.path.partition(".")
    if top not in PATTERN_KEYS:
        yield _impossible(leaf, f"no event has a top-level key `{top}`", unknown_key(top, PATTERN_KEYS))
    elif below and (top in TEXTS or top == "resources"):
        what = f"`{top}` holds {'texts' if top == 'resources' else 'a text'}, and nothing lies below it"
        yield _impossible(leaf, what, f"ask for `{top}` itself, or for what lies below `detail`")
    elif leaf.path == "detail":
        yield _impossible(leaf, "`detail` is an object, and patterns look at single values", "name a key below it")
    elif not below and top in ALWAYS and leaf.wants_only_absence:
        yield Trap(_NEVER, leaf.keys, f"no event is without `{top}`: this never matches", "leave the key out")
    elif not below and top in TEXTS | {"resources"} and not any(_takes_text(value) for value in leaf.values):
        yield Trap(_NEVER, leaf.keys, f"`{top}` is always text: this never matches", "write the value in quotes")


def _impossible(leaf: Leaf, why: str, instead: str) -> Trap:
    if leaf.wants_absence:
        return Trap("no-effect", leaf.keys, f"{why}: this always holds", instead)
    return Trap(_NEVER, leaf.keys, f"{why}: this never matches", instead)


def _takes_text(value: Any) -> bool:
    """
    Tell whether an alternative of an optional text can hold: only numbers and words never do.
    """
    if isinstance(value, Mapping):
        return "numeric" not in value
    return isinstance(value, str)


def _value_traps(leaf: Leaf) -> Iterator[Trap]:
    for number, value in enumerate(leaf.values):
        yield from _one_value(leaf, (*leaf.keys, number), value)
    yield from _alternatives(leaf)


def _one_value(leaf: Leaf, keys: tuple[str | int, ...], value: Any) -> Iterator[Trap]:
    """
    Yield the traps of one alternative by itself.
    """
    if isinstance(value, str):
        if "*" in value:
            instead = f'write {{"wildcard": {json.dumps(value)}}}'
            yield Trap("literal-star", keys, "`*` stands for itself here: only a text with a star matches", instead)
        if value in {"true", "false", "null"} and not any(other is json.loads(value) for other in leaf.values):
            what = f"{json.dumps(value)} in quotes matches the text alone, not the value {value}"
            yield Trap("word-in-quotes", keys, what, f"write {value} without quotes")
        return
    operator, argument = _operator(value)
    if operator in {"prefix", "suffix"} and _text_of(argument) == "":
        yield Trap(_ALL, keys, f"an empty {operator} matches every text", _ANYTHING)
    elif operator in {"prefix", "suffix"} and "*" in _text_of(argument):
        instead = f"leave the star out of the {operator}, or take `wildcard`"
        yield Trap("literal-star", keys, f"`*` stands for itself in a {operator}", instead)
    elif operator == "wildcard" and argument == "*":
        yield Trap(_ALL, keys, "a wildcard of `*` alone matches every text", _ANYTHING)
    elif operator == "wildcard" and "*" not in _text_of(argument):
        instead = "write the text alone, or add a `*`"
        yield Trap("no-star", keys, "a wildcard without `*` matches this text alone", instead)


_ANYTHING = 'write {"exists": true} if anything will do, or leave the key out'


def _alternatives(leaf: Leaf) -> Iterator[Trap]:
    """
    Yield the traps of a leaf whose alternatives undo each other.
    """
    operators = [_operator(value) for value in leaf.values]
    excluding = [argument for operator, argument in operators if operator == "anything-but"]
    if len(excluding) > 1:
        what = (
            "several `anything-but` in one list are alternatives: each lets through what another excludes, and left out"
            " is only what all of them exclude"
        )
        yield Trap("anything-but-or", leaf.keys, what, _together(excluding))
    elif excluding and _excluded(excluding[0]) and _excluded(excluding[0]) <= _plain(leaf):
        what = "the list excludes a value and names it as well: every value that is there matches"
        yield Trap(_ALL, leaf.keys, what, "keep one of the two")
    present = any(_asks_exists(value, there=True) for value in leaf.values)
    if present and leaf.wants_absence:
        yield Trap("no-effect", leaf.keys, "there or not there: this always holds", "leave the key out")
    elif present and len(leaf.values) > 1:
        what = (
            "`exists: true` is an alternative to the other values, and takes them in: every value that is there matches"
        )
        yield Trap(_ALL, leaf.keys, what, "leave `exists` out: a value that must be equal must be there")
    yield from _ranges(leaf, [argument for operator, argument in operators if operator == "numeric"])


def _together(excluding: list[Any]) -> str:
    """
    Return one anything-but for several, where there is one.
    """
    flat = [item for one in excluding for item in (one if isinstance(one, list) else [one])]
    kinds = {_operator(one)[0] for one in excluding}
    if kinds == {""}:
        return f'write one: {{"anything-but": {json.dumps(flat, ensure_ascii=False)}}}'
    if len(kinds) == 1:
        (kind,) = kinds
        texts = [text for one in flat for text in _texts(one[kind])]
        return f'write one: {{"anything-but": {{"{kind}": {json.dumps(texts, ensure_ascii=False)}}}}}'
    return "a key has no `and`: exclude one of them by another key, or make the metric of what is left"


def _ranges(leaf: Leaf, numerics: list[Any]) -> Iterator[Trap]:
    """
    Yield the trap of a lower and an upper bound that are alternatives, where every number satisfies one of them.
    """
    single = [one for one in numerics if isinstance(one, list) and len(one) == 2]
    for lower in single:
        for upper in single:
            if lower[0] in _LOWER and upper[0] in _UPPER and lower[1] < upper[1]:
                what = "these bounds are alternatives, and every number satisfies one of them"
                instead = f'write one: {{"numeric": {json.dumps([*lower, *upper])}}}'
                yield Trap(_ALL, leaf.keys, what, instead)
                return


def _pair_traps(found: list[Way]) -> Iterator[Trap]:
    """
    Yield what two leaves of one way say of a key and of what lies below it.
    """
    seen: set[tuple[int, int]] = set()
    for way in found:
        for leaf in way.values():
            for above in _above(leaf, way):
                if (id(above), id(leaf)) not in seen:
                    seen.add((id(above), id(leaf)))
                    yield from _pair(above, leaf)


def _above(leaf: Leaf, way: Way) -> Iterator[Leaf]:
    """
    Yield the leaves of a way that stand at a key which the path of another leads through, below the envelope.
    """
    names = leaf.path.split(".")
    if names[0] in {"detail", "cloudevent"}:
        parents = (".".join(names[:length]) for length in range(2, len(names)))
        yield from (way[parent] for parent in parents if parent in way)


def _pair(above: Leaf, leaf: Leaf) -> Iterator[Trap]:
    if leaf.wants_absence:
        return
    why = f"`{leaf.path}` is demanded as well, and where it is, `{above.path}` is an object"
    if above.wants_absence:
        what = f"{why}, which counts as absent: this always holds"
        yield Trap("no-effect", above.keys, what, "name a single value below it, or leave it out")
    else:
        what = f"{why} and no single value: this never matches, but for an array of both"
        yield Trap(_NEVER, above.keys, what, f"leave `{above.path}` out: it is there if `{leaf.path}` is")


def _bus_traps(bus: str, found: list[Way]) -> Iterator[Trap]:
    """
    Yield the trap of a rule that waits for GitHub's webhooks on another bus, or for others on theirs.
    """
    for way in found:
        leaf = way.get("source")
        if leaf is None or not all(isinstance(value, str) for value in leaf.values):
            continue
        if (bus == _GITHUB) != (_GITHUB in leaf.values):
            what = f"GitHub's webhooks have the source `github` and arrive on the bus `github`; this rule's is `{bus}`"
            yield Trap("github-bus", leaf.keys, what, "name that bus and that source together, or neither")
            return


def _operator(value: Any) -> tuple[str, Any]:
    """
    Return the operator of a match expression and its argument; no operator for a plain value.
    """
    if isinstance(value, Mapping) and len(value) == 1:
        ((operator, argument),) = value.items()
        return operator, argument
    return "", value


def _text_of(argument: Any) -> str:
    """
    Return the text that prefix and suffix look for, also where they do not look at the case.
    """
    inside = _operator(argument)[1]
    return inside if isinstance(inside, str) else "?"


def _texts(argument: Any) -> list[Any]:
    return argument if isinstance(argument, list) else [argument]


def _excluded(argument: Any) -> frozenset[Any]:
    """
    Return the values that an anything-but excludes by name.
    """
    return frozenset() if isinstance(argument, Mapping) else frozenset(_texts(argument))


def _plain(leaf: Leaf) -> frozenset[Any]:
    return frozenset(value for value in leaf.values if isinstance(value, str | int | float))


def _asks_exists(value: Any, *, there: bool) -> bool:
    return isinstance(value, Mapping) and value.get("exists") is there
