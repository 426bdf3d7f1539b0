"""
The routes of one process: each stage's own, made for the parts that they speak to.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from metriclake import admin, charts, gateway, openapi, query
from metriclake._config import MAX_BODY_BYTES, MAX_EVENT_BYTES
from metriclake._version import __version__
from metriclake.admin import (
    Admin,
    BackfillAdmin,
    FleetAdmin,
    LakeAdmin,
    LettersAdmin,
    ProvenanceAdmin,
    RecountAdmin,
    ReplaysAdmin,
    RulesAdmin,
    Sessions,
    TenantsAdmin,
    ViewingAdmin,
)
from metriclake.app.configured import explain_event
from metriclake.app.parts import Parts
from metriclake.app.status import Status
from metriclake.destinations import DeadLetters, Replays
from metriclake.gateway import Gateway, Limiter
from metriclake.problems import as_json
from metriclake.query import Dashboards, FleetAnswers, Provenance, Query, Sources
from metriclake.store import FleetReader, RowCount, holdings
from metriclake.stream import (
    Backfill,
    LakeCheck,
    Preview,
    Recount,
    Refusals,
    Surroundings,
    Terms,
    Wanted,
)
from metriclake.tokens import mint_tenant


def routes_of(parts: Parts, status: Status, own: list[BaseRoute]) -> list[BaseRoute]:
    """
    Return all routes, those of health and the process's `own` first.
    """
    limiter = Limiter(lambda: parts.force.configured.allowances)
    doors = Gateway(parts.append, parts.keys, MAX_BODY_BYTES, MAX_EVENT_BYTES, limiter)
    pages = charts.routes(
        lambda: parts.force.configured.dashboards, lambda: parts.force.configured.loaded.pipeline.embedding.origins
    )
    described = Route("/openapi.json", _openapi)
    return [*status.routes(), described, *own, *doors.routes(), *_asked(parts), *_internal(parts, status), *pages]


def _asked(parts: Parts) -> list[BaseRoute]:
    """
    Return what tenants ask.
    """

    def attributes(tenant: str) -> Mapping[str, str]:
        return parts.force.configured.attributes(tenant)

    dashboards = Dashboards(
        parts.reader,
        parts.keys.signing,
        lambda: parts.force.configured.declared,
        attributes,
        lambda: parts.force.configured.loaded.pipeline.dashboards,
    )
    questions = Query(parts.desk, parts.keys.signing, parts.declared, attributes, dashboards.permit)
    return [*questions.routes(), *dashboards.routes(), *parts.exports.routes(), *parts.live.routes()]


def _internal(parts: Parts, status: Status) -> list[BaseRoute]:
    """
    Return what the admin key opens, and the internal page.
    """
    key = parts.keys.admin
    return [
        *Admin(key, status.as_json, status.usage).routes(),
        *Sessions(key).routes(),
        *_across_tenants(parts, key),
        *_lake(parts, key),
        *_deliveries(parts, key),
        *_rules(parts, key),
        *TenantsAdmin(key, functools.partial(_held, parts), parts.exports.export_of).routes(),
        *_backfill(parts, key),
        *_recount(parts, key),
    ]


def _across_tenants(parts: Parts, key: str) -> list[BaseRoute]:
    answers = FleetAnswers(FleetReader(parts.engine, parts.catalogue), parts.declared)
    viewing = ViewingAdmin(
        key,
        answers.catalogue,
        lambda tenant: mint_tenant(parts.keys.signing, tenant, now=datetime.now(UTC)),
    )
    force = parts.force
    sources = Sources(parts.journal.announcements, force.rule_of, lambda: force.plan.version)
    provenance = ProvenanceAdmin(key, Provenance(parts.reader, parts.declared, sources).answer)
    return [*FleetAdmin(key, answers.answer).routes(), *viewing.routes(), *provenance.routes()]


def _lake(parts: Parts, key: str) -> list[BaseRoute]:
    check, refusals = LakeCheck(parts.lake, parts.journal), Refusals(parts.lake, parts.journal)
    return LakeAdmin(
        key,
        check.slice,
        refusals.groups,
        refusals.records,
        lambda which, after, terms, enough: refusals.retry(which, after, Terms(**terms), enough),
    ).routes()


def _deliveries(parts: Parts, key: str) -> list[BaseRoute]:
    journal, destinations = parts.journal.deliveries, parts.destinations
    dead = DeadLetters(journal, destinations.read, lambda: destinations.failures)
    repeated = Replays(journal, lambda: destinations.capabilities, lambda: destinations.failures)
    letters = LettersAdmin(key, dead.groups, dead.records, dead.restate)
    replays = ReplaysAdmin(key, repeated.begin, repeated.listed, repeated.stop)
    return [*letters.routes(), *replays.routes()]


def _rules(parts: Parts, key: str) -> list[BaseRoute]:
    force = parts.force
    preview = Preview(parts.lake, lambda: force.plan, force.edited)
    return RulesAdmin(key, lambda text: explain_event(text, force.configured), preview.slice).routes()


def _backfill(parts: Parts, key: str) -> list[BaseRoute]:
    around = Surroundings(
        lambda: parts.force.plan,
        parts.directory.resolve,
        parts.load,
        lambda: parts.force.configured.destinations,
        parts.ring,
    )
    backfill = Backfill(parts.lake, parts.journal, around)
    return BackfillAdmin(
        key,
        lambda terms, arrived, enough: backfill.slice(
            Wanted(
                terms.metric, arrived, tuple(terms.destinations), terms.dry_run, terms.rule, terms.number
            ), terms.after, enough,
        ),
    ).routes()  # fmt: skip


def _recount(parts: Parts, key: str) -> list[BaseRoute]:
    rows = RowCount(parts.engine)
    recount = Recount(parts.lake, parts.journal, rows.of, lambda: rows.aged(parts.loader.tiers, datetime.now(UTC)))
    return RecountAdmin(key, recount.slice).routes()


def _held(parts: Parts, after: str, limit: int) -> dict[str, Any]:
    """
    Return what the store holds of the next tenants, as the admin route answers it.
    """
    found, following = holdings(parts.engine, after, limit)
    tenants = [
        {
            "tenant": one.tenant,
            "metrics": one.metrics,
            "rows": one.rows,
            "first_time": one.first,
            "last_time": one.last,
        }
        for one in found
    ]
    return {"tenants": tenants, "next": following}


async def _openapi(_request: Request) -> Response:
    return as_json(msgspec.Raw(_described()))


@functools.cache
def _described() -> bytes:
    parts = (gateway.described(), query.described(), admin.described(), charts.described())
    return msgspec.json.encode(openapi.document(__version__, (*openapi.OWN, *chain.from_iterable(parts))))
