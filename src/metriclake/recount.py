"""
Hold the books against what is there: what the counters say beside what was counted anew, and where they differ.

Pure. Both are rows of (scope, tenant, metric, counter, amount); rows of one counter add up, so that they may come in
slices. What was counted anew was counted up to one moment, at which the counters were read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec

from metriclake.books import DOMAIN_EVENTS, STORE, STREAM, Key

Row = tuple[str, str, str, str, int]
"""Scope, tenant, metric, counter, amount."""

ANNOUNCED = "announced"
"""What the announcements count that a scope has behind it; of the stream all of them."""

IN_FLIGHT = "in_flight"
_SOMEWHERE = (IN_FLIGHT, "held", "rejected", "laked")
_LETTERS = ("dead", "waiting")
"""The counters of a destination that its dead letters tell: those that are redriven wait."""


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """
    Up to where is counted: the last announcement, each partition's last announced seal, the last backfilled batch.

    `checkpoints` are the destinations', by name.
    """

    announced: int = 0
    sealed: dict[str, int] = {}
    backfilled: int = 0
    checkpoints: dict[str, int] = {}


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """
    One moment of the journal: what its counters `said`, and what it has itself: what is in flight, held, dead.
    """

    moment: Moment
    said: list[Row]
    found: list[Row]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """
    A counter that says something else than what was found.
    """

    scope: str
    tenant: str
    metric: str
    counter: str
    said: int
    found: int

    @property
    def by(self) -> int:
        """
        Return how many more were found than the counter says.
        """
        return self.found - self.said


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """
    The numbers that differ; `left` rows are gone from the store as their retention wants it.
    """

    differences: list[Difference]
    left: int = 0


def compare(said: Iterable[Row], found: Iterable[Row], aged: Iterable[Key]) -> Verdict:
    """
    Compare what was said with what was found.

    `aged` are the tenants and metrics of which rows may have left the store by their retention: fewer are no fault.
    """
    counters, there, may_leave = _summed(said), _summed(found), set(aged)
    _complete(there)
    wanted: dict[tuple[str, str, str, str], int] = {}
    for (scope, tenant, metric, counter), amount in counters.items():
        if scope == STREAM:
            wanted[scope, tenant, metric, counter] = amount
            if counter == "laked":
                wanted[scope, tenant, metric, ANNOUNCED] = amount
        else:
            whole = (scope, tenant, metric, ANNOUNCED)
            wanted[whole] = wanted.get(whole, 0) + amount
            if (scope, counter) == (STORE, "stored") or (scope != STORE and counter in _LETTERS):
                wanted[scope, tenant, metric, counter] = amount
    differences, left = [], 0
    for key in sorted(wanted.keys() | {key for key in there if key[3] != IN_FLIGHT}):
        one = Difference(
            scope=key[0], tenant=key[1], metric=key[2], counter=key[3], said=wanted.get(key, 0), found=there[key]
        )
        if one.by < 0 and key[0] == STORE and key[3] == "stored" and (one.tenant, one.metric) in may_leave:
            left -= one.by
        elif one.by:
            differences.append(one)
    return Verdict(differences=differences, left=left)


def _summed(rows: Iterable[Row]) -> Counter[tuple[str, str, str, str]]:
    found: Counter[tuple[str, str, str, str]] = Counter()
    for scope, tenant, metric, counter, amount in rows:
        found[scope, tenant, metric, counter] += amount
    return found


def _complete(there: Counter[tuple[str, str, str, str]]) -> None:
    """
    Add what is found of what was received: all that is somewhere.
    """
    for (scope, tenant, metric, counter), amount in list(there.items()):
        if scope != STREAM:
            continue
        if metric == DOMAIN_EVENTS:
            if counter in (IN_FLIGHT, "archived"):
                there[scope, tenant, metric, "accepted"] += amount
        elif counter in _SOMEWHERE:
            there[scope, tenant, metric, "received"] += amount
