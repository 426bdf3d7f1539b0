"""
The counters and their equations: where every metric event is.

For each tenant and metric: received = in flight + held + rejected + laked. For the store: laked = stored + duplicate +
conflict + expired + deleted + dead + waiting. For any other destination: laked = delivered + dead + waiting + not
mapped. Each number is counted where the thing happens, from what was written,
so that an equation that does not hold is news.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

STREAM = "stream"
STORE = "store"

STORE_COUNTERS = ("stored", "duplicate", "conflict", "expired", "deleted", "dead", "waiting")
DESTINATION_COUNTERS = ("delivered", "dead", "waiting", "not_mapped")

Key = tuple[str, str]
"""Tenant and metric."""

Counts = Mapping[Key, int]


@dataclass(frozen=True, slots=True)
class Delta:
    """
    What one transaction adds to one counter: `scope` is the stream or a destination.
    """

    scope: str
    tenant: str
    metric: str
    counter: str
    amount: int


@dataclass(slots=True)
class Account:
    """
    The books of one tenant and metric.
    """

    tenant: str
    metric: str
    received: int = 0
    in_flight: int = 0
    held: int = 0
    rejected: int = 0
    laked: int = 0
    store: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STORE_COUNTERS, 0))
    destinations: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def balanced(self) -> bool:
        """
        Tell whether all equations hold.
        """
        here = self.received == self.in_flight + self.held + self.rejected + self.laked
        there = all(self.laked == sum(counters.values()) for counters in (self.store, *self.destinations.values()))
        return here and there

    @property
    def at_rest(self) -> bool:
        """
        Tell whether nothing of it waits, is held or is dead.
        """
        outside = (counters[name] for counters in self.destinations.values() for name in ("dead", "waiting"))
        return not (self.in_flight or self.held or self.store["dead"] or self.store["waiting"] or any(outside))


@dataclass(frozen=True, slots=True)
class DomainEvents:
    """
    The books of domain events: accepted = in flight + archived, archived = matched + unmatched.
    """

    accepted: int = 0
    in_flight: int = 0
    archived: int = 0
    matched: int = 0
    unmatched: int = 0

    @property
    def balanced(self) -> bool:
        """
        Tell whether both equations hold.
        """
        return self.accepted == self.in_flight + self.archived and self.archived == self.matched + self.unmatched


@dataclass(frozen=True, slots=True)
class Books:
    """
    All accounts at one moment.
    """

    accounts: tuple[Account, ...]
    domain_events: DomainEvents

    @property
    def balanced(self) -> bool:
        """
        Tell whether every account balances.
        """
        return self.domain_events.balanced and all(account.balanced for account in self.accounts)

    @property
    def totals(self) -> dict[str, int]:
        """
        Return each counter over all accounts; the store's are named `store_<counter>`.
        """
        names = ("received", "in_flight", "held", "rejected", "laked")
        totals = {name: sum(getattr(account, name) for account in self.accounts) for name in names}
        stored = {f"store_{name}": sum(account.store[name] for account in self.accounts) for name in STORE_COUNTERS}
        return totals | stored

    @property
    def delivered(self) -> dict[str, dict[str, int]]:
        """
        Return the counters of each destination over all accounts.
        """
        totals: dict[str, dict[str, int]] = {}
        for account in self.accounts:
            for name, counters in account.destinations.items():
                total = totals.setdefault(name, dict.fromkeys(DESTINATION_COUNTERS, 0))
                for counter, amount in counters.items():
                    total[counter] += amount
        return totals

    def standing_out(self, most: int, search: str = "") -> tuple[list[Account], int]:
        """
        Return so many accounts whose tenant or metric has a text, and how many there are of all these.

        Those that do not balance come first, then those that are not at rest, then the others, each by name.
        """
        text = search.lower()
        found = [one for one in self.accounts if text in one.tenant.lower() or text in one.metric.lower()]
        return heapq.nsmallest(most, found, key=lambda one: (one.balanced, one.at_rest)), len(found)

    def as_json(self, most: int | None = None, search: str = "") -> dict[str, Any]:
        """
        Return the books in the shape of `status --json`, with all accounts, or with `most` that stand out.
        """
        accounts, matching = (self.accounts, len(self.accounts)) if most is None else self.standing_out(most, search)
        return {
            "totals": self.totals,
            "delivered": self.delivered,
            "accounts": len(self.accounts),
            "matching": matching,
            "books": [
                {
                    "tenant": account.tenant,
                    "metric": account.metric,
                    "received": account.received,
                    "in_flight": account.in_flight,
                    "held": account.held,
                    "rejected": account.rejected,
                    "laked": account.laked,
                    "store": dict(account.store),
                    "destinations": {name: dict(counters) for name, counters in account.destinations.items()},
                }
                for account in accounts
            ],
            "domain_events": {
                "accepted": self.domain_events.accepted,
                "in_flight": self.domain_events.in_flight,
                "archived": self.domain_events.archived,
                "matched": self.domain_events.matched,
                "unmatched": self.domain_events.unmatched,
            },
            "balanced": self.balanced,
        }


DOMAIN_EVENTS = "(domain events)"
"""The metric name under which the counters of domain events are kept, for no tenant."""


def build(
    counters: Iterable[Delta], in_flight: Counts, events_in_flight: int, waiting: Counts,
    undelivered: Mapping[str, Counts] | None = None,
) -> Books:  # fmt: skip
    """
    Make the books of the counters, of what the journal holds unannounced, and of what the store has yet to load.

    `undelivered` says the same of the other destinations, by name; those that it does not name are left out.
    """
    others = undelivered or {}
    accounts: dict[Key, Account] = {}
    domain: dict[str, int] = {"in_flight": events_in_flight}
    for delta in counters:
        if delta.metric == DOMAIN_EVENTS:
            domain[delta.counter] = domain.get(delta.counter, 0) + delta.amount
            continue
        account = _account(accounts, (delta.tenant, delta.metric), others)
        if delta.scope == STORE:
            account.store[delta.counter] += delta.amount
        elif delta.scope == STREAM:
            setattr(account, delta.counter, getattr(account, delta.counter) + delta.amount)
        elif delta.scope in others:
            account.destinations[delta.scope][delta.counter] += delta.amount
    for key, amount in in_flight.items():
        _account(accounts, key, others).in_flight += amount
    for key, amount in waiting.items():
        _account(accounts, key, others).store["waiting"] += amount
    for name, counts in others.items():
        for key, amount in counts.items():
            _account(accounts, key, others).destinations[name]["waiting"] += amount
    ordered = tuple(accounts[key] for key in sorted(accounts))
    return Books(ordered, DomainEvents(**domain))


def _account(accounts: dict[Key, Account], key: Key, names: Iterable[str]) -> Account:
    if key not in accounts:
        destinations = {name: dict.fromkeys(DESTINATION_COUNTERS, 0) for name in names}
        accounts[key] = Account(*key, destinations=destinations)
    return accounts[key]
