"""
Why a destination does not take everything, for as long as anything waits for that, and what of it is logged. Pure.

A service that fails now and then begins and ends to fail with every answer: that is said once a minute at most.
"""

from __future__ import annotations

from enum import Enum

from metriclake.destinations.destination import Fate, Receipt, Verdict
from metriclake.destinations.tries import Job

_QUIET_SECONDS = 60.0
_FAILED = frozenset({Verdict.RETRY, Verdict.UNKNOWN})


class Said(Enum):
    """
    What is to be logged.
    """

    BEGINS = "does not take all"
    ENDS = "takes all again"


class Trouble:
    """
    What is wrong with one destination. Times are seconds of a clock that never goes back.
    """

    def __init__(self) -> None:
        """
        Begin without any.
        """
        self._words = ""
        self._failing: set[Job] = set()
        self._away = False
        self._said = False
        self._quiet_until = 0.0

    def begin(self, *, blocked: bool) -> None:
        """
        Have something in hand; `blocked` says that nothing was taken lately, and that it has to wait for that.
        """
        self._failing.clear()
        self._away = blocked

    def end(self) -> None:
        """
        Have nothing in hand any more: nothing waits.
        """
        self._failing.clear()
        self._away = False

    def fail(self, job: Job) -> None:
        """
        Let a record wait that was not taken.
        """
        self._failing.add(job)

    def settle(self, job: Job) -> None:
        """
        Let one wait no longer: it has its ending.
        """
        self._failing.discard(job)

    def hear(self, receipt: Receipt, now: float) -> Said | None:
        """
        Look at an answer whose records were told before; returns what is to be logged.
        """
        failed = next((fate for fate in receipt.fates if fate.verdict in _FAILED), None)
        self._away = self._away and receipt.blocked
        if failed is not None:
            self._words = _words(failed)
            if self._said or now < self._quiet_until:
                return None
            self._said = True
            return Said.BEGINS
        if not self._said or self._failing:
            return None
        self._said, self._quiet_until = False, now + _QUIET_SECONDS
        return Said.ENDS

    @property
    def why(self) -> str:
        """
        Return the destination's words, empty where nothing waits.
        """
        return self._words if self._failing or self._away else ""


def _words(fate: Fate) -> str:
    return f"{fate.reason or fate.verdict}: {fate.detail}" if fate.detail else fate.reason or str(fate.verdict)
