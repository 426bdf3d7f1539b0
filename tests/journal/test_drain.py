"""
How soon a full journal has room again.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from metriclake.journal.drain import LONGEST_SECONDS, UNKNOWN_SECONDS, Drain


def drained(*left: tuple[float, int]) -> Drain:
    """
    Return a drain that has seen this leave.
    """
    drain = Drain()
    for now, size in left:
        drain.note(size, now)
    return drain


def test_follows_the_rate() -> None:
    """
    At 100 bytes a second, 450 more have left in five seconds.
    """
    assert drained((0, 7), (1, 100), (2, 100)).seconds_until(450, 2) == 5


def test_grows_while_nothing_leaves() -> None:
    """
    A drain that has stopped says longer times the longer it has.
    """
    drain = drained((0, 7), (1, 100))

    assert [drain.seconds_until(100, now) for now in (1, 10, 30, 1000)] == [1, 10, 30, LONGEST_SECONDS]


def test_says_a_guess_before_it_knows() -> None:
    """
    Before two batches have left nothing is known.
    """
    assert drained((0, 7)).seconds_until(1, 1) == UNKNOWN_SECONDS


@given(st.lists(st.integers(0, 10**9), max_size=20), st.integers(1, 10**9), st.floats(0, 10**6))
def test_is_whole_seconds_within_bounds(sizes: list[int], size: int, late: float) -> None:
    """
    Whatever left, the answer is from 1 to 60.
    """
    drain = drained(*((float(at), amount) for at, amount in enumerate(sizes)))

    assert 1 <= drain.seconds_until(size, len(sizes) + late) <= LONGEST_SECONDS
