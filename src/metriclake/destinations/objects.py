"""
The loop's seam: who follows the announced objects, and says how their metric events are to be counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from metriclake.books import Counts
from metriclake.deadletter import Letter
from metriclake.entry import Announcement, Manifest


class Interrupted(Exception):  # noqa: N818 - no error: the follower was told to stop
    """
    Raised by a follower that was told to stop: what was in hand comes again at the next start.
    """


@dataclass(frozen=True, slots=True)
class Announced:
    """
    One announced object: its announcement, its manifest, and its lines (metric events, one a line).
    """

    announcement: Announcement
    manifest: Manifest
    lines: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    What became of an object: how many metric events of each tenant and metric, by the books' counter; dead letters.
    """

    counters: Mapping[str, Counts]
    letters: Sequence[Letter] = ()


class Follower(Protocol):
    """
    Who takes announced objects, in order: the store loads them whole, a delivery takes them apart.
    """

    @property
    def name(self) -> str:
        """
        Return the name of its checkpoint and its books.
        """

    def take(self, objects: Sequence[Announced]) -> Sequence[Outcome]:
        """
        Take objects, in order, and return an outcome for each; raises MetriclakeError to have them tried again later.

        Raises Interrupted when it was told to stop.

        An object may come again after a crash, and must then have the same result.
        """
