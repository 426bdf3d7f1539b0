"""
What is done every few seconds.
"""

from __future__ import annotations

import threading

from metriclake.repeat import Repeat


def test_an_act_that_fails_is_followed_by_the_next() -> None:
    """
    A failure ends one time and not the thread.
    """
    times = []
    went_well = threading.Event()

    def act() -> None:
        times.append(1)
        if len(times) == 1:
            msg = "the first time"
            raise RuntimeError(msg)
        went_well.set()

    repeat = Repeat("test", 0.01, act)
    repeat.start()
    try:
        assert went_well.wait(10)
    finally:
        repeat.stop()
