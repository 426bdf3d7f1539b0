"""
Turn a sealed range of the journal into the contents of its lake objects.

Pure but for one question to the directory, whose answers the caller pins: the same seal, entries and answers give the
same contents, byte for byte, however often it is done.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any

import msgspec

from metriclake._errors import EventTooComplex, TransformFailed
from metriclake.books import Key
from metriclake.entry import Backfilled, EntryKind, LakeObject, Manifest, Seal, StoredEntry, as_rows, backfill_mark
from metriclake.event import NO_METRIC, NO_TENANT, DropReason, MetricEvent, tenant_of
from metriclake.prefix import DEFAULT_LAYOUT, Layout, Moment
from metriclake.rules import RuleSet
from metriclake.stream.directory import Attributes
from metriclake.stream.steps import VALIDATE, Draft, Refusal, Terms, as_dimensions, put_attributes
from metriclake.tiers import Tiers

Answers = Mapping[str, Attributes | None]
_MICROSECONDS = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Plan:
    """
    What a version of the pipeline file says to the stream.

    `tiers` are how long the store keeps what is sent; `future` is microseconds; `suffix` is the objects' compression;
    `types` are the declared types of measures, by metric and measure; `layout` is where objects lie. `wait` holds aside
    what comes while nothing can be said of its tenant. `fingerprints` are those of the rules, by metric: the same text
    as long as the metric's part of the file says the same.
    """

    version: int
    rules: RuleSet
    tiers: Tiers
    future: int
    suffix: str
    types: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    accept_unknown: bool = True
    layout: Layout = DEFAULT_LAYOUT
    wait: bool = False
    fingerprints: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refused:
    """
    A draft that did not pass, with the reason.
    """

    draft: Draft
    reason: DropReason
    message: str


@dataclass(slots=True)
class Sorted:
    """
    A batch after validation: what passed, what did not, and what became of the domain events.

    `freed_at` is the oldest arrival of what was held before and goes on with it.
    """

    passed: list[Draft] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    received: Counter[Key] = field(default_factory=Counter)
    held: Counter[Key] = field(default_factory=Counter)
    freed: Counter[Key] = field(default_factory=Counter)
    matched: int = 0
    unmatched: int = 0
    freed_at: int | None = None


@dataclass(frozen=True, slots=True)
class Content:
    """
    One object to write: its part of the manifest, and its lines.
    """

    about: LakeObject
    lines: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Composed:
    """
    The objects of a seal, and their manifest with its path.
    """

    contents: tuple[Content, ...]
    manifest: Manifest
    path: str


def sort(entries: Sequence[StoredEntry], seal: Seal, plan: Plan) -> Sorted:
    """
    Match, transform and validate: everything that comes before the directory is asked.
    """
    terms = terms_of(plan, _EPOCH + timedelta(microseconds=seal.sealed_at))
    batch = Sorted()
    for entry in entries:
        drafts = _of_events(entry, plan.rules, batch) if entry.kind is EntryKind.EVENTS else _of_metrics(entry, batch)
        for draft in drafts:
            try:
                for step in VALIDATE:
                    step(draft, terms)
            except Refusal as refusal:
                batch.refused.append(Refused(draft, refusal.reason, str(refusal)))
            else:
                batch.passed.append(draft)
    return batch


def terms_of(plan: Plan, moment: datetime) -> Terms:
    """
    Return what metric events are held against at a moment.
    """
    tiers = plan.tiers

    def oldest_of(tenant: str, metric: str) -> datetime:
        return max(_EPOCH, moment - tiers.retention_of(tenant, metric))

    return Terms(
        max(_EPOCH, moment - tiers.retention),
        moment + timedelta(microseconds=plan.future),
        plan.types,
        None if tiers.alike else oldest_of,
    )


def tenants(batch: Sorted) -> list[str]:
    """
    Return the tenants that the directory must be asked for.
    """
    return sorted({draft.tenant for draft in batch.passed})


def compose(
    batch: Sorted, entries: Sequence[StoredEntry], seal: Seal, plan: Plan, answers: Answers,
    backfill: Backfilled | None = None,
) -> Composed:  # fmt: skip
    """
    Enrich and write out: the objects of the seal and their manifest.

    Those of a backfill have names of their own beside the seal's.
    """
    place = _Place(seal, plan, "" if backfill is None else backfill_mark(backfill.rule))
    events, refused = _enriched(batch, plan, answers)
    data = _data(place, events)
    errors = _errors(place, refused, seal)
    archive = _archive(place, entries)
    contents = tuple(content for content in (archive, *errors, data) if content is not None)
    manifest = Manifest(
        partition=seal.partition,
        seal=seal.number,
        first=seal.first,
        last=seal.last,
        oldest_at=seal.oldest_at if batch.freed_at is None else min(seal.oldest_at, batch.freed_at),
        sealed_at=seal.sealed_at,
        version=seal.version,
        matched=batch.matched,
        unmatched=batch.unmatched,
        received=as_rows(batch.received),
        held=as_rows(batch.held),
        freed=as_rows(batch.freed),
        integers=_integers(plan, {event.metric_name for event in events}),
        data=data.about if data else None,
        errors=[content.about for content in errors],
        archive=archive.about if archive else None,
        backfill=backfill,
    )
    return Composed(contents, manifest, place.manifest)


def describe(
    path: str, lines: bytes, reason: DropReason | None = None, counts: Counter[Key] | None = None
) -> LakeObject:
    """
    Return an object's part of the manifest.
    """
    return LakeObject(
        path=path,
        rows=lines.count(b"\n"),
        size=len(lines),
        sha256=hashlib.sha256(lines).hexdigest(),
        reason=None if reason is None else reason.value,
        counts=as_rows(counts or {}),
    )


def recount(about: LakeObject, lines: bytes) -> LakeObject:
    """
    Describe an object that was there already by what it holds.
    """
    counts: Counter[Key] = Counter()
    if about.reason is not None:
        for error in read_errors(lines):
            counts[error.tenantId, error.metricName] += 1
        return describe(about.path, lines, DropReason(about.reason), counts)
    if about.counts:
        for event in map(_DECODE_EVENT.decode, lines.splitlines()):
            counts[event.metadata["tenant_id"], event.metric_name] += 1
    return describe(about.path, lines, None, counts)


class _Place:
    """
    Where the objects of a seal lie: named by the seal and a mark alone, so that a second try finds the first one's.
    """

    def __init__(self, seal: Seal, plan: Plan, mark: str) -> None:
        when = datetime.fromtimestamp(seal.oldest_at / _MICROSECONDS, UTC)
        self._moment = Moment(when, f"{seal.journal}-{seal.partition}-{seal.number}{mark}")
        self._name = f"{seal.journal}-{seal.partition}-{seal.number:010d}-{when:%Y-%m-%d-%H-%M-%S}{mark}"
        self._suffix = f".ndjson{plan.suffix}"
        self._layout = plan.layout

    @property
    def data(self) -> str:
        return f"{self._layout.data(self._moment)}{self._name}{self._suffix}"

    def error(self, reason: str) -> str:
        return f"{self._layout.error(replace(self._moment, reason=reason))}{self._name}{self._suffix}"

    @property
    def archive(self) -> str:
        return f"Archive/{self._moment.when:%Y/%m/%d/%H}/{self._name}{self._suffix}"

    @property
    def manifest(self) -> str:
        return f"Manifest/{self._moment.when:%Y/%m/%d/%H}/{self._name}.json"


class ErrorRecord(msgspec.Struct, frozen=True):
    """
    Firehose's error record, one a line; of whom it speaks, and what `rawData` is: an entry's kind.
    """

    attemptsMade: int  # noqa: N815 - Firehose's own name, as the five below
    arrivalTimestamp: int  # noqa: N815
    errorCode: str  # noqa: N815
    errorMessage: str  # noqa: N815
    attemptEndingTimestamp: int  # noqa: N815
    rawData: str  # noqa: N815
    tenantId: str = NO_TENANT  # noqa: N815 - spelled as its neighbours
    metricName: str = NO_METRIC  # noqa: N815
    entryKind: str = ""  # noqa: N815


class _DomainEvent(msgspec.Struct):
    """
    The key that every accepted domain event has and no metric event.
    """

    detail_type: msgspec.Raw | msgspec.UnsetType = msgspec.field(name="detail-type", default=msgspec.UNSET)


class _Shape(msgspec.Struct):
    """
    A metric event whose data cannot be read: the part that the door has counted it by.
    """

    metric_name: Any
    metadata: Any
    data: msgspec.Raw


_ACCOUNT = attrgetter("tenant", "metric")
_ENCODER = msgspec.json.Encoder()
_DECODE_SHAPE = msgspec.json.Decoder(_Shape)
_DECODER = msgspec.json.Decoder()
_DECODE_EVENT = msgspec.json.Decoder(MetricEvent)
_DECODE_KEYS = msgspec.json.Decoder(_DomainEvent)
_DECODE_ERROR = msgspec.json.Decoder(ErrorRecord)


def read_errors(lines: bytes) -> list[ErrorRecord]:
    """
    Return the records of an `Error/` object. Raises ValueError where it holds something else.
    """
    return list(map(_DECODE_ERROR.decode, lines.splitlines()))


def kind_of(raw: bytes) -> EntryKind:
    """
    Tell by which door an accepted record came.
    """
    return EntryKind.METRICS if _DECODE_KEYS.decode(raw).detail_type is msgspec.UNSET else EntryKind.EVENTS


def _of_events(entry: StoredEntry, rules: RuleSet, batch: Sorted) -> list[Draft]:
    drafts: list[Draft] = []
    arrived_at = entry.arrived_at
    for line in entry.body.splitlines():
        try:
            event = _DECODER.decode(line)
            picked = rules.matching(event)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, EventTooComplex) as error:
            batch.matched += 1
            batch.received[NO_TENANT, NO_METRIC] += 1
            batch.refused.append(_unread(line, entry, error))
            continue
        if not picked:
            batch.unmatched += 1
            continue
        batch.matched += 1
        for rule in picked:
            try:
                metadata, data = rule.transform.apply(event, arrived_at)
            except TransformFailed as error:
                batch.received[NO_TENANT, rule.name] += 1
                failed = Draft(rule.name, None, None, None, line, arrived_at)
                batch.refused.append(Refused(failed, DropReason.TRANSFORM_FAILED, str(error)))
                continue
            drafts.append(Draft(rule.name, metadata, data, event["id"], line, arrived_at, tenant_of(metadata)))
    batch.received.update(map(_ACCOUNT, drafts))
    return drafts


def _of_metrics(entry: StoredEntry, batch: Sorted) -> list[Draft]:
    drafts: list[Draft] = []
    for line in entry.body.splitlines():
        try:
            record = _DECODER.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            shape = _DECODE_SHAPE.decode(line)
            draft = Draft(shape.metric_name, shape.metadata, None, None, line, entry.arrived_at)
            batch.refused.append(Refused(draft, DropReason.MALFORMED, str(error)))
            continue
        metadata = record.get("metadata")
        drafts.append(Draft(record.get("metric_name"), metadata, record.get("data"), None, line, entry.arrived_at))
    return drafts


def _unread(line: bytes, entry: StoredEntry, error: Exception) -> Refused:
    reason = DropReason.TOO_COMPLEX if isinstance(error, EventTooComplex) else DropReason.MALFORMED
    return Refused(Draft(None, None, None, None, line, entry.arrived_at), reason, str(error))


def _enriched(batch: Sorted, plan: Plan, answers: Answers) -> tuple[list[MetricEvent], list[Refused]]:
    events: list[MetricEvent] = []
    refused = list(batch.refused)
    added = {tenant: None if found is None else as_dimensions(found) for tenant, found in answers.items()}
    for draft in batch.passed:
        try:
            events.append(put_attributes(draft, added, accept_unknown=plan.accept_unknown))
        except Refusal as refusal:
            refused.append(Refused(draft, refusal.reason, str(refusal)))
    return events, refused


def _data(place: _Place, events: list[MetricEvent]) -> Content | None:
    if not events:
        return None
    lines = _ENCODER.encode_lines(events)
    counts = Counter([(event.metadata["tenant_id"], event.metric_name) for event in events])
    return Content(describe(place.data, lines, None, counts), lines)


def _errors(place: _Place, refused: list[Refused], seal: Seal) -> list[Content]:
    by_reason: dict[DropReason, list[Refused]] = {}
    for record in refused:
        by_reason.setdefault(record.reason, []).append(record)
    contents = []
    for reason, records in sorted(by_reason.items()):
        lines = b"\n".join(_ENCODER.encode(_error(record, seal)) for record in records) + b"\n"
        counts = Counter(record.draft.account for record in records)
        contents.append(Content(describe(place.error(reason), lines, reason, counts), lines))
    return contents


def _error(record: Refused, seal: Seal) -> ErrorRecord:
    tenant, metric = record.draft.account
    code = "".join(word.capitalize() for word in record.reason.split("-"))
    return ErrorRecord(
        attemptsMade=1,
        arrivalTimestamp=record.draft.arrived_at // 1000,
        errorCode=f"Metriclake.{code}",
        errorMessage=record.message,
        attemptEndingTimestamp=seal.sealed_at // 1000,
        rawData=base64.b64encode(record.draft.raw).decode("ascii"),
        tenantId=tenant,
        metricName=metric,
        entryKind=kind_of(record.draft.raw),
    )


def _archive(place: _Place, entries: Sequence[StoredEntry]) -> Content | None:
    lines = b"".join(entry.body for entry in entries if entry.kind is EntryKind.EVENTS)
    return Content(describe(place.archive, lines), lines) if lines else None


def _integers(plan: Plan, metrics: set[str]) -> dict[str, list[str]]:
    declared = {
        metric: sorted(name for name, kind in plan.types.get(metric, {}).items() if kind == "integer")
        for metric in sorted(metrics)
    }
    return {metric: names for metric, names in declared.items() if names}
