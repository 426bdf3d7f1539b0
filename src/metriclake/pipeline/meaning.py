"""
What has the right types in a pipeline file, and still cannot be: names, ranges, and engines of later versions.
"""

from __future__ import annotations

import functools
from datetime import timedelta

from metriclake.event import is_metric_name, is_tenant_id
from metriclake.pipeline.dashboard_specs import check as check_dashboards
from metriclake.pipeline.destination_checks import check_destination
from metriclake.pipeline.document import Document, Place
from metriclake.pipeline.metric_checks import check_metric, declared_fields
from metriclake.pipeline.model import LimitSpec, Pipeline, QuerySpec, QuestionsSpec, TenantQuestionsSpec, TenantsSpec
from metriclake.pipeline.spec import duration, size
from metriclake.prefix import layout
from metriclake.tiers import Stay, Tiers
from metriclake.tokens import is_key_name

_SHORTEST, _LONGEST = timedelta(hours=1), timedelta(days=20_000)
_LEAST_MEMORY = 16 * 2**20


def check_meaning(pipeline: Pipeline, document: Document) -> None:
    """
    Report what has the right types and still cannot be: names, ranges, and engines of later versions.
    """
    _check_tenants(pipeline.tenants, document)
    for name, metric in pipeline.metrics.items():
        check_metric(name, metric, document)
    for name, limit in pipeline.gateway.limits.items():
        _check_limit(name, limit, document)
    _check_query(pipeline.query, document)
    for key, value in (("patience", pipeline.gateway.patience), ("keep_alive", pipeline.gateway.keep_alive)):
        if not timedelta(seconds=1) <= duration(value) <= timedelta(hours=1):
            document.fault(("gateway", key), "must be at least 1s and at most 1h")
    declared = {name: declared_fields(metric) for name, metric in pipeline.metrics.items()}
    for name, destination in pipeline.destinations.items():
        say = functools.partial(_below, document, ("destinations", name))
        check_destination(name, destination, declared, say)
    check_dashboards(pipeline.dashboards, pipeline.embedding, document.fault)
    _check_store(pipeline.store.tiers(), document)
    if duration(pipeline.stream.future) > timedelta(days=1):
        document.fault(("stream", "future"), "must be at most 1d")
    stream = pipeline.stream
    layout(stream.prefix, stream.error_prefix, lambda key, *said: document.fault(("stream", key), *said))
    _check_urls(pipeline, document)


def _below(document: Document, at: Place, place: Place, what: str, hint: str = "") -> None:
    document.fault((*at, *place), what, hint)


def _check_tenants(tenants: TenantsSpec, document: Document) -> None:
    for second in tenants.sources[1:]:
        what = f"`{second}` stands beside `{tenants.sources[0]}`: tenants have one source"
        document.fault(("tenants", second), what, "keep one of them")
    if not timedelta(milliseconds=10) <= duration(tenants.timeout) <= timedelta(minutes=1):
        document.fault(("tenants", "timeout"), "must be at least 10ms and at most 1m")


def _check_store(tiers: Tiers, document: Document) -> None:
    _check_stay(("store",), Stay(tiers.hot, tiers.retention), document)
    parts = (
        ("metrics", tiers.metrics, is_metric_name, "1 to 128 of letters, digits and _ . : -"),
        ("tenants", tiers.tenants, is_tenant_id, "1 to 128 of letters, digits and . _ : @ | + = ~ -, without `..`"),
    )
    for part, stays, is_name, grammar in parts:
        for name, stay in stays.items():
            place: Place = ("store", part, name)
            if not is_name(name):
                document.fault(place, f"`{name}` cannot name a {part[:-1]}", grammar)
            if stay == Stay():
                document.fault(place, "says nothing", "name `hot`, `retention` or both")
            _check_stay(place, stay, document)


def _check_stay(place: Place, stay: Stay, document: Document) -> None:
    if stay.hot is not None and not _SHORTEST <= stay.hot <= (stay.retention or _LONGEST):
        document.fault((*place, "hot"), "must be at least 1h and at most `retention`")
    if stay.retention is not None and stay.retention < _SHORTEST and stay.hot is None:
        document.fault((*place, "retention"), "must be at least 1h")
    if stay.retention is not None and stay.retention > _LONGEST:
        document.fault((*place, "retention"), "must be at most 20000d", "the engine's calendar ends in 2106")


def _check_urls(pipeline: Pipeline, document: Document) -> None:
    places: tuple[tuple[Place, str | None, str], ...] = (
        (("lake",), pipeline.lake, "file://"),
        (("journal",), pipeline.journal, "sqlite://"),
        (("store", "url"), pipeline.store.url, "chdb://"),
    )
    for place, url, scheme in places:
        if url is None or (url.startswith(scheme) and len(url) > len(scheme)):
            continue
        if "://" in url and not url.startswith(scheme):
            document.fault(place, f"this version of metriclake reads only {scheme} here", f"such as {scheme}/path")
        else:
            document.fault(place, "must be a URL", f"such as {scheme}/path or {scheme}relative/path")


def _check_limit(name: str, limit: LimitSpec, document: Document) -> None:
    place: Place = ("gateway", "limits", name)
    if not is_key_name(name):
        document.fault(place, f"`{name}` cannot name an ingest key", "1 to 64 of a-z, 0-9 and -, not starting with -")
    if limit == LimitSpec():
        document.fault(place, "limits nothing", "name events_per_second, bytes_per_second or both")
    for what, rate, burst in (
        ("events", limit.events_per_second, limit.events_burst),
        ("bytes", limit.bytes_per_second, limit.bytes_burst),
    ):
        if burst is not None and rate is None:
            document.fault((*place, f"{what}_burst"), f"needs `{what}_per_second`", "a burst alone limits nothing")


def _check_query(query: QuerySpec, document: Document) -> None:
    parts: list[tuple[Place, QuestionsSpec | TenantQuestionsSpec]] = [(("query", "limits"), query.limits)]
    for tenant, limits in query.tenants.items():
        parts.append((("query", "tenants", tenant), limits))
        if not is_tenant_id(tenant):
            document.fault(("query", "tenants", tenant), "cannot be a tenant's id")
        if limits == TenantQuestionsSpec():
            document.fault(("query", "tenants", tenant), "limits nothing", "name concurrent, time, memory or another")
    for place, found in parts:
        for key, value in (("patience", found.patience), ("time", found.time)):
            if value is not None and not timedelta(milliseconds=100) <= duration(value) <= timedelta(minutes=10):
                document.fault((*place, key), "must be at least 100ms and at most 10m")
        if found.memory is not None and size(found.memory) < _LEAST_MEMORY:
            document.fault((*place, "memory"), "must be at least 16MB: any question needs some")
