"""
Which records go together: as many as a kind of call takes, by count and bytes. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable

from metriclake.destinations.destination import Capabilities, Record


def too_large(record: Record, capabilities: Capabilities) -> str:
    """
    Return why a record can be in no batch at all, empty where it can.
    """
    limits = [limit for limit in (capabilities.record_bytes, capabilities.bytes) if limit is not None]
    if limits and len(record.body) > min(limits):
        return f"{len(record.body)} bytes, and the destination takes {min(limits)}"
    return ""


def fill(records: Iterable[Record], capabilities: Capabilities) -> int:
    """
    Return how many of the first of some records one batch takes; none of them is too large.
    """
    count = size = 0
    for record in records:
        size += len(record.body)
        if count == capabilities.records or (capabilities.bytes is not None and size > capabilities.bytes and count):
            break
        count += 1
    return count
