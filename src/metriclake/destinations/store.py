"""
The store as a destination: an object is loaded by the engine, each identity once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime

from metriclake.books import STORE, Key
from metriclake.deadletter import Settled
from metriclake.destinations.objects import Announced, Outcome
from metriclake.destinations.replaying import Redelivered
from metriclake.store import Arrival, Loader

Changing = Callable[[Iterable[Key]], AbstractContextManager[None]]
"""What is entered before the store changes what it holds of these tenants and metrics, and left after it."""


class StoreDestination:
    """
    Load announced objects into the time-series store.
    """

    name = STORE

    def __init__(self, loader: Loader, changing: Changing = lambda _keys: nullcontext()) -> None:
        """
        `loader` is the store's one writer; `changing` is told of what it changes, around each change.
        """
        self._loader = loader
        self._changing = changing

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
        with self._changing({key for arrival in arrivals for key in arrival.expected}):
            return [Outcome(loaded.fates) for loaded in self._loader.load_all(arrivals, datetime.now(UTC))]

    def redeliver(self, one: Announced, duplicates: bool) -> Redelivered:  # noqa: FBT001 - a callable's argument
        """
        Load an object once more: what the store has stays as it is, what it has lost comes back.
        """
        del duplicates
        self.take([one])
        return Redelivered(Settled(), (), one.announcement.rows, 0)
