"""
The audit trail in the embedded journal; see `AuditTrail` for the contract.
"""

from __future__ import annotations

import sqlite3
from typing import Final

import msgspec

from metriclake.audit import AuditLine
from metriclake.journal.sqlite_deliveries import Tables

TABLE: Final = """
CREATE TABLE IF NOT EXISTS audit (
  number INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, action TEXT NOT NULL, tenant TEXT NOT NULL,
  by TEXT NOT NULL, client TEXT NOT NULL, request_id TEXT NOT NULL, facts BLOB NOT NULL);
CREATE TRIGGER IF NOT EXISTS audit_is_not_changed BEFORE UPDATE ON audit
  BEGIN SELECT raise(ABORT, 'the audit trail is only appended to'); END;
CREATE TRIGGER IF NOT EXISTS audit_is_not_deleted BEFORE DELETE ON audit
  BEGIN SELECT raise(ABORT, 'the audit trail is only appended to'); END;
"""
"""Came later than format 1, and is nothing to those who do not know it."""

_COLUMNS = "at, action, tenant, by, client, request_id, facts"


class SqliteAudit:
    """
    The audit trail in SQLite.
    """

    def __init__(self, tables: Tables) -> None:
        """
        Use the tables of an open journal.
        """
        self._tables = tables

    def note(self, line: AuditLine) -> None:
        """
        Keep a line.
        """
        values = (line.at, line.action, line.tenant, line.by, line.client, line.request_id)
        facts = msgspec.json.encode(line.facts)
        sql = f"INSERT INTO audit ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - this file's own words
        self._tables.write(lambda connection: connection.execute(sql, (*values, facts))).result()

    def lines(self, before: int | None, limit: int, tenant: str | None = None) -> list[AuditLine]:
        """
        Return the newest lines.
        """
        sql = (
            f"SELECT {_COLUMNS}, number FROM audit WHERE number < coalesce(?1, number + 1)"  # noqa: S608 - as above
            " AND tenant = coalesce(?2, tenant) ORDER BY number DESC LIMIT ?3"
        )

        def read(connection: sqlite3.Connection) -> list[AuditLine]:
            return [
                AuditLine(at, action, whose, by, client, request_id, msgspec.json.decode(facts), number)
                for at, action, whose, by, client, request_id, facts, number in connection.execute(
                    sql, (before, tenant, limit)
                )
            ]

        return self._tables.look(read)
