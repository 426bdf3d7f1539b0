"""
How much of a template is read, and the refusal of more: a template may come from anywhere.
"""

from __future__ import annotations

from metriclake._errors import Fault, InvalidTemplate

MOST_BYTES = 1024 * 1024
"""CloudFormation's own limit of a template."""

MOST_LEVELS = 64
"""How deep values may be nested, and how many others one may lead through."""

MOST_VALUES = 200_000
"""How many values a template may hold or lead to, each alias counted as what it stands for."""

MOST_CHARACTERS = 65_536
"""Longest text that a value may become: a template's text may grow by being put together, this is where it ends."""


def refusal(name: str, line: int | None, what: str, hint: str = "") -> InvalidTemplate:
    """
    Return the refusal of a template, at a line of its file where there is one.
    """
    return InvalidTemplate((Fault(name if line is None else f"{name}:{line}", what, hint),))


def unsound(text: str) -> str:
    """
    Return what is wrong with the characters of a text, nothing where they can be written to any file.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return "holds half of a surrogate pair, which is no character"
    return "holds a NUL character" if "\x00" in text else ""


def shown(text: str) -> str:
    """
    Return a name for a message: as it is if it is short and printable.
    """
    return text if len(text) <= 80 and text.isprintable() else "…"


class Budget:
    """
    How many values may still be looked at.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._left = MOST_VALUES

    def take(self) -> None:
        """
        Count one value.

        Raises:
            InvalidTemplate: The template's references lead to more values than it may hold.

        """
        self._left -= 1
        if self._left < 0:
            raise refusal(self._name, None, f"its references lead to more than {MOST_VALUES:,} values")
