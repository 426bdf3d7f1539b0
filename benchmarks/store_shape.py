"""
Compare two shapes of the store's table that do not grow with metrics: typed slots with overflow maps, and maps alone.

Both are filled from the same objects, at 1, 20 and 1,000 metrics of 5 fields each (2 dimensions, 3 measures), in one
run: rows a second of a large load, milliseconds of a 15,000-row object, bytes a row, and a question (30 days, by day,
grouped by one dimension) of a tenant with many rows and of one with few. docs/decisions/0003-slots.md tells what came
of it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from metriclake.store import Engine
from metriclake.store.table import DIMENSION_SLOTS, DOUBLE_SLOTS, INTEGER_SLOTS

TENANTS = 200
DAYS = 60
OBJECT_ROWS = 15_000
OBJECTS = 8
QUESTIONS = 40
_KEY = "LowCardinality(String)"
_HEAD = (
    f"tenant String CODEC(ZSTD(1)), metric {_KEY} CODEC(ZSTD(1)), time DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),"
    " event_id String CODEC(ZSTD(1)), object UInt64 CODEC(Delta, ZSTD(1))"
)
_MAPS = (
    f"dimensions Map({_KEY}, String) CODEC(ZSTD(1)), doubles Map({_KEY}, Float64) CODEC(ZSTD(1)),"
    f" integers Map({_KEY}, Int64) CODEC(ZSTD(1))"
)
_TIME = "parseDateTime64BestEffortOrZero(JSONExtractString(data, 'event_time'), 6, 'UTC')"


def lines(rows: int, metrics: int, seed: int, start: datetime) -> bytes:
    """
    Return metric events of tenants of very different sizes (the first has a sixth of the rows).
    """
    random = Random(seed)  # noqa: S311 - made-up data, the same each run
    tenants = random.choices(range(TENANTS), [1 / (rank + 1) for rank in range(TENANTS)], k=rows)
    made = []
    for tenant in tenants:
        metric = min(random.randrange(metrics), random.randrange(metrics))
        moment = start + timedelta(seconds=random.random() * DAYS * 86_400)
        made.append(
            msgspec.json.encode(
                {
                    "metric_name": f"metric_{metric}",
                    "metadata": {
                        "tenant_id": f"tenant-{tenant}",
                        "event_id": f"{random.getrandbits(128):032x}",
                        "severity": random.choice(("low", "medium", "high", "critical")),
                        f"dimension_{metric}": random.choice("abcdefgh"),
                    },
                    "data": {
                        "event_time": moment.isoformat(timespec="microseconds").replace("+00:00", "Z"),
                        f"a_{metric}": float(random.randrange(100)),
                        f"b_{metric}": round(random.random() * 1000, 2),
                        f"c_{metric}": random.randrange(10_000),
                    },
                }
            )
        )
    return b"\n".join(made) + b"\n"


class Shape:
    """
    One shape of the table: how it is made, filled and asked.
    """

    def __init__(self, engine: Engine, name: str) -> None:
        """
        `name` is `slots` or `maps`.
        """
        self.engine = engine
        self.name = name
        slots = [f"d{index} {_KEY} CODEC(ZSTD(1))" for index in range(DIMENSION_SLOTS)]
        slots += [f"f{index} Nullable(Float64) CODEC(ZSTD(1))" for index in range(DOUBLE_SLOTS)]
        slots += [f"i{index} Nullable(Int64) CODEC(ZSTD(1))" for index in range(INTEGER_SLOTS)]
        columns = [_HEAD, *(slots if name == "slots" else []), _MAPS]
        engine.command(f"CREATE DATABASE {name}")
        engine.command(
            f"CREATE TABLE {name}.metrics ({', '.join(columns)}) ENGINE = MergeTree PARTITION BY toYYYYMM(time)"
            " ORDER BY (tenant, metric, time)"
        )

    def load(self, number: int) -> None:
        """
        Load what lies in `incoming`.
        """
        values = self._slots() if self.name == "slots" else self._maps()
        self.engine.command(
            f"INSERT INTO {self.name}.metrics SELECT o.metadata['tenant_id'], o.metric_name, o.time,"
            f" o.metadata['event_id'], {number}, {', '.join(values)} FROM (SELECT metric_name, metadata, time,"
            " arrayMap(f -> f.1, fields) AS names, arrayMap(f -> f.2, fields) AS texts FROM incoming) AS o"
            " LEFT JOIN shapes AS s ON s.metric = o.metric_name",
            {"precise_float_parsing": 1},
        )

    @staticmethod
    def _slots() -> list[str]:
        text = "o.texts[indexOf(o.names, s.{kind}[{slot}])]"
        empty = "map()"
        return [
            *(f"o.metadata[s.dimensions[{slot + 1}]]" for slot in range(DIMENSION_SLOTS)),
            *(f"toFloat64OrNull({text.format(kind='doubles', slot=slot + 1)})" for slot in range(DOUBLE_SLOTS)),
            *(f"toInt64OrNull({text.format(kind='integers', slot=slot + 1)})" for slot in range(INTEGER_SLOTS)),
            "mapFilter((n, v) -> n NOT IN ('tenant_id', 'event_id') AND NOT has(s.dimensions, n), o.metadata)",
            empty,
            empty,
        ]

    @staticmethod
    def _maps() -> list[str]:
        kept = "arrayFilter((t, n) -> has(s.{kind}, n), o.{what}, o.names)"
        made = "mapFromArrays({names}, arrayMap(t -> {convert}(t), {texts}))"

        def of(kind: str, convert: str) -> str:
            texts, names = kept.format(kind=kind, what="texts"), kept.format(kind=kind, what="names")
            return made.format(names=names, texts=texts, convert=convert)

        dimensions = "mapFilter((n, v) -> n NOT IN ('tenant_id', 'event_id'), o.metadata)"
        return [dimensions, of("doubles", "toFloat64"), of("integers", "toInt64")]

    def ask(self, tenant: str, start: datetime) -> float:
        """
        Return the median milliseconds of the question.
        """
        value, group = ("f0", "d0") if self.name == "slots" else ("doubles['a_0']", "dimensions['severity']")
        sql = (
            f"SELECT toStartOfDay(time, 'UTC') AS day, {group} AS dimension, sum({value}) FROM {self.name}.metrics"
            " WHERE tenant = {tenant:String} AND metric = 'metric_0' AND time >= {start:DateTime}"
            " GROUP BY 1, 2 ORDER BY 1, 2"
        )
        return median_ms(lambda: self.engine.read(sql, {"tenant": tenant, "start": start + timedelta(days=30)}, {}))

    def bytes_a_row(self) -> float:
        """
        Return the merged bytes of a row.
        """
        self.engine.command(f"OPTIMIZE TABLE {self.name}.metrics FINAL")
        sql = f"SELECT sum(bytes_on_disk) / sum(rows) FROM system.parts WHERE active AND database = '{self.name}'"
        return round(float(self.engine.rows(sql)[0][0]), 1)


def median_ms(act: Callable[[], Any], times: int = QUESTIONS) -> float:
    """
    Return the median milliseconds of an act.
    """
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        act()
        taken.append(time.perf_counter() - began)
    return round(statistics.median(taken) * 1000, 1)


def _prepare(engine: Engine, metrics: int) -> None:
    engine.command(
        "CREATE OR REPLACE TABLE incoming (metric_name String, metadata Map(String, String), data String EPHEMERAL '',"
        " fields Array(Tuple(String, String)) DEFAULT JSONExtractKeysAndValuesRaw(data),"
        f" time DateTime64(6, 'UTC') DEFAULT {_TIME})"
        " ENGINE = Memory"
    )
    engine.command(
        "CREATE OR REPLACE TABLE shapes"
        " (metric String, dimensions Array(String), doubles Array(String), integers Array(String))"
        " ENGINE = Memory"
    )
    engine.command(
        "INSERT INTO shapes SELECT concat('metric_', toString(number)),"
        " ['severity', concat('dimension_', toString(number))],"
        " [concat('a_', toString(number)), concat('b_', toString(number))], [concat('c_', toString(number))]"
        f" FROM numbers({metrics})"
    )


def compare(metrics: int, rows: int, folder: Path) -> dict[str, Any]:
    """
    Fill and ask both shapes.
    """
    engine = Engine(folder)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    _prepare(engine, metrics)
    shapes = [Shape(engine, name) for name in ("slots", "maps")]
    figures: dict[str, dict[str, Any]] = {shape.name: {"object_ms": []} for shape in shapes}
    for number in range(OBJECTS + 1):
        engine.command("TRUNCATE TABLE incoming")
        made = lines(rows if number == 0 else OBJECT_ROWS, metrics, number, start)
        engine._writer.raw_insert("incoming", ["metric_name", "metadata", "data"], made, fmt="JSONEachRow")  # noqa: SLF001
        for shape in shapes:
            began = time.perf_counter()
            shape.load(number)
            taken = time.perf_counter() - began
            if number == 0:
                figures[shape.name]["load_rows_per_second"] = round(rows / taken)
            else:
                figures[shape.name]["object_ms"].append(taken * 1000)
    for shape in shapes:
        found = figures[shape.name]
        found["object_ms"] = round(statistics.median(found["object_ms"]))
        found["bytes_a_row"] = shape.bytes_a_row()
        found["question_ms"] = {"large": shape.ask("tenant-0", start), "small": shape.ask("tenant-150", start)}
    engine.close()
    return figures


def main() -> None:
    """
    Compare, print, and write the figures as JSON.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=480_000)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/store_shape.json"))
    given = parser.parse_args()
    figures = {}
    for metrics in (1, 20, 1000):
        with tempfile.TemporaryDirectory(prefix="metriclake-shape-") as folder:
            figures[f"{metrics} metrics"] = compare(metrics, given.rows, Path(folder))
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
