"""
Batches: as many records as fit, in order, none beyond the limits; and how long to wait after failures.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from destinations.scripted import record
from metriclake.destinations import Capabilities
from metriclake.destinations.backoff import backoff
from metriclake.destinations.batches import fill, too_large


@given(
    st.lists(st.integers(1, 50), min_size=1, max_size=30), st.integers(1, 10),
    st.none() | st.integers(50, 200),
)  # fmt: skip
def test_batches_keep_the_limits_and_waste_nothing(sizes: list[int], most: int, size: int | None) -> None:
    """
    Every batch is within count and bytes, and the next record would not have fitted.
    """
    capabilities = Capabilities(records=most, bytes=size)
    left = [record(str(index), size=length) for index, length in enumerate(sizes)]
    while left:
        count = fill(left, capabilities)
        used = sum(len(one.body) for one in left[:count])

        assert 1 <= count <= most
        assert size is None or used <= size
        assert count in (most, len(left)) or (size is not None and used + len(left[count].body) > size)
        left = left[count:]


def test_too_large_is_more_than_either_limit() -> None:
    """
    A record must fit alone, and into a batch; without limits every record does.
    """
    assert too_large(record("a", size=11), Capabilities(record_bytes=10, bytes=100))
    assert too_large(record("a", size=11), Capabilities(bytes=10))
    assert not too_large(record("a", size=10), Capabilities(record_bytes=10, bytes=10))
    assert not too_large(record("a", size=10**6), Capabilities())


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_wait_is_anywhere_below_its_bound(failures: int, chance: float) -> None:
    """
    A wait is never longer than a minute, nor than twice the bound before, and as long as chance has it.
    """
    wait, most = backoff(failures, chance), backoff(failures, 1.0)

    assert 0 <= wait <= most <= 60
    assert wait == chance * most
    assert most == min(60, 2.0 ** (min(failures, 100) - 1))
