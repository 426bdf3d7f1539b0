"""
Segment: a track call for each metric event, and a group call for a tenant whose attributes changed.

Segment says 200 to what it then leaves out, so what it would leave out is looked for before it is sent. A messageId is
known again for at least a day, in every source of every workspace: it is of the write key too, unless there is a
namespace.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

import msgspec

from metriclake._version import __version__
from metriclake.destinations.attributes import Sent
from metriclake.destinations.destination import (
    DELIVERED,
    Batch,
    Capabilities,
    Erasure,
    Fate,
    Rate,
    Receipt,
    Record,
    Repeats,
    Verdict,
)
from metriclake.destinations.http import Answer, Http, Lost, pause_of, scrubbed, seconds_of, unsuccessful
from metriclake.destinations.mapping import Mapped, Mapper, as_text, attributes_of, field_of
from metriclake.event import MetricEvent
from metriclake.pipeline.destination_specs import SegmentSpec
from metriclake.pipeline.spec import duration

TRACK, GROUP = "track", "group"
HOSTS = {"us": "https://api.segment.io", "eu": "https://events.eu1.segmentapis.com"}

MOST_CALLS = 2_500
MOST_CALL_BYTES = 32 * 1024
MOST_BATCH_BYTES = 500_000
ID_CHARACTERS = 100

_ENVELOPE_BYTES = 8_192
_LATER = frozenset({410, 460})
_CALLS = Capabilities(
    records=MOST_CALLS,
    bytes=MOST_BATCH_BYTES - _ENVELOPE_BYTES,
    record_bytes=MOST_CALL_BYTES,
    rate=Rate(1, requests=1_000),
    repeats=Repeats.FORGOTTEN,
    remembers=timedelta(hours=24),
    concurrency=4,
)
_GROUPS = Capabilities(
    records=MOST_CALLS,
    bytes=MOST_BATCH_BYTES - _ENVELOPE_BYTES,
    record_bytes=MOST_CALL_BYTES,
    rate=Rate(1, requests=1_000),
    repeats=Repeats.HARMLESS,
    latest_only=True,
)


class SegmentDestination:
    """
    One source of Segment's.
    """

    def __init__(self, name: str, spec: SegmentSpec, *, now: Callable[[], float] = time.time) -> None:
        """
        `now` is the time in seconds since 1970, for a `Retry-After` that is a date.
        """
        key = hashlib.sha256(spec.write_key.encode()).hexdigest()[:12]
        self.name = name
        self.account = f"segment {key}"
        self._spec = spec
        self._mapper = Mapper.of(name, spec, key)
        self._envelope = _envelope(spec.integrations)
        self._now = now
        self._sent = Sent()
        user = base64.b64encode(f"{spec.write_key}:".encode()).decode()
        headers = {"Authorization": f"Basic {user}", "Content-Type": "application/json"}
        self._http = Http(spec.url or HOSTS[spec.region], headers, duration(spec.timeout).total_seconds())

    def __repr__(self) -> str:
        """
        Return nothing that may be a secret.
        """
        return f"SegmentDestination({self.name!r})"

    @property
    def capabilities(self) -> Mapping[str, Capabilities]:
        """
        Return what track and group calls may be.
        """
        return {TRACK: _CALLS, GROUP: _GROUPS} if self._spec.groups else {TRACK: _CALLS}

    @property
    def erasure(self) -> Erasure:
        """
        Return how Segment deletes.
        """
        if self._spec.user is None:
            how = "Segment deletes by userId only, and these have none: they stay until the workspace's retention"
            return Erasure(possible=False, how=f"{how} ends")
        return Erasure(
            possible=True,
            how="Segment deletes by userId, with a regulation of its Public API (SUPPRESS_WITH_DELETE, and a token of"
            " the workspace's); calls without a userId stay",
        )

    def records(self, event: MetricEvent) -> Iterator[Record]:
        """
        Return the event's track call, and a group call with what is known of its tenant.
        """
        mapped = self._mapper.mapped(event)
        if mapped is None:
            return
        own = self._mapper.id_of(mapped, TRACK)
        call = {
            "type": TRACK,
            "messageId": own,
            "timestamp": mapped.event_time,
            **self._who(event, mapped),
            "event": mapped.name,
            "properties": mapped.properties,
            "context": {"groupId": mapped.tenant},
        }
        yield Record(own, mapped.tenant, mapped.metric, mapped.time, msgspec.json.encode(call), kind=TRACK)
        traits = attributes_of(event) if self._spec.groups else {}
        if traits:
            yield self._group(mapped, traits)

    def deliver(self, batch: Batch) -> Receipt:
        """
        Send a batch, but for what Segment would leave out, and for attributes that are there.
        """
        known = {index: fate for index, record in enumerate(batch.records) if (fate := self._known(record)) is not None}
        return Receipt.around(batch, known, self._post)

    def close(self) -> None:
        """
        Close the connections.
        """
        self._http.close()

    def _known(self, record: Record) -> Fate | None:
        """
        Return what becomes of a call that is not sent.
        """
        fault = _fault(record)
        if fault is None and record.kind == GROUP and self._sent.has(record.slot or "", _traits(record)):
            return DELIVERED
        return fault

    def _who(self, event: MetricEvent, mapped: Mapped) -> dict[str, str]:
        user = None if self._spec.user is None else field_of(event, self._spec.user)
        if user is None or user == "":
            return {"anonymousId": _nobody(mapped.tenant)}
        return {"userId": as_text(user)}

    def _group(self, mapped: Mapped, traits: Mapping[str, str]) -> Record:
        own = self._mapper.id_of(mapped, GROUP)
        call = {
            "type": GROUP,
            "messageId": own,
            "timestamp": mapped.event_time,
            "anonymousId": _nobody(mapped.tenant),
            "groupId": mapped.tenant,
            "traits": dict(sorted(traits.items())),
        }
        return Record(
            own,
            mapped.tenant,
            mapped.metric,
            mapped.time,
            msgspec.json.encode(call),
            kind=GROUP,
            slot=f"{GROUP} {mapped.tenant}",
            counted=False,
        )

    def _post(self, batch: Batch) -> Receipt:
        body = self._envelope[0] + b",".join(record.body for record in batch.records) + self._envelope[1]
        answer = self._http.post("/v1/batch", body, {"X-Retry-Count": str(batch.attempt - 1)})
        taken = not isinstance(answer, Lost) and answer.ok
        for record in batch.records if batch.kind == GROUP else ():
            if taken:
                self._sent.keep(record.slot or "", _traits(record))
            else:
                self._sent.forget(record.slot or "")
        if isinstance(answer, Lost):
            return answer.receipt(batch, self._http.host)
        if answer.ok:
            return Receipt.all(batch, DELIVERED, pause=pause_of(answer.headers, self._now()))
        receipt = unsuccessful(batch, answer, self._http.host, self._now, said=_said(answer, batch), later=_LATER)
        pause = _pause(answer, receipt.pause)
        return Receipt(receipt.fates, pause, receipt.blocked and (answer.status != 429 or pause is None))


class _Call(msgspec.Struct):
    type: str
    message_id: str = msgspec.field(name="messageId", default="")
    event: str = ""
    user_id: str = msgspec.field(name="userId", default="")
    anonymous_id: str = msgspec.field(name="anonymousId", default="")
    traits: msgspec.Raw = msgspec.Raw(b"{}")


_BODIES = msgspec.json.Decoder(_Call)


def _envelope(integrations: Mapping[str, bool]) -> tuple[bytes, bytes]:
    """
    Return what stands before and after the calls: said once, and meant for each of them.
    """
    shared: dict[str, Any] = {"context": {"library": {"name": "metriclake", "version": __version__}}}
    if integrations:
        shared["integrations"] = integrations
    return b'{"batch":[', b"]," + msgspec.json.encode(shared)[1:]


def _nobody(tenant: str) -> str:
    """
    Return the anonymousId of what no user did: one for each tenant, since Segment counts them.
    """
    return f"tenant:{tenant}"


def _traits(record: Record) -> bytes:
    return bytes(_BODIES.decode(record.body).traits)


def _fault(record: Record) -> Fate | None:
    """
    Return why Segment would not accept a call, to which it would say 200; or refuse the whole batch for it.
    """
    if len(record.body) > MOST_CALL_BYTES:
        return Fate(Verdict.REJECTED, "too-large", f"a call has {len(record.body)} bytes, of at most {MOST_CALL_BYTES}")
    try:
        call = _BODIES.decode(record.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Fate(Verdict.REJECTED, "malformed", "it is no call of Segment's")
    if not call.message_id or len(call.message_id) >= ID_CHARACTERS:
        return Fate(Verdict.REJECTED, "message-id", f"a messageId has less than {ID_CHARACTERS} characters")
    if not call.user_id and not call.anonymous_id:
        return Fate(Verdict.REJECTED, "no-user", "a call needs a userId or an anonymousId")
    if call.type == TRACK and not call.event:
        return Fate(Verdict.REJECTED, "no-event-name", "a track call needs the name of its event")
    return None


def _said(answer: Answer, batch: Batch) -> str:
    body = answer.json()
    return scrubbed(body.get("message"), batch.records) if isinstance(body, dict) else ""


def _pause(answer: Answer, pause: float | None) -> float | None:
    """
    Return how long to wait after a 429 that has `X-RateLimit-Reset` alone.
    """
    if pause is not None or answer.status != 429:
        return pause
    return seconds_of(answer.headers.get("x-ratelimit-reset", ""))
