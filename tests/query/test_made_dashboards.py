"""
The dashboard that is made of a tenant's metrics, made anew when it would be another one.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from metriclake.query.made_dashboards import MadeDashboards
from metriclake.query.plan import Units
from metriclake.store import Metric, TenantReader
from metriclake.tokens import TenantClaims

NOW = datetime.now(UTC)


class Shelf:
    """
    Tenants' metrics, how often they were read, their version, the units of measures and the time.
    """

    def __init__(self) -> None:
        self.metrics = ["uploads"]
        self.reads = 0
        self.version: int | None = 1
        self.units: Units = {}
        self.seconds = 0.0

    def made(self) -> MadeDashboards:
        """
        Return dashboards of these.
        """
        return MadeDashboards(self._reader, lambda: self.units, lambda _tenant: self.version, lambda: self.seconds)

    def _reader(self, _tenant: str) -> TenantReader:
        shelf = self

        class Reader(TenantReader):
            """
            Reads from the shelf.
            """

            def __init__(self) -> None:
                pass

            def metrics(self) -> dict[str, Metric]:
                shelf.reads += 1
                before = NOW - timedelta(hours=1)
                return {name: Metric(name, before, NOW, measures={"size": ("double",)}) for name in shelf.metrics}

        return Reader()


@pytest.fixture
def shelf() -> Shelf:
    """
    Return a shelf with one metric.
    """
    return Shelf()


def shows(made: MadeDashboards, tenant: str = "acme", metrics: frozenset[str] | None = None) -> set[str]:
    """
    Return the metrics of a dashboard's tiles.
    """
    return {tile.metric for tile in made.of(TenantClaims(tenant, NOW, metrics)).spec.tiles}


def test_it_is_remembered_while_nothing_changes(shelf: Shelf) -> None:
    """
    A page's questions do not have it made anew, nor what it permits; another tenant's, and another token's, are others.
    """
    made = shelf.made()
    one = made.of(TenantClaims("acme", NOW))

    assert made.of(TenantClaims("acme", NOW)).permission is one.permission
    assert shelf.reads == 1
    assert shows(made, metrics=frozenset()) == set()
    assert shows(made, "globex") == {"uploads"}
    assert shelf.reads == 3


@pytest.mark.parametrize("change", ["version", "unknown", "units", "time"])
def test_it_is_made_anew_after_a_change(shelf: Shelf, change: str) -> None:
    """
    What has come to the store, other units and a minute are seen; nothing is told from memory while that is unknown.
    """
    made = shelf.made()
    assert shows(made) == {"uploads"}
    shelf.metrics = ["uploads", "scans"]
    assert shows(made) == {"uploads"}

    match change:
        case "version":
            shelf.version = 2
        case "unknown":
            shelf.version = None
        case "units":
            shelf.units = {("scans", "size"): "bytes"}
        case _:
            shelf.seconds = 61.0

    assert shows(made) == {"uploads", "scans"}


def test_memory_is_bounded(shelf: Shelf) -> None:
    """
    Of more tenants than are remembered, those that asked longest ago are made anew.
    """
    made = shelf.made()
    for number in range(1_001):
        shows(made, f"t{number}")

    shows(made, "t1000")
    assert shelf.reads == 1_001
    shows(made, "t0")
    assert shelf.reads == 1_002
