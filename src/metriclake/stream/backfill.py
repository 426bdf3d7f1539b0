"""
Run a metric's rule, as it is in force now, over the archived domain events: an object of its own for each batch.

The steps, the clock and the identities are those by which the batch itself would have been made, so that what the
store has counts as a duplicate. Everything is made once: the directory's answers are pinned first, objects are named by
batch and rule, and announced and counted in one transaction of the journal. A backfill that dies is run again, and goes
on. It works in slices, and leaves room to what arrives.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

import msgspec

from metriclake._errors import MetriclakeError
from metriclake.books import STORE, Delta
from metriclake.entry import Announcement, Backfilled, Backfilling, Checkpointed, Manifest, Span
from metriclake.stream import throttle
from metriclake.stream.archived import Archived, archived, only
from metriclake.stream.compose import Composed, Plan, Sorted, compose, sort, tenants, terms_of
from metriclake.stream.directory import Attributes
from metriclake.stream.held import decode_verdict, encode_verdict
from metriclake.stream.lake import Lake
from metriclake.stream.manifests import backfill_path, read_manifest
from metriclake.stream.objects import ObjectWriter, announcement_of, deltas_of
from metriclake.stream.throttle import Load, Pause

_START = "-"
"""Where a backfill goes on that has done nothing yet: before every path."""

_LOADING = "loading"
_LOADING_SECONDS = 0.1
_DIRECTORY_SECONDS = 1.0
Enough = Callable[[], bool]


class Tally(msgspec.Struct, kw_only=True):
    """
    What becomes of one tenant's metric events: `received`, of those `laked`, and `refused` by reason.

    `beyond` of what is laked lies beyond the retention now: the store counts it as expired.
    """

    tenant: str
    received: int = 0
    laked: int = 0
    beyond: int = 0
    refused: dict[str, int] = {}


class Part(msgspec.Struct, kw_only=True):
    """
    What one slice has done, over `events` domain events of `batches`; `next` is where to go on, empty at the end.

    `already` batches were done by an earlier run; `elsewhere` of them are not meant for all destinations that are named
    now. Ask again after `pause` seconds; `waits_for` says why, where nothing could be done. `number` is the last
    announcement, `rule` the rule's fingerprint: both are to be given back with the next question.
    """

    tenants: list[Tally]
    rule: str
    number: int = 0
    batches: int = 0
    events: int = 0
    already: int = 0
    elsewhere: int = 0
    pause: float = 0.0
    waits_for: str = ""
    next: str = ""
    done: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class Wanted:
    """
    What to backfill: the metric, the arrivals, and the destinations it is meant for (the store takes it in any case).

    With `dry_run` nothing is written. `rule` and `number` are those of the last part.
    """

    metric: str
    span: Span = field(default_factory=Span)
    destinations: tuple[str, ...] = ()
    dry_run: bool = False
    rule: str = ""
    number: int = 0


class BackfillJournal(Protocol):
    """
    What a backfill needs of the journal.
    """

    def backfilling(self, manifest: str) -> Backfilling | None:
        """
        Return how far the backfill of a batch is.
        """

    def pin_backfill(self, manifest: str, answers: bytes) -> bytes:
        """
        Keep what the directory answered for a batch; the first wins.
        """

    def announce_backfill(self, manifest: str, announcement: Announcement | None, deltas: list[Delta]) -> int | None:
        """
        Announce what was made of a batch, and count it.
        """

    def pass_over(self, manifests: Sequence[str]) -> None:
        """
        Note batches of which nothing is made.
        """

    def checkpoint(self, reader: str) -> Checkpointed:
        """
        Return how far a reader of the announcements has come.
        """


@dataclass(frozen=True, slots=True)
class Surroundings:
    """
    What a backfill is told by the server around it: the plan in force, what waits where, whom it can be meant for.

    `resolve` asks the tenants' directory, `announced` is called when something was announced.
    """

    plan: Callable[[], Plan]
    resolve: Callable[[Iterable[str]], Mapping[str, Attributes | None]]
    load: Callable[[], Load]
    destinations: Callable[[], frozenset[str]]
    announced: Callable[[], None]


class Backfill:
    """
    The backfills of one lake, one slice of one of them at a time.
    """

    def __init__(self, lake: Lake, journal: BackfillJournal, around: Surroundings) -> None:
        """
        `journal` is the one whose batches the lake holds.
        """
        self._lake = lake
        self._journal = journal
        self._around = around
        self._objects = ObjectWriter(lake, "backfill")
        self._turn = threading.Lock()

    def slice(self, wanted: Wanted, after: str, enough: Enough) -> Part:
        """
        Go on from `after` until `enough`, over the batches whose oldest arrival lies in the span.

        Raises MetriclakeError where there is no such metric or destination, or the rule has changed since it began;
        LakeError where the lake cannot be read or written.
        """
        with self._turn:
            plan = self._around.plan()
            part = Part(rule=self._rule(plan, wanted), number=wanted.number, tenants=[])
            if after == _LOADING:
                self._load(part)
                return part
            began = time.monotonic()
            pause = throttle.before(self._around.load()) if not wanted.dry_run else Pause()
            if pause.seconds:
                part.pause, part.waits_for, part.next = pause.seconds, pause.reason, after or _START
                return part
            tools = _Tools(self._lake, self._journal, self._objects, self._around)
            _Slice(tools, only(plan, wanted.metric), wanted, part).work(after or _START, enough)
            if not part.next and not wanted.dry_run:
                self._load(part)
            part.pause = max(part.pause, throttle.after(self._around.load(), time.monotonic() - began).seconds)
            return part

    def _rule(self, plan: Plan, wanted: Wanted) -> str:
        rule = plan.fingerprints.get(wanted.metric)
        if rule is None:
            raise MetriclakeError(
                f"the pipeline file in force has no metric {wanted.metric!r}: it has {', '.join(plan.fingerprints)}"
            )
        if wanted.rule not in ("", rule):
            raise MetriclakeError(
                f"the rule of {wanted.metric} has changed since this backfill began: run it again for the new one"
            )
        unknown = sorted(set(wanted.destinations) - self._around.destinations())
        if unknown:
            known = ", ".join(sorted(self._around.destinations()))
            raise MetriclakeError(f"the pipeline file in force has no destination {unknown[0]!r}: it has {known}")
        return rule

    def _load(self, part: Part) -> None:
        """
        Say whether the store has all that was announced.
        """
        if self._journal.checkpoint(STORE).number < part.number:
            part.next, part.pause, part.waits_for = _LOADING, _LOADING_SECONDS, "the store"


@dataclass(frozen=True, slots=True)
class _Tools:
    """
    What a slice works with.
    """

    lake: Lake
    journal: BackfillJournal
    objects: ObjectWriter
    around: Surroundings


class _Slice:
    """
    One slice at work: batch after batch, each whole or not at all.
    """

    def __init__(self, tools: _Tools, plan: Plan, wanted: Wanted, part: Part) -> None:
        self._tools = tools
        self._plan = plan
        self._wanted = wanted
        self._part = part
        self._tallies: dict[str, Tally] = {}
        self._nothing: list[str] = []
        self._now = datetime.now(UTC)
        self._meant = sorted({STORE, *wanted.destinations})

    def work(self, after: str, enough: Enough) -> None:
        """
        Go on from a manifest until enough, and put down in the part what was done.
        """
        part, reached = self._part, after
        for step, batch in archived(self._tools.lake, self._wanted.span, after):
            if batch is not None and not self._take(backfill_path(step.path, part.rule), batch):
                part.next = reached
                break
            reached, part.done, part.total = step.path, step.done, step.total
            if enough():
                part.next = reached
                break
        if self._nothing and not self._wanted.dry_run:
            self._tools.journal.pass_over(self._nothing)
        part.tenants = [self._tallies[tenant] for tenant in sorted(self._tallies)]

    def _take(self, path: str, batch: Archived) -> bool:
        """
        Make what the rule makes of a batch; False where that must wait.
        """
        known = self._tools.journal.backfilling(path)
        if known is not None and known.number is not None:
            self._part.already += 1
            self._part.elsewhere += known.number > 0 and self._is_elsewhere(path)
            return True
        entries, seal = batch.entries(self._tools.lake), batch.seal(self._plan.version)
        made = sort(entries, seal, self._plan)
        if not made.received:
            self._nothing.append(path)
        else:
            answers = self._answers(path, known, made)
            if answers is None:
                return False
            made.matched = made.unmatched = 0  # the batch's own manifest counts them
            backfill = Backfilled(
                metric=self._wanted.metric, rule=self._part.rule, made_at=time.time_ns() // 1000, only=self._meant
            )
            verdict = decode_verdict(answers)
            self._put(compose(made, (), seal, self._plan, verdict.answers, backfill))
            self._beyond(made)
        self._part.batches += 1
        self._part.events += batch.archive.rows
        return True

    def _answers(self, path: str, known: Backfilling | None, made: Sorted) -> bytes | None:
        """
        Return what the directory answers for a batch, pinned; None while it must be waited for.
        """
        if known is not None and known.answers is not None:
            return known.answers
        asked = tenants(made)
        answers = self._tools.around.resolve(asked)
        if self._plan.wait and not answers.keys() >= set(asked) and not self._wanted.dry_run:
            self._part.pause, self._part.waits_for = _DIRECTORY_SECONDS, "the tenants' directory"
            return None
        verdict = encode_verdict(answers)
        return verdict if self._wanted.dry_run else self._tools.journal.pin_backfill(path, verdict)

    def _put(self, composed: Composed) -> None:
        """
        Write and announce what was made of a batch, and tally it; in a dry run only the latter.
        """
        manifest = composed.manifest
        if not self._wanted.dry_run:
            manifest = self._tools.objects.write(composed)
            announcement = announcement_of(manifest, composed.path)
            number = self._tools.journal.announce_backfill(composed.path, announcement, deltas_of(manifest))
            self._part.number = number or self._part.number
            self._tools.around.announced()
        self._tally(manifest)

    def _tally(self, manifest: Manifest) -> None:
        for tenant, _, amount in manifest.received:
            self._of(tenant).received += amount
        for tenant, _, amount in manifest.data.counts if manifest.data else ():
            self._of(tenant).laked += amount
        for about in manifest.errors:
            for tenant, _, amount in about.counts:
                refused = self._of(tenant).refused
                refused[about.reason or ""] = refused.get(about.reason or "", 0) + amount

    def _beyond(self, made: Sorted) -> None:
        terms = terms_of(self._plan, self._now)
        for draft in made.passed:
            oldest = terms.oldest if terms.oldest_of is None else terms.oldest_of(draft.tenant, draft.metric)
            self._of(draft.tenant).beyond += str(draft.measures["event_time"]) < oldest.strftime("%Y-%m-%dT%H:%M:%S.%f")

    def _of(self, tenant: str) -> Tally:
        return self._tallies.setdefault(tenant, Tally(tenant=tenant))

    def _is_elsewhere(self, path: str) -> bool:
        """
        Tell whether what an earlier run made of a batch is not meant for all that are named now.
        """
        if not self._wanted.destinations:
            return False
        made = read_manifest(self._tools.lake, path).backfill
        return made is None or not set(self._meant) <= set(made.only)
