"""
Decide whether an event matches an EventBridge event pattern.

Dots in names and nesting are one and the same, in the pattern and in the event. A pattern compiles to sub-rules, one
for each way through its `$or`s; a sub-rule holds one leaf a dotted path, and all of its leaves have to be satisfied.

The ordinary event has no array of objects on a pattern's paths: then each path is decided on its own, by a walk to
that path alone. Where such an array is met, `arrays` decides.

Limits, so that no pattern and no event costs more than it should: `MOST_LEVELS` names in a path and levels in a
pattern, `MOST_PATHS` paths and `MOST_COMBINATIONS` sub-rules, refused with InvalidPattern; the ones of `arrays` for
events, refused with EventTooComplex. What an event holds off the pattern's paths costs nothing, however deep.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, final

from metriclake._errors import InvalidPattern
from metriclake.rules.arrays import Layout, any_satisfied
from metriclake.rules.complexity import complexity_of
from metriclake.rules.jsontext import REFUSED
from metriclake.rules.leaf import Accepts, Leaf
from metriclake.rules.reader import SubRule, read_pattern
from metriclake.rules.wildcards import Wildcard

_TOO_COMPLEX = (
    "Rule is too complex - try using fewer wildcard characters or fewer repeating character sequences after a "
    "wildcard character"
)

_MISSING: Final = object()

_Verdict = bool | None
_Test = Callable[[Any], _Verdict]
"""A test of one path; None where an array of objects lies on the path and the path alone cannot tell."""


@dataclass(frozen=True, slots=True)
class _Way:
    """
    One way to match: `leaves` in the order that arrays are settled in, `tests` without those already known to hold.
    """

    leaves: tuple[tuple[str, Leaf], ...]
    tests: tuple[_Test, ...]
    paths: tuple[str, ...]

    def given(self, values: Mapping[str, str]) -> _Way:
        """
        Return this way without the tests of paths whose value is known.
        """
        kept = [(test, path) for test, path in zip(self.tests, self.paths, strict=True) if path not in values]
        return _Way(self.leaves, tuple(test for test, _ in kept), tuple(path for _, path in kept))


@final
class Pattern:
    """
    A compiled event pattern.
    """

    __slots__ = ("_layout", "_ways")

    def __init__(self, ways: tuple[_Way, ...], layout: Layout) -> None:
        self._ways = ways
        self._layout = layout

    @classmethod
    def compile(cls, pattern: str | Mapping[str, Any], *, most_complex: int | None = None) -> Pattern:
        """
        Compile a pattern from its JSON text or the decoded mapping.

        Text is better where there is a choice: it keeps the spelling of numbers, and gives a refusal its place.

        Args:
            pattern: The JSON text, or what it decodes to.
            most_complex: Refuse a greater `wildcard_complexity`; EventBridge's own limit is
                `EVENTBRIDGE_MOST_COMPLEX`. Here a complex wildcard costs no more than another, so none is refused
                unless asked for.

        Raises:
            InvalidPattern: The pattern is refused; EventBridge's words stand on the first line.

        """
        rules = read_pattern(pattern)
        tests: dict[tuple[str, int], _Test] = {}
        ways = tuple(_way(rule, tests) for rule in rules)
        compiled = cls(ways, Layout(dict.fromkeys(path for way in ways for path in way.paths)))
        if most_complex is not None and compiled.wildcard_complexity > most_complex:
            raise InvalidPattern(REFUSED + _TOO_COMPLEX, f"Its complexity is {compiled.wildcard_complexity}, "
                                                         f"and {most_complex} is allowed.")  # fmt: skip
        return compiled

    @property
    def wildcard_complexity(self) -> int:
        """
        How complex EventBridge holds the wildcards to be: the greatest measure of a path, 0 without wildcards.
        """
        wildcards: dict[str, set[Wildcard]] = {}
        for way in self._ways:
            for path, leaf in way.leaves:
                wildcards.setdefault(path, set()).update(leaf.wildcards)
        return max(map(complexity_of, wildcards.values()), default=0)

    @property
    def paths(self) -> frozenset[str]:
        """
        The dotted paths that this pattern looks at.
        """
        return frozenset(path for way in self._ways for path, _ in way.leaves)

    def matches(self, event: Mapping[str, Any]) -> bool:
        """
        Tell whether a decoded event matches.

        Raises:
            EventTooComplex: The event's arrays are beyond the limits.

        """
        if type(event) is not dict:
            event = dict(event)
        unsure = []
        for way in self._ways:
            doubt = False
            for test in way.tests:
                verdict = test(event)
                if verdict is None:
                    doubt = True
                elif not verdict:
                    break
            else:
                if not doubt:
                    return True
                unsure.append(way.leaves)
        return bool(unsure) and any_satisfied(unsure, self._layout.values(event))

    @property
    def certain(self) -> bool:
        """
        Tell whether every event matches: a pattern whose tests are all given.
        """
        return any(not way.tests for way in self._ways)

    def demands(self, path: str) -> frozenset[str] | None:
        """
        Return the texts of which a top-level path must hold one in every matching event; None where it need not.
        """
        demanded: set[str] = set()
        for way in self._ways:
            strings = next((_texts(leaf) for name, leaf in way.leaves if name == path), None)
            if strings is None:
                return None
            demanded |= strings
        return frozenset(demanded)

    def given(self, values: Mapping[str, str]) -> Pattern:
        """
        Return a pattern for those events only whose top-level texts are known, without the tests of them.
        """
        ways = (
            way.given(values)
            for way in self._ways
            if all(leaf.accepts(values[path]) for path, leaf in way.leaves if path in values)
        )
        return Pattern(tuple(ways), self._layout)


def _texts(leaf: Leaf) -> frozenset[str] | None:
    """
    Return the texts that a leaf accepts where it accepts nothing but texts; None otherwise.
    """
    if leaf.keys is None:
        return None
    texts = frozenset(key for key in leaf.keys if isinstance(key, str))
    return texts if len(texts) == len(leaf.keys) else None


def _way(rule: SubRule, tests: dict[tuple[str, int], _Test]) -> _Way:
    """
    Return a sub-rule ready to be matched; `tests` holds those that other sub-rules have made already.
    """
    leaves = tuple(sorted(rule.items(), key=lambda item: item[0].encode("utf-16-be", "surrogatepass")))
    # The shallow paths first: source and detail-type tell most rules apart.
    paths = tuple(sorted(rule, key=lambda path: path.count(".")))
    for path in paths:
        if (path, id(rule[path])) not in tests:
            tests[path, id(rule[path])] = _test(path, rule[path])
    return _Way(leaves, tuple(tests[path, id(rule[path])] for path in paths), paths)


def _test(path: str, leaf: Leaf) -> _Test:
    """
    Return the test of one path by itself.
    """
    accepted = _walk(path, leaf.accepts)
    if not leaf.absent:
        return accepted
    present = _walk(path, lambda _value: True)

    def test(event: Any) -> _Verdict:
        there = present(event)
        if there is False:
            return True
        verdict = accepted(event)
        return verdict or (None if there is None else verdict)

    return test


def _walk(path: str, accepts: Accepts) -> _Test:
    """
    Return a test of whether some value at the path is accepted, every cut of the path into keys considered.
    """
    names = path.split(".")
    tests = [_ending(accepts)]
    for start in reversed(range(len(names))):
        follow = {".".join(names[start : start + length]): tests[-length] for length in range(1, len(tests) + 1)}
        tests.append(_following(tuple(follow.items())))
    return tests[-1]


def _ending(accepts: Accepts) -> _Test:
    """
    Return the test of what stands at the end of a path.
    """

    def test(value: Any) -> _Verdict:
        kind = type(value)
        if kind is str:
            return accepts(value)
        if kind is list:
            return _any_element(value, accepts)
        return kind is not dict and accepts(value)

    return test


def _any_element(array: list[Any], accepts: Accepts) -> _Verdict:
    """
    Test an array's scalars; None where they do not do and it holds objects or arrays.
    """
    doubt = False
    for value in array:
        if isinstance(value, dict | list):
            doubt = True
        elif accepts(value):
            return True
    return None if doubt else False


def _following(keys: tuple[tuple[str, _Test], ...]) -> _Test:
    """
    Return the test of a point on a path, from the keys that may follow and the tests behind them.
    """

    def test(node: Any) -> _Verdict:
        if type(node) is not dict:
            return _no_object(node)
        doubt = False
        for key, behind in keys:
            value = node.get(key, _MISSING)
            if value is not _MISSING:
                verdict = behind(value)
                if verdict:
                    return True
                if verdict is None:
                    doubt = True
        return None if doubt else False

    return test


def _no_object(node: Any) -> _Verdict:
    """
    Return the verdict where an object was looked for: open where an array may hold some.
    """
    return None if isinstance(node, list) and any(isinstance(value, dict | list) for value in node) else False
