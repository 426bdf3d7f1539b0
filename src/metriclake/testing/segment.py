"""
A twin of Segment's HTTP Tracking API.

It says 200 to nearly everything. What was not accepted is in `debugger`, as in Segment's own; nothing else tells.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import uuid4

import msgspec

from metriclake.testing.clock import Clock
from metriclake.testing.loopback import Answer
from metriclake.testing.rates import Rate
from metriclake.testing.record import Arrival, Keep, Refusal, Rule
from metriclake.testing.twin import Asked, Twin, Verdict, as_json

_PAGE = "Segment, HTTP API source, 2025-11-07"
_DUPLICATES = "Segment, Handling duplicate data, 2025-11-07"

CALLS = ("identify", "track", "page", "screen", "group", "alias")

ENDPOINTS = Rule(
    "segment-endpoints",
    "POST /v1/identify, track, page, screen, group, alias and batch",
    f"{_PAGE}: Identify to Batch",
)
ELSEWHERE = Rule("segment-other-paths", "any other path or method is answered with 404")
AUTHENTICATION = Rule(
    "segment-authentication",
    "the write key stands in the body, or is the user of Basic with a colon and no password",
    f"{_PAGE}: Authentication",
)
BEARER = Rule(
    "segment-bearer",
    "a bearer token needs the write key in the body as well",
    f"{_PAGE}: OAuth",
)
ANY_TOKEN = Rule("segment-any-token", "any bearer token is taken for a valid one")
UNKNOWN_KEY = Rule(
    "segment-unknown-key",
    "a key that is missing or unknown is answered with 200, and nothing is there",
    f"{_PAGE}: Errors (200 for all but large payloads and JSON errors)",
)
CONTENT_TYPE = Rule("segment-content-type", "the content type must be application/json", f"{_PAGE}: Content-Type")
CONTENT_TYPE_STATUS = Rule("segment-content-type-status", "another content type is answered with 400")
CALL_SIZE = Rule("segment-call-size", "a call of more than 32 KB is answered with 400", f"{_PAGE}: Max request size")
BATCH_SIZE = Rule(
    "segment-batch-size", "a batch of more than 500 KB is answered with 400", f"{_PAGE}: Max request size"
)
EVENT_SIZE = Rule(
    "segment-event-size",
    "one call of more than 32 KB in a batch: the whole batch is answered with 400",
    f"{_PAGE}: Max request size",
)
KILOBYTES = Rule(
    "segment-kilobytes",
    "32 KB are 32,768 bytes, as the SDK counts; 500 KB are 500,000, the smaller reading",
)
INVALID_JSON = Rule("segment-invalid-json", "what is not JSON is answered with 400", f"{_PAGE}: Errors")
ERROR_BODY = Rule("segment-error-body", 'the body of a 400 is {"code", "message"}, which is what the SDK reads')
BATCH_COUNT = Rule(
    "segment-batch-count", "more than 2,500 calls in a batch: 200, and they are rejected", f"{_PAGE}: Errors"
)
BATCH_COUNT_ALL = Rule("segment-batch-count-all", "all calls of such a batch are rejected, not those beyond 2,500")
IDENTIFIER = Rule("segment-identifier", "a call without userId and anonymousId: 200, and rejected", f"{_PAGE}: Errors")
EVENT_NAME = Rule("segment-event-name", "a track call without event: 200, and rejected", f"{_PAGE}: Errors")
TYPE = Rule("segment-type", "each call of a batch has a type that is the name of a method", f"{_PAGE}: Batch")
TYPE_REJECTED = Rule("segment-type-rejected", "a call of a batch without such a type: 200, and rejected")
MESSAGE_ID = Rule("segment-message-id", "a messageId of 100 characters or more: 200, and rejected", f"{_PAGE}: Errors")
ASSIGNED_ID = Rule(
    "segment-assigned-id",
    "a call without messageId is given one, and is never a duplicate",
    f"{_PAGE}: Errors; {_DUPLICATES}",
)
DUPLICATES = Rule(
    "segment-duplicates",
    "a messageId that was seen in the last 24 hours is a duplicate, whatever else the call says",
    _DUPLICATES,
)
WINDOW = Rule("segment-window", "the 24 hours begin with the first arrival, and end then, though more is promised")
ACROSS_SOURCES = Rule("segment-across-sources", "a messageId is known across write keys")
RATE = Rule(
    "segment-rate",
    "above 1,000 requests a second: 429 with Retry-After and X-RateLimit-Reset, in seconds",
    f"{_PAGE}: Rate limits",
)
WRONG_REGION = Rule(
    "segment-wrong-region", "the endpoint of another region answers as always, and nothing is there", f"{_PAGE}: note"
)
MERGED = Rule(
    "segment-merged", "context and integrations of a batch are merged into each of its calls", f"{_PAGE}: Batch"
)
TIMESTAMP = Rule(
    "segment-timestamp", "a call without timestamp has the time of its arrival", f"{_PAGE}: Historical import"
)
INTEGRATIONS = Rule(
    "segment-integrations",
    "integrations switch destinations on and off, by names whose case counts; All stands for those not named",
    f"{_PAGE}: Selecting destinations",
)
GZIP = Rule("segment-gzip", "a body may be compressed with gzip, as the SDK does when asked")


@dataclass(frozen=True, slots=True)
class SegmentLimits:
    """
    Segment's limits; 0 requests a second stands for no limit.
    """

    call_bytes: int = 32 * 1024
    batch_bytes: int = 500_000
    batch_calls: int = 2_500
    id_characters: int = 100
    requests_per_second: float = 1_000
    look_back_seconds: float = 24 * 3600


class SegmentTwin(Twin):
    """
    `https://api.segment.io`: set an SDK's host, or a destination's URL, to `url`.

    A record of `taken` is the call as Segment hands it on: with its type, messageId, timestamp and receivedAt, and with
    what the batch had for all its calls.
    """

    RULES: ClassVar = (
        ENDPOINTS, ELSEWHERE, AUTHENTICATION, BEARER, ANY_TOKEN, UNKNOWN_KEY, CONTENT_TYPE, CONTENT_TYPE_STATUS,
        CALL_SIZE, BATCH_SIZE, EVENT_SIZE, KILOBYTES, INVALID_JSON, ERROR_BODY, BATCH_COUNT, BATCH_COUNT_ALL,
        IDENTIFIER, EVENT_NAME, TYPE, TYPE_REJECTED, MESSAGE_ID, ASSIGNED_ID, DUPLICATES, WINDOW, ACROSS_SOURCES,
        RATE, WRONG_REGION, MERGED, TIMESTAMP, INTEGRATIONS, GZIP,
    )  # fmt: skip
    regional: ClassVar = True

    def __init__(
        self,
        write_keys: Collection[str] = (),
        *,
        limits: SegmentLimits | None = None,
        clock: Clock | None = None,
        keep: Keep | None = None,
    ) -> None:
        """
        Know these write keys, or any where there are none.
        """
        self.limits = limits or SegmentLimits()
        super().__init__(clock, keep, self.limits.look_back_seconds)
        self._write_keys = frozenset(write_keys)
        self._rate = Rate(self.limits.requests_per_second, 1)

    def routed_to(self, destination: str) -> tuple[Any, ...]:
        """
        Return the calls that Segment hands on to a destination, by its name as Segment spells it.
        """
        return tuple(record for record in self.records if _goes_to(record.get("integrations") or {}, destination))

    def failing(self, status: int) -> Answer:
        """
        Return an answer with `code` and `message`; a 429 says to come back after a second.
        """
        headers = {"Retry-After": "1", "X-RateLimit-Reset": "1"} if status == 429 else {}
        return as_json(status, {"code": _CODES.get(status, "failed"), "message": "this is a twin of Segment"}, headers)

    def judge(self, asked: Asked, now: float) -> Verdict:
        """
        Return what Segment does with a request.
        """
        call = asked.path.removeprefix("/v1/").removesuffix("/")
        if asked.method != "POST" or not asked.path.startswith("/v1/") or call not in (*CALLS, "batch"):
            return Verdict(self.failing(404))
        if self._rate.left(now) < 1:
            seconds = str(math.ceil(self._rate.wait(1, now)) or 1)
            return Verdict(as_json(429, _TOO_MANY, {"Retry-After": seconds, "X-RateLimit-Reset": seconds}))
        self._rate.use(1, now)
        if asked.media_type != "application/json":
            return Verdict(self.failing(400))
        if len(asked.body) > (self.limits.batch_bytes if call == "batch" else self.limits.call_bytes):
            return Verdict(as_json(400, _TOO_LARGE))
        return self._batch(asked, now) if call == "batch" else self._single(asked, call, now)

    def _single(self, asked: Asked, call: str, now: float) -> Verdict:
        body = _object(asked.body)
        if body is None:
            return Verdict(as_json(400, _NO_JSON))
        key = body.pop("writeKey", None)
        return self._accepted(asked, key, [{**body, "type": call}], now)

    def _batch(self, asked: Asked, now: float) -> Verdict:
        try:
            envelope = _BATCHES.decode(asked.body)
            calls = [_call(raw) for raw in envelope.batch]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return Verdict(as_json(400, _NO_JSON))
        if any(len(bytes(raw)) > self.limits.call_bytes for raw in envelope.batch):
            return Verdict(as_json(400, _TOO_LARGE))
        if len(calls) > self.limits.batch_calls:
            reason = f"a batch of {len(calls)} calls, of at most {self.limits.batch_calls}"
            return Verdict(_DONE, rejected=[Refusal(call, reason, BATCH_COUNT.name) for call in calls])
        shared = {"context": envelope.context, "integrations": envelope.integrations}
        merged = [{**call, **_merged(call, shared)} for call in calls]
        return self._accepted(asked, envelope.write_key, merged, now)

    def _accepted(self, asked: Asked, key: Any, calls: list[dict[str, Any]], now: float) -> Verdict:
        """
        Return what becomes of calls that can be read, which no answer tells.
        """
        if not self._knows(key, asked.headers.get("authorization", "")):
            return Verdict(_DONE, rejected=[Refusal(call, "unknown write key", UNKNOWN_KEY.name) for call in calls])
        found = [(call, self._refusal(call) or asked.refused(call)) for call in calls]
        taken = [_arrival(call, now) for call, refusal in found if refusal is None]
        return Verdict(_DONE, taken, [refusal for _, refusal in found if refusal is not None])

    def _knows(self, in_body: Any, authorization: str) -> bool:
        scheme, _, value = authorization.partition(" ")
        key = in_body
        if key is None and scheme.lower() == "basic":
            key = _user(value)
        return isinstance(key, str) and key != "" and (not self._write_keys or key in self._write_keys)

    def _refusal(self, call: dict[str, Any]) -> Refusal | None:
        for rule, reason in self._faults(call):
            return Refusal(call, reason, rule.name)
        return None

    def _faults(self, call: Mapping[str, Any]) -> Iterator[tuple[Rule, str]]:
        if call.get("type") not in CALLS:
            yield TYPE, "no type that is the name of a method"
        if not call.get("userId") and not call.get("anonymousId"):
            yield IDENTIFIER, "no_user_anon_id"
        if call.get("type") == "track" and not call.get("event"):
            yield EVENT_NAME, "a track call without event"
        if len(str(call.get("messageId") or "")) >= self.limits.id_characters:
            yield MESSAGE_ID, f"a messageId of {self.limits.id_characters} characters or more"


class _Batch(msgspec.Struct):
    batch: list[msgspec.Raw]
    write_key: Any = msgspec.field(name="writeKey", default=None)
    context: Any = None
    integrations: Any = None


_BATCHES = msgspec.json.Decoder(_Batch)


_CODES = {400: "invalid_request", 404: "not_found", 429: "too_many_requests"}
_DONE = as_json(200, {"success": True})
_NO_JSON = {"code": "invalid_request", "message": "malformed JSON"}
_TOO_LARGE = {"code": "invalid_request", "message": "exceeded payload limit"}
_TOO_MANY = {"code": "too_many_requests", "message": "rate limit exceeded"}


def _object(text: bytes) -> dict[str, Any] | None:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _call(raw: msgspec.Raw) -> dict[str, Any]:
    return msgspec.json.decode(raw, type=dict[str, Any])


def _merged(call: Mapping[str, Any], shared: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return the parts of a call that its batch has too; where both say something, the call does.
    """
    return {
        part: {**value, **own} if isinstance(own := call.get(part, {}), dict) else own
        for part, value in shared.items()
        if isinstance(value, dict)
    }


def _arrival(call: dict[str, Any], now: float) -> Arrival:
    given = call.get("messageId")
    arrived = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    record = {
        **call,
        "messageId": given or f"api-{uuid4()}",
        "timestamp": call.get("timestamp") or arrived,
        "receivedAt": arrived,
    }
    return Arrival(call["type"], record, str(given) if given else None)


def _goes_to(integrations: Mapping[str, Any], destination: str) -> bool:
    return bool(integrations.get(destination, integrations.get("All", True)))


def _user(basic: str) -> str | None:
    """
    Return the user of Basic authentication, where it has its colon.
    """
    try:
        user, colon, _ = base64.b64decode(basic, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return user if colon else None
