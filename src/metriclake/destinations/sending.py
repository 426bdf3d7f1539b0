"""
Send what is in hand until each record has its ending: batches, concurrency, budget, tries, pauses, splitting.

What is decided is decided in `batches`, `budget`, `backoff` and `tries`. One thread does it all; others only wait for
answers. Each answer is noted in the journal before it counts.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import queue
import random
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from metriclake.crashpoints import CrashPoint, reach
from metriclake.deadletter import Note
from metriclake.destinations.backoff import backoff
from metriclake.destinations.batches import fill, too_large
from metriclake.destinations.budget import Account
from metriclake.destinations.destination import Batch, Capabilities, Destination, Fate, Receipt, Repeats, Verdict
from metriclake.destinations.gathering import slot_of
from metriclake.destinations.objects import Interrupted
from metriclake.destinations.progress import answered, doubt, fingerprint, leaving, recall
from metriclake.destinations.tries import (
    DELIVERED,
    MAYBE,
    TOO_LARGE,
    UNKNOWN_KIND,
    UNKNOWN_OUTCOME,
    Circumstances,
    Job,
    Next,
    Retrying,
    given_up,
    judge,
)
from metriclake.destinations.workers import Workers

_LOG = logging.getLogger(__name__)
_MOST_THREADS = 32
_GRACE_SECONDS = 5.0
_LONGEST_WAIT = 60.0
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


@dataclass(slots=True)
class Answered:
    """
    A request that has its answer.
    """

    lane: Lane
    jobs: list[Job]
    left_at: int
    receipt: Receipt


Inbox = queue.SimpleQueue[Answered | None]


class Time:
    """
    Clocks, chance and patience; tests have others.
    """

    def now(self) -> int:
        """
        Return microseconds since 1970.
        """
        return time.time_ns() // 1000

    def ticks(self) -> float:
        """
        Return seconds by a clock that never goes back.
        """
        return time.monotonic()

    def chance(self) -> float:
        """
        Return a random number from 0 up to 1.
        """
        return random.random()  # noqa: S311 - spreads tries, keeps no secret

    def wait(self, inbox: Inbox, seconds: float, *, busy: bool) -> Answered | None:
        """
        Return the next answer, None after so many seconds or when something else is to be looked at.

        `busy` says that an answer is to come.
        """
        del busy
        try:
            return inbox.get(timeout=seconds)
        except queue.Empty:
            return None


@dataclass(slots=True, eq=False)
class Lane:
    """
    What waits of one kind: jobs in order, and parcels that go before them and stay as they are.
    """

    kind: str
    capabilities: Capabilities
    ready: deque[Job] = field(default_factory=deque)
    parcels: deque[list[Job]] = field(default_factory=deque)
    out: int = 0

    def pick(self) -> list[Job]:
        """
        Take the next batch; empty where nothing is ready.
        """
        if self.parcels:
            return self.parcels.popleft()
        count = fill((job.record for job in self.ready), self.capabilities)
        return [self.ready.popleft() for _ in range(count)]

    @property
    def noted_first(self) -> bool:
        """
        Tell whether a request must be noted before it leaves.
        """
        return self.capabilities.repeats is not Repeats.HARMLESS


@dataclass(slots=True)
class Traffic:
    """
    What has been sent since the start: requests, records in them, and answers that asked for a pause.
    """

    requests: int = 0
    records: int = 0
    throttled: int = 0


class Sender:
    """
    The engine of one destination.
    """

    def __init__(
        self, destination: Destination, ledger: Ledger, account: Account, retrying: Retrying, clock: Time | None = None
    ) -> None:
        """
        `account` is what all destinations of the same account share.
        """
        self._destination = destination
        self._ledger = ledger
        self._account = account
        self._retrying = retrying
        self._clock = clock or Time()
        self._inbox: Inbox = queue.SimpleQueue()
        most = sum(capabilities.concurrency for capabilities in destination.capabilities.values())
        self._workers = Workers(f"send-{destination.name}", min(most, _MOST_THREADS))
        self._lanes: dict[str, Lane] = {}
        self._later: list[tuple[float, int, Lane, list[Job]]] = []
        self._order = itertools.count()
        self._scope = ""
        self._jobs: Mapping[str, Job] = {}
        self._notes = 0
        self._taken = 0
        self._blocked = 0
        self._blocked_until = 0.0
        self._stop_at: float | None = None
        self._stopping = False
        self.traffic = Traffic()
        self.trouble = ""

    def stop(self) -> None:
        """
        Send what is taken at once, for a few seconds at most; what waits comes again at the next start.
        """
        self._stopping = True
        self._inbox.put(None)

    def close(self) -> None:
        """
        Let the threads end.
        """
        self._workers.close()

    def run(self, jobs: Mapping[str, Job], scope: str, *, duplicates: bool = False, doubtful: bool = False) -> None:
        """
        Send jobs, by their keys, until each has its ending. Raises Interrupted when told to stop.

        `scope` is where they are noted; `duplicates` sends also what was delivered before, `doubtful` what may have
        been taken before.
        """
        self._scope, self._jobs, self._later = scope, jobs, []
        self._inbox = queue.SimpleQueue()  # an answer that comes after its run is over is nobody's
        self._lanes = {kind: Lane(kind, capabilities) for kind, capabilities in self._destination.capabilities.items()}
        self._prepare(duplicates=duplicates, doubtful=doubtful)
        while True:
            self._wake()
            wait = self._launch()
            out = sum(lane.out for lane in self._lanes.values())
            if not out and not self._later and not any(lane.ready or lane.parcels for lane in self._lanes.values()):
                if not self._blocked:
                    self._say("")
                return
            self._check_stop(out, wait)
            self._settle(self._answers(wait, busy=out > 0))

    def _prepare(self, *, duplicates: bool, doubtful: bool) -> None:
        """
        Put each job where it stands, and those that are still to be sent into their lanes.
        """
        now = self._clock.now()
        notes = self._ledger.noted(self._destination.name, self._scope)
        self._notes = len(notes)
        recall(notes, self._jobs, now)
        open_jobs = [job for job in self._jobs.values() if job.ending is None]
        if not duplicates:
            self._skip_delivered(open_jobs)
        if not duplicates and not doubtful:
            self._skip_doubtful(open_jobs, now)
        self._skip_superseded(open_jobs)
        for job in open_jobs:
            lane = self._lanes.get(job.record.kind)
            if job.ending is not None:
                continue
            if lane is None:
                job.bury(now, UNKNOWN_KIND, "the destination says nothing of this kind of record")
            elif why := too_large(job.record, lane.capabilities):
                job.bury(now, TOO_LARGE, why)
            else:
                lane.ready.append(job)

    def _skip_delivered(self, jobs: Sequence[Job]) -> None:
        """
        End what was delivered with an earlier object, where the destination would have it twice.
        """
        prints = {fingerprint(job.record): job for job in jobs if self._doubles(job)}
        for one in self._ledger.delivered(self._destination.name, list(prints)) if prints else ():
            prints[one].ending = DELIVERED

    def _skip_doubtful(self, jobs: Sequence[Job], now: int) -> None:
        """
        End what may have been taken with an earlier object, where the destination would have it twice.
        """
        doubts = {doubt(job.record): job for job in jobs if job.ending is None and self._doubles(job)}
        for one in self._ledger.delivered(self._destination.name, list(doubts)) if doubts else ():
            doubts[one].bury(now, UNKNOWN_OUTCOME, MAYBE)

    def _skip_superseded(self, jobs: Sequence[Job]) -> None:
        """
        End what would overwrite a newer state.
        """
        slots = {_slot(job): job for job in jobs if self._latest_only(job)}
        for slot, newest in self._ledger.watermarks(self._destination.name, list(slots)).items() if slots else ():
            if slots[slot].record.time < newest:
                slots[slot].ending = DELIVERED

    def _doubles(self, job: Job) -> bool:
        lane = self._lanes.get(job.record.kind)
        return lane is not None and lane.capabilities.repeats is Repeats.DOUBLED

    def _latest_only(self, job: Job) -> bool:
        lane = self._lanes.get(job.record.kind)
        return lane is not None and lane.capabilities.latest_only

    def _wake(self) -> None:
        """
        Put what has waited long enough back into its lane.
        """
        now = self._clock.ticks()
        while self._later and self._later[0][0] <= now:
            _, _, lane, jobs = heapq.heappop(self._later)
            lane.ready.extend(jobs)

    def _launch(self) -> float:
        """
        Send what may leave now; returns after how many seconds more may.
        """
        wait = self._later[0][0] - self._clock.ticks() if self._later else _LONGEST_WAIT
        leaving_now: list[tuple[Lane, list[Job]]] = []
        for lane in self._lanes.values():
            wait = min(wait, self._fill(lane, leaving_now))
        self._note_leaving([job for lane, jobs in leaving_now if lane.noted_first for job in jobs])
        for lane, jobs in leaving_now:
            self._send(lane, jobs)
        return wait

    def _fill(self, lane: Lane, leaving_now: list[tuple[Lane, list[Job]]]) -> float:
        """
        Take batches of a lane for as long as they may leave; returns the seconds until the next one may.
        """
        while lane.out < lane.capabilities.concurrency:
            now = self._clock.ticks()
            if self._blocked and (now < self._blocked_until or any(other.out for other in self._lanes.values())):
                return max(self._blocked_until - now, 0.0) or _LONGEST_WAIT
            if self._stop_at is not None and (self._blocked or now >= self._stop_at):
                break
            jobs = self._still_wanted(lane)
            if not jobs:
                break
            delay = self._account.take(lane.kind, lane.capabilities.rate, len(jobs))
            if delay > 0:
                lane.parcels.appendleft(jobs)
                return delay
            lane.out += 1
            leaving_now.append((lane, jobs))
        return _LONGEST_WAIT

    def _still_wanted(self, lane: Lane) -> list[Job]:
        """
        Take the next batch of what is not to be given up meanwhile.
        """
        while jobs := lane.pick():
            now = self._clock.now()
            wanted = [job for job in jobs if not given_up(job, now, lane.capabilities, self._retrying)]
            if len(wanted) < len(jobs):
                self._note([job for job in jobs if job.ending is not None])
            if wanted:
                return wanted
        return []

    def _note_leaving(self, jobs: Sequence[Job]) -> None:
        if jobs:
            body = leaving(jobs, self._clock.now())
            self._ledger.note(self._destination.name, self._scope, Note(body))
            self._notes += 1

    def _send(self, lane: Lane, jobs: list[Job]) -> None:
        batch = Batch(lane.kind, [job.record for job in jobs], max(job.tries for job in jobs) + 1)
        left_at = self._clock.now()
        self.traffic.requests += 1
        self.traffic.records += len(jobs)

        inbox = self._inbox

        def deliver() -> None:
            receipt = self._deliver(batch)
            self._account.answered(lane.kind, lane.capabilities.rate, len(jobs))
            inbox.put(Answered(lane, jobs, left_at, receipt))

        self._workers.do(deliver)

    def _deliver(self, batch: Batch) -> Receipt:
        try:
            receipt = self._destination.deliver(batch)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is an outage
            _LOG.warning(
                "a request failed", extra={"destination": self._destination.name, "error": type(error).__name__}
            )
            fates = [Fate(Verdict.RETRY, type(error).__name__)] * len(batch.records)
            receipt = Receipt(fates, blocked=True, raised=True)
        if len(receipt.fates) != len(batch.records):
            wrong = Fate(Verdict.UNKNOWN, "wrong-receipt", "the destination did not say what became of each record")
            receipt = Receipt.all(batch, wrong)
        reach(CrashPoint.SENT)
        return receipt

    def _check_stop(self, out: int, wait: float) -> None:
        """
        Raise Interrupted when told to stop and nothing more is taken at once.
        """
        if not self._stopping:
            return
        now = self._clock.ticks()
        if self._stop_at is None:
            self._stop_at = now + _GRACE_SECONDS
        if now >= self._stop_at or (not out and (self._blocked or now + wait > self._stop_at)):
            raise Interrupted

    def _answers(self, wait: float, *, busy: bool) -> list[Answered]:
        """
        Return the answers that are there, waiting for the first of them.
        """
        if self._stopping and self._stop_at is not None:
            wait = min(wait, self._stop_at - self._clock.ticks())
        first = self._clock.wait(self._inbox, max(0.0, wait), busy=busy)
        found = [] if first is None else [first]
        while not self._inbox.empty():
            more = self._inbox.get()
            if more is not None:
                found.append(more)
        return found

    def _settle(self, answers: Sequence[Answered]) -> None:
        """
        Decide what becomes of the records of some answers, and note it.
        """
        changed: list[Job] = []
        for answer in answers:
            lane = answer.lane
            lane.out -= 1
            self._look_at(answer.receipt)
            changed += self._judge(answer)
        self._note(changed)

    def _look_at(self, receipt: Receipt) -> None:
        """
        See what a receipt says of the destination.
        """
        now = self._clock.ticks()
        failed = next((fate for fate in receipt.fates if fate.verdict in (Verdict.RETRY, Verdict.UNKNOWN)), None)
        if receipt.pause is not None:
            self.traffic.throttled += 1
            self._account.pause(receipt.pause)
        if not receipt.blocked:
            self._blocked = 0
        elif now >= self._blocked_until or not self._blocked:
            self._blocked += 1
            self._blocked_until = now + max(backoff(self._blocked, self._clock.chance()), receipt.pause or 0.0)
        if any(fate.verdict in (Verdict.DELIVERED, Verdict.REJECTED) for fate in receipt.fates):
            self._taken += 1
        self._say("" if failed is None else _said(failed))

    def _say(self, trouble: str) -> None:
        """
        Keep why not everything is taken, and log when that begins and ends.
        """
        if bool(trouble) != bool(self.trouble):
            level, words = (logging.WARNING, "does not take all") if trouble else (logging.INFO, "takes all again")
            _LOG.log(level, "the destination %s", words, extra={"destination": self._destination.name, "why": trouble})
        self.trouble = trouble

    def _judge(self, answer: Answered) -> list[Job]:
        """
        Judge the records of an answer; returns those whose standing is to be noted.

        Where an error is raised again and again, the batch is halved: others arrive, and what is alone has its tries.
        """
        lane, receipt, now = answer.lane, answer.receipt, self._clock.now()
        suspected = receipt.raised and (self._blocked >= self._retrying.tries or any(job.tries for job in answer.jobs))
        halve = suspected and len(answer.jobs) > 1
        blameless = halve or (not suspected and (receipt.blocked or receipt.pause is not None))
        around = Circumstances(answer.left_at, len(answer.jobs), blameless, self._taken)
        again: list[Job] = []
        split: list[Job] = []
        changed: list[Job] = []
        for job, fate in zip(answer.jobs, receipt.fates, strict=True):
            before = (min(job.tries, self._retrying.tries), job.first_at, job.sent_at)
            following = judge(job, fate, around, now, lane.capabilities, self._retrying)
            standing = (min(job.tries, self._retrying.tries), job.first_at, job.sent_at)
            if job.ending is not None or lane.noted_first or standing != before:
                changed.append(job)
            if following is Next.AGAIN and halve:
                following, job.tries = Next.SPLIT, max(job.tries, 1)
                job.taken = self._taken if job.taken is None else job.taken
            if following is not None:
                (again if following is Next.AGAIN else split).append(job)
        lane.parcels.extend(_halves(split))
        self._put_back(lane, again, blameless=blameless)
        return changed

    def _put_back(self, lane: Lane, jobs: list[Job], *, blameless: bool) -> None:
        """
        Have jobs tried again: as soon as the destination is back, or after a while of their own.
        """
        if blameless:
            lane.ready.extendleft(reversed(jobs))
        elif jobs:
            wait = backoff(max(job.tries for job in jobs), self._clock.chance())
            heapq.heappush(self._later, (self._clock.ticks() + wait, next(self._order), lane, jobs))

    def _note(self, jobs: Sequence[Job]) -> None:
        """
        Note where jobs stand; now and then where all of them stand, so that the notes of a long outage stay short.
        """
        if not jobs:
            return
        ended = [job for job in jobs if job.ending is not None and job.ending.delivered]
        once = [fingerprint(job.record) for job in ended if self._doubles(job)]
        once += [doubt(job.record) for job in jobs if _unknown(job) and self._doubles(job)]
        slots = {_slot(job): job.record.time for job in ended if self._latest_only(job)}
        whole = self._notes >= _NOTES_BEFORE_WHOLE and not any(lane.out for lane in self._lanes.values())
        noted = self._jobs.values() if whole else jobs
        body = answered(job for job in noted if job.ending is not None or job.first_at)
        self._ledger.note(self._destination.name, self._scope, Note(body, once, slots, whole=whole))
        self._notes = 1 if whole else self._notes + 1


def _unknown(job: Job) -> bool:
    return job.ending is not None and job.ending.reason == UNKNOWN_OUTCOME


def _slot(job: Job) -> str:
    return "/".join(slot_of(job.record))


def _halves(jobs: list[Job]) -> list[list[Job]]:
    middle = len(jobs) // 2
    return [half for half in (jobs[:middle], jobs[middle:]) if half]


def _said(fate: Fate) -> str:
    return f"{fate.reason or fate.verdict}: {fate.detail}" if fate.detail else fate.reason or str(fate.verdict)
