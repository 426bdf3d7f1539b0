"""
Measure questions on a large store, over HTTP, while ingest goes on; beside PostgreSQL where it is installed.

20 million rows, 10,000 tenants (the n-th has 1/n of the first's rows), 20 metrics, 90 days. The question: one metric,
30 days, by day, grouped by one dimension, for the tenants of rank 1, 100 and 5,000: not asked before, asked again (also
by the server's own clock), and eight at once; and those of one tenant while sixteen heavy ones of another are asked all
the time; a year's chart from the rows and from rollups. The clients are processes of their own. Figures of one run on
one machine: compare ratios, not runs.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import csv
import json
import math
import multiprocessing
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from itertools import count
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from pathlib import Path
from random import Random
from typing import Any

import httpx
from main_job import Running, pipeline_text, requests, serving
from prometheus_client.parser import text_string_to_metric_families

from metriclake._config import JOURNAL_QUOTA_BYTES, ROLLUP_FROM, DataDirectory, environment
from metriclake.app import configure
from metriclake.journal import SqliteJournal
from metriclake.store import Catalogue, Engine, Rollups, RollupSets, aging, prepare
from metriclake.tiers import Tiers
from metriclake.tokens import load_keys, mint_tenant

METRICS = 20
TENANTS = 10_000
DAYS = 90
RANKS = (1, 100, 5000)
CHUNK = 1_000_000
_QUESTIONS = 60
_AT_ONCE = 8
_NOISE = 16
_NOISE_BEGINS_SECONDS = 2
_BESIDE = 400
_AGAIN = 10
_INGEST_SECONDS = 0.25
_INGEST_BEGINS_SECONDS = 8
_MEANWHILE = 300_000
_PORT = 54_329
_QUIET_LOOKS = 6
_LONG_AGO = """
SELECT partition_id FROM system.parts WHERE active AND database = 'metriclake' AND table = 'metrics'
GROUP BY partition_id HAVING count() > 1 AND max(max_time) < now() - INTERVAL 1 DAY
"""
"""The partitions without a row of the last day: in time the engine would have made one part of each."""
_TIERS = Tiers(timedelta(days=14), timedelta(days=365))


def tenant_of(rank: int) -> str:
    """
    Return the tenant of a rank.
    """
    return f"tenant-{rank:05d}"


def columns(random: str) -> str:
    """
    Return the expressions of a made-up row: `random` is a seed, `w` and `e` the window of its chunk in microseconds.
    """
    uniform = f"(cityHash64(number, {random}, {{}}) / 18446744073709551616.0)"
    tenant = uniform.format(1)
    return (
        f"concat('tenant-', leftPad(toString(toUInt32(exp({tenant} * log({TENANTS} + 1)))), 5, '0')) AS tenant,"
        f" concat('metric_', toString(toUInt8({uniform.format(2)} * {METRICS}))) AS metric,"
        f" fromUnixTimestamp64Micro(toInt64({{begin}} + {uniform.format(3)} * {{length}}), 'UTC') AS time,"
        f" ['low', 'medium', 'high', 'critical'][1 + toUInt8({uniform.format(4)} * 4)] AS severity,"
        f" concat('region-', toString(toUInt8({uniform.format(5)} * 8))) AS region,"
        f" round({uniform.format(6)} * 1000, 2) AS duration, toInt64({uniform.format(7)} * 100000) AS size"
    )


def fill(data: DataDirectory, rows: int, now: datetime) -> dict[str, float]:
    """
    Fill a store whose server is not running, chunk by chunk in the order of time, as a load would have.
    """
    engine = Engine(data.store)
    began = time.perf_counter()
    try:
        prepare(engine, _TIERS, now)
        ages = aging.ages(str(14 * 86_400), str(365 * 86_400), "time", now)
        fields = [
            ("region", "dimension", "string"),
            ("severity", "dimension", "string"),
            ("duration", "measure", "double"),
        ]
        fields.append(("size", "measure", "integer"))
        slots = {"region": 0, "severity": 1, "duration": 0, "size": 0}
        for number in range(METRICS):
            engine.insert(
                "slots",
                ["metric", "kind", "name", "type", "slot"],
                [(f"metric_{number}", kind, name, type_, slots[name]) for name, kind, type_ in fields],
            )
        length = DAYS * 86_400_000_000 // max(1, rows // CHUNK)
        start = int(now.timestamp() * 1_000_000) - DAYS * 86_400_000_000
        for chunk in range(max(1, rows // CHUNK)):
            made = columns(str(chunk)).format(begin=start + chunk * length, length=length)
            engine.command(
                "INSERT INTO metriclake.metrics"
                f" (tenant, metric, time, event_id, object, version, d0, d1, f0, i0, {', '.join(ages)})"
                f" SELECT tenant, metric, time, concat('{chunk}-', toString(number)), {chunk + 1}, 1, region, severity,"
                f" duration, size, {', '.join(ages.values())}"
                f" FROM (SELECT number, {made} FROM numbers({min(rows, CHUNK)}))",
                {"max_partitions_per_insert_block": 0},
            )
            print(f"\r{(chunk + 1) * min(rows, CHUNK):,} rows", end="", file=sys.stderr)
        print(file=sys.stderr)
        for name, kind, type_ in fields:
            engine.command(
                "INSERT INTO metriclake.fields SELECT DISTINCT tenant, metric,"
                f" '{kind}', '{name}', '{type_}' FROM metriclake.metrics"
            )
        engine.command(
            "INSERT INTO metriclake.activity SELECT tenant, metric, min(time), max(time) FROM metriclake.metrics"
            " GROUP BY tenant, metric"
        )
        settle(engine)
        for (partition,) in engine.rows(_LONG_AGO):
            engine.command(f"OPTIMIZE TABLE metriclake.metrics PARTITION ID '{partition}' FINAL")
        size = engine.rows("SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND table = 'metrics'")[0][0]
        return {"rows": rows, "seconds": round(time.perf_counter() - began, 1), "bytes_a_row": round(size / rows, 1)}
    finally:
        engine.close()


def settle(engine: Engine) -> None:
    """
    Wait until what was written is merged as far as it will be: a store that is filled over months has that behind it.
    """
    quiet = 0
    while quiet < _QUIET_LOOKS:
        time.sleep(0.5)
        quiet = 0 if engine.rows("SELECT count() FROM system.merges")[0][0] else quiet + 1


def number_after(data: DataDirectory, last: int) -> None:
    """
    Have the server that will be started number its objects after those that the store has been filled with.

    An object of a number that the store has already would be judged a second load of it, and fail.
    """
    SqliteJournal(data.journal, JOURNAL_QUOTA_BYTES).close()
    with contextlib.closing(sqlite3.connect(data.journal)) as journal, journal:
        journal.execute("INSERT INTO announcements VALUES (?, 'filled', '', 0, 0, 0, 1, '[]')", (last,))
        journal.execute("INSERT INTO checkpoints VALUES ('store', ?, 0)", (last,))


def build(folder: Path, data: DataDirectory, least: int) -> dict[str, Any]:
    """
    Build all rollups that the server would have built in time; returns what they took.
    """
    engine = Engine(data.store)
    began, cpu = time.perf_counter(), time.process_time()
    try:
        sets = RollupSets(engine, lambda: least)
        (folder / "metriclake.yaml").write_text(pipeline_text(), encoding="utf-8")
        sets.declare(configure(folder / "metriclake.yaml", {}).rollups)
        Rollups(engine, Catalogue(engine), sets, lambda: _TIERS).catch_up()
        settle(engine)
        engine.command("OPTIMIZE TABLE metriclake.rollups FINAL")  # as it would be a day later
        rows, tenants = engine.rows("SELECT count(), uniqExact(tenant) FROM metriclake.rollups")[0]
        size = engine.rows("SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND table = 'rollups'")[0][0]
    finally:
        engine.close()
    seconds = {"seconds": round(time.perf_counter() - began, 1), "cpu_seconds": round(time.process_time() - cpu, 1)}
    return {**seconds, "tenants": tenants, "rollup_rows": rows, "bytes": size}


def question(random: Random, now: datetime, metrics: Sequence[str]) -> dict[str, Any]:
    """
    Return one metric, 30 days that end at a moment of the last weeks, by day, grouped by one dimension.
    """
    end = now - timedelta(days=random.random() * 50, minutes=random.randrange(1440))
    return {
        "metric": random.choice(metrics),
        "measure": "duration",
        "aggregate": "sum",
        "range": {"from": (end - timedelta(days=30)).isoformat(), "to": end.isoformat()},
        "interval": "day",
        "group_by": ["severity"],
    }


def percentiles(times: list[float]) -> dict[str, float]:
    """
    Return the median and the 99th percentile of seconds, in milliseconds.
    """
    ordered = sorted(times)
    picked = {"p50_ms": len(ordered) // 2, "p99_ms": min(len(ordered) - 1, int(len(ordered) * 0.99))}
    return {name: round(ordered[place] * 1000, 1) for name, place in picked.items()}


def after(before: dict[float, float], now: dict[float, float]) -> dict[str, float]:
    """
    Return, of the answers between two looks at the server's histogram, the share within 2 ms and what bounds their p99.
    """
    grown = {seconds: count - before[seconds] for seconds, count in now.items()}
    answers = grown[math.inf]
    bound = min(seconds for seconds, count in grown.items() if count >= 0.99 * answers)
    return {"answers": answers, "share_within_2_ms": round(grown[0.002] / answers, 4), "p99_ms_at_most": bound * 1000}


class Wire:
    """
    A client over bare connections, of which there are as many as are in use at once.

    What asks has the same cores as who answers, and a whole HTTP client takes longer than a kept answer does.
    """

    def __init__(self, url: httpx.URL) -> None:
        self._host, self._port = url.host, url.port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def post(self, path: str, token: str, body: bytes) -> tuple[int, bytes]:
        """
        Return the status and the body of an answer.
        """
        reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection(self._host, self._port)
        head = f"POST {path} HTTP/1.1\r\nHost: {self._host}\r\nAuthorization: Bearer {token}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode("ascii") + body)
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
        length = next(int(line.partition(":")[2]) for line in lines if line.startswith("content-length:"))
        answer = await reader.readexactly(length)
        self._idle.append((reader, writer))
        return int(first.split()[1]), answer


class Asking:
    """
    What asks a running server.
    """

    def __init__(self, running: Running, now: datetime) -> None:
        self._client = running.client
        self._wire = Wire(running.client.base_url)
        self._signing = load_keys(running.data.keys, environment()).signing
        self._random = Random(7)  # noqa: S311 - made-up questions, the same each run
        self._now = now

    def token(self, rank: int) -> str:
        """
        Return a tenant's token.
        """
        return mint_tenant(self._signing, tenant_of(rank), now=datetime.now(UTC), ttl=timedelta(hours=12))

    async def questions(self, token: str, count: int) -> list[dict[str, Any]]:
        """
        Return questions that were not asked before, on metrics that the tenant has.
        """
        answer = await self._client.get("/v1/catalog", headers={"Authorization": f"Bearer {token}"})
        metrics = [metric["name"] for metric in answer.raise_for_status().json()["metrics"]]
        return [question(self._random, self._now, metrics) for _ in range(count)]

    async def ask(self, token: str, asked: dict[str, Any]) -> float:
        """
        Return the seconds that an answer takes.
        """
        body = json.dumps(asked).encode()
        began = time.perf_counter()
        status, answer = await self._wire.post("/v1/query", token, body)
        seconds = time.perf_counter() - began
        if status != HTTPStatus.OK:
            raise SystemExit(answer.decode())
        return seconds

    async def _server_seconds(self) -> dict[float, float]:
        """
        Return how many questions the server has answered within so many seconds, by its own histogram.
        """
        text = (await self._client.get("/metrics")).raise_for_status().text
        return {
            float(one.labels["le"]): one.value
            for family in text_string_to_metric_families(text)
            for one in family.samples
            if one.name == "metriclake_http_request_seconds_bucket" and one.labels["route"] == "/v1/query"
        }

    async def rank(self, rank: int) -> dict[str, Any]:
        """
        Ask for the tenant of a rank: questions not asked before, the same again, and eight at once.
        """
        token = self.token(rank)
        first, *fresh = await self.questions(token, _QUESTIONS + 1)
        await self.ask(token, first)
        uncached = [await self.ask(token, one) for one in fresh]
        before = await self._server_seconds()
        cached = [await self.ask(token, one) for one in fresh * _AGAIN]
        at_server = after(before, await self._server_seconds())
        gate = asyncio.Semaphore(_AT_ONCE)

        async def gated(one: dict[str, Any]) -> float:
            async with gate:
                return await self.ask(token, one)

        others = await self.questions(token, _QUESTIONS)
        began = time.perf_counter()
        at_once = await asyncio.gather(*map(gated, others))
        seconds = time.perf_counter() - began
        return {
            "uncached": percentiles(uncached),
            "cached": {**percentiles(cached), "at_server": at_server},
            "eight_at_once": {**percentiles(list(at_once)), "per_second": round(_QUESTIONS / seconds, 1)},
        }

    async def dashboard(self, rank: int, charts: int = 12) -> dict[str, Any]:
        """
        Return what a dashboard takes in one request, and chart by chart.
        """
        token = self.token(rank)
        one_request, chart_by_chart = [], []
        for _ in range(10):
            asked = {f"q{number}": one for number, one in enumerate(await self.questions(token, charts))}
            one_request.append(await self.ask(token, {"queries": asked}))
            again = await self.questions(token, charts)
            began = time.perf_counter()
            await asyncio.gather(*(self.ask(token, one) for one in again))
            chart_by_chart.append(time.perf_counter() - began)
        return {"one_request": percentiles(one_request), "a_request_a_chart": percentiles(chart_by_chart)}

    async def neighbours(self, noisy: int, quiet: int) -> dict[str, Any]:
        """
        Return what a tenant's questions take alone, and beside one of whom heavy questions are asked all the time.

        Those come from a process of their own that gives way to the others, as a client elsewhere would.
        """
        token, loud = self.token(quiet), self.token(noisy)
        (heavy,) = await self.questions(loud, 1)
        heavy |= {"aggregate": "p99", "interval": "hour", "group_by": ["severity", "region"]}

        async def quietly() -> dict[str, float]:
            asked = await self.questions(token, _BESIDE)
            return percentiles([await self.ask(token, one) for one in asked])

        alone = await quietly()
        spawn = multiprocessing.get_context("spawn")
        stop, endings = spawn.Event(), spawn.Queue()
        noise = spawn.Process(target=_noise, args=(str(self._client.base_url), loud, heavy, self._now, stop, endings))
        noise.start()
        await asyncio.sleep(_NOISE_BEGINS_SECONDS)
        beside = await quietly()
        stop.set()
        heavies = await asyncio.to_thread(endings.get)
        noise.join()
        return {"alone": alone, "beside": beside, "heavy_meanwhile": heavies}

    async def lengths(self, rank: int) -> dict[str, Any]:
        """
        Return what the chart of a day takes, by hour, and that of all the time there is, by month.
        """
        token = self.token(rank)
        found: dict[str, Any] = {}
        for name, days, interval in (("a_day", 1, "hour"), ("a_year", 365, "month")):
            times = []
            for number, one in enumerate(await self.questions(token, _QUESTIONS // 2)):
                end = self._now - timedelta(minutes=number)
                span = {"from": (end - timedelta(days=days)).isoformat(), "to": end.isoformat()}
                times.append(await self.ask(token, {**one, "range": span, "interval": interval}))
            found[name] = percentiles(times)
        return found


def _noise(
    url: str, token: str, heavy: dict[str, Any], now: datetime, stop: Event, endings: Queue[dict[int, int]]
) -> None:
    """
    Have heavy questions asked, none of them twice, until told to stop; says how many ended with which status.
    """
    os.nice(19)
    headers = {"Authorization": f"Bearer {token}"}
    numbers = count()
    ended: Counter[int] = Counter()

    async def ask(client: httpx.AsyncClient) -> None:
        while not stop.is_set():
            end = now - timedelta(seconds=next(numbers))
            span = {"from": (end - timedelta(days=DAYS)).isoformat(), "to": end.isoformat()}
            answer = await client.post("/v1/query", json={**heavy, "range": span}, headers=headers)
            ended[answer.status_code] += 1

    async def work() -> None:
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            await asyncio.gather(*(ask(client) for _ in range(_NOISE)))

    asyncio.run(work())
    endings.put(dict(ended))


def _ingest(url: str, key: str, stop: Event, sent: Queue[int]) -> None:
    """
    Send a thousand events every quarter of a second until told to stop, and say how many were accepted.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    bodies = requests(_MEANWHILE)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/x-ndjson"}
    accepted = 0
    with httpx.Client(base_url=url, timeout=60) as client:
        due = time.monotonic()
        for number in count():
            body = bodies[number % len(bodies)].replace(b'"id":"', b'"id":"%d-' % (number // len(bodies)))
            accepted += client.post("/v1/events", content=body, headers=headers).raise_for_status().json()["accepted"]
            due = max(due + _INGEST_SECONDS, time.monotonic())
            if stop.wait(max(0.0, due - time.monotonic())):
                break
    sent.put(accepted)


@contextlib.asynccontextmanager
async def ingesting(running: Running) -> AsyncIterator[dict[str, Any]]:
    """
    Have events come in meanwhile, from a process of its own; what became of them is in the dict afterwards.
    """
    spawn = multiprocessing.get_context("spawn")
    stop, sent = spawn.Event(), spawn.Queue()
    key = load_keys(running.data.keys, environment()).ingest
    sender = spawn.Process(target=_ingest, args=(str(running.client.base_url), key, stop, sent))
    began, found = time.monotonic(), dict[str, Any]()
    sender.start()
    try:
        await asyncio.sleep(_INGEST_BEGINS_SECONDS)
        yield found
    finally:
        stop.set()
        if sender.is_alive():
            found["accepted"] = await asyncio.to_thread(sent.get)
        sender.join()
    found["seconds"] = round(time.monotonic() - began)
    if "metriclake_stages_failing 0.0" not in (await running.client.get("/metrics")).text:
        raise SystemExit("a stage of the server fails: these figures are not of a server at work")


async def measure(folder: Path, now: datetime, settings: str) -> dict[str, Any]:
    """
    Serve the filled store, and ask while events come in.
    """
    async with serving(folder, settings) as running:
        asking = Asking(running, now)
        async with ingesting(running) as sent:
            found: dict[str, Any] = {f"rank_{rank}": await asking.rank(rank) for rank in RANKS}
            found["neighbours"] = await asking.neighbours(RANKS[0], RANKS[1])
            found["lengths"] = await asking.lengths(1)
            found["dashboard_of_12"] = await asking.dashboard(100)
        return {**found, "ingested_meanwhile": sent}


async def from_rows(folder: Path, now: datetime, settings: str) -> dict[str, Any]:
    """
    Serve the filled store before there are rollups, and ask for charts of a day and of a year.
    """
    async with serving(folder, settings) as running, ingesting(running):
        return await Asking(running, now).lengths(1)


@contextlib.contextmanager
def postgres(folder: Path) -> Iterator[list[str] | None]:
    """
    Run a PostgreSQL of its own on loopback; yields the arguments of its clients, or None where it is not installed.
    """
    if not all(shutil.which(name) for name in ("initdb", "pg_ctl", "psql", "pgbench")):
        yield None
        return
    place = folder / "postgres"
    place.mkdir(mode=0o700)
    who: dict[str, Any] = {}
    if os.geteuid() == 0:  # PostgreSQL does not run as root
        shutil.chown(place, "postgres")
        folder.chmod(0o755)
        who["user"] = "postgres"

    def run(*command: str) -> None:
        subprocess.run(command, check=True, capture_output=True, **who)

    run("initdb", "-D", str(place / "db"), "-U", "bench", "--auth=trust", "--no-sync")
    options = f"-p {_PORT} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c shared_buffers=1GB"
    run("pg_ctl", "-D", str(place / "db"), "-w", "-o", options, "-l", str(place / "log"), "start")
    try:
        yield ["-h", "127.0.0.1", "-p", str(_PORT), "-U", "bench"]
    finally:
        run("pg_ctl", "-D", str(place / "db"), "-w", "-m", "immediate", "stop")


_TABLE = """
CREATE TABLE rows (tenant text NOT NULL, metric text NOT NULL, time timestamptz NOT NULL, severity text, region text,
  duration double precision, size bigint);
"""
_FENCED = """
CREATE INDEX rows_of ON rows (tenant, metric, time);
ALTER TABLE rows ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON rows USING (tenant = current_setting('app.tenant'));
CREATE ROLE tenant LOGIN; GRANT SELECT ON rows TO tenant;
VACUUM ANALYZE rows;
"""
_SCRIPT = """\\set metric random(0, {last})
\\set back random(0, 72000)
SET app.tenant = '{tenant}';
SELECT date_trunc('day', time), severity, sum(duration) FROM rows WHERE tenant = '{tenant}'
 AND metric = 'metric_' || :metric AND time >= timestamptz '{now}' - interval '30 days' - :back * interval '1 minute'
 AND time < timestamptz '{now}' - :back * interval '1 minute' GROUP BY 1, 2 ORDER BY 1, 2;
"""


def beside(data: DataDirectory, folder: Path, rows: int, now: datetime) -> dict[str, Any] | str:
    """
    Ask the same of PostgreSQL: the same rows, an index on tenant, metric and time, row-level security.
    """
    with postgres(folder) as arguments:
        if arguments is None:
            return "PostgreSQL is not installed: nothing to compare with"
        psql = ["psql", *arguments, "-d", "postgres", "-q", "-v", "ON_ERROR_STOP=1"]
        subprocess.run([*psql, "-c", _TABLE], check=True)
        began = time.perf_counter()
        _copy(data, [*psql, "-c", "COPY rows FROM STDIN WITH (FORMAT csv)"])
        for statement in _FENCED.strip().split(";\n"):
            subprocess.run([*psql, "-c", statement], check=True)
        found: dict[str, Any] = {"load_seconds": round(time.perf_counter() - began, 1), "rows": rows}
        for rank in RANKS:
            script = folder / "question.sql"
            script.write_text(_SCRIPT.format(last=METRICS - 1, tenant=tenant_of(rank), now=now.isoformat()))
            found[f"rank_{rank}"] = {
                "uncached": percentiles(_pgbench(arguments, script, folder, 1)),
                "eight_at_once": percentiles(_pgbench(arguments, script, folder, _AT_ONCE)),
            }
        return found


def _copy(data: DataDirectory, command: list[str]) -> None:
    engine = Engine(data.store)
    try:
        for (number,) in engine.rows("SELECT DISTINCT object FROM metriclake.metrics ORDER BY object"):
            sql = "SELECT tenant, metric, toString(time) || 'Z', d1, d0, f0, i0 FROM metriclake.metrics"
            found = engine._writer.raw_query(f"{sql} WHERE object = {int(number)}", fmt="CSV")  # noqa: SLF001 - CSV, not rows
            subprocess.run(command, check=True, input=found)
    finally:
        engine.close()


def _pgbench(arguments: list[str], script: Path, folder: Path, clients: int) -> list[float]:
    """
    Return the seconds of each transaction.
    """
    prefix = folder / f"log{clients}"
    command = ["pgbench", *arguments[:-1], "tenant", "-n", "-f", str(script), "-c", str(clients), "-j", str(clients)]
    count = str(max(1, _QUESTIONS // clients))
    subprocess.run([*command, "-t", count, "-l", f"--log-prefix={prefix}", "postgres"], check=True, capture_output=True)
    times = []
    for path in folder.glob(f"{prefix.name}.*"):
        with path.open(encoding="ascii") as log:
            times += [int(row[2]) / 1e6 for row in csv.reader(log, delimiter=" ")]
        path.unlink()
    return times


def main() -> None:
    """
    Fill, measure, print, and write the figures as JSON.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--rollup-from", type=int, help="by default what the pipeline file has by default")
    parser.add_argument("--without-postgres", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/questions.json"))
    given = parser.parse_args()
    now = datetime.now(UTC)
    with tempfile.TemporaryDirectory(prefix="metriclake-bench-") as name:
        folder = Path(name)
        data = DataDirectory(folder / "data")
        figures: dict[str, Any] = {"filled": fill(data, given.rows, now)}
        number_after(data, max(1, given.rows // CHUNK))
        figures["lengths_from_rows"] = asyncio.run(from_rows(folder, now, "store: {rollups: false}\n"))
        kept = ROLLUP_FROM if given.rollup_from is None else given.rollup_from
        settings = f"store: {{rollup_from: {kept}}}\n"
        figures["rollups"] = build(folder, data, kept)
        figures |= asyncio.run(measure(folder, now, settings))
        if not given.without_postgres:
            figures["postgresql"] = beside(data, folder, given.rows, now)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
