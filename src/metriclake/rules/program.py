"""
Write out, as a Python function, how ways are tried on an event.

Walking lists of tests costs more than the tests. So the lookups of a shape and the tests of the ways stand one after
the other in a function made for them. For two ways that want a `source`, one of them a `detail.size` too, it reads

    def match(event):
        if 'detail.size' in event: return None
        v0 = event.get('source', UNSET)
        o1 = event.get('detail', EMPTY)
        if type(o1) is not dict: return None
        v1 = o1.get('size', UNSET)
        if type(v0) in LISTS or type(v1) in LISTS: return lists((v0, v1,))
        found = []
        if a0(v0): found.append(0)
        if a1(v0) and a2(v1): found.append(1)
        return found if len(found) < 2 else sorted(found)

where `a0`, `a1` and `a2` are the tests of leaves. It returns the numbers of the rules that the event satisfies, and
None for an unusual event. For the part of a text that a shape's decoder takes, the values are attributes of it instead.
For values among which are lists there is a third one, `lists`: it asks for one element that a test accepts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, NamedTuple

from msgspec import UNSET

from metriclake.rules.leaf import key_of
from metriclake.rules.shape import LISTS, Shape, Tree, attribute, dotted, flat
from metriclake.rules.ways import Filed, Trial, satisfied, satisfied_somewhere

Match = Callable[[Any], Sequence[int] | None]
"""Returns the numbers of the rules that something of an event satisfies, ascending; None for an unusual event."""

_MOST_WRITTEN = 64
"""How many ways are written out; more are walked."""

_FEW = 8
"""So few keys with dots are looked for one by one."""


class _Style(NamedTuple):
    """
    How values are tested: a test of one, a look-up of those filed under one, and what walks ways that are not written.
    """

    test: str
    filed: tuple[str, ...]
    satisfied: Callable[[Iterable[Trial], Sequence[Any], list[int]], None]


_SCALARS = _Style(
    "{test}(v{at})",
    (
        "ways = None if v{at} is UNSET else table{at}.get(v{at} if type(v{at}) is str else key_of(v{at}))",
        "if ways: satisfied(ways, {values}, found)",
    ),
    satisfied,
)
_WITH_LISTS = _Style(
    "(any(map({test}, v{at})) if type(v{at}) is list else {test}(v{at}))",
    (
        "for value in v{at} if type(v{at}) is list else (v{at},):",
        "    satisfied(table{at}.get(key_of(value), ()), {values}, found)",
    ),
    satisfied_somewhere,
)


@dataclass(frozen=True, slots=True)
class Plan:
    """
    What a function is written of: the ways, and how many paths they have.

    A text longer than `longest` at one of the paths `searched` makes an event unusual; so does every list where the
    tests are not `light`.
    """

    filed: Filed
    paths: int
    searched: tuple[int, ...]
    longest: int
    light: bool


def of_events(plan: Plan, shape: Shape, lists: Match) -> Match:
    """
    Return the function for decoded events.
    """
    names = {"EMPTY": {}, "lists": lists}
    return _written(plan, (*_lookups(shape.tree, "event", names, count(1)), *_checks(plan)), names, _SCALARS)


def of_parts(plan: Plan, shape: Shape, lists: Match) -> Match:
    """
    Return the function for the parts that a shape's decoder takes of texts, or a larger one's.
    """
    return _written(plan, (*_attributes(shape.tree, "event"), *_checks(plan)), {"lists": lists}, _SCALARS)


def of_lists(plan: Plan) -> Match:
    """
    Return the function for the values at the paths, some of which are lists.
    """
    if plan.searched or not plan.light:
        return lambda _values: None
    return _written(plan, _flattened(plan), {}, _WITH_LISTS)


def _written(plan: Plan, head: Sequence[str], names: dict[str, Any], style: _Style) -> Match:
    """
    Return the function that begins with these lines and goes on with the tests of the ways.
    """
    names |= {"UNSET": UNSET, "LISTS": LISTS, "flat": flat, "key_of": key_of, "satisfied": style.satisfied}
    lines = ["def match(event):", *head, "found = []", *_tests(plan, names, style)]
    lines.append("return found if len(found) < 2 else sorted(found)")
    exec("\n    ".join(lines), names)  # noqa: S102 - made of numbers and quoted keys
    match: Match = names["match"]
    return match


def _lookups(tree: Tree, node: str, names: dict[str, Any], numbers: Iterator[int]) -> Iterator[str]:
    """
    Yield the lines that look up the keys of one object, and of those in it.
    """
    with_dots = list(dotted(tree))
    if len(with_dots) > _FEW:
        names[f"dotted_{node}"] = frozenset(with_dots)
        yield f"if not dotted_{node}.isdisjoint({node}): return None"
    elif with_dots:
        yield f"if {' or '.join(f'{key!r} in {node}' for key in with_dots)}: return None"
    for name, inner in tree.items():
        if isinstance(inner, int):
            yield f"v{inner} = {node}.get({name!r}, UNSET)"
        else:
            below = f"o{next(numbers)}"
            yield f"{below} = {node}.get({name!r}, EMPTY)"
            yield f"if type({below}) is not dict: return None"
            yield from _lookups(inner, below, names, numbers)


def _attributes(tree: Tree, node: str) -> Iterator[str]:
    """
    Yield the lines that take the values out of a part.
    """
    for name, inner in tree.items():
        if isinstance(inner, int):
            yield f"v{inner} = {node}.{attribute(name)}"
        else:
            yield from _attributes(inner, f"{node}.{attribute(name)}")


def _checks(plan: Plan) -> Iterator[str]:
    """
    Yield the lines that let lists and long texts go another way.
    """
    kinds = " or ".join(f"type(v{at}) in LISTS" for at in range(plan.paths))
    yield f"if {kinds}: return lists({_all_values(plan)})"
    for at in plan.searched:
        yield f"if type(v{at}) is str and len(v{at}) > {plan.longest}: return None"


def _flattened(plan: Plan) -> list[str]:
    """
    Return the lines that take the values, here the function's argument, and go on with short lists of scalars only.
    """
    lines = [f"{_all_values(plan)} = event"]
    for at in range(plan.paths):
        lines.append(f"if type(v{at}) in LISTS:")
        lines.append(f"    v{at} = flat(v{at})")
        lines.append(f"    if v{at} is None: return None")
    return lines


def _tests(plan: Plan, names: dict[str, Any], style: _Style) -> Iterator[str]:
    """
    Yield the lines that try the ways: those filed under a value, and the rest.
    """
    for at, table in plan.filed.tables:
        names[f"table{at}"] = table
        for line in style.filed:
            yield line.format(at=at, values=_all_values(plan))
    rest = plan.filed.rest
    if len(rest) > _MOST_WRITTEN or any(trial.shared for trial in rest):
        names["rest"] = rest
        yield f"satisfied(rest, {_all_values(plan)}, found)"
        return
    numbers = count()
    for trial in rest:
        tests = []
        for at, accepts in trial.own:
            name = f"a{next(numbers)}"
            names[name] = accepts
            tests.append(style.test.format(test=name, at=at))
        yield f"if {' and '.join(tests)} and {trial.rule} not in found: found.append({trial.rule})"


def _all_values(plan: Plan) -> str:
    return f"({''.join(f'v{at},' for at in range(plan.paths))})"
