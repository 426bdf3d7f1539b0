"""
A destination that answers as a test says, a clock that moves when everybody waits, and a ledger in memory.
"""

from __future__ import annotations

import queue
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import TypeVar

import msgspec

from metriclake.deadletter import Note
from metriclake.destinations import Batch, Capabilities, Erasure, Fate, Receipt, Record, Verdict
from metriclake.destinations.budget import Account
from metriclake.destinations.progress import key_of
from metriclake.destinations.sending import Sender
from metriclake.destinations.timing import Time
from metriclake.destinations.tries import Job, Retrying
from metriclake.event import MetricEvent

START = 1_700_000_000
MICROS = 1_000_000
Answer = Callable[[Batch], Receipt]
Item = TypeVar("Item")


class MovedTime(Time):
    """
    Time that moves when all wait, and no sooner; chance without jitter.
    """

    def __init__(self) -> None:
        """
        Begin at a known moment.
        """
        self.seconds = 0.0

    def now(self) -> int:
        """
        Return microseconds since 1970.
        """
        return int((START + self.seconds) * MICROS)

    def ticks(self) -> float:
        """
        Return seconds.
        """
        return self.seconds

    def chance(self) -> float:
        """
        Return the most that there is: waits are as long as their bound.
        """
        return 1.0

    def wait(self, inbox: queue.SimpleQueue[Item | None], seconds: float, *, busy: bool) -> Item | None:
        """
        Wait for an answer that is to come; where none is, let the time pass at once.
        """
        try:
            return inbox.get(timeout=10 if busy else 0.0)
        except queue.Empty:
            self.seconds += max(seconds, 0.001)
            return None


class Memory:
    """
    A ledger that forgets with the test.
    """

    def __init__(self) -> None:
        """
        Begin empty.
        """
        self.notes: dict[str, list[bytes]] = {}
        self.once: set[bytes] = set()
        self.slots: dict[str, int] = {}

    def note(self, _reader: str, scope: str, noted: Note) -> None:
        """
        Keep a note.
        """
        kept = self.notes.setdefault(scope, [])
        if noted.whole:
            kept.clear()
        kept.append(noted.body)
        self.once.update(noted.delivered)
        for slot, newest in noted.slots.items():
            self.slots[slot] = max(newest, self.slots.get(slot, 0))

    def noted(self, _reader: str, scope: str) -> list[bytes]:
        """
        Return the notes of a scope.
        """
        return list(self.notes.get(scope, ()))

    def delivered(self, _reader: str, records: Sequence[bytes]) -> set[bytes]:
        """
        Return which were delivered.
        """
        return self.once & set(records)

    def watermarks(self, _reader: str, slots: Sequence[str]) -> dict[str, int]:
        """
        Return the newest times.
        """
        return {slot: self.slots[slot] for slot in slots if slot in self.slots}


class Scripted:
    """
    A service: `answer` says what becomes of a batch; what it delivers is counted in `taken`.
    """

    name = "crm"
    account = "crm/1"
    erasure = Erasure(possible=False, how="it is a script")

    def __init__(self, capabilities: Capabilities | None = None, answer: Answer | None = None) -> None:
        """
        Take one kind of record; all of them, where nothing else is said.
        """
        self.capabilities: Mapping[str, Capabilities] = {"event": capabilities or Capabilities()}
        self.answer = answer or (lambda batch: Receipt.but(batch, {}))
        self.batches: list[Batch] = []
        self.taken: Counter[str] = Counter()
        self.clock = MovedTime()
        self.moments: list[float] = []
        self.mapping: Callable[[MetricEvent], Iterable[Record]] = record_of_event

    def records(self, event: MetricEvent) -> Iterable[Record]:
        """
        Make one record of each event.
        """
        return self.mapping(event)

    def deliver(self, batch: Batch) -> Receipt:
        """
        Answer as the script says.
        """
        self.batches.append(batch)
        self.moments.append(self.clock.seconds)
        receipt = self.answer(batch)
        for record, fate in zip(batch.records, receipt.fates, strict=False):
            if fate.verdict is Verdict.DELIVERED:
                self.taken[record.id] += 1
        return receipt

    def close(self) -> None:
        """
        Have nothing to let go of.
        """


def record_of_event(event: MetricEvent) -> list[Record]:
    """
    Return the record of a metric event: its id is the event's.
    """
    body = msgspec.json.encode(event)
    return [Record(event.metadata["event_id"], event.metadata["tenant_id"], event.metric_name, MICROS, body)]


def record(name: str, *, time: int = 1, size: int = 10, kind: str = "event", slot: str | None = None) -> Record:
    """
    Return a record.
    """
    return Record(name, "acme", "m", time, b"x" * size, kind, slot)


def sender_of(
    service: Scripted,
    ledger: Memory | None = None,
    *,
    tries: int = 3,
    hours: float = 24,
    account: Account | None = None,
) -> Sender:
    """
    Return the engine of a scripted service.
    """
    retrying = Retrying(tries, timedelta(hours=hours))
    account = account or Account(service.clock.ticks)
    return Sender(service, ledger or Memory(), account, retrying, service.clock)


def send(
    service: Scripted, records: Iterable[Record], ledger: Memory | None = None, *, tries: int = 3, hours: float = 24
) -> dict[str, Job]:
    """
    Send records until each has its ending; returns their jobs by id.
    """
    jobs = {key_of(one): Job(one) for one in records}
    sender = sender_of(service, ledger, tries=tries, hours=hours)
    sender.run(jobs, "objects")
    sender.close()
    return {job.record.id: job for job in jobs.values()}


def reasons(jobs: Mapping[str, Job]) -> dict[str, str]:
    """
    Return the reasons of those that are dead.
    """
    return {
        name: job.ending.reason for name, job in jobs.items() if job.ending is not None and not job.ending.delivered
    }


def always(fate: Fate, **rest: float | bool | None) -> Answer:
    """
    Answer every batch alike.
    """
    pause = rest.get("pause")
    return lambda batch: Receipt.all(
        batch, fate, pause=None if pause is None else float(pause), blocked=bool(rest.get("blocked"))
    )


def in_turn(*answers: Answer) -> Answer:
    """
    Give these answers one after the other, and then the last one again and again.
    """
    given = iter(answers)
    last = [answers[-1]]

    def answer(batch: Batch) -> Receipt:
        return next(given, last[0])(batch)

    return answer


def chance(seed: int) -> random.Random:
    """
    Return chance that is the same each time.
    """
    return random.Random(seed)  # noqa: S311 - a script, no secret
