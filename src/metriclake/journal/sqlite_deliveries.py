"""
What destinations need of the embedded journal; see `Deliveries` for the contract.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Protocol, TypeVar

from metriclake.crashpoints import CrashPoint, reach
from metriclake.deadletter import (
    DeadLetter,
    Letter,
    LetterGroup,
    LetterState,
    Note,
    Replay,
    Replayable,
    Settled,
    WhichLetters,
)
from metriclake.entry import Checkpointed, Span
from metriclake.journal import deliveries

_Result = TypeVar("_Result")


class Tables(Protocol):
    """
    The journal's own way to its tables.
    """

    def write(self, run: Callable[[sqlite3.Connection], _Result]) -> Future[_Result]:
        """
        Run a function in a transaction of the writer; the future is done when that is durable.
        """

    def look(self, run: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """
        Run a function that reads.
        """


class SqliteDeliveries:
    """
    Notes, dead letters and replays in SQLite.
    """

    def __init__(self, tables: Tables) -> None:
        """
        Use the tables of an open journal.
        """
        self._tables = tables

    def begin(self, reader: str, since: int | None) -> Checkpointed:
        """
        Give a new destination its checkpoint.
        """
        return self._tables.write(lambda connection: deliveries.begin(connection, reader, since)).result()

    def note(self, reader: str, scope: str, noted: Note) -> None:
        """
        Keep what must be known after a crash.
        """
        self._tables.write(lambda connection: deliveries.note(connection, reader, scope, noted)).result()
        reach(CrashPoint.NOTE)

    def noted(self, reader: str, scope: str) -> list[bytes]:
        """
        Return the notes of a scope, in order.
        """
        return self._tables.look(lambda connection: deliveries.noted(connection, reader, scope))

    def delivered(self, reader: str, records: Sequence[bytes]) -> set[bytes]:
        """
        Return which of some fingerprints were delivered.
        """
        return self._tables.look(lambda connection: deliveries.delivered(connection, reader, records))

    def watermarks(self, reader: str, slots: Sequence[str]) -> dict[str, int]:
        """
        Return the newest event time that was delivered of some slots.
        """
        return self._tables.look(lambda connection: deliveries.watermarks(connection, reader, slots))

    def letters(self, which: WhichLetters, after: int, limit: int) -> list[DeadLetter]:
        """
        Return dead letters after a number.
        """
        return self._tables.look(lambda connection: deliveries.letters(connection, which, after, limit))

    def groups(self, which: WhichLetters) -> list[LetterGroup]:
        """
        Count dead letters.
        """
        return self._tables.look(lambda connection: deliveries.groups(connection, which))

    def standing(self) -> dict[str, int]:
        """
        Return how many dead letters each destination has that are not dropped.
        """
        return self._tables.look(deliveries.standing)

    def restate(self, which: WhichLetters, state: LetterState, after: int, limit: int) -> tuple[int, int]:
        """
        Have dead letters redriven, dropped, or taken back.
        """
        return self._tables.write(
            lambda connection: deliveries.restate(connection, which, state, after, limit)
        ).result()

    def redriving(self, reader: str, limit: int) -> list[DeadLetter]:
        """
        Return what a destination is to try again.
        """
        return self._tables.look(lambda connection: deliveries.redriving(connection, reader, limit))

    def settle(self, reader: str, settled: Settled) -> None:
        """
        Say what became of letters that were tried again.
        """
        self._tables.write(lambda connection: deliveries.settle(connection, reader, settled)).result()
        reach(CrashPoint.SETTLE)

    def begin_replay(self, replay: Replay) -> int:
        """
        Keep a replay that is to be done.
        """
        return self._tables.write(lambda connection: deliveries.begin_replay(connection, replay)).result()

    def replayable(self, reader: str, span: Span) -> Replayable | None:
        """
        Return which announced objects a span has, of those before a reader's checkpoint.
        """
        return self._tables.look(lambda connection: deliveries.replayable(connection, reader, span))

    def letters_of(self, reader: str, announced: int) -> dict[tuple[int, str, str], int]:
        """
        Return the numbers of an object's dead letters.
        """
        return self._tables.look(lambda connection: deliveries.letters_of(connection, reader, announced))

    def replays(self, reader: str | None = None, *, running: bool = True) -> list[Replay]:
        """
        Return replays.
        """
        return self._tables.look(lambda connection: deliveries.replays(connection, reader, running=running))

    def stop_replay(self, number: int) -> bool:
        """
        Let a replay go no further.
        """
        return self._tables.write(lambda connection: deliveries.stop_replay(connection, number)).result()

    def replayed(self, replay: Replay, settled: Settled, letters: Sequence[Letter]) -> None:
        """
        Say how far a replay has come.
        """
        self._tables.write(lambda connection: deliveries.replayed(connection, replay, settled, letters)).result()
        reach(CrashPoint.SETTLE)
