"""
The stream at work: the real journal, the real lake, real rules. A worker that is started and stopped does all there is.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from metriclake._errors import LakeError, StaleSeal
from metriclake.books import STORE
from metriclake.entry import Entry, EntryKind, Seal, decode_manifest, encode_manifest
from metriclake.gateway.doors import Ids, accept_metrics
from metriclake.journal import SqliteJournal
from metriclake.stream import Directory, FileDirectory, Lake, Limits, NoDirectory, Plan, StreamWorker
from metriclake.stream.compose import Composed, compose, describe, sort
from metriclake.stream.lake import pack
from patience import until
from stream.plans import event, events, lines, metric, plan

PATIENT = Limits(seconds=600, size=1024 * 1024)
NOW_MICROS = 1_790_000_000_000_000
"""A clock of 2026 for seals made by hand."""


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """
    Open a fresh lake.
    """
    return Lake(tmp_path / "lake")


def worker(
    journal: SqliteJournal, lake: Lake, directory: Directory | None = None, *, limits: Limits = PATIENT,
    plan_of: Callable[[int | None], Plan] = lambda _version: plan(),
) -> StreamWorker:  # fmt: skip
    """
    Return a worker that is not started.
    """
    return StreamWorker(journal, lake, directory or NoDirectory(), plan_of, lambda: limits)


def work(journal: SqliteJournal, lake: Lake, directory: Directory | None = None, **rest: Any) -> StreamWorker:
    """
    Do all there is to do, as a server that starts and stops.
    """
    made = worker(journal, lake, directory, **rest)
    made.start()
    made.stop()
    return made


def put(journal: SqliteJournal, *entries: Entry) -> None:
    """
    Append entries and wait until they are durable.
    """
    for future in [journal.append(entry) for entry in entries]:
        future.result(30)


def seal_of(journal: SqliteJournal, first: int = 1, last: int = 1, version: int = 1) -> Seal:
    """
    Seal a range as a worker does that then dies.
    """
    seal = Seal(journal.identity, 0, 1, first, last, NOW_MICROS, NOW_MICROS, version)
    journal.seal(seal)
    return seal


def objects_of(journal: SqliteJournal, seal: Seal, of: Plan | None = None) -> Composed:
    """
    Return what a worker makes of a seal.
    """
    used = of or plan()
    entries = journal.read(0, seal.first, seal.last)
    return compose(sort(entries, seal, used), entries, seal, used, {"acme": {}})


def below(lake: Lake, prefix: str) -> list[dict[str, Any]]:
    """
    Return all records of the lake below a prefix.
    """
    paths = sorted(path for path in (lake.root / prefix).rglob("*") if path.is_file())
    texts = [lake.get(str(path.relative_to(lake.root))) for path in paths]
    return [json.loads(line) for text in texts for line in text.splitlines()]


def announced(journal: SqliteJournal, lake: Lake) -> list[list[dict[str, Any]]]:
    """
    Return the metric events of each announced object, in order.
    """
    return [[json.loads(line) for line in lake.get(one.object).splitlines()] for one in journal.announcements(0, 100)]


def ids(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """
    Return the identities of metric events.
    """
    return [record["metadata"]["event_id"] for record in records]


def test_entries_become_announced_objects(journal: SqliteJournal, lake: Lake) -> None:
    """
    What was accepted is archived, its metric events lie in Data, and one announcement names them with their manifest.
    """
    posted = Entry(EntryKind.METRICS, NOW_MICROS, 1, lines(metric("3")), {("acme", "posted"): 1})
    put(journal, events(event("1"), event("2", source="other")), posted)
    work(journal, lake)

    (found,) = journal.announcements(0, 10)
    manifest = decode_manifest(found.manifest, lake.get(found.manifest))
    assert [ids(records) for records in announced(journal, lake)] == [["1", "3"]]
    assert [record["id"] for record in below(lake, "Archive")] == ["1", "2"]
    assert (found.rows, found.counts) == (2, {("acme", "uploads"): 1, ("acme", "posted"): 1})
    assert (manifest.matched, manifest.unmatched, manifest.first, manifest.last) == (1, 1, 1, 2)
    assert journal.books(STORE).balanced


def test_batch_without_metric_events_is_archived_unannounced(journal: SqliteJournal, lake: Lake) -> None:
    """
    Events that no rule wants are archived; there is nothing to announce.
    """
    put(journal, events(event("1", source="other")))
    work(journal, lake)

    assert journal.announcements(0, 10) == []
    assert journal.unannounced(0) == []
    assert [record["id"] for record in below(lake, "Archive")] == ["1"]
    assert journal.books(STORE).domain_events.unmatched == 1


def test_stop_flushes_what_waits(journal: SqliteJournal, lake: Lake) -> None:
    """
    A worker that would wait ten minutes more writes everything when it is told to stop.
    """
    running = worker(journal, lake)
    running.start()
    put(journal, events(event("1")))
    until(lambda: running.lag[1] == 1)
    assert journal.announcements(0, 10) == []
    running.stop()

    assert running.lag == (0.0, 0)
    assert len(journal.announcements(0, 10)) == 1
    assert running.announced.is_set()


def test_whoever_listens_hears_of_each_announcement(journal: SqliteJournal, lake: Lake) -> None:
    """
    What is to hear of announcements is called when there is one, and can find it.
    """
    running, found = worker(journal, lake), list[int]()
    running.heard = lambda: found.append(len(journal.announcements(0, 10)))
    running.start()
    put(journal, events(event("1")))
    running.stop()

    assert found == [1]


def test_full_batches_close_by_themselves(journal: SqliteJournal, lake: Lake) -> None:
    """
    With a small buffer every entry is a batch of its own, announced in order while the worker runs.
    """
    running = worker(journal, lake, limits=Limits(600, 1))
    running.start()
    put(journal, *(events(event(str(number))) for number in range(5)))
    until(lambda: len(journal.announcements(0, 10)) == 5)
    running.stop()

    assert [ids(records) for records in announced(journal, lake)] == [["0"], ["1"], ["2"], ["3"], ["4"]]


def test_unannounced_seal_is_finished_first(journal: SqliteJournal, lake: Lake) -> None:
    """
    A seal that a dead worker left is announced as it was closed, before what came later.
    """
    put(journal, events(event("1")), events(event("2")))
    seal_of(journal, 1, 1)
    work(journal, lake)

    assert [ids(records) for records in announced(journal, lake)] == [["1"], ["2"]]
    assert journal.announcements(0, 1)[0].sealed_at == NOW_MICROS


def test_object_that_is_there_wins(journal: SqliteJournal, lake: Lake) -> None:
    """
    An object that a dead worker has written stays as it is, and manifest and announcement follow it.
    """
    put(journal, events(event("1"), event("2")))
    made = objects_of(journal, seal_of(journal)).manifest.data
    assert made is not None
    written = lines({**metric("1"), "metric_name": "uploads"})
    lake.put(made.path, written)
    work(journal, lake)

    (found,) = journal.announcements(0, 10)
    manifest = decode_manifest(found.manifest, lake.get(found.manifest))
    assert (made.path, written) == (found.object, lake.get(found.object))
    assert (found.rows, found.counts) == (1, {("acme", "uploads"): 1})
    assert manifest.data is not None
    assert len(written) == manifest.data.size


@pytest.mark.parametrize("kind", ["Data", "Archive", "Error", "Manifest"])
def test_torn_object_is_replaced(journal: SqliteJournal, lake: Lake, kind: str) -> None:
    """
    An object of an unannounced seal that a power cut has torn is written again, and everything is announced.
    """
    put(journal, events(event("1"), event("2", {"tenant_id": None})))
    made = objects_of(journal, seal_of(journal))
    whole = {content.about.path: content.lines for content in made.contents} | {made.path: b'{"format":1,\n'}
    (path,) = (path for path in whole if path.startswith(kind))
    (lake.root / path).parent.mkdir(parents=True)
    (lake.root / path).write_bytes(pack(path, whole[path])[:-2])
    failed = work(journal, lake).failure

    assert failed is None
    assert len(journal.announcements(0, 10)) == 1
    assert all(lake.get(content.about.path) == content.lines for content in made.contents)
    assert journal.books(STORE).balanced


@pytest.mark.parametrize("suffix", ["", ".snappy"])
@pytest.mark.parametrize("kind", ["Data", "Archive"])
def test_object_torn_between_lines_is_replaced(journal: SqliteJournal, lake: Lake, kind: str, suffix: str) -> None:
    """
    Plain lines and Snappy do not tell that the second half is gone: without a manifest they are not trusted.
    """
    used = plan(suffix=suffix)
    put(journal, events(*(event(str(number)) for number in range(1000))))
    made = objects_of(journal, seal_of(journal), used)
    (torn,) = (content for content in made.contents if content.about.path.startswith(kind))
    lake.put(torn.about.path, b"".join(torn.lines.splitlines(keepends=True)[:500]))
    failed = work(journal, lake, plan_of=lambda _version: used).failure

    assert failed is None
    assert all(lake.get(content.about.path) == content.lines for content in made.contents)
    assert [one.rows for one in journal.announcements(0, 10)] == [1000]
    assert journal.books(STORE).balanced


def test_plain_object_wins_where_a_manifest_names_it(journal: SqliteJournal, lake: Lake) -> None:
    """
    What a dead worker of another version has finished, up to its manifest, stays as it is.
    """
    used = plan(suffix="")
    put(journal, events(event("1"), event("2")))
    made = objects_of(journal, seal_of(journal), used)
    assert made.manifest.data is not None
    written = lines({**metric("1"), "metric_name": "uploads"})
    data = describe(made.manifest.data.path, written, None, Counter({("acme", "uploads"): 1}))
    lake.put(data.path, written)
    lake.put(made.path, encode_manifest(msgspec.structs.replace(made.manifest, data=data)))
    work(journal, lake, plan_of=lambda _version: used)

    assert lake.get(data.path) == written
    assert [(one.rows, one.counts) for one in journal.announcements(0, 10)] == [(1, {("acme", "uploads"): 1})]


def test_lake_that_holds_something_else_is_not_trusted(journal: SqliteJournal, lake: Lake) -> None:
    """
    Where another object stands in the place, the stream says so and announces nothing.
    """
    put(journal, events(event("1")))
    made = objects_of(journal, seal_of(journal)).manifest.data
    assert made is not None
    lake.put(made.path, b"not a metric event\n")
    failed = work(journal, lake).failure

    assert "holds lines of another format" in str(failed)
    assert journal.announcements(0, 10) == []
    assert len(journal.unannounced(0)) == 1


def test_failing_lake_loses_nothing(journal: SqliteJournal, lake: Lake) -> None:
    """
    While the lake cannot write the stream says so and tries again; when it can, everything comes through.
    """
    in_the_way = lake.root / "Data"
    in_the_way.write_text("a file where a folder must be")
    put(journal, events(event("1")))
    running = worker(journal, lake, limits=Limits(600, 1))
    running.start()
    until(lambda: running.failure)
    put(journal, events(event("2")))
    assert "waits and tries again" in str(running.failure)

    in_the_way.unlink()
    until(lambda: len(journal.announcements(0, 10)) == 2)
    running.stop()

    assert running.failure is None
    assert ids(below(lake, "Data")) == ["1", "2"]
    assert journal.books(STORE).balanced


class SlowLake(Lake):
    """
    A lake whose objects of the first seal wait until they are let in.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.opened = threading.Event()

    def put(self, path: str, content: bytes, vouched: Callable[[bytes], bool] = lambda _found: False) -> bytes:
        """
        Wait before an object of the first seal is put.
        """
        if "-0000000001-" in path:
            assert self.opened.wait(30)
        return super().put(path, content, vouched)


