"""
Judge how much an account has used of its rate in the last seconds. Pure: the time is an argument.
"""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime

_STEP_SECONDS = 0.001


class Rate:
    """
    At most `limit` in any `seconds`, counted as it comes; 0 for a limit means that there is none.

    What comes within a millisecond is one entry, so that memory is bounded by time and not by requests.
    """

    def __init__(self, limit: float, seconds: float) -> None:
        """
        Begin with nothing used.
        """
        self.limit = limit
        self.seconds = seconds
        self._used = 0.0
        self._entries: deque[tuple[float, float]] = deque()

    def left(self, now: float) -> float:
        """
        Return how much there is left; without a limit, infinitely much.
        """
        self._forget(now)
        return self.limit - self._used if self.limit else float("inf")

    def use(self, amount: float, now: float) -> None:
        """
        Count `amount` as used.
        """
        self._forget(now)
        self._used += amount
        if self._entries and now - self._entries[-1][0] < _STEP_SECONDS:
            begun, before = self._entries.pop()
            self._entries.append((begun, before + amount))
        else:
            self._entries.append((now, amount))

    def wait(self, amount: float, now: float) -> float:
        """
        Return the seconds until there is room for `amount`; for more than there ever is, until all is forgotten.
        """
        missing = amount - self.left(now)
        until = now
        for begun, used in self._entries:
            if missing <= 0:
                break
            missing -= used
            until = begun + self.seconds
        return until - now

    def _forget(self, now: float) -> None:
        while self._entries and self._entries[0][0] <= now - self.seconds:
            self._used -= self._entries.popleft()[1]


class Quota:
    """
    At most `limit` in each day or month of UTC, from its beginning; 0 for a limit means that there is none.
    """

    def __init__(self, limit: int, form: str) -> None:
        """
        Begin with nothing used; `form` is what of a date names its period, as `strftime` writes it.
        """
        self.limit = limit
        self._form = form
        self._period = ""
        self._used = 0

    def left(self, now: float) -> float:
        """
        Return how much there is left; without a limit, infinitely much.
        """
        period = datetime.fromtimestamp(now, UTC).strftime(self._form)
        if period != self._period:
            self._period, self._used = period, 0
        return self.limit - self._used if self.limit else float("inf")

    def use(self, amount: int, now: float) -> None:
        """
        Count `amount` as used.
        """
        self.left(now)
        self._used += amount
