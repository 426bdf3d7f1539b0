"""
Measure the main job on one machine: events over HTTP until the last one is queryable.

300,000 events of 440 bytes in NDJSON requests of 1,000, 20 rules, client included; the cost of an event against a bare
msgspec decode and encode in the same run; accepted to visible with a buffer of 1 s; peak memory; bytes a stored row.
Figures of one run on one machine: compare ratios, not runs.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import signal
import sqlite3
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import httpx
import msgspec

from metriclake._config import DataDirectory, environment
from metriclake.store import Engine
from metriclake.tokens import load_keys, mint_tenant

EVENT_BYTES = 440
PER_REQUEST = 1000
RULES = 20
TENANTS = 50
AT_ONCE = 4
_SEVERITIES = ("low", "medium", "high", "critical")


@dataclass(frozen=True, slots=True)
class Running:
    """
    A server under measurement.
    """

    client: httpx.AsyncClient
    process: asyncio.subprocess.Process
    data: DataDirectory
    started: float

    async def status(self) -> dict[str, Any]:
        """
        Return the server's status.
        """
        key = load_keys(self.data.keys, environment()).admin
        answer = await self.client.get("/v1/admin/status", headers={"Authorization": f"Bearer {key}"})
        found: dict[str, Any] = answer.json()
        return found


def pipeline_text() -> str:
    """
    Return a pipeline file of 20 rules, each for another detail-type.
    """
    lines = ["stream: {buffer: {seconds: 1, megabytes: 5}}", "metrics:"]
    for number in range(RULES):
        lines += [
            f"  metric_{number}:",
            "    bus: bench",
            f"    pattern: {{source: [bench], detail-type: [thing-{number}]}}",
            "    metadata: {tenant_id: $.detail.tenant_id, severity: $.detail.severity, region: $.detail.region}",
            "    data: {event_time: $.time, duration: $.detail.duration, size: {path: $.detail.size, type: integer}}",
        ]
    return "\n".join(lines) + "\n"


def event(random: Random, moment: datetime) -> bytes:
    """
    Return one event of 440 bytes.
    """
    made = {
        "id": str(uuid.UUID(int=random.getrandbits(128), version=4)),
        "source": "bench",
        "detail-type": f"thing-{random.randrange(RULES)}",
        "bus": "bench",
        "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "detail": {
            "tenant_id": f"tenant-{random.randrange(TENANTS)}",
            "severity": random.choice(_SEVERITIES),
            "region": f"region-{random.randrange(8)}",
            "duration": round(random.random() * 1000, 2),
            "size": random.randrange(100_000),
            "text": "",
        },
    }
    room = EVENT_BYTES - len(msgspec.json.encode(made))
    made["detail"]["text"] = f"{random.getrandbits(4 * room):0{room}x}"[:room]  # type: ignore[index] # a dict, above
    return msgspec.json.encode(made)


def requests(count: int) -> list[bytes]:
    """
    Return the bodies of `count` events, with times over the last hour.
    """
    random = Random(1)  # noqa: S311 - made-up data, the same each run
    now = datetime.now(UTC)
    lines = [event(random, now - timedelta(seconds=random.random() * 3600)) for _ in range(count)]
    return [b"\n".join(lines[start : start + PER_REQUEST]) for start in range(0, count, PER_REQUEST)]


def bare_loop(bodies: list[bytes]) -> float:
    """
    Return the microseconds that a msgspec decode and encode of an event takes, with nothing else.
    """
    lines = [line for body in bodies[:20] for line in body.splitlines()]
    decode, encode = msgspec.json.Decoder().decode, msgspec.json.Encoder().encode
    runs = []
    for _ in range(5):
        began = time.perf_counter()
        for line in lines:
            encode(decode(line))
        runs.append((time.perf_counter() - began) / len(lines) * 1e6)
    return statistics.median(runs)


@contextlib.asynccontextmanager
async def serving(folder: Path, settings: str = "") -> AsyncIterator[Running]:
    """
    Run `metriclake up` on a free port; `settings` are lines of the pipeline file beside those of the metrics.
    """
    (folder / "metriclake.yaml").write_text(pipeline_text() + settings, encoding="utf-8")
    data = DataDirectory(folder / "data")
    command = [sys.executable, "-c", "from metriclake.cli import main; main()", "up", "--port", "0"]
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *command, "-c", str(folder / "metriclake.yaml"), "--data", str(data.root), stderr=log
        )
    try:
        url = await _url(data, process)
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            yield Running(client, process, data, time.time())
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            await process.wait()


async def _url(data: DataDirectory, process: asyncio.subprocess.Process) -> str:
    for _ in range(600):
        if process.returncode is not None:
            break
        if data.lock.exists() and data.lock.stat().st_size:
            url = str(json.loads(data.lock.read_text(encoding="utf-8"))["url"])
            try:
                async with httpx.AsyncClient() as client:
                    if (await client.get(f"{url}/healthz")).is_success:
                        return url
            except httpx.HTTPError:
                pass
        await asyncio.sleep(0.05)
    message = "the server did not start"
    raise SystemExit(message)


async def throughput(running: Running, bodies: list[bytes]) -> dict[str, float]:
    """
    Post every body, and wait until the last event is in the store.
    """
    key = load_keys(running.data.keys, environment()).ingest
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/x-ndjson"}
    gate = asyncio.Semaphore(AT_ONCE)
    count = sum(body.count(b"\n") + 1 for body in bodies)

    async def post(body: bytes) -> float:
        async with gate:
            began = time.perf_counter()
            while True:
                answer = await running.client.post("/v1/events", content=body, headers=headers)
                if answer.status_code != 429:
                    break
                await asyncio.sleep(0.1)
            answer.raise_for_status()
            return time.perf_counter() - began

    cpu, began = _cpu_seconds(running.process.pid), time.perf_counter()
    own = time.process_time()
    answers = sorted(await asyncio.gather(*map(post, bodies)))
    accepted = time.perf_counter() - began
    await asyncio.to_thread(_wait_until_stored, running.data.journal, count)
    visible = time.perf_counter() - began
    status = await running.status()
    return {
        "events": count,
        "accepted_per_second": round(count / accepted),
        "queryable_per_second": round(count / visible),
        "answer_p50_ms": round(answers[len(answers) // 2] * 1000, 1),
        "answer_p99_ms": round(answers[int(len(answers) * 0.99)] * 1000, 1),
        "server_cpu_us_per_event": round((_cpu_seconds(running.process.pid) - cpu) / count * 1e6, 2),
        "client_cpu_us_per_event": round((time.process_time() - own) / count * 1e6, 2),
        "balanced": status["balanced"],
    }


def _wait_until_stored(journal: Path, count: int) -> None:
    """
    Watch the books beside the server, so that watching costs it nothing.
    """
    stored = "SELECT sum(amount) FROM counters WHERE scope = 'store' AND counter = 'stored'"
    with contextlib.closing(sqlite3.connect(f"{journal.absolute().as_uri()}?mode=ro", uri=True)) as books:
        while books.execute(stored).fetchone()[0] != count:
            time.sleep(0.02)


async def visibility(running: Running, rounds: int) -> dict[str, float]:
    """
    Return how long a single event takes from its acceptance until a question counts it.
    """
    keys = load_keys(running.data.keys, environment())
    token = mint_tenant(keys.signing, "probe", now=datetime.now(UTC), ttl=timedelta(hours=1))
    question = {"metric": "metric_0", "aggregate": "count", "range": {"last": "1d"}}
    times = []
    for number in range(rounds):
        made = {"source": "bench", "detail-type": "thing-0", "bus": "bench", "detail": {"tenant_id": "probe"}}
        headers = {"Authorization": f"Bearer {keys.ingest}"}
        (await running.client.post("/v1/events", json=made, headers=headers)).raise_for_status()
        began = time.perf_counter()
        while True:
            answer = await running.client.post("/v1/query", json=question, headers={"Authorization": f"Bearer {token}"})
            if answer.is_success and answer.json()["rows"][0][0] == number + 1:
                break
            await asyncio.sleep(0.005)
        times.append(time.perf_counter() - began)
        await asyncio.sleep(Random(number).random())  # noqa: S311 - spreads the rounds over the buffer's second
    times.sort()
    return {
        "rounds": rounds,
        "p50_ms": round(times[len(times) // 2] * 1000),
        "p99_ms": round(times[int(len(times) * 0.99)] * 1000),
    }


def peak_mb(pid: int) -> float:
    """
    Return the most memory that a process and the one beside it have held, in MiB: the sum of their peaks.
    """
    peaks = [
        re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{each}/status").read_text(encoding="ascii")) for each in _family(pid)
    ]
    return round(sum(int(peak[1]) for peak in peaks if peak) / 1024, 1)


def row_bytes(data: DataDirectory) -> float:
    """
    Return the bytes of a stored row, merged, once the server has stopped.
    """
    engine = Engine(data.store)
    try:
        engine.command("OPTIMIZE TABLE metriclake.metrics FINAL")
        sql = "SELECT sum(bytes_on_disk) / sum(rows) FROM system.parts WHERE active AND table = 'metrics'"
        return round(float(engine.rows(sql)[0][0]), 1)
    finally:
        engine.close()


def _family(pid: int) -> list[int]:
    """
    Return a process and those that it has started.
    """
    children = Path(f"/proc/{pid}/task").glob("*/children")
    return [pid, *(int(child) for each in children for child in each.read_text(encoding="ascii").split())]


def _cpu_seconds(pid: int) -> float:
    ticks = 0
    for each in _family(pid):
        fields = Path(f"/proc/{each}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


async def measure(count: int, rounds: int, settings: str = "") -> dict[str, Any]:
    """
    Run everything once.
    """
    bodies = requests(count)
    bare = bare_loop(bodies)
    with tempfile.TemporaryDirectory(prefix="metriclake-bench-") as folder:
        async with serving(Path(folder), settings) as running:
            through = await throughput(running, bodies)
            seen = await visibility(running, rounds)
            peak = peak_mb(running.process.pid)
            data = running.data
        size = row_bytes(data)
    ratio = round(through["server_cpu_us_per_event"] / bare, 2)
    return {
        "cpus": os.cpu_count(),
        "python": sys.version.split()[0],
        "throughput": through,
        "bare_decode_encode_us": round(bare, 2),
        "cost_over_bare": ratio,
        "visible": seen,
        "peak_memory_mib": peak,
        "bytes_a_row": size,
    }


def main() -> None:
    """
    Measure, print, and write the figures as JSON.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--settings", default="", help="lines of the pipeline file, as `store: {rollup_from: 0}`")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/main_job.json"))
    given = parser.parse_args()
    figures = asyncio.run(measure(given.events, given.rounds, given.settings + "\n"))
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
