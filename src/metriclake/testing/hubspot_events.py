"""
Judge occurrences of HubSpot's custom events. Pure: definitions and the time are arguments.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from metriclake.testing.record import Arrival, Refusal, Rule

_GUIDE = "HubSpot, Send custom event occurrences, 2026-03-30"

DEFINED = Rule("hubspot-defined", "an event must be defined; its name is pe{HubID}_{name}", f"{_GUIDE}: Define")
UNDEFINED_STATUS = Rule("hubspot-undefined-status", "an event that is not defined: 400, and none of the batch is there")
IDENTIFIER = Rule(
    "hubspot-identifier",
    "an event belongs to a record by its definition's matching property, else objectId, else email, else utk",
    f"{_GUIDE}: Link event occurrences to records",
)
NO_IDENTIFIER = Rule("hubspot-no-identifier", "an event without any of them: 400, and none of the batch is there")
CONTACTS_ONLY = Rule(
    "hubspot-contacts-only", "email and utk stand for contacts only", f"{_GUIDE}: Link event occurrences to records"
)
UNRESOLVED = Rule("hubspot-unresolved", "an event whose record there is not: answered like others, and it is not there")
EVENT_PROPERTIES = Rule("hubspot-event-properties", "more than 50 properties: the request fails", f"{_GUIDE}: Limits")
NAMES = Rule(
    "hubspot-names",
    "names of properties have at most 50 characters, a-z, 0-9 and _, and begin with a letter, or the request fails",
    f"{_GUIDE}: Limits",
)
VALUES = Rule(
    "hubspot-values",
    "values have at most 256 characters, URLs and referrers 1,024, or the request fails",
    f"{_GUIDE}: Limits",
)
URLS = Rule("hubspot-urls", "URLs and referrers are the properties whose names end with url or referrer")
UNDECLARED = Rule("hubspot-undeclared", "a property that the definition does not have, nor HubSpot itself: 400")
OCCURRED = Rule(
    "hubspot-occurred", "occurredAt is ISO 8601 or milliseconds, and the arrival's where there is none", _GUIDE
)
UUID = Rule("hubspot-uuid", "the uuid does not deduplicate: an event that is sent again is there twice")

EVENT_RULES = (
    DEFINED, UNDEFINED_STATUS, IDENTIFIER, NO_IDENTIFIER, CONTACTS_ONLY, UNRESOLVED, EVENT_PROPERTIES, NAMES, VALUES,
    URLS, UNDECLARED, OCCURRED, UUID,
)  # fmt: skip

_MOST_PROPERTIES = 50
_NAME = re.compile(r"[a-z][a-z0-9_]{0,49}")
_MOST_CHARACTERS = 256
_MOST_URL_CHARACTERS = 1024


@dataclass(frozen=True, slots=True)
class EventDefinition:
    """
    A custom event: of which object, with which properties besides HubSpot's own (any, where None), and how to match.

    `matching` is the name of an event property and of the object's unique property that has the same value.
    """

    name: str
    object_type: str = "contacts"
    properties: Collection[str] | None = None
    matching: tuple[str, str] | None = None


Finder = Callable[[str, str, str], str | None]
"""Finds the id of a record by its type, a property and a value; the property `hs_object_id` is the id itself."""


def fault(event: Any, definitions: Mapping[str, EventDefinition]) -> Refusal | None:
    """
    Return why an event makes its whole request fail, if it does.
    """
    for rule, reason in _faults(event, definitions):
        return Refusal(event, reason, rule.name)
    return None


def landed(event: dict[str, Any], definition: EventDefinition, find: Finder, now: float) -> Arrival | Refusal:
    """
    Return an event with its time and its record, or why it is nowhere, which nobody is told.
    """
    occurred = _when(event["occurredAt"]) if event.get("occurredAt") is not None else now
    kind = definition.object_type
    record = {**event, "occurredAt": iso(occurred or now)}
    given = event.get("properties") or {}
    if definition.matching is not None and definition.matching[0] in given:
        found = find(kind, definition.matching[1], str(given[definition.matching[0]]))
        if found is not None:
            return Arrival(event["eventName"], {**record, "objectId": found})
    if event.get("objectId"):
        if find(kind, "hs_object_id", str(event["objectId"])) is not None:
            return Arrival(event["eventName"], record)
        return Refusal(event, f"no record {event['objectId']} of {kind}", UNRESOLVED.name)
    if kind == "contacts" and (event.get("email") or event.get("utk")):
        return Arrival(event["eventName"], record)
    rule = CONTACTS_ONLY if event.get("email") or event.get("utk") else UNRESOLVED
    return Refusal(event, f"nothing that names a record of {kind}", rule.name)


def iso(seconds: float) -> str:
    """
    Return a time as HubSpot writes it.
    """
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _faults(event: Any, definitions: Mapping[str, EventDefinition]) -> Iterator[tuple[Rule, str]]:
    definition = definitions.get(str(event.get("eventName"))) if isinstance(event, dict) else None
    if definition is None:
        yield DEFINED, "no event definition with this name"
        return
    properties = event.get("properties") or {}
    if not isinstance(properties, dict):
        yield NAMES, "properties must be an object"
        return
    matched = definition.matching is not None and definition.matching[0] in properties
    if not matched and not any(event.get(name) for name in ("objectId", "email", "utk")):
        yield NO_IDENTIFIER, "an event needs an objectId, email or utk"
    if event.get("occurredAt") is not None and _when(event["occurredAt"]) is None:
        yield OCCURRED, "occurredAt is neither ISO 8601 nor milliseconds"
    if len(properties) > _MOST_PROPERTIES:
        yield EVENT_PROPERTIES, f"more than {_MOST_PROPERTIES} properties"
    for name, value in properties.items():
        yield from _property_faults(name, value, definition)


def _property_faults(name: str, value: Any, definition: EventDefinition) -> Iterator[tuple[Rule, str]]:
    if not _NAME.fullmatch(name):
        yield NAMES, f"the property {name[:60]} has a name that is too long or has other characters"
    most = _MOST_URL_CHARACTERS if name.endswith(("url", "referrer")) else _MOST_CHARACTERS
    if len(str(value)) > most:
        yield VALUES, f"the property {name} has more than {most} characters"
    declared = definition.properties
    if declared is not None and name not in declared and not name.startswith("hs_") and not _matches(name, definition):
        yield UNDECLARED, f"the event has no property {name}"


def _matches(name: str, definition: EventDefinition) -> bool:
    return definition.matching is not None and name == definition.matching[0]


def _when(value: Any) -> float | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value / 1000
    if not isinstance(value, str):
        return None
    if value.isdecimal():
        return int(value) / 1000
    try:
        read = datetime.fromisoformat(value)
    except ValueError:
        return None
    return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
