"""
Wiring: the parts of one process, opened on one data directory and made known to each other.

No behaviour lives here. Arrows between stages are made of the callables that are handed over below.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path

from metriclake import plans
from metriclake._config import JOURNAL_QUOTA_BYTES, REDELIVERED_OBJECTS, DataDirectory
from metriclake.app.configured import Configured
from metriclake.app.in_force import InForce
from metriclake.books import STORE
from metriclake.connection import Connections, raise_files
from metriclake.destinations import (
    DestinationLoop,
    Destinations,
    LoopTerms,
    Outcome,
    Replaying,
    Running,
    StoreDestination,
)
from metriclake.disk import DiskGauge
from metriclake.entry import Announcement, Entry, Position
from metriclake.journal import SqliteJournal
from metriclake.pipeline import LoadedPipeline
from metriclake.pipeline.spec import size
from metriclake.query import AnswerCache, Dashboards, Declared, Desk, Exports, Live, Turns, TurnTerms
from metriclake.repeat import Repeat
from metriclake.store import (
    READERS,
    Catalogue,
    ChangesReader,
    Engine,
    ExportReader,
    Loader,
    Rollups,
    RollupSets,
    TenantReader,
    prepare,
)
from metriclake.stream import CurrentDirectory, Lake, Load, RemoteComposer, StreamWorker
from metriclake.tiers import Tiers
from metriclake.tokens import Keys

_ROLLUP_SECONDS = 2.0


class Parts:
    """
    What one process has open.
    """

    def __init__(
        self, configured: Configured, data: DataDirectory, keys: Keys, opened: contextlib.ExitStack, *, unclean: bool
    ) -> None:
        """
        Open everything; `opened` closes it again. Raises MetriclakeError where it cannot be used.

        `unclean` tells that the server before this one was killed: the store looks once more at its last objects.
        """
        loaded = configured.loaded
        self.keys = keys
        self._open_journal(configured, data, opened)
        composer = RemoteComposer(plans.COMPOSER, self.force.text_of)
        opened.callback(composer.close)
        with contextlib.suppress(OSError):  # the stream says it and tries again
            composer.start()  # it is ready by the time that the engine is
        self.lake = Lake(_place(loaded, loaded.pipeline.lake, data.lake))
        self._open_store(configured, data, opened)
        self.directory = CurrentDirectory(lambda: self.force.configured.directory)
        self.stream = StreamWorker(
            self.journal, self.lake, self.directory, self.force.plan_of, lambda: self.force.configured.limits, composer
        )
        self._open_answers(opened)
        self._open_destinations(REDELIVERED_OBJECTS if unclean else 0)

    def _open_journal(self, configured: Configured, data: DataDirectory, opened: contextlib.ExitStack) -> None:
        path = _place(configured.loaded, configured.loaded.pipeline.journal, data.journal)
        self.journal = SqliteJournal(path, JOURNAL_QUOTA_BYTES)
        opened.callback(self.journal.close)
        opened.callback(configured.directory.close)
        self.force = InForce(configured, self.journal)
        inside = path.is_relative_to(data.root.resolve())
        self.gauge = DiskGauge(
            data.root, lambda: self.force.configured.room, lambda: self.journal.spare if inside else 0
        )

    def _open_store(self, configured: Configured, data: DataDirectory, opened: contextlib.ExitStack) -> None:
        store = configured.loaded.pipeline.store
        self.engine = Engine(_place(configured.loaded, store.url, data.store))
        opened.callback(self.engine.close)
        prepare(self.engine, store.tiers(), datetime.now(UTC))
        self.catalogue = Catalogue(self.engine)
        self.sets = RollupSets(self.engine, lambda: self.force.configured.loaded.pipeline.store.rollup_from)
        self.sets.declare(configured.rollups)
        self.loader = Loader(self.engine, self.catalogue, store.tiers(), self.sets)
        rollups = Rollups(self.engine, self.catalogue, self.sets, lambda: self.loader.tiers)
        self.building = Repeat("rollups", _ROLLUP_SECONDS, rollups.turn)

    def _open_answers(self, opened: contextlib.ExitStack) -> None:
        self.desk = Desk(
            self.reader,
            self.fresh_as_of,
            cache=AnswerCache(lambda: size(self.force.configured.loaded.pipeline.query.cache)),
            turns=Turns(READERS, self._turn_terms),
        )
        opened.callback(self.desk.close)
        self.dashboards = Dashboards(
            self.reader,
            self.keys.signing,
            lambda: self.force.configured.declared,
            self.attributes,
            lambda: self.force.configured.loaded.pipeline.dashboards,
            self.desk.versions.of,
        )
        self.exports = Exports(
            lambda tenant: ExportReader(self.engine, self.catalogue, tenant, tiers=self.loader.tiers),
            self.keys.signing,
            self._loaded,
            self.desk.usage,
        )
        self.live = Live(
            self.keys.signing,
            self._changed,
            self.journal.identity,
            self._loaded(),
            lambda: self.connections.terms.most,
            self.dashboards.shown,
        )
        files = raise_files()
        self.connections = Connections(lambda: self.force.configured.connection_terms(files), self.live.close)

    def _open_destinations(self, again: int) -> None:
        self.destinations = Destinations(self.journal, self.lake.get)
        store = StoreDestination(self.loader, self.desk.versions.changing)
        replaying = Replaying(STORE, self.journal.deliveries, self.destinations.read, store.redeliver)
        self.stream.heard = self.ring
        self.loading = DestinationLoop(
            store,
            self.journal,
            self.lake.get,
            self.stream.announced,
            self._delivered,
            terms=LoopTerms(again=again, aside=[replaying]),
        )

    def start(self) -> None:
        """
        Set the stream and the destinations to work.
        """
        self.stream.start()
        self.loading.start()
        self.building.start()
        self.destinations.turn_to(self.made(self.force.configured))
        self.gauge.start()

    def stop(self) -> None:
        """
        Flush what is accepted through to the store, and to the destinations that take it.
        """
        self.gauge.stop()
        self.stream.stop()
        self.loading.stop()
        self.building.stop()
        self.destinations.stop()

    def made(self, configured: Configured) -> dict[str, Running]:
        """
        Return the destinations of a pipeline file, which are not at work yet.
        """
        return self.destinations.made(configured.loaded.pipeline.destinations, configured.folder)

    def swap(self, fresh: Configured, made: dict[str, Running]) -> None:
        """
        Put a pipeline file in force, and its destinations to work.
        """
        self.force.keep(fresh)
        self.sets.declare(fresh.rollups)
        self.force.swap(fresh)
        self.destinations.turn_to(made)

    def retain(self, tiers: Tiers) -> None:
        """
        Keep rows for so long from now on.
        """
        if tiers != self.loader.tiers:
            with self.desk.versions.changing_all():
                self.loader.retain(tiers, datetime.now(UTC))

    def append(self, entry: Entry) -> Future[Position]:
        """
        Append to the journal, where the disk has room.
        """
        self.gauge.admit(len(entry.body))
        return self.journal.append(entry)

    def ring(self) -> None:
        """
        Have the store and all other destinations look for what is announced.
        """
        self.stream.announced.set()
        self.destinations.ring()

    def load(self) -> Load:
        """
        Return what waits for the stream and for the store.
        """
        seconds, entries = self.stream.lag
        return Load(seconds - self.force.configured.limits.seconds, entries, self.loading.lag[1])

    def reader(self, tenant: str) -> TenantReader:
        """
        Return the reader of a verified tenant.
        """
        bounds = self.force.configured.bounds(tenant)
        return TenantReader(self.engine, self.catalogue, tenant, bounds, self.loader.tiers, self.sets)

    def attributes(self, tenant: str) -> Mapping[str, str]:
        """
        Return what the directory knows of a tenant.
        """
        return self.force.configured.attributes(tenant)

    def _turn_terms(self, tenant: str) -> TurnTerms:
        return self.force.configured.turn_terms(tenant)

    def declared(self) -> Declared:
        """
        Return the measures that the file in force names, and its version.
        """
        configured = self.force.configured
        return Declared(configured.plan.version, lambda: configured.declared)

    def fresh_as_of(self, tenant: str) -> datetime:
        """
        Return the moment up to which every accepted event that may be a tenant's is in the store.
        """
        now = datetime.now(UTC)
        oldest = self.journal.oldest_waiting(STORE, tenant)
        return now if oldest is None else min(now, datetime.fromtimestamp(oldest / 1_000_000, UTC))

    def _changed(self, tenant: str, number: int) -> list[str]:
        return ChangesReader(self.engine, self.catalogue, tenant, tiers=self.loader.tiers).since(number)

    def _loaded(self) -> int:
        """
        Return the last object that the store has whole.
        """
        return self.journal.checkpoint(STORE).number

    def _delivered(self, announcement: Announcement, outcome: Outcome) -> None:
        """
        Tell those who listen which metrics have new rows, now that they can be read.
        """
        changed: dict[str, set[str]] = {}
        for tenant, metric in outcome.counters.get("stored", {}):
            changed.setdefault(tenant, set()).add(metric)
        self.live.delivered(announcement.number, changed)


def _place(loaded: LoadedPipeline, url: str | None, default: Path) -> Path:
    return default.resolve() if url is None else loaded.resolve(url.partition("://")[2])
