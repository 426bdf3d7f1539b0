"""
Remember into which quarters of an hour late and new rows fall, so that a question reads those from the rows.

After a start, and whenever checkpoints went back, it is found out from the rows beyond them; from then on each load
tells what it touches. Until it is known, no rollup is read.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

Pair = tuple[str, str]
"""A tenant and a metric."""

_MOST = 20_000
"""Of so many quarters of a pair it is remembered; one with more is read from the rows until they are built."""


class Touched:
    """
    The quarters of pairs, each with the highest object that has rows in it. Any thread may use it.
    """

    def __init__(self, most: int = _MOST) -> None:
        """
        `most` bounds the quarters of a pair.
        """
        self._most = most
        self._lock = threading.Lock()
        self._pairs: dict[Pair, dict[int, int]] = {}
        self._many: dict[Pair, int] = {}

    @property
    def pairs(self) -> set[Pair]:
        """
        Return the pairs of which loads are to tell.
        """
        with self._lock:
            return set(self._pairs)

    def expect(self, pair: Pair) -> None:
        """
        Take note that loads are to tell of a pair from now on.
        """
        with self._lock:
            self._pairs.setdefault(pair, {})

    def note(self, rows: Iterable[tuple[str, str, int, int]]) -> None:
        """
        Take note of tenants, metrics, quarters (their start in seconds) and objects.
        """
        with self._lock:
            for tenant, metric, quarter, number in rows:
                pair = tenant, metric
                found = self._pairs.setdefault(pair, {})
                found[quarter] = max(number, found.get(quarter, 0))
                if len(found) > self._most:
                    self._many[pair] = max(*found.values(), self._many.get(pair, 0))
                    found.clear()

    def beyond(self, pair: Pair, through: int) -> list[int] | None:
        """
        Return the quarters with rows beyond an object, in their order; None where they are too many to know.
        """
        with self._lock:
            if self._many.get(pair, 0) > through:
                return None
            return sorted(quarter for quarter, number in self._pairs.get(pair, {}).items() if number > through)

    def forget(self, pair: Pair, through: int) -> None:
        """
        Forget what all checkpoints of a pair have passed.
        """
        with self._lock:
            found = self._pairs.get(pair, {})
            for quarter in [quarter for quarter, number in found.items() if number <= through]:
                del found[quarter]
            if self._many.get(pair, 0) <= through:
                self._many.pop(pair, None)
