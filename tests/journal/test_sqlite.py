"""
The embedded journal: the contract, and what is SQLite's own.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from contracts.journal import JournalContract, events, metrics, next_seal, put
from metriclake._errors import JournalUnavailable, NewerFormat, StaleSeal
from metriclake.audit import AuditLine
from metriclake.books import STORE
from metriclake.entry import Entry, EntryKind, Position
from metriclake.journal import SqliteJournal

_APPENDER = """
import sys
from pathlib import Path
from metriclake.entry import Entry, EntryKind
from metriclake.journal import SqliteJournal

journal = SqliteJournal(Path(sys.argv[1]), 2**30)
number = 0
while True:
    futures = [journal.append(Entry(EntryKind.EVENTS, 1, 1, b"%d" % (number + i))) for i in range(20)]
    number += 20
    for future in futures:
        print(future.result().offset, flush=True)
"""


class TestSqliteJournal(JournalContract):
    """
    The contract, held by the embedded journal.
    """

    def open(self, folder: Path, quota: int) -> SqliteJournal:
        """
        Open the journal in a folder.
        """
        return SqliteJournal(folder / "journal.db", quota)


def hold(journal: SqliteJournal) -> threading.Event:
    """
    Hold the journal's writer inside a transaction until the event is set.
    """
    begun, release = threading.Event(), threading.Event()

    def wait(_: sqlite3.Connection) -> None:
        begun.set()
        release.wait(30)

    journal._submit(wait)
    begun.wait(30)
    return release


def test_appends_that_wait_together_share_a_commit(journal: SqliteJournal) -> None:
    """
    Fifty appends that come while the writer is busy are made durable by one transaction.
    """
    statements: list[str] = []
    journal._submit(lambda connection: connection.set_trace_callback(statements.append)).result(30)
    release = hold(journal)
    statements.clear()
    futures = [journal.append(events()) for _ in range(50)]
    release.set()

    assert list(range(1, 51)) == [future.result(30).offset for future in futures]
    assert statements.count("COMMIT") == 2, "the held transaction, and the one of all fifty"


def test_write_that_fails_is_rolled_back_alone(journal: SqliteJournal) -> None:
    """
    A stale seal among appends of one transaction fails by itself; the others are kept.
    """
    put(journal, events())
    seal = next_seal(journal, 1, 1)
    release = hold(journal)
    with ThreadPoolExecutor(1) as thread:
        first = journal.append(metrics())
        stale = thread.submit(journal.seal, seal)
        second = journal.append(metrics())
        release.set()

        assert isinstance(stale.exception(30), StaleSeal)
    assert [first.result(30).offset, second.result(30).offset] == [2, 3]
    assert journal.books(STORE).balanced


def test_entry_that_cannot_be_written_takes_no_position(journal: SqliteJournal) -> None:
    """
    An append that fails leaves no gap behind.
    """
    too_many = Entry(EntryKind.EVENTS, 1, 2**64, b"{}\n")
    with pytest.raises(OverflowError):
        put(journal, too_many)

    assert put(journal, events()).offset == 1


def test_counters_that_cannot_be_written_take_no_position(journal: SqliteJournal) -> None:
    """
    An append whose counters fail leaves neither a gap nor bytes that count against the quota.
    """
    with pytest.raises(OverflowError):
        put(journal, Entry(EntryKind.METRICS, 1, 1, b"{}\n", {("acme", "m"): 2**64}))

    assert journal.backlog == 0
    assert put(journal, events()).offset == 1


def test_journal_that_cannot_write_accepts_nothing(journal: SqliteJournal) -> None:
    """
    Where SQLite refuses, every waiting append hears that nothing was accepted, and positions are not used up.
    """
    writer = journal._submit(lambda connection: connection).result(30)
    writer.execute("PRAGMA query_only=1")
    refused: list[Future[Position]] = [journal.append(events()) for _ in range(3)]
    assert all(isinstance(future.exception(30), JournalUnavailable) for future in refused)

    writer.execute("PRAGMA query_only=0")

    assert put(journal, events()).offset == 1
    assert len(journal.read(0, 0, 10)) == 1


@pytest.mark.crash
def test_kill_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """
    After `kill -9` in the midst of appends every acknowledged position is there, with its body.
    """
    path = tmp_path / "journal.db"
    command = [sys.executable, "-c", _APPENDER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:  # noqa: S603 - this file's own program
        assert child.stdout is not None
        acknowledged = [int(child.stdout.readline()) for _ in range(300)]
        child.kill()
        acknowledged += [int(line) for line in child.stdout.read().splitlines(keepends=True) if line.endswith("\n")]

    journal = SqliteJournal(path, 2**30)
    stored = {entry.offset: entry.body for entry in journal.read(0, 0, 2**40)}
    journal.close()

    assert {offset: b"%d" % (offset - 1) for offset in acknowledged} == {at: stored.get(at) for at in acknowledged}
    assert sorted(stored) == list(range(1, len(stored) + 1))


def test_every_transaction_is_fsynced(journal: SqliteJournal) -> None:
    """
    The writer's connection syncs fully, on a write-ahead log.
    """
    found = journal._submit(
        lambda connection: [
            connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("synchronous", "journal_mode")
        ]
    )

    assert found.result(30) == [2, "wal"]


def test_newer_format_is_refused(tmp_path: Path) -> None:
    """
    A journal that a newer version wrote is not touched.
    """
    path = tmp_path / "journal.db"
    SqliteJournal(path, 1000).close()
    with sqlite3.connect(path) as raised:
        raised.execute("UPDATE meta SET value = '2' WHERE key = 'format'")
    raised.close()

    with pytest.raises(NewerFormat, match=r"format 2.*upgrade"):
        SqliteJournal(path, 1000)


def test_file_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    """
    A file of another kind is refused by name.
    """
    path = tmp_path / "journal.db"
    path.write_bytes(b"not a database, but long enough to be looked at" * 50)

    with pytest.raises(JournalUnavailable, match=r"journal\.db"):
        SqliteJournal(path, 1000)


def test_wake_ends_a_wait(journal: SqliteJournal) -> None:
    """
    A wait can be ended without an append.
    """
    journal.wake()

    assert journal.wait(0) is True


def test_backlog_is_counted_again_on_opening(tmp_path: Path) -> None:
    """
    The quota counts what an earlier process left.
    """
    before = SqliteJournal(tmp_path / "journal.db", 1000)
    put(before, events(2))
    before.close()

    after = SqliteJournal(tmp_path / "journal.db", 1000)
    assert after.backlog == 16
    after.close()


def test_what_was_trimmed_is_spare_and_used_again(tmp_path: Path) -> None:
    """
    The bytes of trimmed entries and of the log are told as spare, and the next entries go there: no file grows.
    """
    file, log = tmp_path / "journal.db", tmp_path / "journal.db-wal"
    journal = SqliteJournal(file, 10_000_000)
    for _ in range(2):
        position = put(journal, Entry(EntryKind.EVENTS, 1, 1, bytes(1_000_000)))
        seal = next_seal(journal, position.offset, position.offset)
        assert journal.spare < 100_000 + log.stat().st_size
        journal.announce(seal, None, [])
        assert 900_000 < journal.spare - log.stat().st_size < 1_100_000
    journal.close()
    assert file.stat().st_size < 2_000_000


def test_old_pipelines_are_forgotten_at_the_next_start(tmp_path: Path) -> None:
    """
    When the journal is opened, only the pipeline files stay that a seal which waits was made with.
    """
    journal = SqliteJournal(tmp_path / "journal.db", 2**20)
    put(journal, events())
    put(journal, events())
    done = next_seal(journal, 1, 1, version=1)
    next_seal(journal, 2, 2, version=2)
    for version in (1, 2, 3):
        journal.keep_pipeline(version, "text")
    journal.announce(done, None, [])
    journal.close()

    reopened = SqliteJournal(tmp_path / "journal.db", 2**20)
    try:
        assert [version for version in (1, 2, 3) if reopened.pipeline(version) is not None] == [2]
    finally:
        reopened.close()


def test_a_write_that_is_called_off_takes_nobody_with_it(tmp_path: Path) -> None:
    """
    An append whose caller has gone away is not done, and the writer goes on with the others.
    """
    journal = SqliteJournal(tmp_path / "journal.db", 2**20)
    release = hold(journal)
    gone = journal.append(events(1))
    here = journal.append(events(2))
    assert gone.cancel()
    release.set()

    assert here.result(30).offset == 1
    assert journal.append(events(3)).result(30).offset == 2
    journal.close()


@pytest.mark.parametrize("change", ["UPDATE audit SET tenant = 'globex'", "DELETE FROM audit"])
def test_the_audit_trail_is_only_appended_to(journal: SqliteJournal, change: str) -> None:
    """
    The file itself refuses to change or to forget a line.
    """
    journal.audit.note(AuditLine(1, "view-as", "acme", "key", "", ""))

    with pytest.raises(JournalUnavailable, match="only appended to"):
        journal.write(lambda connection: connection.execute(change)).result()
    assert [line.tenant for line in journal.audit.lines(None, 10)] == ["acme"]
