"""
Remember which metrics a tenant has, with their fields, so that a question is planned without asking the engine first.

What is remembered is forgotten when a load brings the tenant a metric or a field that he did not have. First and last
times move with every load: who needs them asks the engine.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

_MOST_TENANTS = 10_000
_MOST_MET = 500_000
"""How many pairs of tenant and metric are remembered as met; beyond them all are forgotten, and met again."""

_Metrics = TypeVar("_Metrics")


class Known(Generic[_Metrics]):
    """
    What tenants have, for so many tenants. Any thread may use it.
    """

    def __init__(self, most: int = _MOST_TENANTS) -> None:
        """
        `most` bounds the tenants that are remembered.
        """
        self._most = most
        self._lock = threading.Lock()
        self._metrics: OrderedDict[str, _Metrics] = OrderedDict()
        self._met: set[tuple[str, str]] = set()
        self._forgets = 0

    def of(self, tenant: str, ask: Callable[[], _Metrics]) -> _Metrics:
        """
        Return what a tenant has: as remembered, or as `ask` answers.
        """
        with self._lock:
            found = self._metrics.get(tenant)
            if found is not None:
                self._metrics.move_to_end(tenant)
                return found
            forgets = self._forgets
        asked = ask()
        with self._lock:
            if forgets == self._forgets:  # else it may be older than what has been forgotten meanwhile
                self._metrics[tenant] = asked
                if len(self._metrics) > self._most:
                    self._metrics.popitem(last=False)
        return asked

    def forget(self, tenants: Iterable[str]) -> None:
        """
        Forget what these tenants have: the store has more of them now.
        """
        with self._lock:
            self._forget(tenants)

    def meet(self, pairs: Iterable[tuple[str, str]]) -> None:
        """
        Take note of the metrics of tenants that the store has rows of; a tenant with a new one is forgotten.
        """
        with self._lock:
            new = set(pairs) - self._met
            if not new:
                return
            if len(self._met) + len(new) > _MOST_MET:
                self._met.clear()
            self._met |= new
            self._forget({tenant for tenant, _ in new})

    def _forget(self, tenants: Iterable[str]) -> None:
        self._forgets += 1
        for tenant in tenants:
            self._metrics.pop(tenant, None)
