"""
The values of a template, each with the line it stands on.

A number keeps its spelling: CloudFormation turns 4.0 into 4, and a pattern may mean the one and not the other. What
cannot be known from the template alone is a value too: `Reference` to a resource that deployment makes, `Unknown` with
its reason, `Mixed` for text with such holes in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from metriclake.importing.limits import MOST_CHARACTERS

_JSON_NUMBER = re.compile(r"(-?(?:0|[1-9][0-9]*))(\.[0-9]+)?(?:[eE]([+-]?)([0-9]+))?")
_MOST_DIGITS = 4000


@dataclass(frozen=True, slots=True)
class Number:
    """
    A number as JSON spells it.
    """

    text: str

    @property
    def value(self) -> int | float:
        """
        Return the number itself; beyond a double's range, infinity.
        """
        whole = self.text.lstrip("-").isdigit() and len(self.text) <= _MOST_DIGITS
        return int(self.text) if whole else float(self.text)

    @property
    def in_yaml(self) -> str:
        """
        Return the spelling that YAML 1.1 reads as the same number: the same one, but for a power without a point.
        """
        match = _JSON_NUMBER.fullmatch(self.text)
        if match is None or match[4] is None:
            return self.text
        return f"{match[1]}{match[2] or '.0'}e{match[3] or '+'}{match[4]}"


@dataclass(frozen=True, slots=True)
class Reference:
    """
    An attribute of a resource of the template; `Ref` for what its reference alone gives.
    """

    resource: str
    attribute: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """
    A value that the template does not tell, and why; `is_word` if it is sure to have no `:` and no `/` in it.
    """

    reason: str
    is_word: bool = False


@dataclass(frozen=True, slots=True)
class Mixed:
    """
    Text of which some parts are not known.
    """

    parts: tuple[Part, ...]


Part: TypeAlias = "str | Reference | Unknown"
Value: TypeAlias = "str | bool | Number | Reference | Unknown | Mixed | dict[str, Node] | list[Node] | None"


@dataclass(frozen=True, slots=True)
class Node:
    """
    A value and its line, counted from 1: the line of its key where it has one.
    """

    value: Value
    line: int

    def get(self, *keys: str) -> Node | None:
        """
        Return what lies below the keys of nested mappings, None where there is nothing.
        """
        node: Node | None = self
        for key in keys:
            if node is None or not isinstance(node.value, dict):
                return None
            node = node.value.get(key)
        return node

    def items(self) -> Iterator[tuple[str, Node]]:
        """
        Yield a mapping's entries; of anything else none.
        """
        if isinstance(self.value, dict):
            yield from self.value.items()

    def elements(self) -> Iterator[Node]:
        """
        Yield a list's elements; of anything else none.
        """
        if isinstance(self.value, list):
            yield from self.value


class Unresolved(Exception):  # noqa: N818 - technically not an error: a verdict on one value
    """
    A value cannot be told from the template: on which line it stands, and why.
    """

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line
        self.reason = reason


def parts_of(node: Node) -> tuple[Part, ...]:
    """
    Return a value as it goes into a text: what is known of it, and what is not.
    """
    value = node.value
    if isinstance(value, str | Reference | Unknown):
        return (value,)
    if isinstance(value, Mixed):
        return value.parts
    if isinstance(value, Number):
        return (value.text,)
    if isinstance(value, bool):
        return ("true" if value else "false",)
    return (Unknown(f"is {kind(node)}, where text is needed"),)


def joined(parts: Iterable[Part]) -> str | Mixed | Unknown:
    """
    Return the text of several parts; of text that would be too long, only that it is.
    """
    whole: list[Part] = []
    for part in parts:
        if isinstance(part, str) and whole and isinstance(whole[-1], str):
            whole[-1] += part
        else:
            whole.append(part)
        last = whole[-1]
        if len(whole) > MOST_CHARACTERS or (isinstance(last, str) and len(last) > MOST_CHARACTERS):
            return Unknown(f"becomes longer than {MOST_CHARACTERS:,} characters")
    if not whole:
        return ""
    first = whole[0]
    return first if len(whole) == 1 and not isinstance(first, Reference) else Mixed(tuple(whole))


def number_text(text: str) -> str | None:
    """
    Return a number's text if JSON spells numbers so, None otherwise.
    """
    return text if _JSON_NUMBER.fullmatch(text) else None


def kind(node: Node) -> str:
    """
    Return what a value is, in words for a message.
    """
    names: dict[type[Any], str] = {
        str: "text", bool: "true or false", Number: "a number", list: "a list", dict: "a mapping", Mixed: "text",
        Reference: "a reference to a resource", Unknown: "a value that is not known",
    }  # fmt: skip
    return "empty" if node.value is None else names[type(node.value)]
