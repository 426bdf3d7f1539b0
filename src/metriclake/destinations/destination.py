"""
What a destination is: it takes announced objects and says what became of their metric events.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from metriclake.books import Counts
from metriclake.entry import Announcement, Manifest


@dataclass(frozen=True, slots=True)
class Batch:
    """
    One announced object: its announcement, its manifest, and its lines (metric events, one a line).
    """

    announcement: Announcement
    manifest: Manifest
    lines: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Receipt:
    """
    What became of a batch: how many metric events of each tenant and metric, by the books' counter.
    """

    counters: Mapping[str, Counts]


class Destination(Protocol):
    """
    Where the stream loads into.
    """

    @property
    def name(self) -> str:
        """
        Return the name of its checkpoint and its books.
        """

    def deliver(self, batches: Sequence[Batch]) -> Sequence[Receipt]:
        """
        Take batches, in order, and return a receipt for each; raises MetriclakeError to have them tried again later.

        A batch may come again after a crash, and must then have the same result.
        """
