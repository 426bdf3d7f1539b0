"""
What announced objects are for a destination: metric events, the records of each, and what is to be sent of them. Pure.

A record that stands twice in what is in hand is sent once. Of records that set the same state the newest is sent. All
share its fate.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from metriclake.books import Key
from metriclake.deadletter import Attempt, Letter
from metriclake.destinations.destination import Capabilities, Destination, Record
from metriclake.destinations.objects import Announced, Outcome
from metriclake.destinations.progress import key_of
from metriclake.destinations.tries import MAPPING_FAILED, Job
from metriclake.event import MetricEvent, account_of

_DECODER = msgspec.json.Decoder(MetricEvent)


@dataclass(frozen=True, slots=True)
class Part:
    """
    One record of a metric event: the job that it is, and whether the books count it.
    """

    record: Record
    job: Job


@dataclass(frozen=True, slots=True)
class Mapped:
    """
    A metric event of an object and its records; `fault` says that none could be made.
    """

    line: int
    account: Key
    parts: tuple[Part, ...] = ()
    fault: str = ""

    @property
    def counted(self) -> list[Part]:
        """
        Return the records that the books count.
        """
        return [part for part in self.parts if part.record.counted]

    @property
    def counter(self) -> str:
        """
        Return where the books have the event when all jobs have ended.
        """
        ends = [part.job.end for part in self.counted]
        if self.fault or any(end is not None and not end.delivered for end in ends):
            return "dead"
        return "delivered" if ends else "not_mapped"


@dataclass(slots=True)
class Hand:
    """
    What is in hand: metric events by object, and the jobs that are to be sent.
    """

    capabilities: Mapping[str, Capabilities]
    events: dict[int, list[Mapped]] = field(default_factory=dict)
    _jobs: dict[str, Job] = field(default_factory=dict)
    _slots: dict[tuple[str, str], Job] = field(default_factory=dict)

    def add(self, number: int, line: int, text: bytes, mapping: Callable[[MetricEvent], Iterable[Record]]) -> Mapped:
        """
        Make records of a metric event.
        """
        event = _DECODER.decode(text)
        account = account_of(event.metric_name, event.metadata)
        try:
            records = list(mapping(event))
        except Exception as error:  # noqa: BLE001 - a mapping may be the user's own, and fails for this event alone
            mapped = Mapped(line, account, fault=type(error).__name__)
        else:
            unique = {key_of(record): record for record in records}
            mapped = Mapped(line, account, tuple(Part(record, self._job(record)) for record in unique.values()))
        self.events.setdefault(number, []).append(mapped)
        return mapped

    def _job(self, record: Record) -> Job:
        key = key_of(record)
        if key not in self._jobs:
            self._jobs[key] = job = Job(record)
            capabilities = self.capabilities.get(record.kind)
            if capabilities is not None and capabilities.latest_only:
                self._contend(job)
        return self._jobs[key]

    def _contend(self, job: Job) -> None:
        """
        Let the newest of a slot win; of two of one time, the later in the objects.
        """
        slot = slot_of(job.record)
        before = self._slots.get(slot)
        if before is not None and before.record.time > job.record.time:
            job.winner = before
            return
        if before is not None:
            before.winner = job
        self._slots[slot] = job

    @property
    def jobs(self) -> dict[str, Job]:
        """
        Return what is to be sent, by key, in order.
        """
        return {key: job for key, job in self._jobs.items() if job.winner is None}

    def outcome(self, number: int, now: int) -> Outcome:
        """
        Return what became of an object, when all jobs have ended.
        """
        counters: dict[str, Counter[Key]] = {}
        letters: list[Letter] = []
        for mapped in self.events.get(number, []):
            counters.setdefault(mapped.counter, Counter())[mapped.account] += 1
            letters += letters_of(number, mapped, now)
        return Outcome(counters, letters)


def slot_of(record: Record) -> tuple[str, str]:
    """
    Return the state that a record sets: its kind, and its slot or itself.
    """
    return (record.kind, record.id if record.slot is None else record.slot)


def letters_of(number: int, mapped: Mapped, now: int) -> list[Letter]:
    """
    Return the dead letters of a metric event.
    """
    if mapped.fault:
        attempts = [Attempt(now, MAPPING_FAILED, mapped.fault)]
        return [Letter(number, mapped.line, *mapped.account, "", "", MAPPING_FAILED, attempts, now)]
    letters = []
    for part in mapped.parts:
        end = part.job.end
        if end is not None and not end.delivered:
            record, tried = part.record, list(part.job.tried)
            first_at = tried[0].at if tried else now
            about = (record.kind, record.id, end.reason)
            letters.append(
                Letter(number, mapped.line, *mapped.account, *about, tried, first_at, counted=record.counted)
            )
    return letters


def gather(objects: Iterable[Announced], destination: Destination) -> Hand:
    """
    Make records of all metric events of some objects; of one that is meant for other destinations, of none.
    """
    hand = Hand(destination.capabilities)
    for one in objects:
        if meant(one, destination.name):
            for index, line in enumerate(one.lines.splitlines(), 1):
                hand.add(one.announcement.number, index, line, destination.records)
    return hand


def meant(one: Announced, name: str) -> bool:
    """
    Tell whether an object is meant for a destination.
    """
    return not one.announcement.only or name in one.announcement.only
