"""
Read what was refused, by way of the manifests, and send it through the journal again after a fix.

Everything goes in slices that end when the caller has had enough. A retry takes the refused records of one manifest at
a time: they are appended as new entries, and remembered as sent, in one transaction of the journal. So a retry that
dies goes on where it was, and one that is asked for twice by accident sends nothing.
"""

from __future__ import annotations

import base64
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import msgspec

from metriclake._errors import JournalFull, LakeError
from metriclake.books import Key
from metriclake.entry import Entry, EntryKind, LakeObject, Manifest, Retried, Which
from metriclake.stream.compose import ErrorRecord, kind_of, read_errors
from metriclake.stream.lake import Lake
from metriclake.stream.manifests import Step, read_manifest, steps

_ENTRY_BYTES = 4 * 1024 * 1024
_PAGE_BYTES = 8 * 1024 * 1024
_RANGES = msgspec.json.Decoder(list[tuple[int, int]])
Enough = Callable[[], bool]


class Group(msgspec.Struct):
    """
    The refused records of one reason, tenant and metric: how many, how many were sent again, the newest's arrival.
    """

    reason: str
    tenant: str
    metric: str
    records: int = 0
    retried: int = 0
    newest: str = ""


class Groups(msgspec.Struct):
    """
    What one slice has counted; `next` is where to go on, empty at the end.
    """

    groups: list[Group]
    next: str = ""
    done: int = 0
    total: int = 0


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """
    One refused record: why, whose, where it lies, whether it was sent again, and itself as text.
    """

    reason: str
    message: str
    arrived_at: str
    tenant: str
    metric: str
    kind: str
    object: str
    line: int
    retried: bool
    raw: str


class Records(msgspec.Struct):
    """
    Refused records, the newest batch's first; `next` is where to go on, empty at the end.
    """

    records: list[Record]
    next: str = ""


class Sent(msgspec.Struct, kw_only=True):
    """
    What one slice of a retry did: refused `records` looked at, `already` sent by an earlier retry, `sent` now.

    `sent` is smaller where several rules refused one event, which is sent once. Batches sealed after `as_of` are left
    alone: what a retry brings back to `Error/` is not sent by the same retry.
    """

    records: int = 0
    already: int = 0
    sent: int = 0
    as_of: int = 0
    next: str = ""
    done: int = 0
    total: int = 0


class RetryJournal(Protocol):
    """
    What reading and retrying needs of the journal.
    """

    def retry(self, entries: Sequence[Entry], retried: Sequence[Retried]) -> None:
        """
        Take entries and keep which refused records they are, in one transaction.
        """

    def retried(self, path: str) -> bytes | None:
        """
        Return what `retry` has kept of an object.
        """


@dataclass(frozen=True, slots=True)
class _Object:
    """
    An `Error/` object with those of its records that are asked for, by line, and the lines that were sent before.
    """

    about: LakeObject
    records: dict[int, ErrorRecord]
    kept: bytes | None
    lines: frozenset[int]


@dataclass(slots=True)
class Terms:
    """
    How to retry: only count (`dry_run`), send again what was sent before (`again`), batches sealed before `as_of`.
    """

    dry_run: bool = False
    again: bool = False
    as_of: int = 0


