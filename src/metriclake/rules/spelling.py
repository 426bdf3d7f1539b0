"""
Spell values as JSON for people, never longer than a line.
"""

from __future__ import annotations

import json
from typing import Any

LONGEST = 200
"""How many characters are shown of a leaf, and of one value."""

_CUT = "…"


def spelled(value: Any) -> str:
    """
    Return a scalar as JSON, cut where it is long; a list or an object by its kind only.
    """
    if isinstance(value, str):
        return json.dumps(value[:LONGEST], ensure_ascii=False) + (_CUT if len(value) > LONGEST else "")
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "an array" if value else "an empty array"
    if isinstance(value, int) and abs(value) >= 10**LONGEST:
        return "a very large number"
    return json.dumps(value)


class Spelling:
    """
    A leaf as JSON, put together again of its tokens while they are read.
    """

    __slots__ = ("_length", "_parts", "_separate")

    def __init__(self) -> None:
        self._parts = ["["]
        self._length = 1
        self._separate = False

    def add(self, kind: str, text: str) -> None:
        """
        Add a token by its kind and text; what goes beyond the longest is left out.
        """
        if self._length > LONGEST:
            return
        part = json.dumps(text[:LONGEST], ensure_ascii=False) if kind in {"key", "string"} else text[:LONGEST]
        separator = ", " if self._separate and kind not in {"]", "}"} else ""
        self._parts.append(separator + part + (": " if kind == "key" else ""))
        self._length += len(self._parts[-1])
        self._separate = kind not in {"[", "{", "key"}

    def __str__(self) -> str:
        """
        Return what was added, cut where it is long.
        """
        whole = "".join(self._parts)
        return whole if len(whole) <= LONGEST else whole[:LONGEST] + _CUT
