"""
Durable before the caller hears "accepted": the log between the doors and the stream, and the state of its readers.
"""

from metriclake.journal.journal import Journal
from metriclake.journal.sqlite import SqliteJournal

__all__ = ["Journal", "SqliteJournal"]
