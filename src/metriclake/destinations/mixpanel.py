"""
Mixpanel: metric events by /import, and tenants' attributes as group profiles.

A 400 of /import is mostly a success: it names what failed, and the rest is there. An event is one with another that has
the same name, time, distinct_id and $insert_id, so all four are made of the metric event alone.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

import msgspec

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
from metriclake.destinations.http import Answer, Http, Lost, scrubbed, unsuccessful
from metriclake.destinations.mapping import Mapped, Mapper, as_text, attributes_of, field_of
from metriclake.event import MetricEvent
from metriclake.pipeline.destination_specs import MixpanelSpec
from metriclake.pipeline.spec import duration, size

EVENTS, PROFILES = "import", "group"
HOSTS = {
    "us": "https://api.mixpanel.com",
    "eu": "https://api-eu.mixpanel.com",
    "in": "https://api-in.mixpanel.com",
}

MOST_PROPERTIES = 255
MOST_CHARACTERS = 255
MOST_PROFILES = 2_000

_PROFILE_BYTES = 1024 * 1024
_ENVELOPE_BYTES = 8_192
_RATE = Rate(60, records=1_800_000)
_FIRST_SECONDS = 365 * 24 * 3600
_AHEAD_SECONDS = 3600
_MICROSECONDS = 1_000_000
_COMPRESSION = 1
_NOBODY = frozenset(
    {"00000000-0000-0000-0000-000000000000", "anon", "anonymous", "nil", "none", "null", "n/a", "na", "undefined",
     "unknown", "<nil>", "0", "-1", "true", "false", "[]", "{}"}
)  # fmt: skip
"""What Mixpanel takes for no user at all, in small letters: it refuses events with it, and takes those with none."""


class MixpanelDestination:
    """
    One project of Mixpanel's.
    """

    def __init__(self, name: str, spec: MixpanelSpec, *, now: Callable[[], float] = time.time) -> None:
        """
        `now` is the time in seconds since 1970: an event may not lie far ahead of it.
        """
        account = spec.service_account
        project = (
            hashlib.sha256((spec.token or "").encode()).hexdigest()[:12] if account is None else account.project_id
        )
        self.name = name
        self.account = f"mixpanel {project}"
        self._spec = spec
        self._mapper = Mapper.of(name, spec)
        self._now = now
        self._sent = Sent()
        self._path = "/import?strict=1" + ("" if account is None else f"&project_id={quote(account.project_id)}")
        user = f"{spec.token}:" if account is None else f"{account.username}:{account.secret}"
        authorization = f"Basic {base64.b64encode(user.encode()).decode()}"
        self._keyed = {"Authorization": authorization, "Content-Encoding": "gzip"}
        headers = {"Content-Type": "application/json"}
        self._http = Http(spec.url or HOSTS[spec.region], headers, duration(spec.timeout).total_seconds())

    def __repr__(self) -> str:
        """
        Return nothing that may be a secret.
        """
        return f"MixpanelDestination({self.name!r})"

    @property
    def capabilities(self) -> Mapping[str, Capabilities]:
        """
        Return what the file says of requests, and what Mixpanel says of accounts.
        """
        most, each = size(self._spec.bytes), size(self._spec.event_bytes)
        events = Capabilities(
            records=self._spec.events,
            bytes=most - _ENVELOPE_BYTES,
            record_bytes=min(each, most - _ENVELOPE_BYTES) - 1,
            rate=_RATE,
            repeats=Repeats.HARMLESS,
            concurrency=4,
        )
        profiles = Capabilities(
            records=MOST_PROFILES,
            bytes=min(most, _PROFILE_BYTES) - _ENVELOPE_BYTES,
            record_bytes=min(most, _PROFILE_BYTES) - _ENVELOPE_BYTES,
            repeats=Repeats.HARMLESS,
            latest_only=True,
        )
        return {EVENTS: events, PROFILES: profiles} if self._profiles else {EVENTS: events}

    @property
    def erasure(self) -> Erasure:
        """
        Return how Mixpanel deletes.
        """
        if self._spec.distinct_id is None:
            return Erasure(
                possible=False,
                how="Mixpanel deletes events by distinct_id only, and these have none: they stay until the project's"
                " retention ends; the tenant's profile goes by /groups#group-delete",
            )
        return Erasure(
            possible=True,
            how="Mixpanel deletes by distinct_id, with POST /api/app/data-deletions/v3.0 and an owner's GDPR token,"
            " and the tenant's profile by /groups#group-delete; events without a distinct_id stay",
        )

    def records(self, event: MetricEvent) -> Iterator[Record]:
        """
        Return the event, and a profile with what is known of its tenant.
        """
        mapped = self._mapper.mapped(event)
        if mapped is None:
            return
        own = self._mapper.id_of(mapped, EVENTS)
        properties = {
            **mapped.properties,
            self._spec.group_key: mapped.tenant,
            "time": mapped.time // 1000,
            "distinct_id": self._who(event),
            "$insert_id": own,
            "ip": 0,
        }
        body = msgspec.json.encode({"event": mapped.name, "properties": properties})
        yield Record(own, mapped.tenant, mapped.metric, mapped.time, body, kind=EVENTS)
        attributes = attributes_of(event) if self._profiles else {}
        if attributes:
            yield self._profile(mapped, attributes)

    def deliver(self, batch: Batch) -> Receipt:
        """
        Send a batch, but for what Mixpanel would refuse or cut, and for attributes that are there.
        """
        profiles = batch.kind == PROFILES
        judge, deliver = (self._unchanged, self._set) if profiles else (self._fault, self._import)
        known = {index: fate for index, record in enumerate(batch.records) if (fate := judge(record)) is not None}
        return Receipt.around(batch, known, deliver)

    def close(self) -> None:
        """
        Close the connections.
        """
        self._http.close()

    @property
    def _profiles(self) -> bool:
        return self._spec.profiles and self._spec.token is not None

    def _who(self, event: MetricEvent) -> str:
        user = None if self._spec.distinct_id is None else field_of(event, self._spec.distinct_id)
        text = "" if user is None else as_text(user)
        return "" if text.lower() in _NOBODY else text

    def _profile(self, mapped: Mapped, attributes: Mapping[str, str]) -> Record:
        update = {
            "$group_key": self._spec.group_key,
            "$group_id": mapped.tenant,
            "$set": dict(sorted(attributes.items())),
        }
        return Record(
            self._mapper.id_of(mapped, PROFILES),
            mapped.tenant,
            mapped.metric,
            mapped.time,
            msgspec.json.encode(update),
            kind=PROFILES,
            slot=f"{PROFILES} {mapped.tenant}",
            counted=False,
        )

    def _fault(self, record: Record) -> Fate | None:
        """
        Return why Mixpanel would refuse an event, or what it would cut that must not be.
        """
        seconds = record.time / _MICROSECONDS
        if seconds < _FIRST_SECONDS:
            return Fate(Verdict.REJECTED, "time-too-old", "Mixpanel takes events since 1971-01-01")
        if seconds > self._now() + _AHEAD_SECONDS:
            return Fate(Verdict.REJECTED, "time-ahead", "Mixpanel takes events that lie at most an hour ahead")
        if len(record.body) >= size(self._spec.event_bytes):
            return Fate(Verdict.REJECTED, "too-large", f"an event has less than {self._spec.event_bytes}")
        properties = msgspec.json.decode(record.body)["properties"]
        if len(properties) >= MOST_PROPERTIES:
            detail = f"{len(properties)} properties, of less than {MOST_PROPERTIES}: name those that go there"
            return Fate(Verdict.REJECTED, "too-many-properties", detail)
        if len(properties["distinct_id"]) > MOST_CHARACTERS:
            detail = f"it would be cut after {MOST_CHARACTERS} characters, and be another user's"
            return Fate(Verdict.REJECTED, "distinct-id-too-long", detail)
        return None

    def _unchanged(self, record: Record) -> Fate | None:
        return DELIVERED if self._sent.has(record.slot or "", record.body) else None

    def _import(self, batch: Batch) -> Receipt:
        events = b",".join(record.body for record in batch.records)
        body = gzip.compress(b"[" + events + b"]", _COMPRESSION, mtime=0)
        answer = self._http.post(self._path, body, self._keyed)
        if isinstance(answer, Lost):
            return answer.receipt(batch, self._http.host)
        said = answer.json()
        if answer.status == 200:
            return self._imported(batch, answer, said)
        if answer.status == 400 and isinstance(said, dict) and said.get("failed_records"):
            return self._partly(batch, said)
        words = scrubbed(said.get("error"), batch.records) if isinstance(said, dict) else ""
        return unsuccessful(batch, answer, self._http.host, self._now, said=words)

    def _imported(self, batch: Batch, answer: Answer, said: Any) -> Receipt:
        """
        Return what a 200 means: that all are there, if it says so.
        """
        count = said.get("num_records_imported") if isinstance(said, dict) else None
        if not answer.whole or count is None:
            detail = f"{self._http.host} answered 200 without saying how many are imported"
            return Receipt.all(batch, Fate(Verdict.UNKNOWN, "uncounted", detail))
        if count != len(batch.records):
            detail = f"{self._http.host} imported {as_text(count)} of {len(batch.records)}, without saying which"
            return Receipt.all(batch, Fate(Verdict.UNKNOWN, "imported-fewer", detail))
        return Receipt.all(batch, DELIVERED)

    def _partly(self, batch: Batch, said: Mapping[str, Any]) -> Receipt:
        """
        Return what a 400 means that names the events that failed: by their place, if it has their $insert_id too.
        """
        failed: dict[int, Fate] = {}
        places = {record.id: index for index, record in enumerate(batch.records)}
        for each in said["failed_records"]:
            index = _place(each, places, batch)
            if index is None:
                detail = "an event failed that is none of this request's"
                return Receipt.all(batch, Fate(Verdict.REFUSED, "400", detail))
            reason = scrubbed(each.get("field"), [batch.records[index]]) or "failed"
            failed[index] = Fate(Verdict.REJECTED, reason, scrubbed(each.get("message"), [batch.records[index]]))
        imported = said.get("num_records_imported")
        if imported is not None and imported != len(batch.records) - len(failed):
            detail = f"imported {as_text(imported)}, failed {len(failed)}, of {len(batch.records)}"
            unsure = Fate(Verdict.UNKNOWN, "imported-fewer", detail)
            return Receipt([failed.get(index, unsure) for index in range(len(batch.records))])
        return Receipt.but(batch, failed)

    def _set(self, batch: Batch) -> Receipt:
        token = b'{"$token":' + msgspec.json.encode(self._spec.token) + b","
        updates = b",".join(token + record.body[1:] for record in batch.records)
        answer = self._http.post("/groups?verbose=1", b"[" + updates + b"]")
        receipt = self._answered(batch, answer)
        for record, fate in zip(batch.records, receipt.fates, strict=True):
            if fate.verdict is Verdict.DELIVERED:
                self._sent.keep(record.slot or "", record.body)
            else:
                self._sent.forget(record.slot or "")
        return receipt

    def _answered(self, batch: Batch, answer: Answer | Lost) -> Receipt:
        """
        Return what an answer to profiles means: it says 1 where any of them is valid.
        """
        if isinstance(answer, Lost):
            return answer.receipt(batch, self._http.host)
        said = answer.json()
        words = scrubbed(said.get("error"), batch.records) if isinstance(said, dict) else ""
        if not answer.ok:
            return unsuccessful(batch, answer, self._http.host, self._now, said=words)
        if (said.get("status") if isinstance(said, dict) else said) == 1:
            return Receipt.all(batch, DELIVERED)
        return Receipt.all(batch, Fate(Verdict.REFUSED, "invalid-profile", words or "Mixpanel answered 0"))


def _place(failed: Any, places: Mapping[str, int], batch: Batch) -> int | None:
    """
    Return the place of a failed event: its $insert_id decides, and its index where it has none.
    """
    if not isinstance(failed, dict):
        return None
    own = failed.get("$insert_id") or failed.get("insert_id")
    if own:
        return places.get(str(own))
    index = failed.get("index")
    return index if type(index) is int and 0 <= index < len(batch.records) else None
