"""
Decide whose question is asked next: one of each tenant in turn, so many at once.

`Rota` is pure. `Turns` holds it for one event loop: it lets questions wait, and sends those away that would wait for
too long.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from metriclake._errors import OverLimit

_Item = TypeVar("_Item")
_LONGEST_PAUSE = 60
_WEIGHT_OF_LATEST = 0.2
_FIRST_GUESS_SECONDS = 0.05
_MOST_BY_ITSELF = 2
"""Statements at once that a tenant has without anybody's word: one that takes long does not hold up a short one."""
_REMEMBERED = 10_000
"""Tenants of whom it is known when they last had a turn; of the others it is long ago."""


@dataclass(frozen=True, slots=True)
class TurnTerms:
    """
    What one tenant may have of the turns: questions at once, questions that wait, and how many seconds one may wait.
    """

    concurrent: int = 2
    waiting: int = 32
    patience: float = 10.0


@dataclass(frozen=True, slots=True)
class Share:
    """
    What one tenant's questions may have of the engine: statements at once, and threads for each of them.
    """

    concurrent: int
    threads: int


def share(cores: int, concurrent: int | None = None) -> Share:
    """
    Return what keeps half of the cores busy, so that a tenant that asks for much leaves its neighbours the other half.

    `concurrent` are the statements at once where that is decided already.
    """
    half = max(1, cores // 2)
    statements = concurrent or min(_MOST_BY_ITSELF, half)
    return Share(statements, max(1, half // statements))


class Rota(Generic[_Item]):
    """
    Who waits and who is at it, by tenant.

    The next turn is for the tenant whose last one is the longest ago. So while a tenant waits that may start, no other
    starts two.
    """

    def __init__(self, places: int, concurrent: Callable[[str], int]) -> None:
        """
        `places` are the turns at once; `concurrent` returns how many of them one tenant may have.
        """
        self._places = places
        self._concurrent = concurrent
        self._waiting: dict[str, deque[_Item]] = {}
        self._running: Counter[str] = Counter()
        self._last: OrderedDict[str, int] = OrderedDict()
        self._started = 0

    @property
    def running(self) -> int:
        """
        Return how many turns are taken.
        """
        return self._running.total()

    def waiting(self, tenant: str | None = None) -> int:
        """
        Return how many questions wait: of a tenant, or of all.
        """
        if tenant is None:
            return sum(map(len, list(self._waiting.values())))
        return len(self._waiting.get(tenant, ()))

    def join(self, tenant: str, item: _Item) -> None:
        """
        Let a question wait.
        """
        self._waiting.setdefault(tenant, deque()).append(item)

    def leave(self, tenant: str, item: _Item) -> None:
        """
        Take back a question that has not started.
        """
        self._waiting[tenant].remove(item)
        if not self._waiting[tenant]:
            del self._waiting[tenant]

    def start(self) -> tuple[str, _Item] | None:
        """
        Start the next question; None where nobody waits that may start.
        """
        if self.running >= self._places:
            return None
        may = (tenant for tenant in self._waiting if self._running[tenant] < self._concurrent(tenant))
        tenant = min(may, key=lambda one: self._last.get(one, 0), default=None)
        if tenant is None:
            return None
        item = self._waiting[tenant].popleft()
        if not self._waiting[tenant]:
            del self._waiting[tenant]
        self._running[tenant] += 1
        self._note(tenant)
        return tenant, item

    def _note(self, tenant: str) -> None:
        self._started += 1
        self._last[tenant] = self._started
        self._last.move_to_end(tenant)
        if len(self._last) > _REMEMBERED:
            self._last.popitem(last=False)

    def done(self, tenant: str) -> None:
        """
        End a turn.
        """
        self._running[tenant] -= 1
        if not self._running[tenant]:
            del self._running[tenant]


@dataclass(slots=True, eq=False)
class _Waiter:
    turn: asyncio.Future[None]
    started: bool = False


class Turns:
    """
    The turns of one event loop.
    """

    def __init__(
        self, places: int, terms: Callable[[str], TurnTerms], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """
        `places` are the turns at once; `terms` returns what a tenant may have of them; `clock` is in seconds.
        """
        self.places = places
        self._terms = terms
        self._clock = clock
        self._rota: Rota[_Waiter] = Rota(places, lambda tenant: terms(tenant).concurrent)
        self._seconds = _FIRST_GUESS_SECONDS

    @property
    def running(self) -> int:
        """
        Return how many turns are taken.
        """
        return self._rota.running

    @property
    def waiting(self) -> int:
        """
        Return how many questions wait.
        """
        return self._rota.waiting()

    @asynccontextmanager
    async def turn(self, tenant: str) -> AsyncIterator[None]:
        """
        Wait for a tenant's turn and hold it within the block.

        Raises OverLimit where too many of the tenant's questions wait, or this one has waited for too long.
        """
        await self._take(tenant)
        began = self._clock()
        try:
            yield
        finally:
            self._seconds += _WEIGHT_OF_LATEST * (self._clock() - began - self._seconds)
            self._end(tenant)

    async def _take(self, tenant: str) -> None:
        terms = self._terms(tenant)
        if self._rota.waiting(tenant) >= terms.waiting:
            raise self._too_many(tenant, terms, f"{terms.waiting} questions of the tenant wait already")
        waiter = _Waiter(asyncio.get_running_loop().create_future())
        self._rota.join(tenant, waiter)
        self._start()
        try:
            async with asyncio.timeout(terms.patience):
                await waiter.turn
        except TimeoutError:
            self._give_up(tenant, waiter)
            why = f"the question has waited {terms.patience:g} seconds for its turn"
            raise self._too_many(tenant, terms, why) from None
        except BaseException:
            self._give_up(tenant, waiter)
            raise

    def _give_up(self, tenant: str, waiter: _Waiter) -> None:
        """
        Take a question back, or give its turn to the next where it got one in the same moment.
        """
        if waiter.started:
            self._end(tenant)
        else:
            self._rota.leave(tenant, waiter)

    def _end(self, tenant: str) -> None:
        self._rota.done(tenant)
        self._start()

    def _start(self) -> None:
        while (started := self._rota.start()) is not None:
            _, waiter = started
            waiter.started = True
            if not waiter.turn.done():
                waiter.turn.set_result(None)

    def _too_many(self, tenant: str, terms: TurnTerms, why: str) -> OverLimit:
        ahead = self._rota.waiting(tenant) + 1
        pause = min(_LONGEST_PAUSE, math.ceil(ahead * self._seconds / terms.concurrent))
        return OverLimit(f"{why}: ask again later, or fewer at once", max(1, pause))
