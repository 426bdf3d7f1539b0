"""
Wiring: the stages of one process, put together from a pipeline file and a data directory.

No behaviour lives here. Arrows between stages are made of the callables that are handed over below.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from metriclake import charts
from metriclake._config import JOURNAL_QUOTA_BYTES, MAX_BODY_BYTES, MAX_EVENT_BYTES, DataDirectory, Environment
from metriclake._errors import (
    DataDirectoryInUse,
    Fault,
    InvalidPattern,
    InvalidPipeline,
    InvalidTransform,
    MetriclakeError,
)
from metriclake.admin import Admin
from metriclake.books import STORE, Books
from metriclake.crashpoints import arm
from metriclake.destinations import DestinationLoop, StoreDestination
from metriclake.gateway import Gateway
from metriclake.journal import SqliteJournal
from metriclake.pipeline import LoadedPipeline, duration, load, parse
from metriclake.problems import as_json, on_error, on_http_error, problem
from metriclake.query import Query
from metriclake.rules import Pattern, Rule, RuleSet, Transform
from metriclake.store import Catalogue, Engine, Loader, TenantReader, prepare
from metriclake.stream import (
    CachedDirectory,
    CacheTerms,
    Directory,
    DirectoryState,
    FileDirectory,
    Lake,
    Limits,
    NoDirectory,
    Plan,
    StreamWorker,
)
from metriclake.stream.sources import HttpSource, PythonSource, Source, SqlSource
from metriclake.tokens import Keys, load_keys

_MEGABYTE = 1024 * 1024
_SUFFIXES = {"zstd": ".zst", "gzip": ".gz"}


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
    def declared(self) -> dict[tuple[str, str], str | None]:
        """
        Return the measures that the file names, in its order, each with its unit.
        """
        metrics = self.loaded.pipeline.metrics
        return {
            (name, measure): spec.unit
            for name, metric in metrics.items()
            for measure, spec in metric.data.items()
            if measure != "event_time"
        }


def configure(path: Path, environ: Mapping[str, str]) -> Configured:
    """
    Read and compile a pipeline file. Raises InvalidPipeline with the faults of all its parts.
    """
    loaded = load(path, environ)
    faults: list[Fault] = []
    plan = _plan(loaded, faults)
    directory = _directory(loaded, faults)
    if faults:
        raise InvalidPipeline(tuple(faults))
    return Configured(loaded, plan, directory, path.read_text(encoding="utf-8"))


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


def _plan(loaded: LoadedPipeline, faults: list[Fault]) -> Plan:
    pipeline = loaded.pipeline
    rules = [_rule(loaded, name, faults) for name in pipeline.metrics]
    return Plan(
        version=loaded.version,
        rules=RuleSet(rule for rule in rules if rule is not None),
        retention=_micros(duration(pipeline.store.retention)),
        future=_micros(duration(pipeline.stream.future)),
        suffix=_SUFFIXES[pipeline.stream.compression],
        types={
            name: {measure: spec.type for measure, spec in metric.data.items() if spec.type is not None}
            for name, metric in pipeline.metrics.items()
        },
        accept_unknown=pipeline.tenants.unknown == "accept",
        wait=pipeline.tenants.unavailable == "wait",
    )


def _rule(loaded: LoadedPipeline, name: str, faults: list[Fault]) -> Rule | None:
    metric = loaded.pipeline.metrics[name]
    found = len(faults)
    pattern = transform = None
    try:
        pattern = Pattern.compile(metric.pattern)
    except InvalidPattern as error:
        what, _, hint = str(error).partition("\n")
        faults.append(Fault(loaded.place("metrics", name, "pattern"), what, hint))
    try:
        transform = Transform.compile(metric.metadata, metric.data)
    except InvalidTransform as error:
        faults.append(Fault(loaded.place("metrics", name, "data"), str(error)))
    if len(faults) > found or pattern is None or transform is None:
        return None
    return Rule(name, metric.bus, pattern, transform)


def _micros(length: timedelta) -> int:
    return length // timedelta(microseconds=1)


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
        self._plans: dict[int, Plan] = {configured.plan.version: configured.plan}
        with contextlib.ExitStack() as opened:
            self._lock = opened.enter_context(_locked(data))
            self.keys: Keys = load_keys(data.keys, environment)
            self._open(configured, data, opened)
            self._opened = opened.pop_all()

    def _open(self, configured: Configured, data: DataDirectory, opened: contextlib.ExitStack) -> None:
        loaded = configured.loaded
        store = loaded.pipeline.store
        self._journal = SqliteJournal(_place(loaded, loaded.pipeline.journal, data.journal), JOURNAL_QUOTA_BYTES)
        opened.callback(self._journal.close)
        opened.callback(configured.directory.close)
        self._journal.keep_pipeline(configured.plan.version, configured.text)
        self._lake = Lake(_place(loaded, loaded.pipeline.lake, data.lake))
        self._engine = Engine(_place(loaded, store.url, data.store))
        opened.callback(self._engine.close)
        prepare(self._engine, duration(store.hot), duration(store.retention))
        self._catalogue = Catalogue(self._engine)
        self._stream = StreamWorker(self._journal, self._lake, configured.directory, self._plan_of, self._limits)
        loader = Loader(self._engine, self._catalogue, duration(store.retention))
        self._loading = DestinationLoop(StoreDestination(loader), self._journal, self._lake.get, self._stream.announced)

    def start(self) -> None:
        """
        Set the stream and the destinations to work.
        """
        self._stream.start()
        self._loading.start()

    def stop(self) -> None:
        """
        Flush what is accepted through to the store, and close everything.
        """
        self._stream.stop()
        self._loading.stop()
        self._opened.close()

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

        handlers: Any = {MetriclakeError: on_error, HTTPException: on_http_error, Exception: on_error}
        return Starlette(routes=self._routes(), exception_handlers=handlers, lifespan=lifespan)

    def _routes(self) -> list[BaseRoute]:
        gateway = Gateway(self._journal.append, self.keys, MAX_BODY_BYTES, MAX_EVENT_BYTES)
        query = Query(
            lambda tenant: TenantReader(self._engine, self._catalogue, tenant),
            self.keys.signing,
            lambda: self._configured.declared,
            lambda tenant: self._configured.directory.resolve([tenant]).get(tenant) or {},
            self.fresh_as_of,
        )
        admin = Admin(self.keys.admin, self.status)
        health = [Route("/healthz", self._healthz), Route("/readyz", self._readyz)]
        return [*health, *gateway.routes(), *query.routes(), *admin.routes(), *charts.routes()]

    async def _healthz(self, _request: Request) -> Response:
        return as_json({"status": "ok"})

    async def _readyz(self, _request: Request) -> Response:
        failures = self._failures()
        if self._journal.backlog > JOURNAL_QUOTA_BYTES:
            return problem(503, "Not ready", "the journal is full: the lake or the store does not keep up")
        return as_json({"status": "ready", "failures": failures})

    def _failures(self) -> list[str]:
        directory = self._configured.directory.state()
        away = [f"tenants: {directory.reason}"] if directory.reason else []
        return away + [str(one) for one in (self._stream.failure, self._loading.failure) if one is not None]

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

    def books(self) -> Books:
        """
        Return the books of this moment.
        """
        return self._journal.books(STORE)

    def status(self) -> dict[str, Any]:
        """
        Return the answer of `metriclake status --json`.
        """
        stages = {
            name: {"lag_seconds": round(lag, 3), "waiting": waiting}
            for name, (lag, waiting) in (("stream", self._stream.lag), ("store", self._loading.lag))
        }
        books = self.books()
        directory = _directory_state(self._configured.directory.state(), books)
        return {"stages": stages, **books.as_json(), "directory": directory, "failures": self._failures()}

    def fresh_as_of(self, tenant: str) -> datetime:
        """
        Return the moment up to which every accepted event that may be a tenant's is in the store.
        """
        now = datetime.now(UTC)
        oldest = self._journal.oldest_waiting(STORE, tenant)
        return now if oldest is None else datetime.fromtimestamp(oldest / 1_000_000, UTC)

    def _plan_of(self, version: int | None) -> Plan:
        """
        Return the plan of a sealed batch's version, which an earlier pipeline file may have made.
        """
        if version is None:
            return self._configured.plan
        if version not in self._plans:
            text = self._journal.pipeline(version)
            if text is None:
                raise MetriclakeError(f"the pipeline file of version {version} is not kept: a sealed batch needs it")
            loaded = parse(text, self._configured.loaded.path, _Unset())
            self._plans[version] = replace(_plan(loaded, []), version=version)
        return self._plans[version]

    def _limits(self) -> Limits:
        buffer = self._configured.loaded.pipeline.stream.buffer
        return Limits(buffer.seconds, int(buffer.megabytes * _MEGABYTE))


class _Unset(dict[str, str]):
    """
    The environment of a kept pipeline file: every variable is there, and empty. Rules do not depend on them.
    """

    def __contains__(self, _name: object) -> bool:
        return True


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
        data.root.mkdir(parents=True, exist_ok=True)
        file: IO[str] = data.lock.open("a+", encoding="utf-8")
    except OSError as error:
        raise MetriclakeError(f"the data directory {data.root} cannot be used: {error.strerror}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise DataDirectoryInUse(
                f"{data.root} is in use by {_holder(data)}: stop it, or take another --data"
            ) from error
        try:
            yield file
        finally:
            file.truncate(0)


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
