"""
What the journal keeps for destinations, as SQL: notes of what is on its way, dead letters, replays.

Each function runs in a transaction of the journal's writer, or reads with a connection of its caller.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from metriclake._errors import StaleSeal
from metriclake.books import Delta
from metriclake.deadletter import (
    Attempt,
    DeadLetter,
    Letter,
    LetterGroup,
    LetterState,
    Note,
    Replay,
    Replayable,
    ReplayState,
    Settled,
    WhichLetters,
)
from metriclake.entry import Announcement, Checkpointed, Span
from metriclake.journal.counters import add, total

TABLES = """
CREATE TABLE IF NOT EXISTS delivery_notes (
  number INTEGER PRIMARY KEY AUTOINCREMENT, reader TEXT NOT NULL, scope TEXT NOT NULL, body BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS notes_by_reader ON delivery_notes (reader, scope, number);
CREATE TABLE IF NOT EXISTS delivered_once (
  reader TEXT NOT NULL, record BLOB NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (reader, record)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS delivered_once_by_time ON delivered_once (reader, at);
CREATE TABLE IF NOT EXISTS slots (
  reader TEXT NOT NULL, slot TEXT NOT NULL, time INTEGER NOT NULL, PRIMARY KEY (reader, slot)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dead_letters (
  number INTEGER PRIMARY KEY AUTOINCREMENT, reader TEXT NOT NULL, object INTEGER NOT NULL, line INTEGER NOT NULL,
  tenant TEXT NOT NULL, metric TEXT NOT NULL, kind TEXT NOT NULL, record TEXT NOT NULL, reason TEXT NOT NULL,
  attempts BLOB NOT NULL, first_at INTEGER NOT NULL, last_at INTEGER NOT NULL, counted INTEGER NOT NULL,
  state TEXT NOT NULL, turn INTEGER NOT NULL DEFAULT 0);
CREATE UNIQUE INDEX IF NOT EXISTS letter_of_record ON dead_letters (reader, object, line, kind, record);
CREATE INDEX IF NOT EXISTS letters_redriving ON dead_letters (reader, turn, number) WHERE state = 'redriving';
CREATE TABLE IF NOT EXISTS letter_counts (
  reader TEXT NOT NULL, state TEXT NOT NULL, letters INTEGER NOT NULL, PRIMARY KEY (reader, state)) WITHOUT ROWID;
INSERT INTO letter_counts SELECT reader, state, count(*) FROM dead_letters
  WHERE NOT EXISTS (SELECT 1 FROM letter_counts) GROUP BY reader, state;
CREATE TRIGGER IF NOT EXISTS letter_kept AFTER INSERT ON dead_letters BEGIN
  INSERT INTO letter_counts VALUES (new.reader, new.state, 1)
  ON CONFLICT (reader, state) DO UPDATE SET letters = letters + 1; END;
CREATE TRIGGER IF NOT EXISTS letter_gone AFTER DELETE ON dead_letters BEGIN
  UPDATE letter_counts SET letters = letters - 1 WHERE reader = old.reader AND state = old.state; END;
CREATE TRIGGER IF NOT EXISTS letter_restated AFTER UPDATE OF state ON dead_letters WHEN new.state != old.state BEGIN
  UPDATE letter_counts SET letters = letters - 1 WHERE reader = old.reader AND state = old.state;
  INSERT INTO letter_counts VALUES (new.reader, new.state, 1)
  ON CONFLICT (reader, state) DO UPDATE SET letters = letters + 1; END;
CREATE TABLE IF NOT EXISTS replays (
  number INTEGER PRIMARY KEY AUTOINCREMENT, reader TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
  next INTEGER NOT NULL, duplicates INTEGER NOT NULL, state TEXT NOT NULL, since INTEGER, until INTEGER,
  delivered INTEGER NOT NULL DEFAULT 0, dead INTEGER NOT NULL DEFAULT 0);
"""
"""Came later than format 1, and are nothing to those who do not know them."""

OBJECTS = "objects"
"""The scope of what is noted of the announced objects in hand."""
REDRIVE = "redrive"
"""The scope of what is noted of the dead letters in hand."""
REPLAY = "replay"
"""The scope of what is noted of the object in hand that is replayed."""

_REMEMBERED_MICROS = 7 * 86_400 * 1_000_000
_FORGOTTEN_AT_ONCE = 10_000
_ASKED_AT_ONCE = 500
_MOST_ATTEMPTS = 20
_ATTEMPTS = msgspec.json.Decoder(list[Attempt])
_LETTERS = """
SELECT dead_letters.number, reader, announcements.object, dead_letters.object, line, tenant, metric, kind, record,
  reason, attempts, first_at, counted, last_at, state
FROM dead_letters JOIN announcements ON announcements.number = dead_letters.object
"""


def begin(connection: sqlite3.Connection, reader: str, since: int | None) -> Checkpointed:
    """
    Give a destination that has none its checkpoint; what was laked before it counts as not mapped.
    """
    row = connection.execute("SELECT number, sealed_at FROM checkpoints WHERE reader = ?", (reader,)).fetchone()
    if row is not None:
        return Checkpointed(*row)
    newest = connection.execute("SELECT coalesce(max(number), 0) FROM announcements").fetchone()[0]
    first = None
    if since is not None:
        found = connection.execute("SELECT min(number) FROM announcements WHERE sealed_at >= ?", (since,))
        first = found.fetchone()[0]
    number = newest if first is None else first - 1
    sealed_at = connection.execute(
        "SELECT coalesce(max(sealed_at), 0) FROM announcements WHERE number = ?", (number,)
    ).fetchone()[0]
    connection.execute("INSERT INTO checkpoints VALUES (?, ?, ?)", (reader, number, sealed_at))
    before = total(connection.execute("SELECT counts FROM announcements WHERE number <= ?", (number,)))
    add(connection, [Delta(reader, *account, "not_mapped", amount) for account, amount in before.items()])
    return Checkpointed(number, sealed_at)


def advance(
    connection: sqlite3.Connection, reader: str, announcement: Announcement, deltas: Sequence[Delta],
    letters: Sequence[Letter], *, more: bool,
) -> None:  # fmt: skip
    """
    Move a reader's checkpoint, count, keep its dead letters; what was noted goes, unless there are more in hand.
    """
    row = connection.execute("SELECT number FROM checkpoints WHERE reader = ?", (reader,)).fetchone()
    if announcement.number != (row[0] if row else 0) + 1:
        raise StaleSeal(f"{reader}: announcement {announcement.number} is not the next")
    connection.execute(
        "INSERT INTO checkpoints VALUES (?, ?, ?) ON CONFLICT (reader) DO UPDATE"
        " SET number = excluded.number, sealed_at = excluded.sealed_at",
        (reader, announcement.number, announcement.sealed_at),
    )
    add(connection, deltas)
    _keep(connection, reader, letters)
    if not more:
        _forget(connection, reader, OBJECTS)


def note(connection: sqlite3.Connection, reader: str, scope: str, noted: Note) -> None:
    """
    Keep what must be known after a crash.
    """
    if noted.whole:
        connection.execute("DELETE FROM delivery_notes WHERE reader = ? AND scope = ?", (reader, scope))
    connection.execute("INSERT INTO delivery_notes (reader, scope, body) VALUES (?, ?, ?)", (reader, scope, noted.body))
    now = time.time_ns() // 1000
    connection.executemany(
        "INSERT OR REPLACE INTO delivered_once VALUES (?, ?, ?)", [(reader, one, now) for one in noted.delivered]
    )
    connection.executemany(
        "INSERT INTO slots VALUES (?, ?, ?) ON CONFLICT (reader, slot) DO UPDATE SET time = max(time, excluded.time)",
        [(reader, slot, newest) for slot, newest in noted.slots.items()],
    )


def noted(connection: sqlite3.Connection, reader: str, scope: str) -> list[bytes]:
    """
    Return the notes of a scope, in order.
    """
    sql = "SELECT body FROM delivery_notes WHERE reader = ? AND scope = ? ORDER BY number"
    return [bytes(body) for (body,) in connection.execute(sql, (reader, scope))]


def delivered(connection: sqlite3.Connection, reader: str, records: Sequence[bytes]) -> set[bytes]:
    """
    Return which of some fingerprints are among those delivered in the last days.
    """
    found: set[bytes] = set()
    for start in range(0, len(records), _ASKED_AT_ONCE):
        asked = records[start : start + _ASKED_AT_ONCE]
        marks = ", ".join("?" * len(asked))
        sql = f"SELECT record FROM delivered_once WHERE reader = ? AND record IN ({marks})"
        found.update(bytes(record) for (record,) in connection.execute(sql, (reader, *asked)))
    return found


def watermarks(connection: sqlite3.Connection, reader: str, slots: Sequence[str]) -> dict[str, int]:
    """
    Return the newest event time that was delivered of some slots.
    """
    sql = "SELECT slot, time FROM json_each(?) JOIN slots ON reader = ? AND slot = value"
    return dict(connection.execute(sql, (msgspec.json.encode(slots).decode(), reader)))


def letters(connection: sqlite3.Connection, which: WhichLetters, after: int, limit: int) -> list[DeadLetter]:
    """
    Return dead letters after a number, in order.
    """
    where, values = _where(which)
    sql = f"{_LETTERS} WHERE {where} AND dead_letters.number > ? ORDER BY dead_letters.number LIMIT ?"
    return [_letter(row) for row in connection.execute(sql, (*values, after, limit))]


def groups(connection: sqlite3.Connection, which: WhichLetters) -> list[LetterGroup]:
    """
    Count dead letters by destination, reason, tenant, metric and state.
    """
    where, values = _where(which)
    sql = (
        "SELECT reader, reason, tenant, metric, state, count(*), min(last_at), max(last_at) FROM dead_letters"
        f" WHERE {where} GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5"
    )
    return [
        LetterGroup(reader, reason, tenant, metric, LetterState(state), letters, oldest, newest)
        for reader, reason, tenant, metric, state, letters, oldest, newest in connection.execute(sql, values)
    ]


def standing(connection: sqlite3.Connection) -> dict[str, int]:
    """
    Return how many dead letters each destination has that are not dropped; counted as they come and go.
    """
    sql = "SELECT reader, sum(letters) FROM letter_counts WHERE state != 'dropped' GROUP BY reader"
    return dict(connection.execute(sql).fetchall())


def events_by_state(connection: sqlite3.Connection) -> list[Any]:
    """
    Return how many metric events are dead, or wait to be redriven, as (destination, tenant, metric, counter, events).
    """
    sql = (
        "SELECT reader, tenant, metric, CASE WHEN gone THEN 'dead' ELSE 'waiting' END, count(*) FROM"
        " (SELECT reader, object, line, tenant, metric, max(state != 'redriving') AS gone FROM dead_letters"
        " WHERE counted GROUP BY 1, 2, 3, 4, 5) GROUP BY 1, 2, 3, 4"
    )
    return connection.execute(sql).fetchall()


def redriving(connection: sqlite3.Connection, reader: str, limit: int) -> list[DeadLetter]:
    """
    Return the dead letters that a destination is to try again, in the order in which that was asked for.
    """
    sql = f"{_LETTERS} WHERE state = 'redriving' AND reader = ? ORDER BY turn, dead_letters.number LIMIT ?"
    return [_letter(row) for row in connection.execute(sql, (reader, limit))]


def restate(
    connection: sqlite3.Connection, which: WhichLetters, state: LetterState, after: int, limit: int
) -> tuple[int, int]:
    """
    Have dead letters redriven, dropped, or taken back; returns how many, and the number to go on after, 0 at the end.
    """
    where, values = _where(which)
    rows = connection.execute(
        f"SELECT number, reader, object, line FROM dead_letters WHERE {where} AND number > ? AND state != ?"
        " AND state != 'redriving' ORDER BY number LIMIT ?",
        (*values, after, state, limit),
    ).fetchall()
    turn = connection.execute("SELECT coalesce(max(turn), 0) + 1 FROM dead_letters WHERE state = 'redriving'")
    numbers = msgspec.json.encode([row[0] for row in rows]).decode()
    changes = (state, turn.fetchone()[0], numbers)

    def change() -> None:
        connection.execute(
            "UPDATE dead_letters SET state = ?, turn = ? WHERE number IN (SELECT value FROM json_each(?))", changes
        )

    _count_changes(connection, {(reader, number, line) for _, reader, number, line in rows}, change)
    return len(rows), rows[-1][0] if len(rows) == limit else 0


def settle(connection: sqlite3.Connection, reader: str, settled: Settled) -> None:
    """
    Let go of letters that were delivered, return the others to where they were, and forget what was noted.
    """
    _settle(connection, reader, settled)
    _forget(connection, reader, REDRIVE)


def _settle(connection: sqlite3.Connection, reader: str, settled: Settled) -> None:
    numbers = msgspec.json.encode([*settled.delivered, *settled.failed]).decode()
    rows = connection.execute(
        "SELECT number, object, line, attempts FROM dead_letters WHERE number IN (SELECT value FROM json_each(?))",
        (numbers,),
    ).fetchall()
    now = time.time_ns() // 1000

    def change() -> None:
        connection.executemany("DELETE FROM dead_letters WHERE number = ?", [(one,) for one in settled.delivered])
        connection.executemany(
            "UPDATE dead_letters SET state = 'dead', reason = ?, attempts = ?, last_at = ? WHERE number = ?",
            [
                (settled.failed[number][0], _tried(attempts, settled.failed[number][1]), now, number)
                for number, _, _, attempts in rows
                if number in settled.failed
            ],
        )

    _count_changes(connection, {(reader, number, line) for _, number, line, _ in rows}, change)


def begin_replay(connection: sqlite3.Connection, replay: Replay) -> int:
    """
    Keep a replay that is to be done; returns its number.
    """
    done = connection.execute(
        "INSERT INTO replays (reader, first, last, next, duplicates, state, since, until)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            replay.destination, replay.first, replay.last, replay.next, replay.duplicates, replay.state,
            replay.span.start, replay.span.end,
        ),
    )  # fmt: skip
    return int(done.lastrowid or 0)


def replayable(connection: sqlite3.Connection, reader: str, span: Span) -> Replayable | None:
    """
    Return which announced objects a span has, of those before a reader's checkpoint; None for none.
    """
    row = connection.execute(
        "SELECT min(number), max(number), count(*), sum(rows) FROM announcements"
        " WHERE sealed_at >= coalesce(?, sealed_at) AND oldest_at < coalesce(?, oldest_at + 1)"
        " AND number <= coalesce((SELECT number FROM checkpoints WHERE reader = ?), 0)",
        (span.start, span.end, reader),
    ).fetchone()
    return None if row[0] is None else Replayable(*row)


def letters_of(connection: sqlite3.Connection, reader: str, announced: int) -> dict[tuple[int, str, str], int]:
    """
    Return the numbers of an object's dead letters, by line, kind and record.
    """
    sql = "SELECT line, kind, record, number FROM dead_letters WHERE reader = ? AND object = ?"
    return {(line, kind, record): number for line, kind, record, number in connection.execute(sql, (reader, announced))}


def replays(connection: sqlite3.Connection, reader: str | None, *, running: bool) -> list[Replay]:
    """
    Return replays, the oldest first; where `reader` is None, of all destinations.
    """
    sql = (
        "SELECT number, reader, first, last, next, duplicates, state, delivered, dead, since, until FROM replays"
        " WHERE reader = coalesce(?, reader) AND (state = 'running' OR NOT ?) ORDER BY number"
    )
    return [_replay(row) for row in connection.execute(sql, (reader, running))]


def _replay(row: Sequence[Any]) -> Replay:
    number, reader, first, last, following, duplicates, state, delivered, dead, since, until = row
    span = Span(since, until)
    return Replay(number, reader, first, last, following, bool(duplicates), ReplayState(state), delivered, dead, span)


def stop_replay(connection: sqlite3.Connection, number: int) -> bool:
    """
    Let a replay go no further; False where it does not run.
    """
    sql = "UPDATE replays SET state = 'stopped' WHERE number = ? AND state = 'running'"
    return connection.execute(sql, (number,)).rowcount == 1


def replayed(connection: sqlite3.Connection, replay: Replay, settled: Settled, letters: Sequence[Letter]) -> None:
    """
    Say how far a replay has come, settle the dead letters that it met, keep new ones, and forget what was noted.
    """
    connection.execute(
        "UPDATE replays SET next = ?, delivered = ?, dead = ?,"
        " state = CASE WHEN state = 'running' THEN ? ELSE state END WHERE number = ?",
        (replay.next, replay.delivered, replay.dead, replay.state, replay.number),
    )
    _settle(connection, replay.destination, settled)
    _keep(connection, replay.destination, letters)
    _forget(connection, replay.destination, REPLAY)


def _keep(connection: sqlite3.Connection, reader: str, letters: Sequence[Letter]) -> None:
    connection.executemany(
        "INSERT INTO dead_letters"
        " (reader, object, line, tenant, metric, kind, record, reason, attempts, first_at, last_at, counted, state)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'dead') ON CONFLICT (reader, object, line, kind, record)"
        " DO UPDATE SET state = 'dead', reason = excluded.reason, attempts = excluded.attempts,"
        " last_at = excluded.last_at",
        [
            (
                reader, one.object, one.line, one.tenant, one.metric, one.kind, one.record, one.reason,
                msgspec.json.encode(list(one.attempts)[-_MOST_ATTEMPTS:]), one.first_at,
                one.attempts[-1].at if one.attempts else one.first_at, one.counted,
            )
            for one in letters
        ],
    )  # fmt: skip


def _forget(connection: sqlite3.Connection, reader: str, scope: str) -> None:
    """
    Forget the notes of a scope, and some of the fingerprints that are old.
    """
    connection.execute("DELETE FROM delivery_notes WHERE reader = ? AND scope = ?", (reader, scope))
    connection.execute(
        "DELETE FROM delivered_once WHERE (reader, record) IN"
        " (SELECT reader, record FROM delivered_once WHERE reader = ? AND at < ? LIMIT ?)",
        (reader, time.time_ns() // 1000 - _REMEMBERED_MICROS, _FORGOTTEN_AT_ONCE),
    )


def _count_changes(
    connection: sqlite3.Connection, lines: set[tuple[str, int, int]], change: Callable[[], None]
) -> None:
    """
    Change letters of some metric events, (destination, object, line), and count what that makes of each event.

    An event is dead while a counted letter of it is, waits while one is redriven, and is delivered when none is left.
    """
    asked = msgspec.json.encode(sorted(lines)).decode()
    before = _states(connection, asked)
    change()
    after = _states(connection, asked)
    deltas: list[Delta] = []
    for key, counter in before.items():
        now = after.get(key, "delivered")
        if counter != now:
            reader, _, _, tenant, metric = key
            deltas += [Delta(reader, tenant, metric, counter, -1), Delta(reader, tenant, metric, now, 1)]
    add(connection, deltas)


def _states(connection: sqlite3.Connection, lines: str) -> dict[tuple[Any, ...], str]:
    rows = connection.execute(
        "SELECT reader, dead_letters.object, line, tenant, metric, max(state != 'redriving') FROM json_each(?)"
        " JOIN dead_letters ON reader = json_extract(value, '$[0]')"
        " AND dead_letters.object = json_extract(value, '$[1]') AND line = json_extract(value, '$[2]')"
        " WHERE counted GROUP BY 1, 2, 3, 4, 5",
        (lines,),
    )
    return {tuple(row[:5]): "dead" if row[5] else "waiting" for row in rows}


def _where(which: WhichLetters) -> tuple[str, tuple[Any, ...]]:
    """
    Return a condition of dead letters and its values.
    """
    columns = {"reason": which.reason, "tenant": which.tenant, "metric": which.metric}
    given = {column: value for column, value in columns.items() if value is not None}
    parts = ["state IN (SELECT value FROM json_each(?))", *(f"{column} = ?" for column in given)]
    values: list[Any] = [msgspec.json.encode(which.states).decode(), *given.values()]
    if which.destinations:
        parts.append("reader IN (SELECT value FROM json_each(?))")
        values.append(msgspec.json.encode(which.destinations).decode())
    if which.numbers:
        parts.append("dead_letters.number IN (SELECT value FROM json_each(?))")
        values.append(msgspec.json.encode(which.numbers).decode())
    return " AND ".join(parts), tuple(values)


def _letter(row: Sequence[Any]) -> DeadLetter:
    number, reader, path, announced, line, tenant, metric, kind, record, reason, *about = row
    attempts, first_at, counted, last_at, state = about
    tried = _ATTEMPTS.decode(attempts)
    letter = Letter(announced, line, tenant, metric, kind, record, reason, tried, first_at, bool(counted))
    return DeadLetter(number, reader, path, letter, last_at, LetterState(state))


def _tried(before: bytes, more: Iterable[Attempt]) -> bytes:
    attempts = [*_ATTEMPTS.decode(before), *more]
    return msgspec.json.encode(attempts[-_MOST_ATTEMPTS:])
