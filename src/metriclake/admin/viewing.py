"""
What the internal page asks to look around: the catalogue of all tenants, and a token to see what one of them sees.

Whoever looks as a tenant leaves a line in the audit trail.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from metriclake._errors import InvalidBody, MetriclakeError
from metriclake.admin.session import Guard
from metriclake.admin.terms import read_body
from metriclake.admin.trail import Trail
from metriclake.audit import Action
from metriclake.event import is_tenant_id
from metriclake.problems import as_json


class ViewTerms(msgspec.Struct, forbid_unknown_fields=True):
    """
    The body of a view: as whom.
    """

    tenant: str


_TERMS = msgspec.json.Decoder(ViewTerms)


class ViewingAdmin:
    """
    The admin routes by which one looks around.
    """

    def __init__(
        self, guard: Guard, catalogue: Callable[[], dict[str, Any]], mint: Callable[[str], str], trail: Trail
    ) -> None:
        """
        `catalogue` describes the metrics of all tenants, `mint` returns a short token for one tenant.
        """
        self._guard = guard
        self._catalogue = catalogue
        self._mint = mint
        self._trail = trail

    def routes(self) -> list[BaseRoute]:
        """
        Return the routes.
        """
        return [
            Route("/v1/admin/catalog", self.catalog, methods=["GET"]),
            Route("/v1/admin/view-as", self.view, methods=["POST"]),
        ]

    async def catalog(self, request: Request) -> Response:
        """
        List the metrics of all tenants, and the measures that have drifted.
        """
        self._guard.check(request)
        return as_json(await run_in_threadpool(self._catalogue))

    async def view(self, request: Request) -> Response:
        """
        Return a token of a tenant, once it is noted that somebody looks as it.
        """
        by = self._guard.check(request)
        body = await read_body(request)
        try:
            terms = _TERMS.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidBody("a view is an object with `tenant`") from error
        if not is_tenant_id(terms.tenant):
            raise MetriclakeError("`tenant` is not a tenant id")
        await self._trail.note(request, by, Action.VIEW_AS, {"tenant": terms.tenant})
        return as_json({"tenant": terms.tenant, "token": self._mint(terms.tenant)})
