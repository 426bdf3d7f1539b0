"""
Keep rollups right: whatever comes late, twice or anew, and wherever the process ends.

Rows are final when they are stored, each identity once. So a bucket is built whole, of the rows that are there, when
rows beyond its set's checkpoint fall into it; questions read such a bucket from the rows until the checkpoint has
moved. A build that is cut off is done again, with the same end. Why: docs/decisions/0018-rollups.md.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from metriclake.crashpoints import CrashPoint, reach
from metriclake.store.catalogue import MEASURE, Catalogue, Field
from metriclake.store.columns import Statement
from metriclake.store.engine import DATABASE, Engine, Session
from metriclake.store.rollups.building import (
    Build,
    Slice,
    beyond_statement,
    build_statements,
    groups_statement,
    purge,
    sizes_statement,
    tenants_statement,
)
from metriclake.store.rollups.cover import cost_of, is_worth
from metriclake.store.rollups.sets import Part, RollupSet, RollupSets
from metriclake.store.rollups.touched import Pair
from metriclake.tiers import Tiers

_LOG = logging.getLogger(__name__)
_SLICE_ROWS = 250_000
"""How many rows beyond the checkpoint a statement is for: they bound its time and its memory."""

_TURN_SECONDS = 1.0
_REST = 9
"""How many times as long as it has built the builder rests: it takes a tenth of one core at most."""

_PURGE_SECONDS = 86_400.0
"""How often what is beyond its retention is removed."""

_LOOK_SECONDS = 3600.0
"""How often it is looked which tenants have become large enough for a rollup."""

_KEPT_SECONDS = 60.0
"""How long rows of a retired set are kept: longer than any question that has begun to read them."""

_SETTINGS = {
    "max_threads": 1,
    "max_insert_threads": 1,
    "optimize_aggregation_in_order": 1,
    "max_memory_usage": 1024**3,
    "max_bytes_before_external_group_by": 256 * 1024**2,
    "max_partitions_per_insert_block": 0,
}

_Key = int | str
"""Work that is under way: a set's id, or a metric for which tenants join."""


