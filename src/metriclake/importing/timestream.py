"""
Decide what the retention of Timestream's tables becomes as the pipeline file's `store`.

The memory store is the hot tier, the magnetic store the rest. Tenants' tables are one logical table here, so that all
tables of a template have to say the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from metriclake.importing.intrinsics import Resolver
from metriclake.importing.node import Node, Unresolved
from metriclake.importing.template import NotCarried

TABLE = "AWS::Timestream::Table"

_MEMORY, _MAGNETIC = "MemoryStoreRetentionPeriodInHours", "MagneticStoreRetentionPeriodInDays"
_MOST_HOURS = 8766
_MOST_DAYS = 20_000


@dataclass(frozen=True, slots=True)
class Retention:
    """
    How long rows stay hot and how long they stay at all, as the keys of `store`, and whose they are.
    """

    resource: str
    line: int
    keys: dict[str, str]


def retention_of(tables: list[str], resolver: Resolver, note: Callable[[NotCarried], None]) -> Retention | None:
    """
    Return the retention of a template's tables; of tables that do not agree, the first one's.
    """
    found = [retention for table in tables if (retention := _read(table, resolver, note)) is not None]
    for other in found[1:]:
        if other.keys != found[0].keys:
            why = f"the store has one retention: it is that of {found[0].resource}"
            note(NotCarried(other.resource, other.line, "RetentionProperties", why))
    return found[0] if found else None


def _read(table: str, resolver: Resolver, note: Callable[[NotCarried], None]) -> Retention | None:
    properties = resolver.resolve(resolver.template.properties(table)).get("RetentionProperties")
    if properties is None:
        return None
    line = resolver.template.resources[table].line
    hours = _number(properties, _MEMORY, _MOST_HOURS, resolver)
    days = _number(properties, _MAGNETIC, _MOST_DAYS, resolver)
    if hours is None or days is None or hours > 24 * days:
        reason = f"needs both periods as numbers, of at most {_MOST_HOURS:,} hours and {_MOST_DAYS:,} days"
        note(NotCarried(table, properties.line, "RetentionProperties", reason))
        return None
    return Retention(table, line, {"hot": f"{hours}h", "retention": f"{days}d"})


def _number(properties: Node, key: str, most: int, resolver: Resolver) -> int | None:
    node = properties.get(key)
    try:
        text = resolver.text(node) if node is not None else ""
    except Unresolved:
        return None
    return int(text) if text.isdecimal() and len(text) <= 6 and 1 <= int(text) <= most else None