def test_next_batch_is_made_ready_meanwhile(journal: SqliteJournal, lake: Lake) -> None:
    """
    While a batch is being written the next one is sealed and sorted; they are announced in their order.
    """
    slow = SlowLake(lake.root)
    running = worker(journal, slow, limits=Limits(600, 1))
    running.start()
    put(journal, *(events(event(str(number))) for number in range(3)))
    until(lambda: [seal.number for seal in journal.unannounced(0)] == [1, 2])
    assert journal.announcements(0, 10) == []
    assert running.lag[1] == 3

    slow.opened.set()
    until(lambda: len(journal.announcements(0, 10)) == 3)
    running.stop()

    assert [ids(records) for records in announced(journal, lake)] == [["0"], ["1"], ["2"]]
    assert journal.books(STORE).balanced


def test_batch_that_is_ready_waits_for_the_one_before(journal: SqliteJournal, lake: Lake) -> None:
    """
    Where a batch cannot be written, none after it is announced; both are when the lake can be written again.
    """
    in_the_way = lake.root / "Data"
    in_the_way.write_text("a file where a folder must be")
    slow = SlowLake(lake.root)
    running = worker(journal, slow, limits=Limits(600, 1))
    running.start()
    put(journal, events(event("1")), events(event("2")))
    until(lambda: len(journal.unannounced(0)) == 2)
    slow.opened.set()
    until(lambda: running.failure)
    assert journal.announcements(0, 10) == []

    in_the_way.unlink()
    until(lambda: len(journal.announcements(0, 10)) == 2)
    running.stop()

    assert [ids(records) for records in announced(journal, lake)] == [["1"], ["2"]]
    assert journal.books(STORE).balanced


