"""
What is held aside comes back as it would have gone on, in its order, once.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metriclake.entry import EntryKind, Held, HeldInfo, Seal, StoredEntry
from metriclake.stream.compose import Answers, Composed, Plan, Sorted, compose, sort
from metriclake.stream.held import Choice, Verdict, choose, decode_verdict, encode_verdict, hold, take_back
from stream.plans import DAY, SEALED_AT, event, lines, metric, plan

SEAL = Seal("0123abcd", 0, 7, 1, 9, SEALED_AT - 1_000_000, SEALED_AT, 1)
LATER = Seal("0123abcd", 0, 8, 10, 9, SEALED_AT - 1_000_000, SEALED_AT + 20_000 * DAY, 1)
KNOWN: Answers = {"acme": {"name": "Acme"}, "globex": None}
WAITING = plan(wait=True)

VALUES = st.one_of(
    st.booleans(),
    st.text(max_size=5),
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(2**53), 2**53),
)
RECORDS = st.lists(
    st.tuples(
        st.sampled_from(["acme", "globex", "initech"]), st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3)
    ),
    max_size=12,
)  # fmt: skip


def stored(*bodies: bytes) -> list[StoredEntry]:
    """
    Return entries of metric events as the journal gives them.
    """
    return [
        StoredEntry(offset, EntryKind.METRICS, SEALED_AT, body.count(b"\n"), body)
        for offset, body in enumerate(bodies, 1)
    ]


def written(batch: Sorted, entries: list[StoredEntry], used: Plan, seal: Seal = SEAL) -> Composed:
    """
    Enrich and write out.
    """
    return compose(batch, entries, seal, used, KNOWN)


def data_lines(made: Composed, prefix: str = "Data/") -> list[bytes]:
    """
    Return the lines of the objects below a prefix.
    """
    found = [content.lines for content in made.contents if content.about.path.startswith(prefix)]
    return [line for text in found for line in text.splitlines()]


def held_and_back(entries: list[StoredEntry], first: Plan = WAITING, second: Plan = WAITING) -> Sorted:
    """
    Hold all of a batch aside, and take it back in a seal of another plan, long after.
    """
    batch = sort(entries, SEAL, first)
    held = hold(batch, first, Verdict({}))
    assert batch.passed == []
    later = sort([], LATER, second)
    take_back(later, held, second)
    return later


@given(RECORDS)
@settings(deadline=None)
def test_what_was_held_is_what_would_have_gone_on(records: list[tuple[str, dict[str, Any]]]) -> None:
    """
    Held and taken back, however late, each metric event is the same, byte for byte, and is counted the same.
    """
    entries = stored(lines(*(metric(str(n), data, tenant) for n, (tenant, data) in enumerate(records))))
    straight = written(sort(entries, SEAL, plan()), entries, plan())
    batch = held_and_back(entries)
    back = written(batch, [], WAITING, LATER)

    assert Counter(data_lines(straight)) == Counter(data_lines(back))
    assert sum(batch.freed.values()) == len(data_lines(back))
    assert back.manifest.received == []


@given(RECORDS, st.sets(st.sampled_from(["acme", "globex", "initech"])))
@settings(deadline=None)
def test_everything_goes_on_or_is_held(records: list[tuple[str, dict[str, Any]]], behind: set[str]) -> None:
    """
    A tenant's records go on in their order, or all are held: nothing is lost, doubled or overtaken.
    """
    entries = stored(lines(*(metric(str(n), data, tenant) for n, (tenant, data) in enumerate(records))))
    batch = sort(entries, SEAL, WAITING)
    everything = [(draft.tenant, draft.event_id) for draft in batch.passed]
    held = hold(batch, WAITING, Verdict(dict(KNOWN), sorted(behind)))  # type: ignore[arg-type] # answers are dicts
    gone = [(draft.tenant, draft.event_id) for draft in batch.passed]
    back = Sorted()
    take_back(back, held, WAITING)
    stayed = [(draft.tenant, draft.event_id) for draft in back.passed]

    assert {tenant for tenant, _ in stayed} == {tenant for tenant, _ in everything} & (behind | {"initech"})
    assert gone == [one for one in everything if one not in stayed]
    assert sorted(everything) == sorted(gone + stayed)
    for tenant in ("acme", "globex", "initech"):
        assert [one for one in stayed if one[0] == tenant] == [
            one for one in everything if one[0] == tenant and one in stayed
        ]


def test_refusal_after_waiting_keeps_the_record() -> None:
    """
    A tenant that turns out to be unknown is refused where told so, with the raw record of the domain event.
    """
    entry = StoredEntry(1, EntryKind.EVENTS, SEALED_AT, 1, lines(event("1", {"tenant_id": "globex"})))
    used = plan(wait=True, accept_unknown=False)
    batch = held_and_back([entry], used, used)
    made = written(batch, [], used, LATER)

    (error,) = made.manifest.errors
    assert (error.reason, error.counts) == ("unknown-tenant", [("globex", "uploads", 1)])
    assert batch.passed[0].raw + b"\n" == entry.body
    assert batch.passed[0].arrived_at == batch.freed_at == SEALED_AT


@pytest.mark.parametrize(
    ("kind", "value", "lake"), [("integer", 3, b'"size":3}'), (None, 3, b'"size":3.0}'), ("string", 3, None)]
)
def test_types_are_those_of_the_version_that_lakes_it(kind: str | None, value: int, lake: bytes | None) -> None:
    """
    A measure that was an integer when it was held is what the pipeline file says when it goes on, or is refused.
    """
    entries = [StoredEntry(1, EntryKind.EVENTS, SEALED_AT, 1, lines(event("1", {"size": value})))]
    second = plan(wait=True, types={"uploads": {"size": kind}} if kind else {})
    made = written(held_and_back(entries, WAITING, second), [], second, LATER)

    if lake is None:
        assert [about.reason for about in made.manifest.errors] == ["type-mismatch"]
    else:
        (line,) = data_lines(made)
        assert lake in line


def test_nothing_is_held_where_told_to_pass() -> None:
    """
    With `pass` a tenant of whom nothing can be said goes on without attributes, also where unknown ones are refused.
    """
    used = plan(accept_unknown=False)
    entries = stored(lines(metric("1", tenant="silent")))
    batch = sort(entries, SEAL, used)

    assert hold(batch, used, Verdict({})) == []
    assert len(data_lines(written(batch, entries, used))) == 1


def test_choice_is_bounded_and_in_order() -> None:
    """
    As much is freed as fits, each tenant's oldest first; who has more, or cannot go, is behind.
    """
    held = {
        tenant: [HeldInfo(number, tenant, 1, size) for number, size in parts]
        for tenant, parts in {
            "a": [(1, 60), (4, 30)],
            "b": [(2, 30), (3, 5)],
            "c": [(5, 1)],
            "d": [],
        }.items()
    }

    assert choose(held, ["a", "b", "c", "d"], 100) == Choice((1, 4, 5), ("b",))
    assert choose(held, ["b"], 10) == Choice((2,), ("a", "b", "c"))
    assert choose(held, [], 10) == Choice((), ("a", "b", "c"))
    assert choose({}, ["x"], 10) == Choice((), ())


@given(
    st.dictionaries(st.text(), st.one_of(st.none(), st.dictionaries(st.text(), st.text()))), st.sets(st.text())
)  # fmt: skip
def test_verdict_is_pinned_as_it_is(answers: dict[str, dict[str, str] | None], behind: set[str]) -> None:
    """
    Decoding undoes encoding, unknown tenants included.
    """
    assert Verdict(answers, sorted(behind)) == decode_verdict(encode_verdict(answers, behind))


def test_held_is_described() -> None:
    """
    What is held says of whom, since when and how many.
    """
    batch = sort(stored(lines(metric("1"), metric("2", tenant="globex"), metric("3"))), SEAL, WAITING)
    held = hold(batch, WAITING, Verdict({}))

    assert [(one.tenant, one.oldest_at, one.counts) for one in held] == [
        ("acme", SEALED_AT, {("acme", "posted"): 2}),
        ("globex", SEALED_AT, {("globex", "posted"): 1}),
    ]
    assert all(isinstance(one, Held) for one in held)
