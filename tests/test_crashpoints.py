"""
A crash point kills when it is armed, at the time it is armed for, and else does nothing.
"""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from metriclake._errors import MetriclakeError
from metriclake.crashpoints import CrashPoint, arm, reach

_PROGRAM = """
import sys
from metriclake.crashpoints import CrashPoint, arm, reach

if sys.argv[1]:
    arm(sys.argv[1])
for _ in range(3):
    for point in CrashPoint:
        reach(point)
        print(point.value, flush=True)
"""
POINTS = ["append", "seal", "pin", "put", "announce", "insert", "checkpoint", "sent", "note", "settle"]


def reached(armed: str) -> tuple[int, list[str]]:
    """
    Return how a process ends that passes every point three times, and which it survived.
    """
    command = [sys.executable, "-c", _PROGRAM, armed]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - this file's own program
    return ended.returncode, ended.stdout.split()


@pytest.mark.crash
@pytest.mark.parametrize(
    ("armed", "survived"),
    [("append", []), ("checkpoint", POINTS[:6]), ("seal:1", POINTS[:1]), ("put:3", [*POINTS, *POINTS, *POINTS[:3]])],
)
def test_armed_point_kills_at_its_time(armed: str, survived: list[str]) -> None:
    """
    The process is gone at the n-th time of its point, as by SIGKILL; other points do not count.
    """
    assert reached(armed) == (-signal.SIGKILL, survived)


@pytest.mark.crash
@pytest.mark.parametrize("armed", ["", "put:4"])
def test_point_that_is_not_reached_does_nothing(armed: str) -> None:
    """
    Unarmed, or armed for a time that does not come, the process ends as it would.
    """
    assert reached(armed) == (0, POINTS * 3)


@pytest.mark.parametrize("text", ["", "nowhere", "put:x", "put:-1", "PUT", "put:1:2"])
def test_unknown_point_is_refused(text: str) -> None:
    """
    What names no point is refused with the ones that there are.
    """
    with pytest.raises(
        MetriclakeError, match="append, seal, pin, put, announce, insert, checkpoint, sent, note, settle"
    ):
        arm(text)


def test_unarmed_points_are_passed() -> None:
    """
    In a process that is not armed every point is passed.
    """
    for point in CrashPoint:
        reach(point)
