"""
Clocks, chance and patience of the engine; tests have others.
"""

from __future__ import annotations

import queue
import random
import time
from typing import TypeVar

_Item = TypeVar("_Item")


class Time:
    """
    Those of the machine.
    """

    def now(self) -> int:
        """
        Return microseconds since 1970.
        """
        return time.time_ns() // 1000

    def ticks(self) -> float:
        """
        Return seconds by a clock that never goes back.
        """
        return time.monotonic()

    def chance(self) -> float:
        """
        Return a random number from 0 up to 1.
        """
        return random.random()  # noqa: S311 - spreads tries, keeps no secret

    def wait(self, inbox: queue.SimpleQueue[_Item | None], seconds: float, *, busy: bool) -> _Item | None:
        """
        Return the next answer, None after so many seconds or when something else is to be looked at.

        `busy` says that an answer is to come.
        """
        del busy
        try:
            return inbox.get(timeout=seconds)
        except queue.Empty:
            return None
