"""
Say whether what the store holds of a tenant's metric is still what it was.

A version is raised before the change counts as delivered, so an answer of the version in force lacks nothing that is.
While a change goes on the version is unknown, and after one that failed too: then nothing is told from memory.
"""

from __future__ import annotations

import threading
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

_PLACES = 1 << 20
"""Tenants and metrics share this many counters, so that memory does not grow with them; who shares one is asked again
more often than needed."""


class Versions:
    """
    The versions of what the store holds, in this process. Any thread may read them and announce changes.
    """

    def __init__(self, places: int = _PLACES) -> None:
        """
        `places` is the number of counters.
        """
        self._lock = threading.Lock()
        self._counts = array("Q", bytes(8 * places))
        self._all = 0
        self._changing: Counter[int] = Counter()
        self._doubtful: dict[str, set[str]] = {}
        self._changing_all = 0

    def of(self, tenant: str, metric: str | None = None) -> int | None:
        """
        Return the version of a tenant's metric, or of all of its metrics; None while it is unknown.
        """
        place = self._place(tenant, metric)
        with self._lock:
            if self._changing_all or place in self._changing or self._doubts(tenant, metric):
                return None
            return self._all + self._counts[place]

    @contextmanager
    def changing(self, keys: Iterable[tuple[str, str]]) -> Iterator[None]:
        """
        Change what the store holds of these tenants and metrics, within the block.

        Where the block raises they stay unknown until a later change of them succeeds.
        """
        changed = set(keys)
        places = {self._place(tenant, name) for tenant, metric in changed for name in (metric, None)}
        with self._lock:
            self._changing.update(places)
        done = False
        try:
            yield
            done = True
        finally:
            with self._lock:
                self._end(places)
                for tenant, metric in changed:
                    self._note(tenant, metric, doubtful=not done)

    @contextmanager
    def changing_all(self) -> Iterator[None]:
        """
        Change what the store holds of anybody, within the block: its retention, its tables.
        """
        with self._lock:
            self._changing_all += 1
        try:
            yield
        finally:
            with self._lock:
                self._changing_all -= 1
                self._all += 1

    def _end(self, places: Iterable[int]) -> None:
        for place in places:
            self._counts[place] += 1
            self._changing[place] -= 1
            if not self._changing[place]:
                del self._changing[place]

    def _doubts(self, tenant: str, metric: str | None) -> bool:
        metrics = self._doubtful.get(tenant)
        return metrics is not None and (metric is None or metric in metrics)

    def _note(self, tenant: str, metric: str, *, doubtful: bool) -> None:
        if doubtful:
            self._doubtful.setdefault(tenant, set()).add(metric)
        elif tenant in self._doubtful:
            self._doubtful[tenant].discard(metric)
            if not self._doubtful[tenant]:
                del self._doubtful[tenant]

    def _place(self, tenant: str, metric: str | None) -> int:
        return hash((tenant, metric)) % len(self._counts)
