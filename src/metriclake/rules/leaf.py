"""
Decide whether one value of an event satisfies one leaf of a pattern: the array at the end of a pattern's path.

A leaf's members are alternatives. They are gathered by kind while the leaf is read, so that the finished leaf makes
few tests, however many members it has.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Any

from metriclake.rules.addresses import Block, address_of
from metriclake.rules.doubles import double_in, integer_key
from metriclake.rules.letters import equal_but_for_case
from metriclake.rules.wildcards import Wildcard

LETTERS_A_STEP = 512
"""How many comparisons of letters a step is worth."""

_MOST_COMPARED = 4_000_000
_AT_LENGTH = 16
"""In a long text a piece is looked for in a way that compares so many letters at each place, however long it is."""

Accepts = Callable[[Any], bool]
"""A test of one scalar of an event: text, number, true, false or null."""

WORD_KEYS: dict[bool | None, Hashable] = {True: ("true",), False: ("false",), None: ("null",)}
"""What stands for true, false and null: to Python, true would equal 1."""


def key_of(value: Any) -> Hashable:
    """
    Return what stands for a scalar of an event: two are the same value to EventBridge if these are equal.
    """
    if type(value) is str:
        return value
    if value is None or type(value) is bool:
        return WORD_KEYS[value]
    double = double_in(value)
    if double is not None:
        return double
    return integer_key(value) if type(value) is int else None


@dataclass(frozen=True, slots=True, eq=False)
class Leaf:
    """
    The alternatives of one path: `accepts` a value, or is content where the path is `absent`.

    `keys` holds what stands for the values (see `key_of`) where nothing but these is accepted, for an index; None
    otherwise. `unless` tells that a value of a type that the leaf does not name may be accepted. `wildcards` are the
    wildcard patterns in it, those that exclude as well.

    `text` is the leaf as JSON for people, `position` its place among the leaves of the pattern as it is written.

    `cost` is how many steps (see `arrays`) a test of one value may take; to these come, for a text, comparisons with
    the `letters` of the wildcards' `pieces`.
    """

    accepts: Accepts
    absent: bool
    keys: frozenset[Hashable] | None
    unless: bool
    wildcards: frozenset[Wildcard]
    text: str
    position: int
    cost: int
    letters: int
    pieces: int

    def price(self, value: Any) -> int:
        """
        Return how many steps a test of this value may take.
        """
        if not self.letters or type(value) is not str:
            return self.cost
        letters = min(len(value) * self.letters, self.pieces * (_MOST_COMPARED + _AT_LENGTH * len(value)))
        return self.cost + letters // LETTERS_A_STEP


@dataclass(slots=True)
class Alternatives:
    """
    A leaf while it is read; also, while `anything-but` is read, what that excludes.

    `folded` holds texts of ASCII in lower case, `ranges` tests of numbers, `tests` what fits nowhere else, `spelled`
    being how many letters those compare. `excluded` are the alternatives that the tests of `anything-but` turn round.
    """

    strings: set[str] = field(default_factory=set)
    numbers: set[Hashable] = field(default_factory=set)
    words: set[Hashable] = field(default_factory=set)
    addresses: set[bytes] = field(default_factory=set)
    blocks: list[Block] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    suffixes: list[str] = field(default_factory=list)
    folded: set[str] = field(default_factory=set)
    wildcards: list[Wildcard] = field(default_factory=list)
    ranges: list[Accepts] = field(default_factory=list)
    tests: list[Accepts] = field(default_factory=list)
    excluded: list[Alternatives] = field(default_factory=list)
    spelled: int = 0
    absent: bool = False
    anything: bool = False

    def add_but_for_case(self, text: str) -> None:
        """
        Add a text that is accepted in whatever case.
        """
        if text.isascii():
            self.folded.add(text.lower())
        else:
            self.add_spelled(text, equal_but_for_case(text))

    def add_spelled(self, text: str, test: Accepts) -> None:
        """
        Add a test that compares a text with this one, character by character.
        """
        self.tests.append(test)
        self.spelled += len(text)

    def leaf(self, text: str, position: int) -> Leaf:
        """
        Return the finished leaf.
        """
        keys = frozenset[Hashable]().union(self.strings, self.numbers, self.words)
        kinds = bool(self.strings) + bool(self.numbers or self.words)
        tests = tuple(self._tests())
        return Leaf(
            accepts=_everything if self.anything else _any_of(tests),
            absent=self.absent,
            keys=keys if kinds and kinds == len(tests) and not self.absent and not self.anything else None,
            unless=self.anything or bool(self.excluded),
            wildcards=frozenset(self._all_wildcards()),
            text=text,
            position=position,
            cost=self._cost(),
            letters=sum(len(piece) for one in self._all_wildcards() for piece in one.pieces),
            pieces=sum(len(one.pieces) for one in self._all_wildcards()),
        )

    def _all_wildcards(self) -> Iterable[Wildcard]:
        yield from self.wildcards
        for excluded in self.excluded:
            yield from excluded.wildcards

    def _cost(self) -> int:
        """
        Return how many steps a test of one value may take.
        """
        cost = 1 + 2 * bool(self.numbers) + 2 * len(self.ranges) + len(self.tests) + self.spelled + len(self.wildcards)
        cost += (len(self.prefixes) + len(self.suffixes)) // 8
        cost += len(self.blocks) + 10 * bool(self.addresses or self.blocks)
        return cost + sum(excluded._cost() for excluded in self.excluded)  # noqa: SLF001 - its own kind

    def _tests(self) -> Iterable[Accepts]:
        """
        Yield a test for each kind of alternative that there is, those that cost least first.
        """
        if self.strings:
            yield frozenset(self.strings).__contains__
        if self.numbers or self.words:
            yield _one_of(frozenset(self.numbers | self.words))
        if self.prefixes:
            yield _beginning(tuple(self.prefixes))
        if self.suffixes:
            yield _ending(tuple(self.suffixes))
        if self.folded:
            yield _one_but_for_case(frozenset(self.folded))
        yield from self.ranges
        yield from self.tests
        for wildcard in self.wildcards:
            yield wildcard.test()
        if self.addresses or self.blocks:
            yield _one_of_addresses(frozenset(self.addresses), tuple(self.blocks))
        for excluded in self.excluded:
            yield _none_of(_any_of(tuple(excluded._tests())))  # noqa: SLF001 - its own kind


def accepts_nothing(_value: Any) -> bool:
    """
    Accept no value: the test of a leaf that is content with absence only.
    """
    return False


def _everything(_value: Any) -> bool:
    """
    Accept every value.
    """
    return True


def _none_of(excluded: Accepts) -> Accepts:
    """
    Accept what the other test does not.
    """
    return lambda value: not excluded(value)


def _any_of(tests: tuple[Accepts, ...]) -> Accepts:
    """
    Accept what any of the tests accepts.
    """
    if not tests:
        return accepts_nothing
    if len(tests) == 1:
        return tests[0]

    def accepts(value: Any) -> bool:
        for test in tests:  # noqa: SIM110 - a generator inside any() doubles the cost of this innermost loop
            if test(value):
                return True
        return False

    return accepts


def _one_of(keys: frozenset[Hashable]) -> Accepts:
    """
    Accept some numbers, and some of true, false and null.
    """

    def accepts(value: Any) -> bool:
        kind = type(value)
        return value in keys if kind is float else kind is not str and key_of(value) in keys

    return accepts


def _beginning(prefixes: tuple[str, ...]) -> Accepts:
    """
    Accept texts with one of these beginnings.
    """
    return lambda value: type(value) is str and value.startswith(prefixes)


def _ending(suffixes: tuple[str, ...]) -> Accepts:
    """
    Accept texts with one of these ends.
    """
    return lambda value: type(value) is str and value.endswith(suffixes)


def _one_but_for_case(folded: frozenset[str]) -> Accepts:
    """
    Accept texts of ASCII that are one of these in lower case; a long text is not looked at.
    """
    longest = max(map(len, folded))

    def accepts(value: Any) -> bool:
        return type(value) is str and len(value) <= longest and value.isascii() and value.lower() in folded

    return accepts


def _one_of_addresses(addresses: frozenset[bytes], blocks: tuple[Block, ...]) -> Accepts:
    """
    Accept texts that spell one of the addresses, however they spell it, or an address of one of the blocks.
    """

    def accepts(value: Any) -> bool:
        address = address_of(value) if type(value) is str else None
        if address is None:
            return False
        return address in addresses or address[:4] in addresses or any(block.holds(address) for block in blocks)

    return accepts
