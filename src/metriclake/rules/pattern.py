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

from metriclake.rules.arrays import Layout, any_satisfied
from metriclake.rules.jsontext import Tokens
from metriclake.rules.matchers import Accepts, Leaf, read_leaf

MOST_LEVELS = 50
MOST_PATHS = 256
MOST_COMBINATIONS = 1000

_RESERVED_IN_OR = frozenset({
    "exactly", "equals-ignore-case", "prefix", "suffix", "anything-but", "exists", "wildcard", "numeric", "cidr",
    "=", "<", "<=", ">", ">=", "regex", "not-wildcard", "not-equals-ignore-case", "date-after", "date-on-or-after",
    "date-before", "date-on-or-before", "in-date-range", "ip-address-in-range", "ip-address-not-in-range",
})  # fmt: skip

_MISSING: Final = object()

_Verdict = bool | None
_Test = Callable[[Any], _Verdict]
"""A test of one path; None where an array of objects lies on the path and the path alone cannot tell."""

_SubRule = dict[str, Leaf]


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
    def compile(cls, pattern: str | Mapping[str, Any]) -> Pattern:
        """
        Compile a pattern from its JSON text or the decoded mapping.

        Text is better where there is a choice: it keeps the spelling of numbers, and gives a refusal its place.

        Raises:
            InvalidPattern: The pattern is refused; EventBridge's words stand on the first line.

        """
        rules = _Reader(pattern).document()
        tests: dict[tuple[str, int], _Test] = {}
        ways = tuple(_way(rule, tests) for rule in rules)
        return cls(ways, Layout(dict.fromkeys(path for way in ways for path in way.paths)))

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
            strings = next((leaf.strings for name, leaf in way.leaves if name == path), None)
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


class _Reader:
    """
    Read a pattern's tokens into its sub-rules.
    """

    def __init__(self, pattern: Any) -> None:
        self._tokens = Tokens(pattern)
        self._paths: set[str] = set()
        self._levels = 0

    def document(self) -> list[_SubRule]:
        """
        Read the whole pattern.
        """
        if self._tokens.next().kind != "{":
            self._tokens.refuse("Filter is not an object", 'A pattern is an object: {"source": ["findings"]}.')
        rules = self._object([], (), in_or=False)
        if self._tokens.next().kind != "end":
            self._tokens.refuse("Filter is not an object", "There is text behind the end of the pattern.")
        return rules

    def _object(self, rules: list[_SubRule], names: tuple[str, ...], *, in_or: bool) -> list[_SubRule]:
        """
        Read an object up to its closing bracket; the opening one has been read.
        """
        self._levels += 1
        if self._levels > MOST_LEVELS:
            self._refuse_depth()
        token = self._tokens.next()
        if token.kind == "}":
            self._tokens.refuse("Empty objects are not allowed", "Name at least one key, or leave the object out.")
        while token.kind != "}":
            rules = self._member(rules, names, token.text, in_or=in_or)
            token = self._tokens.next()
        self._levels -= 1
        return rules

    def _member(self, rules: list[_SubRule], names: tuple[str, ...], name: str, *, in_or: bool) -> list[_SubRule]:
        """
        Read what stands behind a key.
        """
        if name == "$or":
            return self._or(rules, names)
        if in_or and name in _RESERVED_IN_OR:
            self._tokens.refuse(f"{name} is Ruler reserved fieldName which cannot be used inside $or.")
        token = self._tokens.next()
        if token.kind == "{":
            return self._object(rules, (*names, name), in_or=in_or)
        if token.kind == "[":
            return self._leaf(rules, ".".join((*names, name)))
        return self._tokens.refuse(f'"{name}" must be an object or an array', f'Write "{name}": [...].')

    def _leaf(self, rules: list[_SubRule], path: str) -> list[_SubRule]:
        """
        Read a leaf into every sub-rule; a later leaf of the same path replaces an earlier one.
        """
        self._paths.add(path)
        if path.count(".") >= MOST_LEVELS:
            self._refuse_depth()
        if len(self._paths) > MOST_PATHS:
            self._tokens.refuse(f"A pattern looks at {MOST_PATHS} paths at most", "Make it several rules.")
        leaf = read_leaf(self._tokens)
        rules = rules or [{}]
        for rule in rules:
            rule[path] = leaf
        return rules

    def _or(self, rules: list[_SubRule], names: tuple[str, ...]) -> list[_SubRule]:
        """
        Read the branches of an `$or`, each with its own copy of the sub-rules so far.
        """
        if self._tokens.next().kind != "[":
            self._tokens.refuse("It must be an Array followed with $or.")
        together: list[_SubRule] = []
        branches = 0
        while (token := self._tokens.next()).kind != "]":
            if token.kind != "{":
                self._tokens.refuse("Only JSON object is allowed in array of $or relationship.")
            branches += 1
            together += self._object([dict(rule) for rule in rules] or [{}], names, in_or=True)
            if len(together) > MOST_COMBINATIONS:
                self._tokens.refuse(f"The $or of a pattern have {MOST_COMBINATIONS} combinations at most")
        if branches < 2:
            self._tokens.refuse("There must have at least 2 Objects in $or relationship.")
        return together

    def _refuse_depth(self) -> None:
        self._tokens.refuse(f"A pattern has {MOST_LEVELS} levels at most", "A dot in a key makes a level, too.")


def _way(rule: _SubRule, tests: dict[tuple[str, int], _Test]) -> _Way:
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