class Rollups:
    """
    The one builder of rollups.
    """

    def __init__(
        self,
        engine: Engine,
        catalogue: Catalogue,
        sets: RollupSets,
        tiers: Callable[[], Tiers],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        `tiers` returns how long rows stay. `clock` is in seconds and never goes back.
        """
        self._engine = engine
        self._catalogue = catalogue
        self._sets = sets
        self._tiers = tiers
        self._clock = clock
        self._session = Session(engine)
        self._rests = clock()
        self._purges = clock()
        self._work: dict[_Key, Iterator[None]] = {}
        self._targets: dict[int, int] = {}
        self._due: dict[_Key, float] = {}
        self._sparse: dict[tuple[int, str], int] = {}
        self._retired: dict[int, float] = {one.id: clock() - _KEPT_SECONDS for one in sets.retired}

    def turn(self) -> None:
        """
        Build for about a second, or rest.
        """
        began = self._clock()
        if began < self._rests:
            return
        try:
            for _ in self.steps():
                if self._clock() >= began + _TURN_SECONDS:
                    break
        finally:
            self._rests = self._clock() + _REST * (self._clock() - began)

    def catch_up(self) -> None:
        """
        Build all that there is to build, however long it takes.
        """
        self._due.clear()
        for _ in self.steps():
            pass

    def steps(self) -> Iterator[None]:
        """
        Do what is due, stopping after each statement: first for those who have rollups, then for those who get them.

        What is left goes on with the next call.
        """
        self._learn()
        self._drop()
        self._age()
        for one in self._sets.live:
            yield from self._due_steps(one.id, self._round(one.id), one.grain.rest)
        for metric in dict.fromkeys(one.metric for one in self._sets.live):
            yield from self._due_steps(metric, self._join(metric), _LOOK_SECONDS)

    def _learn(self) -> None:
        """
        Find out what the rollups lack, where that is not known.
        """
        if not self._sets.known:
            rewinds = self._sets.rewinds
            after, pairs = self._sets.lacking()
            self._sets.learn(self._beyond(after, pairs), rewinds)

    def _beyond(self, after: int, pairs: Sequence[Pair]) -> list[tuple[str, str, int, int]]:
        if not pairs:
            return []
        statement = Statement()
        sql = beyond_statement(after, pairs, statement)
        return [(*row,) for row in self._session.rows(sql, statement.parameters, _SETTINGS)]

    def _due_steps(self, key: _Key, begin: Iterator[None], rest: float) -> Iterator[None]:
        """
        Go on with some work, or begin it where it has rested; stops after each statement. What fails is begun anew.
        """
        if key not in self._work:
            if self._clock() < self._due.get(key, 0.0):
                return
            self._work[key] = begin
        work = self._work[key]
        while True:
            try:
                next(work)
            except StopIteration:
                self._work.pop(key, None)
                self._due[key] = self._clock() + rest
                return
            except BaseException:
                self._work.pop(key, None)
                raise
            yield

    def _age(self) -> None:
        """
        Take note when no row leaves any more by tiers of before; and remove, once a day, what is beyond its retention.
        """
        passing = self._sets.passing
        if self._clock() >= self._purges:
            self._session.command(purge(self._tiers(), datetime.now(UTC)), None, {"mutations_sync": 0})
            self._purges = self._clock() + _PURGE_SECONDS
        if passing:
            running = "SELECT count() FROM system.mutations WHERE database = {database:String} AND NOT is_done"
            if not self._session.rows(running, {"database": DATABASE})[0][0]:
                self._sets.passed(passing)

    def _drop(self) -> None:
        """
        Drop the rows of retired sets that nobody reads any more.
        """
        for one in self._sets.retired:
            if self._clock() >= self._retired.setdefault(one.id, self._clock()) + _KEPT_SECONDS:
                for work in (one.id, one.metric):
                    self._work.pop(work, None)
                self._session.command(f"ALTER TABLE {DATABASE}.rollups DELETE WHERE set = {int(one.id)}")
                self._sets.dropped(one)

    def _round(self, key: int) -> Iterator[None]:
        """
        Build what lies beyond a set's checkpoint, and move it; stops after each statement.
        """
        rewinds = self._sets.rewinds
        target = self._sets.settled()
        one = self._sets.get(key)
        if target <= one.through:
            return
        self._targets[key] = target
        try:
            touched = False
            for _ in self._built(one, one.through, target, self._sets.tenants(key)):
                touched = True
                yield
            if self._sets.built(replace(one, through=target), rewinds, saved=touched):
                reach(CrashPoint.ROLLED)
        finally:
            del self._targets[key]

    def _join(self, metric: str) -> Iterator[None]:
        """
        Look for whom a metric's sets are worth it, and build them for those, one after the other.

        Stops after each statement.
        """
        statement, least = Statement(), self._sets.least()
        found = self._session.rows(sizes_statement(metric, least, statement), statement.parameters)
        yield
        for tenant, rows, days in found:
            for one in self._sets.of(metric):
                if tenant in self._sets.tenants(one.id):
                    self._sets.measured(one.id, tenant, rows / days)
                elif rows >= 2 * self._sparse.get((one.id, tenant), 0):
                    groups = self._groups(one, tenant)
                    yield
                    if is_worth(rows, cost_of(groups), least):
                        yield from self._begun(one, tenant, rows / days, groups / days)
                    else:
                        self._sparse[one.id, tenant] = rows

    def _begun(self, one: RollupSet, tenant: str, rows_a_day: float, groups_a_day: float) -> Iterator[None]:
        """
        Build a set for a tenant that does not have it yet, until it has what the others have.
        """
        self._sets.expect(tenant, one.metric)
        rewinds = self._sets.rewinds
        after, upto = 0, self._sets.settled()
        while after < upto:
            yield from self._built(one, after, upto, [tenant])
            after, upto = upto, max(upto, self._sets.get(one.id).through, self._targets.get(one.id, 0))
        beyond = self._beyond(upto, [(tenant, one.metric)])
        self._sets.joined(one.id, tenant, Part(upto, rows_a_day, groups_a_day), beyond, rewinds)

    def _built(self, one: RollupSet, after: int, upto: int, tenants: Sequence[str]) -> Iterator[None]:
        """
        Build the buckets of tenants into which rows beyond an object fall, durably; stops after each statement.
        """
        if not tenants:
            return
        build = Build(one, after, upto, self._sets.stamp())
        measures = self._measures(one.metric)
        parts = self._slices(build, tenants)
        for part in parts:
            for sql, making in build_statements(build, part, measures, self._catalogue):
                self._session.command(sql, making.parameters, _SETTINGS)
                reach(CrashPoint.ROLL)
                yield
        if parts:
            self._engine.sync_parts()

    def _measures(self, metric: str) -> list[Field]:
        statement = Statement()
        rows = self._session.rows(
            f"SELECT DISTINCT name, type FROM {DATABASE}.slots WHERE metric = {statement.bind(metric)}"
            " AND kind = 'measure' AND type IN ('double', 'integer') ORDER BY name, type",
            statement.parameters,
        )
        return [Field(metric, MEASURE, name, kind) for name, kind in rows]

    def _slices(self, build: Build, tenants: Sequence[str]) -> list[Slice]:
        statement = Statement()
        rows = self._session.rows(tenants_statement(build, tenants, statement), statement.parameters)
        length = build.of.grain.length
        found = [(tenant, count, _moment(first), _moment(last) + length) for tenant, count, first, last in rows]
        return slices(found, length)

    def _groups(self, one: RollupSet, tenant: str) -> int:
        statement = Statement()
        sql = groups_statement(one, tenant, self._catalogue, statement)
        found: int = self._session.rows(sql, statement.parameters, _SETTINGS)[0][0]
        return found


def slices(
    found: Sequence[tuple[str, int, datetime, datetime]], length: timedelta, most: int = _SLICE_ROWS
) -> list[Slice]:
    """
    Cut what there is to build, by tenant in their order, into slices of about so many rows.

    Each item is a tenant, its rows, and from when to when they lie; a tenant of too many rows is cut by time, between
    buckets of a length.
    """
    made: list[Slice] = []
    weight = 0
    for tenant, rows, start, end in found:
        if rows > most:
            made += (Slice((tenant,), *piece) for piece in _pieces(start, end, length, -(-rows // most)))
            weight = most
        elif made and weight + rows <= most:
            before = made[-1]
            made[-1] = Slice((*before.tenants, tenant), min(before.start, start), max(before.end, end))
            weight += rows
        else:
            made.append(Slice((tenant,), start, end))
            weight = rows
    return made


def _pieces(start: datetime, end: datetime, length: timedelta, number: int) -> Iterator[tuple[datetime, datetime]]:
    """
    Yield so many pieces of a stretch of whole buckets, or one for each bucket where there are fewer.
    """
    step = -(-((end - start) // length) // number) * length
    while start < end:
        yield start, min(end, start + step)
        start += step


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
