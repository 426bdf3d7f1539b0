"""
Decide how much the questions of one request may have together: as many intervals, and as many rows, as one alone.

Pure. Fifty questions that are each within what one may have would otherwise take fifty times its memory and time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from typing import TypeVar

from metriclake._errors import Fault, InvalidQuestion, QuestionTooLarge

_Point = TypeVar("_Point")

MAX_POINTS = 100_000
"""Intervals times groups that the answers of one request may have."""


class Points:
    """
    How many points there is room for, of one request.
    """

    def __init__(self, most: int = MAX_POINTS) -> None:
        """
        `most` is what one question may take of it.
        """
        self._most = most
        self._left = most

    def check(self, amount: int, fault: Fault) -> None:
        """
        Check that there is room for so many points, and take nothing.

        Raises InvalidQuestion with the fault where one question may not have so many, QuestionTooLarge where it may and
        the questions beside it have taken too many.
        """
        if amount > self._most:
            raise InvalidQuestion((fault,))
        if amount > self._left:
            what = f"{fault.what}, together with the questions beside it"
            raise QuestionTooLarge((replace(fault, what=what, hint=f"ask it by itself, or {fault.hint}"),))

    def take(self, amount: int, fault: Fault) -> None:
        """
        Take room for so many points. Raises as `check` does, and takes nothing then.
        """
        self.check(amount, fault)
        self._left -= amount

    def taken(self, points: Iterable[_Point], fault: Fault) -> tuple[_Point, ...]:
        """
        Return all of these points, of which none is made that there is no room for.

        Raises as `check` does; what was made until then is taken all the same, since it took its time.
        """
        left = self._left
        found = tuple(islice(points, left + 1))
        self._left = max(0, left - len(found))
        if len(found) > left:
            self.check(len(found), fault)
        return found
