"""
The routes of one process: each stage's own, made for the parts that they speak to.
"""

from __future__ import annotations

import functools
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
from metriclake.app.configured import explain_event
from metriclake.app.parts import Parts
from metriclake.app.status import Status
from metriclake.destinations import DeadLetters, Replays
from metriclake.gateway import Gateway, Limiter
from metriclake.problems import as_json
from metriclake.query import FleetAnswers, Provenance, Query, Sources
from metriclake.store import FleetReader, RowCount, holdings, matching
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
    questions = Query(parts.desk, parts.keys.signing, parts.declared, parts.attributes, parts.dashboards.permit)
    return [*questions.routes(), *parts.dashboards.routes(), *parts.exports.routes(), *parts.live.routes()]


def _internal(parts: Parts, status: Status) -> list[BaseRoute]:
    """
    Return what the admin key opens, and the internal page.
    """
    guard, trail = Guard(parts.keys.admin), Trail(parts.journal.audit.note)
    return [
        *Admin(guard, status.as_json, status.usage).routes(),
        *Sessions(guard, trail).routes(),
        *AuditAdmin(guard, parts.journal.audit.lines).routes(),
        *_across_tenants(parts, guard, trail),
        *_lake(parts, guard, trail),
        *_deliveries(parts, guard, trail),
        *_rules(parts, guard),
        *TenantsAdmin(guard, functools.partial(_held, parts), parts.exports.export_of, trail).routes(),
        *_backfill(parts, guard, trail),
        *_recount(parts, guard),
    ]


def _across_tenants(parts: Parts, guard: Guard, trail: Trail) -> list[BaseRoute]:
    answers = FleetAnswers(FleetReader(parts.engine, parts.catalogue), parts.declared)
    viewing = ViewingAdmin(
        guard,
        answers.catalogue,
        lambda tenant: mint_tenant(parts.keys.signing, tenant, now=datetime.now(UTC)),
        trail,
    )
    force = parts.force
    sources = Sources(parts.journal.announcements, force.rule_of, lambda: force.plan.version)
    provenance = ProvenanceAdmin(guard, Provenance(parts.reader, parts.declared, sources).answer)
    return [*FleetAdmin(guard, answers.answer).routes(), *viewing.routes(), *provenance.routes()]


def _lake(parts: Parts, guard: Guard, trail: Trail) -> list[BaseRoute]:
    check, refusals = LakeCheck(parts.lake, parts.journal), Refusals(parts.lake, parts.journal)
    return LakeAdmin(
        guard,
        check.slice,
        refusals.groups,
        refusals.records,
        lambda which, after, terms, enough: refusals.retry(which, after, Terms(**terms), enough),
        trail,
    ).routes()


def _deliveries(parts: Parts, guard: Guard, trail: Trail) -> list[BaseRoute]:
    journal, destinations = parts.journal.deliveries, parts.destinations
    dead = DeadLetters(journal, destinations.read, lambda: destinations.failures)
    repeated = Replays(journal, lambda: destinations.capabilities, lambda: destinations.failures)
    letters = LettersAdmin(guard, dead.groups, dead.records, dead.restate, trail)
    replays = ReplaysAdmin(guard, repeated.begin, repeated.listed, repeated.stop, trail)
    return [*letters.routes(), *replays.routes()]


def _rules(parts: Parts, guard: Guard) -> list[BaseRoute]:
    force = parts.force
    preview = Preview(parts.lake, lambda: force.plan, force.edited)
    return RulesAdmin(guard, lambda text: explain_event(text, force.configured), preview.slice).routes()


def _backfill(parts: Parts, guard: Guard, trail: Trail) -> list[BaseRoute]:
    around = Surroundings(
        lambda: parts.force.plan,
        parts.directory.resolve,
        parts.load,
        lambda: parts.force.configured.destinations,
        parts.ring,
    )
    backfill = Backfill(parts.lake, parts.journal, around)
    return BackfillAdmin(
        guard,
        lambda terms, arrived, enough: backfill.slice(
            Wanted(
                terms.metric, arrived, tuple(terms.destinations), terms.dry_run, terms.rule, terms.number
            ), terms.after, enough,
        ),
        trail,
    ).routes()  # fmt: skip


def _recount(parts: Parts, guard: Guard) -> list[BaseRoute]:
    rows = RowCount(parts.engine)
    recount = Recount(parts.lake, parts.journal, rows.of, lambda: rows.aged(parts.loader.tiers, datetime.now(UTC)))
    return RecountAdmin(guard, recount.slice).routes()


def _held(parts: Parts, after: str, limit: int, search: str) -> dict[str, Any]:
    """
    Return what the store holds of the next tenants, as the admin route answers it.
    """
    found, following = holdings(parts.engine, after, limit, search)
    names = parts.directory.resolve([one.tenant for one in found])
    tenants = [
        {
            "tenant": one.tenant,
            "name": (names.get(one.tenant) or {}).get("name"),
            "cost": parts.desk.usage.of(one.tenant),
            "metrics": one.metrics,
            "rows": one.rows,
            "first_time": one.first,
            "last_time": one.last,
        }
        for one in found
    ]
    return {"tenants": tenants, "next": following, "matching": matching(parts.engine, search)}


async def _openapi(_request: Request) -> Response:
    return as_json(msgspec.Raw(_described()))


@functools.cache
def _described() -> bytes:
    parts = (gateway.described(), query.described(), admin.described(), charts.described())
    return msgspec.json.encode(openapi.document(__version__, (*openapi.OWN, *chain.from_iterable(parts))))
