"""
What a twin takes for the time: the machine's clock, or one that stands still; a test moves either.
"""

from __future__ import annotations

import threading
import time


class Clock:
    """
    Seconds since 1970, as a callable. It runs with the machine's clock, or stands at `at` where that is given.
    """

    def __init__(self, at: float | None = None) -> None:
        """
        Begin now, or stand at `at`.
        """
        self._at = at
        self._ahead = 0.0
        self._lock = threading.Lock()

    def __call__(self) -> float:
        """
        Return the time.
        """
        with self._lock:
            return (time.time() if self._at is None else self._at) + self._ahead

    def move(self, seconds: float) -> float:
        """
        Go forward by so many seconds, and return the time; ValueError for going back, which no twin can follow.
        """
        if seconds < 0:
            raise ValueError("a twin's clock only goes forward")
        with self._lock:
            self._ahead += seconds
        return self()
