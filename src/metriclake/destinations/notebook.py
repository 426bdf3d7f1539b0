"""
What the journal is told of the jobs in hand, and where it says that they stand.

What was answered and what leaves next share a note: of many requests in flight each costs a part of an fsync.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from metriclake.deadletter import Note
from metriclake.destinations.destination import Capabilities, Repeats
from metriclake.destinations.gathering import slot_of
from metriclake.destinations.progress import doubt, fingerprint, progress, recall
from metriclake.destinations.tries import DELIVERED, MAYBE, UNKNOWN_OUTCOME, Job

_NOTES_BEFORE_WHOLE = 500


class Ledger(Protocol):
    """
    What is kept in the journal of records on their way.
    """

    def note(self, reader: str, scope: str, noted: Note) -> None:
        """
        Keep what must be known after a crash.
        """

    def noted(self, reader: str, scope: str) -> list[bytes]:
        """
        Return what is noted.
        """

    def delivered(self, reader: str, records: Sequence[bytes]) -> set[bytes]:
        """
        Return which of some fingerprints were delivered in the last days.
        """

    def watermarks(self, reader: str, slots: Sequence[str]) -> dict[str, int]:
        """
        Return the newest event time that was delivered of some slots.
        """


class Notebook:
    """
    The notes of one destination about the jobs of one scope.
    """

    def __init__(
        self, reader: str, ledger: Ledger, scope: str, jobs: Mapping[str, Job], kinds: Mapping[str, Capabilities]
    ) -> None:  # fmt: skip
        """
        `jobs` are by their keys, `kinds` what the destination says of each kind of record.
        """
        self._reader = reader
        self._ledger = ledger
        self._scope = scope
        self._jobs = jobs
        self._kinds = kinds
        self._notes = 0

    def open(self, now: int, *, duplicates: bool, doubtful: bool) -> list[Job]:
        """
        Put each job where it stands; returns those that are still to be sent.

        `duplicates` are also those that were delivered before, `doubtful` those that may have been taken before.
        """
        notes = self._ledger.noted(self._reader, self._scope)
        self._notes = len(notes)
        recall(notes, self._jobs, now)
        left = [job for job in self._jobs.values() if job.ending is None]
        if not duplicates:
            self._skip_delivered(left)
        if not duplicates and not doubtful:
            self._skip_doubtful(left, now)
        self._skip_superseded(left)
        return [job for job in left if job.ending is None]

    def write(self, answered: Sequence[Job], leaving: Sequence[Job], now: int, *, quiet: bool) -> None:
        """
        Note where some jobs stand, and which are about to leave.

        Now and then it is noted where all of them stand, so that the notes of a long outage stay short. This is done
        when it is `quiet`, nothing being on its way that an earlier note tells of.
        """
        if not answered and not leaving:
            return
        ended = [job for job in answered if job.ending is not None and job.ending.delivered]
        once = [fingerprint(job.record) for job in ended if self._doubles(job)]
        once += [doubt(job.record) for job in answered if _unknown(job) and self._doubles(job)]
        slots = {_slot(job): job.record.time for job in ended if self._latest_only(job)}
        whole = quiet and self._notes >= _NOTES_BEFORE_WHOLE
        standing = self._jobs.values() if whole else answered
        body = progress((job for job in standing if job.ending is not None or job.first_at), leaving, now)
        self._ledger.note(self._reader, self._scope, Note(body, once, slots, whole=whole))
        self._notes = 1 if whole else self._notes + 1

    def _skip_delivered(self, jobs: Sequence[Job]) -> None:
        """
        End what was delivered with an earlier object, where the destination would have it twice.
        """
        prints = {fingerprint(job.record): job for job in jobs if self._doubles(job)}
        for one in self._ledger.delivered(self._reader, list(prints)) if prints else ():
            prints[one].ending = DELIVERED

    def _skip_doubtful(self, jobs: Sequence[Job], now: int) -> None:
        """
        End what may have been taken with an earlier object, where the destination would have it twice.
        """
        doubts = {doubt(job.record): job for job in jobs if job.ending is None and self._doubles(job)}
        for one in self._ledger.delivered(self._reader, list(doubts)) if doubts else ():
            doubts[one].bury(now, UNKNOWN_OUTCOME, MAYBE)

    def _skip_superseded(self, jobs: Sequence[Job]) -> None:
        """
        End what would overwrite a newer state.
        """
        slots = {_slot(job): job for job in jobs if self._latest_only(job)}
        for slot, newest in self._ledger.watermarks(self._reader, list(slots)).items() if slots else ():
            if slots[slot].record.time < newest:
                slots[slot].ending = DELIVERED

    def _doubles(self, job: Job) -> bool:
        found = self._kinds.get(job.record.kind)
        return found is not None and found.repeats is Repeats.DOUBLED

    def _latest_only(self, job: Job) -> bool:
        found = self._kinds.get(job.record.kind)
        return found is not None and found.latest_only


def _unknown(job: Job) -> bool:
    return job.ending is not None and job.ending.reason == UNKNOWN_OUTCOME


def _slot(job: Job) -> str:
    return "/".join(slot_of(job.record))
