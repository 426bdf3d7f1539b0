"""
HubSpot's objects: properties, and records that are written by the value of a unique property.

What a batch would do is decided first, and done by the `changes` of what is returned.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from metriclake.testing.record import Arrival, Refusal, Rule

_REFERENCE = "HubSpot API 2026-03, Create or update a batch of companies by unique property values"
_ERRORS = "HubSpot API 2026-03, Error handling"
_PROPERTIES = "HubSpot API 2026-03, Properties"

UNIQUE = Rule(
    "hubspot-unique-property",
    "idProperty is a property that was created with hasUniqueValue; domain is not one",
    f"{_REFERENCE}; {_PROPERTIES}",
)
UPSERT = Rule(
    "hubspot-upsert",
    "200 COMPLETE with a result for each input; new says whether it made a record, and others keep what they had",
    _REFERENCE,
)
MOST_OBJECTS = Rule("hubspot-most-objects", "more than 100 inputs: 400", _REFERENCE)
WHOLE = Rule(
    "hubspot-whole-batch",
    "one wrong input: 400, and none of the batch is written",
    "rudder-transformer#3308, 2024-04-24 (observed)",
)
MULTI_STATUS = Rule(
    "hubspot-multi-status",
    "where each input has an objectWriteTraceId: 207, with errors that name it, and the others are written",
    f"{_ERRORS}: Multi-status errors (for batch create); the library's upsert reads a 207",
)
REPEATED = Rule(
    "hubspot-repeated-id",
    "the same id twice in a batch: 400, and none is written",
    "rudder-transformer, test data of its HubSpot destination (observed)",
)
SILENT = Rule(
    "hubspot-silent",
    "a body without inputs: 200 COMPLETE with no results and no errors, and nothing is written",
    "rudder-transformer#5147, 2026-04-15, and #5167, 2026-04-25 (observed)",
)
UNKNOWN_PROPERTY = Rule("hubspot-unknown-property", "a property that was not created makes an input wrong")
CREATE_PROPERTY = Rule(
    "hubspot-create-property",
    "POST /crm/v3/properties/{objectType} creates a property, with hasUniqueValue; GET reads one",
    _PROPERTIES,
)
PROPERTY_AGAIN = Rule("hubspot-property-again", "creating a property that there is: 409; reading one that is not: 404")

OBJECT_RULES = (
    UPSERT, UNIQUE, MOST_OBJECTS, WHOLE, MULTI_STATUS, REPEATED, SILENT, UNKNOWN_PROPERTY, CREATE_PROPERTY,
    PROPERTY_AGAIN,
)  # fmt: skip

_DEFAULTS: Mapping[str, Mapping[str, bool]] = {
    "companies": dict.fromkeys(
        ("name", "domain", "website", "industry", "description", "phone", "city", "country", "numberofemployees",
         "annualrevenue"),
        False,
    ),
    "contacts": {"email": True, "firstname": False, "lastname": False, "phone": False, "company": False},
}  # fmt: skip
_FIRST_ID = 1001


@dataclass(slots=True)
class Record:
    """
    A record: its id, its properties, and when it was made.
    """

    id: str
    properties: dict[str, Any]
    created: float


@dataclass(frozen=True, slots=True)
class Written:
    """
    What a batch would do: records as they would be, inputs that are wrong, and how to do it.
    """

    results: Sequence[Mapping[str, Any]] = ()
    wrong: Sequence[tuple[Mapping[str, Any], Refusal]] = ()
    arrivals: Sequence[Arrival] = ()
    changes: Sequence[Callable[[], None]] = ()


@dataclass(slots=True)
class Objects:
    """
    Properties by the type of the object, true for those that are unique, and records by type and id.
    """

    properties: dict[str, dict[str, bool]] = field(
        default_factory=lambda: {kind: dict(known) for kind, known in _DEFAULTS.items()}
    )
    records: dict[str, dict[str, Record]] = field(default_factory=dict)
    _found: dict[tuple[str, str, str], str] = field(default_factory=dict)
    _next: int = _FIRST_ID

    def create_property(self, kind: str, name: str, *, unique: bool) -> bool:
        """
        Create a property; tell whether it is new.
        """
        known = self.properties.setdefault(kind, {})
        if name in known:
            return False
        known[name] = unique
        return True

    def find(self, kind: str, name: str, value: str) -> str | None:
        """
        Return the id of the record that has a value of a unique property.
        """
        return self._found.get((kind, name, value))

    def write(self, kind: str, inputs: Sequence[Any], refused: Callable[[Any], Refusal | None], now: float) -> Written:
        """
        Return what becomes of the inputs of a batch, whose ids differ.
        """
        results, arrivals, wrong, changes = [], [], [], []
        for item in inputs:
            refusal = self._refusal(kind, item) or refused(item)
            if refusal is not None:
                wrong.append((item if isinstance(item, dict) else {}, refusal))
                continue
            known = self.find(kind, item["idProperty"], item["id"])
            before = self.records.get(kind, {})[known] if known else Record(self._new_id(), {}, now)
            own = {name: None if value is None else str(value) for name, value in item["properties"].items()}
            properties = {**before.properties, item["idProperty"]: item["id"], **own}
            record = Record(before.id, properties, before.created)
            results.append(_result(record, item, now, new=known is None))
            arrivals.append(Arrival(kind, {"id": record.id, "properties": properties}))
            changes.append(partial(self._put, kind, record))
        return Written(results, wrong, arrivals, changes)

    def _refusal(self, kind: str, item: Any) -> Refusal | None:
        if not isinstance(item, dict) or not isinstance(item.get("properties"), dict) or not item.get("id"):
            return Refusal(item, "an input has an id and properties", UPSERT.name)
        known = self.properties.get(kind, {})
        if not isinstance(item["id"], str) or not known.get(str(item.get("idProperty"))):
            return Refusal(item, f"idProperty {item.get('idProperty')} is not a unique property", UNIQUE.name)
        for name in item["properties"]:
            if name not in known:
                return Refusal(item, f'Property "{name}" does not exist', UNKNOWN_PROPERTY.name)
        return None

    def _put(self, kind: str, record: Record) -> None:
        self.records.setdefault(kind, {})[record.id] = record
        for name, unique in self.properties.get(kind, {}).items():
            value = record.properties.get(name)
            if unique and value:
                self._found[kind, name, value] = record.id

    def _new_id(self) -> str:
        self._next += 1
        return str(self._next)


def repeated(inputs: Sequence[Any]) -> list[str]:
    """
    Return the ids that stand in a batch more than once.
    """
    ids = Counter(
        (str(item.get("idProperty")), str(item["id"])) for item in inputs if isinstance(item, dict) and item.get("id")
    )
    return [each for (_, each), times in ids.items() if times > 1]


def traced(inputs: Sequence[Any]) -> bool:
    """
    Tell whether each input of a batch has an id by which an error can name it.
    """
    return all(isinstance(item, dict) and item.get("objectWriteTraceId") for item in inputs)


def _result(record: Record, item: Mapping[str, Any], now: float, *, new: bool) -> dict[str, Any]:
    trace = item.get("objectWriteTraceId")
    return {
        "id": record.id,
        "properties": record.properties,
        "createdAt": record.created,
        "updatedAt": now,
        "archived": False,
        "new": new,
        **({"objectWriteTraceId": trace} if trace else {}),
    }