def test_stop_does_not_wait_for_a_failing_lake(journal: SqliteJournal, lake: Lake) -> None:
    """
    A server can stop while the lake is away; what waits is still in the journal, and the next worker writes it.
    """
    in_the_way = lake.root / "Data"
    in_the_way.write_text("a file where a folder must be")
    put(journal, events(event("1")))

    assert work(journal, lake).failure is not None
    assert len(journal.read(0, 0, 10)) == 1

    in_the_way.unlink()
    assert work(journal, lake).failure is None
    assert ids(below(lake, "Data")) == ["1"]


def test_answers_of_the_first_try_are_kept(journal: SqliteJournal, lake: Lake, tmp_path: Path) -> None:
    """
    What the directory said in the first try of a seal is what the second uses, although it would say otherwise now.
    """
    tenants = tmp_path / "tenants.yaml"
    tenants.write_text("acme: {name: Before}")
    in_the_way = lake.root / "Data"
    in_the_way.write_text("a file where a folder must be")
    put(journal, events(event("1")))
    work(journal, lake, FileDirectory(tenants))
    tenants.write_text("acme: {name: Afterwards}")
    in_the_way.unlink()
    put(journal, events(event("2")))
    work(journal, lake, FileDirectory(tenants))

    assert {record["metadata"]["event_id"]: record["metadata"]["tenant_name"] for record in below(lake, "Data")} == {
        "1": "Before",
        "2": "Afterwards",
    }


