"""
What the commands ask about the lake: its check, and what was refused.

Each answer is a slice of about a second's work with `next`, where to go on; whoever asks puts the slices together.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from metriclake._errors import MetriclakeError
from metriclake.admin.session import Guard
from metriclake.admin.terms import read_terms
from metriclake.admin.trail import Trail
from metriclake.audit import Action
from metriclake.entry import Span, Which
from metriclake.event import DropReason
from metriclake.problems import as_json

_SLICE_SECONDS = 1.0
_MOST_RECORDS = 1000
Enough = Callable[[], bool]


class RetryTerms(msgspec.Struct, forbid_unknown_fields=True):
    """
    The body of a retry: which records, how, and where to go on.
    """

    reason: str | None = None
    tenant: str | None = None
    start: str | None = msgspec.field(default=None, name="from")
    end: str | None = msgspec.field(default=None, name="to")
    dry_run: bool = False
    again: bool = False
    as_of: int = 0
    after: str = ""


_TERMS = msgspec.json.Decoder(RetryTerms)


class LakeAdmin:
    """
    The admin routes of one server's lake.
    """

    def __init__(
        self,
        guard: Guard,
        check: Callable[[Span, str, Enough], Any],
        groups: Callable[[Which, str, Enough], Any],
        records: Callable[[Which, str, int, Enough], Any],
        retry: Callable[[Which, str, Mapping[str, Any], Enough], Any],
        trail: Trail,
    ) -> None:
        """
        Each callable returns one slice of an answer, to be encoded as it is.
        """
        self._trail = trail
        self._guard = guard
        self._check = check
        self._groups = groups
        self._records = records
        self._retry = retry

    def routes(self) -> list[BaseRoute]:
        """
        Return the routes.
        """
        return [
            Route("/v1/admin/lake/check", self.check, methods=["GET"]),
            Route("/v1/admin/errors", self.errors, methods=["GET"]),
            Route("/v1/admin/errors/records", self.records, methods=["GET"]),
            Route("/v1/admin/errors/retry", self.retry, methods=["POST"]),
        ]

    async def check(self, request: Request) -> Response:
        """
        Hold a part of the lake against its manifests.
        """
        asked = self._asked(request)
        arrived = span(asked.get("from"), asked.get("to"))
        return as_json(await run_in_threadpool(self._check, arrived, asked.get("after", ""), clock()))

    async def errors(self, request: Request) -> Response:
        """
        Count refused records by reason, tenant and metric.
        """
        asked = self._asked(request)
        return as_json(await run_in_threadpool(self._groups, _which(asked), asked.get("after", ""), clock()))

    async def records(self, request: Request) -> Response:
        """
        Return refused records.
        """
        asked = self._asked(request)
        limit = asked.get("limit", "20")
        if not limit.isdigit() or not 0 < int(limit) <= _MOST_RECORDS:
            raise MetriclakeError(f"`limit` must be a number from 1 to {_MOST_RECORDS}")
        after = asked.get("after", "")
        return as_json(await run_in_threadpool(self._records, _which(asked), after, int(limit), clock()))

    async def retry(self, request: Request) -> Response:
        """
        Send refused records through the journal again.
        """
        by = self._guard.check(request)
        body = await read_terms(request, _TERMS)
        which = Which(_reason(body.reason), body.tenant, span(body.start, body.end))
        terms = {"dry_run": body.dry_run, "again": body.again, "as_of": body.as_of}
        if not body.dry_run:
            facts = {"tenant": body.tenant, "reason": body.reason, "from": body.start, "to": body.end}
            goes_on = bool(body.after)
            await self._trail.note(request, by, Action.RETRY, {**facts, "again": body.again}, goes_on=goes_on)
        return as_json(await run_in_threadpool(self._retry, which, body.after, terms, clock()))

    def _asked(self, request: Request) -> Mapping[str, str]:
        self._guard.check(request)
        return request.query_params


def clock() -> Enough:
    """
    Return what says when a slice has taken long enough.
    """
    until = time.monotonic() + _SLICE_SECONDS
    return lambda: time.monotonic() >= until


def _which(asked: Mapping[str, str]) -> Which:
    return Which(_reason(asked.get("reason")), asked.get("tenant"), span(asked.get("from"), asked.get("to")))


def _reason(text: str | None) -> str | None:
    if text is not None and text not in tuple(DropReason):
        raise MetriclakeError(f"there is no such reason; known are {', '.join(DropReason)}")
    return text


def span(start: str | None, end: str | None) -> Span:
    """
    Return the arrivals between two times as text; raises MetriclakeError where one is none.
    """
    return Span(_micros("from", start), _micros("to", end))


def _micros(name: str, text: str | None) -> int | None:
    if not text:
        return None
    try:
        when = datetime.fromisoformat(text)
        when = when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    except (ValueError, OverflowError):
        raise MetriclakeError(
            f"`{name}` must be a date or a time, such as 2026-01-31 or 2026-01-31T12:00:00Z"
        ) from None
    return int(when.timestamp()) * 1_000_000 + when.microsecond
