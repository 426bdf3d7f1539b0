"""
The places at which a test may kill the process: after each step that makes something durable.

Unarmed, reaching one costs a comparison. Armed by `METRICLAKE_CRASH_AT=<point>[:<n>]`, the process ends itself with
SIGKILL at the n-th time it reaches the point, as a power cut would.
"""

from __future__ import annotations

import itertools
import os
import signal
from enum import StrEnum

from metriclake._errors import MetriclakeError


class CrashPoint(StrEnum):
    """
    The named steps of an event's path: each is reached when the step is durable; `sent` when a request is answered.

    The last three are passed for destinations other than the store alone.
    """

    APPEND = "append"
    SEAL = "seal"
    PIN = "pin"
    PUT = "put"
    ANNOUNCE = "announce"
    INSERT = "insert"
    CHECKPOINT = "checkpoint"
    ROLL = "roll"
    ROLLED = "rolled"
    SENT = "sent"
    NOTE = "note"
    SETTLE = "settle"


DELIVERY_POINTS = (CrashPoint.SENT, CrashPoint.NOTE, CrashPoint.SETTLE)


class _Armed:
    """
    Which point is armed, and how often it is still passed alive.
    """

    point: CrashPoint | None = None
    passes = itertools.count(1)
    fatal = 1


def arm(text: str) -> None:
    """
    Arm the point that `text` names: `put`, or `put:3` for its third time.
    """
    name, _, nth = text.partition(":")
    if name not in tuple(CrashPoint) or (nth and not nth.isdigit()):
        raise MetriclakeError(f"METRICLAKE_CRASH_AT: no such crash point; known are {', '.join(CrashPoint)}")
    _Armed.point = CrashPoint(name)
    _Armed.fatal = int(nth or 1)


def reach(point: CrashPoint) -> None:
    """
    Say that `point` is reached.
    """
    if point is _Armed.point and next(_Armed.passes) == _Armed.fatal:
        os.kill(os.getpid(), signal.SIGKILL)
