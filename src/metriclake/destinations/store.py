"""
The store as a destination: an object is loaded by the engine, each identity once.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from metriclake.books import STORE
from metriclake.destinations.objects import Announced, Outcome
from metriclake.store import Arrival, Loader


class StoreDestination:
    """
    Load announced objects into the time-series store.
    """

    name = STORE

    def __init__(self, loader: Loader) -> None:
        """
        `loader` is the store's one writer.
        """
        self._loader = loader

    def take(self, objects: Sequence[Announced]) -> list[Outcome]:
        """
        Load objects, many in one go when the store is behind.
        """
        arrivals = [
            Arrival(
                one.announcement.number,
                one.announcement.version,
                one.lines,
                one.announcement.counts,
                one.manifest.integers,
            )
            for one in objects
        ]
        return [Outcome(loaded.fates) for loaded in self._loader.load_all(arrivals, datetime.now(UTC))]
