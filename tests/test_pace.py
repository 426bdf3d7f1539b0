"""
When a body or an answer moves too slowly.
"""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from metriclake.pace import LEAST_BYTES, Pace


@given(
    gaps=st.lists(st.integers(0, 19), max_size=30),
    size=st.integers(LEAST_BYTES, 10 * LEAST_BYTES),
)
def test_enough_in_each_stretch_is_never_too_slow(gaps: list[int], size: int) -> None:
    """
    However the pauses lie, each shorter than the patience: as long as each brings enough, there is more time.
    """
    now, pace = 0.0, Pace(20, 0)
    for gap in gaps:
        now += gap
        assert now < pace.until
        pace.move(size, now)


@given(moves=st.lists(st.tuples(st.integers(0, 100), st.integers(0, LEAST_BYTES)), max_size=50))
def test_time_is_bounded_by_what_has_moved(moves: list[tuple[int, int]]) -> None:
    """
    However the bytes are spread, no more time is given than one stretch, and one more for each `LEAST_BYTES`.
    """
    now, pace, moved = 0.0, Pace(20, 0), 0
    ends = [pace.until]
    for gap, size in moves:
        now += gap
        if now > pace.until:
            break
        moved += size
        pace.move(size, now)
        ends.append(pace.until)

    assert pace.until <= 20 * (1 + moved // LEAST_BYTES)
    assert all(before <= after for before, after in pairwise(ends))
