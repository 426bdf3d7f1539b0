"""
Count anew what the books count: from the manifests, the announcements, and the rows of the store.

Three passes in slices, up to one moment of the journal: what arrives meanwhile has a higher number, and is left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import msgspec

from metriclake._errors import LakeError, MetriclakeError
from metriclake.books import DOMAIN_EVENTS, STORE, STREAM, Key
from metriclake.entry import Announcement, Backfilling, Manifest, Span
from metriclake.event import NO_TENANT
from metriclake.recount import ANNOUNCED, Moment, Row, Snapshot
from metriclake.stream.lake import Lake
from metriclake.stream.manifests import Name, read_manifest, read_name, steps

_PAGE = 200
Enough = Callable[[], bool]
Rows = Callable[[int, int], Iterable[tuple[int, str, str, int]]]
"""Returns the store's rows of objects from one number to another, as (object, tenant, metric, rows)."""


class Recounted(msgspec.Struct, kw_only=True):
    """
    What one slice has found; `next` is where to go on, empty at the end. `done` of `total` are behind in `phase`.

    The first has the `moment`, to be given back with each question, and what the counters `said` then. `wrong` are
    sentences about what cannot be counted, or is there although nothing was announced of it. The last slice says whose
    rows may have left the store (`aged`).
    """

    moment: Moment
    phase: str = ""
    said: list[Row] = []
    found: list[Row] = []
    wrong: list[str] = []
    aged: list[Key] = []
    manifests: int = 0
    objects: int = 0
    done: int = 0
    total: int = 0
    next: str = ""


class RecountedJournal(Protocol):
    """
    What a recount needs of the journal.
    """

    @property
    def identity(self) -> str:
        """
        Return the journal's own name.
        """

    def snapshot(self) -> Snapshot:
        """
        Return one moment: the counters, and what the journal has itself.
        """

    def backfilling(self, manifest: str) -> Backfilling | None:
        """
        Return how far the backfill of a batch is.
        """

    def announcements(self, after: int, limit: int) -> list[Announcement]:
        """
        Return the announcements after a number, in order.
        """


class Recount:
    """
    The recount of one lake and its store.
    """

    def __init__(self, lake: Lake, journal: RecountedJournal, rows: Rows, aged: Callable[[], list[Key]]) -> None:
        """
        `rows` counts the store's, `aged` says whose may have left by their retention.
        """
        self._lake = lake
        self._journal = journal
        self._rows = rows
        self._aged = aged
        self._passes = {"manifests": self._manifests, "objects": self._objects}

    def slice(self, moment: Moment | None, after: str, enough: Enough) -> Recounted:
        """
        Count on from `after` until `enough`, or the end of a pass. Raises StoreError where the store does not answer.
        """
        if moment is None:
            begun = self._journal.snapshot()
            return Recounted(moment=begun.moment, said=begun.said, found=begun.found, next="manifests:")
        phase, _, place = after.partition(":")
        if phase not in self._passes:
            raise MetriclakeError("`after` is not where a recount has stopped: take `next` of the last answer")
        part = Recounted(moment=moment, phase=phase, wrong=[])
        counted: Counter[tuple[str, str, str, str]] = Counter()
        part.next = "objects:" if phase == "manifests" else ""
        for reached in self._passes[phase](part, place, counted):
            if enough():
                part.next = f"{phase}:{reached}"
                break
        part.found = [(*key, amount) for key, amount in counted.items()]
        if not part.next:
            part.aged = self._aged()
        return part

    def _manifests(self, part: Recounted, after: str, counted: Counter[tuple[str, str, str, str]]) -> Iterator[str]:
        for step in steps(self._lake, Span(), after):
            part.done, part.total = step.done, step.total
            name = read_name(step.path)
            if name is not None and name.manifest == step.path and self._is_due(name, part.moment):
                try:
                    _count(read_manifest(self._lake, step.path), counted)
                    part.manifests += 1
                except LakeError as error:
                    part.wrong.append(str(error))
            yield step.path

    def _is_due(self, name: Name, moment: Moment) -> bool:
        """
        Tell whether what a manifest counts was announced by the moment.
        """
        if name.journal != self._journal.identity:
            return False
        if not name.backfill:
            return name.seal <= moment.sealed.get(str(name.partition), 0)
        made = self._journal.backfilling(name.manifest)
        return made is not None and made.number is not None and 0 < made.number <= moment.backfilled

    def _objects(self, part: Recounted, after: str, counted: Counter[tuple[str, str, str, str]]) -> Iterator[str]:
        moment, number = part.moment, int(after) if after.isdigit() else 0
        part.total = moment.announced
        while page := [one for one in self._journal.announcements(number, _PAGE) if one.number <= moment.announced]:
            stored: dict[int, list[tuple[Key, int]]] = {}
            last = min(page[-1].number, moment.checkpoints.get(STORE, 0))
            if last > number:
                for object_, tenant, metric, rows in self._rows(number + 1, last):
                    stored.setdefault(object_, []).append(((tenant, metric), rows))
            for announcement in page:
                _count_announced(announcement, moment, counted)
                for key, rows in stored.pop(announcement.number, ()):
                    counted[STORE, *key, "stored"] += rows
                    if rows > announcement.counts.get(key, 0):
                        part.wrong.append(_surplus(announcement, key, rows))
            number = part.done = page[-1].number
            part.objects += len(page)
            yield str(number)


def _count(manifest: Manifest, counted: Counter[tuple[str, str, str, str]]) -> None:
    for tenant, metric, amount in manifest.data.counts if manifest.data else ():
        counted[STREAM, tenant, metric, "laked"] += amount
    for about in manifest.errors:
        for tenant, metric, amount in about.counts:
            counted[STREAM, tenant, metric, "rejected"] += amount
    events = {
        "archived": manifest.archive.rows if manifest.archive else 0,
        "matched": manifest.matched,
        "unmatched": manifest.unmatched,
    }
    for counter, amount in events.items():
        counted[STREAM, NO_TENANT, DOMAIN_EVENTS, counter] += amount


def _count_announced(announcement: Announcement, moment: Moment, counted: Counter[tuple[str, str, str, str]]) -> None:
    behind = [name for name, number in moment.checkpoints.items() if announcement.number <= number]
    for scope in (STREAM, *behind):
        for (tenant, metric), amount in announcement.counts.items():
            counted[scope, tenant, metric, ANNOUNCED] += amount


def _surplus(announcement: Announcement, key: Key, rows: int) -> str:
    tenant, metric = key
    announced = announcement.counts.get(key, 0)
    return (
        f"the store holds {rows} rows of {tenant} {metric} from object {announcement.number}, of which {announced} were"
        " announced"
    )
