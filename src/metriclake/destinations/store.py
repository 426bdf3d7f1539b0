"""
The store as a destination: an object is loaded by the engine, each identity once.
"""

from __future__ import annotations

from datetime import UTC, datetime

from metriclake.books import STORE
from metriclake.destinations.destination import Batch, Receipt
from metriclake.store import Loader


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

    def deliver(self, batch: Batch) -> Receipt:
        """
        Load an object.
        """
        outcome = self._loader.load(
            batch.announcement.number,
            batch.announcement.version,
            batch.lines,
            batch.announcement.counts,
            batch.manifest.integers,
            datetime.now(UTC),
        )
        return Receipt(outcome.fates)
