"""
A twin of HubSpot: custom events, records of companies and others by a unique property, and properties.

Of events it says 204 and nothing else. Of records it says 200, 207 or 400, and sometimes 200 to what wrote nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import msgspec

from metriclake.testing.clock import Clock
from metriclake.testing.hubspot_events import EVENT_RULES, EventDefinition, fault, landed
from metriclake.testing.hubspot_objects import OBJECT_RULES, Objects, repeated, traced
from metriclake.testing.hubspot_wire import Denied, complete, described, error, failing, limited
from metriclake.testing.loopback import Answer
from metriclake.testing.rates import Quota, Rate
from metriclake.testing.record import Arrival, Keep, Refusal, Rule
from metriclake.testing.twin import Asked, Twin, Verdict, as_json

_GUIDE = "HubSpot, Send custom event occurrences, 2026-03-30"
_USAGE = "HubSpot API 2026-03, API usage guidelines"

PATHS = Rule(
    "hubspot-paths",
    "each path has a form with a version, /events/v3/send, and one with a date, /events/2026-03/send",
    "HubSpot API 2026-03, and its legacy pages",
)
ELSEWHERE = Rule("hubspot-other-paths", "any other path or method is answered with 404")
AUTHENTICATION = Rule(
    "hubspot-authentication",
    "a bearer token; 401 without one that is known",
    "HubSpot API 2026-03, Error handling: 401",
)
API_KEY = Rule(
    "hubspot-api-key", "hapikey in the query is worth nothing any more", "HubSpot, API key sunset, 2022-11-30"
)
SEND = Rule(
    "hubspot-send",
    "POST /events/v3/send and /send/batch: 204 without a body, whatever becomes of the events",
    f"{_GUIDE}; HubSpot API 2026-03, Send a batch of event occurrences",
)
MOST_EVENTS = Rule("hubspot-most-events", "at most 500 events in a batch", f"{_GUIDE}: Limits")
MOST_EVENTS_STATUS = Rule("hubspot-most-events-status", "more than 500 events: 400, and none is there")
EVENT_RATE = Rule("hubspot-event-rate", "events have a rate of their own: 1,250 requests a second", f"{_GUIDE}: Limits")
MONTH = Rule("hubspot-month", "at most 30 million events a month", f"{_GUIDE}: Limits")
MONTH_STATUS = Rule("hubspot-month-status", "beyond them 429, and none of the batch is there; the month is UTC's")
RATE = Rule(
    "hubspot-rate",
    "other requests have 190 in 10 seconds, 100 or 250 with other subscriptions: then 429, TEN_SECONDLY_ROLLING",
    f"{_USAGE}: Rate limits",
)
DAY = Rule("hubspot-day", "and so many a day: then 429, policyName DAILY", f"{_USAGE}: Rate limits")
DAY_ZONE = Rule("hubspot-day-zone", "the day is UTC's; the account has a time zone of its own")
HEADERS = Rule(
    "hubspot-headers",
    "answers have X-HubSpot-RateLimit-Max, -Remaining, -Interval-Milliseconds, -Daily and -Daily-Remaining",
    f"{_USAGE}: Response headers",
)
NO_RETRY_AFTER = Rule("hubspot-no-retry-after", "a 429 has no Retry-After, nor have events those headers")
ERROR_BODY = Rule(
    "hubspot-error-body",
    "an error has status, message, category and correlationId",
    "HubSpot API 2026-03, Error handling",
)
UNREADABLE = Rule("hubspot-unreadable", "400 where the body is no object of JSON")
GZIP = Rule("hubspot-gzip", "a compressed body is refused with 415: that it would be read is said nowhere")

_ROUTES = tuple(
    (method, re.compile(path))
    for method, path in (
        ("POST", r"/events/(?:v3|\d{4}-\d{2})/send(?P<batch>/batch)?"),
        ("POST", r"/crm/(?:v3/objects|objects/\d{4}-\d{2})/(?P<kind>[\w-]+)/batch/upsert"),
        ("POST", r"/crm/(?:v3/properties|properties/\d{4}-\d{2})/(?P<kind>[\w-]+)"),
        ("GET", r"/crm/(?:v3/properties|properties/\d{4}-\d{2})/(?P<kind>[\w-]+)/(?P<name>\w+)"),
    )
)


@dataclass(frozen=True, slots=True)
class HubSpotLimits:
    """
    HubSpot's limits, of a private app with Professional or Enterprise; 0 stands for no limit of a rate.
    """

    requests_per_ten_seconds: int = 190
    requests_per_day: int = 625_000
    event_requests_per_second: int = 1_250
    events_per_month: int = 30_000_000
    events: int = 500
    objects: int = 100


class HubSpotTwin(Twin):
    """
    `https://api.hubapi.com`, with one account.

    A record of `taken` is an event, with its time and record, or a record of the CRM as it was written. `objects` has
    what there is of them, by type.
    """

    RULES: ClassVar = (
        PATHS, ELSEWHERE, AUTHENTICATION, API_KEY, SEND, MOST_EVENTS, MOST_EVENTS_STATUS, *EVENT_RULES, *OBJECT_RULES,
        EVENT_RATE, MONTH, MONTH_STATUS, RATE, DAY, DAY_ZONE, HEADERS, NO_RETRY_AFTER, ERROR_BODY, UNREADABLE, GZIP,
    )  # fmt: skip
    compressions: ClassVar = frozenset()

    def __init__(
        self,
        tokens: Collection[str] = (),
        *,
        hub_id: int = 1234567,
        limits: HubSpotLimits | None = None,
        clock: Clock | None = None,
        keep: Keep | None = None,
    ) -> None:
        """
        Know these tokens, or any where there are none.
        """
        super().__init__(clock, keep)
        self.hub_id = hub_id
        self.limits = limits or HubSpotLimits()
        self._tokens = frozenset(tokens)
        self._definitions: dict[str, EventDefinition] = {}
        self._objects = Objects()
        self._rate = Rate(self.limits.requests_per_ten_seconds, 10)
        self._event_rate = Rate(self.limits.event_requests_per_second, 1)
        self._day = Quota(self.limits.requests_per_day, "%Y-%m-%d")
        self._month = Quota(self.limits.events_per_month, "%Y-%m")

    def define(self, definition: EventDefinition) -> str:
        """
        Define a custom event, and return the name by which it is sent.
        """
        name = f"pe{self.hub_id}_{definition.name}"
        with self._changed:
            self._definitions[name] = replace(definition, name=name)
        return name

    def create_property(self, object_type: str, name: str, *, unique: bool = False) -> None:
        """
        Create a property of companies, contacts or another type; a unique one can name records.
        """
        with self._changed:
            self._objects.create_property(object_type, name, unique=unique)

    def objects(self, object_type: str) -> tuple[Mapping[str, Any], ...]:
        """
        Return the properties of all records of a type, with their id as `hs_object_id`.
        """
        with self._changed:
            records = self._objects.records.get(object_type, {}).values()
            return tuple({**record.properties, "hs_object_id": record.id} for record in records)

    def failing(self, status: int) -> Answer:
        """
        Return an answer with `status`, `message`, `category` and `correlationId`; for a 429, that of the ten seconds.
        """
        return failing(status, self._headers(self.clock()))

    def judge(self, asked: Asked, now: float) -> Verdict:
        """
        Return what HubSpot does with a request.
        """
        judges = (self._events, self._upsert, self._create_property, self._read_property)
        for (method, path), judge in zip(_ROUTES, judges, strict=True):
            match = path.fullmatch(asked.path)
            if match and method == asked.method:
                try:
                    self._admit(asked)
                    return judge(asked, match.groupdict(), now)
                except Denied as denied:
                    return denied.verdict
        return Verdict(error(404, "no such path"))

    def _admit(self, asked: Asked) -> None:
        scheme, _, token = asked.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token or (self._tokens and token not in self._tokens):
            raise Denied(error(401, "Authentication credentials not found or invalid."))

    def _events(self, asked: Asked, parts: dict[str, Any], now: float) -> Verdict:
        if self._event_rate.left(now) < 1:
            raise Denied(limited("SECONDLY", {}))
        self._event_rate.use(1, now)
        events = self._sent(asked, batch=bool(parts["batch"]))
        if self._month.left(now) < len(events):
            raise Denied(limited("MONTHLY", {}))
        wrong = [refusal for event in events if (refusal := fault(event, self._definitions)) is not None]
        if wrong:
            raise Denied(error(400, wrong[0].reason), wrong)

        self._month.use(len(events), now)
        found = [
            asked.refused(event) or landed(event, self._definitions[event["eventName"]], self._find, now)
            for event in events
        ]
        taken = [each for each in found if isinstance(each, Arrival)]
        return Verdict(Answer(204), taken, [each for each in found if isinstance(each, Refusal)])

    def _sent(self, asked: Asked, *, batch: bool) -> list[Any]:
        body = _object(asked)
        if not batch:
            return [body]
        events = body.get("inputs")
        if not isinstance(events, list):
            raise Denied(error(400, "inputs must be a list"))
        if len(events) > self.limits.events:
            raise Denied(error(400, f"a batch of {len(events)} events, of at most {self.limits.events}"))
        return events

    def _find(self, kind: str, name: str, value: str) -> str | None:
        if name == "hs_object_id":
            return value if value in self._objects.records.get(kind, {}) else None
        return self._objects.find(kind, name, value)

    def _upsert(self, asked: Asked, parts: dict[str, Any], now: float) -> Verdict:
        headers = self._spend(now)
        inputs = _object(asked, headers).get("inputs", [])
        if not isinstance(inputs, list):
            raise Denied(error(400, "inputs must be a list", headers))
        if len(inputs) > self.limits.objects:
            raise Denied(error(400, f"a batch of {len(inputs)} inputs, of at most {self.limits.objects}", headers))
        if ids := repeated(inputs):
            message = f"Duplicate IDs found in batch input: [{', '.join(ids)}]. IDs must be unique"
            raise Denied(error(400, message, headers, {"ids": ids}))

        written = self._objects.write(parts["kind"], inputs, asked.refused, now)
        if written.wrong and not traced(inputs):
            reasons = [refusal for _, refusal in written.wrong]
            raise Denied(error(400, reasons[0].reason, headers), reasons)
        return complete(written, now, headers)

    def _create_property(self, asked: Asked, parts: dict[str, Any], now: float) -> Verdict:
        headers = self._spend(now)
        kind, body = parts["kind"], _object(asked, headers)
        name, unique = body.get("name"), bool(body.get("hasUniqueValue"))
        if not isinstance(name, str) or not re.fullmatch(r"[a-z]\w*", name):
            raise Denied(error(400, "a property has a name that begins with a letter", headers))
        if name in self._objects.properties.get(kind, {}):
            raise Denied(error(409, f"a property named {name} exists", headers))
        create = partial(self.create_property, kind, name, unique=unique)
        return Verdict(as_json(201, described(name, unique=unique), headers), changes=[create])

    def _read_property(self, asked: Asked, parts: dict[str, Any], now: float) -> Verdict:
        del asked
        headers = self._spend(now)
        unique = self._objects.properties.get(parts["kind"], {}).get(parts["name"])
        if unique is None:
            raise Denied(error(404, f"no property {parts['name']}", headers))
        return Verdict(as_json(200, described(parts["name"], unique=unique), headers))

    def _spend(self, now: float) -> dict[str, str]:
        """
        Count a request of the account's, and return the headers that say what is left.
        """
        for rate, policy in ((self._day, "DAILY"), (self._rate, "TEN_SECONDLY_ROLLING")):
            if rate.left(now) < 1:
                raise Denied(limited(policy, self._headers(now)))
        self._day.use(1, now)
        self._rate.use(1, now)
        return self._headers(now)

    def _headers(self, now: float) -> dict[str, str]:
        headers = {"X-HubSpot-RateLimit-Interval-Milliseconds": "10000"}
        for limit, remaining, rate in (("Max", "Remaining", self._rate), ("Daily", "Daily-Remaining", self._day)):
            if rate.limit:
                headers[f"X-HubSpot-RateLimit-{limit}"] = str(int(rate.limit))
                headers[f"X-HubSpot-RateLimit-{remaining}"] = str(int(rate.left(now)))
        return headers


def _object(asked: Asked, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    try:
        return msgspec.json.decode(asked.body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Denied(error(400, "the body is no object of JSON", headers)) from None