class Refusals:
    """
    The refused records of one lake.
    """

    def __init__(self, lake: Lake, journal: RetryJournal) -> None:
        """
        `journal` takes what is sent again.
        """
        self._lake = lake
        self._journal = journal
        self._retrying = threading.Lock()

    def groups(self, which: Which, after: str, enough: Enough) -> Groups:
        """
        Count refused records by reason, tenant and metric, after a manifest, until `enough`.
        """
        found: dict[tuple[str, str, str], Group] = {}
        answer = Groups([])
        for step, manifest in self._manifests(which, after):
            for one in self._objects(manifest, which):
                for line, record in one.records.items():
                    key = (one.about.reason or "", record.tenantId, record.metricName)
                    group = found.setdefault(key, Group(*key))
                    group.records += 1
                    group.retried += line in one.lines
                    group.newest = max(group.newest, _text(record.arrivalTimestamp))
            answer.done, answer.total = step.done, step.total
            if enough():
                answer.next = step.path
                break
        answer.groups = [found[key] for key in sorted(found)]
        return answer

    def records(self, which: Which, after: str, limit: int, enough: Enough) -> Records:
        """
        Return refused records, the newest batch's first, at most `limit`; `after` is an answer's `next`.
        """
        answer = Records([])
        size = 0
        path, _, skip = after.partition("#")
        for step, manifest in self._manifests(which, path, backwards=True, inclusive=bool(skip)):
            given = int(skip) if skip.isdigit() and step.path == path else 0
            for number, record in enumerate(self._shown(manifest, which)):
                if number < given:
                    continue
                answer.records.append(record)
                size += len(record.raw)
                if len(answer.records) == limit or size > _PAGE_BYTES:
                    answer.next = f"{step.path}#{number + 1}"
                    return answer
            if enough():
                answer.next = step.path
                return answer
        return answer

    def retry(self, which: Which, after: str, terms: Terms, enough: Enough) -> Sent:
        """
        Send refused records again, after a manifest, until `enough`.
        """
        answer = Sent(as_of=terms.as_of or time.time_ns() // 1000)
        passed = ""
        with self._retrying:
            for step, manifest in self._manifests(which, after):
                try:
                    if manifest.sealed_at < answer.as_of:
                        self._retry(list(self._objects(manifest, which)), terms, answer)
                except JournalFull:
                    if not passed:
                        raise
                    answer.next = passed
                    return answer
                passed, answer.done, answer.total = step.path, step.done, step.total
                if enough():
                    answer.next = passed
                    return answer
        return answer

    def _retry(self, objects: Sequence[_Object], terms: Terms, answer: Sent) -> None:
        """
        Send the records of one manifest again: entries and memory in one transaction.
        """
        records = already = 0
        chosen: list[ErrorRecord] = []
        marks: list[Retried] = []
        for one in objects:
            fresh = {line: record for line, record in one.records.items() if terms.again or line not in one.lines}
            records += len(one.records)
            already += sum(line in one.lines for line in one.records)
            chosen += fresh.values()
            if fresh:
                marks.append(Retried(one.about.path, one.kept, _ranges(one.lines | fresh.keys())))
        entries = list(_entries(chosen, time.time_ns() // 1000))
        if entries and not terms.dry_run:
            self._journal.retry(entries, marks)
        answer.records += records
        answer.already += already
        answer.sent += sum(entry.count for entry in entries)

    def _manifests(
        self, which: Which, after: str, *, backwards: bool = False, inclusive: bool = False
    ) -> Iterator[tuple[Step, Manifest]]:
        """
        Yield the manifests that may have refused records in the span; with `inclusive` the one named by `after` too.
        """
        start, end = which.span.start, which.span.end
        place = f"{after}\x7f" if inclusive and backwards else after
        for step in steps(self._lake, which.span, place, backwards=backwards):
            manifest = read_manifest(self._lake, step.path)
            early = start is not None and manifest.sealed_at < start
            late = end is not None and manifest.oldest_at >= end
            yield step, msgspec.structs.replace(manifest, errors=[]) if early or late else manifest

    def _objects(self, manifest: Manifest, which: Which) -> Iterator[_Object]:
        for about in manifest.errors:
            if which.reason not in (None, about.reason):
                continue
            if which.tenant is not None and which.tenant not in {tenant for tenant, *_ in about.counts}:
                continue
            kept = self._journal.retried(about.path)
            lines = frozenset(
                line for first, last in (_RANGES.decode(kept) if kept else ()) for line in range(first, last + 1)
            )
            yield _Object(about, self._read(about, which), kept, lines)

    def _read(self, about: LakeObject, which: Which) -> dict[int, ErrorRecord]:
        try:
            records = read_errors(self._lake.get(about.path))
        except ValueError as error:
            raise LakeError(
                f"the lake object {about.path} holds lines of another format: `metriclake lake check` tells more"
            ) from error
        return {
            line: record
            for line, record in enumerate(records, start=1)
            if which.tenant in (None, record.tenantId) and which.span.holds(record.arrivalTimestamp * 1000)
        }

    def _shown(self, manifest: Manifest, which: Which) -> Iterator[Record]:
        for one in self._objects(manifest, which):
            for line, record in one.records.items():
                raw = _raw(record)
                yield Record(
                    reason=one.about.reason or "",
                    message=record.errorMessage,
                    arrived_at=_text(record.arrivalTimestamp),
                    tenant=record.tenantId,
                    metric=record.metricName,
                    kind=record.entryKind or kind_of(raw),
                    object=one.about.path,
                    line=line,
                    retried=line in one.lines,
                    raw=raw.decode("utf-8", "replace"),
                )


def _entries(records: Sequence[ErrorRecord], now: int) -> Iterator[Entry]:
    """
    Yield the entries of refused records, of a fair size each; what several rules have refused stands there once.
    """
    seen: set[bytes] = set()
    waiting: dict[EntryKind, list[tuple[bytes, Key]]] = {kind: [] for kind in EntryKind}
    sizes: Counter[EntryKind] = Counter()
    for record in records:
        raw = _raw(record)
        if raw in seen:
            continue
        seen.add(raw)
        kind = EntryKind(record.entryKind or kind_of(raw))
        waiting[kind].append((raw, (record.tenantId, record.metricName)))
        sizes[kind] += len(raw)
        if sizes[kind] >= _ENTRY_BYTES:
            yield _entry(kind, waiting[kind], now)
            waiting[kind], sizes[kind] = [], 0
    yield from (_entry(kind, lines, now) for kind, lines in waiting.items() if lines)


def _entry(kind: EntryKind, lines: Sequence[tuple[bytes, Key]], now: int) -> Entry:
    body = b"\n".join(raw for raw, _ in lines) + b"\n"
    counts = Counter(key for _, key in lines) if kind is EntryKind.METRICS else {}
    return Entry(kind, now, len(lines), body, dict(counts))


def _raw(record: ErrorRecord) -> bytes:
    return base64.b64decode(record.rawData)


def _ranges(lines: frozenset[int]) -> bytes:
    """
    Return line numbers as the journal keeps them: from-to, from-to.
    """
    ranges: list[list[int]] = []
    for line in sorted(lines):
        if ranges and ranges[-1][1] == line - 1:
            ranges[-1][1] = line
        else:
            ranges.append([line, line])
    return msgspec.json.encode(ranges)


def _text(milliseconds: int) -> str:
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
