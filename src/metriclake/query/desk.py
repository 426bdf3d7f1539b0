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
    Questions that are being asked: once they are, of which versions.
    """

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
        self._flights: dict[frozenset[CacheKey], _Flight] = {}
        self._fresh: dict[str, tuple[float, datetime]] = {}

    async def get(self, tenant: str, keys: Sequence[CacheKey], reads: Reads) -> dict[CacheKey, Found]:
        """
        Return what became of questions of one tenant; `reads` is asked for those that are not in memory, all at once.

        Raises what `reads` raises, and OverLimit.
        """
        fresh = self._fresh_lately(tenant)
        found: dict[CacheKey, Found] = {}
        for key in keys:
            body = self.cache.get(key, self._version(key))
            if body is not None:
                found[key] = Found(body, cached=True, fresh=fresh)
        for _ in found:
            self.usage.ended(tenant, Ending.CACHED)
        missing = frozenset(keys).difference(found)
        if missing:
            found.update(await self._join(tenant, missing, reads))
        return found

    async def ask(self, tenant: str, work: Callable[[TenantReader], _Result]) -> _Result:
        """
        Do what reads the store for a tenant, in its turn and in a thread; what it takes is counted.

        Raises what `work` raises, and OverLimit.
        """
        async with self.turns.turn(tenant):
            return await self._work(tenant, work)

    def forget(self, tenant: str) -> None:
        """
        Drop all that is in memory of a tenant.
        """
        self.cache.forget(tenant)
        self.usage.forget(tenant)

    def close(self) -> None:
        """
        End the threads, after what they are at.
        """
        self._pool.shutdown()

    def _version(self, key: CacheKey) -> int | None:
        return self.versions.of(key.tenant, key.metric or None)

    async def _join(self, tenant: str, keys: frozenset[CacheKey], reads: Reads) -> Mapping[CacheKey, Found]:
        """
        Wait for the flight of these questions, or start it.
        """
        flight = self._flights.get(keys)
        shared = flight is not None and self._still_holds(flight)
        if flight is None or not shared:
            flight = self._flights[keys] = _Flight()
            flight.task = asyncio.create_task(self._fly(flight, tenant, keys, reads))
            flight.task.add_done_callback(lambda task: task.cancelled() or task.exception())
        try:
            found = await asyncio.shield(flight.task)
        except BaseException as error:
            for _ in keys:
                self.usage.ended(tenant, _ending(error))
            raise
        for one in found.values():
            answered = Ending.SHARED if shared else Ending.ANSWERED
            self.usage.ended(tenant, answered if isinstance(one.outcome, bytes) else _ending(one.outcome))
        return found

    def _still_holds(self, flight: _Flight) -> bool:
        """
        Tell whether a flight's answers will be what the store holds now: it has not read yet, or nothing has changed.
        """
        if flight.versions is None:
            return True
        return all(version is not None and version == self._version(key) for key, version in flight.versions.items())

    async def _fly(
        self, flight: _Flight, tenant: str, keys: frozenset[CacheKey], reads: Reads
    ) -> Mapping[CacheKey, Found]:
        def work(reader: TenantReader) -> tuple[tuple[float, datetime], Mapping[CacheKey, Outcome]]:
            return (self._clock(), self._fresh_as_of(tenant)), reads(reader, tuple(keys))

        try:
            async with self.turns.turn(tenant):
                versions = flight.versions = {key: self._version(key) for key in keys}
                (at, fresh), outcomes = await self._work(tenant, work)
        finally:
            if self._flights.get(keys) is flight:
                del self._flights[keys]
        self._note_fresh(tenant, at, fresh)
        for key, outcome in outcomes.items():
            if isinstance(outcome, bytes):
                self.cache.put(key, versions[key], outcome)
        return {key: Found(outcome, cached=False, fresh=fresh) for key, outcome in outcomes.items()}

    async def _work(self, tenant: str, work: Callable[[TenantReader], _Result]) -> _Result:
        reader = self._reader(tenant)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, copy_context().run, work, reader)
        finally:
            self.usage.spent(tenant, reader.spent)

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


_ENDINGS: tuple[tuple[type[MetriclakeError], Ending], ...] = (
    (OverLimit, Ending.OVER_LIMIT),
    (QuestionTooLarge, Ending.TOO_LARGE),
    (InvalidQuestion, Ending.INVALID),
    (NotAllowed, Ending.INVALID),
)


def _ending(error: BaseException) -> Ending:
    return next((ending for kind, ending in _ENDINGS if isinstance(error, kind)), Ending.FAILED)
