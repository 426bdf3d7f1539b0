"""
The embedded journal: SQLite in WAL mode with `synchronous=FULL`, one writer thread, group commit.

Every write is a small function that the writer thread runs; all that wait together share one transaction and one
fsync. A function that fails is rolled back alone. Readers use connections of their own and are never blocked.
"""

from __future__ import annotations

import contextlib
import queue
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from metriclake._errors import JournalFull, JournalUnavailable, MetriclakeError, NewerFormat, StaleSeal
from metriclake.books import DOMAIN_EVENTS, STREAM, Books, Delta, build
from metriclake.crashpoints import CrashPoint, reach
from metriclake.deadletter import Letter
from metriclake.entry import (
    Announcement,
    Backfilling,
    Checkpointed,
    Entry,
    EntryInfo,
    EntryKind,
    Held,
    HeldInfo,
    Position,
    Retried,
    Seal,
    StoredEntry,
)
from metriclake.event import NO_TENANT
from metriclake.journal import backfills, deliveries, recounts
from metriclake.journal.counters import add, packed, total, unpacked
from metriclake.journal.drain import Drain
from metriclake.journal.sqlite_audit import TABLE as AUDIT_TABLE
from metriclake.journal.sqlite_audit import SqliteAudit
from metriclake.journal.sqlite_deliveries import SqliteDeliveries
from metriclake.journal.waiting import Waiting
from metriclake.recount import Snapshot

FORMAT = 1
PARTITION = 0
"""The embedded journal has one partition."""

_GROUP_LIMIT = 256
_MOST_COUNTED = 2**63 - 1
_Result = TypeVar("_Result")

_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE entries (
  partition INTEGER NOT NULL, offset INTEGER NOT NULL, kind TEXT NOT NULL, arrived_at INTEGER NOT NULL,
  count INTEGER NOT NULL, counts BLOB NOT NULL, size INTEGER NOT NULL, body BLOB NOT NULL,
  PRIMARY KEY (partition, offset));
CREATE TABLE seals (
  partition INTEGER NOT NULL, number INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
  oldest_at INTEGER NOT NULL, sealed_at INTEGER NOT NULL, version INTEGER NOT NULL, answers BLOB,
  announced INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (partition, number)) WITHOUT ROWID;
CREATE TABLE announcements (
  number INTEGER PRIMARY KEY, object TEXT NOT NULL UNIQUE, manifest TEXT NOT NULL, rows INTEGER NOT NULL,
  oldest_at INTEGER NOT NULL, sealed_at INTEGER NOT NULL, version INTEGER NOT NULL, counts BLOB NOT NULL);
