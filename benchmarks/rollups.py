"""
Measure rollups: charts of the busiest tenant, from the rows and from rollups, and what the rollups cost.

The rows of `questions.py` (20 million, 10,000 tenants, 20 metrics, 90 days), with rollups over nothing, over severity
and over region. Each question is asked of each metric up to a moment within a bucket, while the last objects are beyond
the checkpoints, as in a server at work. Figures of one run on one machine: compare ratios, not runs.
docs/decisions/0018-rollups.md tells what came of it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from questions import DAYS, METRICS, fill, percentiles, tenant_of

from metriclake._config import ROLLUP_FROM, DataDirectory
from metriclake.store import (
    Aggregate,
    Answer,
    Bucket,
    Catalogue,
    Condition,
    Dimension,
    Engine,
    Measure,
    Operator,
    Rollups,
    RollupSets,
    Selection,
    TenantReader,
)
from metriclake.tiers import Tiers

SETS = ((), ("severity",), ("region",))
TIERS = Tiers(timedelta(days=14), timedelta(days=365))
_TIMES = 2
_DURATION, _SIZE = Measure("duration", ("double",)), Measure("size", ("integer",))


def questions(now: datetime) -> dict[str, Selection]:
    """
    Return what is asked, of a metric without a name.
    """
    end = now - timedelta(minutes=7)

    def over(days: int, bucket: Bucket, **parts: Any) -> Selection:
        given = {"aggregate": Aggregate.SUM, "value": _DURATION, "bucket": bucket, "end": end, **parts}
        return Selection(**{"metric": "", "start": end - timedelta(days=days), **given})

    high = (Condition(Dimension("severity"), Operator.IN, ("high", "critical")),)
    by_severity = {"group_by": ("severity",)}
    return {
        "a day by hour and severity": over(1, Bucket.HOUR, **by_severity),
        "a year by month": over(365, Bucket.MONTH),
        "a year by month and severity": over(365, Bucket.MONTH, **by_severity),
        "a year by month and severity, Berlin": over(365, Bucket.MONTH, zone="Europe/Berlin", **by_severity),
        "90 days by day and severity": over(DAYS, Bucket.DAY, **by_severity),
        "90 days by day and severity, Berlin": over(DAYS, Bucket.DAY, zone="Europe/Berlin", **by_severity),
        "90 days by day and severity, Kolkata": over(DAYS, Bucket.DAY, zone="Asia/Kolkata", **by_severity),
        "90 days by day and region": over(DAYS, Bucket.DAY, group_by=("region",)),
        "90 days by day, filtered": over(DAYS, Bucket.DAY, conditions=high),
        "90 days by day, last": over(DAYS, Bucket.DAY, aggregate=Aggregate.LAST, value=_SIZE),
        "30 days by day and severity": over(30, Bucket.DAY, **by_severity),
        "90 days by day, 95th percentile": over(DAYS, Bucket.DAY, aggregate=Aggregate.P95),
    }


def timed(reader: TenantReader, selection: Selection) -> tuple[dict[str, float], Answer]:
    """
    Return what answers take, of every metric, and the last of them.
    """
    asked = [replace(selection, metric=f"metric_{number % METRICS}") for number in range(METRICS * _TIMES)]
    answer, times = reader.select(asked[0]), []
    for one in asked:
        began = time.perf_counter()
        answer = reader.select(one)
        times.append(time.perf_counter() - began)
    return percentiles(times), answer


def compare(engine: Engine, catalogue: Catalogue, sets: RollupSets, now: datetime) -> Iterator[dict[str, Any]]:
    """
    Ask each question of the rows and of the rollups, for the busiest tenant and one of the middle.
    """
    for rank in (1, 100):
        for name, selection in questions(now).items():
            raw, wanted = timed(TenantReader(engine, catalogue, tenant_of(rank), tiers=TIERS), selection)
            rolled, answer = timed(TenantReader(engine, catalogue, tenant_of(rank), tiers=TIERS, sets=sets), selection)
            if [row[:-1] for row in wanted.rows] != [row[:-1] for row in answer.rows]:
                raise SystemExit(f"the answers to {name} differ")
            found = {"rank": rank, "question": name, "rollup": answer.rolled, "rows": raw, "rolled": rolled}
            print(found, flush=True)
            yield found


def built(engine: Engine, catalogue: Catalogue, sets: RollupSets) -> dict[str, Any]:
    """
    Build the rollups of all but the last object; returns what they took.
    """
    sets.declare({f"metric_{number}": SETS for number in range(METRICS)})
    rollups = Rollups(engine, catalogue, sets, lambda: TIERS)
    last = engine.rows("SELECT max(object) FROM metriclake.metrics")[0][0]
    with sets.loading(last, last):
        began, cpu = time.perf_counter(), time.process_time()
        rollups.catch_up()
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    sizes = dict(
        engine.rows(
            "SELECT table, sum(bytes_on_disk) FROM system.parts WHERE active AND table IN ('metrics', 'rollups')"
            " GROUP BY table"
        )
    )
    rows = engine.rows("SELECT uniqExact(set), uniqExact(tenant), count() FROM metriclake.rollups")[0]
    told = dict(zip(("sets", "tenants", "rollup_rows"), rows, strict=True))
    return {"build_seconds": round(seconds, 1), "build_cpu_seconds": round(cpu, 1), **told, "bytes": sizes}


def main(arguments: argparse.Namespace) -> Mapping[str, Any]:
    """
    Fill, build, compare.
    """
    with tempfile.TemporaryDirectory(prefix="metriclake-bench-") as folder:
        data = DataDirectory(arguments.store or Path(folder) / "data")
        noted = data.root / "filled.json"
        if not noted.exists():
            now = datetime.now(UTC)
            filled = fill(data, arguments.rows, now)
            noted.write_text(json.dumps({**filled, "now": now.isoformat()}), encoding="utf-8")
        filled = json.loads(noted.read_text(encoding="utf-8"))
        engine = Engine(data.store)
        try:
            catalogue = Catalogue(engine)
            sets = RollupSets(engine, lambda: arguments.rollup_from)
            cost = built(engine, catalogue, sets)
            print(cost, flush=True)
            found = list(compare(engine, catalogue, sets, datetime.fromisoformat(filled["now"])))
            return {"filled": filled, "rollup_from": arguments.rollup_from, **cost, "questions": found}
        finally:
            engine.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--rollup-from", type=int, default=ROLLUP_FROM)
    parser.add_argument("--store", type=Path, help="keep the store in this folder, or use the one that is there")
    figures = main(parser.parse_args())
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    (results / "rollups.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
