"""
Decide which texts are equal but for the case of their letters.

As in EventBridge, each character of the pattern stands for its lower and its upper form, whatever their length: a
pattern's `ß` accepts `ß` and `SS`, a pattern's `SS` accepts no `ß`. Characters beyond the first 65,536 have one form.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_LAST_OF_ONE_UNIT = "\uffff"


def forms(char: str) -> tuple[str, ...]:
    """
    Return the forms that a character of a pattern stands for.
    """
    return (char,) if char > _LAST_OF_ONE_UNIT else tuple({char.lower(), char.upper()})


def equal_but_for_case(text: str) -> Callable[[Any], bool]:
    """
    Return a test of texts that equal this one. For ASCII, comparing `lower()` does the same at less cost.
    """
    end = _end_of(text)
    return lambda value: type(value) is str and end(value) == len(value)


def begins_but_for_case(text: str) -> Callable[[Any], bool]:
    """
    Return a test of texts that begin so.
    """
    end = _end_of(text)
    return lambda value: type(value) is str and end(value) >= 0


def ends_but_for_case(text: str) -> Callable[[Any], bool]:
    """
    Return a test of texts that end so.
    """
    backwards = [forms(char) for char in reversed(text)]

    def accepts(value: Any) -> bool:
        if type(value) is not str:
            return False
        at = len(value)
        for several in backwards:
            for form in several:
                if value.endswith(form, 0, at):
                    at -= len(form)
                    break
            else:
                return False
        return True

    return accepts


def _end_of(text: str) -> Callable[[str], int]:
    """
    Return a function that tells where this text, at the start of a value, ends in it; -1 where it is not there.

    No form of a character begins or ends with its other form, so the first that fits is the only one.
    """
    forwards = [forms(char) for char in text]

    def end(value: str) -> int:
        at = 0
        for several in forwards:
            for form in several:
                if value.startswith(form, at):
                    at += len(form)
                    break
            else:
                return -1
        return at

    return end
