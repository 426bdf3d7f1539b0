"""
Go through the lake's manifests in the order of arrival, forwards or backwards, from wherever one has stopped.

They lie in folders by hour; one folder's names at a time are held.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from metriclake.entry import Manifest, Span, backfill_mark, decode_manifest
from metriclake.stream.lake import Lake

ROOT = "Manifest/"
_NAME = re.compile(
    r"([0-9a-f]{8})-(\d+)-(\d{10,})-(\d{4}(?:-\d\d){5})(?:-backfill-([0-9a-f]{16}))?\.(?:json|ndjson(?:\.[a-z]+)?)$"
)
_HOURS_BEFORE = 2
"""A batch may hold what arrived after it was opened: the folders before a span's first that are looked into."""


@dataclass(frozen=True, slots=True)
class Name:
    """
    What the name of an object or manifest says: its seal, the arrival of its oldest record to the second.

    `backfill` is the fingerprint of the rule by which a backfill made it, empty where its own batch did.
    """

    journal: str
    partition: int
    seal: int
    oldest_at: int
    manifest: str
    backfill: str = ""


def read_name(path: str) -> Name | None:
    """
    Return what an object's name says, None where no sealed batch has made it.
    """
    found = _NAME.search(path)
    if found is None:
        return None
    try:
        when = datetime.strptime(found[4], "%Y-%m-%d-%H-%M-%S").replace(tzinfo=UTC)
    except ValueError:
        return None
    manifest = f"{ROOT}{when:%Y/%m/%d/%H}/{found[0].partition('.')[0]}.json"
    oldest_at = int(when.timestamp()) * 1_000_000
    return Name(found[1], int(found[2]), int(found[3]), oldest_at, manifest, found[5] or "")


def backfill_path(manifest: str, rule: str) -> str:
    """
    Return the path of the manifest of what a rule, by its fingerprint, makes of an archived batch later.
    """
    return f"{manifest.removesuffix('.json')}{backfill_mark(rule)}.json"


@dataclass(frozen=True, slots=True)
class Step:
    """
    A manifest on the way, and how many of how many hours are behind it.
    """

    path: str
    done: int
    total: int


def steps(lake: Lake, span: Span, after: str, *, backwards: bool = False) -> Iterator[Step]:
    """
    Yield the manifests of batches that may hold records of a span, after the one that is named.
    """
    folders = _folders(lake, span)
    if backwards:
        folders.reverse()
    for done, folder in enumerate(folders):
        if after and (folder < after if not backwards else folder > after) and not after.startswith(folder):
            continue
        paths = [path for path in lake.listed(folder) if path.endswith(".json")]
        for path in reversed(paths) if backwards else paths:
            if not after or (path < after if backwards else path > after):
                yield Step(path, done, len(folders))


def read_manifest(lake: Lake, path: str) -> Manifest:
    """
    Return the manifest at a path. Raises LakeError.
    """
    return decode_manifest(path, lake.get(path))


def _folders(lake: Lake, span: Span) -> list[str]:
    folders = [ROOT]
    for _ in range(4):
        folders = [name for folder in folders for name in lake.listed(folder) if name.endswith("/")]
    first = 0 if span.start is None else max(0, bisect_left(folders, _folder(span.start)) - _HOURS_BEFORE)
    last = len(folders) if span.end is None else bisect_left(folders, _folder(span.end) + "\x7f")
    return folders[first:last]


def _folder(when: int) -> str:
    return f"{ROOT}{datetime.fromtimestamp(when / 1_000_000, UTC):%Y/%m/%d/%H}/"
