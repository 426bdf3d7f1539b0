"""
The live stream: "metric M has new data", as server-sent events, for one verified tenant each.

A token that is bound to dashboards hears of the metrics that those show. Which these are is looked up whenever there
is something to tell, so that a changed pipeline file counts at once.

An event's id is the last loaded object that it speaks of, with the journal's name before it. A client that comes back
with `Last-Event-ID` hears of what was loaded since, out of the store; where the id says nothing here, it is told to ask
for everything again. What a slow client has not taken is remembered as names of metrics, each once.
"""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec
from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from metriclake._errors import Fault, InvalidQuestion, MetriclakeError
from metriclake.query.arrange import as_text
from metriclake.query.claims import check_metrics, claims_of
from metriclake.query.places import Places
from metriclake.query.streamed import Streamed
from metriclake.tokens import TenantClaims

_LOG = logging.getLogger(__name__)
_OF_TENANT = 50
_ASKING = 2
"""How many that come back ask the store at once: after a restart they all do."""
_BEAT_SECONDS = 15.0
_PAUSE_SECONDS = 0.2
"""Between two writes: what is loaded meanwhile is told at once."""
_RETRY_MILLISECONDS = 3000
_ID = re.compile(r"([0-9a-f]{1,32})-([0-9]{1,18})")
_HEADERS = {"X-Accel-Buffering": "no", "X-Content-Type-Options": "nosniff"}
"""A proxy that gathers answers would hold the events back; nginx goes by the first of these."""

Changed = Callable[[str, int], Iterable[str]]
Shown = Callable[[TenantClaims], Awaitable[frozenset[str] | None]]
"""Returns the metrics that a token's dashboards show, None for a token that is bound to none."""


@dataclass(eq=False, slots=True)
class _Listener:
    """
    One open stream: what it may hear of, what it has not been told yet, and up to which object that reaches.
    """

    metrics: frozenset[str] | None
    number: int
    pending: dict[str, None] = field(default_factory=dict)
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, metrics: Iterable[str]) -> None:
        """
        Remember that metrics have new data.
        """
        heard = [name for name in metrics if self.metrics is None or name in self.metrics]
        if heard:
            self.pending.update(dict.fromkeys(heard))
            self.wake.set()


