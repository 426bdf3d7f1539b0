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

from metriclake.problems import as_json
from metriclake.tokens import check_bearer


class Admin:
    """
    The admin routes of one server.
    """

    def __init__(self, admin_key: str, status: Callable[[], dict[str, Any]]) -> None:
        """
        `status` returns the answer of `metriclake status --json`.
        """
        self._key = admin_key
        self._status = status

    def routes(self) -> list[BaseRoute]:
        """
        Return the routes.
        """
        return [Route("/v1/admin/status", self.status, methods=["GET"])]

    async def status(self, request: Request) -> Response:
        """
        Tell where every event is.
        """
        check_bearer(request.headers.get("authorization"), self._key, "admin key")
        return as_json(await run_in_threadpool(self._status))
