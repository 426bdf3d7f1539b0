"""
Where questions are handed in: answered from memory, by the statement of an equal one that is being asked, or in turn.

It belongs to one event loop; statements run in threads of its own. What is from memory is what the store holds, and
everything accepted before its `fresh` is in it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

import msgspec

from metriclake._errors import InvalidQuestion, MetriclakeError, NotAllowed, OverLimit, QuestionTooLarge
from metriclake.query.answer_cache import AnswerCache, CacheKey
from metriclake.query.turns import Turns
from metriclake.query.usage import Ending, Usage
from metriclake.query.versions import Versions
from metriclake.store import Metric, TenantReader

_Result = TypeVar("_Result")
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
        versions: Versions,
        cache: AnswerCache,
        turns: Turns,
        usage: Usage,
        pool: Executor,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        `reader` makes the reader of a verified tenant; `fresh_as_of` tells up to when all of a tenant is in the store.

        `pool` runs the statements, as many at once as there are turns; `clock` is in seconds and never goes back.
        """
        self._reader = reader
        self._fresh_as_of = fresh_as_of
        self._versions = versions
        self._cache = cache
        self._turns = turns
        self._usage = usage
        self._pool = pool
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
            body = self._cache.get(key, self._version(key))
            if body is not None:
                found[key] = Found(body, cached=True, fresh=fresh)
        for _ in found:
            self._usage.ended(tenant, Ending.CACHED)
        missing = frozenset(keys).difference(found)
        if missing:
            found.update(await self._join(tenant, missing, reads))
        return found

    async def ask(self, tenant: str, work: Callable[[TenantReader], _Result]) -> _Result:
        """
        Do what reads the store for a tenant, in its turn and in a thread; what it takes is counted.

        Raises what `work` raises, and OverLimit.
        """
        async with self._turns.turn(tenant):
            return await self._work(tenant, work)

    def metrics(self, tenant: str, reader: TenantReader) -> dict[str, Metric]:
        """
        Return what a tenant has, from memory where that is what the store says. Any thread may ask.
        """
        key, version = CacheKey(tenant, "", b""), self._versions.of(tenant)
        body = self._cache.get(key, version)
        if body is not None:
            return msgspec.msgpack.decode(body, type=dict[str, Metric])
        found = reader.metrics()
        self._cache.put(key, version, msgspec.msgpack.encode(found))
        return found

    def forget(self, tenant: str) -> None:
        """
        Drop all that is in memory of a tenant.
        """
        self._cache.forget(tenant)
        self._usage.forget(tenant)

    def _version(self, key: CacheKey) -> int | None:
        return self._versions.of(key.tenant, key.metric)

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
                self._usage.ended(tenant, _ending(error))
            raise
        for one in found.values():
            answered = Ending.SHARED if shared else Ending.ANSWERED
            self._usage.ended(tenant, answered if isinstance(one.outcome, bytes) else _ending(one.outcome))
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
        def work(reader: TenantReader) -> tuple[datetime, Mapping[CacheKey, Outcome]]:
            return self._fresh_as_of(tenant), reads(reader, tuple(keys))

        try:
            async with self._turns.turn(tenant):
                versions = flight.versions = {key: self._version(key) for key in keys}
                fresh, outcomes = await self._work(tenant, work)
        finally:
            if self._flights.get(keys) is flight:
                del self._flights[keys]
        for key, outcome in outcomes.items():
            if isinstance(outcome, bytes):
                self._cache.put(key, versions[key], outcome)
        return {key: Found(outcome, cached=False, fresh=fresh) for key, outcome in outcomes.items()}

    async def _work(self, tenant: str, work: Callable[[TenantReader], _Result]) -> _Result:
        reader = self._reader(tenant)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, copy_context().run, work, reader)
        finally:
            self._usage.spent(tenant, reader.spent)

    def _fresh_lately(self, tenant: str) -> datetime:
        """
        Return up to when all of a tenant was in the store a moment ago; to be asked for before memory is looked at.
        """
        now = self._clock()
        at, fresh = self._fresh.get(tenant, (-_FRESH_SECONDS, None))
        if fresh is None or now - at >= _FRESH_SECONDS:
            fresh = self._fresh_as_of(tenant)
            if len(self._fresh) >= _MOST_FRESH:
                self._fresh.clear()
            self._fresh[tenant] = (now, fresh)
        return fresh


_ENDINGS: tuple[tuple[type[MetriclakeError], Ending], ...] = (
    (OverLimit, Ending.OVER_LIMIT),
    (QuestionTooLarge, Ending.TOO_LARGE),
    (InvalidQuestion, Ending.INVALID),
    (NotAllowed, Ending.INVALID),
)


def _ending(error: BaseException) -> Ending:
    return next((ending for kind, ending in _ENDINGS if isinstance(error, kind)), Ending.FAILED)
