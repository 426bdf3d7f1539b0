"""
Batches are composed in this process or in one beside it, with the same result, and its end loses nothing.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from metriclake._errors import StageFailed
from metriclake.app import configure
from metriclake.entry import EntryKind, Held, Seal, StoredEntry
from metriclake.journal import SqliteJournal
from metriclake.plans import COMPOSER, plan_of_text
from metriclake.stream import Lake, Limits, NoDirectory, StreamWorker
from metriclake.stream.composer import Composer, LocalComposer, Ready, RemoteComposer
from metriclake.stream.held import Verdict
from patience import until
from stream.plans import SEALED_AT, event, events, lines, metric

PIPELINE = """
store: {hot: 1d, retention: 3650d}
tenants: {unavailable: wait}
metrics:
  uploads:
    pattern: {source: [findings]}
    metadata: {tenant_id: $.detail.tenant_id}
    data: {event_time: $.time, size: {path: $.detail.size, type: integer}}
"""
BROKEN = "metrics: {uploads: {pattern: {source: [}}}"


@pytest.fixture
def kept(tmp_path: Path) -> str:
    """
    Return a pipeline file as it is kept for sealed batches.
    """
    path = tmp_path / "metriclake.yaml"
    path.write_text(PIPELINE, encoding="utf-8")
    return configure(path, {}).text


@pytest.fixture
def remote(kept: str) -> Iterator[RemoteComposer]:
    """
    Return a composer with a process of its own.
    """
    made = RemoteComposer(COMPOSER, lambda version: kept if version == 1 else BROKEN)
    yield made
    made.close()


def process_of(composer: RemoteComposer) -> subprocess.Popen[bytes]:
    """
    Return the process that composes.
    """
    assert composer._process is not None
    return composer._process


def seal(number: int = 1, version: int = 1) -> Seal:
    """
    Return the seal of two entries.
    """
    return Seal("0123abcd", 0, number, 1, 2, SEALED_AT, SEALED_AT, version)


def entries() -> list[StoredEntry]:
    """
    Return domain events, one of which no rule wants, and metric events, one of which is refused.
    """
    domain = lines(event("1"), event("2", {"tenant_id": "globex"}), event("3", source="other"))
    posted = lines(metric("4"), metric("5", {"size": [1]}))
    return [
        StoredEntry(1, EntryKind.EVENTS, SEALED_AT, 3, domain),
        StoredEntry(2, EntryKind.METRICS, SEALED_AT, 2, posted),
    ]


def made(composer: Composer, version: int = 1) -> Ready:
    """
    Sort and compose a batch of which one tenant is held and something held before is freed.
    """
    assert composer.sort(seal(version=version), entries()) == ["acme", "globex"]
    held = {**metric("0"), "metric_name": "uploads"}
    body = lines({"event": held, "raw": "", "arrived_at": SEALED_AT})
    freed = [Held("acme", SEALED_AT, {("acme", "uploads"): 1}, body)]
    return composer.compose(Verdict({"acme": {"name": "Acme"}}), freed)


def test_both_make_the_same(kept: str, remote: RemoteComposer) -> None:
    """
    The objects, the manifest and what is held are the same, wherever a batch is composed.
    """
    local = LocalComposer(lambda version: plan_of_text(kept, version))
    here, there = made(local), made(remote)

    assert here == there
    assert [one.tenant for one in here.held] == ["globex"]
    assert here.composed.manifest.data is not None
    assert here.composed.manifest.data.rows == 3
    assert [about.reason for about in here.composed.manifest.errors] == ["invalid-measure"]


def test_what_goes_wrong_is_said_and_the_next_batch_goes_on(remote: RemoteComposer) -> None:
    """
    An error over there is an error here, with its words; the process stays.
    """
    remote.start()
    with pytest.raises(StageFailed, match=r"metriclake\.yaml"):
        remote.sort(seal(version=2), entries())
    with pytest.raises(StageFailed, match="no batch is sorted"):
        remote.compose(Verdict({}), [])
    before = process_of(remote).pid

    made(remote)

    assert process_of(remote).pid == before


def test_another_process_takes_the_place_of_one_that_ended(remote: RemoteComposer) -> None:
    """
    Where the process is killed between the two steps the batch fails, and succeeds when it is tried again.
    """
    remote.sort(seal(), entries())
    before = process_of(remote)
    before.kill()
    before.wait()
    with pytest.raises(StageFailed, match="has ended"):
        remote.compose(Verdict({}), [])

    assert made(remote).composed.manifest.matched == 2
    assert process_of(remote).pid != before.pid


def test_signals_that_stop_a_server_do_not_stop_it(remote: RemoteComposer) -> None:
    """
    A stopping server's last batches are still composed, although its whole group is told to end.
    """
    remote.sort(seal(), entries())
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(process_of(remote).pid, number)

    assert remote.compose(Verdict({}), []).composed.manifest.matched == 2


def test_it_ends_with_its_server(kept: str) -> None:
    """
    When the server is gone, however it went, the process ends by itself.
    """
    remote = RemoteComposer(COMPOSER, lambda _version: kept)
    remote.sort(seal(), entries())
    process = process_of(remote)
    assert remote._connection is not None
    remote._connection.close()

    assert process.wait(30) == 0


def test_process_that_cannot_start_is_said(journal: SqliteJournal, tmp_path: Path) -> None:
    """
    A stream whose composing process does not start says so, tries again, and loses nothing.
    """
    plan = plan_of_text(PIPELINE, 1)
    remote = RemoteComposer([sys.executable, "-c", "pass"], lambda _version: PIPELINE)
    lake = Lake(tmp_path / "lake")
    running = StreamWorker(journal, lake, NoDirectory(), lambda _version: plan, lambda: Limits(600, 1), remote)
    running.start()
    journal.append(events(event("1"))).result(30)
    until(lambda: "process that composes batches has ended" in str(running.failure))
    running.stop()

    assert len(journal.unannounced(0)) == 1
    again = StreamWorker(journal, lake, NoDirectory(), lambda _version: plan, lambda: Limits(600, 1))
    again.start()
    again.stop()
    assert len(journal.announcements(0, 10)) == 1
