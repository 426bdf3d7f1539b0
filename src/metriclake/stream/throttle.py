"""
Decide how much room work that can wait leaves to events that arrive. Pure: what waits where is an argument.
"""

from __future__ import annotations

from dataclasses import dataclass

_LATE_SECONDS = 2.0
_MOST_WAITING = 16
_LAGGING_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Load:
    """
    What waits: entries for the stream, announcements for the store.

    `late` is for how many seconds more than its buffer asks the oldest entry has waited.
    """

    late: float = 0.0
    entries: int = 0
    announcements: int = 0


@dataclass(frozen=True, slots=True)
class Pause:
    """
    For how many seconds to do nothing, and what is waited for.
    """

    seconds: float = 0.0
    reason: str = ""


def before(load: Load) -> Pause:
    """
    Say whether to wait before doing anything: while the stream or the store lags.
    """
    if load.late > _LATE_SECONDS:
        return Pause(_LAGGING_SECONDS, "the stream lags behind what arrives")
    if load.announcements > _MOST_WAITING:
        return Pause(_LAGGING_SECONDS, "the store has yet to load what is announced")
    return Pause()


def after(load: Load, worked: float) -> Pause:
    """
    Say how long to rest after so many seconds of work: as long as that while events arrive, else not at all.
    """
    return Pause(worked) if load.entries else Pause()