def test_seal_keeps_its_pipeline_version(journal: SqliteJournal, lake: Lake) -> None:
    """
    A batch that was sealed with an earlier pipeline file is made with that one; what comes later with the new one.
    """
    put(journal, events(event("1")), events(event("2")))
    seal_of(journal, 1, 1, version=1)
    plans = {1: plan(1, "before"), 2: plan(2, "afterwards")}
    work(journal, lake, plan_of=lambda version: plans[version or 2])

    assert [record["metric_name"] for (record,) in announced(journal, lake)] == ["before", "afterwards"]
    assert [found.version for found in journal.announcements(0, 10)] == [1, 2]


def test_worker_that_comes_second_learns_it(journal: SqliteJournal, lake: Lake) -> None:
    """
    A worker that would close a batch that another has closed is told so, and writes nothing.
    """
    put(journal, events(event("1")))
    late = worker(journal, lake, limits=Limits(600, 1))
    late._look()
    work(journal, lake)

    with pytest.raises(StaleSeal):
        late._turn()
    assert ids(below(lake, "Data")) == ["1"]


def test_concurrent_workers_do_everything_once(journal: SqliteJournal, lake: Lake) -> None:
    """
    Two workers on one partition get in each other's way, and still each event is in the lake once.
    """
    workers = [worker(journal, lake, limits=Limits(600, 1)) for _ in range(2)]
    for one in workers:
        one.start()
    expected = [str(number) for number in range(30)]
    put(journal, *(events(event(number)) for number in expected))
    until(lambda: not journal.pending(0, 0))
    for one in workers:
        one.stop()

    assert Counter(expected) == Counter(ids(below(lake, "Data")))
    assert Counter(expected) == Counter(record["id"] for record in below(lake, "Archive"))
    assert list(range(1, 31)) == [found.number for found in journal.announcements(0, 100)]
    assert journal.books(STORE).balanced


