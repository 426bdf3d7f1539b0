"""
Judge how soon a full journal has room again, from how fast it drained lately. Pure: the clock is an argument.
"""

from __future__ import annotations

import math
from collections import deque

UNKNOWN_SECONDS = 5
"""What is said before anything has drained."""

LONGEST_SECONDS = 60
_KEPT = 8


class Drain:
    """
    The last few times that entries left the journal for the lake.
    """

    def __init__(self) -> None:
        self._left: deque[tuple[float, int]] = deque(maxlen=_KEPT)

    def note(self, size: int, now: float) -> None:
        """
        Take note that `size` bytes have left.
        """
        self._left.append((now, size))

    def seconds_until(self, size: int, now: float) -> int:
        """
        Return in how many whole seconds `size` more bytes will have left, from 1 to 60.

        While nothing leaves, the answer grows.
        """
        left = tuple(self._left)
        if len(left) < 2:
            return UNKNOWN_SECONDS
        drained = sum(amount for _, amount in left[1:])
        if drained <= 0:
            return LONGEST_SECONDS
        return max(1, min(LONGEST_SECONDS, math.ceil(size * (now - left[0][0]) / drained)))
