"""
The store as a destination: an object is loaded by the engine, each identity once.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from metriclake.books import STORE
from metriclake.destinations.destination import Batch, Receipt
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

    def deliver(self, batches: Sequence[Batch]) -> list[Receipt]:
        """
        Load objects, many in one go when the store is behind.
        """
        arrivals = [
            Arrival(
                batch.announcement.number,
                batch.announcement.version,
                batch.lines,
                batch.announcement.counts,
                batch.manifest.integers,
            )
            for batch in batches
        ]
        return [Receipt(outcome.fates) for outcome in self._loader.load_all(arrivals, datetime.now(UTC))]
