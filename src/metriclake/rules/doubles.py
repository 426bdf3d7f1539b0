"""
Decide which numbers are one and the same.

Numbers are doubles. A number that no double spells (9007199254740993) equals only the same integer. An event's
fraction has been decoded to a double before it gets here, so the spelling of an odd one is lost.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Hashable
from decimal import Decimal, InvalidOperation
from typing import Any

COMPARISONS = ("=", "<", "<=", ">", ">=")
"""The operators of `numeric`."""

_EXACT_INTEGERS = 2**53
_MORE_DIGITS = 10**17
"""From here on an integer has more digits than the shortest decimal of a double, which then ends with zeros."""

_GREATEST = sys.float_info.max


def double_of(spelling: str) -> float | None:
    """
    Return the double that a JSON number spells exactly, by the shortest decimal of that double; None without one.
    """
    double = float(spelling)
    if spelling == repr(double) or (len(spelling) < 16 and spelling.isdigit()):
        return double
    try:
        same = Decimal(spelling) == Decimal(repr(double))
    except InvalidOperation:
        return None
    return double if same else None


def double_in(value: Any) -> float | None:
    """
    Return the double of an event's number; None for what is no number, or an integer that no double spells.
    """
    if type(value) is float:
        return value
    if type(value) is not int:
        return None
    if -_EXACT_INTEGERS <= value <= _EXACT_INTEGERS:
        return float(value)
    if value % 10 and abs(value) >= _MORE_DIGITS:
        return None
    try:
        double = float(value)
    except OverflowError:
        return None
    return double if Decimal(value) == Decimal(repr(double)) else None


def integer_key(value: int) -> Hashable:
    """
    Return what stands for an integer that no double spells: equal to itself, and to no double.
    """
    return ("integer", value)


def ends_of(operator: str, bound: float) -> tuple[float, float]:
    """
    Return the least and the greatest double that an operator accepts; infinity is no number of JSON.
    """
    return {
        "=": (bound, bound),
        "<": (-_GREATEST, math.nextafter(bound, -math.inf)),
        "<=": (-_GREATEST, bound),
        ">": (math.nextafter(bound, math.inf), _GREATEST),
        ">=": (bound, _GREATEST),
    }[operator]


def between(least: float, greatest: float) -> Callable[[Any], bool]:
    """
    Return a test of numbers from the least to the greatest, both included.
    """

    def accepts(value: Any) -> bool:
        if type(value) is float:
            return least <= value <= greatest
        double = double_in(value)
        return double is not None and least <= double <= greatest

    return accepts
