"""
What was counted anew is held against the counters: what differs is said, and nothing else.
"""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metriclake.books import DOMAIN_EVENTS, STORE, STREAM
from metriclake.event import NO_METRIC, NO_TENANT
from metriclake.recount import ANNOUNCED, IN_FLIGHT, Row, compare

KEYS = st.sampled_from([("acme", "m"), ("acme", "n"), ("globex", "m"), (NO_TENANT, NO_METRIC)])
PLACES = st.sampled_from(["in flight", "held", "rejected", "waiting", "stored", "duplicate", "expired"])
HISTORIES = st.lists(
    st.tuples(KEYS, PLACES, st.sampled_from(["delivered", "dead", "waiting", "waiting again", "not_mapped"]))
)
Slot = tuple[str, str, str, str]


def rows(counts: Counter[Slot]) -> list[Row]:
    """
    Return counts as rows, each in two parts, as slices bring them.
    """
    return [(*key, part) for key, amount in counts.items() for part in (amount // 2, amount - amount // 2)]


def follow(history: list[tuple[tuple[str, str], str, str]]) -> tuple[Counter[Slot], Counter[Slot]]:
    """
    Return what the counters say of events that each are somewhere, and what is found of them.
    """
    said, found = Counter[Slot](), Counter[Slot]()
    for key, place, elsewhere in history:
        said[STREAM, *key, "received"] += 1
        if place == "in flight":
            found[STREAM, *key, IN_FLIGHT] += 1
        elif place in ("held", "rejected"):
            said[STREAM, *key, place] += 1
            found[STREAM, *key, place] += 1
        else:
            said[STREAM, *key, "laked"] += 1
            found.update([(STREAM, *key, "laked"), (STREAM, *key, ANNOUNCED)])
            if place != "waiting":
                said[STORE, *key, place] += 1
                found[STORE, *key, ANNOUNCED] += 1
                found[STORE, *key, "stored"] += place == "stored"
            if elsewhere != "waiting":
                said["crm", *key, elsewhere.removesuffix(" again")] += 1
                found["crm", *key, ANNOUNCED] += 1
            if elsewhere in ("dead", "waiting again"):
                found["crm", *key, elsewhere.removesuffix(" again")] += 1
    return said, found


@given(HISTORIES)
def test_nothing_differs_where_every_event_is_where_the_books_say(
    history: list[tuple[tuple[str, str], str, str]],
) -> None:
    """
    Whatever became of the events: counted anew they are what the counters say.
    """
    said, found = follow(history)
    verdict = compare(rows(said), rows(found), [])

    assert (verdict.differences, verdict.left) == ([], 0)


@given(HISTORIES.filter(bool), st.data())
def test_one_event_more_or_less_is_said(history: list[tuple[tuple[str, str], str, str]], data: st.DataObject) -> None:
    """
    A counter that is wrong by one is named with its tenant and metric, and by how much.
    """
    said, found = follow(history)
    key = data.draw(st.sampled_from(sorted(said)))
    by = data.draw(st.sampled_from([-1, 1]))
    said[key] += by
    differences = compare(rows(said), rows(found), []).differences

    assert differences
    assert {(one.tenant, one.metric, one.by) for one in differences} == {(key[1], key[2], -by)}
    assert {one.scope for one in differences} == {key[0]}


def test_domain_events_are_compared() -> None:
    """
    What was accepted is in flight or archived, and what was archived matched a rule or none.
    """
    said = [
        (STREAM, NO_TENANT, DOMAIN_EVENTS, name, n) for name, n in (("accepted", 5), ("archived", 3), ("matched", 2))
    ]
    found = [
        (STREAM, NO_TENANT, DOMAIN_EVENTS, name, n) for name, n in ((IN_FLIGHT, 2), ("archived", 3), ("matched", 3))
    ]
    (one,) = compare(said, found, []).differences

    assert (one.counter, one.said, one.found, one.by) == ("matched", 2, 3, 1)


@pytest.mark.parametrize(("stored", "aged", "left", "differ"), [(3, True, 2, 0), (3, False, 0, 1), (6, True, 0, 1)])
def test_rows_may_leave_by_their_retention(stored: int, aged: bool, left: int, differ: int) -> None:  # noqa: FBT001 - a row of a table
    """
    Fewer rows than were stored are no fault where the oldest were beyond their retention; more always are.
    """
    said = [(STREAM, "acme", "m", name, 5) for name in ("received", "laked")] + [(STORE, "acme", "m", "stored", 5)]
    found = [(STREAM, "acme", "m", name, 5) for name in ("laked", ANNOUNCED)]
    found += [(STORE, "acme", "m", ANNOUNCED, 5), (STORE, "acme", "m", "stored", stored)]
    verdict = compare(said, found, [("acme", "m")] if aged else [])

    assert (verdict.left, len(verdict.differences)) == (left, differ)
