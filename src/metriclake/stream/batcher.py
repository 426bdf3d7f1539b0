"""
Decide when a batch closes: at so many seconds after its first entry or at so many bytes, the earlier.

Pure: the clock is an argument, the verdict a value. The clock is a monotonic one, so that a step of the wall clock
neither closes a batch nor holds it open. An entry is never split: a batch ends with the one that fills it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """
    When a batch is full: `seconds` since its first entry was seen, or `size` bytes of entries.
    """

    seconds: float
    size: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """
    An entry that no batch holds: its offset, its size in bytes, its arrival, and when the batcher saw it first.

    `arrived_at` is wall-clock microseconds, `seen` monotonic seconds.
    """

    offset: int
    size: int
    arrived_at: int
    seen: float


@dataclass(frozen=True, slots=True)
class Close:
    """
    Close a batch of the first `entries` that wait.
    """

    entries: int


@dataclass(frozen=True, slots=True)
class Wait:
    """
    Nothing to close for `seconds`, or until more arrives; None is for ever.
    """

    seconds: float | None


def decide(waiting: Sequence[Waiting], now: float, limits: Limits, *, flush: bool = False) -> Close | Wait:
    """
    Return what to do with the entries that wait, in order of offset; `flush` closes whatever there is.
    """
    if not waiting:
        return Wait(None)
    size = 0
    for count, entry in enumerate(waiting, start=1):
        size += entry.size
        if size >= limits.size:
            return Close(count)
    age = now - waiting[0].seen
    if flush or age >= limits.seconds:
        return Close(len(waiting))
    return Wait(limits.seconds - age)
