"""
The lake's check: whatever was done to an object is found, and what is whole is not accused.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metriclake._errors import MetriclakeError
from metriclake.entry import Seal, Span, encode_manifest, objects_of
from metriclake.journal import SqliteJournal
from metriclake.prefix import layout
from metriclake.stream import Lake, LakeCheck, Limits, NoDirectory, StreamWorker
from metriclake.stream.lake import pack
from metriclake.stream.manifests import read_manifest, read_name
from stream.plans import event, events, plan

HOUR = 3_600_000_000
NOON = 1_769_860_800_000_000
PREFIXES = ("d/!{timestamp:yyyy}/!{firehose:random-string}-", "e/!{firehose:error-output-type}/")


@pytest.fixture
def lake(tmp_path: Path, journal: SqliteJournal, request: pytest.FixtureRequest) -> Lake:
    """
    Fill a lake with four batches, an hour apart, each with an archive, two kinds of errors and data.
    """
    made = Lake(tmp_path / "lake")
    used = plan(suffix=getattr(request, "param", ".zst"))
    for hour in range(4):
        entry = events(
            event(f"{hour}-1"), event(f"{hour}-2", {"tenant_id": None}), event(f"{hour}-3", {"size": "x"}),
            arrived_at=NOON + hour * HOUR,
        )  # fmt: skip
        journal.append(entry).result(30)
    worker = StreamWorker(journal, made, NoDirectory(), lambda _version: used, lambda: Limits(600, 1))
    worker.start()
    worker.stop()
    assert worker.failure is None
    return made


def check(
    lake: Lake, journal: SqliteJournal, span: Span | None = None, enough: Callable[[], bool] = lambda: False
) -> list[tuple[str, str]]:
    """
    Check to the end; returns what is wrong, and of which kind of object.
    """
    checker = LakeCheck(lake, journal)
    after, found = "", []
    for _ in range(200):
        part = checker.slice(span or Span(), after, enough)
        found += [(finding.what.value, finding.path) for finding in part.findings]
        after = part.next
        if not after:
            return found
    message = "the check does not end"
    raise TimeoutError(message)


def objects(lake: Lake) -> list[str]:
    """
    Return all that is in a lake.
    """
    return list(lake.walk(""))


@pytest.mark.parametrize("lake", [".zst", ".gz", ".snappy", ".zip", ""], indirect=True)
def test_whole_lake_has_no_findings(lake: Lake, journal: SqliteJournal) -> None:
    """
    What the stream has written is as its manifests say, however small the slices are.
    """
    part = LakeCheck(lake, journal).slice(Span(), "", lambda: False)

    assert len(objects(lake)) == 20
    assert (part.manifests, part.objects, part.findings) == (4, 16, [])
    assert check(lake, journal) == check(lake, journal, enough=lambda: True) == []


@pytest.mark.parametrize("lake", [".zst", ".snappy", ""], indirect=True)
@pytest.mark.parametrize("kind", ["Data", "Error", "Archive"])
def test_what_is_done_to_an_object_is_found(lake: Lake, journal: SqliteJournal, kind: str) -> None:
    """
    One that is gone is missing, one cut short is torn or changed, one with other lines is changed.
    """
    gone, short, other, *_ = [path for path in objects(lake) if path.startswith(kind)]
    (lake.root / gone).unlink()
    content = (lake.root / short).read_bytes()
    (lake.root / short).write_bytes(content[:-1])
    (lake.root / other).write_bytes(pack(other, lake.get(other) * 2))

    assert Counter(check(lake, journal)) == Counter([("missing", gone), ("torn", short), ("changed", other)])
    assert check(lake, journal) == check(lake, journal, enough=lambda: True)


@pytest.mark.parametrize("lake", [".snappy", ""], indirect=True)
def test_object_cut_between_lines_is_changed(lake: Lake, journal: SqliteJournal) -> None:
    """
    Formats without a checksum are held against the manifest's.
    """
    path = next(path for path in objects(lake) if path.startswith("Archive"))
    (lake.root / path).write_bytes(pack(path, lake.get(path).splitlines(keepends=True)[0]))

    assert check(lake, journal) == [("changed", path)]


def test_wrong_counts_are_found(lake: Lake, journal: SqliteJournal) -> None:
    """
    A manifest whose counts are not those of its object is found, although the SHA-256 is right.
    """
    path = next(path for path in objects(lake) if path.startswith("Manifest"))
    manifest = read_manifest(lake, path)
    assert manifest.data is not None
    forged = msgspec.structs.replace(manifest.data, counts=[("globex", "uploads", 1)])
    (lake.root / path).write_bytes(encode_manifest(msgspec.structs.replace(manifest, data=forged)))

    assert check(lake, journal) == [("changed", manifest.data.path)]


def test_manifest_that_is_gone_or_torn_is_found(lake: Lake, journal: SqliteJournal) -> None:
    """
    What the journal has announced has a manifest; without one its objects have no name.
    """
    gone, torn, *_ = [path for path in objects(lake) if path.startswith("Manifest")]
    named = {about.path for about in objects_of(read_manifest(lake, gone))}
    (lake.root / gone).unlink()
    (lake.root / torn).write_bytes(b'{"format"')
    found = check(lake, journal)

    assert {path for what, path in found if what == "missing"} == {gone}
    assert {path for what, path in found if what == "torn"} == {torn}
    assert {path for what, path in found if what == "unnamed"} == named


def test_objects_that_no_manifest_names_are_found(lake: Lake, journal: SqliteJournal) -> None:
    """
    A stranger's file, and an object in a sealed batch's name that its manifest does not know.
    """
    data = next(path for path in objects(lake) if path.startswith("Data"))
    lake.put("Data/notes.txt", b"mine")
    lake.put(f"elsewhere/{data.rpartition('/')[2]}", lake.get(data))

    assert {path.partition("/")[0] for what, path in check(lake, journal) if what == "unnamed"} == {"Data", "elsewhere"}


def test_what_is_just_being_written_is_not_accused(lake: Lake, journal: SqliteJournal) -> None:
    """
    The objects of a seal that is not announced have no manifest yet.
    """
    journal.append(events(event("9"), arrived_at=NOON)).result(30)
    journal.seal(Seal(journal.identity, 0, 5, 5, 5, NOON, NOON, 1))
    lake.put(f"Data/2026/01/31/12/{journal.identity}-0-0000000005-2026-01-31-12-00-00.ndjson.zst", b"{}\n")

    assert check(lake, journal) == []


def test_span_bounds_what_is_looked_at(lake: Lake, journal: SqliteJournal) -> None:
    """
    `from` is inclusive and `to` exclusive, by the arrival of a batch's oldest record.
    """
    for path in objects(lake):
        os.truncate(lake.root / path, 1)
    span = Span(NOON + HOUR, NOON + 3 * HOUR)
    found = check(lake, journal, span)

    assert {path.split("/")[-2] for _, path in found} == {"13", "14"}


def test_cursor_of_another_kind_is_refused(lake: Lake, journal: SqliteJournal) -> None:
    """
    A place where no check has stopped is an error, not an empty answer.
    """
    with pytest.raises(MetriclakeError, match="after"):
        LakeCheck(lake, journal).slice(Span(), "nowhere", lambda: False)


@pytest.mark.parametrize(
    "name",
    ["notes.txt", "0123abcd-0-7-2026-01-31-12-00-00.json", "0123abcd-0-0000000007-2026-13-31-12-00-00.json", ""],
)
def test_other_names_are_not_read(name: str) -> None:
    """
    What is not named by a sealed batch has no name here.
    """
    assert read_name(f"Data/{name}") is None


@given(st.lists(st.text("ab-./", min_size=1, max_size=4), min_size=1, max_size=8, unique=True), st.text("ab-./"))
def test_walk_goes_by_name(tmp_path_factory: pytest.TempPathFactory, names: list[str], after: str) -> None:
    """
    A walk has every object once, in the order of whole names, and goes on after any of them.
    """
    made = Lake(tmp_path_factory.mktemp("lake"))
    folders = ("/".join(part for part in name.split("/") if part.strip(".")) for name in names)
    paths = sorted({f"{folder}/x.ndjson".lstrip("/") for folder in folders})
    for path in paths:
        made.put(path, b"\n")

    assert list(made.walk("")) == paths
    assert list(made.walk("", after)) == [path for path in paths if path > after]


def test_prefixes_of_ones_own_are_checked_too(tmp_path: Path, journal: SqliteJournal) -> None:
    """
    Objects are found by their manifests, wherever the layout puts them.
    """
    lake = Lake(tmp_path / "lake")
    used = replace(plan(), layout=layout(*PREFIXES))
    journal.append(events(event("1"), event("2", {"tenant_id": None}), arrived_at=NOON)).result(30)
    worker = StreamWorker(journal, lake, NoDirectory(), lambda _version: used, lambda: Limits(600, 1))
    worker.start()
    worker.stop()

    assert sorted(path.partition("/")[0] for path in objects(lake)) == ["Archive", "Manifest", "d", "e"]
    assert check(lake, journal) == []
