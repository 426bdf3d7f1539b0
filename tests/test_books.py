"""
The books balance where every metric event is somewhere, and say so where one is not.
"""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metriclake.books import DOMAIN_EVENTS, STORE, STORE_COUNTERS, STREAM, Account, Delta, DomainEvents, build
from metriclake.event import NO_METRIC, NO_TENANT

KEYS = st.sampled_from([("acme", "m"), ("acme", "n"), ("globex", "m"), (NO_TENANT, NO_METRIC)])
PLACES = st.sampled_from(["in flight", "held", "rejected", *STORE_COUNTERS])
HISTORIES = st.lists(st.tuples(KEYS, PLACES), max_size=40)


@given(HISTORIES)
def test_books_balance_when_every_event_has_a_place(history: list[tuple[tuple[str, str], str]]) -> None:
    """
    For every tenant and metric: received = in flight + held + rejected + laked, laked = the store's fates.
    """
    deltas, in_flight, waiting = [], Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for key, place in history:
        deltas.append(Delta(STREAM, *key, "received", 1))
        if place == "in flight":
            in_flight[key] += 1
        elif place in ("held", "rejected"):
            deltas.append(Delta(STREAM, *key, place, 1))
        else:
            deltas.append(Delta(STREAM, *key, "laked", 1))
            if place == "waiting":
                waiting[key] += 1
            else:
                deltas.append(Delta(STORE, *key, place, 1))
    books = build(deltas, in_flight, 0, waiting)

    assert books.balanced
    assert Counter(key for key, _ in history) == Counter({(a.tenant, a.metric): a.received for a in books.accounts})
    assert sorted({key for key, _ in history}) == [(account.tenant, account.metric) for account in books.accounts]


@pytest.mark.parametrize("counter", ["received", "in_flight", "held", "rejected", "laked"])
def test_missing_event_is_news(counter: str) -> None:
    """
    One event that is counted in one place only unbalances its account.
    """
    account = Account("acme", "m")
    assert account.balanced
    setattr(account, counter, 1)

    assert not account.balanced


def test_event_that_the_store_lost_is_news() -> None:
    """
    What is laked must have a fate in the store.
    """
    books = build([Delta(STREAM, "acme", "m", "received", 1), Delta(STREAM, "acme", "m", "laked", 1)], {}, 0, {})

    assert not books.balanced
    assert build([], {}, 0, {}).balanced


def test_destination_has_a_place_for_each_laked_event() -> None:
    """
    What is laked was delivered, is dead, waits or is not mapped at each destination; one that is nowhere is news.
    """
    laked = [Delta(STREAM, "acme", "m", "received", 4), Delta(STREAM, "acme", "m", "laked", 4)]
    stored = [Delta(STORE, "acme", "m", "stored", 4)]
    crm = [Delta("crm", "acme", "m", counter, 1) for counter in ("delivered", "dead", "not_mapped")]
    books = build([*laked, *stored, *crm], {}, 0, {}, {"crm": {("acme", "m"): 1}})

    assert books.balanced
    assert books.delivered == {"crm": {"delivered": 1, "dead": 1, "waiting": 1, "not_mapped": 1}}
    assert books.as_json()["books"][0]["destinations"] == books.delivered
    assert not build([*laked, *stored, *crm], {}, 0, {}, {"crm": {}}).balanced


def test_destination_that_is_gone_is_left_out() -> None:
    """
    The counters of a destination that is not named are not shown, and unbalance nothing.
    """
    books = build([Delta("crm", "acme", "m", "delivered", 1)], {}, 0, {}, {})

    assert books.balanced
    assert books.accounts[0].destinations == {}


@pytest.mark.parametrize(
    ("events", "balanced"),
    [
        (DomainEvents(), True),
        (DomainEvents(accepted=5, in_flight=2, archived=3, matched=1, unmatched=2), True),
        (DomainEvents(accepted=5, in_flight=1, archived=3, matched=1, unmatched=2), False),
        (DomainEvents(accepted=5, in_flight=2, archived=3, matched=1, unmatched=1), False),
    ],
)
def test_domain_events_balance(events: DomainEvents, balanced: bool) -> None:  # noqa: FBT001 - pytest gives it by name
    """
    Accepted = in flight + archived, and archived = matched + unmatched.
    """
    assert events.balanced is balanced


def test_domain_events_are_no_account() -> None:
    """
    The counters of domain events stand beside the accounts.
    """
    books = build([Delta(STREAM, NO_TENANT, DOMAIN_EVENTS, "accepted", 2)], {}, 2, {})

    assert books.accounts == ()
    assert books.domain_events == DomainEvents(accepted=2, in_flight=2)


def test_what_stands_out_comes_first() -> None:
    """
    Of many accounts those that do not balance are listed first, then what waits; a text chooses among them.
    """
    counters = [
        *(Delta(STREAM, f"t{number}", "m", counter, 1) for number in range(9) for counter in ("received", "laked")),
        *(Delta(STORE, f"t{number}", "m", "stored", 1) for number in range(9) if number not in (5, 7)),
    ]
    books = build(counters, {}, 0, {("t5", "m"): 1})

    def listed(most: int, search: str = "") -> tuple[list[str], int]:
        accounts, matching = books.standing_out(most, search)
        return [account.tenant for account in accounts], matching

    assert listed(4) == (["t7", "t5", "t0", "t1"], 9)
    assert listed(4, "T5") == (["t5"], 1)
    assert listed(1, "M") == (["t7"], 9)
    assert listed(0) == ([], 9)
    said = books.as_json(1)
    assert ([row["tenant"] for row in said["books"]], said["accounts"], said["totals"]["laked"]) == (["t7"], 9, 9)


def test_shape_of_the_status() -> None:
    """
    The books read in `status --json` as the contract says.
    """
    books = build([Delta(STREAM, "acme", "m", "received", 1)], {("acme", "m"): 1}, 0, {})

    nothing = dict.fromkeys(("held", "rejected", "laked", *(f"store_{name}" for name in STORE_COUNTERS)), 0)
    assert books.as_json() == {
        "totals": {"received": 1, "in_flight": 1, **nothing},
        "delivered": {},
        "accounts": 1,
        "matching": 1,
        "books": [
            {
                "tenant": "acme", "metric": "m", "received": 1, "in_flight": 1, "held": 0, "rejected": 0, "laked": 0,
                "store": dict.fromkeys(
                    ("stored", "duplicate", "conflict", "expired", "deleted", "dead", "waiting"), 0
                ),
                "destinations": {},
            }
        ],
        "domain_events": {"accepted": 0, "in_flight": 0, "archived": 0, "matched": 0, "unmatched": 0},
        "balanced": True,
    }  # fmt: skip
