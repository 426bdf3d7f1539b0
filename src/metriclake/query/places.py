"""
How many long answers are under way at once: of one tenant, and in all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from metriclake._errors import NoRoom, OverLimit

_RETRY_SECONDS = 5


class Places:
    """
    The places for one kind of answer. It belongs to one event loop.
    """

    def __init__(self, what: str, of_tenant: int, most: Callable[[], int]) -> None:
        """
        Take the answers' name in messages; `most` returns how many there may be of all tenants.
        """
        self._what = what
        self._of_tenant = of_tenant
        self._most = most
        self._taken: Counter[str | None] = Counter()

    def __len__(self) -> int:
        """
        Return how many are taken.
        """
        return self._taken.total()

    def take(self, tenant: str | None) -> Callable[[], None]:
        """
        Take a place; returns what gives it back. None takes one that is no tenant's own.

        Raises OverLimit where the tenant has as many as it may have, NoRoom where all together have.
        """
        if tenant is not None and self._taken[tenant] >= self._of_tenant:
            said = f"{self._of_tenant} {self._what} of this tenant are under way: end one first"
            raise OverLimit(said, _RETRY_SECONDS)
        if len(self) >= self._most():
            raise NoRoom(f"as many {self._what} are under way as this server allows at once: try again")
        self._taken[tenant] += 1
        given = False

        def give_back() -> None:
            nonlocal given
            if not given:
                given = True
                self._taken[tenant] -= 1
                if not self._taken[tenant]:
                    del self._taken[tenant]

        return give_back
