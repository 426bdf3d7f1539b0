"""
The native doors: domain events, metric events, GitHub webhooks.

A door checks the envelope of each item, completes it, appends what passes as one journal entry and answers when that
is durable. An id that a door makes up is a new one on every try: such an event is not safe to send again.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from metriclake._errors import InvalidBody
from metriclake.books import Key
from metriclake.entry import Entry, EntryKind, Position
from metriclake.event import DomainEvent, account_of
from metriclake.gateway import cloudevents
from metriclake.gateway.bodies import MAX_DEPTH, read_body, split, too_deep, too_large
from metriclake.gateway.github import envelope
from metriclake.gateway.limits import Limiter
from metriclake.problems import as_json
from metriclake.tokens import Keys, check_github_signature

Append = Callable[[Entry], Future[Position]]


class SentMetric(msgspec.Struct, forbid_unknown_fields=True):
    """
    A metric event as it is sent: its three parts. What they hold is judged by the stream.
    """

    metric_name: str
    metadata: dict[str, Any]
    data: msgspec.Raw


_EVENT = msgspec.json.Decoder(DomainEvent)
_METRIC = msgspec.json.Decoder(SentMetric)
_ENCODER = msgspec.json.Encoder()
_OBJECT = ord("{")
_TOO_DEEP = f"it is nested deeper than {MAX_DEPTH} levels"
_MEANT = f"; a CloudEvent is sent as {cloudevents.Mode.STRUCTURED}"
_SEQUENCE_DIGITS = 8
_SLICE = 200
"""Items that are checked at once: a fraction of a millisecond."""


@dataclass(slots=True)
class Accepted:
    """
    What of a request goes into the journal, and what is said of the rest.
    """

    lines: list[bytes] = field(default_factory=list)
    counts: Counter[Key] = field(default_factory=Counter)
    rejected: list[dict[str, Any]] = field(default_factory=list)

    def reject(self, index: int, error: str) -> None:
        """
        Say of an item why it is not accepted.
        """
        self.rejected.append({"index": index, "error": error})

    def extend(self, others: Accepted) -> None:
        """
        Take what became of the items that follow.
        """
        self.lines += others.lines
        self.counts.update(others.counts)
        self.rejected += others.rejected


class Ids:
    """
    The ids and the time that a request's items get where they bring none: one random stem, and a number each.
    """

    def __init__(self, now: datetime) -> None:
        """
        `now` is the arrival.
        """
        stem = secrets.token_hex(12)
        self._stem = f"{stem[:8]}-{stem[8:12]}-4{stem[13:16]}-a{stem[17:20]}-{stem[20:24]}"
        self._time = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def event_id(self, index: int) -> str:
        """
        Return the id of the item at `index`.
        """
        return f"{self._stem}{index:0{_SEQUENCE_DIGITS}x}"

    def stamp(self, index: int) -> bytes:
        """
        Return an id and the arrival's time as the first two keys of an object.
        """
        return f'{{"id":"{self.event_id(index)}","time":"{self._time}",'.encode()

    def identity(self, index: int) -> bytes:
        """
        Return an id as the first key of an object.
        """
        return f'{{"id":"{self.event_id(index)}",'.encode()


def accept_events(texts: Sequence[bytes], ids: Ids, max_bytes: int, first: int = 0) -> Accepted:
    """
    Check the envelopes of domain events, and complete those that lack an id. `first` is the number of the first.
    """
    accepted = Accepted()
    keep = accepted.lines.append
    for index, text in enumerate(texts, first):
        if too_deep(text):
            accepted.reject(index, _TOO_DEEP)
            continue
        try:
            event = _EVENT.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            accepted.reject(index, _said(error) + (_MEANT if b'"specversion"' in text else ""))
            continue
        if memoryview(event.detail)[0] != _OBJECT:
            accepted.reject(index, "`detail` must be an object")
        elif len(text) > max_bytes:
            accepted.reject(index, f"the event is larger than {max_bytes} bytes")
        elif event.id is not msgspec.UNSET:
            keep(text)
        elif event.time is msgspec.UNSET:
            keep(ids.stamp(index) + text[1:].lstrip())
        else:
            keep(ids.identity(index) + text[1:].lstrip())
    return accepted


def accept_cloudevents(found: Sequence[bytes | cloudevents.Refused], max_bytes: int) -> Accepted:
    """
    Take what CloudEvents became as domain events. They have ids of their own: nothing is made up for them.
    """
    accepted = Accepted()
    for index, line in enumerate(found):
        if not isinstance(line, bytes):
            accepted.reject(index, str(line))
        elif len(line) > max_bytes:
            accepted.reject(index, f"the event is larger than {max_bytes} bytes")
        else:
            accepted.lines.append(line)
    return accepted


def accept_metrics(texts: Sequence[bytes], ids: Ids, max_bytes: int, first: int = 0) -> Accepted:
    """
    Check the envelopes of metric events, and complete those that lack an id. `first` is the number of the first.
    """
    accepted = Accepted()
    for index, text in enumerate(texts, first):
        if too_deep(text):
            accepted.reject(index, _TOO_DEEP)
            continue
        try:
            metric = _METRIC.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            accepted.reject(index, _said(error))
            continue
        if memoryview(metric.data)[0] != _OBJECT:
            accepted.reject(index, "`data` must be an object")
            continue
        if len(text) > max_bytes:
            accepted.reject(index, f"the metric event is larger than {max_bytes} bytes")
            continue
        if metric.metadata.get("event_id") in (None, ""):
            metric.metadata["event_id"] = ids.event_id(index)
            text = _ENCODER.encode(metric)  # noqa: PLW2901 - the completed text takes the place of the sent one
        accepted.lines.append(text)
        accepted.counts[account_of(metric.metric_name, metric.metadata)] += 1
    return accepted


class Gateway:
    """
    The doors of one server.
    """

    def __init__(
        self, append: Append, keys: Keys, max_body: int, max_event: int, limiter: Limiter | None = None
    ) -> None:
        """
        `append` is the journal's; `max_body` and `max_event` are bytes; `limiter` knows what each ingest key may bring.
        """
        self._ingest = keys.ingest_keys
        self._limiter = limiter or Limiter()
        self._append = append
        self._keys = keys
        self._max_body = max_body
        self._max_event = max_event

    def routes(self) -> list[BaseRoute]:
        """
        Return the doors.
        """
        return [
            Route("/v1/events", self.events, methods=["POST"]),
            Route("/v1/metrics", self.metrics, methods=["POST"]),
            Route("/v1/webhooks/github", self.github, methods=["POST"]),
        ]

    async def events(self, request: Request) -> Response:
        """
        Take domain events, also as CloudEvents.
        """
        key = self._ingest.name_of(request.headers.get("authorization"))
        kind = request.headers.get("content-type", "")
        mode = cloudevents.mode_of(request.headers.raw, kind)
        body = await self._body(request)
        if mode is None:
            texts = split(body, kind)
            self._limiter.spend(key, len(texts), len(body))
            accepted = await self._checked(accept_events, texts)
        else:
            found = cloudevents.read(mode, request.headers.raw, body)
            self._limiter.spend(key, len(found), len(body))
            accepted = accept_cloudevents(found, self._max_event)
        return await self._answer(EntryKind.EVENTS, accepted)

    async def metrics(self, request: Request) -> Response:
        """
        Take metric events.
        """
        key = self._ingest.name_of(request.headers.get("authorization"))
        body = await self._body(request)
        texts = split(body, request.headers.get("content-type", ""))
        self._limiter.spend(key, len(texts), len(body))
        accepted = await self._checked(accept_metrics, texts)
        return await self._answer(EntryKind.METRICS, accepted)

    async def github(self, request: Request) -> Response:
        """
        Take a GitHub webhook delivery.
        """
        body = await self._body(request)
        check_github_signature(request.headers.get("x-hub-signature-256"), body, self._keys.github)
        if "json" not in request.headers.get("content-type", "json"):
            raise InvalidBody("set the webhook's content type on GitHub to application/json", 415)
        headers = request.headers
        text = envelope(headers.get("x-github-event"), headers.get("x-github-delivery"), body)
        return await self._answer(EntryKind.EVENTS, accept_events([text], Ids(datetime.now(UTC)), self._max_body))

    async def _body(self, request: Request) -> bytes:
        length = request.headers.get("content-length", "0")
        if length.isdigit() and int(length) > self._max_body:
            raise too_large(self._max_body)
        return await read_body(request.stream(), request.headers.get("content-encoding", ""), self._max_body)

    async def _checked(self, accept: Callable[..., Accepted], texts: Sequence[bytes]) -> Accepted:
        """
        Check items some at a time, so that other requests need not wait until all of a large one are.
        """
        ids = Ids(datetime.now(UTC))
        accepted = accept(texts[:_SLICE], ids, self._max_event)
        for first in range(_SLICE, len(texts), _SLICE):
            await asyncio.sleep(0)
            accepted.extend(accept(texts[first : first + _SLICE], ids, self._max_event, first))
        return accepted

    async def _answer(self, kind: EntryKind, accepted: Accepted) -> Response:
        count = len(accepted.lines)
        if count:
            body = b"\n".join(accepted.lines) + b"\n"
            entry = Entry(kind, time.time_ns() // 1000, count, body, dict(accepted.counts))
            await asyncio.wrap_future(self._append(entry))
        status = 200 if not accepted.rejected else 207 if count else 400
        return as_json({"accepted": count, "rejected": accepted.rejected}, status)


def _said(error: Exception) -> str:
    """
    Put a decoder's message into words for the sender: it names fields, never values.
    """
    return str(error).replace("Object missing", "it is missing").replace("Object contains", "it has")
