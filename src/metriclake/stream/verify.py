"""
Hold the lake against its manifests: what is missing, torn or changed, and what no manifest names.

Three passes, each in slices that end when the caller has had enough: every manifest with the objects that it names;
every announcement's manifest; every object's manifest. One object at a time is in memory. What a sealed batch is just
writing is not held against it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from metriclake._errors import LakeError, MetriclakeError
from metriclake.entry import Announcement, Backfilling, LakeObject, Manifest, Seal, Span, decode_manifest, objects_of
from metriclake.stream.compose import recount
from metriclake.stream.lake import Lake, unpack
from metriclake.stream.manifests import Name, read_name, steps

_PAGE = 500
Enough = Callable[[], bool]


class Wrong(StrEnum):
    """
    What can be wrong with an object of the lake.
    """

    MISSING = "missing"
    TORN = "torn"
    CHANGED = "changed"
    UNREADABLE = "unreadable"
    UNNAMED = "unnamed"


class Finding(msgspec.Struct, frozen=True):
    """
    One object that is not as it should be.
    """

    path: str
    what: Wrong
    detail: str


class Checked(msgspec.Struct, kw_only=True):
    """
    What one slice has found. `next` is where to go on, empty at the end; `done` of `total` hours are behind in `phase`.
    """

    phase: str = "manifests"
    manifests: int = 0
    objects: int = 0
    bytes: int = 0
    listed: int = 0
    done: int = 0
    total: int = 0
    findings: list[Finding] = []
    next: str = ""


class CheckedJournal(Protocol):
    """
    What the check needs of the journal.
    """

    @property
    def identity(self) -> str:
        """
        Return the journal's own name.
        """

    def announcements(self, after: int, limit: int) -> list[Announcement]:
        """
        Return the announcements after a number, in order.
        """

    def unannounced(self, partition: int) -> list[Seal]:
        """
        Return the seals whose objects are not announced.
        """

    def backfilling(self, manifest: str) -> Backfilling | None:
        """
        Return how far the backfill of a batch is.
        """


class LakeCheck:
    """
    The check of one lake.
    """

    def __init__(self, lake: Lake, journal: CheckedJournal) -> None:
        """
        `journal` is the one whose batches the lake holds.
        """
        self._lake = lake
        self._journal = journal
        self._passes = {"manifests": self._manifests, "announcements": self._announcements, "objects": self._objects}

    def slice(self, span: Span, after: str, enough: Enough) -> Checked:
        """
        Check on from `after` until `enough`, or the end of a pass; the batches whose oldest arrival lies in the span.
        """
        phase, _, place = (after or "manifests:").partition(":")
        if phase not in self._passes:
            raise MetriclakeError("`after` is not where a check has stopped: take `next` of the last answer")
        found = Checked(phase=phase, findings=[])
        for reached in self._passes[phase](span, place, found):
            if enough():
                found.next = f"{phase}:{reached}"
                return found
        phases = list(self._passes)
        following = phases[phases.index(phase) + 1 :]
        found.next = f"{following[0]}:" if following else ""
        return found

    def _manifests(self, span: Span, after: str, found: Checked) -> Iterator[str]:
        for step in steps(self._lake, span, after):
            found.done, found.total = step.done, step.total
            name = read_name(step.path)
            if name is not None and name.manifest == step.path and span.holds(name.oldest_at):
                found.manifests += 1
                self._manifest(step.path, name, found)
            yield step.path

    def _manifest(self, path: str, name: Name, found: Checked) -> None:
        try:
            manifest = self._read(path)
        except MetriclakeError as error:
            if not self._in_flight(name):
                found.findings.append(Finding(path, Wrong.TORN, str(error)))
            return
        for about in objects_of(manifest) if manifest is not None else ():
            found.objects += 1
            found.bytes += about.size
            wrong = self._object(about)
            if wrong is not None:
                found.findings.append(wrong)

    def _read(self, path: str) -> Manifest | None:
        packed = self._lake.packed(path)
        return None if packed is None else decode_manifest(path, unpack(path, packed))

    def _object(self, about: LakeObject) -> Finding | None:
        try:
            packed = self._lake.packed(about.path)
        except LakeError as error:
            return Finding(about.path, Wrong.UNREADABLE, str(error))
        if packed is None:
            return Finding(about.path, Wrong.MISSING, "its manifest names it, and it is not there")
        try:
            lines = unpack(about.path, packed)
        except LakeError as error:
            return Finding(about.path, Wrong.TORN, str(error))
        try:
            held = recount(about, lines)
        except (ValueError, KeyError):
            return Finding(about.path, Wrong.CHANGED, "it holds lines of another format")
        return None if held == about else Finding(about.path, Wrong.CHANGED, _difference(held, about))

    def _announcements(self, span: Span, after: str, found: Checked) -> Iterator[str]:
        number = int(after) if after.isdigit() else 0
        while page := self._journal.announcements(number, _PAGE):
            for announcement in page:
                number = announcement.number
                name = read_name(announcement.manifest)
                if name is not None and span.holds(name.oldest_at):
                    self._announcement(announcement, found)
            yield str(number)

    def _announcement(self, announcement: Announcement, found: Checked) -> None:
        if self._lake.has(announcement.manifest):
            return
        found.findings.append(Finding(announcement.manifest, Wrong.MISSING, "it is announced, and it is not there"))
        if not self._lake.has(announcement.object):
            found.findings.append(Finding(announcement.object, Wrong.MISSING, "it is announced, and it is not there"))

    def _objects(self, span: Span, after: str, found: Checked) -> Iterator[str]:
        known: tuple[str, frozenset[str]] = ("", frozenset())
        for path in self._lake.walk("", after):
            name = read_name(path)
            if name is not None and name.manifest == path:
                continue
            found.listed += 1
            if name is None:
                found.findings.append(Finding(path, Wrong.UNNAMED, "no sealed batch makes objects of this name"))
            elif span.holds(name.oldest_at):
                if known[0] != name.manifest or path not in known[1]:
                    known = (name.manifest, self._named(name, path))
                if path not in known[1]:
                    found.findings.append(Finding(path, Wrong.UNNAMED, "no manifest names it"))
            yield path

    def _named(self, name: Name, path: str) -> frozenset[str]:
        """
        Return what an object's manifest names; the object itself too while its batch is being written.
        """
        for last in (False, True):
            try:
                manifest = self._read(name.manifest)
            except MetriclakeError:
                return frozenset({path})
            named = frozenset(about.path for about in objects_of(manifest)) if manifest is not None else frozenset()
            if path in named or last:
                return named
            if self._in_flight(name):
                return frozenset({path})
        return frozenset()

    def _in_flight(self, name: Name) -> bool:
        if name.backfill:
            begun = self._journal.backfilling(name.manifest)
            return begun is not None and begun.number is None
        seals: Sequence[Seal] = self._journal.unannounced(name.partition)
        return name.journal == self._journal.identity and name.seal in {seal.number for seal in seals}


def _difference(held: LakeObject, about: LakeObject) -> str:
    if held.rows != about.rows or held.size != about.size:
        return f"{held.rows} rows of {held.size} bytes, the manifest says {about.rows} of {about.size}"
    if held.sha256 != about.sha256:
        return "as long as its manifest says, with another SHA-256"
    return "its counts by tenant and metric are not those of its manifest"
