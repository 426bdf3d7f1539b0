"""
What the internal page asks of a point of a chart: where it comes from.
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


class ProvenanceAdmin:
    """
    The admin route of one server's provenance.
    """

    def __init__(self, guard: Guard, tell: Callable[[bytes], dict[str, Any]]) -> None:
        """
        `tell` takes the JSON text of what is asked and returns the answer.
        """
        self._guard = guard
        self._tell = tell

    def routes(self) -> list[BaseRoute]:
        """
        Return the route.
        """
        return [Route("/v1/admin/provenance", self.provenance, methods=["POST"])]

    async def provenance(self, request: Request) -> Response:
        """
        Tell where a point of a tenant's chart comes from.
        """
        self._guard.check(request)
        return as_json(await run_in_threadpool(self._tell, await read_body(request)))
