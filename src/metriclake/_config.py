"""
The environment and the data directory's places: read here and nowhere else.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

DEFAULT_PORT = 8321
DEFAULT_HOST = "127.0.0.1"
DEFAULT_DATA = "metriclake-data"

MAX_BODY_BYTES = 16 * 1024 * 1024
"""Largest request body, as sent and after decompression."""

MAX_BODIES_BYTES = 256 * 1024 * 1024
"""Bytes of all request bodies, as sent, that are being read or wait for their answer at once."""

MAX_HEAD_BYTES = 256 * 1024
"""Most that is read of a request's line and headers: what one read of a socket may bring."""

MAX_EVENT_BYTES = 1024 * 1024
"""Largest single domain event or metric event, as EventBridge's entry."""

JOURNAL_QUOTA_BYTES = 2 * 1024 * 1024 * 1024
"""Bytes of accepted entries that wait in the journal before callers hear 429."""


REDELIVERED_OBJECTS = 64
"""Objects that are loaded once more after an unclean end: to no effect, unless a power cut has taken some of them."""

ROLLUP_FROM = 50_000
"""Events of a metric from which on a tenant gets its rollups; fewer are read as fast from the rows."""

MAX_ROLLUPS = 8
"""Rollups of one metric: each is built of every event."""

MAX_ROLLUP_DIMENSIONS = 8
"""Dimensions of one rollup: the table has so many columns for them."""


@dataclass(frozen=True, slots=True)
class Environment:
    """
    What the environment may give: the keys (otherwise made in the data directory) and a crash point for tests.
    """

    ingest_key: str | None
    admin_key: str | None
    signing_key: str | None
    github_secret: str | None
    crash_at: str | None
    variables: Mapping[str, str]


def environment() -> Environment:
    """
    Read the process's environment.
    """
    get = os.environ.get
    return Environment(
        ingest_key=get("METRICLAKE_INGEST_KEY"),
        admin_key=get("METRICLAKE_ADMIN_KEY"),
        signing_key=get("METRICLAKE_SIGNING_KEY"),
        github_secret=get("METRICLAKE_GITHUB_SECRET"),
        crash_at=get("METRICLAKE_CRASH_AT"),
        variables=dict(os.environ),
    )


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """
    The one directory that holds everything a server keeps.
    """

    root: Path

    @property
    def keys(self) -> Path:
        """
        Return the folder of the keys, mode 0700, each file 0600.
        """
        return self.root / "keys"

    @property
    def journal(self) -> Path:
        """
        Return the journal's file where the pipeline file names none.
        """
        return self.root / "journal.db"

    @property
    def lake(self) -> Path:
        """
        Return the lake's folder where the pipeline file names none.
        """
        return self.root / "lake"

    @property
    def store(self) -> Path:
        """
        Return the store's folder where the pipeline file names none.
        """
        return self.root / "store"

    @property
    def lock(self) -> Path:
        """
        Return the file that a running server holds locked; it tells where that server listens.
        """
        return self.root / "server.lock"

    @property
    def unclean(self) -> Path:
        """
        Return the file that is there while a server runs: one that finds it was not ended well by its forerunner.
        """
        return self.root / "unclean"

    @property
    def served(self) -> Path:
        """
        Return the file that names the pipeline file last served from here.
        """
        return self.root / "pipeline.path"
