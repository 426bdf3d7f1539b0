"""
The audit trail: each action of somebody who has the admin key is noted before it is done, and listed.

Commands do long work in slices, request by request. What goes on with work that is noted is not noted again.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from metriclake import request_id
from metriclake._errors import MetriclakeError
from metriclake.admin.session import Guard
from metriclake.audit import Action, AuditLine
from metriclake.problems import as_json

_LOG = logging.getLogger(__name__)
_MOST_WORKS = 1000
_MOST_LINES = 1000
_MOST_CHARACTERS = 200
_LARGEST = 2**63 - 1

Lines = Callable[[int | None, int, str | None], Sequence[AuditLine]]


class Trail:
    """
    What notes the actions of one server's admins.
    """

    def __init__(self, keep: Callable[[AuditLine], None], clock: Callable[[], float] = time.time) -> None:
        """
        `keep` makes a line durable; `clock` is in seconds since 1970.
        """
        self._keep = keep
        self._clock = clock
        self._works: OrderedDict[bytes, None] = OrderedDict()

    async def note(
        self,
        request: Request,
        by: str,
        action: Action,
        facts: Mapping[str, Any] | None = None,
        *,
        goes_on: bool = False,
    ) -> None:
        """
        Note an action, of the tenant that its facts name; what raises keeps it from being done.

        With `goes_on` it is not noted again where the same is noted already.
        """
        said = {name: _short(value) for name, value in (facts or {}).items() if value}
        tenant = str(said.pop("tenant", ""))
        work = msgspec.json.encode((by, action, tenant, said))
        if goes_on and work in self._works:
            return
        client = "" if request.client is None else request.client.host
        line = AuditLine(int(self._clock() * 1_000_000), action, tenant, by, client, request_id.current() or "", said)
        await run_in_threadpool(self._keep, line)
        facts_of = {"action": str(action), "tenant": tenant, "by": by, "client": client, "facts": said}
        _LOG.info("noted in the audit trail", extra=facts_of)
        self._works[work] = None
        if len(self._works) > _MOST_WORKS:
            self._works.popitem(last=False)


class AuditAdmin:
    """
    The admin route that lists the audit trail.
    """

    def __init__(self, guard: Guard, lines: Lines) -> None:
        """
        `lines` returns the newest lines before a number, so many at most, of one tenant where it is named.
        """
        self._guard = guard
        self._lines = lines

    def routes(self) -> list[BaseRoute]:
        """
        Return the route.
        """
        return [Route("/v1/admin/audit", self.audit, methods=["GET"])]

    async def audit(self, request: Request) -> Response:
        """
        List what was done with the admin key, the newest first.
        """
        self._guard.check(request)
        before = _number(request, "before", None)
        limit = _number(request, "limit", 50)
        if not limit or limit > _MOST_LINES:
            raise MetriclakeError(f"`limit` must be a number from 1 to {_MOST_LINES}")
        tenant = request.query_params.get("tenant") or None
        found = await run_in_threadpool(self._lines, before, limit, tenant)
        following = found[-1].number if len(found) == limit else 0
        return as_json({"lines": [_as_json(line) for line in found], "next": following})


def _as_json(line: AuditLine) -> dict[str, Any]:
    at = datetime.fromtimestamp(line.at / 1_000_000, UTC).isoformat().replace("+00:00", "Z")
    return {**asdict(line), "at": at, "tenant": line.tenant or None}


def _short(value: Any) -> Any:
    """
    Return a fact as it is noted: the beginning of a long text or list says enough.
    """
    return value[:_MOST_CHARACTERS] if isinstance(value, str | list | tuple) else value


def _number(request: Request, name: str, default: int | None) -> int | None:
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit()) or int(text) > _LARGEST:
        raise MetriclakeError(f"`{name}` must be a whole number")
    return int(text)
