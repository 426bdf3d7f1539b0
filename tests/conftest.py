"""
What the tests of several folders share: a journal in the test's own folder, and no haste.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from metriclake.journal import SqliteJournal

QUOTA = 1024 * 1024

# How long an example takes is a matter of what else the machine does.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    """
    Open a journal of one mebibyte.
    """
    opened = SqliteJournal(tmp_path / "journal.db", QUOTA)
    yield opened
    opened.close()
