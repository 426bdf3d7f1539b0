"""
Decide which texts a wildcard pattern accepts.

A `*` stands for any run of characters, none included; behind a backslash, a star or a backslash stands for itself. The
whole text has to match. The pieces between the stars are looked for one after the other, each at its first place: no
choice is ever taken back, so a text costs no more than looking for each piece once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

HINT = "One * stands for any run of characters; a * or \\ that means itself is written \\\\* or \\\\\\\\ in JSON."


class Wildcard(NamedTuple):
    """
    A wildcard pattern: the pieces of text between its stars; one piece where it has no star.
    """

    pieces: tuple[str, ...]

    def test(self) -> Callable[[Any], bool]:
        """
        Return a test of whether a value is a text that this accepts.
        """
        first, *between, last = self.pieces if len(self.pieces) > 1 else ("", "")
        if len(self.pieces) == 1:
            return frozenset(self.pieces).__contains__
        inner = tuple(between)
        if not first and not last and len(inner) == 1:
            return _holding(inner[0])
        shortest = len(first) + len(last)

        def accepts(value: Any) -> bool:
            if type(value) is not str or len(value) < shortest:
                return False
            return value.startswith(first) and value.endswith(last) and _in_turn(inner, value, len(first), len(last))

        return accepts


def wildcard_of(text: str) -> Wildcard:
    """
    Return the wildcard pattern that a text spells.

    Raises:
        ValueError: The text spells none; EventBridge's reason, which counts bytes from 0 with the quote before them.

    """
    pieces, piece = [], ""
    at = 0
    while at < len(text):
        char, following = text[at], text[at + 1 : at + 2]
        if char == "*":
            if following == "*":
                raise ValueError(f"Consecutive wildcard characters at pos {_position(text, at)}")
            pieces.append(piece)
            piece = ""
        elif char != "\\":
            piece += char
        elif following and following in "*\\":
            piece += following
            at += 1
        else:
            raise ValueError(f"Invalid escape character at pos {_position(text, at)}")
        at += 1
    return Wildcard((*pieces, piece))


def _position(text: str, at: int) -> int:
    return 1 + len(text[:at].encode("utf-8", "surrogatepass"))


def _holding(piece: str) -> Callable[[Any], bool]:
    return lambda value: type(value) is str and piece in value


def _in_turn(pieces: tuple[str, ...], value: str, start: int, tail: int) -> bool:
    """
    Tell whether the pieces follow one another between the value's start and tail.
    """
    end = len(value) - tail
    for piece in pieces:
        found = value.find(piece, start, end)
        if found < 0:
            return False
        start = found + len(piece)
    return True
