"""
An open store of a test's own: loads metric events as lake objects, and reads them back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from metriclake._errors import MetriclakeError
from metriclake.books import Counts
from metriclake.event import Measure, MetricEvent
from metriclake.store import (
    Aggregate,
    Catalogue,
    Engine,
    Loader,
    Outcome,
    Rollups,
    RollupSets,
    Selection,
    TenantReader,
    prepare,
)
from metriclake.store import Measure as Named
from metriclake.store.rollups.table import Grain
from metriclake.tiers import Tiers
from patience import until

TIERS = Tiers(timedelta(days=20_000), timedelta(days=20_000))
NOW = datetime(2026, 7, 1, tzinfo=UTC)
VERSION = 4_503_599_627_370_495


def stamp(moment: datetime) -> str:
    """
    Return a moment as a metric event carries it.
    """
    return moment.astimezone(UTC).isoformat(timespec="microseconds")[:26] + "Z"


def event(
    tenant: str,
    event_id: str,
    *,
    metric: str = "uploads",
    time: datetime = NOW,
    dimensions: Mapping[str, str] | None = None,
    more: Mapping[str, Measure] | None = None,
    **measures: Measure,
) -> MetricEvent:
    """
    Return a valid metric event; `more` are measures too.
    """
    metadata = {"tenant_id": tenant, "event_id": event_id, **(dimensions or {})}
    return MetricEvent(metric, metadata, {"event_time": stamp(time), **measures, **(more or {})})


def lines(events: Sequence[MetricEvent]) -> bytes:
    """
    Return events as a lake object holds them.
    """
    return b"".join(msgspec.json.encode(one) + b"\n" for one in events)


def counts(events: Sequence[MetricEvent]) -> Counts:
    """
    Return what a manifest counts of events.
    """
    return Counter((one.metadata["tenant_id"], one.metric_name) for one in events)


def fates(outcome: Outcome) -> dict[str, int]:
    """
    Return how many metric events met each fate, without the fates of none.
    """
    totals = {fate: sum(found.values()) for fate, found in outcome.fates.items()}
    return {fate: total for fate, total in totals.items() if total}


@dataclass
class Shelf:
    """
    A store below a folder, with a number for the next lake object.
    """

    folder: Path
    tiers: Tiers = TIERS
    engine: Engine = field(init=False)
    catalogue: Catalogue = field(init=False)
    sets: RollupSets = field(init=False)
    loader: Loader = field(init=False)
    rollups: Rollups = field(init=False)
    number: int = 0
    least: int = 0
    grains: tuple[Grain, ...] = (Grain.QUARTER,)

    def __post_init__(self) -> None:
        """
        Open the store.
        """
        self.open()

    def open(self) -> None:
        """
        Open the store's folder, as a server does at its start.
        """
        self.engine = Engine(self.folder)
        try:
            prepare(self.engine, self.tiers, datetime.now(UTC))
        except MetriclakeError:
            self.engine.close()
            raise
        self.begin()

    def begin(self) -> None:
        """
        Begin with what the store has, as another process does.
        """
        self.catalogue = Catalogue(self.engine)
        self.sets = RollupSets(self.engine, lambda: self.least, self.grains)
        self.loader = Loader(self.engine, self.catalogue, self.tiers, self.sets)
        self.rollups = Rollups(self.engine, self.catalogue, self.sets, lambda: self.tiers)

    def reopen(self) -> None:
        """
        Close the store and open it again.
        """
        self.engine.close()
        self.open()

    def retain(self, tiers: Tiers) -> None:
        """
        Let rows stay otherwise, as a server does whose file has changed, and wait until the engine has seen to it.
        """
        self.tiers = tiers
        self.loader.retain(tiers, datetime.now(UTC))
        self.settle()

    def settle(self) -> None:
        """
        Wait until no change of the rows goes on in the background.
        """
        sql = "SELECT latest_fail_reason FROM system.mutations WHERE database = 'metriclake' AND NOT is_done"
        until(lambda: not self.engine.rows(sql))

    def volumes(self) -> dict[str, str]:
        """
        Return the volume of each row, by event id.
        """
        sql = (
            "SELECT event_id, disk_name FROM metriclake.metrics AS m INNER JOIN system.parts AS p ON m._part = p.name"
            " WHERE p.database = 'metriclake' AND p.table = 'metrics' AND p.active"
        )
        return dict(self.engine.rows(sql))

    def load(
        self, *events: MetricEvent, integers: Mapping[str, list[str]] | None = None, now: datetime = NOW
    ) -> Outcome:
        """
        Load events as the next lake object.
        """
        self.number += 1
        return self.again(*events, integers=integers, now=now)

    def again(
        self, *events: MetricEvent, integers: Mapping[str, list[str]] | None = None, now: datetime = NOW
    ) -> Outcome:
        """
        Load events as the lake object that came last, as after a crash.
        """
        return self.loader.load(self.number, VERSION, lines(events), counts(events), integers or {}, now)

    def reader(self, tenant: str) -> TenantReader:
        """
        Return a tenant's reader.
        """
        return TenantReader(self.engine, self.catalogue, tenant, tiers=self.tiers)

    def rolled_reader(self, tenant: str) -> TenantReader:
        """
        Return a tenant's reader that knows of rollups.
        """
        return TenantReader(self.engine, self.catalogue, tenant, tiers=self.tiers, sets=self.sets)

    def value(self, tenant: str, aggregate: str, measure: str | None = None, metric: str = "uploads") -> object:
        """
        Return one aggregate of all that a tenant has of a metric, of the measure's numbers.
        """
        found = None
        if measure is not None:
            found = Named(measure, self.reader(tenant).metrics()[metric].measures[measure])
        start, end = datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
        selection = Selection(metric, Aggregate(aggregate), start, end, found)
        value: object = self.reader(tenant).select(selection).rows[0][-1]
        return value

    def rows(self, tenant: str, columns: str = "event_id") -> list[tuple[object, ...]]:
        """
        Return what the table holds of a tenant, in the order of its event ids.
        """
        sql = f"SELECT {columns} FROM metriclake.metrics WHERE tenant = {{tenant:String}} ORDER BY event_id"  # noqa: S608 - columns of the tests' own
        return [tuple(row) for row in self.engine.rows(sql, {"tenant": tenant})]
