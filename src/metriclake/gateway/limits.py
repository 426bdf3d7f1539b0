"""
Decide whether a key may bring so much now: token buckets in whole numbers, pure but for `Limiter`, which holds them.

A bucket is a debt that the passing time pays off: what a key brings is added to it, and it is never above the burst. So
never more than rate times time plus burst is let through, exactly.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from metriclake._errors import InvalidBody, OverLimit

_NANO = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Rate:
    """
    What is let through: so much a second, and at most `burst` at once.
    """

    per_second: int
    burst: int


@dataclass(frozen=True, slots=True)
class Bucket:
    """
    A key's debt, in billionths of what the rate counts, at a moment of the clock in nanoseconds.
    """

    debt: int = 0
    at: int = 0

    def take(self, rate: Rate, amount: int, now: int) -> tuple[Bucket, int]:
        """
        Return the bucket with `amount` taken and 0, or this one and the nanoseconds to wait.

        A waiter gets through if nobody takes meanwhile. `amount` is at most the burst: more never gets through.
        """
        left = max(0, self.debt - (now - self.at) * rate.per_second)
        over = left + amount * _NANO - rate.burst * _NANO
        if over > 0:
            return self, -(-over // rate.per_second)
        return Bucket(left + amount * _NANO, now), 0


@dataclass(frozen=True, slots=True)
class Allowance:
    """
    The limits of one key; None for no limit.
    """

    events: Rate | None = None
    bytes: Rate | None = None


class Limiter:
    """
    The buckets of a server's ingest keys. It belongs to one event loop.
    """

    def __init__(
        self, allowances: Callable[[], Mapping[str, Allowance]] = dict, clock: Callable[[], int] = time.monotonic_ns
    ) -> None:
        """
        Take what returns the limits in force, by the key's name. `clock` is in nanoseconds and never goes back.
        """
        self._allowances = allowances
        self._clock = clock
        self._buckets: dict[tuple[str, str], Bucket] = {}

    def spend(self, key: str, events: int, size: int) -> None:
        """
        Take a request of a key: all of it, or nothing.

        Raises OverLimit with the seconds to wait, and InvalidBody where the request alone is above the burst.
        """
        allowance = self._allowances().get(key)
        if allowance is None:
            return
        now = self._clock()
        taken: dict[tuple[str, str], Bucket] = {}
        waits: list[tuple[int, Rate, str]] = []
        for what, rate, amount in (("events", allowance.events, events), ("bytes", allowance.bytes, size)):
            if rate is None:
                continue
            if amount > rate.burst:
                raise _above_burst(key, what, rate, amount)
            bucket, wait = self._buckets.get((key, what), Bucket(at=now)).take(rate, amount, now)
            taken[key, what] = bucket
            waits.append((wait, rate, what))
        worst, rate, what = max(waits, key=lambda found: found[0], default=(0, Rate(1, 1), ""))
        if worst:
            raise OverLimit(
                f"the ingest key `{key}` is over its limit of {rate.per_second} {what} a second: nothing was accepted",
                -(-worst // _NANO),
            )
        self._buckets.update(taken)


def _above_burst(key: str, what: str, rate: Rate, amount: int) -> InvalidBody:
    return InvalidBody(
        f"the request brings {amount} {what}, the ingest key `{key}` may bring {rate.burst} at once: split it", 413
    )