class Live:
    """
    The live streams of one server.
    """

    def __init__(
        self,
        signing_key: str,
        changed: Changed,
        journal: str,
        number: int,
        connections: Callable[[], int],
        shown: Shown,
    ) -> None:
        """
        Take what returns a tenant's metrics that have rows of objects after a number.

        `journal` is the journal's name, `number` the last object that is loaded, and `connections` returns how many
        connections there may be: streams take up to half of them.
        """
        self._signing_key = signing_key
        self._changed = changed
        self._shown = shown
        self._journal = journal
        self._asking = CapacityLimiter(_ASKING)
        self._places = Places("streams", _OF_TENANT, lambda: max(1, connections() // 2))
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._number = number
        self._closed = False
        self._listeners: dict[str, set[_Listener]] = {}

    def __len__(self) -> int:
        """
        Return how many streams are open.
        """
        return len(self._places)

    def routes(self) -> list[BaseRoute]:
        """
        Return the routes.
        """
        return [Route("/v1/stream", self.stream, methods=["GET"])]

    def delivered(self, number: int, changed: Mapping[str, Iterable[str]]) -> None:
        """
        Hear from any thread that an object is loaded: the metrics of each tenant of which it has brought rows.
        """
        with self._lock:
            if self._loop is not None and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._publish, number, changed)
            else:
                self._number = number

    def close(self) -> None:
        """
        End all streams, each with an event that says so: the server is to end.
        """
        self._closed = True
        for listeners in self._listeners.values():
            for listener in listeners:
                listener.wake.set()

    def _publish(self, number: int, changed: Mapping[str, Iterable[str]]) -> None:
        self._number = number
        for tenant in changed.keys() & self._listeners.keys():
            for listener in self._listeners[tenant]:
                listener.number = number
                listener.tell(changed[tenant])

    async def stream(self, request: Request) -> Response:
        """
        Open a stream.
        """
        claims = claims_of(request, self._signing_key, dashboards=True)
        metrics = _metrics(request, claims, await self._shown(claims))
        if request.method == "HEAD":
            return Response(headers={"Cache-Control": "no-store", **_HEADERS}, media_type="text/event-stream")
        give_back = self._places.take(claims.tenant_id)
        with self._lock:
            self._loop = asyncio.get_running_loop()
            listener = _Listener(metrics, self._number)
        self._listeners.setdefault(claims.tenant_id, set()).add(listener)

        def done() -> None:
            give_back()
            left = self._listeners[claims.tenant_id]
            left.discard(listener)
            if not left:
                del self._listeners[claims.tenant_id]

        events = self._events(listener, claims, request.headers.get("last-event-id"))
        return Streamed(events, done, _HEADERS, "text/event-stream")

    async def _events(self, listener: _Listener, claims: TenantClaims, last: str | None) -> AsyncGenerator[bytes, None]:
        number = listener.number
        missed = await self._missed(listener, claims, number, last)
        heard = _both(listener.metrics, await self._shown(claims))
        opened = {
            "metrics": None if heard is None else sorted(heard),
            "expires": as_text(claims.expires),
        }
        yield f"retry: {_RETRY_MILLISECONDS}\n".encode() + _event("open", opened, None if missed else self._id(number))
        if isinstance(missed, str):
            yield _event("reset", {"reason": missed}, self._id(number))
        elif missed:
            yield self._told(missed, number)
        while True:
            left = (claims.expires - datetime.now(UTC)).total_seconds()
            if left <= 0:
                detail = "the tenant token has expired: ask your backend for a new one"
                yield _event("end", {"reason": "expired", "detail": detail})
                return
            if self._closed:
                yield _event("end", {"reason": "stopping", "detail": "the server stops: connect again"})
                return
            if listener.pending:
                names, number = list(listener.pending), listener.number
                listener.pending.clear()
                told = await self._allowed(claims, names)
                if told:
                    yield self._told(told, number)
                await asyncio.sleep(_PAUSE_SECONDS)
            elif not await _woken(listener.wake, min(left, _BEAT_SECONDS)):
                yield b": beat\n\n"

    async def _allowed(self, claims: TenantClaims, names: Iterable[str]) -> list[str]:
        """
        Return those of metrics that a token's dashboards show.
        """
        shown = await self._shown(claims)
        return [name for name in names if shown is None or name in shown]

    async def _missed(
        self, listener: _Listener, claims: TenantClaims, number: int, last: str | None
    ) -> list[str] | str:
        """
        Return the metrics that have got data since a client's last event; text where that cannot be said, and why.
        """
        if last is None:
            return []
        match = _ID.fullmatch(last)
        if match is None or match[1] != self._journal or int(match[2]) > number:
            return "this server knows nothing of the last event's id: ask for everything again"
        if int(match[2]) == number:
            return []
        try:
            found = await run_sync(self._changed, claims.tenant_id, int(match[2]), limiter=self._asking)
        except MetriclakeError as error:
            _LOG.warning("a stream could not be continued", extra={"tenant": claims.tenant_id, "error": str(error)})
            return "what is new since the last event could not be found out: ask for everything again"
        names = sorted(name for name in found if listener.metrics is None or name in listener.metrics)
        return await self._allowed(claims, names)

    def _told(self, names: list[str], number: int) -> bytes:
        """
        Return an event for each metric; the last has the id, so that who hears a part of them hears of all again.
        """
        *before, last = names
        parts = [_event("metric", {"metric": name}) for name in before]
        return b"".join([*parts, _event("metric", {"metric": last}, self._id(number))])

    def _id(self, number: int) -> str:
        return f"{self._journal}-{number}"


def _metrics(request: Request, claims: TenantClaims, shown: frozenset[str] | None) -> frozenset[str] | None:
    """
    Return the metrics that a stream is of: those asked for, or all that the token allows.

    What `shown` lacks, which the token's dashboards show, cannot be asked for. Raises NotAllowed.
    """
    unknown = [key for key in request.query_params if key != "metric"]
    if unknown:
        faults = (Fault(key[:60], "is not a parameter of a stream", "`metric` is the only one") for key in unknown)
        raise InvalidQuestion(tuple(faults))
    asked = request.query_params.getlist("metric")
    check_metrics(_both(claims.metrics, shown), asked)
    return frozenset(asked) if asked else claims.metrics


def _both(some: frozenset[str] | None, others: frozenset[str] | None) -> frozenset[str] | None:
    """
    Return the metrics that are in both; None has all.
    """
    if some is None or others is None:
        return others if some is None else some
    return some & others


def _event(kind: str, data: Any, id_: str | None = None) -> bytes:
    head = f"event: {kind}\n" + (f"id: {id_}\n" if id_ is not None else "")
    return head.encode() + b"data: " + msgspec.json.encode(data) + b"\n\n"


async def _woken(wake: asyncio.Event, seconds: float) -> bool:
    """
    Wait until something is to be told; False where nothing was in time.
    """
    try:
        async with asyncio.timeout(seconds):
            await wake.wait()
    except TimeoutError:
        return False
    wake.clear()
    return True
