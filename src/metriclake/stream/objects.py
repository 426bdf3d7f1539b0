"""
Write the objects of a composed batch, then the manifest that says they are all there; say what is announced of it.

An object that a dead worker has left wins: what the manifest counts is what the lake holds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import msgspec

from metriclake._errors import LakeError
from metriclake.books import DOMAIN_EVENTS, STREAM, Delta
from metriclake.crashpoints import CrashPoint, reach
from metriclake.entry import (
    Announcement,
    LakeObject,
    Manifest,
    as_counts,
    decode_manifest,
    encode_manifest,
    objects_of,
)
from metriclake.event import NO_TENANT
from metriclake.stream.compose import Composed, Content, recount
from metriclake.stream.lake import Lake


class ObjectWriter:
    """
    Puts composed batches into one lake, the archive in a thread beside the rest.
    """

    def __init__(self, lake: Lake, thread: str) -> None:
        """
        `thread` names the thread of the archive, which is started when there is one to write.
        """
        self._lake = lake
        self._archiver = ThreadPoolExecutor(max_workers=1, thread_name_prefix=thread)

    def write(self, composed: Composed) -> Manifest:
        """
        Write the objects, then the manifest; return what the lake holds of it. Raises LakeError.
        """
        archive = composed.manifest.archive
        manifest_path = composed.path
        jobs = [
            self._archiver.submit(self._put, content, manifest_path)
            for content in composed.contents
            if content.about is archive
        ]
        rest = [self._put(one, manifest_path) for one in composed.contents if one.about is not archive]
        written = {about.path: about for about in (*rest, *(job.result() for job in jobs))}
        reach(CrashPoint.PUT)
        manifest = _with_written(composed.manifest, written)
        kept = self._lake.put(composed.path, encode_manifest(manifest))
        return decode_manifest(composed.path, kept)

    def close(self) -> None:
        """
        End the thread of the archive.
        """
        self._archiver.shutdown()

    def _put(self, content: Content, manifest_path: str) -> LakeObject:
        path = content.about.path
        kept = self._lake.put(path, content.lines, lambda found: self._vouched(found, path, manifest_path))
        if kept == content.lines:
            return content.about
        try:
            return recount(content.about, kept)
        except ValueError as error:
            raise LakeError(f"the lake object {content.about.path} holds lines of another format") from error

    def _vouched(self, found: bytes, path: str, manifest_path: str) -> bool:
        """
        Tell whether a dead worker's manifest names what was found: it went last, when all objects were durable.
        """
        try:
            manifest = decode_manifest(manifest_path, self._lake.get(manifest_path))
        except LakeError:
            return False
        named = {about.path: about.sha256 for about in objects_of(manifest)}
        return named.get(path) == hashlib.sha256(found).hexdigest()


def announcement_of(manifest: Manifest, path: str) -> Announcement | None:
    """
    Return what is announced of a manifest at a path, None where it has no metric events.

    A backfill's is of the clock when it was made: it says how long destinations have had it, and nothing of arrivals.
    """
    if manifest.data is None:
        return None
    made = manifest.backfill
    return Announcement(
        number=0,
        object=manifest.data.path,
        manifest=path,
        rows=manifest.data.rows,
        oldest_at=manifest.oldest_at if made is None else made.made_at,
        sealed_at=manifest.sealed_at if made is None else made.made_at,
        version=manifest.version,
        counts=as_counts(manifest.data.counts),
        only=() if made is None else tuple(made.only),
    )


def deltas_of(manifest: Manifest) -> list[Delta]:
    """
    Return what the books say of a manifest.
    """
    deltas = [
        Delta(STREAM, NO_TENANT, DOMAIN_EVENTS, "archived", manifest.archive.rows if manifest.archive else 0),
        Delta(STREAM, NO_TENANT, DOMAIN_EVENTS, "matched", manifest.matched),
        Delta(STREAM, NO_TENANT, DOMAIN_EVENTS, "unmatched", manifest.unmatched),
    ]
    deltas.extend(_counted("received", manifest.received))
    if manifest.data is not None:
        deltas.extend(_counted("laked", manifest.data.counts))
    for about in manifest.errors:
        deltas.extend(_counted("rejected", about.counts))
    return deltas


def _with_written(manifest: Manifest, written: dict[str, LakeObject]) -> Manifest:
    def found(about: LakeObject | None) -> LakeObject | None:
        return None if about is None else written[about.path]

    return msgspec.structs.replace(
        manifest,
        data=found(manifest.data),
        errors=[written[about.path] for about in manifest.errors],
        archive=found(manifest.archive),
    )


def _counted(counter: str, rows: Iterable[tuple[str, str, int]]) -> list[Delta]:
    return [Delta(STREAM, tenant, metric, counter, amount) for tenant, metric, amount in rows]
