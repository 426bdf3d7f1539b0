"""
A pipeline file, read and compiled in every part, and what it says to each of a server's parts.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from metriclake import plans, query
from metriclake._config import MAX_EVENT_BYTES
from metriclake._errors import Fault, InvalidEvent, InvalidPipeline, MetriclakeError
from metriclake.books import STORE
from metriclake.connection import ConnectionTerms
from metriclake.destinations import destination_of
from metriclake.disk import Room
from metriclake.gateway import Allowance, Ids, Rate, accept_events
from metriclake.pipeline import FieldSpec, LoadedPipeline, load
from metriclake.pipeline.dashboard_specs import DEFAULT, allows
from metriclake.pipeline.spec import duration, size
from metriclake.query import TurnTerms, share
from metriclake.rules import Trap, traps
from metriclake.store import Bounds
from metriclake.stream import (
    CachedDirectory,
    CacheTerms,
    Directory,
    Explanation,
    FileDirectory,
    Limits,
    NoDirectory,
    Plan,
    explain,
    read_event,
)
from metriclake.stream.sources import HttpSource, PythonSource, Source, SqlSource

_MEGABYTE = 1024 * 1024
_CORES = os.cpu_count() or 1


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

    def turn_terms(self, tenant: str) -> TurnTerms:
        """
        Return how many questions of a tenant may be at work, and how many wait, for how long.
        """
        limits = self.loaded.pipeline.query.limits_of(tenant)
        concurrent = share(_CORES, limits.concurrent).concurrent
        return TurnTerms(concurrent, limits.waiting, _seconds(limits.patience))

    @property
    def limits(self) -> Limits:
        """
        Return when a batch closes.
        """
        buffer = self.loaded.pipeline.stream.buffer
        return Limits(buffer.seconds, int(buffer.megabytes * _MEGABYTE))

    @property
    def room(self) -> Room:
        """
        Return how far the data directory may fill the disk.
        """
        disk = self.loaded.pipeline.disk
        return Room(None if disk.quota is None else size(disk.quota), size(disk.reserve))

    @property
    def dashboards(self) -> list[str]:
        """
        Return the names of the dashboards, the one of every tenant first.
        """
        return list(dict.fromkeys((DEFAULT, *self.loaded.pipeline.dashboards)))

    @property
    def destinations(self) -> frozenset[str]:
        """
        Return the names of all destinations.
        """
        return frozenset({STORE, *self.loaded.pipeline.destinations})

    @property
    def folder(self) -> Path:
        """
        Return where the file's modules are looked for.
        """
        return self.loaded.path.parent.resolve()

    def attributes(self, tenant: str) -> Mapping[str, str]:
        """
        Return what the directory says of a tenant.
        """
        return self.directory.resolve([tenant]).get(tenant) or {}

    def embeds(self, origin: str) -> bool:
        """
        Tell whether pages of an origin may show charts.
        """
        return allows(self.loaded.pipeline.embedding.origins, origin)


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
