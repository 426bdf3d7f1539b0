"""
Remember how long each tenant's statements take, lately.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import islice

from metriclake.store import Spent

_WEIGHT_OF_LATEST = 0.2
_MOST_TENANTS = 10_000
_LATELY = 32
"""So many tenants that asked last are compared."""

_LONGER = 1.5


class Lengths:
    """
    The moving averages of one event loop.
    """

    def __init__(self, most: int = _MOST_TENANTS) -> None:
        """
        `most` is how many tenants are remembered.
        """
        self._most = most
        self._seconds: OrderedDict[str, float] = OrderedDict()

    def long(self, tenant: str) -> bool:
        """
        Tell whether a tenant's statements take much longer than those of another that has asked lately.
        """
        lately = islice(reversed(self._seconds.values()), _LATELY)
        return self._seconds.get(tenant, 0.0) > _LONGER * min(lately, default=0.0)

    def note(self, tenant: str, spent: Spent) -> None:
        """
        Take note of what a tenant's statements took, all of them together.
        """
        if spent.statements:
            latest = spent.seconds / spent.statements
            known = self._seconds.get(tenant, latest)
            self._seconds[tenant] = known + _WEIGHT_OF_LATEST * (latest - known)
            self._seconds.move_to_end(tenant)
            if len(self._seconds) > self._most:
                self._seconds.popitem(last=False)

    def forget(self, tenant: str) -> None:
        """
        Drop what is known of a tenant.
        """
        self._seconds.pop(tenant, None)
