"""
The query API: one question, and the catalogue; each for the tenant of the token and nobody else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from metriclake._errors import Fault, InvalidBody, InvalidQuestion, NotAllowed
from metriclake.problems import as_json
from metriclake.query.arrange import arrange, as_text
from metriclake.query.plan import Plan, plan
from metriclake.query.question import Draft, read
from metriclake.store import Metric, TenantReader
from metriclake.tokens import TenantClaims, verify_tenant

_MAX_QUESTION_BYTES = 256 * 1024

Declared = Mapping[tuple[str, str], str | None]
"""The measures that the pipeline file names, by metric and measure in its order, each with its unit."""
Describe = Callable[[str], Mapping[str, str]]


class Query:
    """
    The query API of one server.
    """

    def __init__(
        self,
        reader: Callable[[str], TenantReader],
        signing_key: str,
        declared: Callable[[], Declared],
        describe: Describe,
        fresh_as_of: Callable[[str], datetime],
    ) -> None:
        """
        Take what the API needs of its neighbours.

        `reader` makes the reader of a verified tenant; `declared` returns the measures that the pipeline file names;
        `describe` a tenant's attributes; `fresh_as_of` the moment up to which all of a tenant is in the answers.
        """
        self._reader = reader
        self._signing_key = signing_key
        self._declared = declared
        self._describe = describe
        self._fresh_as_of = fresh_as_of

    def routes(self) -> list[BaseRoute]:
        """
        Return the routes.
        """
        return [
            Route("/v1/query", self.query, methods=["POST"]),
            Route("/v1/catalog", self.catalog, methods=["GET"]),
        ]

    async def query(self, request: Request) -> Response:
        """
        Answer one question.
        """
        claims = self._claims(request)
        value = _decoded(await _body(request))
        if isinstance(value, dict) and "queries" in value:
            raise InvalidQuestion((Fault("queries", "several questions in one are not in this version yet"),))
        return as_json(await run_in_threadpool(self.answer, claims, read(value)))

    async def catalog(self, request: Request) -> Response:
        """
        List the tenant's metrics.
        """
        claims = self._claims(request)
        return as_json(await run_in_threadpool(self.list_metrics, claims))

    def answer(self, claims: TenantClaims, draft: Draft) -> dict[str, Any]:
        """
        Answer a question of a verified tenant.
        """
        began = time.perf_counter()
        _check_metric(claims, draft.question.metric)
        reader = self._reader(claims.tenant_id)
        fresh = self._fresh_as_of(claims.tenant_id)
        made = plan(draft, _allowed(claims, reader.metrics()), self._declared(), datetime.now(UTC))
        rows = arrange(made, reader.select(made.selection))
        return {
            "columns": [{"name": column.name, "type": column.type, "unit": column.unit} for column in made.columns],
            "rows": rows,
            "meta": {**_covered(made), "cached": False, "fresh_as_of": as_text(fresh), "elapsed_ms": _since(began)},
        }

    def list_metrics(self, claims: TenantClaims) -> dict[str, Any]:
        """
        Return the catalogue of a verified tenant.
        """
        declared = self._declared()
        metrics = _allowed(claims, self._reader(claims.tenant_id).metrics())
        attributes = self._describe(claims.tenant_id)
        tenant = {
            "id": claims.tenant_id,
            "name": attributes.get("name"),
            "environment": attributes.get("environment"),
        }
        return {"tenant": tenant, "metrics": [_described(metric, declared) for metric in metrics.values()]}

    def _claims(self, request: Request) -> TenantClaims:
        claims = verify_tenant(request.headers.get("authorization"), self._signing_key, now=datetime.now(UTC))
        origin = request.headers.get("origin")
        if claims.origin is not None and origin is not None and origin != claims.origin:
            raise NotAllowed("the tenant token is bound to another origin than this page's")
        if claims.dashboards is not None:
            raise NotAllowed("tokens that are bound to dashboards are not in this version of metriclake yet")
        return claims


def _check_metric(claims: TenantClaims, metric: str) -> None:
    if metric and claims.metrics is not None and metric not in claims.metrics:
        raise NotAllowed("the tenant token does not allow this metric")


def _allowed(claims: TenantClaims, metrics: dict[str, Metric]) -> dict[str, Metric]:
    if claims.metrics is None:
        return metrics
    return {name: metric for name, metric in metrics.items() if name in claims.metrics}


def _covered(made: Plan) -> dict[str, Any]:
    """
    Return what of time an answer covers.
    """
    period, before = made.period, made.before
    compared = {} if before is None else {"previous": {"from": as_text(before.start), "to": as_text(before.end)}}
    bucket = made.selection.bucket.value
    return {"from": as_text(period.start), "to": as_text(period.end), "interval": bucket, **compared}


def _since(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 3)


def _described(metric: Metric, declared: Declared) -> dict[str, Any]:
    """
    Describe a metric; its measures stand in the pipeline file's order, those it does not name at the end.
    """
    order = {key: index for index, key in enumerate(declared)}

    def place(measure: tuple[str, Any]) -> tuple[int, str]:
        return order.get((metric.name, measure[0]), len(order)), measure[0]

    return {
        "name": metric.name,
        "first_time": as_text(metric.first),
        "last_time": as_text(metric.last),
        "dimensions": [{"name": name} for name in (*metric.dimensions, *metric.attributes)],
        "measures": [
            {"name": name, "type": types[0], "types": list(types), "unit": declared.get((metric.name, name))}
            for name, types in sorted(metric.measures.items(), key=place)
        ],
    }


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_QUESTION_BYTES:
            raise InvalidBody(f"a question has at most {_MAX_QUESTION_BYTES} bytes", 413)
    return bytes(body)


def _decoded(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidBody(f"the question is not JSON: {error}") from error
    except RecursionError as error:
        raise InvalidBody("the question is nested too deeply") from error
