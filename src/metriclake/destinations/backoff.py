"""
How long to wait before a try that follows a failed one: exponential, with full jitter. Pure.
"""

from __future__ import annotations

_BASE_SECONDS = 1.0
_CAP_SECONDS = 60.0
_MOST_DOUBLINGS = 10


def backoff(failures: int, chance: float) -> float:
    """
    Return the seconds to wait after so many failures, from 1 on; `chance` is random, from 0 up to 1.

    Any moment up to twice the last bound is as likely as any other, so that many who failed together do not come back
    together.
    """
    bound = min(_CAP_SECONDS, _BASE_SECONDS * 2.0 ** min(max(failures, 1) - 1, _MOST_DOUBLINGS))
    return chance * bound
