"""
What travels between the stages: entries of the journal, seals, announcements, and the manifest of a sealed batch.

Times are microseconds since 1970, UTC. Order is promised within a partition of the journal, not across.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from metriclake._errors import LakeError, NewerFormat
from metriclake.books import Counts, Key

FORMAT = 1
"""The version of the manifest's format."""


class EntryKind(StrEnum):
    """
    What an entry's lines are.
    """

    EVENTS = "events"
    METRICS = "metrics"


@dataclass(frozen=True, slots=True)
class Position:
    """
    Where an entry stands.
    """

    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Entry:
    """
    What one request brought: `count` JSON objects, one a line, accepted at `arrived_at`.

    `counts` says for metric events how many there are of each tenant and metric; domain events have none yet.
    """

    kind: EntryKind
    arrived_at: int
    count: int
    body: bytes = field(repr=False)
    counts: Counts = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EntryInfo:
    """
    An entry without its body: what the batcher decides on.
    """

    offset: int
    arrived_at: int
    size: int


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """
    An entry as the stream reads it.
    """

    offset: int
    kind: EntryKind
    arrived_at: int
    count: int
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Seal:
    """
    A closed batch: the entries `first` to `last` of a partition, the clock and the pipeline version it is made with.

    One that only frees what was held aside has no entries: its `last` is `first - 1`. `journal` is the journal's
    identity. `number` counts the seals of a partition from 1. `oldest_at` is the earliest arrival of its entries, which
    is not the first one's where a clock was put back, or of the oldest that it may free.
    """

    journal: str
    partition: int
    number: int
    first: int
    last: int
    oldest_at: int
    sealed_at: int
    version: int


@dataclass(frozen=True, slots=True)
class Announcement:
    """
    A lake object that is there to be loaded: `number` is the order that destinations follow, from 1 without gaps.

    `counts` are its metric events by tenant and metric. `only` names the destinations that it is meant for, where it is
    not for all of them; the others count it as not mapped. The store takes every object.
    """

    number: int
    object: str
    manifest: str
    rows: int
    oldest_at: int
    sealed_at: int
    version: int
    counts: Counts = field(default_factory=dict, repr=False)
    only: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Checkpointed:
    """
    How far a reader of the announcements has come: all up to `number` are done.

    `sealed_at` is the clock of the last of them, 0 before the first.
    """

    number: int
    sealed_at: int


@dataclass(frozen=True, slots=True)
class Span:
    """
    From when, inclusive, to when, exclusive; None is open.
    """

    start: int | None = None
    end: int | None = None

    def holds(self, when: int) -> bool:
        """
        Tell whether a time lies in it.
        """
        return (self.start is None or self.start <= when) and (self.end is None or when < self.end)

    def meets(self, first: int, last: int) -> bool:
        """
        Tell whether something that lasts from one time to another has a part in it.
        """
        return (self.start is None or self.start <= last) and (self.end is None or first < self.end)


@dataclass(frozen=True, slots=True)
class Which:
    """
    Which refused records are meant: of one reason, of one tenant, that arrived in a span; None is any.
    """

    reason: str | None = None
    tenant: str | None = None
    span: Span = field(default_factory=Span)


@dataclass(frozen=True, slots=True)
class Retried:
    """
    Which lines of an `Error/` object were sent again: what was kept of it `before`, and what is to be kept now.
    """

    object: str
    before: bytes | None
    lines: bytes


@dataclass(frozen=True, slots=True)
class Backfilling:
    """
    How far a backfill of one archived batch is: the directory's pinned answers, or the number of its announcement.

    `number` counts what backfills have announced, from 1; it is 0 where the rule makes nothing of the batch.
    """

    answers: bytes | None
    number: int | None


@dataclass(frozen=True, slots=True)
class Held:
    """
    Metric events of one tenant that a seal holds aside: `counts` of them, one a line of `body`, in order of arrival.
    """

    tenant: str
    oldest_at: int
    counts: Counts
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class HeldInfo:
    """
    What is held aside under a number, without its body: numbers grow in the order in which it was held.
    """

    number: int
    tenant: str
    oldest_at: int
    size: int


class LakeObject(msgspec.Struct, frozen=True, kw_only=True):
    """
    One object of a sealed batch: `rows` lines of `size` bytes before compression, and the SHA-256 of those bytes.

    `counts` are its metric events as (tenant, metric, number); `reason` stands with objects below `Error/` alone.
    """

    path: str
    rows: int
    size: int
    sha256: str
    reason: str | None = None
    counts: list[tuple[str, str, int]] = []


class Backfilled(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a backfill adds to its manifest: the metric whose rule ran over an archived batch, and the rule's fingerprint.

    `made_at` is the clock when it was made, `only` the destinations that it is meant for.
    """

    metric: str
    rule: str
    made_at: int
    only: list[str]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a sealed batch became, written beside its objects when all of them are durable.

    `matched` and `unmatched` count domain events. `received` counts the metric events that rules made of them. `held`
    counts those that were put aside, and `freed` those that were taken back from there: a seal that does nothing else
    has no entries, and its `last` is below its `first`.
    `integers` names the measures that the pipeline file declares as integers, by metric.
    With `backfill` it says what one metric's rule made of the batch later: seal, range and clock are the batch's, and
    its domain events are counted by its own manifest.
    """

    format: int = FORMAT
    partition: int
    seal: int
    first: int
    last: int
    oldest_at: int
    sealed_at: int
    version: int
    matched: int
    unmatched: int
    received: list[tuple[str, str, int]]
    held: list[tuple[str, str, int]] = []
    freed: list[tuple[str, str, int]] = []
    integers: dict[str, list[str]] = {}
    data: LakeObject | None = None
    errors: list[LakeObject] = []
    archive: LakeObject | None = None
    backfill: Backfilled | None = None


_MANIFESTS = msgspec.json.Decoder(Manifest)


def backfill_mark(rule: str) -> str:
    """
    Return what the names of a backfill's objects have in addition to their batch's.
    """
    return f"-backfill-{rule}"


def encode_manifest(manifest: Manifest) -> bytes:
    """
    Return a manifest as the lake keeps it.
    """
    return msgspec.json.encode(manifest) + b"\n"


def decode_manifest(path: str, content: bytes) -> Manifest:
    """
    Read a manifest; raises LakeError where it is not one.
    """
    try:
        manifest = _MANIFESTS.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise LakeError(f"the manifest {path} cannot be read: it is torn or of a newer version") from error
    if manifest.format > FORMAT:
        raise NewerFormat(f"the manifest {path} has format {manifest.format}, this version reads {FORMAT}: upgrade")
    return manifest


def objects_of(manifest: Manifest) -> list[LakeObject]:
    """
    Return all objects that a manifest names.
    """
    return [about for about in (manifest.archive, *manifest.errors, manifest.data) if about is not None]


def as_counts(rows: list[tuple[str, str, int]]) -> dict[Key, int]:
    """
    Return a manifest's counts by tenant and metric.
    """
    return {(tenant, metric): amount for tenant, metric, amount in rows}


def as_rows(counts: Counts) -> list[tuple[str, str, int]]:
    """
    Return counts as a manifest writes them, sorted.
    """
    return sorted((*key, amount) for key, amount in counts.items())
