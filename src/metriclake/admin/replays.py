"""
What the command `replay` asks: announced objects again for one destination, how far that is, and its end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from metriclake.admin.lake import span
from metriclake.admin.session import Guard
from metriclake.admin.terms import read_terms
from metriclake.admin.trail import Trail
from metriclake.audit import Action
from metriclake.entry import Span
from metriclake.problems import as_json


class ReplayTerms(msgspec.Struct, forbid_unknown_fields=True):
    """
    The body of a replay: into which destination, and what arrived when.
    """

    destination: str
    start: str | None = msgspec.field(default=None, name="from")
    end: str | None = msgspec.field(default=None, name="to")
    dry_run: bool = False
    allow_duplicates: bool = False
    stop: bool = False


_TERMS = msgspec.json.Decoder(ReplayTerms)


class ReplaysAdmin:
    """
    The admin routes of one server's replays.
    """

    def __init__(
        self,
        guard: Guard,
        begin: Callable[[str, Span, bool, bool], Any],
        listed: Callable[[], Any],
        stop: Callable[[str], Any],
        trail: Trail,
    ) -> None:
        """
        `begin` takes a destination, a span, whether only to say how much it is, and whether duplicates are allowed.
        """
        self._guard = guard
        self._begin = begin
        self._listed = listed
        self._stop = stop
        self._trail = trail

    def routes(self) -> list[BaseRoute]:
        """
        Return the routes.
        """
        return [
            Route("/v1/admin/replays", self.replays, methods=["GET"]),
            Route("/v1/admin/replays", self.begin, methods=["POST"]),
        ]

    async def replays(self, request: Request) -> Response:
        """
        Return all replays, and how far each is.
        """
        self._guard.check(request)
        return as_json(await run_in_threadpool(self._listed))

    async def begin(self, request: Request) -> Response:
        """
        Begin a replay, say how much it would be, or end one.
        """
        by = self._guard.check(request)
        body = await read_terms(request, _TERMS)
        facts: dict[str, Any] = {"destination": body.destination}
        if body.stop:
            await self._trail.note(request, by, Action.REPLAY_STOP, facts)
            return as_json(await run_in_threadpool(self._stop, body.destination))
        arrived = span(body.start, body.end)
        if not body.dry_run:
            facts = {**facts, "from": body.start, "to": body.end, "allow_duplicates": body.allow_duplicates}
            await self._trail.note(request, by, Action.REPLAY, facts)
        begun = await run_in_threadpool(self._begin, body.destination, arrived, body.dry_run, body.allow_duplicates)
        return as_json(begun)
