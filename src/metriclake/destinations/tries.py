"""
What becomes of a record after an answer: it is done, tried again, or a dead letter. Pure: the time is an argument.

A record has a number of tries where other requests are taken: then it is the record. Where nothing is taken it has a
span of time, since its first try: then it is the destination.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum

from metriclake.deadletter import Attempt
from metriclake.destinations.destination import Capabilities, Fate, Record, Repeats, Verdict

TOO_LARGE = "too-large"
UNKNOWN_OUTCOME = "unknown-outcome"
UNKNOWN_KIND = "unknown-kind"
MAPPING_FAILED = "mapping-failed"
NOT_MAPPED = "not-mapped"

MAYBE = "it may have been taken; redrive it if it is not there"
"""What is said of a record whose outcome is unknown."""

_MOST_ATTEMPTS = 20
_MOST_REASON = 64
_MOST_DETAIL = 200


@dataclass(frozen=True, slots=True)
class Retrying:
    """
    How long a record is tried: after `tries` where others are taken, after `within` always it is a dead letter.
    """

    tries: int = 10
    within: timedelta = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Ending:
    """
    What became of a record in the end: delivered, or dead for a reason.
    """

    delivered: bool
    reason: str = ""


DELIVERED = Ending(delivered=True)


class Next(Enum):
    """
    What comes next for a record that has no ending yet.
    """

    AGAIN = "again"
    SPLIT = "split"


@dataclass(slots=True, eq=False)
class Job:
    """
    A record on its way. Times are microseconds since 1970, 0 for never.

    `winner` is the job whose fate it shares: the newest of its slot. `sent_at` is when it may have been taken without
    an answer. `taken` counts the requests that the destination had taken at the record's first failure.
    """

    record: Record
    winner: Job | None = None
    tries: int = 0
    first_at: int = 0
    sent_at: int = 0
    taken: int | None = None
    attempts: list[Attempt] = field(default_factory=list)
    ending: Ending | None = None

    @property
    def end(self) -> Ending | None:
        """
        Return the ending, its own or its winner's.
        """
        return self.ending if self.winner is None else self.winner.end

    @property
    def tried(self) -> Sequence[Attempt]:
        """
        Return the attempts, its own or its winner's.
        """
        return self.attempts if self.winner is None else self.winner.tried

    def bury(self, now: int, reason: str, detail: str = "") -> None:
        """
        End it as a dead letter, with one more attempt that says why.
        """
        self.note(now, reason, detail)
        self.ending = Ending(delivered=False, reason=reason)

    def note(self, now: int, answer: str, detail: str = "") -> None:
        """
        Add an attempt; the last few are kept.
        """
        self.first_at = self.first_at or now
        self.attempts.append(Attempt(now, answer[:_MOST_REASON], detail[:_MOST_DETAIL]))
        del self.attempts[:-_MOST_ATTEMPTS]


@dataclass(frozen=True, slots=True)
class Circumstances:
    """
    What is to be known of an answer: when its request left, of how many records it was, and what the receipt said.

    `blameless` says that a failure is not the record's. `taken` counts the requests that the destination has taken.
    """

    left_at: int
    records: int
    blameless: bool
    taken: int


def judge(
    job: Job, fate: Fate, around: Circumstances, now: int, capabilities: Capabilities, retrying: Retrying
) -> Next | None:
    """
    Note an answer; returns what comes next, None where the record has its ending.
    """
    reason = (fate.reason or str(fate.verdict))[:_MOST_REASON]
    if fate.verdict is Verdict.DELIVERED:
        job.ending = DELIVERED
        return None
    job.first_at = job.first_at or around.left_at
    if fate.verdict is Verdict.REFUSED and around.records > 1:
        return Next.SPLIT
    if fate.verdict in (Verdict.REJECTED, Verdict.REFUSED):
        job.bury(now, reason, fate.detail)
        return None
    job.note(now, reason, fate.detail)
    if fate.verdict is Verdict.UNKNOWN:
        job.sent_at = job.sent_at or around.left_at
    if not around.blameless:
        job.tries += 1
        job.taken = around.taken if job.taken is None else job.taken
    others = job.taken is not None and around.taken > job.taken
    if job.tries >= retrying.tries and others:
        job.ending = Ending(delivered=False, reason=reason)
        return None
    return None if given_up(job, now, capabilities, retrying) else Next.AGAIN


def given_up(job: Job, now: int, capabilities: Capabilities, retrying: Retrying) -> bool:
    """
    End a record that must not be sent (again): tried for too long, or perhaps taken by who would take it twice.
    """
    if job.sent_at and not _may_repeat(job, now, capabilities):
        job.bury(now, UNKNOWN_OUTCOME, MAYBE)
    elif job.first_at and now - job.first_at >= retrying.within / timedelta(microseconds=1):
        reason = job.attempts[-1].answer if job.attempts else "too-late"
        job.ending = Ending(delivered=False, reason=reason)
    return job.ending is not None


def _may_repeat(job: Job, now: int, capabilities: Capabilities) -> bool:
    if capabilities.repeats is Repeats.HARMLESS or capabilities.retry_unknown:
        return True
    if capabilities.repeats is Repeats.DOUBLED or capabilities.remembers is None:
        return False
    return now - job.sent_at < capabilities.remembers / timedelta(microseconds=1)
