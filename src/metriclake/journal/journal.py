"""
What a journal is: the protocol that every implementation keeps.

A position is (partition, offset). Order is promised within a partition, not across.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Protocol

from metriclake.audit import AuditLine
from metriclake.books import Books, Delta
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
from metriclake.entry import (
    Announcement,
    Backfilling,
    Checkpointed,
    Entry,
    EntryInfo,
    Held,
    HeldInfo,
    Position,
    Retried,
    Seal,
    Span,
    StoredEntry,
)
from metriclake.recount import Snapshot


class Deliveries(Protocol):
    """
    What destinations keep in the journal: durable when a method returns, safe from any thread.

    A `reader` is a destination's name. A `scope` separates what is noted of the objects, redrives and replays in hand.
    """

    def begin(self, reader: str, since: int | None) -> Checkpointed:
        """
        Give a reader that has none its checkpoint, before the first object sealed at `since` or later; None is now.

        What was laked before it counts as not mapped. Returns the checkpoint that it has.
        """

    def note(self, reader: str, scope: str, noted: Note) -> None:
        """
        Keep, in one transaction, what must be known after a crash. Fingerprints are remembered for 7 days.
        """

    def noted(self, reader: str, scope: str) -> list[bytes]:
        """
        Return the bodies of a scope's notes, in order.
        """

    def delivered(self, reader: str, records: Sequence[bytes]) -> set[bytes]:
        """
        Return which of some fingerprints were noted as delivered.
        """

    def watermarks(self, reader: str, slots: Sequence[str]) -> dict[str, int]:
        """
        Return the newest event time that was noted as delivered of some slots, of those that have one.
        """

    def letters(self, which: WhichLetters, after: int, limit: int) -> list[DeadLetter]:
        """
        Return dead letters after a number, in order.
        """

    def groups(self, which: WhichLetters) -> list[LetterGroup]:
        """
        Count dead letters by destination, reason, tenant, metric and state.
        """

    def standing(self) -> dict[str, int]:
        """
        Return how many dead letters each destination has that are not dropped; cheap, however many there are.
        """

    def restate(self, which: WhichLetters, state: LetterState, after: int, limit: int) -> tuple[int, int]:
        """
        Have dead letters redriven, dropped, or taken back, at most `limit` of those after a number.

        In one transaction with the books: what is redriven waits. What is being redriven is left alone. Returns how
        many, and the number to go on after, 0 at the end.
        """

    def redriving(self, reader: str, limit: int) -> list[DeadLetter]:
        """
        Return the letters that a destination is to try again, in the order in which that was asked for.
        """

    def settle(self, reader: str, settled: Settled) -> None:
        """
        In one transaction: let go of letters that were delivered, return the others to the dead, count, forget notes.
        """

    def begin_replay(self, replay: Replay) -> int:
        """
        Keep a replay that is to be done; returns its number.
        """

    def replayable(self, reader: str, span: Span) -> Replayable | None:
        """
        Return which announced objects have events of a span, of those before a reader's checkpoint; None for none.
        """

    def letters_of(self, reader: str, announced: int) -> dict[tuple[int, str, str], int]:
        """
        Return the numbers of the dead letters of an announced object, by line, kind and record.
        """

    def replays(self, reader: str | None = None, *, running: bool = True) -> list[Replay]:
        """
        Return the replays of a destination, or of all, the oldest first: those that run, or all that there were.
        """

    def stop_replay(self, number: int) -> bool:
        """
        Let a replay go no further; False where it does not run.
        """

    def replayed(self, replay: Replay, settled: Settled, letters: Sequence[Letter]) -> None:
        """
        In one transaction: say how far a replay has come, settle the letters that it met, keep new ones, forget notes.
        """


class AuditTrail(Protocol):
    """
    What was done with the admin key: appended to, never changed; safe from any thread.
    """

    def note(self, line: AuditLine) -> None:
        """
        Keep a line; durable when this returns.
        """

    def lines(self, before: int | None, limit: int, tenant: str | None = None) -> list[AuditLine]:
        """
        Return the newest lines before a number, or of all; at most `limit`, of one tenant where it is named.
        """


class Journal(Protocol):
    """
    The seam. Every method but `append` waits until what it did is durable; all are safe from any thread.
    """

    @property
    def identity(self) -> str:
        """
        Return the journal's own name, made when it was created: 8 hexadecimal digits.
        """

    @property
    def audit(self) -> AuditTrail:
        """
        Return the audit trail.
        """

    @property
    def partitions(self) -> Sequence[int]:
        """
        Return the partitions.
        """

    def append(self, entry: Entry) -> Future[Position]:
        """
        Take an entry; the future is done when it is durable. Raises JournalFull at once when above the quota.
        """

    def retry(self, entries: Sequence[Entry], retried: Sequence[Retried]) -> None:
        """
        In one transaction: take entries and keep which refused records they are. Raises JournalFull above the quota.

        Raises StaleSeal where another retry was first: what is kept of an object is not what was read before.
        """

    def retried(self, path: str) -> bytes | None:
        """
        Return what `retry` has kept of an object, None where nothing of it was sent again.
        """

    def wait(self, timeout: float) -> bool:
        """
        Wait until something was appended since the last call; False after `timeout` seconds.
        """

    def pending(self, partition: int, after: int) -> list[EntryInfo]:
        """
        Return what stands after offset `after`, in order, without bodies.
        """

    def read(self, partition: int, first: int, last: int) -> list[StoredEntry]:
        """
        Return the entries of a range, in order.
        """

    def last_sealed(self, partition: int) -> Seal | None:
        """
        Return the newest seal.
        """

    def unannounced(self, partition: int) -> list[Seal]:
        """
        Return the seals whose objects are not announced, in order.
        """

    def seal(self, seal: Seal) -> None:
        """
        Close a batch, or one without entries. Raises StaleSeal unless number and range follow the last one.
        """

    def pin(self, seal: Seal, answers: bytes, freed: Sequence[int] = ()) -> bytes:
        """
        Keep what the outside world answered for a seal; returns what was kept first, this or an earlier try's.

        The first try also takes what is held under the numbers `freed` for this seal alone. Raises StaleSeal where
        another seal has taken some of it.
        """

    def held_tenants(self, partition: int) -> dict[str, int]:
        """
        Return the tenants of whom something is held that no seal has taken, each with its oldest arrival.
        """

    def held(self, partition: int, tenant: str) -> list[HeldInfo]:
        """
        Return what is held of a tenant and taken by no seal, in order.
        """

    def freed(self, seal: Seal) -> list[Held]:
        """
        Return what a seal has taken, in the order in which it was held.
        """

    def announce(
        self, seal: Seal, announcement: Announcement | None, deltas: Sequence[Delta], held: Sequence[Held] = ()
    ) -> int | None:
        """
        In one transaction: announce, move the stream's checkpoint past the seal, count, and trim the entries.

        What the seal holds aside is kept and counted `held`; what it has freed goes, and is not. The objects must be
        durable. Returns the announcement's number. Raises StaleSeal if it is announced already.
        """

    def announcements(self, after: int, limit: int) -> list[Announcement]:
        """
        Return the announcements after number `after`, in order.
        """

    def checkpoint(self, reader: str) -> Checkpointed:
        """
        Return how far a reader of the announcements has come.
        """

    @property
    def deliveries(self) -> Deliveries:
        """
        Return what is kept for destinations.
        """

    def advance(
        self, reader: str, announcement: Announcement, deltas: Sequence[Delta], letters: Sequence[Letter] = (), *,
        more: bool = False,
    ) -> None:  # fmt: skip
        """
        In one transaction: move a reader's checkpoint to `announcement`, count, and keep its dead letters.

        What was noted of the announced objects in hand is forgotten, unless there are `more` of them. Raises StaleSeal
        unless the announcement is the reader's next.
        """

    def backfilling(self, manifest: str) -> Backfilling | None:
        """
        Return how far the backfill of a batch is, by the path of its manifest; None where it is not begun.
        """

    def pin_backfill(self, manifest: str, answers: bytes) -> bytes:
        """
        Keep what the directory answered for a batch of a backfill; returns what was kept first.

        Raises StaleSeal where it is announced already.
        """

    def announce_backfill(
        self, manifest: str, announcement: Announcement | None, deltas: Sequence[Delta]
    ) -> int | None:
        """
        In one transaction: announce what a backfill made of a pinned batch, and count it.

        The objects must be durable. Returns the announcement's number. Raises StaleSeal if it is announced already.
        """

    def pass_over(self, manifests: Sequence[str]) -> None:
        """
        Note batches of which a backfill makes nothing, so that the next run need not read them.
        """

    def keep_pipeline(self, version: int, text: str) -> None:
        """
        Keep a pipeline file's text, for the seals that are made with it.
        """

    def pipeline(self, version: int) -> str | None:
        """
        Return the text of a kept pipeline file.
        """

    def books(self, reader: str, destinations: Sequence[str] = ()) -> Books:
        """
        Return the books of one moment, with `reader` as the store, and with the destinations that are named.
        """

    def snapshot(self) -> Snapshot:
        """
        Return one moment: what the counters say, up to which announcements and seals, and what the journal has itself.
        """

    def oldest_waiting(self, reader: str, tenant: str | None = None) -> int | None:
        """
        Return when the oldest event arrived that `reader` has not, None where it has all.

        What is held aside waits for nobody but its tenant: it counts where that `tenant` is asked for.
        """

    def close(self) -> None:
        """
        Make durable what was appended, and close.
        """
