"""
A twin of Mixpanel's Ingestion API: /import, /track, and profiles of users and groups.

A 400 of /import is mostly a success: what is in `failed_records` is not there, and the rest is.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from metriclake.testing.clock import Clock
from metriclake.testing.loopback import Answer
from metriclake.testing.mixpanel_events import EVENT_RULES, EventTerms, Fault, arrival, judged, same_day
from metriclake.testing.mixpanel_profiles import Profile, is_update, updated
from metriclake.testing.mixpanel_wire import WIRE_RULES, decoded, failing, imported, partly, parts, received
from metriclake.testing.rates import Rate
from metriclake.testing.record import Arrival, Keep, Refusal, Rule
from metriclake.testing.twin import Asked, Twin, Verdict

_PAGE = "Mixpanel, Import Events, 2026-08-21"
_TRACK = "Mixpanel, Track Events, 2026-08-21"
_OPENAPI = "Mixpanel, Ingestion API (OpenAPI), 2026-08-21"
_GROUPS = "Mixpanel, Group Analytics Implementation Guide, 2026-08-21"

ENDPOINTS = Rule("mixpanel-endpoints", "POST /import, /track, /engage and /groups", f"{_OPENAPI}: paths")
ELSEWHERE = Rule("mixpanel-other-paths", "any other path or method is answered with 404")
SERVICE_ACCOUNT = Rule(
    "mixpanel-service-account",
    "/import takes a service account by Basic, with its project_id in the query",
    f"{_PAGE}: Authentication",
)
PROJECT_TOKEN = Rule(
    "mixpanel-project-token",
    "or the project's token as the user of Basic with an empty password, without project_id",
    f"{_PAGE}: Authentication",
)
PROJECT_SECRET = Rule(
    "mixpanel-project-secret", "or the project's secret in the same way, or a bearer token", f"{_OPENAPI}: /import"
)
ANY_TOKEN = Rule("mixpanel-any-token", "any bearer token is taken for a valid one")
UNAUTHORIZED = Rule(
    "mixpanel-unauthorized", "401 with code, error and status for other credentials", f"{_OPENAPI}: StrictUnauthorized"
)
MOST_EVENTS = Rule("mixpanel-most-events", "at most 2,000 events in a request", f"{_PAGE}: Request Format")
MOST_EVENTS_STATUS = Rule(
    "mixpanel-most-events-status", "more than 2,000 events are answered with 413, and none is there"
)
MOST_BYTES = Rule(
    "mixpanel-most-bytes",
    "a request of more than 10 MB, before compression, is answered with 413",
    f"{_PAGE}: Request Format; {_OPENAPI}: StrictTooLarge",
)
RATE = Rule(
    "mixpanel-rate",
    "above 2 GB or 1,800,000 events in the last minute: 429 with code, error and status",
    f"{_PAGE}: Rate Limit; {_OPENAPI}: RateLimitExceeded",
)
FAILED_COUNT = Rule("mixpanel-failed-count", "events that fail count toward the rate", f"{_PAGE}: Rate Limit")
TRACK_TOKEN = Rule(
    "mixpanel-track-token",
    "events without the project's token are ignored",
    "Mixpanel, Event Deduplication, 2026-08-21: Deduplication Example",
)
TRACK_LIMITS = Rule("mixpanel-track-limits", "/track has the limits of /import", f"{_TRACK}: Limits")
PROFILES = Rule(
    "mixpanel-profiles",
    "$set, $set_once, $add, $append, $union, $remove, $unset and $delete change profiles of users and of groups",
    f"{_OPENAPI}: /engage, /groups",
)
GROUP_KEY = Rule(
    "mixpanel-group-key",
    "an event counts for a group by a key that was in the project's settings when it arrived, as text or list",
    f"{_GROUPS}: Group Keys in Project Settings",
)
GROUP_MOST = Rule("mixpanel-group-most", "an event counts for the first 300 groups of a list", _GROUPS)

_LISTED_GROUPS = 300


@dataclass(frozen=True, slots=True)
class MixpanelLimits:
    """
    Mixpanel's limits; 0 a minute stands for no limit. Older pages say 2 MB for a request.
    """

    events: int = 2_000
    request_bytes: int = 10 * 1024 * 1024
    event_bytes: int = 1024 * 1024
    bytes_per_minute: float = 2e9
    events_per_minute: float = 1_800_000


@dataclass(frozen=True, slots=True)
class MixpanelProject:
    """
    A project and who may send to it.
    """

    project_id: str = "1"
    token: str = "token"  # noqa: S105 - made up
    secret: str = "secret"  # noqa: S105 - made up
    service_account: tuple[str, str] = ("service-account", "service-secret")


class MixpanelTwin(Twin):
    """
    `https://api.mixpanel.com`, with one project.

    A record of `taken` is the event as Mixpanel has it: strings cut, its time replaced where it was ahead. `users` are
    profiles by distinct_id, `groups` by group key and group id.
    """

    RULES: ClassVar = (
        ENDPOINTS, ELSEWHERE, SERVICE_ACCOUNT, PROJECT_TOKEN, PROJECT_SECRET, ANY_TOKEN, UNAUTHORIZED, *WIRE_RULES,
        MOST_EVENTS, MOST_EVENTS_STATUS, MOST_BYTES, *EVENT_RULES, RATE, FAILED_COUNT, TRACK_TOKEN, TRACK_LIMITS,
        PROFILES, GROUP_KEY, GROUP_MOST,
    )  # fmt: skip

    def __init__(
        self,
        project: MixpanelProject | None = None,
        *,
        group_keys: Collection[str] = (),
        limits: MixpanelLimits | None = None,
        clock: Clock | None = None,
        keep: Keep | None = None,
    ) -> None:
        """
        Have a project, with group keys in its settings from the start.
        """
        super().__init__(clock, keep, latest=True)
        self.project = project or MixpanelProject()
        self.limits = limits or MixpanelLimits()
        self.users: dict[str, Profile] = {}
        self.groups: dict[tuple[str, str], Profile] = {}
        self._group_keys = dict.fromkeys(group_keys, 0.0)
        self._bytes = Rate(self.limits.bytes_per_minute, 60)
        self._events = Rate(self.limits.events_per_minute, 60)

    def add_group_key(self, key: str) -> None:
        """
        Put a group key into the project's settings: for events that arrive from now on.
        """
        with self._changed:
            self._group_keys.setdefault(key, self.clock())

    def of_group(self, key: str, group: str) -> tuple[Any, ...]:
        """
        Return the events that count for a group.
        """
        since = self._group_keys.get(key, float("inf"))
        return tuple(taken.record for taken in self.taken if taken.at >= since and group in _groups(taken.record, key))

    def compact(self) -> int:
        """
        Do what Mixpanel may do hours or days later, and return how many events are gone by it.
        """
        with self._changed:
            found: dict[tuple[Any, ...], int] = {}
            gone = []
            for number, taken in self._ledger.taken.items():
                key = same_day(taken.record)
                if key is None:
                    continue
                if key in found:
                    gone.append(found[key])
                found[key] = number
            for number in gone:
                del self._ledger.taken[number]
            return len(gone)

    def failing(self, status: int) -> Answer:
        """
        Return an answer with `code`, `error` and `status`; a 429 has no Retry-After.
        """
        return failing(status)

    def judge(self, asked: Asked, now: float) -> Verdict:
        """
        Return what Mixpanel does with a request.
        """
        if asked.method != "POST":
            return Verdict(self.failing(404))
        match asked.path:
            case "/import":
                return self._import(asked, now)
            case "/track":
                return self._track(asked, now)
            case "/engage":
                return self._profiles(asked, self.users, ("$token", "$distinct_id"))
            case "/groups":
                return self._profiles(asked, self.groups, ("$token", "$group_key", "$group_id"))
            case _:
                return Verdict(self.failing(404))

    def _import(self, asked: Asked, now: float) -> Verdict:
        if not self._authorized(asked):
            return Verdict(self.failing(401))
        events, form = parts(asked)
        refused = self._refused(asked, events, now)
        if refused is not None or events is None:
            return Verdict(refused or self.failing(400))

        strict = asked.query.get("strict") == "1"
        terms = EventTerms(now, self.limits.event_bytes, strict)
        taken, faults = self._judged(asked, events, terms)
        rejected = [Refusal(event, fault.message, fault.rule.name) for _, event, fault in faults]
        if strict and faults:
            return Verdict(partly(len(taken), faults), taken, rejected)
        return Verdict(imported(len(taken), form, strict=strict), taken, rejected)

    def _track(self, asked: Asked, now: float) -> Verdict:
        events, form = parts(asked)
        refused = self._refused(asked, events, now)
        if refused is not None:
            return Verdict(refused)

        terms = EventTerms(now, self.limits.event_bytes, strict=False, track=True)
        taken, faults = self._judged(asked, events or (), terms)
        rejected = [Refusal(event, fault.message, fault.rule.name) for _, event, fault in faults]
        own = [each for each in taken if each.record["properties"].get("token") == self.project.token]
        strange = [each for each in taken if each.record["properties"].get("token") != self.project.token]
        rejected += [Refusal(each.record, "not the project's token", TRACK_TOKEN.name) for each in strange]
        return Verdict(received(asked, form, valid=bool(taken)), own, rejected)

    def _profiles(self, asked: Asked, profiles: dict[Any, Profile], keys: tuple[str, ...]) -> Verdict:
        texts, form = parts(asked)
        updates = [decoded(text) for text in texts or ()]
        valid = [update for update in updates if is_update(update, keys) and not asked.refused(update)]
        own = [update for update in valid if update["$token"] == self.project.token]
        changes = [partial(_change, profiles, keys, update) for update in own]
        return Verdict(received(asked, form, valid=bool(valid)), changes=changes)

    def _refused(self, asked: Asked, events: Sequence[bytes] | None, now: float) -> Answer | None:
        """
        Return why a whole request is refused, by its size or the account's rate; what is not counts toward the rate.
        """
        if len(asked.body) > self.limits.request_bytes:
            return failing(413, f"request exceeds max limit of {self.limits.request_bytes} bytes")
        if events is None:
            return None
        if len(events) > self.limits.events:
            return failing(413, f"request exceeds max limit of {self.limits.events} events")
        if self._bytes.left(now) < len(asked.body) or self._events.left(now) < len(events):
            return self.failing(429)
        self._bytes.use(len(asked.body), now)
        self._events.use(len(events), now)
        return None

    @staticmethod
    def _judged(
        asked: Asked, events: Sequence[bytes], terms: EventTerms
    ) -> tuple[list[Arrival], list[tuple[int, dict[str, Any], Fault]]]:
        taken, faults = [], []
        for index, raw in enumerate(events):
            event, fault = judged(raw, terms)
            refusal = asked.refused(event) if fault is None else None
            if refusal is not None:
                fault = Fault(_ON_ORDER, "", refusal.reason)
            if fault is None:
                taken.append(arrival(event, terms))
            else:
                faults.append((index, event, fault))
        return taken, faults

    def _authorized(self, asked: Asked) -> bool:
        scheme, _, value = asked.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return bool(value)
        if scheme.lower() != "basic":
            return False
        try:
            user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return False
        project = asked.query.get("project_id")
        if (user, password) == self.project.service_account:
            return project == self.project.project_id
        return user in (self.project.token, self.project.secret) and not password and project in (
            None, "", self.project.project_id
        )  # fmt: skip


_ON_ORDER = Rule("", "")


def _change(profiles: dict[Any, Profile], keys: tuple[str, ...], update: dict[str, Any]) -> None:
    names = tuple(update[key] for key in keys[1:])
    name = names if len(names) > 1 else names[0]
    profile = updated(profiles.get(name), update)
    if profile is None:
        profiles.pop(name, None)
    else:
        profiles[name] = profile


def _groups(event: dict[str, Any], key: str) -> Sequence[Any]:
    value = event["properties"].get(key)
    return value[:_LISTED_GROUPS] if isinstance(value, list) else [value]
