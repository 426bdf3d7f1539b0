"""
What the linter finds: something that compiles, and does something else than it seems to.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Trap:
    """
    One trap: its `name`, for programs; `keys`, where it stands below the metric; what happens, and what to do instead.
    """

    name: str
    keys: tuple[str | int, ...]
    what: str
    instead: str
