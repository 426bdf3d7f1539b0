"""
What the commands ask about tenants: what the store holds of each, and all of it as a file.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from metriclake._errors import MetriclakeError
from metriclake.admin.session import Guard
from metriclake.admin.trail import Trail
from metriclake.audit import Action
from metriclake.problems import as_json

_SLICE_TENANTS = 1000


class TenantsAdmin:
    """
    The admin routes of one server's tenants.
    """

    def __init__(
        self,
        guard: Guard,
        held: Callable[[str, int, str], dict[str, Any]],
        export: Callable[[Request, str], Awaitable[Response]],
        trail: Trail,
    ) -> None:
        """
        `held` returns what is held of so many tenants after one, whose ids have a text.

        `export` answers a request for a tenant's rows, `trail` notes it.
        """
        self._guard = guard
        self._held = held
        self._export = export
        self._trail = trail

    def routes(self) -> list[BaseRoute]:
        """
        Return the routes.
        """
        return [
            Route("/v1/admin/tenants", self.tenants, methods=["GET"]),
            Route("/v1/admin/tenants/{tenant}/export", self.export, methods=["GET"]),
        ]

    async def tenants(self, request: Request) -> Response:
        """
        List what the store holds of each tenant: a slice of the answer, with `next` where to go on.
        """
        self._guard.check(request)
        asked = request.query_params
        limit = asked.get("limit", str(_SLICE_TENANTS))
        if not limit.isdecimal() or not 0 < int(limit) <= _SLICE_TENANTS:
            raise MetriclakeError(f"`limit` must be a number from 1 to {_SLICE_TENANTS}")
        return as_json(await run_in_threadpool(self._held, asked.get("after", ""), int(limit), asked.get("search", "")))

    async def export(self, request: Request) -> Response:
        """
        Return a tenant's rows as a file.
        """
        by, tenant = self._guard.check(request), request.path_params["tenant"]
        await self._trail.note(request, by, Action.EXPORT, {"tenant": tenant})
        return await self._export(request, tenant)
