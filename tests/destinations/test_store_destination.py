"""
Whoever keeps answers hears of a load before the store changes, and of its end before it counts as delivered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import cast

import pytest

from metriclake._errors import StoreError
from metriclake.books import Counts, Key
from metriclake.destinations import Announced, StoreDestination
from metriclake.entry import Announcement, Manifest
from metriclake.store import Arrival, Loader, Outcome


class Watched:
    """
    A loader and who is told of its changes, with the order of what happened.
    """

    def __init__(self, *, fails: bool) -> None:
        """
        Note what happens.
        """
        self.fails = fails
        self.seen: list[object] = []

    def load_all(self, arrivals: Sequence[Arrival], _now: datetime) -> list[Outcome]:
        """
        Load, or fail after it.
        """
        self.seen.append([arrival.number for arrival in arrivals])
        if self.fails:
            raise StoreError("the engine is gone")
        return [Outcome({"stored": arrival.expected}) for arrival in arrivals]

    @contextmanager
    def changing(self, keys: Iterable[Key]) -> Iterator[None]:
        """
        Be told.
        """
        self.seen.append(sorted(keys))
        try:
            yield
        except StoreError:
            self.seen.append("failed")
            raise
        self.seen.append("done")


def announced(number: int, counts: Counts) -> Announced:
    """
    Return an announced object.
    """
    announcement = Announcement(number, "object", "manifest", 1, 0, 0, 1, counts)
    return Announced(announcement, cast("Manifest", type("Empty", (), {"integers": {}})()), b"")


@pytest.mark.parametrize("fails", [False, True])
def test_a_load_is_told_around_it(*, fails: bool) -> None:
    """
    All tenants and metrics of the objects are named once, and how it ended is told.
    """
    watched = Watched(fails=fails)
    destination = StoreDestination(cast("Loader", watched), watched.changing)
    objects = [announced(1, {("acme", "uploads"): 2}), announced(2, {("acme", "uploads"): 1, ("globex", "logins"): 1})]
    outcomes = []
    with suppress(StoreError):
        outcomes = destination.take(objects)

    assert watched.seen == [[("acme", "uploads"), ("globex", "logins")], [1, 2], "failed" if fails else "done"]
    assert len(outcomes) == (0 if fails else 2)
