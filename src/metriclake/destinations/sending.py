"""
Send what is in hand until each record has its ending: batches, concurrency, budget, tries, pauses, splitting.

What is decided is decided in `batches`, `budget`, `backoff`, `tries` and `trouble`. One thread does it all; others only
wait for answers. What was answered is noted in the journal before anything else leaves, and before it counts.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import queue
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from metriclake.crashpoints import CrashPoint, reach
from metriclake.destinations.backoff import backoff
from metriclake.destinations.batches import too_large
from metriclake.destinations.budget import Account
from metriclake.destinations.destination import Batch, Destination, Fate, Receipt, Verdict
from metriclake.destinations.lanes import Answered, Lane
from metriclake.destinations.notebook import Ledger, Notebook
from metriclake.destinations.objects import Interrupted
from metriclake.destinations.timing import Time
from metriclake.destinations.tries import (
    TOO_LARGE,
    UNKNOWN_KIND,
    Circumstances,
    Job,
    Next,
    Retrying,
    given_up,
    judge,
)
from metriclake.destinations.trouble import Said, Trouble
from metriclake.destinations.workers import Workers

_LOG = logging.getLogger(__name__)
_MOST_THREADS = 32
_GRACE_SECONDS = 5.0
_LONGEST_WAIT = 60.0
_MOST_GATHERING = 0.05


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
        self._inbox: queue.SimpleQueue[Answered | None] = queue.SimpleQueue()
        most = sum(capabilities.concurrency for capabilities in destination.capabilities.values())
        self._workers = Workers(f"send-{destination.name}", min(most, _MOST_THREADS))
        self._lanes: dict[str, Lane] = {}
        self._later: list[tuple[float, int, Lane, list[Job]]] = []
        self._order = itertools.count()
        self._answered: list[Job] = []
        self._noting_takes = 0.0
        self._taken = 0
        self._blocked = 0
        self._blocked_until = 0.0
        self._throttled = 0
        self._stop_at: float | None = None
        self._stopping = False
        self._trouble = Trouble()
        self.traffic = Traffic()

    @property
    def trouble(self) -> str:
        """
        Return why what is in hand is not taken, in the destination's words; empty where nothing waits for that.
        """
        return self._trouble.why

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
        self._later, self._answered = [], []
        self._inbox = queue.SimpleQueue()  # an answer that comes after its run is over is nobody's
        kinds = self._destination.capabilities
        self._lanes = {kind: Lane(kind, capabilities) for kind, capabilities in kinds.items()}
        notebook = Notebook(self._destination.name, self._ledger, scope, jobs, kinds)
        self._prepare(notebook.open(self._clock.now(), duplicates=duplicates, doubtful=doubtful))
        self._trouble.begin(blocked=self._blocked > 0)
        while True:
            self._wake()
            wait = self._launch(notebook)
            out = sum(lane.out for lane in self._lanes.values())
            if not out and not self._later and not any(lane.ready or lane.parcels for lane in self._lanes.values()):
                self._trouble.end()
                return
            self._check_stop(out, wait)
            self._settle(self._answers(wait, out))

    def _prepare(self, jobs: Sequence[Job]) -> None:
        """
        Put jobs that are to be sent into their lanes.
        """
        now = self._clock.now()
        for job in jobs:
            lane = self._lanes.get(job.record.kind)
            if lane is None:
                job.bury(now, UNKNOWN_KIND, "the destination says nothing of this kind of record")
            elif why := too_large(job.record, lane.capabilities):
                job.bury(now, TOO_LARGE, why)
            else:
                lane.ready.append(job)

    def _wake(self) -> None:
        """
        Put what has waited long enough back into its lane.
        """
        now = self._clock.ticks()
        while self._later and self._later[0][0] <= now:
            _, _, lane, jobs = heapq.heappop(self._later)
            lane.ready.extend(jobs)

    def _launch(self, notebook: Notebook) -> float:
        """
        Note what was answered, and send what may leave now; returns after how many seconds more may.
        """
        wait = self._later[0][0] - self._clock.ticks() if self._later else _LONGEST_WAIT
        quiet = not any(lane.out for lane in self._lanes.values())
        leaving: list[tuple[Lane, list[Job]]] = []
        for lane in self._lanes.values():
            wait = min(wait, self._fill(lane, leaving))
        try:
            self._note(notebook, [job for lane, jobs in leaving if lane.noted_first for job in jobs], quiet=quiet)
        except Exception:
            for lane, jobs in leaving:
                self._account.answered(lane.kind, lane.capabilities.rate, len(jobs))
            raise
        for lane, jobs in leaving:
            self._send(lane, jobs)
        return wait

    def _note(self, notebook: Notebook, leaving: Sequence[Job], *, quiet: bool) -> None:
        answered = list(dict.fromkeys(self._answered))
        self._answered = []
        if answered or leaving:
            began = self._clock.ticks()
            notebook.write(answered, leaving, self._clock.now(), quiet=quiet)
            self._noting_takes = self._clock.ticks() - began

    def _fill(self, lane: Lane, leaving: list[tuple[Lane, list[Job]]]) -> float:
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
            leaving.append((lane, jobs))
        return _LONGEST_WAIT

    def _still_wanted(self, lane: Lane) -> list[Job]:
        """
        Take the next batch of what is not to be given up meanwhile.
        """
        while jobs := lane.pick():
            now = self._clock.now()
            wanted = [job for job in jobs if not given_up(job, now, lane.capabilities, self._retrying)]
            for job in jobs:
                if job.ending is not None:
                    self._trouble.settle(job)
                    self._answered.append(job)
            if wanted:
                return wanted
        return []

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

    def _answers(self, wait: float, out: int) -> list[Answered]:
        """
        Return the answers that are there, waiting for the first of them.

        For those of other requests that are on their way it waits as long as noting took last: they share a note.
        """
        if self._stopping and self._stop_at is not None:
            wait = min(wait, self._stop_at - self._clock.ticks())
        found: list[Answered] = []
        until = None
        while True:
            one = self._clock.wait(self._inbox, max(0.0, wait), busy=out > len(found))
            if one is None:
                return found
            found.append(one)
            now = self._clock.ticks()
            until = now + min(self._noting_takes, _MOST_GATHERING) if until is None else until
            wait = until - now
            if len(found) == out or (wait <= 0 and self._inbox.empty()):
                return found

    def _settle(self, answers: Sequence[Answered]) -> None:
        """
        Decide what becomes of the records of some answers.
        """
        for answer in answers:
            answer.lane.out -= 1
            self._look_at(answer.receipt)
            self._answered += self._judge(answer)
            self._say(self._trouble.hear(answer.receipt, self._clock.ticks()))

    def _look_at(self, receipt: Receipt) -> None:
        """
        See what a receipt says of the destination.
        """
        now = self._clock.ticks()
        if receipt.pause is None:
            self._throttled = 0
        else:
            self.traffic.throttled += 1
            self._account.pause(max(receipt.pause, self._own_pause(receipt)))
        if not receipt.blocked:
            self._blocked = 0
        elif now >= self._blocked_until or not self._blocked:
            self._blocked += 1
            self._blocked_until = now + max(backoff(self._blocked, self._clock.chance()), receipt.pause or 0.0)
        if any(fate.verdict in (Verdict.DELIVERED, Verdict.REJECTED) for fate in receipt.fates):
            self._taken += 1

    def _own_pause(self, receipt: Receipt) -> float:
        """
        Return how long to wait at least, whatever a destination asks for that takes nothing again and again.
        """
        if all(fate.verdict is not Verdict.RETRY for fate in receipt.fates):
            return 0.0
        self._throttled += 1
        return backoff(self._throttled, self._clock.chance())

    def _say(self, said: Said | None) -> None:
        if said is not None:
            level = logging.WARNING if said is Said.BEGINS else logging.INFO
            about = {"destination": self._destination.name, "why": self._trouble.why}
            _LOG.log(level, "the destination %s", said.value, extra=about)

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
            if following is None:
                self._trouble.settle(job)
                continue
            (again if following is Next.AGAIN else split).append(job)
            if fate.verdict is not Verdict.REFUSED:
                self._trouble.fail(job)
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


def _halves(jobs: list[Job]) -> list[list[Job]]:
    middle = len(jobs) // 2
    return [half for half in (jobs[:middle], jobs[middle:]) if half]