CREATE TABLE checkpoints (
  reader TEXT PRIMARY KEY, number INTEGER NOT NULL, sealed_at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE counters (
  scope TEXT NOT NULL, tenant TEXT NOT NULL, metric TEXT NOT NULL, counter TEXT NOT NULL, amount INTEGER NOT NULL,
  PRIMARY KEY (scope, tenant, metric, counter)) WITHOUT ROWID;
CREATE TABLE pipelines (version INTEGER PRIMARY KEY, text TEXT NOT NULL);
"""

_RETRIED = "CREATE TABLE IF NOT EXISTS retried (object TEXT PRIMARY KEY, lines BLOB NOT NULL) WITHOUT ROWID"
"""Came later than format 1, and is nothing to those who do not know it."""
_HELD_TABLE = """
CREATE TABLE IF NOT EXISTS held (
  number INTEGER PRIMARY KEY AUTOINCREMENT, partition INTEGER NOT NULL, tenant TEXT NOT NULL, seal INTEGER,
  oldest_at INTEGER NOT NULL, counts BLOB NOT NULL, size INTEGER NOT NULL, body BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS held_by_seal ON held (partition, seal, tenant, number, oldest_at, size);
CREATE INDEX IF NOT EXISTS held_by_tenant ON held (tenant, oldest_at);
"""
_MEANT = """
CREATE TABLE IF NOT EXISTS meant_for (number INTEGER PRIMARY KEY, destinations BLOB NOT NULL)
"""
"""Announcements that are not for all destinations. A table beside theirs: earlier versions go on with the journal."""


@dataclass(slots=True)
class _Write(Generic[_Result]):
    """
    One waiting write: what to run in the transaction, who waits for it, and the entry if it appends no more than one.
    """

    run: Callable[[sqlite3.Connection], _Result]
    done: Future[_Result]
    entry: Entry | None = None
    appends: bool = False


class SqliteJournal:
    """
    The journal of one machine; see `Journal` for the contract.
    """

    def __init__(self, path: Path, quota: int) -> None:
        """
        Open or create the journal at `path`; `quota` bounds the bytes of entries that wait.
        """
        self._path = path
        self._quota = quota
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._connections_lock = threading.Lock()
        self._queue: queue.SimpleQueue[_Write[Any] | None] = queue.SimpleQueue()
        self._appended = threading.Event()
        self._closed = False
        self._drain = Drain()
        self._waiting = Waiting()
        self._waiting_lock = threading.Lock()
        self.deliveries = SqliteDeliveries(self)
        self.audit = SqliteAudit(self)
        try:
            with _mapped(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                self._prepare()
        except MetriclakeError:
            self._close_connections()
            raise
        self._writer = threading.Thread(target=self._write_forever, name="journal-writer", daemon=True)
        self._writer.start()

    def _prepare(self) -> None:
        connection = self._connection()
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
            connection.execute("PRAGMA page_size=16384")
            connection.execute("PRAGMA journal_mode=WAL")
            meta = (("format", str(FORMAT)), ("identity", secrets.token_hex(4)))
            connection.executescript(f"BEGIN;{_TABLES}")
            connection.executemany("INSERT INTO meta VALUES (?, ?)", meta)
            connection.execute("COMMIT")
        found = int(self._meta(connection, "format"))
        if found > FORMAT:
            raise NewerFormat(
                f"the journal {self._path} has format {found}, this version of metriclake reads {FORMAT}: upgrade"
            )
        connection.execute(_RETRIED)
        connection.executescript(_HELD_TABLE)
        connection.execute(_MEANT)
        connection.executescript(backfills.TABLE)
        connection.executescript(deliveries.TABLES)
        connection.executescript(AUDIT_TABLE)
        self._identity = self._meta(connection, "identity")
        connection.execute("DELETE FROM pipelines WHERE version NOT IN (SELECT version FROM seals WHERE announced = 0)")
        waiting = connection.execute("SELECT coalesce(sum(size), 0), max(offset) FROM entries").fetchone()
        sealed = connection.execute("SELECT coalesce(max(last), 0) FROM seals").fetchone()[0]
        held = connection.execute("SELECT coalesce(sum(size), 0) FROM held").fetchone()[0]
        self._backlog = int(waiting[0]) + int(held)
        self._next = max(int(waiting[1] or 0), int(sealed)) + 1

    @staticmethod
    def _meta(connection: sqlite3.Connection, key: str) -> str:
        return str(connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()[0])

    @property
    def identity(self) -> str:
        """
        Return the journal's own name.
        """
        return self._identity

    @property
    def partitions(self) -> Sequence[int]:
        """
        Return the one partition.
        """
        return (PARTITION,)

    @property
    def backlog(self) -> int:
        """
        Return the bytes of entries, and of what is held aside, that are not in the lake yet.
        """
        return self._backlog

    @property
    def spare(self) -> int:
        """
        Return the bytes of the journal's files that are filled again and again: its log, and what was trimmed.

        Neither file shrinks while the journal is open. The log is bounded by how often it is copied into the journal.
        """
        pages = self._query("SELECT freelist_count * page_size FROM pragma_freelist_count(), pragma_page_size()", ())
        log = Path(f"{self._path}-wal")
        return int(pages[0][0]) + (log.stat().st_size if log.exists() else 0)

    def append(self, entry: Entry) -> Future[Position]:
        """
        Take an entry; the future is done when it is fsynced.
        """
        if self._backlog + len(entry.body) > self._quota:
            over = self._backlog + len(entry.body) - self._quota
            raise JournalFull(
                f"the journal holds {self._backlog} bytes that are not in the lake yet: try again later",
                self._drain.seconds_until(over, time.monotonic()),
            )
        return self._submit(lambda connection: self._insert(connection, entry), entry, appends=True)

    def retry(self, entries: Sequence[Entry], retried: Sequence[Retried]) -> None:
        """
        Take entries and keep which refused records they are.
        """
        if self._backlog + sum(len(entry.body) for entry in entries) > self._quota:
            raise JournalFull(f"the journal holds {self._backlog} bytes that are not in the lake yet: try again later")

        def write(connection: sqlite3.Connection) -> None:
            for one in retried:
                _keep_retried(connection, one)
            for entry in entries:
                self._insert(connection, entry)
            add(connection, _received(entries))

        self._submit(write, appends=True).result()

    def retried(self, path: str) -> bytes | None:
        """
        Return what `retry` has kept of an object.
        """
        rows = self._query("SELECT lines FROM retried WHERE object = ?", (path,))
        return bytes(rows[0][0]) if rows else None

    def _insert(self, connection: sqlite3.Connection, entry: Entry) -> Position:
        if max(entry.counts.values(), default=0) > _MOST_COUNTED:
            raise OverflowError("a count of metric events does not fit the journal's 64 bits")
        offset = self._next
        values = (PARTITION, offset, entry.kind, entry.arrived_at, entry.count, packed(entry.counts))
        connection.execute(
            "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*values, len(entry.body), entry.body)
        )
        self._next += 1
        self._backlog += len(entry.body)
        return Position(PARTITION, offset)

    def wait(self, timeout: float) -> bool:
        """
        Wait until something was appended.
        """
        appended = self._appended.wait(timeout)
        self._appended.clear()
        return appended

    def wake(self) -> None:
        """
        End the present `wait`, as an append would.
        """
        self._appended.set()

    def pending(self, partition: int, after: int) -> list[EntryInfo]:
        """
        Return what stands after an offset.
        """
        rows = self._query(
            "SELECT offset, arrived_at, size FROM entries WHERE partition = ? AND offset > ? ORDER BY offset",
            (partition, after),
        )
        return [EntryInfo(*row) for row in rows]

    def read(self, partition: int, first: int, last: int) -> list[StoredEntry]:
        """
        Return the entries of a range.
        """
        rows = self._query(
            "SELECT offset, kind, arrived_at, count, body FROM entries"
            " WHERE partition = ? AND offset BETWEEN ? AND ? ORDER BY offset",
            (partition, first, last),
        )
        return [StoredEntry(row[0], EntryKind(row[1]), *row[2:]) for row in rows]

    def last_sealed(self, partition: int) -> Seal | None:
        """
        Return the newest seal.
        """
        rows = self._query(f"{_SELECT_SEALS} WHERE partition = ? ORDER BY number DESC LIMIT 1", (partition,))
        return Seal(self._identity, *rows[0]) if rows else None

    def unannounced(self, partition: int) -> list[Seal]:
        """
        Return the seals whose objects are not announced.
        """
        rows = self._query(f"{_SELECT_SEALS} WHERE partition = ? AND announced = 0 ORDER BY number", (partition,))
        return [Seal(self._identity, *row) for row in rows]

    def seal(self, seal: Seal) -> None:
        """
        Close a batch, by compare-and-set on the last sealed position.
        """
        self._submit(lambda connection: _insert_seal(connection, seal)).result()
        reach(CrashPoint.SEAL)

    def pin(self, seal: Seal, answers: bytes, freed: Sequence[int] = ()) -> bytes:
        """
        Keep what the outside world answered for a seal, and take what it frees; the first wins.
        """
        pinned = self._submit(lambda connection: _pin(connection, seal, answers, freed)).result()
        reach(CrashPoint.PIN)
        return pinned

    def held_tenants(self, partition: int) -> dict[str, int]:
        """
        Return the tenants of whom something is held, each with its oldest arrival.
        """
        sql = "SELECT tenant, min(oldest_at) FROM held WHERE partition = ? AND seal IS NULL GROUP BY tenant"
        return dict(self._query(sql, (partition,)))

    def held(self, partition: int, tenant: str) -> list[HeldInfo]:
        """
        Return what is held of a tenant, in order.
        """
        sql = "SELECT number, tenant, oldest_at, size FROM held WHERE partition = ? AND seal IS NULL AND tenant = ?"
        return [HeldInfo(*row) for row in self._query(f"{sql} ORDER BY number", (partition, tenant))]

    def freed(self, seal: Seal) -> list[Held]:
        """
        Return what a seal has taken, in order.
        """
        sql = "SELECT tenant, oldest_at, counts, body FROM held WHERE partition = ? AND seal = ? ORDER BY number"
        rows = self._query(sql, (seal.partition, seal.number))
        return [Held(tenant, oldest_at, unpacked(counts), body) for tenant, oldest_at, counts, body in rows]

    def announce(
        self, seal: Seal, announcement: Announcement | None, deltas: Sequence[Delta], held: Sequence[Held] = ()
    ) -> int | None:
        """
        Announce, checkpoint, count, hold and free, and trim in one transaction.
        """
        number = self._submit(lambda connection: self._announce(connection, seal, announcement, deltas, held)).result()
        reach(CrashPoint.ANNOUNCE)
        return number

    def _announce(
        self, connection: sqlite3.Connection, seal: Seal, announcement: Announcement | None, deltas: Sequence[Delta],
        held: Sequence[Held],
    ) -> int | None:  # fmt: skip
        key = (seal.partition, seal.number)
        done = connection.execute(
            "UPDATE seals SET announced = 1, answers = NULL WHERE partition = ? AND number = ? AND announced = 0", key
        )
        if done.rowcount != 1:
            raise StaleSeal(f"seal {seal.number} of partition {seal.partition} is announced already")
        number = _insert_announcement(connection, announcement) if announcement is not None else None
        add(connection, deltas)
        span = (seal.partition, seal.first, seal.last)
        size = connection.execute(
            "SELECT coalesce(sum(size), 0) FROM entries WHERE partition = ? AND offset BETWEEN ? AND ?", span
        ).fetchone()[0]
        connection.execute("DELETE FROM entries WHERE partition = ? AND offset BETWEEN ? AND ?", span)
        connection.execute("DELETE FROM seals WHERE partition = ? AND number < ? AND announced = 1", key)
        self._backlog += _free(connection, key) + _hold(connection, seal, held) - int(size)
        self._drain.note(int(size), time.monotonic())
        return number

    def announcements(self, after: int, limit: int) -> list[Announcement]:
        """
        Return the announcements after a number.
        """
        rows = self._query(
            "SELECT number, object, manifest, rows, oldest_at, sealed_at, version, counts, destinations"
            " FROM announcements LEFT JOIN meant_for USING (number) WHERE number > ? ORDER BY number LIMIT ?",
            (after, limit),
        )
        read = ([*values, unpacked(counts), _meant(only)] for *values, counts, only in rows)
        return [Announcement(*row) for row in read]

    def checkpoint(self, reader: str) -> Checkpointed:
        """
        Return how far a reader has come.
        """
        rows = self._query("SELECT number, sealed_at FROM checkpoints WHERE reader = ?", (reader,))
        return Checkpointed(*rows[0]) if rows else Checkpointed(0, 0)

    def advance(
        self, reader: str, announcement: Announcement, deltas: Sequence[Delta], letters: Sequence[Letter] = (), *,
        more: bool = False,
    ) -> None:  # fmt: skip
        """
        Move a reader's checkpoint, count and keep its dead letters, in one transaction.
        """
        self._submit(
            lambda connection: deliveries.advance(connection, reader, announcement, deltas, letters, more=more)
        ).result()
        reach(CrashPoint.CHECKPOINT)

    def backfilling(self, manifest: str) -> Backfilling | None:
        """
        Return how far the backfill of a batch is.
        """
        rows = self._query(backfills.SELECT, (manifest,))
        return Backfilling(*rows[0]) if rows else None

    def pin_backfill(self, manifest: str, answers: bytes) -> bytes:
        """
        Keep what the directory answered for a batch of a backfill; the first wins.
        """
        pinned = self._submit(lambda connection: backfills.pin(connection, manifest, answers)).result()
        reach(CrashPoint.PIN)
        return pinned

    def announce_backfill(
        self, manifest: str, announcement: Announcement | None, deltas: Sequence[Delta]
    ) -> int | None:
        """
        Announce what a backfill made of a batch, and count it, in one transaction.
        """

        def write(connection: sqlite3.Connection) -> int | None:
            backfills.finish(connection, manifest)
            add(connection, deltas)
            return None if announcement is None else _insert_announcement(connection, announcement)

        number = self._submit(write).result()
        reach(CrashPoint.ANNOUNCE)
        return number

    def pass_over(self, manifests: Sequence[str]) -> None:
        """
        Note batches of which a backfill makes nothing.
        """
        self._submit(lambda connection: backfills.pass_over(connection, manifests)).result()

    def keep_pipeline(self, version: int, text: str) -> None:
        """
        Keep a pipeline file's text. Those that no unannounced seal needs are forgotten at the next start.
        """
        self._submit(
            lambda connection: connection.execute("INSERT OR IGNORE INTO pipelines VALUES (?, ?)", (version, text))
        ).result()

    def pipeline(self, version: int) -> str | None:
        """
        Return the text of a kept pipeline file.
        """
        rows = self._query("SELECT text FROM pipelines WHERE version = ?", (version,))
        return str(rows[0][0]) if rows else None

    def books(self, reader: str, destinations: Sequence[str] = ()) -> Books:
        """
        Return the books of one moment: everything is read in one transaction.
        """
        connection = self._connection()
        with self._waiting_lock, _mapped(self._path), _snapshot(connection):
            counters = [
                Delta(*row) for row in connection.execute("SELECT scope, tenant, metric, counter, amount FROM counters")
            ]
            in_flight = total(connection.execute("SELECT counts FROM entries WHERE kind = ?", (EntryKind.METRICS,)))
            events = connection.execute(
                "SELECT coalesce(sum(count), 0) FROM entries WHERE kind = ?", (EntryKind.EVENTS,)
            ).fetchone()[0]
            waiting = self._waiting.of(connection, reader)
            undelivered = {name: self._waiting.of(connection, name) for name in destinations}
        return build(counters, in_flight, int(events), waiting, undelivered)

    def snapshot(self) -> Snapshot:
        """
        Return one moment: the counters, and what the journal has itself.
        """
        connection = self._connection()
        with _mapped(self._path), _snapshot(connection):
            return recounts.snapshot(connection)

    def oldest_waiting(self, reader: str, tenant: str | None = None) -> int | None:
        """
        Return when the oldest event arrived that a reader has not; what is held is of its tenant alone.
        """
        rows = self._query(
            "SELECT min(arrived_at) FROM ("
            " SELECT arrived_at FROM (SELECT arrived_at FROM entries ORDER BY partition, offset LIMIT 64)"
            " UNION ALL SELECT oldest_at FROM announcements WHERE number >"
            "  coalesce((SELECT number FROM checkpoints WHERE reader = ?), 0)"
            " UNION ALL SELECT oldest_at FROM held WHERE tenant = ?)",
            (reader, tenant),
        )
        return None if rows[0][0] is None else int(rows[0][0])

    def close(self) -> None:
        """
        Make durable what was appended, and close.
        """
        if self._closed:
            return
        self._closed = True
        self._queue.put(None)
        self._writer.join()
        with contextlib.suppress(queue.Empty):
            while True:
                late = self._queue.get_nowait()
                if late is not None:
                    late.done.set_exception(JournalUnavailable("the journal is closed: the server is stopping"))
        self._close_connections()

    def _close_connections(self) -> None:
        with self._connections_lock:
            for connection in self._connections:
                connection.close()
            self._connections.clear()

    def _submit(
        self, run: Callable[[sqlite3.Connection], _Result], entry: Entry | None = None, *, appends: bool = False
    ) -> Future[_Result]:
        if self._closed:
            raise JournalUnavailable("the journal is closed: the server is stopping")
        write = _Write(run, Future(), entry, appends)
        self._queue.put(write)
        return write.done

    def _write_forever(self) -> None:
        connection = self._connection()
        ended = False
        while not ended:
            group = [self._queue.get()]
            with contextlib.suppress(queue.Empty):
                while len(group) < _GROUP_LIMIT:
                    group.append(self._queue.get_nowait())
            ended = None in group
            self._commit(connection, [write for write in group if write is not None and _wanted(write)])

    def _commit(self, connection: sqlite3.Connection, group: list[_Write[Any]]) -> None:
        outcomes: list[tuple[_Write[Any], Any, Exception | None]] = []
        before = (self._next, self._backlog)
        try:
            connection.execute("BEGIN IMMEDIATE")
            outcomes.extend(self._run(connection, write) for write in group)
            add(connection, _received([write.entry for write, _, error in outcomes if write.entry and not error]))
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._next, self._backlog = before
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            failure = JournalUnavailable(f"the journal {self._path} cannot write ({error}): nothing was accepted")
            outcomes = [(write, None, failure) for write in group]
        if any(write.appends and error is None for write, _, error in outcomes):
            reach(CrashPoint.APPEND)
            self._appended.set()
        for write, result, failed in outcomes:
            if failed is None:
                write.done.set_result(result)
            else:
                write.done.set_exception(failed)

    @staticmethod
    def _run(connection: sqlite3.Connection, write: _Write[Any]) -> tuple[_Write[Any], Any, Exception | None]:
        if write.entry is not None:  # one statement needs no savepoint
            try:
                return (write, write.run(connection), None)
            except sqlite3.Error:
                raise
            except Exception as error:  # noqa: BLE001 - as below
                return (write, None, error)
        connection.execute("SAVEPOINT one")
        try:
            result = write.run(connection)
        except sqlite3.Error:
            raise
        except Exception as error:  # noqa: BLE001 - handed to the caller that waits for this write
            connection.execute("ROLLBACK TO one")
            connection.execute("RELEASE one")
            return (write, None, error)
        connection.execute("RELEASE one")
        return (write, result, None)

    def write(self, run: Callable[[sqlite3.Connection], _Result]) -> Future[_Result]:
        """
        Run a function in a transaction of the writer; the future is done when that is durable.
        """
        return self._submit(run)

    def look(self, run: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """
        Run a function that reads.
        """
        with _mapped(self._path):
            return run(self._connection())

    def _query(self, sql: str, values: tuple[Any, ...]) -> list[Any]:
        with _mapped(self._path):
            return self._connection().execute(sql, values).fetchall()

    def _connection(self) -> sqlite3.Connection:
        found: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if found is not None:
            return found
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=30)
        with self._connections_lock:
            self._connections.append(connection)
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA wal_autocheckpoint=2000")
        self._local.connection = connection
        return connection


def _wanted(write: _Write[Any]) -> bool:
    """
    Tell whether somebody still waits for a write; from here on nobody can call it off.
    """
    return write.done.set_running_or_notify_cancel()


_SELECT_SEALS = "SELECT partition, number, first, last, oldest_at, sealed_at, version FROM seals"


def _insert_seal(connection: sqlite3.Connection, seal: Seal) -> None:
    last = connection.execute(
        "SELECT coalesce(max(number), 0), coalesce(max(last), 0) FROM seals WHERE partition = ?", (seal.partition,)
    ).fetchone()
    if seal.number != last[0] + 1 or seal.first <= last[1] or seal.last < seal.first - 1:
        raise StaleSeal(f"seal {seal.number} of partition {seal.partition} does not follow seal {last[0]}")
    connection.execute(
        "INSERT INTO seals (partition, number, first, last, oldest_at, sealed_at, version)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (seal.partition, seal.number, seal.first, seal.last, seal.oldest_at, seal.sealed_at, seal.version),
    )


def _pin(connection: sqlite3.Connection, seal: Seal, answers: bytes, freed: Sequence[int]) -> bytes:
    key = (seal.partition, seal.number)
    pinned = connection.execute(
        "UPDATE seals SET answers = ? WHERE partition = ? AND number = ? AND answers IS NULL AND announced = 0",
        (answers, *key),
    )
    row = connection.execute("SELECT answers FROM seals WHERE partition = ? AND number = ?", key).fetchone()
    if row is None or row[0] is None:
        raise StaleSeal(f"seal {seal.number} of partition {seal.partition} is announced already, or was never made")
    if pinned.rowcount == 1 and freed:
        taken = connection.executemany(
            "UPDATE held SET seal = ? WHERE number = ? AND partition = ? AND seal IS NULL",
            [(seal.number, number, seal.partition) for number in freed],
        )
        if taken.rowcount != len(freed):
            raise StaleSeal(f"another seal of partition {seal.partition} has freed what seal {seal.number} would free")
    return bytes(row[0])


def _keep_retried(connection: sqlite3.Connection, retried: Retried) -> None:
    row = connection.execute("SELECT lines FROM retried WHERE object = ?", (retried.object,)).fetchone()
    if (row[0] if row else None) != retried.before:
        raise StaleSeal(f"another retry has sent records of {retried.object} first: run it again")
    connection.execute("INSERT OR REPLACE INTO retried VALUES (?, ?)", (retried.object, retried.lines))


def _hold(connection: sqlite3.Connection, seal: Seal, held: Sequence[Held]) -> int:
    """
    Keep what a seal holds aside, and count it; returns its bytes.
    """
    connection.executemany(
        "INSERT INTO held (partition, tenant, oldest_at, counts, size, body) VALUES (?, ?, ?, ?, ?, ?)",
        [(seal.partition, one.tenant, one.oldest_at, packed(one.counts), len(one.body), one.body) for one in held],
    )
    add(connection, [Delta(STREAM, *key, "held", amount) for one in held for key, amount in one.counts.items()])
    return sum(len(one.body) for one in held)


def _free(connection: sqlite3.Connection, key: tuple[int, int]) -> int:
    """
    Let go of what a seal has freed, and count it no longer as held; returns by how many bytes the backlog changes.
    """
    rows = connection.execute("SELECT counts, size FROM held WHERE partition = ? AND seal = ?", key).fetchall()
    connection.execute("DELETE FROM held WHERE partition = ? AND seal = ?", key)
    gone = [item for counts, _ in rows for item in unpacked(counts).items()]
    add(connection, [Delta(STREAM, *account, "held", -amount) for account, amount in gone])
    return -sum(int(size) for _, size in rows)


def _insert_announcement(connection: sqlite3.Connection, announcement: Announcement) -> int:
    number = int(connection.execute("SELECT coalesce(max(number), 0) + 1 FROM announcements").fetchone()[0])
    connection.execute(
        "INSERT INTO announcements VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            number,
            announcement.object,
            announcement.manifest,
            announcement.rows,
            announcement.oldest_at,
            announcement.sealed_at,
            announcement.version,
            packed(announcement.counts),
        ),
    )
    if announcement.only:
        connection.execute("INSERT INTO meant_for VALUES (?, ?)", (number, msgspec.json.encode(announcement.only)))
    return number


def _received(entries: Sequence[Entry]) -> list[Delta]:
    """
    Return what the books say of accepted entries.
    """
    count = sum(entry.count for entry in entries if entry.kind is EntryKind.EVENTS)
    sent = [item for entry in entries if entry.kind is EntryKind.METRICS for item in entry.counts.items()]
    return [
        Delta(STREAM, NO_TENANT, DOMAIN_EVENTS, "accepted", count),
        *(Delta(STREAM, *key, "received", amount) for key, amount in sent),
    ]


def _meant(packed: bytes | None) -> tuple[str, ...]:
    return () if packed is None else msgspec.json.decode(packed, type=tuple[str, ...])


@contextlib.contextmanager
def _snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("COMMIT")


@contextlib.contextmanager
def _mapped(path: Path) -> Iterator[None]:
    """
    Turn SQLite's errors into the journal's own.
    """
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise JournalUnavailable(
            f"the journal {path} cannot be used ({error}): see to the disk and its rights"
        ) from error