def test_directory_that_fails_delays_and_loses_nothing(journal: SqliteJournal, lake: Lake) -> None:
    """
    A directory's failure is the stream's: nothing is written by halves, and the next try goes through.
    """

    class Away(NoDirectory):
        def resolve(self, tenants: Iterable[str]) -> dict[str, Mapping[str, str] | None]:
            raise LakeError(f"no answer for {sorted(tenants)}")

    put(journal, events(event("1")))
    assert "no answer" in str(work(journal, lake, Away()).failure)
    assert below(lake, ".") == []
    work(journal, lake)

    assert ids(below(lake, "Data")) == ["1"]


def test_error_that_no_one_foresaw_is_said(journal: SqliteJournal, lake: Lake) -> None:
    """
    An error of no known kind does not end the stream in silence: it is its failure, and nothing is lost.
    """

    class Broken(NoDirectory):
        def resolve(self, tenants: Iterable[str]) -> dict[str, Mapping[str, str] | None]:
            raise ValueError(f"no one expected {sorted(tenants)}")

    put(journal, events(event("1")))
    assert work(journal, lake, Broken()).failure is not None
    work(journal, lake)

    assert ids(below(lake, "Data")) == ["1"]


@pytest.mark.parametrize(
    "data",
    [b'{"x":1}', b'{"event_time":1e999}', b'{"x":%s}' % (b"9" * 5000), b'{"x":"\\u0000"}'],
    ids=["no-time", "beyond-doubles", "very-many-digits", "zero-character"],
)
def test_books_balance_whatever_the_door_lets_in(journal: SqliteJournal, lake: Lake, data: bytes) -> None:
    """
    What the door counts of a metric event and what the stream says of it stand in the same account.
    """
    text = b'{"metric_name":"posted","metadata":{"tenant_id":"acme"},"data":%s}' % data
    accepted = accept_metrics([text], Ids(datetime(2026, 1, 31, tzinfo=UTC)), 10**6)
    body = b"".join(line + b"\n" for line in accepted.lines)
    if body:
        put(journal, Entry(EntryKind.METRICS, NOW_MICROS, len(accepted.lines), body, dict(accepted.counts)))
    work(journal, lake)

    assert journal.unannounced(0) == []
    assert journal.books(STORE).balanced


def test_a_batch_is_as_old_as_its_earliest_arrival(journal: SqliteJournal, lake: Lake) -> None:
    """
    Where the clock was put back between two entries, the batch is as old as the later entry.
    """
    ahead = NOW_MICROS + 3_600_000_000
    put(journal, events(event("1"), arrived_at=ahead), events(event("2"), arrived_at=NOW_MICROS))
    work(journal, lake)

    assert [found.oldest_at for found in journal.announcements(0, 10)] == [NOW_MICROS]
    assert journal.oldest_waiting(STORE) == NOW_MICROS
