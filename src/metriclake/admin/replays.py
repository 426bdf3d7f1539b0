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
from metriclake.admin.session import check_admin
from metriclake.admin.terms import read_terms
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
        admin_key: str,
        begin: Callable[[str, Span, bool, bool], Any],
        listed: Callable[[], Any],
        stop: Callable[[str], Any],
    ) -> None:
        """
        `begin` takes a destination, a span, whether only to say how much it is, and whether duplicates are allowed.
        """
        self._key = admin_key
        self._begin = begin
        self._listed = listed
        self._stop = stop

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
        check_admin(request, self._key)
        return as_json(await run_in_threadpool(self._listed))

    async def begin(self, request: Request) -> Response:
        """
        Begin a replay, say how much it would be, or end one.
        """
        check_admin(request, self._key)
        body = await read_terms(request, _TERMS)
        if body.stop:
            return as_json(await run_in_threadpool(self._stop, body.destination))
        arrived = span(body.start, body.end)
        begun = await run_in_threadpool(self._begin, body.destination, arrived, body.dry_run, body.allow_duplicates)
        return as_json(begun)
