"""
Tell how complex EventBridge holds a pattern's wildcards to be.

Its measure is the most positions that a text can hold open at once in all the wildcard patterns of one field: each byte
and each star is a position, the quotes around the text counted. Trying texts would take for ever, so it is put together
of what such a text does. A star that was reached stays open, and behind it every piece that the end of the text may be
the beginning of. So the worst text passes the first stars of as many patterns as can share one beginning, reaches all
their stars, and then ends so that the most pieces may begin with it. Only where patterns have much text before their
first star can a text that has not passed it be worse: those are read byte by byte.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from metriclake.rules.wildcards import Wildcard

EVENTBRIDGE_MOST_COMPLEX = 10
"""The complexity that EventBridge still takes: 9 was seen to be taken, 11 to be refused."""

MOST_WORK = 500_000
"""How many bytes and positions are looked at; more than 4,096 characters, EventBridge's longest pattern, ever need."""

Rest = Sequence[bytes]
"""The pieces behind the stars of one pattern."""


class _Point:
    """
    A point in a tree of texts: how many of them pass it, those that end in it, and what may follow.
    """

    __slots__ = ("after", "ending", "open", "passing", "shorter")

    def __init__(self) -> None:
        self.after: dict[int, _Point] = {}
        self.passing = 0
        self.ending: list[Rest] = []
        self.shorter: _Point | None = None
        self.open = 0

    def add(self, text: bytes, rest: Rest = ()) -> None:
        """
        Add a text below this point, and what its pattern has behind it.
        """
        point = self
        for byte in text:
            point = point.after.setdefault(byte, _Point())
            point.passing += 1
        if rest:
            point.ending.append(rest)


class _Reading:
    """
    A pattern whose first star was passed: how many stars are open, and the pieces begun, by piece and bytes read.
    """

    __slots__ = ("begun", "rest", "stars")

    def __init__(self, rest: Rest, stars: int = 1, begun: frozenset[tuple[int, int]] = frozenset()) -> None:
        self.rest = rest
        self.stars = stars
        self.begun = begun

    @property
    def open(self) -> int:
        """
        The positions open now.
        """
        return self.stars + len(self.begun)

    def read(self, byte: int) -> _Reading:
        """
        Return what is open after one more byte.
        """
        tried = [*self.begun, *((piece, 0) for piece in range(self.stars))]
        begun = frozenset(
            (piece, read + 1)
            for piece, read in tried
            if read < len(self.rest[piece]) and self.rest[piece][read] == byte
        )
        whole = [piece + 2 for piece, read in begun if read == len(self.rest[piece])]
        return _Reading(self.rest, min(max([self.stars, *whole]), len(self.rest)), begun)


def complexity_of(wildcards: Iterable[Wildcard]) -> int:
    """
    Return EventBridge's measure of these wildcards of one field; at least so much where `MOST_WORK` did not suffice.
    """
    heads = _Point()
    for wildcard in sorted(set(wildcards)):
        head, rest = _quoted(wildcard)
        heads.add(head, rest)
    most = 0
    work = MOST_WORK
    for found, cost in _measures(heads):
        most = max(most, found)
        work -= cost
        if work < 0:
            break
    return most


def _quoted(wildcard: Wildcard) -> tuple[bytes, Rest]:
    """
    Return the bytes before a pattern's first star and the pieces behind its stars, the quotes around all counted.
    """
    first, *rest = wildcard.pieces
    if not rest:
        return f'"{first}"'.encode("utf-8", "surrogatepass"), ()
    rest[-1] += '"'
    return f'"{first}'.encode("utf-8", "surrogatepass"), [piece.encode("utf-8", "surrogatepass") for piece in rest]


def _measures(heads: _Point) -> Iterator[tuple[int, int]]:
    """
    Yield the positions open at each point before a first star, and at worst behind it, with what it took to tell.
    """
    waiting: list[tuple[_Point, tuple[_Reading, ...], tuple[Rest, ...]]] = [(heads, (), ())]
    while waiting:
        point, reading, passed = waiting.pop()
        passed = (*passed, *point.ending)
        reading = (*reading, *map(_Reading, point.ending))
        yield point.passing + sum(one.open for one in reading), 1 + sum(one.open for one in reading)
        # Where a longer beginning passes more stars, it is the worse one.
        if point.ending and not any(following.ending for following in point.after.values()):
            yield _worst_behind(passed), sum(len(piece) for rest in passed for piece in rest)
        waiting.extend(
            (following, tuple(one.read(byte) for one in reading), passed) for byte, following in point.after.items()
        )


def _worst_behind(passed: Sequence[Rest]) -> int:
    """
    Return the most positions open when every star of these patterns was reached.
    """
    pieces = _Point()
    for rest in passed:
        for piece in rest:
            pieces.add(piece)
    most = 0
    waiting: deque[_Point] = deque([pieces])
    while waiting:
        point = waiting.popleft()
        for byte, following in point.after.items():
            shorter = point.shorter
            while shorter is not None and byte not in shorter.after:
                shorter = shorter.shorter
            following.shorter = pieces if shorter is None else shorter.after[byte]
            following.open = following.passing + following.shorter.open
            most = max(most, following.open)
            waiting.append(following)
    return most + sum(len(rest) for rest in passed)
