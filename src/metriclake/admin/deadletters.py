"""
What the commands ask about dead letters: counts, the letters themselves, redrives and drops.

What changes letters changes some hundred of them at a time, with `next`, where to go on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
from metriclake.deadletter import LetterState, WhichLetters
from metriclake.problems import as_json

_MOST_RECORDS = 1000
_LARGEST = 2**63 - 1


class LettersTerms(msgspec.Struct, forbid_unknown_fields=True):
    """
    The body of a redrive or a drop: which letters, and where to go on. Dropped ones are meant with `dropped` alone.
    """

    destination: str | None = None
    reason: str | None = None
    tenant: str | None = None
    metric: str | None = None
    numbers: list[int] = msgspec.field(default_factory=list)
    dropped: bool = False
    after: int = 0


_TERMS = msgspec.json.Decoder(LettersTerms)


class LettersAdmin:
    """
    The admin routes of one server's dead letters.
    """

    def __init__(
        self,
        guard: Guard,
        groups: Callable[[WhichLetters], Any],
        records: Callable[[WhichLetters, int, int], Any],
        restate: Callable[[WhichLetters, LetterState, int], Any],
        trail: Trail,
    ) -> None:
        """
        Each callable returns an answer, or a slice of one, to be encoded as it is.
        """
        self._trail = trail
        self._guard = guard
        self._groups = groups
        self._records = records
        self._restate = restate

    def routes(self) -> list[BaseRoute]:
        """
        Return the routes.
        """
        return [
            Route("/v1/admin/deadletters", self.groups, methods=["GET"]),
            Route("/v1/admin/deadletters/records", self.records, methods=["GET"]),
            Route("/v1/admin/deadletters/redrive", self.redrive, methods=["POST"]),
            Route("/v1/admin/deadletters/drop", self.drop, methods=["POST"]),
        ]

    async def groups(self, request: Request) -> Response:
        """
        Count dead letters by destination, reason, tenant, metric and state.
        """
        return as_json(await run_in_threadpool(self._groups, _asked(self._checked(request))))

    async def records(self, request: Request) -> Response:
        """
        Return dead letters, each with its metric event.
        """
        asked = self._checked(request)
        after, limit = _number(asked, "after", 0), _number(asked, "limit", 20)
        if not 0 < limit <= _MOST_RECORDS:
            raise MetriclakeError(f"`limit` must be a number from 1 to {_MOST_RECORDS}")
        return as_json(await run_in_threadpool(self._records, _asked(asked), after, limit))

    async def redrive(self, request: Request) -> Response:
        """
        Have dead letters tried again.
        """
        return await self._change(request, LetterState.REDRIVING)

    async def drop(self, request: Request) -> Response:
        """
        Give dead letters up.
        """
        return await self._change(request, LetterState.DROPPED)

    async def _change(self, request: Request, state: LetterState) -> Response:
        by = self._guard.check(request)
        body = await read_terms(request, _TERMS)
        which = WhichLetters(
            (body.destination,) if body.destination else (),
            body.reason,
            body.tenant,
            body.metric,
            body.numbers,
            _states(dropped=body.dropped),
        )
        action = Action.DROP if state is LetterState.DROPPED else Action.REDRIVE
        facts = {name: value for name, value in msgspec.structs.asdict(body).items() if name != "after"}
        await self._trail.note(request, by, action, facts, goes_on=body.after > 0)
        return as_json(await run_in_threadpool(self._restate, which, state, body.after))

    def _checked(self, request: Request) -> Mapping[str, str]:
        self._guard.check(request)
        return request.query_params


def _asked(asked: Mapping[str, str]) -> WhichLetters:
    destination = asked.get("destination")
    numbers = [_whole("numbers", text) for text in asked.get("numbers", "").split(",") if text]
    states = _states(dropped=asked.get("dropped", "false") == "true")
    return WhichLetters(
        (destination,) if destination else (),
        asked.get("reason"),
        asked.get("tenant"),
        asked.get("metric"),
        numbers,
        states,
    )


def _states(*, dropped: bool) -> tuple[LetterState, ...]:
    return (LetterState.DROPPED,) if dropped else (LetterState.DEAD, LetterState.REDRIVING)


def _number(asked: Mapping[str, str], name: str, default: int) -> int:
    return _whole(name, asked.get(name, str(default)))


def _whole(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) > _LARGEST:
        raise MetriclakeError(f"`{name}` must be made of whole numbers")
    return int(text)
