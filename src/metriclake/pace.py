"""
How slowly a body may come or an answer be read: so much in each stretch of patience, or its end.

A rate over the whole would let a sender bring much at first and then nothing for hours.
"""

from __future__ import annotations

LEAST_BYTES = 10_000
"""What must move in each stretch, where there is so much."""


class Pace:
    """
    The stretches of one body or answer; times are seconds of any clock that only goes forward.
    """

    __slots__ = ("_moved", "_patience", "until")

    def __init__(self, patience: float, now: float) -> None:
        """
        Begin the first stretch, of `patience` seconds.
        """
        self._patience = patience
        self._moved = 0
        self.until = now + patience

    def move(self, size: int, now: float) -> None:
        """
        Note that `size` bytes have moved; enough of them begin the next stretch.
        """
        self._moved += size
        if self._moved >= LEAST_BYTES:
            self._moved = 0
            self.until = now + self._patience
