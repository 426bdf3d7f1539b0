"""
What a destination is: it makes records of metric events, takes them in batches, and says what became of each.

A destination is one file. It says what it can take (`capabilities`), how a metric event looks there (`records`), and
sends a batch (`deliver`). It keeps nothing: order, checkpoint, tries, pauses, budgets, splitting and dead letters are
the loop's, the same for all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Protocol, Self

from metriclake.event import MetricEvent

EVENT = "event"
"""The kind of a destination's records where it has one kind only."""


class Repeats(StrEnum):
    """
    What becomes of a record that is sent a second time under the same id.
    """

    HARMLESS = "harmless"
    FORGOTTEN = "forgotten"
    DOUBLED = "doubled"


@dataclass(frozen=True, slots=True)
class Rate:
    """
    At most so many requests in so many seconds, or so many records: whichever is reached first.
    """

    seconds: float
    requests: int | None = None
    records: int | None = None


@dataclass(frozen=True, slots=True)
class Capabilities:
    """
    What one kind of call takes: `records` and `bytes` (of bodies, before compression) in a batch, `record_bytes` each.

    `repeats` says whether the destination deduplicates by a record's id: always (harmless), for as long as `remembers`
    (forgotten after it), or not at all (doubled). `retry_unknown` has what may have been taken sent again although it
    may double: where who receives it is expected to deduplicate. `concurrency` batches may be on their way at once.
    Where `latest_only`, a record stands for the state of its `slot`: the newest is sent, and older ones never overwrite
    it.
    """

    records: int = 1
    bytes: int | None = None
    record_bytes: int | None = None
    rate: Rate | None = None
    repeats: Repeats = Repeats.DOUBLED
    remembers: timedelta | None = None
    retry_unknown: bool = False
    concurrency: int = 1
    latest_only: bool = False


@dataclass(frozen=True, slots=True)
class Erasure:
    """
    Whether a destination can delete what it has of a tenant, and how: a sentence for whoever asks for the deletion.
    """

    possible: bool
    how: str


@dataclass(frozen=True, slots=True)
class Record:
    """
    What is sent of one metric event, or of a tenant's attributes: `body` is what stands for it in the request.

    `id` is the same however often the event is sent, at most 36 characters of hexadecimal digits and `-`. `time` is
    the event's, microseconds since 1970. `kind` names the call; records of two kinds are never in one batch. `slot`
    names the state that it sets, for a kind of which only the latest counts. `counted` is false for what is no metric
    event: a tenant's attributes.
    """

    id: str
    tenant: str
    metric: str
    time: int
    body: bytes = field(repr=False)
    kind: str = EVENT
    slot: str | None = None
    counted: bool = True


class Verdict(StrEnum):
    """
    What became of a record.

    RETRY: it was not taken, and may be later. REJECTED: it never will be. REFUSED: its batch was refused whole for
    something in it, which may be another record. UNKNOWN: it may have been taken, there was no answer.
    """

    DELIVERED = "delivered"
    RETRY = "retry"
    REJECTED = "rejected"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Fate:
    """
    What became of a record, and why: the destination's own reason, without the record's content.

    `reason` is short and the same for the same fault (`429`, `time_too_old`): dead letters are listed by it.
    """

    verdict: Verdict
    reason: str = ""
    detail: str = ""


DELIVERED = Fate(Verdict.DELIVERED)


@dataclass(frozen=True, slots=True)
class Batch:
    """
    Records of one kind, within the capabilities of it; `attempt` counts from 1.
    """

    kind: str
    records: Sequence[Record]
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class Receipt:
    """
    What became of each record of a batch, in its order.

    `pause` is for how many seconds the account wants no request at all (`Retry-After`, an exhausted rate). `blocked`
    says that it is no fault of any record that nothing is taken: a refused key, an unknown host, an outage. Neither
    costs a record that is to be tried again one of its tries.

    `raised` says of a blocked one that an error was raised, and nobody knows whether a record is at fault.
    """

    fates: Sequence[Fate]
    pause: float | None = None
    blocked: bool = False
    raised: bool = False

    @classmethod
    def all(cls, batch: Batch, fate: Fate, *, pause: float | None = None, blocked: bool = False) -> Self:
        """
        Say the same of every record.
        """
        return cls([fate] * len(batch.records), pause, blocked)

    @classmethod
    def but(cls, batch: Batch, others: Mapping[int, Fate], *, pause: float | None = None) -> Self:
        """
        Say of all records that they are delivered, but for those at the indices of `others`.
        """
        return cls([others.get(index, DELIVERED) for index in range(len(batch.records))], pause)

    @classmethod
    def around(cls, batch: Batch, known: Mapping[int, Fate], deliver: Callable[[Batch], Receipt]) -> Self:
        """
        Say what is known already of the records at some indices, and deliver the others, if there are any.
        """
        rest = [record for index, record in enumerate(batch.records) if index not in known]
        if not rest:
            return cls.but(batch, known)
        receipt = deliver(Batch(batch.kind, rest, batch.attempt))
        fates = iter(receipt.fates)
        merged = [known[index] if index in known else next(fates) for index in range(len(batch.records))]
        return cls(merged, receipt.pause, receipt.blocked, receipt.raised)


class Destination(Protocol):
    """
    Where the stream's records go: a service, a webhook, a function.
    """

    @property
    def name(self) -> str:
        """
        Return the name of its checkpoint and its books.
        """

    @property
    def account(self) -> str:
        """
        Return what shares one budget of requests: the same text for two destinations of one account; no secret.
        """

    @property
    def capabilities(self) -> Mapping[str, Capabilities]:
        """
        Return what each kind of its calls takes.
        """

    @property
    def erasure(self) -> Erasure:
        """
        Return whether and how it deletes a tenant's data.
        """

    def records(self, event: MetricEvent) -> Iterable[Record]:
        """
        Return what is to be sent of a metric event; nothing where no mapping takes it. Pure.
        """

    def deliver(self, batch: Batch) -> Receipt:
        """
        Send a batch, once, and say what became of each record. What it raises is taken for an outage.
        """

    def close(self) -> None:
        """
        Let go of connections.
        """
