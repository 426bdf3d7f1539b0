"""
What fields there are: the slots of each metric's fields, and which of them each tenant has.

A slot, once given, is never taken back, so that every row of a metric is read in the same way.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from metriclake.store.engine import DATABASE, Engine
from metriclake.store.known import Known
from metriclake.store.table import DIMENSION_SLOTS, DOUBLE_SLOTS, INTEGER_SLOTS

DIMENSION = "dimension"
MEASURE = "measure"
ATTRIBUTE = "attribute"
TEXT = "string"
NO_SLOT = -1

_MOST_NOTED = 500_000
"""How many shapes of tenants are remembered, so as not to write them again; each takes some 100 bytes."""

_SLOTS = {(DIMENSION, TEXT): DIMENSION_SLOTS, (MEASURE, "double"): DOUBLE_SLOTS, (MEASURE, "integer"): INTEGER_SLOTS}
_COLUMNS = {(DIMENSION, TEXT): "d", (MEASURE, "double"): "f", (MEASURE, "integer"): "i"}
_MAPS = {
    (DIMENSION, TEXT): "dimensions",
    (MEASURE, "double"): "doubles",
    (MEASURE, "integer"): "integers",
    (MEASURE, "string"): "strings",
    (MEASURE, "boolean"): "booleans",
    (ATTRIBUTE, TEXT): "attributes",
}


@dataclass(frozen=True, slots=True)
class Field:
    """
    A field of a metric: a dimension, a measure of one type, or an attribute of the tenant.
    """

    metric: str
    kind: str
    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Place:
    """
    Where a field's values lie: a column of their own, or a key of a map.
    """

    column: str
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Metric:
    """
    A metric as one tenant has it: its fields by name, and its first and last event time.

    A measure with several types has drifted: each is kept under its own.
    """

    name: str
    first: datetime
    last: datetime
    dimensions: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    measures: dict[str, tuple[str, ...]] = field(default_factory=dict)


class Catalogue:
    """
    The slots of all metrics, in memory and in the store.
    """

    def __init__(self, engine: Engine) -> None:
        """
        Read what the store has.
        """
        self._engine = engine
        self._lock = threading.Lock()
        self._slots: dict[str, dict[Field, int]] = {}
        self._taken: dict[tuple[str, str, str], int] = {}
        self._noted: dict[tuple[Field, ...], set[str]] = {}
        self.known: Known[dict[str, Metric]] = Known()
        for *identity, slot in engine.rows(f"SELECT metric, kind, name, type, slot FROM {DATABASE}.slots"):
            self._remember(Field(*identity), slot)

    def _remember(self, found: Field, slot: int) -> None:
        self._slots.setdefault(found.metric, {})[found] = slot
        group = (found.metric, found.kind, found.type)
        self._taken[group] = max(self._taken.get(group, 0), slot + 1)

    def tenants(self) -> list[str]:
        """
        Return the tenants that have metrics: for the internal page, never for a customer.
        """
        rows = self._engine.rows(f"SELECT DISTINCT tenant FROM {DATABASE}.activity ORDER BY tenant")
        return [tenant for (tenant,) in rows]

    def place(self, found: Field) -> Place:
        """
        Return where a field's values lie.
        """
        group = (found.kind, found.type)
        slot = self._slots.get(found.metric, {}).get(found, NO_SLOT)
        return Place(_MAPS[group], found.name) if slot == NO_SLOT else Place(f"{_COLUMNS[group]}{slot}")

    def learn(self, fields: Iterable[Field]) -> None:
        """
        Give slots to the fields that have none yet, and make that durable before any row is read or written by it.
        """
        with self._lock:
            new = sorted(
                (
                    found
                    for found in set(fields)
                    if (found.kind, found.type) in _SLOTS and found not in self._slots.get(found.metric, {})
                ),
                key=lambda found: (found.metric, found.kind, found.name, found.type),
            )
            given = []
            taken: dict[tuple[str, str, str], int] = {}
            for found in new:
                group = (found.metric, found.kind, found.type)
                free = taken.get(group, self._taken.get(group, 0))
                slot = free if free < _SLOTS[found.kind, found.type] else NO_SLOT
                given.append((found, slot))
                taken[group] = max(free, slot + 1)
            rows = [(found.metric, found.kind, found.name, found.type, slot) for found, slot in given]
            self._engine.insert("slots", ["metric", "kind", "name", "type", "slot"], rows)
            for found, slot in given:
                self._remember(found, slot)

    def note(self, shapes: Iterable[tuple[tuple[Field, ...], Sequence[str]]]) -> None:
        """
        Note which tenants have the fields of a shape; what is remembered as noted is not written again.
        """
        rows: set[tuple[str, str, str, str, str]] = set()
        new = [(fields, set(tenants) - self._noted.get(fields, set())) for fields, tenants in shapes]
        for fields, unnoted in new:
            rows.update(
                (tenant, found.metric, found.kind, found.name, found.type) for tenant in unnoted for found in fields
            )
        self._engine.insert("fields", ["tenant", "metric", "kind", "name", "type"], sorted(rows))
        if rows:
            self.known.forget({tenant for tenant, *_ in rows})
        for fields, unnoted in new:
            self._noted.setdefault(fields, set()).update(unnoted)
        if sum(map(len, self._noted.values())) > _MOST_NOTED:
            self._noted.clear()

    def shape(self, metric: str) -> tuple[list[str], list[str], list[str]]:
        """
        Return the names in a metric's dimension, double and integer slots, in their order.
        """
        names: dict[tuple[str, str], list[tuple[int, str]]] = {group: [] for group in _SLOTS}
        for found, slot in list(self._slots.get(metric, {}).items()):
            if slot != NO_SLOT:
                names[found.kind, found.type].append((slot, found.name))
        dimensions, doubles, integers = (
            [name for _, name in sorted(names[group])]
            for group in ((DIMENSION, TEXT), (MEASURE, "double"), (MEASURE, "integer"))
        )
        return dimensions, doubles, integers
