"""
Know which keys an event has around its detail, and what lies there: what a rule can ask of them, and what it cannot.
"""

from __future__ import annotations

import difflib
from typing import Final

TEXTS: Final = frozenset({"version", "id", "detail-type", "source", "account", "time", "region", "replay-name"})
"""The keys of EventBridge's envelope that hold a text."""

ALWAYS: Final = frozenset({"id", "detail-type", "source", "detail"})
"""The keys that no event is without."""

PATTERN_KEYS: Final = TEXTS | {"resources", "detail", "cloudevent"}
"""What a pattern may name at the top: EventBridge's envelope, and the attributes of a CloudEvent."""

PATH_KEYS: Final = PATTERN_KEYS | {"bus"}
"""What a path may begin with: an event's own bus is there as well."""


def unknown_key(name: str, known: frozenset[str]) -> str:
    """
    Return what to write instead of a top-level key that no event has.
    """
    if name == "bus":
        return "a pattern does not see the bus: name it by the metric's `bus:`"
    near = difflib.get_close_matches(name.replace("_", "-"), sorted(known), n=1)
    return f"did you mean `{near[0]}`?" if near else f"what a service sends lies below `detail`: `detail.{name}`"
