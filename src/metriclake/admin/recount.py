"""
What `status --verify` asks: count the books anew, a slice at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from metriclake.admin.lake import Enough, clock
from metriclake.admin.session import Guard
from metriclake.admin.terms import read_terms
from metriclake.problems import as_json
from metriclake.recount import Moment


class RecountTerms(msgspec.Struct, forbid_unknown_fields=True):
    """
    The body of a recount: the moment up to which is counted, none at first, and where to go on.
    """

    moment: Moment | None = None
    after: str = ""


_TERMS = msgspec.json.Decoder(RecountTerms)


class RecountAdmin:
    """
    The admin route of one server's recount.
    """

    def __init__(self, guard: Guard, recount: Callable[[Moment | None, str, Enough], Any]) -> None:
        """
        `recount` returns one slice, to be encoded as it is.
        """
        self._guard = guard
        self._recount = recount

    def routes(self) -> list[BaseRoute]:
        """
        Return the route.
        """
        return [Route("/v1/admin/recount", self.recount, methods=["POST"])]

    async def recount(self, request: Request) -> Response:
        """
        Count a part of what the books count.
        """
        self._guard.check(request)
        terms = await read_terms(request, _TERMS)
        return as_json(await run_in_threadpool(self._recount, terms.moment, terms.after, clock()))
