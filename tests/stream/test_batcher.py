"""
When a batch closes.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metriclake.stream.batcher import Close, Limits, Wait, Waiting, decide

LIMITS = Limits(seconds=60.0, size=100)
ENTRIES = st.lists(st.tuples(st.integers(1, 150), st.integers(0, 90)), max_size=30)
"""Entries as (bytes, seconds since the one before)."""


def waiting(*sizes: int, seen: float = 1000.0) -> list[Waiting]:
    """
    Return entries of these sizes, all seen at one moment.
    """
    return [Waiting(offset, size, 0, seen) for offset, size in enumerate(sizes, start=1)]


@pytest.mark.parametrize(
    ("entries", "now", "verdict"),
    [
        ([], 1000.0, Wait(None)),
        (waiting(10), 1000.0, Wait(60.0)),
        (waiting(10), 1045.0, Wait(15.0)),
        (waiting(10, 20), 1060.0, Close(2)),
        (waiting(99), 1000.0, Wait(60.0)),
        (waiting(99, 1), 1000.0, Close(2)),
        (waiting(99, 1, 1), 1000.0, Close(2)),
        (waiting(500, 500), 1000.0, Close(1)),
        (waiting(10, seen=2000.0), 1000.0, Wait(1060.0)),
    ],
)
def test_batch_closes_by_age_or_by_size(entries: Sequence[Waiting], now: float, verdict: Close | Wait) -> None:
    """
    A batch closes at 60 s after its first entry or with the entry that fills it, the earlier.
    """
    assert verdict == decide(entries, now, LIMITS)


def test_flush_closes_what_there_is() -> None:
    """
    A flush closes an open batch, and nothing where nothing waits.
    """
    assert Close(1) == decide(waiting(10), 1000.0, LIMITS, flush=True)
    assert Wait(None) == decide([], 1000.0, LIMITS, flush=True)


def test_flush_keeps_to_the_size() -> None:
    """
    A flush does not make a batch larger than it would have been.
    """
    assert Close(2) == decide(waiting(60, 60, 60), 1000.0, LIMITS, flush=True)


@given(ENTRIES)
def test_every_entry_ends_in_one_batch(entries: list[tuple[int, int]]) -> None:
    """
    Whatever comes: each entry in one batch, in order; none closed early, none held longer than told.
    """
    batches = drive(entries)

    assert list(range(len(entries))) == [entry.offset for batch, _ in batches for entry in batch]
    for batch, closed_at in batches:
        size = sum(entry.size for entry in batch)
        age = closed_at - batch[0].seen
        assert size >= LIMITS.size or age >= LIMITS.seconds, "closed early"
        assert size - batch[-1].size < LIMITS.size, "went on after it was full"
        assert age <= LIMITS.seconds, "held too long"


def drive(entries: list[tuple[int, int]]) -> list[tuple[list[Waiting], float]]:
    """
    Obey the batcher as the worker does: act at each arrival and at each moment it asks for; return the batches.
    """
    batches: list[tuple[list[Waiting], float]] = []
    held: list[Waiting] = []
    now = 0.0
    for offset, (size, gap) in enumerate(entries):
        now = advance(held, batches, now, now + gap)
        held.append(Waiting(offset, size, 0, now))
    advance(held, batches, now, now + 1000)
    return batches


def advance(held: list[Waiting], batches: list[tuple[list[Waiting], float]], now: float, to: float) -> float:
    """
    Let the clock go on from `now` to `to`, closing what the batcher says.
    """
    while True:
        verdict = decide(held, now, LIMITS)
        if isinstance(verdict, Close):
            batches.append((held[: verdict.entries], now))
            del held[: verdict.entries]
        elif verdict.seconds is None or now + verdict.seconds > to:
            return to
        else:
            assert verdict.seconds > 0
            now += verdict.seconds
