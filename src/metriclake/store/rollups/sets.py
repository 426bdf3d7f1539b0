"""
The sets of rollups, whom they are kept for, and up to which lake object: in memory and in the store.

What holds everywhere: a row whose object lies at or below a checkpoint is in the rollup. Before an object is loaded
again that does, the checkpoints go back behind it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import msgspec

from metriclake.store.engine import DATABASE, Engine, Session
from metriclake.store.rollups.table import EPOCH, Grain
from metriclake.store.rollups.touched import Pair, Touched
from metriclake.store.table import PASSING
from metriclake.tiers import Tiers

Dimensions = tuple[str, ...]
Stretch = tuple[datetime, datetime]
Declared = Mapping[str, Sequence[Dimensions]]
"""The rollups that the pipeline file asks for: the dimensions of each, by metric. Each is kept in every grain."""

_SET_COLUMNS = ["id", "metric", "dimensions", "grain", "state", "through", "saved"]
_TENANT_COLUMNS = ["set", "tenant", "through", "rows_a_day", "groups_a_day", "since", "saved"]
_START_KEY = "rollup_start"
_START_BITS = 32
_MOST_LOADS = 1000
_PASSING = msgspec.json.Decoder(tuple[Tiers, ...])
"""Of so many loads it is remembered when they were."""


class State(StrEnum):
    """
    What becomes of a set: one that is no longer declared is retired, then its rows are dropped, and it is gone.
    """

    LIVE = "live"
    RETIRED = "retired"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class RollupSet:
    """
    A rollup of one metric over some of its dimensions. What its tenants have is built `through` an object's number.
    """

    id: int
    metric: str
    dimensions: Dimensions
    grain: Grain
    state: State = State.LIVE
    through: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """
    What one tenant has of a set: built `through` an object's number, or further where its set is.

    A day of it has so many rows of the metric, and so many groups: buckets, each with a combination of dimensions. All
    rows `since` a moment are there; of those before some may have left while retention was shorter.
    """

    through: int
    rows_a_day: float
    groups_a_day: float
    since: datetime = EPOCH


@dataclass(frozen=True, slots=True)
class Rollup:
    """
    A set as one tenant has it. Into the `dirty` stretches fall rows that it may not have: they are read themselves.
    """

    id: int
    dimensions: Dimensions
    grain: Grain
    part: Part
    dirty: tuple[Stretch, ...] = ()


class RollupSets:
    """
    The sets of one store. Any thread may use them.
    """

    def __init__(
        self,
        engine: Engine,
        least: Callable[[], int],
        grains: Sequence[Grain] = tuple(Grain),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Read what the store has.

        `least` returns how many events of a metric a tenant has at least that gets rollups of it. Each set is kept in
        all `grains`. `clock` is in seconds and never goes back.
        """
        self.least = least
        self._grains = grains
        self._clock = clock
        self._lock = threading.Lock()
        self._session = Session(engine)
        self._loaded = 0
        self._loads: deque[tuple[int, float]] = deque(maxlen=_MOST_LOADS)
        self._entering: int | None = None
        self._counted = False
        self._rewinds = 0
        self._touched = Touched()
        self._known = False
        self._passing: tuple[Tiers, ...] = ()
        self._stamp = (int(self._meta(_START_KEY, "0")) + 1) << _START_BITS
        self._note(_START_KEY, str(self._stamp >> _START_BITS))
        self._sets: dict[int, RollupSet] = {}
        self._parts: dict[int, dict[str, Part]] = {}
        self._live: dict[str, tuple[RollupSet, ...]] = {}
        self._read()
        self.retained()

    def _read(self) -> None:
        sets = f"SELECT id, metric, dimensions, grain, state, through FROM {DATABASE}.rollup_sets FINAL ORDER BY id"
        for key, metric, dimensions, grain, state, through in self._session.rows(sets):
            self._set(RollupSet(key, metric, tuple(dimensions), Grain(grain), State(state), through))
        live = f"SELECT id FROM {DATABASE}.rollup_sets FINAL WHERE state = 'live'"
        parts = (
            "SELECT set, tenant, through, rows_a_day, groups_a_day, since"
            f" FROM {DATABASE}.rollup_tenants FINAL WHERE set IN ({live})"
        )
        for key, tenant, through, rows, groups, since in self._session.rows(parts):
            self._parts[key][tenant] = Part(through, rows, groups, EPOCH + timedelta(seconds=since))
            self._touched.expect((tenant, self._sets[key].metric))

    @property
    def live(self) -> tuple[RollupSet, ...]:
        """
        Return the sets that are declared.
        """
        return tuple(one for one in list(self._sets.values()) if one.state is State.LIVE)

    @property
    def retired(self) -> tuple[RollupSet, ...]:
        """
        Return the sets whose rows are to be dropped.
        """
        return tuple(one for one in list(self._sets.values()) if one.state is State.RETIRED)

    @property
    def rewinds(self) -> int:
        """
        Return how often an object came again: what was being built meanwhile may lack some of its rows.
        """
        return self._rewinds

    def get(self, key: int) -> RollupSet:
        """
        Return a set as it is now.
        """
        return self._sets[key]

    def of(self, metric: str) -> tuple[RollupSet, ...]:
        """
        Return the declared sets of a metric.
        """
        return self._live.get(metric, ())

    def tenants(self, key: int) -> list[str]:
        """
        Return the tenants that a set is kept for, in their order.
        """
        return sorted(self._parts[key])

    def rollups(self, tenant: str, metric: str) -> list[Rollup]:
        """
        Return the rollups of a metric that are kept for a tenant; none while it is not known what they lack.
        """
        found: list[Rollup] = []
        if not self._known:
            return found
        floor = _floor(self._passing, tenant, metric)
        for one in self.of(metric):
            part = self._parts[one.id].get(tenant)
            if part is None:
                continue
            through = max(part.through, one.through)
            lacking = self._touched.beyond((tenant, metric), through)
            if lacking is not None:
                now = replace(part, through=through, since=max(part.since, floor))
                found.append(Rollup(one.id, one.dimensions, one.grain, now, stretches_of(lacking, one.grain)))
        return found

    def waiting(self, one: RollupSet) -> int:
        """
        Return how many loaded objects a set does not have yet: their buckets are read from the rows.
        """
        return max(0, self._loaded - one.through)

    @property
    def lag(self) -> tuple[float, int]:
        """
        Return for how many seconds a set has waited to be built longer than it rests, and for how many objects.
        """
        now, loads = self._clock(), list(self._loads)
        lag, most = 0.0, 0
        for one in self.live:
            first = next((moment for number, moment in loads if number > one.through), now)
            if self._parts[one.id] and (late := now - first - one.grain.rest) > 0:
                lag, most = max(lag, late), max(most, self.waiting(one))
        return lag, most

    def stamp(self) -> int:
        """
        Return a number that is higher than every one before, also than those of earlier processes.
        """
        with self._lock:
            self._stamp += 1
            return self._stamp

    def declare(self, declared: Declared) -> None:
        """
        Make the sets those that are declared: new ones are to be built, others are retired.

        The same dimensions in another order are the same set.
        """
        wanted = {
            (metric, frozenset(one), grain): one
            for metric, sets in declared.items()
            for one in sets
            for grain in self._grains
        }
        with self._lock:
            kept = {(one.metric, frozenset(one.dimensions), one.grain): one for one in self.live}
            changed = [replace(one, state=State.RETIRED) for key, one in kept.items() if key not in wanted]
            new = [key for key in wanted if key not in kept]
            first = max(self._sets, default=0) + 1
            changed += [RollupSet(first + index, key[0], wanted[key], key[2]) for index, key in enumerate(new)]
            self._save(changed)

    @contextmanager
    def loading(self, first: int, last: int) -> Iterator[None]:
        """
        Take note that the objects of these numbers are being loaded.

        What is built meanwhile does not reach up to them. Where an object comes again, every checkpoint goes back
        behind it before its rows can be there.
        """
        with self._lock:
            self._entering = first
            if first <= self._loaded or not self._counted:
                self._rewind(first - 1)
        try:
            yield
            self._loaded = max(self._loaded, last)
            self._loads.append((last, self._clock()))
        finally:
            self._entering = None

    def touched(self, pairs: Collection[Pair]) -> set[Pair]:
        """
        Return of which pairs a load is to tell which quarters it touches, as soon as its rows are there: see `touch`.
        """
        return self._touched.pairs.intersection(pairs)

    def touch(self, rows: Iterable[tuple[str, str, int]], number: int) -> None:
        """
        Take note of the tenants, metrics and quarters into which rows of objects up to one fall.
        """
        self._touched.note((*row, number) for row in rows)

    @property
    def known(self) -> bool:
        """
        Tell whether it is known what rollups lack: into which buckets rows beyond their checkpoints fall.
        """
        return self._known

    def lacking(self) -> tuple[int, list[Pair]]:
        """
        Return the lowest checkpoint, and the pairs that there are rollups of.
        """
        with self._lock:
            checkpoints = [max(part.through, one.through) for one in self.live for part in self._parts[one.id].values()]
            return min(checkpoints, default=0), sorted(self._touched.pairs)

    def learn(self, rows: Iterable[tuple[str, str, int, int]], rewinds: int) -> None:
        """
        Take note of all rows beyond the lowest checkpoint: tenants, metrics, quarters, objects; then all is known.
        """
        self._touched.note(rows)
        with self._lock:
            self._known = rewinds == self._rewinds

    def expect(self, tenant: str, metric: str) -> None:
        """
        Take note that a tenant is to have rollups of a metric: loads are to tell of it.
        """
        self._touched.expect((tenant, metric))

    def _rewind(self, to: int) -> None:
        self._rewinds += 1
        self._known = False
        for one in self.live:
            behind = {tenant: part for tenant, part in self._parts[one.id].items() if part.through > to}
            self._save_parts(one.id, {key: replace(part, through=to) for key, part in behind.items()})
        self._save([replace(one, through=to) for one in self.live if one.through > to])

    def settled(self) -> int:
        """
        Return the highest number that is loaded and has no object that is being loaded at or below it.
        """
        with self._lock:
            if not self._counted:
                held = self._session.rows(f"SELECT max(object) FROM {DATABASE}.metrics")[0][0]
                self._loaded = max(self._loaded, held)
                self._counted = True
            return self._loaded if self._entering is None else min(self._loaded, self._entering - 1)

    def built(self, one: RollupSet, rewinds: int, *, saved: bool) -> bool:
        """
        Move a set's checkpoint; False where an object came again meanwhile: then the build was in vain.

        `rewinds` is their number at the build's start. Where nothing had to be built, it need not be `saved`: a later
        process finds nothing again.
        """

        def save() -> None:
            self._save([one], saved=saved)
            for tenant in self._parts[one.id]:
                kept = (
                    max(other.through, part.through)
                    for other in self.of(one.metric)
                    if (part := self._parts[other.id].get(tenant)) is not None
                )
                self._touched.forget((tenant, one.metric), min(kept))

        return self._unless_in_vain(one.id, rewinds, save)

    def joined(
        self, key: int, tenant: str, part: Part, beyond: Iterable[tuple[str, str, int, int]], rewinds: int
    ) -> bool:
        """
        Keep a set for a tenant, for whom it is built; False as for `built`. `beyond` is as for `learn`.
        """

        def save() -> None:
            self._touched.note(beyond)
            self._save([self._sets[key]])
            self._save_parts(key, {tenant: part})

        return self._unless_in_vain(key, rewinds, save)

    def measured(self, key: int, tenant: str, rows_a_day: float) -> None:
        """
        Take note of how many rows a day of a tenant has by now.
        """
        with self._lock:
            part = self._parts[key].get(tenant)
            if part is not None:
                self._parts[key][tenant] = replace(part, rows_a_day=rows_a_day)

    def dropped(self, one: RollupSet) -> None:
        """
        Save that the rows of a retired set are dropped.
        """
        with self._lock:
            self._save([replace(one, state=State.GONE, through=0)])

    @property
    def passing(self) -> tuple[Tiers, ...]:
        """
        Return the tiers that no longer hold, and by which rows may still leave.
        """
        return self._passing

    def retained(self) -> None:
        """
        Take note that the tiers are changing.
        """
        with self._lock:
            self._passing = _PASSING.decode(self._meta(PASSING, "[]"))

    def passed(self, passing: Sequence[Tiers]) -> None:
        """
        Take note that no row leaves any more by these tiers: those that have left until now stay away.
        """
        with self._lock:
            if passing != self._passing:
                return
            for one in self.live:
                floors = {tenant: _floor(passing, tenant, one.metric) for tenant in self._parts[one.id]}
                parts = {
                    tenant: replace(part, since=max(part.since, floors[tenant]))
                    for tenant, part in self._parts[one.id].items()
                }
                self._save_parts(one.id, parts)
            self._note(PASSING, "[]")
            self._passing = ()

    def _unless_in_vain(self, key: int, rewinds: int, save: Callable[[], None]) -> bool:
        with self._lock:
            if rewinds != self._rewinds or self._sets[key].state is not State.LIVE:
                return False
            save()
            return True

    def _set(self, one: RollupSet) -> None:
        self._sets[one.id] = one
        self._parts.setdefault(one.id, {})
        others = tuple(other for other in self._live.get(one.metric, ()) if other.id != one.id)
        self._live[one.metric] = (*others, one) if one.state is State.LIVE else others

    def _save(self, changed: Sequence[RollupSet], *, saved: bool = True) -> None:
        self._stamp += 1
        rows = [
            (one.id, one.metric, list(one.dimensions), one.grain.value, one.state.value, one.through, self._stamp)
            for one in changed
        ]
        if saved:
            self._session.insert("rollup_sets", _SET_COLUMNS, rows)
        for one in changed:
            self._set(one)

    def _save_parts(self, key: int, changed: Mapping[str, Part]) -> None:
        self._stamp += 1
        rows = [
            (key, tenant, part.through, part.rows_a_day, part.groups_a_day, _seconds(part.since), self._stamp)
            for tenant, part in changed.items()
        ]
        self._session.insert("rollup_tenants", _TENANT_COLUMNS, rows)
        self._parts[key].update(changed)

    def _meta(self, key: str, default: str) -> str:
        rows = self._session.rows(f"SELECT key, value FROM {DATABASE}.meta FINAL")
        return str(dict(rows).get(key, default))

    def _note(self, key: str, value: str) -> None:
        self._session.insert("meta", ["key", "value"], [(key, value)])


def stretches_of(quarters: Sequence[int], grain: Grain) -> tuple[Stretch, ...]:
    """
    Return the buckets of quarters, in their order, as few stretches.
    """
    found: list[list[int]] = []
    for quarter in quarters:
        start = quarter - quarter % grain.value
        if found and start <= found[-1][1]:
            found[-1][1] = start + grain.value
        else:
            found.append([start, start + grain.value])
    return tuple((EPOCH + timedelta(seconds=start), EPOCH + timedelta(seconds=end)) for start, end in found)


def _floor(passing: Sequence[Tiers], tenant: str, metric: str) -> datetime:
    """
    Return the oldest time of which all rows are there that stay by each of the tiers.
    """
    now = datetime.now(UTC)
    return max((now - tiers.retention_of(tenant, metric) for tiers in passing), default=EPOCH)


def _seconds(moment: datetime) -> int:
    return -((EPOCH - moment) // timedelta(seconds=1))
