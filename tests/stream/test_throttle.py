"""
Work that can wait leaves room to what arrives.
"""

from __future__ import annotations

import pytest

from metriclake.stream.throttle import Load, after, before


@pytest.mark.parametrize(
    ("load", "reason"),
    [
        (Load(), ""),
        (Load(late=-60, entries=400), ""),
        (Load(late=2.5, entries=1), "the stream"),
        (Load(announcements=16), ""),
        (Load(announcements=17), "the store"),
    ],
)
def test_it_waits_while_the_stream_or_the_store_lags(load: Load, reason: str) -> None:
    """
    What waits for its buffer lags by nothing; late entries and many announcements hold it up, and it says which.
    """
    pause = before(load)

    assert (pause.seconds > 0, pause.reason.startswith(reason)) == (bool(reason), True)


def test_it_rests_as_long_as_it_worked_while_events_arrive() -> None:
    """
    Half of the time at most, and all of it where nothing arrives.
    """
    assert (after(Load(entries=1), 0.3).seconds, after(Load(), 0.3).seconds) == (0.3, 0)
