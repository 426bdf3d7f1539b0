"""
Measure exports end to end: rows a second over HTTP, what the server's memory grows by, and the time to the first byte.

One tenant has all rows but for a tenth, which nine others share. Each format is exported over a real server, which is
new for each, of ranges of a hundredth, a tenth and all of the rows: its peak of memory should not depend on them.
Figures of one run on one machine: compare ratios, not runs.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from metriclake._config import DataDirectory, environment
from metriclake.app import running
from metriclake.store import Catalogue, Engine, aging, prepare
from metriclake.store.catalogue import ATTRIBUTE, DIMENSION, MEASURE, TEXT, Field
from metriclake.tiers import Tiers
from metriclake.tokens import load_keys, mint_tenant

DAYS = 300
TENANT = "tenant-0"
FORMATS = ("csv", "ndjson", "parquet", "arrow")
_START = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=DAYS)
_TIERS = Tiers(timedelta(days=14), timedelta(days=365))
_FIELDS = (
    Field("uploads", DIMENSION, "repo", TEXT),
    Field("uploads", DIMENSION, "severity", TEXT),
    Field("uploads", MEASURE, "seconds", "double"),
    Field("uploads", MEASURE, "size", "double"),
    Field("uploads", MEASURE, "count", "integer"),
    Field("uploads", MEASURE, "title", "string"),
    Field("uploads", ATTRIBUTE, "tenant_name", TEXT),
)


def fill(data: DataDirectory, rows: int) -> None:
    """
    Put rows into the store of a data directory, without the way through the journal.
    """
    engine = Engine(data.store)
    prepare(engine, _TIERS, datetime.now(UTC))
    catalogue = Catalogue(engine)
    catalogue.learn(_FIELDS)
    catalogue.note([(_FIELDS, [f"tenant-{index}" for index in range(10)])])
    tenant = "concat('tenant-', toString(if(number % 10 = 9, 1 + intDiv(number, 10) % 9, 0)))"
    micros = DAYS * 86_400_000_000 / rows
    moment = f"toDateTime64('{_START:%Y-%m-%d}', 6, 'UTC') + toIntervalMicrosecond(toInt64(number * {micros}))"
    ages = aging.ages(str(14 * 86_400), str(365 * 86_400), moment, datetime.now(UTC))
    engine.command(
        "INSERT INTO metriclake.metrics"
        f" (tenant, metric, time, event_id, object, version, {', '.join(ages)},"
        "  d0, d1, f0, f1, i0, strings, attributes)"
        f" SELECT {tenant}, 'uploads', {moment}, concat('e', toString(cityHash64(number))), 0, 1,"
        f" {', '.join(ages.values())},"
        " concat('repo-', toString(number % 50)), ['low', 'high', 'critical'][number % 3 + 1],"
        " if(number % 5 = 0, NULL, number * 1.5), number / 7, number,"
        " map('title', concat('Title of ', toString(number % 1000))), map('tenant_name', 'Acme Inc.')"
        f" FROM numbers({int(rows)})",
        {"max_partitions_per_insert_block": 0},
    )
    engine.command(
        "INSERT INTO metriclake.activity SELECT tenant, metric, min(time), max(time) FROM metriclake.metrics"
        " GROUP BY tenant, metric"
    )
    engine.close()


@contextmanager
def served(folder: Path, data: DataDirectory) -> Iterator[tuple[str, int]]:
    """
    Serve the data directory; yields the URL and the process's id.
    """
    (folder / "metriclake.yaml").write_text("store: {retention: 20000d}\nmetrics: {}\n", encoding="utf-8")
    command = [sys.executable, "-m", "metriclake", "up", "--port", "0", "--data", str(data.root)]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen([*command, "-c", str(folder / "metriclake.yaml")], stderr=log)
        try:
            while (found := running(data)) is None:
                time.sleep(0.05)
            while True:
                try:
                    httpx.get(f"{found['url']}/healthz").raise_for_status()
                    break
                except httpx.HTTPError:
                    time.sleep(0.05)
            yield str(found["url"]), process.pid
        finally:
            process.terminate()
            process.wait()


def memory(pid: int, what: str) -> int:
    """
    Return megabytes of a process's memory: VmRSS now, or VmHWM, its peak.
    """
    text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    found = re.search(rf"{what}:\s+(\d+) kB", text)
    return int(found[1]) // 1024 if found else 0


def measure(url: str, pid: int, token: str, form: str, until: datetime) -> dict[str, Any]:
    """
    Export once, as fast as it comes; the peak of memory is of this export alone.
    """
    Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")
    before = memory(pid, "VmRSS")
    began = time.perf_counter()
    size, first = 0, 0.0
    params = {"format": form, "from": _START.isoformat(), "to": until.isoformat()}
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.stream("GET", f"{url}/v1/export", params=params, headers=headers, timeout=60) as answer:
        for part in answer.iter_raw():
            first = first or time.perf_counter() - began
            size += len(part)
        rows = int(answer.raise_for_status().headers["X-Rows"])
    seconds = time.perf_counter() - began
    return {
        "format": form,
        "rows": rows,
        "rows_per_second": round(rows / seconds),
        "bytes_per_row": round(size / rows, 1),
        "first_byte_ms": round(first * 1000),
        "megabytes_before": before,
        "megabytes_peak": memory(pid, "VmHWM"),
    }


def main() -> None:
    """
    Fill, serve, export, print.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--formats", default=",".join(FORMATS))
    parser.add_argument("--folder", type=Path, default=None, help="where the store stays, for another run")
    parser.add_argument("--fill", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.fill:
        fill(DataDirectory(asked.folder / "data"), asked.rows)
        return
    with tempfile.TemporaryDirectory() as passing:
        folder = asked.folder or Path(passing)
        data = DataDirectory(folder / "data")
        if not data.store.exists():
            data.store.mkdir(parents=True)
            itself = [sys.executable, __file__, "--fill", "--folder", str(folder), "--rows", str(asked.rows)]
            subprocess.run(itself, check=True)  # a process has one engine, and the server is to have it next
        for form in asked.formats.split(","):
            with served(folder, data) as (url, pid):
                key = load_keys(data.keys, environment()).signing
                for share in (0.01, 0.1, 1.0, 1.0):
                    token = mint_tenant(key, TENANT, now=datetime.now(UTC))
                    end = _START + timedelta(days=DAYS * share)
                    print(json.dumps(measure(url, pid, token, form, end)), flush=True)


if __name__ == "__main__":
    main()
