"""
Patterns and events that are made to cost much, or to make something fail: from a seed, as many as are asked for.
"""

from __future__ import annotations

import json
from random import Random
from typing import Any

NAMES = ("a", "b", "c", "a.b", "e", "k", "", ".", "$or", "bus", "\ud800", 'q"\\', "x" * 300)
TEXTS = ("", "x", "xy", "10.0.0.1", "::1", "a" * 50, "\u00df" * 20, "\u0130I", "*", "\\", "1e5", "\ud800", "null")
NUMBERS = (0, 1, -1, 1.5, 2**53 + 1, 2**70, 10**40, -(10**300), 5e-324, 1.7976931348623157e308)

_ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "exactly": ("x",),
    "cidr": ("10.0.0.0/8", "::/0", "0.0.0.0/0", "a00::/16"),
    "numeric": ([">", 0], [">=", -1e300, "<", 1e300], ["=", 2**53]),
    "exists": (True, False),
    "anything-but": ("x", [1, 2], {"wildcard": ["a*b", "*a*"]}, {"prefix": "x"}, {"equals-ignore-case": "\u00df"}),
}


class Hostile:
    """
    Makes patterns and events; `most` is how many elements the largest arrays may have.
    """

    def __init__(self, seed: int, most: int) -> None:
        self._random = Random(seed)  # noqa: S311 - made-up input, the same for a seed
        self._most = most

    def pattern(self) -> Any:
        """
        Return a pattern, decoded or as text; not all of them compile.
        """
        kinds = (*[self._plain] * 5, *[self._branches] * 3, self._deep, self._wide, self._long)
        made = self._random.choice(kinds)()
        if self._random.random() < 0.5:
            return made
        text = json.dumps(made)
        return self.torn(text) if self._random.random() < 0.3 else text

    def event(self) -> dict[str, Any]:
        """
        Return an event, with large or deep values at names that patterns look at.
        """
        return {self._name(): self._value(4) for _ in range(self._random.randint(0, 8))}

    def torn(self, text: str) -> str:
        """
        Return a text with a piece cut out, doubled, or replaced.
        """
        start = self._random.randrange(len(text) + 1)
        end = min(len(text), start + self._random.choice((0, 1, 2, 20)))
        return (
            text[:start]
            + self._random.choice(("", text[start:end] * 2, "[", "{", '"', "\\", "\x00", "1e", "é"))
            + text[end:]
        )

    def _size(self) -> int:
        return int(self._most ** self._random.random())

    def _name(self) -> str:
        return self._random.choice(NAMES[:6] if self._random.random() < 0.9 else NAMES)

    def _text(self) -> str:
        made = self._random.choice(TEXTS)
        return made * min(self._size(), 20_000) if self._random.random() < 0.1 else made

    def _scalar(self) -> Any:
        return self._random.choice((self._text(), self._text(), self._random.choice(NUMBERS), None, True, False))

    def _expression(self) -> Any:
        operator = self._random.choice((*_ARGUMENTS, "prefix", "suffix", "equals-ignore-case", "wildcard"))
        if operator in _ARGUMENTS:
            return {operator: self._random.choice(_ARGUMENTS[operator])}
        if operator == "wildcard":
            pieces = (self._random.choice(("a", "ab", "x", "aab")) for _ in range(self._random.randint(1, 30)))
            return {operator: "*".join(pieces)}
        if operator == "equals-ignore-case" or self._random.random() < 0.7:
            return {operator: self._text() if self._random.random() < 0.99 else self._scalar()}
        return {operator: {"equals-ignore-case": self._text()}}

    def _leaf(self) -> list[Any]:
        many = self._size() if self._random.random() < 0.05 else self._random.randint(1, 6)
        return [self._scalar() if self._random.random() < 0.5 else self._expression() for _ in range(min(many, 3000))]

    def _plain(self) -> dict[str, Any]:
        def made(depth: int) -> Any:
            if depth == 0 or self._random.random() < 0.4:
                return self._leaf()
            return {self._name(): made(depth - 1) for _ in range(self._random.randint(1, 3))}

        return {self._name(): made(2) for _ in range(self._random.choice((1, 1, 2, 4)))}

    def _branches(self) -> dict[str, Any]:
        number = self._random.choice((2, 10, 100, 900))
        ways = [{"e": {"x": self._leaf(), "y": [str(way)]}} for way in range(number)]
        if self._random.random() < 0.7:
            return {**self._plain(), "$or": ways}
        return {"a": {"$or": ways[:10]}, "$or": ways[:90]}

    def _deep(self) -> Any:
        made: Any = self._leaf()
        for _ in range(self._random.choice((10, 49, 60, 300))):
            made = {self._name(): made}
        return made

    def _wide(self) -> dict[str, Any]:
        return {f"k{number}": {self._name(): self._leaf()} for number in range(self._random.choice((20, 200, 400)))}

    def _long(self) -> dict[str, Any]:
        expression = self._expression()
        return {"a": [expression] * self._random.choice((10, 1000, 20_000)), "b": [self._text() * 5]}

    def _value(self, depth: int) -> Any:
        if depth == 0:
            return self._scalar()
        made = self._random.choice(
            (self._scalar, self._scalar, self._many_scalars, self._many_objects, self._nested, self._object)
        )
        return self._object(depth) if made == self._object else made()

    def _object(self, depth: int = 2) -> dict[str, Any]:
        names = [*(self._name() for _ in range(3)), "x", "y", "k7"]
        return {name: self._value(depth - 1) for name in names if self._random.random() < 0.5}

    def _many_scalars(self) -> list[Any]:
        return [self._scalar() for _ in range(5)] * (1 + self._size() // 5)

    def _many_objects(self) -> list[Any]:
        return [self._object(self._random.choice((1, 1, 2))) for _ in range(4)] * (1 + self._size() // 4)

    def _nested(self) -> Any:
        made: Any = self._scalar()
        wide = self._random.random() < 0.3
        for _ in range(self._random.choice((3, 50, 200)) if not wide else self._random.randint(3, 12)):
            made = [made, made] if wide else self._random.choice(([made], {"a": made}, {"b": 1, "a": [made]}))
        return made
