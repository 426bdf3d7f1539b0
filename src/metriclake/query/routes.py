"""
The query API: one question, and the catalogue; each for the tenant of the token and nobody else.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from metriclake._errors import InvalidBody
from metriclake.problems import as_encoded
from metriclake.query.answer_cache import CacheKey
from metriclake.query.answers import Answers, Declared, Permit
from metriclake.query.arrange import as_text
from metriclake.query.claims import allowed_of, claims_of
from metriclake.query.desk import Desk, Outcome
from metriclake.query.plan import Units
from metriclake.query.present import catalog_key
from metriclake.query.question import read, read_many
from metriclake.query.streamed import Streamed
from metriclake.store import Metric, TenantReader

_MAX_QUESTION_BYTES = 256 * 1024
_LINES = "application/x-ndjson"

Attributes = Mapping[str, str]


class Query:
    """
    The query API of one server.
    """

    def __init__(
        self,
        desk: Desk,
        signing_key: str,
        declared: Callable[[], Declared],
        describe: Callable[[str], Attributes],
        permit: Permit,
    ) -> None:
        """
        Take what the API needs of its neighbours.

        `desk` reads the store; `declared` returns the measures that the pipeline file names; `describe` a tenant's
        attributes; `permit` what a token that is bound to dashboards may ask.
        """
        self._desk = desk
        self._signing_key = signing_key
        self._declared = declared
        self._describe = describe
        self._answers = Answers(desk, declared, permit)

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
        Answer one question, or several by their names: in one document, or for who asks for NDJSON as they come.
        """
        claims = claims_of(request, self._signing_key, dashboards=True)
        value = _decoded(await _body(request))
        if isinstance(value, dict) and "queries" in value:
            drafts = read_many(value)
            if _LINES in request.headers.get("accept", ""):
                return await _streamed(self._answers.in_parts(claims, drafts))
            return as_encoded(await self._answers.many(claims, drafts))
        return as_encoded(await self._answers.one(claims, read(value)))

    async def catalog(self, request: Request) -> Response:
        """
        List the tenant's metrics.
        """
        claims = claims_of(request, self._signing_key)
        declared = self._declared()
        key = catalog_key(claims, declared.version)

        def reads(reader: TenantReader, _keys: Sequence[CacheKey]) -> Mapping[CacheKey, Outcome]:
            units = declared.units()
            found = [_described(metric, units) for metric in allowed_of(claims.metrics, reader.metrics()).values()]
            return {key: msgspec.json.encode(found)}

        found = await self._desk.get(claims.tenant_id, [key], reads)
        attributes = await run_in_threadpool(self._describe, claims.tenant_id)
        about = {"id": claims.tenant_id, "name": attributes.get("name"), "environment": attributes.get("environment")}
        return as_encoded(b'{"tenant":' + msgspec.json.encode(about) + b',"metrics":' + found[key].body() + b"}")


async def _streamed(parts: AsyncGenerator[bytes, None]) -> Response:
    """
    Return an answer in parts. What is raised before the first of them is a problem document still.
    """
    first = await anext(parts, b"")

    async def all_parts() -> AsyncGenerator[bytes, None]:
        async with aclosing(parts):
            yield first
            async for part in parts:
                yield part

    return Streamed(all_parts(), lambda: None, {}, _LINES)


def _described(metric: Metric, units: Units) -> dict[str, Any]:
    """
    Describe a metric; its measures stand in the pipeline file's order, those it does not name at the end.
    """
    order = {key: index for index, key in enumerate(units)}

    def place(measure: tuple[str, Any]) -> tuple[int, str]:
        return order.get((metric.name, measure[0]), len(order)), measure[0]

    return {
        "name": metric.name,
        "first_time": as_text(metric.first),
        "last_time": as_text(metric.last),
        "dimensions": [{"name": name} for name in (*metric.dimensions, *metric.attributes)],
        "measures": [
            {"name": name, "type": types[0], "types": list(types), "unit": units.get((metric.name, name))}
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
