"""
Remember answers, encoded, in so many bytes.

An entry is given only to its own tenant, for the version that it was made of, and for a bounded time. Where there is no
room, a tenant that has more than its share gives up its own oldest entries first, so that one that asks for much does
not make its neighbours' answers slow.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

LIFE_SECONDS = 300.0
"""How long an entry is given, though nothing was said to have changed: rows also leave by their age."""

_OVERHEAD = 1500
"""Bytes that an entry takes beside its texts."""

_LARGEST_SHARE = 8
"""An answer of more than this part of the room is not kept: it would cost too many others."""


@dataclass(frozen=True, slots=True)
class CacheKey:
    """
    What an answer is of: its tenant and metric, and a digest of the question with its range resolved.

    Without a metric it is of all of the tenant's.
    """

    tenant: str
    metric: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class _Entry:
    version: int
    until: float
    body: bytes
    cost: int


class AnswerCache:
    """
    The answers of one process. Any thread may use it.
    """

    def __init__(self, room: Callable[[], int], clock: Callable[[], float] = time.monotonic) -> None:
        """
        `room` returns how many bytes the entries may take, 0 for no cache; `clock` is in seconds and never goes back.
        """
        self._room = room
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: OrderedDict[CacheKey, _Entry] = OrderedDict()
        self._owned: dict[str, OrderedDict[CacheKey, None]] = {}
        self._costs: dict[str, int] = {}
        self._size = 0

    def __len__(self) -> int:
        """
        Return how many answers are kept.
        """
        return len(self._entries)

    @property
    def size(self) -> int:
        """
        Return how many bytes they take.
        """
        return self._size

    def get(self, key: CacheKey, version: int | None) -> bytes | None:
        """
        Return the answer of a version, None where there is none or the version is unknown.
        """
        if version is None:
            return None
        with self._lock:
            found = self._entries.get(key)
            if found is None:
                return None
            if found.version != version or found.until <= self._clock():
                self._drop(key)
                return None
            self._entries.move_to_end(key)
            self._owned[key.tenant].move_to_end(key)
            return found.body

    def put(self, key: CacheKey, version: int | None, body: bytes) -> None:
        """
        Keep the answer of a version, as long as there is room for it.
        """
        cost = len(body) + len(key.tenant) + len(key.metric) + _OVERHEAD
        with self._lock:
            self._drop(key)
            room = self._room()
            if version is not None and cost * _LARGEST_SHARE <= room:
                self._entries[key] = _Entry(version, self._clock() + LIFE_SECONDS, body, cost)
                self._owned.setdefault(key.tenant, OrderedDict())[key] = None
                self._costs[key.tenant] = self._costs.get(key.tenant, 0) + cost
                self._size += cost
            while self._size > room:
                self._drop(self._least_needed(key.tenant, room))

    def forget(self, tenant: str) -> None:
        """
        Drop all that is kept of a tenant.
        """
        with self._lock:
            for key in list(self._owned.get(tenant, ())):
                self._drop(key)

    def _least_needed(self, tenant: str, room: int) -> CacheKey:
        """
        Return the entry to give up for one of this tenant.
        """
        greedy = self._costs.get(tenant, 0) > room // len(self._owned)
        return next(iter(self._owned[tenant] if greedy else self._entries))

    def _drop(self, key: CacheKey) -> None:
        found = self._entries.pop(key, None)
        if found is None:
            return
        self._size -= found.cost
        self._costs[key.tenant] -= found.cost
        owned = self._owned[key.tenant]
        del owned[key]
        if not owned:
            del self._owned[key.tenant], self._costs[key.tenant]
