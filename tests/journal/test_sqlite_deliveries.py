"""
What the embedded journal keeps for destinations: the contract, and what is SQLite's own.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from contracts.deliveries import CRM, DeliveriesContract
from contracts.journal import announced
from metriclake.deadletter import Note
from metriclake.journal import SqliteJournal


class TestSqliteDeliveries(DeliveriesContract):
    """
    The contract, held by the embedded journal.
    """

    def open(self, folder: Path, quota: int) -> SqliteJournal:
        """
        Open the journal in a folder.
        """
        return SqliteJournal(folder / "journal.db", quota)

    def test_old_fingerprints_are_forgotten(self, journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        With a checkpoint those go that are older than a week.
        """
        journal.deliveries.note(CRM, "objects", Note(b"", [b"old"]))
        later = time.time_ns() + 8 * 86_400 * 10**9
        monkeypatch.setattr("metriclake.journal.deliveries.time.time_ns", lambda: later)
        journal.deliveries.note(CRM, "objects", Note(b"", [b"new"]))
        announced(journal)
        journal.advance(CRM, journal.announcements(0, 1)[0], [])

        assert journal.deliveries.delivered(CRM, [b"old", b"new"]) == {b"new"}
