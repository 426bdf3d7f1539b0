"""
What the command `backfill` asks: run a metric's rule in force over archived events, into the lake and the store.

An answer is a slice of a moment's work, with `next`, where to go on, and `pause`, after how many seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from metriclake.admin.lake import Enough, span
from metriclake.admin.session import Guard
from metriclake.admin.terms import read_terms
from metriclake.admin.trail import Trail
from metriclake.audit import Action
from metriclake.entry import Span
from metriclake.problems import as_json

_SLICE_SECONDS = 0.3
"""Shorter than other slices': between two of them the stream has the processor to itself."""


class BackfillTerms(msgspec.Struct, forbid_unknown_fields=True):
    """
    The body of a backfill: the metric, the arrivals, the destinations beside the store, and where to go on.

    `rule` and `number` are those of the last answer.
    """

    metric: str
    start: str | None = msgspec.field(default=None, name="from")
    end: str | None = msgspec.field(default=None, name="to")
    destinations: Sequence[str] = ()
    dry_run: bool = False
    rule: str = ""
    number: int = 0
    after: str = ""


_TERMS = msgspec.json.Decoder(BackfillTerms)


class BackfillAdmin:
    """
    The admin route of one server's backfills.
    """

    def __init__(self, guard: Guard, backfill: Callable[[BackfillTerms, Span, Enough], Any], trail: Trail) -> None:
        """
        `backfill` returns one slice, to be encoded as it is.
        """
        self._guard = guard
        self._backfill = backfill
        self._trail = trail

    def routes(self) -> list[BaseRoute]:
        """
        Return the route.
        """
        return [Route("/v1/admin/backfill", self.backfill, methods=["POST"])]

    async def backfill(self, request: Request) -> Response:
        """
        Run a metric's rule over a part of the archive.
        """
        by = self._guard.check(request)
        terms = await read_terms(request, _TERMS)
        arrived = span(terms.start, terms.end)
        if not terms.dry_run:
            facts = {"metric": terms.metric, "from": terms.start, "to": terms.end, "destinations": terms.destinations}
            await self._trail.note(request, by, Action.BACKFILL, facts, goes_on=bool(terms.after))
        until = time.monotonic() + _SLICE_SECONDS
        return as_json(await run_in_threadpool(self._backfill, terms, arrived, lambda: time.monotonic() >= until))
