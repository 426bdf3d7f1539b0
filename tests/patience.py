"""
Wait for what another thread does: until it is so, and not for ever.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

_STEP_SECONDS = 0.01
_MOST_STEPS = 3000


def until(condition: Callable[[], object]) -> None:
    """
    Return when `condition` holds; fails where it does not come to hold.
    """
    pause = threading.Event()
    for _ in range(_MOST_STEPS):
        if condition():
            return
        pause.wait(_STEP_SECONDS)
    raise AssertionError("what was waited for did not come")
