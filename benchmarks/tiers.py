"""
Measure what tiers cost: lengths of tenants' own, very many tenants, and changes while rows are there.

In one run: loads of objects with live times, where no tenant, 5,000 and 100,000 tenants have lengths of their own; a
store with an event of each of 100,000 tenants, and a question of one of them; how long it takes until another retention
of one tenant, and of all, holds for the rows that are there. docs/decisions/0015-tiers.md tells what came of it.
"""

from __future__ import annotations

import argparse
import json
import operator
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from metriclake._config import ROLLUP_FROM
from metriclake.store import (
    Aggregate,
    Arrival,
    Catalogue,
    Engine,
    Loader,
    Measure,
    RollupSets,
    Selection,
    TenantReader,
    prepare,
)
from metriclake.tiers import Stay, Tiers

OBJECT_ROWS = 12_000
OBJECTS = 6
METRICS = 20
QUESTIONS = 40
USUAL = Tiers(timedelta(days=14), timedelta(days=365))


class Store:
    """
    A store with a number for its next object; its events have the last minutes' times unless they are older.
    """

    def __init__(self, folder: Path, tiers: Tiers = USUAL) -> None:
        """
        Open the store.
        """
        self.now = datetime.now(UTC)
        self.engine = Engine(folder)
        prepare(self.engine, tiers, self.now)
        self.catalogue = Catalogue(self.engine)
        self.loader = Loader(self.engine, self.catalogue, tiers, RollupSets(self.engine, lambda: ROLLUP_FROM))
        self.number = 0

    def load(
        self, rows: int, tenant: Callable[[int], int], age: timedelta = timedelta(minutes=5)
    ) -> tuple[float, float]:
        """
        Load an object of so many rows, of the tenants that `tenant` gives their numbers; returns seconds and CPU's.
        """
        self.number += 1
        random = Random(self.number)  # noqa: S311 - made-up data, the same each run
        made, counts = [], Counter[tuple[str, str]]()
        for row in range(rows):
            tenant_id, metric = f"tenant-{tenant(row)}", f"metric_{random.randrange(METRICS)}"
            moment = self.now - random.random() * age
            metadata = {"tenant_id": tenant_id, "event_id": f"{random.getrandbits(128):032x}", "kind": "abcd"[row % 4]}
            text = moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
            data = {"event_time": text, "size": random.random(), "count": float(row)}
            made.append(msgspec.json.encode({"metric_name": metric, "metadata": metadata, "data": data}) + b"\n")
            counts[tenant_id, metric] += 1
        arrival = Arrival(self.number, 1, b"".join(made), counts)
        began, used = time.perf_counter(), time.process_time()
        self.loader.load_all([arrival], self.now)
        return time.perf_counter() - began, time.process_time() - used

    def changed(self, tiers: Tiers) -> dict[str, float]:
        """
        Let rows stay otherwise; returns the seconds until the next load may come, and until it holds for all rows.
        """
        began, used = time.perf_counter(), time.process_time()
        self.loader.retain(tiers, datetime.now(UTC))
        free = time.perf_counter() - began
        while self.engine.rows("SELECT count() FROM system.mutations WHERE NOT is_done")[0][0]:
            time.sleep(0.02)
        seconds = {"until_loads_go_on": free, "until_it_holds": time.perf_counter() - began}
        return {name: round(value, 3) for name, value in {**seconds, "cpu": time.process_time() - used}.items()}

    def ask(self, tenant_id: str) -> float:
        """
        Return the median milliseconds of a question: a month of one of a tenant's metrics, added up.
        """
        reader = TenantReader(self.engine, self.catalogue, tenant_id, tiers=self.loader.tiers)
        start, size = self.now - timedelta(days=30), Measure("size", ("double",))
        selection = Selection(next(iter(reader.metrics())), Aggregate.SUM, start, self.now, size)
        taken = []
        for _ in range(QUESTIONS):
            began = time.perf_counter()
            reader.select(selection)
            taken.append(time.perf_counter() - began)
        return round(statistics.median(taken) * 1000, 1)

    def facts(self) -> dict[str, float]:
        """
        Return what the table of rows is made of.
        """
        (definition,) = self.engine.rows("SHOW CREATE TABLE metriclake.metrics")[0]
        parts, size = self.engine.rows(
            "SELECT count(), sum(bytes_on_disk) / sum(rows) FROM system.parts WHERE active AND table = 'metrics'"
        )[0]
        return {"definition_bytes": len(definition), "parts": parts, "bytes_a_row": round(size, 1)}


def with_own(tenants: int) -> Tiers:
    """
    Return tiers in which so many tenants have a retention of their own.
    """
    own = {f"tenant-{number}": Stay(retention=timedelta(days=400 + number % 5)) for number in range(tenants)}
    return Tiers(USUAL.hot, USUAL.retention, tenants=own)


def loads(folder: Path) -> dict[str, Any]:
    """
    Load objects of 200 tenants, of which none, all, and all of very many have lengths of their own.
    """
    found = {}
    for tenants in (0, 5_000, 100_000):
        store = Store(folder / str(tenants), with_own(tenants))
        taken = [store.load(OBJECT_ROWS, lambda row: row * 7919 % 200) for _ in range(OBJECTS)]
        seconds, used = (round(statistics.median(column) * 1000) for column in zip(*taken, strict=True))
        found[f"{tenants} of their own"] = {"object_ms": seconds, "object_cpu_ms": used, **store.facts()}
        store.engine.close()
    return found


def many(folder: Path, tenants: int) -> dict[str, Any]:
    """
    Load an event of each of very many tenants, and ask one.
    """
    store = Store(folder)
    taken = 0.0
    for first in range(0, tenants, OBJECT_ROWS):
        taken += store.load(min(OBJECT_ROWS, tenants - first), partial(operator.add, first))[0]
    asked = store.ask(f"tenant-{tenants // 2}")
    found = {"rows_per_second": round(tenants / taken), "question_ms": asked, **store.facts()}
    store.engine.close()
    return found


def changes(folder: Path, rows: int) -> dict[str, Any]:
    """
    Change the retention of one tenant, and of all, of a store of 200 tenants with 90 days of rows.
    """
    store = Store(folder)
    for _ in range(0, rows, OBJECT_ROWS):
        store.load(OBJECT_ROWS, lambda row: row * 7919 % 200, timedelta(days=90))
    one = {"tenant-7": Stay(retention=timedelta(days=700))}
    found = {
        "one tenant": store.changed(Tiers(USUAL.hot, USUAL.retention, tenants=one)),
        "the same again": store.changed(Tiers(USUAL.hot, USUAL.retention, tenants=one)),
        "all": store.changed(Tiers(USUAL.hot, timedelta(days=60), tenants=one)),
    }
    store.engine.close()
    return found


def main() -> None:
    """
    Measure, print, and write the figures as JSON.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tenants", type=int, default=100_000)
    parser.add_argument("--rows", type=int, default=480_000)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/tiers.json"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="metriclake-tiers-") as name:
        folder = Path(name)
        figures = {
            "loads": loads(folder / "loads"),
            f"{given.tenants} tenants": many(folder / "many", given.tenants),
            f"changes, {given.rows} rows": changes(folder / "changes", given.rows),
        }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
