"""
Wiring: the stages of one process, put together from a pipeline file and a data directory.

No behaviour lives here. Arrows between stages are made of the callables that are handed over below.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import logging
import operator
import os
import threading
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import IO, Any

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from metriclake import admin, charts, gateway, openapi, plans, query
from metriclake._config import (
    JOURNAL_QUOTA_BYTES,
    MAX_BODIES_BYTES,
    MAX_BODY_BYTES,
    MAX_EVENT_BYTES,
    REDELIVERED_OBJECTS,
    DataDirectory,
    Environment,
)
from metriclake._errors import (
    DataDirectoryInUse,
    Fault,
    InvalidEvent,
    InvalidPipeline,
    MetriclakeError,
)
from metriclake._version import __version__
from metriclake.admin import (
    Admin,
    AuditAdmin,
    BackfillAdmin,
    FleetAdmin,
    Guard,
    LakeAdmin,
    LettersAdmin,
    ProvenanceAdmin,
    RecountAdmin,
    ReplaysAdmin,
    RulesAdmin,
    Sessions,
    TenantsAdmin,
    Trail,
    ViewingAdmin,
)
from metriclake.books import STORE, Books
from metriclake.connection import Connections, ConnectionTerms, raise_files
from metriclake.cors import Cors
from metriclake.crashpoints import arm
from metriclake.dashboard_specs import DEFAULT, allows
from metriclake.destinations import (
    DeadLetters,
    DestinationLoop,
    Destinations,
    LoopTerms,
    Outcome,
    Replaying,
    Replays,
    Running,
    StoreDestination,
    destination_of,
)
from metriclake.disk import DiskGauge, Room
from metriclake.entry import Announcement, Entry, Position
from metriclake.gateway import Allowance, Gateway, Ids, Limiter, Rate, accept_events
from metriclake.intake import Intake
from metriclake.journal import SqliteJournal
from metriclake.pipeline import FieldSpec, LoadedPipeline, load
from metriclake.problems import as_json, on_error, on_gone, on_http_error, problem
from metriclake.query import (
    AnswerCache,
    Dashboards,
    Declared,
    Desk,
    Ending,
    Exports,
    FleetAnswers,
    Live,
    Provenance,
    Query,
    Sources,
    Turns,
    TurnTerms,
    share,
)
from metriclake.repeat import Repeat
from metriclake.request_id import RequestIds
from metriclake.rules import Rule, Trap, traps
from metriclake.spec import duration, size
from metriclake.store import (
    READERS,
    Bounds,
    Catalogue,
    ChangesReader,
    Engine,
    ExportReader,
    FleetReader,
    Loader,
    Rollups,
    RollupSets,
    RowCount,
    TenantReader,
    fsync_folder,
    holdings,
    matching,
    prepare,
)
from metriclake.stream import (
    Backfill,
    CachedDirectory,
    CacheTerms,
    CurrentDirectory,
    Directory,
    DirectoryState,
    Explanation,
    FileDirectory,
    Lake,
    LakeCheck,
    Limits,
    Load,
    NoDirectory,
    Plan,
    Preview,
    Recount,
    Refusals,
    RemoteComposer,
    StreamWorker,
    Surroundings,
    Terms,
    Wanted,
    explain,
    read_event,
)
from metriclake.stream.sources import HttpSource, PythonSource, Source, SqlSource
from metriclake.telemetry import Facts, QuestionFacts, Telemetry
from metriclake.tiers import Tiers
from metriclake.tokens import Keys, load_keys, mint_tenant
from metriclake.watch import Watcher

_LOG = logging.getLogger(__name__)
_MEGABYTE = 1024 * 1024
_CORES = os.cpu_count() or 1
_ROLLUP_SECONDS = 2.0
_SHARED = ("/v1/query", "/v1/sql", "/v1/catalog", "/v1/dashboards", "/v1/export", "/v1/stream")
"""What tenants ask: pages of other origins may, where the pipeline file names them."""

_LOCK_TRIES = 10
_LOCK_PAUSE_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Configured:
    """
    A pipeline file that is without faults in every part.
    """

    loaded: LoadedPipeline
    plan: Plan
    directory: Directory
    text: str

    @property
    def rollups(self) -> dict[str, tuple[tuple[str, ...], ...]]:
        """
        Return the dimensions of each rollup that the file asks for, by metric.
        """
        pipeline = self.loaded.pipeline
        return {name: metric.rollups for name, metric in pipeline.metrics.items()} if pipeline.store.rollups else {}

    @property
    def declared(self) -> dict[tuple[str, str], str | None]:
        """
        Return the measures that the file names, in its order, each with its unit.
        """
        metrics = self.loaded.pipeline.metrics
        nothing = FieldSpec()
        return {
            (rule.name, measure): metrics[rule.name].data.get(measure, nothing).unit
            for rule in self.plan.rules.rules
            for measure in rule.transform.measures
        }

    def bounds(self, tenant: str) -> Bounds:
        """
        Return what one statement of a tenant may use.
        """
        limits = self.loaded.pipeline.query.limits_of(tenant)
        threads = share(_CORES, limits.concurrent).threads
        return Bounds(_seconds(limits.time), size(limits.memory), limits.rows_read, threads=threads)

    def connection_terms(self, files: int) -> ConnectionTerms:
        """
        Return how connections are kept, by a process that may open so many files for them.
        """
        gateway = self.loaded.pipeline.gateway
        most = min(gateway.connections, files)
        return ConnectionTerms(most, _seconds(gateway.patience), _seconds(gateway.keep_alive))

    @property
    def traps(self) -> list[tuple[str, str, Trap]]:
        """
        Return (metric, place, trap) of what the file says that is allowed, and does something else than it seems to.
        """
        return [
            (name, self.loaded.place("metrics", name, *trap.keys), trap)
            for name, metric in self.loaded.pipeline.metrics.items()
            for trap in traps(name, metric)
        ]

    @property
    def allowances(self) -> dict[str, Allowance]:
        """
        Return what each ingest key that the file limits may bring.
        """
        limits = self.loaded.pipeline.gateway.limits
        return {
            name: Allowance(**{what: Rate(*rate) for what, rate in limit.rates().items()})
            for name, limit in limits.items()
        }


def configure(path: Path, environ: Mapping[str, str]) -> Configured:
    """
    Read and compile a pipeline file. Raises InvalidPipeline with the faults of all its parts.
    """
    loaded = load(path, environ)
    faults: list[Fault] = []
    plan = plans.plan(loaded, faults)
    _check_dashboards(loaded, faults)
    directory = _directory(loaded, faults)
    _try_destinations(loaded, faults)
    if faults:
        raise InvalidPipeline(tuple(faults))
    return Configured(loaded, plan, directory, plans.kept_text(loaded))


def _check_dashboards(loaded: LoadedPipeline, faults: list[Fault]) -> None:
    """
    Note each fault of the questions that dashboards ask.
    """
    metrics = loaded.pipeline.metrics
    declared: dict[str, Sequence[str] | None] = {
        name: None if spec.as_eventbridge else (*spec.metadata, *spec.data) for name, spec in metrics.items()
    }
    for name, dashboard in loaded.pipeline.dashboards.items():
        for place, fault in query.check_dashboard(dashboard, declared):
            faults.append(replace(fault, place=loaded.place("dashboards", name, *place)))


def _directory(loaded: LoadedPipeline, faults: list[Fault]) -> Directory:
    tenants = loaded.pipeline.tenants
    terms = CacheTerms(_seconds(tenants.ttl), _seconds(tenants.unknown_ttl), tenants.cache_size)
    try:
        if tenants.file is not None:
            return FileDirectory(loaded.resolve(tenants.file))
        source = _source(loaded)
        if source is not None:
            return CachedDirectory(source, terms, _seconds(tenants.timeout))
    except MetriclakeError as error:
        (key,) = tenants.sources
        faults.append(Fault(loaded.place("tenants", key), str(error)))
    return NoDirectory()


def _try_destinations(loaded: LoadedPipeline, faults: list[Fault]) -> None:
    for name, spec in loaded.pipeline.destinations.items():
        try:
            destination_of(name, spec, loaded.path.parent.resolve()).close()
        except MetriclakeError as error:
            faults.append(Fault(loaded.place("destinations", name), str(error)))


def _source(loaded: LoadedPipeline) -> Source | None:
    tenants = loaded.pipeline.tenants
    if tenants.http is not None:
        return HttpSource(tenants.http.url, tenants.http.batch, tenants.http.headers)
    if tenants.sql is not None:
        return SqlSource(tenants.sql.url, tenants.sql.statement)
    if tenants.python is not None:
        return PythonSource(tenants.python, loaded.path.parent.resolve())
    return None


def _seconds(text: str) -> float:
    return duration(text).total_seconds()


def explain_event(text: bytes, configured: Configured) -> Explanation:
    """
    Tell what a pipeline file makes of a domain event, completed as a door would. Raises InvalidEvent.
    """
    read_event(text)
    now = datetime.now(UTC)
    accepted = accept_events([text], Ids(now), MAX_EVENT_BYTES)
    if accepted.rejected:
        raise InvalidEvent(f"no door takes this event: {accepted.rejected[0]['error']}")
    return explain(accepted.lines[0], configured.plan, now, configured.directory.resolve)


class Server:
    """
    Every role of one process on one data directory.
    """

    def __init__(self, configured: Configured, data: DataDirectory, environment: Environment) -> None:
        """
        Open everything; raises MetriclakeError where it cannot be used. `start` sets it to work.
        """
        if environment.crash_at:
            arm(environment.crash_at)
        self._configured = configured
        self._environment = environment
        self._reloading = threading.Lock()
        self._refused: str | None = None
        self._watcher = Watcher(configured.loaded.path, self.reload)
        self._telemetry = Telemetry(self._facts)
        _warn(configured)
        files = raise_files()
        self.connections = Connections(lambda: self._configured.connection_terms(files), self._leave)
        self._plans: dict[int, Plan] = {configured.plan.version: configured.plan}
        with contextlib.ExitStack() as opened:
            self._lock = opened.enter_context(_locked(data))
            self._unclean = _mark_unclean(data)
            self._data = data
            self.keys: Keys = load_keys(data.keys, environment)
            self._open(configured, data, opened)
            self._opened = opened.pop_all()

    def _open(self, configured: Configured, data: DataDirectory, opened: contextlib.ExitStack) -> None:
        loaded = configured.loaded
        store = loaded.pipeline.store
        journal = _place(loaded, loaded.pipeline.journal, data.journal)
        self._journal = SqliteJournal(journal, JOURNAL_QUOTA_BYTES)
        opened.callback(self._journal.close)
        opened.callback(configured.directory.close)
        self._journal.keep_pipeline(configured.plan.version, configured.text)
        inside = journal.is_relative_to(data.root.resolve())
        self._gauge = DiskGauge(data.root, self._room, lambda: self._journal.spare if inside else 0)
        composer = RemoteComposer(plans.COMPOSER, self._text_of)
        opened.callback(composer.close)
        with contextlib.suppress(OSError):  # the stream says it and tries again
            composer.start()  # it is ready by the time that the engine is
        self._lake = Lake(_place(loaded, loaded.pipeline.lake, data.lake))
        self._engine = Engine(_place(loaded, store.url, data.store))
        opened.callback(self._engine.close)
        prepare(self._engine, store.tiers(), datetime.now(UTC))
        self._catalogue = Catalogue(self._engine)
        self._stream = StreamWorker(
            self._journal,
            self._lake,
            CurrentDirectory(lambda: self._configured.directory),
            self._plan_of,
            self._limits,
            composer,
        )
        self._sets = RollupSets(self._engine, lambda: self._configured.loaded.pipeline.store.rollup_from)
        self._sets.declare(configured.rollups)
        self._loader = Loader(self._engine, self._catalogue, store.tiers(), self._sets)
        self._rollups = Rollups(self._engine, self._catalogue, self._sets, lambda: self._loader.tiers)
        self._building = Repeat("rollups", _ROLLUP_SECONDS, self._rollups.turn)
        self._desk = Desk(
            self._reader,
            self.fresh_as_of,
            cache=AnswerCache(lambda: size(self._configured.loaded.pipeline.query.cache)),
            turns=Turns(READERS, self._turn_terms),
        )
        opened.callback(self._desk.close)
        self._destinations = Destinations(self._journal, self._lake.get)
        loading = StoreDestination(self._loader, self._desk.versions.changing)
        replaying = Replaying(STORE, self._journal.deliveries, self._destinations.read, loading.redeliver)
        again = REDELIVERED_OBJECTS if self._unclean else 0
        self._stream.heard = self._ring
        self._loading = DestinationLoop(
            loading,
            self._journal,
            self._lake.get,
            self._stream.announced,
            self._delivered,
            terms=LoopTerms(again=again, aside=[replaying]),
        )
        self._exports = Exports(
            lambda tenant: ExportReader(self._engine, self._catalogue, tenant, tiers=self._loader.tiers),
            self.keys.signing,
            self._loaded,
        )
        self._dashboards = Dashboards(
            self._reader,
            self.keys.signing,
            lambda: self._configured.declared,
            self._attributes,
            lambda: self._configured.loaded.pipeline.dashboards,
        )
        self._live = Live(
            self.keys.signing,
            self._changed,
            self._journal.identity,
            self._loaded(),
            lambda: self.connections.terms.most,
            self._dashboards.shown,
        )

    def start(self) -> None:
        """
        Set the stream and the destinations to work.
        """
        self._stream.start()
        self._loading.start()
        self._building.start()
        self._destinations.turn_to(self._made(self._configured))
        self._watcher.start()
        self._gauge.start()

    def stop(self) -> None:
        """
        Flush what is accepted through to the store, and to the destinations that take it, and close everything.
        """
        self._gauge.stop()
        self._watcher.stop()
        self._stream.stop()
        self._loading.stop()
        self._building.stop()
        self._destinations.stop()
        self._data.unclean.unlink(missing_ok=True)
        self._opened.close()

    def reload(self) -> bool:
        """
        Read the pipeline file again, and swap it in whole, or refuse it whole and go on with the one in force.

        A batch that is sealed keeps the version it is sealed with.
        """
        with self._reloading:
            try:
                fresh = configure(self._configured.loaded.path, self._environment.variables)
                _check_restart(self._configured.loaded, fresh.loaded)
                made = self._made(fresh)
                self._retain(fresh.loaded.pipeline.store.tiers())
            except MetriclakeError as error:
                self._refused = str(error)
                _LOG.error("the pipeline file is refused; the one before stays in force", extra={"error": str(error)})
                return False
            self._swap(self._with_directory(fresh))
            self._destinations.turn_to(made)
            return True

    def _retain(self, tiers: Tiers) -> None:
        if tiers != self._loader.tiers:
            with self._desk.versions.changing_all():
                self._loader.retain(tiers, datetime.now(UTC))

    def _made(self, configured: Configured) -> dict[str, Running]:
        loaded = configured.loaded
        return self._destinations.made(loaded.pipeline.destinations, loaded.path.parent.resolve())

    def _with_directory(self, fresh: Configured) -> Configured:
        """
        Keep the directory, and what it remembers, where the file asks for the same one; old ones are closed at the end.
        """
        if fresh.loaded.pipeline.tenants == self._configured.loaded.pipeline.tenants:
            fresh.directory.close()
            return replace(fresh, directory=self._configured.directory)
        self._opened.callback(fresh.directory.close)
        return fresh

    def _swap(self, fresh: Configured) -> None:
        self._journal.keep_pipeline(fresh.plan.version, fresh.text)
        self._plans[fresh.plan.version] = fresh.plan
        self._sets.declare(fresh.rollups)
        self._configured = fresh
        self._refused = None
        _LOG.info("the pipeline file is in force", extra={"version": fresh.plan.version})
        _warn(fresh)

    def _reader(self, tenant: str) -> TenantReader:
        bounds = self._configured.bounds(tenant)
        return TenantReader(self._engine, self._catalogue, tenant, bounds, self._loader.tiers, self._sets)

    def _turn_terms(self, tenant: str) -> TurnTerms:
        limits = self._configured.loaded.pipeline.query.limits_of(tenant)
        concurrent = share(_CORES, limits.concurrent).concurrent
        return TurnTerms(concurrent, limits.waiting, _seconds(limits.patience))

    def _declared(self) -> Declared:
        configured = self._configured
        return Declared(configured.plan.version, lambda: configured.declared)

    def _leave(self) -> None:
        self._live.close()

    def _loaded(self) -> int:
        """
        Return the last object that the store has whole.
        """
        return self._journal.checkpoint(STORE).number

    def _held(self, after: str, limit: int, search: str) -> dict[str, Any]:
        """
        Return what the store holds of the next tenants, as the admin route answers it.
        """
        found, following = holdings(self._engine, after, limit, search)
        names = self._configured.directory.resolve([one.tenant for one in found])
        tenants = [
            {
                "tenant": one.tenant,
                "name": (names.get(one.tenant) or {}).get("name"),
                "cost": self._desk.usage.of(one.tenant),
                "metrics": one.metrics,
                "rows": one.rows,
                "first_time": one.first,
                "last_time": one.last,
            }
            for one in found
        ]
        return {"tenants": tenants, "next": following, "matching": matching(self._engine, search)}

    def _changed(self, tenant: str, number: int) -> list[str]:
        return ChangesReader(self._engine, self._catalogue, tenant, tiers=self._loader.tiers).since(number)

    def _delivered(self, announcement: Announcement, outcome: Outcome) -> None:
        """
        Tell those who listen which metrics have new rows, now that they can be read.
        """
        changed: dict[str, set[str]] = {}
        for tenant, metric in outcome.counters.get("stored", {}):
            changed.setdefault(tenant, set()).add(metric)
        self._live.delivered(announcement.number, changed)

    def app(self) -> Starlette:
        """
        Return the ASGI application; its lifespan starts and stops the server.
        """

        @contextlib.asynccontextmanager
        async def lifespan(_app: Starlette) -> AsyncIterator[None]:
            self.start()
            try:
                yield
            finally:
                await run_in_threadpool(self.stop)

        handlers: Any = {MetriclakeError: on_error, ClientDisconnect: on_gone, HTTPException: on_http_error}
        routes = self._routes()
        around = [
            Middleware(RequestIds, on_error),
            Middleware(_Counted, telemetry=self._telemetry, routes=routes),
            Middleware(Cors, self._embeds, _SHARED),
            Middleware(Intake, lambda: self.connections.terms.patience, MAX_BODIES_BYTES),
        ]
        return Starlette(routes=routes, middleware=around, exception_handlers=handlers, lifespan=lifespan)

    def _routes(self) -> list[BaseRoute]:
        limiter = Limiter(lambda: self._configured.allowances)
        gateway = Gateway(self._append, self.keys, MAX_BODY_BYTES, MAX_EVENT_BYTES, limiter)
        query = Query(
            self._desk,
            self.keys.signing,
            self._declared,
            self._attributes,
            self._dashboards.permit,
        )
        guard, trail = Guard(self.keys.admin), Trail(self._journal.audit.note)
        admin = Admin(guard, self.status, self.usage)
        check, refusals = LakeCheck(self._lake, self._journal), Refusals(self._lake, self._journal)
        lake = LakeAdmin(
            guard,
            check.slice,
            refusals.groups,
            refusals.records,
            lambda which, after, terms, enough: refusals.retry(which, after, Terms(**terms), enough),
            trail,
        )
        dead = DeadLetters(self._journal.deliveries, self._destinations.read, lambda: self._destinations.failures)
        repeated = Replays(
            self._journal.deliveries, lambda: self._destinations.capabilities, lambda: self._destinations.failures
        )
        replays = ReplaysAdmin(guard, repeated.begin, repeated.listed, repeated.stop, trail)
        letters = LettersAdmin(guard, dead.groups, dead.records, dead.restate, trail)
        preview = Preview(self._lake, lambda: self._configured.plan, self._edited)
        rules = RulesAdmin(guard, lambda text: explain_event(text, self._configured), preview.slice)
        around = Surroundings(
            lambda: self._configured.plan,
            CurrentDirectory(lambda: self._configured.directory).resolve,
            self._load,
            self._destination_names,
            self._ring,
        )
        backfill = Backfill(self._lake, self._journal, around)
        backfills = BackfillAdmin(
            guard,
            lambda terms, arrived, enough: backfill.slice(
                Wanted(
                    terms.metric, arrived, tuple(terms.destinations), terms.dry_run, terms.rule, terms.number
                ), terms.after, enough,
            ),
            trail,
        )  # fmt: skip
        rows = RowCount(self._engine)
        recount = Recount(self._lake, self._journal, rows.of, lambda: rows.aged(self._loader.tiers, datetime.now(UTC)))
        recounts = RecountAdmin(guard, recount.slice)
        health = [Route("/healthz", self._healthz), Route("/readyz", self._readyz), Route("/openapi.json", _openapi)]
        asked = [*query.routes(), *self._dashboards.routes(), *self._exports.routes(), *self._live.routes()]
        tenants = TenantsAdmin(guard, self._held, self._exports.export_of, trail)
        answers = FleetAnswers(FleetReader(self._engine, self._catalogue), self._declared)
        fleet = FleetAdmin(guard, answers.answer)
        viewing = ViewingAdmin(
            guard,
            answers.catalogue,
            lambda tenant: mint_tenant(self.keys.signing, tenant, now=datetime.now(UTC)),
            trail,
        )
        sources = Sources(self._journal.announcements, self._rule_of, lambda: self._configured.plan.version)
        provenance = ProvenanceAdmin(guard, Provenance(self._reader, self._declared, sources).answer)
        internal = [
            *admin.routes(),
            *Sessions(guard, trail).routes(),
            *AuditAdmin(guard, self._journal.audit.lines).routes(),
            *fleet.routes(),
            *viewing.routes(),
            *provenance.routes(),
            *lake.routes(),
            *letters.routes(),
            *replays.routes(),
            *rules.routes(),
            *tenants.routes(),
            *backfills.routes(),
            *recounts.routes(),
        ]
        own = [*health, *self._telemetry.routes()]
        pages = charts.routes(self.dashboards, lambda: self._configured.loaded.pipeline.embedding.origins)
        return [*own, *gateway.routes(), *asked, *internal, *pages]

    def _attributes(self, tenant: str) -> Mapping[str, str]:
        return self._configured.directory.resolve([tenant]).get(tenant) or {}

    def _embeds(self, origin: str) -> bool:
        return allows(self._configured.loaded.pipeline.embedding.origins, origin)

    async def _healthz(self, _request: Request) -> Response:
        return as_json({"status": "ok"})

    async def _readyz(self, _request: Request) -> Response:
        failures = self._failures()
        if self._journal.backlog > JOURNAL_QUOTA_BYTES:
            full = "the journal is full: the lake or the store does not keep up"
            return problem(503, "Not ready", full, headers={"Retry-After": "5"})
        return as_json({"status": "ready", "failures": failures})

    def _failures(self) -> list[str]:
        directory = self._configured.directory.state()
        away = [f"tenants: {directory.reason}"] if directory.reason else []
        here = [str(one) for one in (self._stream.failure, self._loading.failure) if one is not None]
        return [*away, *here, *filter(None, self._destinations.failures.values())]

    def rules(self, event: dict[str, Any]) -> Sequence[Rule]:
        """
        Return the rules in force that a domain event matches.
        """
        return self._configured.plan.rules.matching(event)

    def tenants(self) -> list[str]:
        """
        Return the tenants of which the store has metrics.
        """
        return self._catalogue.tenants()

    def dashboards(self) -> list[str]:
        """
        Return the names of the dashboards, the one of every tenant first.
        """
        return list(dict.fromkeys((DEFAULT, *self._configured.loaded.pipeline.dashboards)))

    def books(self) -> Books:
        """
        Return the books of this moment.
        """
        return self._journal.books(STORE, self._destinations.names)

    def _lags(self) -> dict[str, tuple[float, int]]:
        """
        Return how far each stage is behind: the age of the oldest that waits, in seconds, and how many wait.
        """
        stages = {"stream": self._stream.lag, STORE: self._loading.lag, "rollups": self._sets.lag}
        return stages | self._destinations.lags

    def status(self, most: int | None = None, search: str = "") -> dict[str, Any]:
        """
        Return the answer of `metriclake status --json`; with `most`, that many accounts which a text is in.
        """
        stages = {
            name: {"lag_seconds": round(lag, 3), "waiting": waiting} for name, (lag, waiting) in self._lags().items()
        }
        pipeline = {"version": self._configured.plan.version, "refused": self._refused}
        books = self.books()
        return {
            "stages": stages,
            **books.as_json(most, search),
            "pipeline": pipeline,
            "directory": _directory_state(self._configured.directory.state(), books),
            "rollups": [
                {
                    "metric": one.metric,
                    "dimensions": one.dimensions,
                    "interval": one.grain.name.lower(),
                    "tenants": len(self._sets.tenants(one.id)),
                    "waiting": self._sets.waiting(one),
                }
                for one in self._sets.live
                if self._sets.tenants(one.id)
            ],
            "failures": self._failures(),
        }

    def usage(self) -> dict[str, Any]:
        """
        Return what each tenant's questions took since the start.
        """
        return self._desk.usage.as_json()

    def _load(self) -> Load:
        """
        Return what waits for the stream and for the store.
        """
        seconds, entries = self._stream.lag
        return Load(seconds - self._limits().seconds, entries, self._loading.lag[1])

    def _ring(self) -> None:
        """
        Have the store and all other destinations look for what is announced.
        """
        self._stream.announced.set()
        self._destinations.ring()

    def _destination_names(self) -> frozenset[str]:
        """
        Return the names of all destinations in force.
        """
        return frozenset({STORE, *self._configured.loaded.pipeline.destinations})

    def _facts(self) -> Facts:
        """
        Return what `/metrics` says.
        """
        books = self.books()
        lags = self._lags()
        letters = self._journal.deliveries.standing()
        return Facts(
            lags={name: lag for name, (lag, _) in lags.items()},
            waiting={name: waiting for name, (_, waiting) in lags.items()},
            events=books.totals,
            domain_events=asdict(books.domain_events),
            delivered=books.delivered,
            letters={name: letters.get(name, 0) for name in books.delivered},
            traffic={name: asdict(sent) for name, sent in self._destinations.traffic.items()},
            balanced=books.balanced,
            backlog=self._journal.backlog,
            data=self._gauge.used,
            failing=len(self._failures()),
            connections=len(self.connections),
            ended={str(why): count for why, count in self.connections.ended.items()},
            questions=self._question_facts(),
        )

    def _question_facts(self) -> QuestionFacts:
        desk, total = self._desk, self._desk.usage.total
        return QuestionFacts(
            endings={ending.value: total[ending.value] for ending in Ending},
            hit_share=desk.usage.hit_share,
            rows=total["rows_read"],
            bytes=total["bytes_read"],
            seconds=total["engine_ms"] / 1000,
            cpu=total["cpu_ms"] / 1000,
            running=desk.turns.running,
            waiting=desk.turns.waiting,
            cache_answers=len(desk.cache),
            cache_bytes=desk.cache.size,
        )

    def _append(self, entry: Entry) -> Future[Position]:
        self._gauge.admit(len(entry.body))
        return self._journal.append(entry)

    def _room(self) -> Room:
        disk = self._configured.loaded.pipeline.disk
        return Room(None if disk.quota is None else size(disk.quota), size(disk.reserve))

    def fresh_as_of(self, tenant: str) -> datetime:
        """
        Return the moment up to which every accepted event that may be a tenant's is in the store.
        """
        now = datetime.now(UTC)
        oldest = self._journal.oldest_waiting(STORE, tenant)
        return now if oldest is None else min(now, datetime.fromtimestamp(oldest / 1_000_000, UTC))

    def _plan_of(self, version: int | None) -> Plan:
        """
        Return the plan of a sealed batch's version, which an earlier pipeline file may have made.
        """
        if version is None:
            return self._configured.plan
        if version not in self._plans:
            self._plans[version] = plans.plan_of_text(self._text_of(version), version)
        return self._plans[version]

    def _text_of(self, version: int) -> str:
        text = self._journal.pipeline(version)
        if text is None:
            raise MetriclakeError(f"the pipeline file of version {version} is not kept: a sealed batch needs it")
        return text

    def _rule_of(self, version: int, metric: str) -> Any:
        """
        Return what a version of the pipeline file said of a metric, None where it is not kept.
        """
        text = self._journal.pipeline(version)
        return None if text is None else plans.kept_rule(text, metric)

    def _edited(self, text: str) -> Plan:
        """
        Compile an edited file that is not in force; raises InvalidPipeline.
        """
        if text == self._configured.text:
            raise MetriclakeError("the edited file says what is in force already: edit a copy, and name it")
        return plans.plan_of_edited(text)

    def _limits(self) -> Limits:
        buffer = self._configured.loaded.pipeline.stream.buffer
        return Limits(buffer.seconds, int(buffer.megabytes * _MEGABYTE))


class _Counted:
    """
    The telemetry around an application, in the shape in which Starlette takes it.
    """

    def __init__(self, app: ASGIApp, telemetry: Telemetry, routes: Sequence[BaseRoute]) -> None:
        self._app = telemetry.around(app, routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


async def _openapi(_request: Request) -> Response:
    return as_json(msgspec.Raw(_described()))


@functools.cache
def _described() -> bytes:
    parts = (gateway.described(), query.described(), admin.described(), charts.described())
    return msgspec.json.encode(openapi.document(__version__, (*openapi.OWN, *chain.from_iterable(parts))))


def _warn(configured: Configured) -> None:
    """
    Log the traps of a pipeline file that comes into force.
    """
    for metric, place, trap in configured.traps:
        facts = {"metric": metric, "place": place, "trap": trap.name, "what": trap.what, "instead": trap.instead}
        _LOG.warning("a metric may not do what it seems to", extra=facts)


_NEEDS_RESTART = ("lake", "journal", "store.url")


def _check_restart(before: LoadedPipeline, fresh: LoadedPipeline) -> None:
    """
    Refuse a change that a running server cannot make. Raises InvalidPipeline.
    """
    get = {key: operator.attrgetter(key) for key in _NEEDS_RESTART}
    changed = [key for key in _NEEDS_RESTART if get[key](before.pipeline) != get[key](fresh.pipeline)]
    if changed:
        raise InvalidPipeline(
            tuple(Fault(fresh.place(*key.split(".")), f"`{key}` changes only with a restart") for key in changed)
        )


def _directory_state(state: DirectoryState, books: Books) -> dict[str, Any]:
    held = [(account.tenant, account.held) for account in books.accounts if account.held]
    since = state.unavailable_since
    return {
        "source": state.source,
        "unavailable_since": None if since is None else datetime.fromtimestamp(since, UTC).isoformat(),
        "reason": state.reason,
        "stale_tenants": state.stale_tenants,
        "stale_answers": state.stale_answers,
        "held": sum(amount for _, amount in held),
        "held_tenants": len({tenant for tenant, _ in held}),
    }


def _place(loaded: LoadedPipeline, url: str | None, default: Path) -> Path:
    return default.resolve() if url is None else loaded.resolve(url.partition("://")[2])


@contextlib.contextmanager
def _locked(data: DataDirectory) -> Any:
    """
    Hold the data directory for this process alone.
    """
    try:
        data.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        file: IO[str] = data.lock.open("a+", encoding="utf-8")
    except OSError as error:
        raise MetriclakeError(f"the data directory {data.root} cannot be used: {error.strerror}") from error
    with file:
        if not _taken(file):
            raise DataDirectoryInUse(f"{data.root} is in use by {_holder(data)}: stop it, or take another --data")
        file.truncate(0)  # a server that was killed has left its address
        try:
            yield file
        finally:
            file.truncate(0)


def _mark_unclean(data: DataDirectory) -> bool:
    """
    Mark the directory as in use, durably, until `stop`; tells whether an earlier server has left its mark.

    The mark's removal is not fsynced: where a power cut undoes it, the next start looks once more than it must.
    """
    found = data.unclean.exists()
    try:
        data.unclean.touch(mode=0o600)
        for folder in (data.root, data.root.parent):
            fsync_folder(folder)
    except OSError as error:
        raise MetriclakeError(f"the data directory {data.root} cannot be written: {error.strerror}") from error
    return found


def _taken(file: IO[str]) -> bool:
    """
    Take the lock; patient for a moment, since a command that looks whether a server runs holds it for an instant.
    """
    for _ in range(_LOCK_TRIES):
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(_LOCK_PAUSE_SECONDS)
    return False


def _holder(data: DataDirectory) -> str:
    found = running(data)
    return "another process" if found is None else f"the server at {found['url']} (process {found['pid']})"


def running(data: DataDirectory) -> dict[str, Any] | None:
    """
    Return where the server that holds the data directory listens, None where none does.
    """
    try:
        with data.lock.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                found = msgspec.json.decode(file.read())
                return found if isinstance(found, dict) else None
    except (OSError, msgspec.DecodeError):
        return None
    return None


def publish(data: DataDirectory, url: str, pipeline: Path) -> None:
    """
    Tell other processes where this server listens, and by which pipeline file it runs.
    """
    data.lock.write_bytes(msgspec.json.encode({"pid": os.getpid(), "url": url}))
    data.served.write_text(str(pipeline.resolve()), encoding="utf-8")
