"""
How many requests an account may still have: the rate of each kind of call, and the pauses that it has asked for.

A request counts from when it leaves until so many seconds after its answer. When it was counted at the other end lies
between the two; so the rate is kept there in every span of time, whatever the network does.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from metriclake.destinations.destination import Rate

_LOOK_SECONDS = 0.05
_MOST_PAUSE_SECONDS = 3600.0


class Window:
    """
    The requests of one rate that count at the moment. Pure: the time is an argument, in seconds.
    """

    def __init__(self, rate: Rate) -> None:
        """
        Begin with nothing used.
        """
        self.rate = rate
        self._requests = 0
        self._records = 0
        self._answered: deque[tuple[float, int]] = deque()

    def wait(self, records: int, now: float) -> float:
        """
        Return the seconds until a request of so many records may leave, 0 for now.

        A request of more records than the rate has goes alone. Where it depends on an answer, it is a short while.
        """
        self._forget(now)
        requests_left = None if self.rate.requests is None else self.rate.requests - self._requests
        records_left = None if self.rate.records is None else self.rate.records - self._records
        if requests_left is not None and requests_left < 1:
            return self._until(now)
        if records_left is not None and records_left < records and self._requests:
            return self._until(now)
        return 0.0

    def leave(self, records: int) -> None:
        """
        Count a request that leaves.
        """
        self._requests += 1
        self._records += records

    def answered(self, records: int, now: float) -> None:
        """
        Say that a request has its answer.
        """
        self._answered.append((now + self.rate.seconds, records))

    def _until(self, now: float) -> float:
        return max(self._answered[0][0] - now, 0.001) if self._answered else _LOOK_SECONDS

    def _forget(self, now: float) -> None:
        while self._answered and self._answered[0][0] <= now:
            self._requests -= 1
            self._records -= self._answered.popleft()[1]


class Account:
    """
    What all destinations of one account share; safe from any thread.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        """
        `now` is a clock that never goes back, in seconds.
        """
        self._now = now
        self._lock = threading.Lock()
        self._windows: dict[str, Window] = {}
        self._paused_until = 0.0

    def take(self, kind: str, rate: Rate | None, records: int) -> float:
        """
        Let a request leave, and return 0; or return the seconds after which to ask again.
        """
        with self._lock:
            now = self._now()
            if now < self._paused_until:
                return self._paused_until - now
            if rate is None:
                return 0.0
            window = self._window(kind, rate)
            wait = window.wait(records, now)
            if wait == 0:
                window.leave(records)
            return wait

    def answered(self, kind: str, rate: Rate | None, records: int) -> None:
        """
        Say that a request has its answer, or will have none.
        """
        if rate is not None:
            with self._lock:
                self._window(kind, rate).answered(records, self._now())

    def pause(self, seconds: float) -> None:
        """
        Let no request leave for so many seconds; a pause never shortens another.
        """
        with self._lock:
            self._paused_until = max(self._paused_until, self._now() + min(seconds, _MOST_PAUSE_SECONDS))

    @property
    def paused(self) -> float:
        """
        Return for how many seconds no request leaves.
        """
        with self._lock:
            return max(0.0, self._paused_until - self._now())

    def _window(self, kind: str, rate: Rate) -> Window:
        """
        Return the window of a kind; where the rate has changed, what was used before counts on.
        """
        window = self._windows.setdefault(kind, Window(rate))
        window.rate = rate
        return window


class Accounts:
    """
    The accounts of one process, by what destinations call them.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        """
        Begin without any.
        """
        self._now = now
        self._lock = threading.Lock()
        self._accounts: dict[str, Account] = {}

    def of(self, name: str) -> Account:
        """
        Return the account of a name, the same one each time.
        """
        with self._lock:
            return self._accounts.setdefault(name, Account(self._now))
