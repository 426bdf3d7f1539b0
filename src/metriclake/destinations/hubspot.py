"""
HubSpot: a company for each tenant, with the latest values as its properties, and custom events.

Companies are written by a unique property, and the answer is held against what was sent: a success may have written
nothing. Of events HubSpot says nothing at all, and an event that is sent twice is there twice.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

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
from metriclake.destinations.http import MOST_PAUSE_SECONDS, Answer, Http, Lost, scrubbed, seconds_of, unsuccessful
from metriclake.destinations.mapping import Mapped, Mapper, as_text, field_of
from metriclake.event import Measure, MetricEvent
from metriclake.pipeline.destination_specs import HubSpotCompaniesSpec, HubSpotEventsSpec, HubSpotSpec
from metriclake.pipeline.spec import duration

COMPANIES, EVENTS = "company", "event"
HOST = "https://api.hubapi.com"

MOST_COMPANIES = 100
MOST_EVENTS = 500
MOST_PROPERTIES = 50
MOST_CHARACTERS = 256
MOST_URL_CHARACTERS = 1024

_NAME = re.compile(r"[a-z][a-z0-9_]{0,49}")
_OTHER = re.compile(r"[^a-z0-9_]")
_LATER = frozenset({423, 477})
_UNFINISHED = frozenset({"PENDING", "PROCESSING", "CANCELED"})
_PASSING = frozenset({"RATE_LIMIT", "RATE_LIMITS", "INTERNAL_ERROR", "SERVICE_UNAVAILABLE", "TIMEOUT", "LOCKED"})
"""HubSpot lists no categories. Those of a multi-status that are no fault of the company; any other rejects it."""
_LONG = frozenset({"DAILY", "MONTHLY"})
_SECONDS = {"SECONDLY": 1.0, "TEN_SECONDLY_ROLLING": 10.0}
_LIMIT = "x-hubspot-ratelimit-"


class HubSpotDestination:
    """
    One account of HubSpot's.
    """

    def __init__(self, name: str, spec: HubSpotSpec, *, now: Callable[[], float] = time.time) -> None:
        """
        `now` is the time in seconds since 1970, for a `Retry-After` that is a date.
        """
        self.name = name
        self.account = f"hubspot {hashlib.sha256(spec.token.encode()).hexdigest()[:12]}"
        self._spec = spec
        self._companies = HubSpotCompaniesSpec() if spec.companies is None and spec.events is None else spec.companies
        self._mapper = Mapper.of(name, spec)
        self._now = now
        headers = {"Authorization": f"Bearer {spec.token}", "Content-Type": "application/json"}
        seconds = duration(spec.timeout).total_seconds()
        self._http = Http(spec.url or HOST, headers, seconds)
        self._once = Http(spec.url or HOST, headers, seconds, keep=False)

    def __repr__(self) -> str:
        """
        Return nothing that may be a secret.
        """
        return f"HubSpotDestination({self.name!r})"

    @property
    def capabilities(self) -> Mapping[str, Capabilities]:
        """
        Return what HubSpot says of batches, and the file of the account's rate.
        """
        companies = Capabilities(
            records=MOST_COMPANIES,
            rate=Rate(10, requests=self._spec.requests_per_ten_seconds),
            repeats=Repeats.HARMLESS,
            latest_only=True,
        )
        events = Capabilities(
            records=MOST_EVENTS,
            rate=Rate(1, requests=1_250),
            repeats=Repeats.DOUBLED,
            retry_unknown=self._spec.unknown == "retry",
        )
        found = {COMPANIES: companies} if self._companies is not None else {}
        return found if self._spec.events is None else {**found, EVENTS: events}

    @property
    def erasure(self) -> Erasure:
        """
        Return how HubSpot deletes.
        """
        return Erasure(
            possible=True,
            how="HubSpot archives the tenant's company with DELETE of /crm/objects/…/companies/{id}, to be undone for"
            " 90 days; contacts are deleted for good by their gdpr-delete",
        )

    def records(self, event: MetricEvent) -> Iterator[Record]:
        """
        Return what the event sets of its tenant's company, and the event itself.
        """
        mapped = self._mapper.mapped(event)
        if mapped is None:
            return
        if self._companies is not None:
            yield from self._company(event, mapped, self._companies)
        if self._spec.events is not None:
            yield from self._event(event, mapped, self._spec.events)

    def deliver(self, batch: Batch) -> Receipt:
        """
        Send a batch.
        """
        if batch.kind == COMPANIES:
            return self._upsert(batch)
        wrong = {index: fate for index, record in enumerate(batch.records) if (fate := event_fault(record)) is not None}
        return Receipt.around(batch, wrong, self._send)

    def close(self) -> None:
        """
        Close the connections.
        """
        self._http.close()
        self._once.close()

    def _company(self, event: MetricEvent, mapped: Mapped, spec: HubSpotCompaniesSpec) -> Iterator[Record]:
        chosen: dict[str, Measure] = mapped.properties
        if self._spec.metrics is None or self._spec.metrics[mapped.metric].properties is None:
            measures = ((name, value) for name, value in event.data.items() if name != "event_time")
            chosen = {f"{own_name(mapped.metric)}_{own_name(name)}": value for name, value in measures}
        if not chosen:
            return
        body = {
            "idProperty": spec.key,
            "id": mapped.tenant,
            "properties": {name: as_text(value) for name, value in chosen.items()},
        }
        yield Record(
            self._mapper.id_of(mapped, COMPANIES),
            mapped.tenant,
            mapped.metric,
            mapped.time,
            msgspec.json.encode(body),
            kind=COMPANIES,
            slot=f"{COMPANIES} {mapped.tenant} {mapped.metric}",
        )

    def _event(self, event: MetricEvent, mapped: Mapped, spec: HubSpotEventsSpec) -> Iterator[Record]:
        email = None if spec.email is None else field_of(event, spec.email)
        if email is None and spec.match is None:
            return
        properties = {own_name(name): as_text(value) for name, value in mapped.properties.items()}
        if spec.match is not None:
            properties[spec.match] = mapped.tenant
        own = self._mapper.id_of(mapped, EVENTS)
        body = {
            "eventName": f"pe{spec.hub_id}_{own_name(mapped.name)}",
            "occurredAt": mapped.event_time,
            "uuid": own,
            **({} if email is None else {"email": as_text(email)}),
            "properties": properties,
        }
        yield Record(own, mapped.tenant, mapped.metric, mapped.time, msgspec.json.encode(body), kind=EVENTS)

    def _upsert(self, batch: Batch) -> Receipt:
        inputs = merged(batch.records)
        body = {"inputs": [each.sent(index) for index, each in enumerate(inputs)]}
        answer = self._http.post(self._path("crm", "objects", "companies/batch/upsert"), msgspec.json.encode(body))
        if isinstance(answer, Lost):
            return answer.receipt(batch, self._http.host)
        if answer.status not in (200, 207):
            return self._unsuccessful(batch, answer)
        told = answer.json()
        if not answer.whole or not isinstance(told, dict):
            detail = f"{self._http.host} answered {answer.status} without saying what is written"
            return Receipt.all(batch, Fate(Verdict.UNKNOWN, "no-results", detail), pause=_used_up(answer))
        fates: list[Fate] = [DELIVERED] * len(batch.records)
        for each, fate in zip(inputs, written(inputs, told, batch), strict=True):
            for index in each.of:
                fates[index] = fate
        return Receipt(fates, _used_up(answer))

    def _send(self, batch: Batch) -> Receipt:
        body = b'{"inputs":[' + b",".join(record.body for record in batch.records) + b"]}"
        answer = self._once.post(self._path("events", "send", "batch"), body)
        if isinstance(answer, Lost):
            return answer.receipt(batch, self._once.host)
        if answer.ok:
            return Receipt.all(batch, DELIVERED, pause=_used_up(answer))
        if answer.status == 504:
            detail = f"{self._once.host} answered 504: what is behind it did not, and may have taken the request"
            return Receipt.all(batch, Fate(Verdict.UNKNOWN, "504", detail))
        return self._unsuccessful(batch, answer)

    def _path(self, api: str, part: str, rest: str) -> str:
        """
        Return a path in the form of its version: with a date it stands after the part, and with v3 before it.
        """
        version = self._spec.version
        if version == "v3":
            return f"/{api}/v3/{part}/{rest}"
        return f"/{api}/{part}/{version}/{rest}" if api == "crm" else f"/{api}/{version}/{part}/{rest}"

    def _unsuccessful(self, batch: Batch, answer: Answer) -> Receipt:
        said = answer.json()
        told = said if isinstance(said, dict) else {}
        words = ": ".join(
            text for text in (str(told.get("category") or ""), scrubbed(told.get("message"), batch.records)) if text
        )
        receipt = unsuccessful(batch, answer, self._http.host, self._now, said=words, later=_LATER)
        if answer.status != 429 or receipt.pause is not None:
            return receipt
        return Receipt(receipt.fates, _pause(told, answer))


@dataclass(slots=True)
class Input:
    """
    One company of a batch: what is set of it, and the places of the records that say so.
    """

    id: str
    key: str
    properties: dict[str, str] = field(repr=False)
    of: list[int]

    def sent(self, number: int) -> dict[str, Any]:
        """
        Return the input as it is sent, with a number by which an error names it.
        """
        return {
            "idProperty": self.key,
            "id": self.id,
            "objectWriteTraceId": str(number),
            "properties": self.properties,
        }


class _Company(msgspec.Struct):
    key: str = msgspec.field(name="idProperty")
    id: str
    properties: dict[str, str]


class _Event(msgspec.Struct):
    properties: dict[str, str]


_COMPANIES = msgspec.json.Decoder(_Company)
_EVENTS = msgspec.json.Decoder(_Event)


def own_name(name: str) -> str:
    """
    Return a name as HubSpot's own are: small letters, digits and _, beginning with a letter.
    """
    plain = _OTHER.sub("_", name.lower())
    return plain if plain[:1].isalpha() else f"n_{plain.lstrip('_')}"


def merged(records: Sequence[Record]) -> list[Input]:
    """
    Return one input for each company, since an id may stand in a batch once; of one property the newest value stays.
    """
    found: dict[str, Input] = {}
    for index in sorted(range(len(records)), key=lambda index: (records[index].time, index)):
        company = _COMPANIES.decode(records[index].body)
        known = found.setdefault(company.id, Input(company.id, company.key, {}, []))
        known.properties.update(company.properties)
        known.of.append(index)
    return list(found.values())


def written(inputs: Sequence[Input], told: Mapping[str, Any], batch: Batch) -> list[Fate]:
    """
    Return what became of each input: written only if a result names it; an error names it, or else some.

    What is not written may be at fault, and is refused, to be looked at alone. Where the answer says that the reason
    passes, or that HubSpot is not done with the batch, it is tried again.
    """
    there = {_number(result, inputs) for result in _dicts(told.get("results"))}
    fates: dict[int, Fate] = {}
    silent, words = Verdict.REFUSED, "HubSpot answered with a success that does not name it"
    if str(told.get("status") or "COMPLETE") in _UNFINISHED:
        silent, words = Verdict.RETRY, f"HubSpot is not done with the batch: {told['status']}"
    for error in _dicts(told.get("errors")):
        context = error.get("context")
        numbers = context.get("objectWriteTraceId") if isinstance(context, dict) else None
        reason = str(error.get("category") or "error")[:60]
        verdict = Verdict.RETRY if reason in _PASSING else Verdict.REJECTED
        detail = scrubbed(error.get("message"), batch.records)
        named = [int(each) for each in numbers or () if str(each).isdecimal() and int(each) < len(inputs)]
        fates.update(dict.fromkeys(named, Fate(verdict, reason, detail)))
        if not named:
            silent = Verdict.RETRY if verdict is Verdict.RETRY else silent
            words = f"{words}, and with an error that names none: {reason} {detail}".rstrip()
    other = Fate(silent, "not-written", words)
    return [fates.get(number, DELIVERED if number in there else other) for number in range(len(inputs))]


def event_fault(record: Record) -> Fate | None:
    """
    Return why an event would make HubSpot refuse its whole batch.
    """
    properties = _EVENTS.decode(record.body).properties
    if len(properties) > MOST_PROPERTIES:
        detail = f"{len(properties)} properties, of at most {MOST_PROPERTIES}: name those that go there"
        return Fate(Verdict.REJECTED, "too-many-properties", detail)
    for name, value in properties.items():
        if not _NAME.fullmatch(name):
            detail = f"the property {name[:60]} has more than 50 characters, or others than a-z, 0-9 and _"
            return Fate(Verdict.REJECTED, "property-name", detail)
        most = MOST_URL_CHARACTERS if name.endswith(("url", "referrer")) else MOST_CHARACTERS
        if len(value) > most:
            return Fate(Verdict.REJECTED, "value-too-long", f"the property {name} has more than {most} characters")
    return None


def _number(result: Mapping[str, Any], inputs: Sequence[Input]) -> int | None:
    """
    Return which input a result is of: by its number, or by the value of the unique property.
    """
    trace = str(result.get("objectWriteTraceId") or "")
    if trace.isdecimal():
        return int(trace)
    properties = result.get("properties")
    if isinstance(properties, dict):
        return next((number for number, each in enumerate(inputs) if properties.get(each.key) == each.id), None)
    return None


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _pause(told: Mapping[str, Any], answer: Answer) -> float:
    """
    Return how long to wait after a 429: until the window is over, or for a day's limit as long as is waited at most.
    """
    policy = str(told.get("policyName") or "")
    if policy in _LONG or answer.headers.get(f"{_LIMIT}daily-remaining") == "0":
        return MOST_PAUSE_SECONDS
    return _SECONDS[policy] if policy in _SECONDS else _window(answer)


def _used_up(answer: Answer) -> float | None:
    """
    Return how long to wait after a success that was the last of a window, or of the day.
    """
    if answer.headers.get(f"{_LIMIT}daily-remaining") == "0":
        return MOST_PAUSE_SECONDS
    return _window(answer) if answer.headers.get(f"{_LIMIT}remaining") == "0" else None


def _window(answer: Answer) -> float:
    milliseconds = seconds_of(answer.headers.get(f"{_LIMIT}interval-milliseconds", ""))
    return 10.0 if milliseconds is None else min(milliseconds / 1000, MOST_PAUSE_SECONDS)
