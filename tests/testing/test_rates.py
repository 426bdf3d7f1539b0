"""
An account's rate, beside a plain count of the same.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from metriclake.testing.rates import Rate

STEPS = st.lists(st.tuples(st.integers(0, 4), st.integers(1, 6)), max_size=40)


@given(STEPS, st.integers(1, 20), st.integers(1, 10))
def test_as_a_plain_count(steps: list[tuple[int, int]], limit: int, seconds: int) -> None:
    """
    What is left is the limit without what was used in the last seconds; after the wait there is room, before it not.
    """
    rate, used, now = Rate(limit, seconds), list[tuple[int, int]](), 0
    for pause, amount in steps:
        now += pause
        recent = sum(each for at, each in used if at > now - seconds)
        assert rate.left(now) == limit - recent
        if amount <= limit - recent:
            rate.use(amount, now)
            used.append((now, amount))
            continue
        wait = rate.wait(amount, now)
        room = [
            limit - sum(each for at, each in used if at > now + later - seconds) >= min(amount, limit)
            for later in range(seconds + 1)
        ]
        assert wait == room.index(True)


def test_no_limit() -> None:
    """
    Without a limit there is always room.
    """
    rate = Rate(0, 1)
    rate.use(1e9, 0)

    assert (rate.left(0), rate.wait(1, 0)) == (float("inf"), 0)
