"""
What the commands and the internal page ask of a running server.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from metriclake._errors import MetriclakeError
from metriclake.admin.session import Guard
from metriclake.assets import POLICY, SAFE, read_assets, send_asset
from metriclake.problems import as_json, problem


class Admin:
    """
    The admin routes of one server.
    """

    def __init__(
        self, guard: Guard, status: Callable[[int | None, str], dict[str, Any]], usage: Callable[[], dict[str, Any]]
    ) -> None:
        """
        `status` returns the answer of `metriclake status --json`, `usage` what each tenant's questions took.

        Of the books `status` returns so many accounts at most, whose names have a text.
        """
        self._guard = guard
        self._status = status
        self._usage = usage
        self._assets = read_assets("metriclake.admin")

    def routes(self) -> list[BaseRoute]:
        """
        Return the routes.
        """
        return [
            Route("/v1/admin/status", self.status, methods=["GET"]),
            Route("/v1/admin/usage", self.usage, methods=["GET"]),
            Route("/admin", self.page, methods=["GET"]),
            Route("/admin/{file}", self.asset, methods=["GET"]),
        ]

    async def page(self, request: Request) -> Response:
        """
        Return the internal page: a shell without data, which asks with the admin key.
        """
        return send_asset(request, self._assets["admin.html"], {"Content-Security-Policy": POLICY})

    async def asset(self, request: Request) -> Response:
        """
        Return a file of the internal page.
        """
        found = self._assets.get(request.path_params["file"])
        if found is None:
            return problem(404, "Not Found", "There is no asset of this name.", headers=SAFE)
        return send_asset(request, found, {})

    async def status(self, request: Request) -> Response:
        """
        Tell where every event is.
        """
        self._guard.check(request)
        most = request.query_params.get("most")
        if most is not None and not (most.isdecimal() and most.isascii()):
            raise MetriclakeError("`most` must be a whole number")
        search = request.query_params.get("search", "")
        return as_json(await run_in_threadpool(self._status, None if most is None else int(most), search))

    async def usage(self, request: Request) -> Response:
        """
        Tell what each tenant's questions took.
        """
        self._guard.check(request)
        return as_json(await run_in_threadpool(self._usage))
