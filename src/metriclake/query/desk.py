"""
Where questions are handed in: answered from memory, by the statement of an equal one that is being asked, or in turn.

It belongs to one event loop; statements run in threads of its own. What is from memory is what the store holds, and
everything accepted before its `fresh` is in it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from metriclake._errors import InvalidQuestion, MetriclakeError, NotAllowed, OverLimit, QuestionTooLarge
from metriclake.query.answer_cache import AnswerCache, CacheKey
from metriclake.query.lengths import Lengths
from metriclake.query.turns import Turns, TurnTerms
from metriclake.query.usage import Ending, Usage
from metriclake.query.versions import Versions
from metriclake.store import READERS, TenantReader

_Result = TypeVar("_Result")
_ROOM = 64 * 1024 * 1024
_FRESH_SECONDS = 0.25
_MOST_FRESH = 10_000

Outcome = bytes | MetriclakeError
"""An encoded answer, which is remembered; or what is wrong with the question, which is not."""

Reads = Callable[[TenantReader, Sequence[CacheKey]], Mapping[CacheKey, Outcome]]
"""What answers questions of one tenant, by their keys, with one reader."""


@dataclass(frozen=True, slots=True)
class Found:
    """
    What became of a question, whether it is from memory, and the moment before which everything accepted is in it.
    """

    outcome: Outcome
    cached: bool
    fresh: datetime

    def body(self) -> bytes:
        """
        Return the encoded answer. Raises what is wrong with the question.
        """
        if isinstance(self.outcome, MetriclakeError):
            raise self.outcome
        return self.outcome


@dataclass(slots=True, eq=False)
class _Flight:
    """
    Questions that are being asked together: once they are, of which versions.
    """

    keys: tuple[CacheKey, ...]
    versions: Mapping[CacheKey, int | None] | None = None
    task: asyncio.Task[Mapping[CacheKey, Found]] = field(init=False)


class Desk:
    """
    The desk of one process.
    """

    def __init__(  # noqa: PLR0913 - its parts, put together in one place
        self,
        reader: Callable[[str], TenantReader],
        fresh_as_of: Callable[[str], datetime],
        *,
        versions: Versions | None = None,
        cache: AnswerCache | None = None,
        turns: Turns | None = None,
        pool: Executor | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        `reader` makes the reader of a verified tenant; `fresh_as_of` tells up to when all of a tenant is in the store.

        `pool` runs the statements, as many at once as there are turns; `clock` is in seconds and never goes back.
        """
        self._reader = reader
        self._fresh_as_of = fresh_as_of
        self.turns = turns or Turns(READERS, lambda _tenant: TurnTerms())
        self._pool = pool or ThreadPoolExecutor(self.turns.places, thread_name_prefix="query")
        self.versions = versions or Versions()
        self.cache = AnswerCache(lambda: _ROOM) if cache is None else cache
        self.usage = Usage()
        self._clock = clock
        self._flights: dict[CacheKey, _Flight] = {}
        self._fresh: dict[str, tuple[float, datetime]] = {}
        self._lengths = Lengths()

    async def get(self, tenant: str, keys: Sequence[CacheKey], reads: Reads) -> dict[CacheKey, Found]:
        """
        Return what became of questions of one tenant.

        `reads` is asked for those that are neither in memory nor being asked, all at once. Raises what `reads` raises,
        also where another asked first, and OverLimit.
        """
        found = self.remembered(tenant, keys)
        missing = [key for key in keys if key not in found]
        return found | await self._asked(tenant, missing, reads) if missing else found

    def remembered(self, tenant: str, keys: Sequence[CacheKey]) -> dict[CacheKey, Found]:
        """
        Return those questions' answers that are in memory; each of them is counted.
        """
        fresh = self._fresh_lately(tenant)
        found: dict[CacheKey, Found] = {}
        for key in keys:
            body = self.cache.get(key, self._version(key))
            if body is not None:
                found[key] = Found(body, cached=True, fresh=fresh)
                self.usage.ended(tenant, Ending.CACHED)
        return found

    def forget(self, tenant: str) -> None:
        """
        Drop all that is in memory of a tenant.
        """
        self.cache.forget(tenant)
        self._lengths.forget(tenant)
        self.usage.forget(tenant)

    def close(self) -> None:
        """
        End the threads, after what they are at.
        """
        self._pool.shutdown()

    def _version(self, key: CacheKey) -> int | None:
        return self.versions.of(key.tenant, key.metric or None)

    async def _asked(self, tenant: str, keys: Sequence[CacheKey], reads: Reads) -> dict[CacheKey, Found]:
        """
        Wait for those questions that are being asked, and ask the others; each of them is counted.
        """
        flights = {key: flight for key in keys if (flight := self._flight_of(key)) is not None}
        own = tuple(key for key in keys if key not in flights)
        try:
            if own:
                flights |= dict.fromkeys(own, self._start(tenant, own, reads))
            found = {key: (await asyncio.shield(flight.task))[key] for key, flight in flights.items()}
            crowded = tuple(key for key in keys if _crowded(found[key], flights[key], keys))
            if crowded:
                found |= await asyncio.shield(self._start(tenant, crowded, reads).task)
        except BaseException as error:
            for _ in keys:
                self.usage.ended(tenant, _ending(error))
            raise
        for key, one in found.items():
            answered = Ending.ANSWERED if key in own or key in crowded else Ending.SHARED
            self.usage.ended(tenant, answered if isinstance(one.outcome, bytes) else _ending(one.outcome))
        return found

    def _flight_of(self, key: CacheKey) -> _Flight | None:
        """
        Return the flight whose answer will be what the store holds now: it has not read yet, or nothing has changed.
        """
        flight = self._flights.get(key)
        if flight is None or flight.versions is None:
            return flight
        version = flight.versions[key]
        return flight if version is not None and version == self._version(key) else None

    def _start(self, tenant: str, keys: tuple[CacheKey, ...], reads: Reads) -> _Flight:
        flight = _Flight(keys)
        flight.task = asyncio.create_task(self._fly(flight, tenant, reads))
        flight.task.add_done_callback(lambda task: task.cancelled() or task.exception())
        self._flights |= dict.fromkeys(keys, flight)
        return flight

    async def _fly(self, flight: _Flight, tenant: str, reads: Reads) -> Mapping[CacheKey, Found]:
        def work(reader: TenantReader) -> tuple[tuple[float, datetime], Mapping[CacheKey, Outcome]]:
            return (self._clock(), self._fresh_as_of(tenant)), reads(reader, flight.keys)

        try:
            async with self.turns.turn(tenant):
                versions = flight.versions = {key: self._version(key) for key in flight.keys}
                (at, fresh), outcomes = await self._work(tenant, work)
        finally:
            for key in flight.keys:
                if self._flights.get(key) is flight:
                    del self._flights[key]
        self._note_fresh(tenant, at, fresh)
        for key, outcome in outcomes.items():
            if isinstance(outcome, bytes):
                self.cache.put(key, versions[key], outcome)
        return {key: Found(outcome, cached=False, fresh=fresh) for key, outcome in outcomes.items()}

    async def _work(self, tenant: str, work: Callable[[TenantReader], _Result]) -> _Result:
        reader = self._reader(tenant)
        if self._lengths.long(tenant):
            reader = reader.giving_way()

        def timed() -> _Result:
            began = time.thread_time()
            try:
                return work(reader)
            finally:
                reader.spent.cpu += time.thread_time() - began

        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, copy_context().run, timed)
        finally:
            self.usage.spent(tenant, reader.spent)
            self._lengths.note(tenant, reader.spent)

    def _fresh_lately(self, tenant: str) -> datetime:
        """
        Return up to when all of a tenant was in the store a moment ago; to be asked for before memory is looked at.
        """
        now = self._clock()
        known = self._fresh.get(tenant)
        if known is not None and now - known[0] < _FRESH_SECONDS:
            return known[1]
        fresh = self._fresh_as_of(tenant)
        self._note_fresh(tenant, now, fresh)
        return fresh

    def _note_fresh(self, tenant: str, at: float, fresh: datetime) -> None:
        """
        Remember what was told last.
        """
        known = self._fresh.get(tenant)
        if known is None or known[0] < at:
            if len(self._fresh) >= _MOST_FRESH:
                self._fresh.clear()
            self._fresh[tenant] = (at, fresh)


def _crowded(found: Found, flight: _Flight, keys: Sequence[CacheKey]) -> bool:
    """
    Tell whether a question was too large only beside others, with which it is not asked here.
    """
    return isinstance(found.outcome, QuestionTooLarge) and not set(flight.keys) <= set(keys)


_ENDINGS: tuple[tuple[type[MetriclakeError], Ending], ...] = (
    (OverLimit, Ending.OVER_LIMIT),
    (QuestionTooLarge, Ending.TOO_LARGE),
    (InvalidQuestion, Ending.INVALID),
    (NotAllowed, Ending.INVALID),
)


def _ending(error: BaseException) -> Ending:
    return next((ending for kind, ending in _ENDINGS if isinstance(error, kind)), Ending.FAILED)
