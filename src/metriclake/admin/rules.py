"""
What the commands ask about the rules: why an event matches or not, and what an edited file would make of old events.

A preview's answer is a slice of about a second's work with `next`, where to go on; whoever asks puts them together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from metriclake.admin.lake import Enough, clock, span
from metriclake.admin.session import Guard
from metriclake.admin.terms import read_body, read_terms
from metriclake.entry import Span
from metriclake.problems import as_json

_MOST_BYTES = 4 * 1024 * 1024
"""Of a preview, which brings a whole pipeline file, and of an event."""


class PreviewTerms(msgspec.Struct, forbid_unknown_fields=True):
    """
    The body of a preview: the metric, the edited pipeline file's text, the arrivals, and where to go on.
    """

    metric: str
    pipeline: str
    start: str | None = msgspec.field(default=None, name="from")
    end: str | None = msgspec.field(default=None, name="to")
    after: str = ""


_TERMS = msgspec.json.Decoder(PreviewTerms)


class RulesAdmin:
    """
    The admin routes of one server's rules.
    """

    def __init__(
        self,
        guard: Guard,
        explain: Callable[[bytes], Any],
        preview: Callable[[str, str, Span, str, Enough], Any],
    ) -> None:
        """
        `explain` takes an event's JSON text, `preview` returns one slice; what they return is encoded as it is.
        """
        self._guard = guard
        self._explain = explain
        self._preview = preview

    def routes(self) -> list[BaseRoute]:
        """
        Return the routes.
        """
        return [
            Route("/v1/admin/rules/explain", self.explain, methods=["POST"]),
            Route("/v1/admin/preview", self.preview, methods=["POST"]),
        ]

    async def explain(self, request: Request) -> Response:
        """
        Tell what becomes of a domain event at every rule of its bus.
        """
        self._guard.check(request)
        return as_json(await run_in_threadpool(self._explain, await read_body(request, _MOST_BYTES)))

    async def preview(self, request: Request) -> Response:
        """
        Run an edited file's rule over archived events, beside the rule in force.
        """
        self._guard.check(request)
        terms = await read_terms(request, _TERMS, most=_MOST_BYTES)
        arrived = span(terms.start, terms.end)
        found = await run_in_threadpool(self._preview, terms.metric, terms.pipeline, arrived, terms.after, clock())
        return as_json(found)
