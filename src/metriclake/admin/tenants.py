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

from metriclake.admin.session import check_admin
from metriclake.problems import as_json

_SLICE_TENANTS = 1000


class TenantsAdmin:
    """
    The admin routes of one server's tenants.
    """

    def __init__(
        self,
        admin_key: str,
        held: Callable[[str, int], dict[str, Any]],
        export: Callable[[Request, str], Awaitable[Response]],
    ) -> None:
        """
        `held` returns what is held of the next tenants after one; `export` answers a request for a tenant's rows.
        """
        self._key = admin_key
        self._held = held
        self._export = export

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
        check_admin(request, self._key)
        return as_json(await run_in_threadpool(self._held, request.query_params.get("after", ""), _SLICE_TENANTS))

    async def export(self, request: Request) -> Response:
        """
        Return a tenant's rows as a file.
        """
        check_admin(request, self._key)
        return await self._export(request, request.path_params["tenant"])
