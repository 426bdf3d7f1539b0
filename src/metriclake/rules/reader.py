"""
Read an event pattern into its sub-rules: one for each way through its `$or`s, each with one leaf a dotted path.

Keys are read in their order, and a later leaf of a path replaces an earlier one, in a sub-rule that an `$or` began as
well. What is read is limited, so that reading a hostile pattern ends soon, and so does matching it: `MOST_CHARACTERS`
of keys and values, `MOST_LEVELS` of nesting and names in a path, `MOST_PATHS` and `MOST_COMBINATIONS`, all of them well
above what EventBridge takes.
"""

from __future__ import annotations

from typing import Any

from metriclake.rules.jsontext import Token, Tokens
from metriclake.rules.leaf import Leaf
from metriclake.rules.matchers import read_leaf

MOST_CHARACTERS = 131_072
"""How many characters a pattern's text may have, or the keys and values of a decoded one; EventBridge takes 4,096."""

MOST_LEVELS = 50
"""How many objects may lie in each other, and how many names one path may have."""

MOST_PATHS = 256
"""How many paths a pattern may look at, as in EventBridge."""

MOST_COMBINATIONS = 1000
"""How many ways there may be through the `$or`s of a pattern, as in EventBridge."""

_MOST_LEAVES = MOST_PATHS * MOST_COMBINATIONS
"""How often a leaf may be put into a sub-rule: once for each path of each of them."""

_RESERVED_IN_OR = frozenset({
    "exactly", "equals-ignore-case", "prefix", "suffix", "anything-but", "exists", "wildcard", "numeric", "cidr",
    "=", "<", "<=", ">", ">=", "regex", "not-wildcard", "not-equals-ignore-case", "date-after", "date-on-or-after",
    "date-before", "date-on-or-before", "in-date-range", "ip-address-in-range", "ip-address-not-in-range",
})  # fmt: skip
_OR = 'Write "$or": [{"a": ["x"]}, {"b": ["y"]}], with two objects or more.'

SubRule = dict[str, Leaf]


def read_pattern(pattern: Any) -> list[SubRule]:
    """
    Return the sub-rules of a pattern, given as JSON text or decoded.

    Raises:
        InvalidPattern: The pattern is refused; EventBridge's words stand on the first line.

    """
    return _Reader(pattern).document()


class _Reader:
    """
    Read a pattern's tokens into its sub-rules.
    """

    def __init__(self, pattern: Any) -> None:
        self._tokens = Tokens(pattern, MOST_CHARACTERS)
        self._paths: set[str] = set()
        self._levels = 0
        self._read = 0
        self._leaves = 0

    def document(self) -> list[SubRule]:
        """
        Read the whole pattern.
        """
        if self._tokens.next().kind != "{":
            self._tokens.refuse("Filter is not an object", 'A pattern is an object: {"source": ["findings"]}.')
        rules = self._object([], (), in_or=False)
        if self._tokens.next().kind != "end":
            self._tokens.refuse("Filter is not an object", "There is text behind the end of the pattern.")
        return rules

    def _object(self, rules: list[SubRule], names: tuple[str, ...], *, in_or: bool) -> list[SubRule]:
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
            rules = self._member(rules, names, token, in_or=in_or)
            token = self._tokens.next()
        self._levels -= 1
        return rules

    def _member(self, rules: list[SubRule], names: tuple[str, ...], key: Token, *, in_or: bool) -> list[SubRule]:
        """
        Read what stands behind a key.
        """
        name = key.text
        if name == "$or":
            return self._or(rules, names)
        if in_or and name in _RESERVED_IN_OR:
            self._tokens.refuse(
                f"{name} is Ruler reserved fieldName which cannot be used inside $or.",
                f'An operator stands in an array, behind the field that it tests: {{"field": [{{"{name}": ...}}]}}.',
            )
        token = self._tokens.next()
        if token.kind == "{":
            return self._object(rules, (*names, name), in_or=in_or)
        if token.kind == "[":
            return self._leaf(rules, ".".join((*names, name)))
        return self._tokens.refuse(
            f'"{name}" must be an object or an array', f'Write "{name[:100]}": [...], also for one value.'
        )

    def _leaf(self, rules: list[SubRule], path: str) -> list[SubRule]:
        """
        Read a leaf into every sub-rule.
        """
        self._paths.add(path)
        if path.count(".") >= MOST_LEVELS:
            self._refuse_depth()
        if len(self._paths) > MOST_PATHS:
            self._tokens.refuse(f"A pattern looks at {MOST_PATHS} paths at most", "Make it several rules.")
        self._read += 1
        leaf = read_leaf(self._tokens, self._read)
        rules = rules or [{}]
        self._leaves += len(rules)
        if self._leaves > _MOST_LEAVES:
            self._tokens.refuse("A path of the pattern is replaced too often", "Name each key once.")
        for rule in rules:
            rule[path] = leaf
        return rules

    def _or(self, rules: list[SubRule], names: tuple[str, ...]) -> list[SubRule]:
        """
        Read the branches of an `$or`, each with its own copy of the sub-rules so far.
        """
        if self._tokens.next().kind != "[":
            self._tokens.refuse("It must be an Array followed with $or.", _OR)
        together: list[SubRule] = []
        branches = 0
        while (token := self._tokens.next()).kind != "]":
            if token.kind != "{":
                self._tokens.refuse("Only JSON object is allowed in array of $or relationship.", _OR)
            branches += 1
            together += self._object([dict(rule) for rule in rules] or [{}], names, in_or=True)
            if len(together) > MOST_COMBINATIONS:
                self._tokens.refuse(
                    f"The $or of a pattern have {MOST_COMBINATIONS} combinations at most", "Make it several rules."
                )
        if branches < 2:
            self._tokens.refuse("There must have at least 2 Objects in $or relationship.", _OR)
        return together

    def _refuse_depth(self) -> None:
        self._tokens.refuse(f"A pattern has {MOST_LEVELS} levels at most", "A dot in a key makes a level, too.")
