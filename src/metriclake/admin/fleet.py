"""
What the internal page asks over all tenants.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from metriclake.admin.session import Guard
from metriclake.admin.terms import read_body
from metriclake.problems import as_json


class FleetAdmin:
    """
    The admin route of one server's fleet questions.
    """

    def __init__(self, guard: Guard, ask: Callable[[bytes], dict[str, Any]]) -> None:
        """
        `ask` takes a fleet question's JSON text and returns its answer.
        """
        self._guard = guard
        self._ask = ask

    def routes(self) -> list[BaseRoute]:
        """
        Return the route.
        """
        return [Route("/v1/admin/fleet", self.fleet, methods=["POST"])]

    async def fleet(self, request: Request) -> Response:
        """
        Answer a question over all tenants.
        """
        self._guard.check(request)
        return as_json(await run_in_threadpool(self._ask, await read_body(request)))
