"""
What the tests of several folders share: a journal in the test's own folder.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from metriclake.journal import SqliteJournal

QUOTA = 1024 * 1024


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    """
    Open a journal of one mebibyte.
    """
    opened = SqliteJournal(tmp_path / "journal.db", QUOTA)
    yield opened
    opened.close()
