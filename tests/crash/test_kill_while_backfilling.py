"""
A metric is added to a product at work, and its history made of the archive: killed at every point, it is counted once.
"""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from app.server import Commands, Running
from crash.process import Process
from metriclake.cli.backfill_commands import backfill_metric
from metriclake.samples import history
from metriclake.serve import Reached

pytestmark = pytest.mark.crash

DATA = ("--data", "data")
TENANTS = ("acme", "globex", "initech")
NOW = datetime.now(UTC)
ADDED = """
  check_runs:
    bus: github
    pattern: {source: [github], detail-type: [check_run.completed]}
    metadata: {tenant_id: $.detail.organization.login, name: $.detail.check_run.name}
    data: {event_time: $.detail.completed_at}
  scan_seconds:
    bus: findings-service-bus
    pattern: {source: [findings], detail-type: [scan-completed], detail: {status: [{anything-but: failed}]}}
    metadata: {tenant_id: $.detail.tenant_id, scanner: $.detail.scanner}
    data: {event_time: $.detail.completed_at, seconds: {path: $.detail.duration_seconds, type: double}}
"""
POINTS = ("pin:2", "put:2", "announce:2", "insert", "checkpoint")
"""All that a backfill passes: it appends and seals nothing."""

_PER_REQUEST = 200


@pytest.fixture(name="sent", scope="module")
def sent_fixture() -> list[dict[str, Any]]:
    """
    Return the sample history: of each customer's 90 days every tenth event.
    """
    return list(history(NOW))[::10]


@pytest.fixture(name="folder", scope="module")
def folder_fixture(tmp_path_factory: pytest.TempPathFactory, sent: list[dict[str, Any]]) -> Path:
    """
    Serve the samples' pipeline until the whole history is archived, in many batches; then add two metrics to the file.
    """
    folder = tmp_path_factory.mktemp("backfill")
    texts = {
        name: files("metriclake.samples").joinpath(name).read_text("utf-8")
        for name in ("metriclake.yaml", "tenants.yaml")
    }
    texts["metriclake.yaml"] = texts["metriclake.yaml"].replace("megabytes: 5", "megabytes: 0.05")
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    with Process(folder) as process:
        running = Running(folder, process)
        with closing(running.client):
            for body in bodies(sent):
                running.post("/v1/events", body).raise_for_status()
            running.settled()
        assert process.stop() == 0
    added = texts["metriclake.yaml"].replace("\nmetrics:\n", f"\nmetrics:\n{ADDED}")
    (folder / "metriclake.yaml").write_text(added, encoding="utf-8")
    return folder


def bodies(events: list[dict[str, Any]]) -> Iterator[bytes]:
    """
    Yield the events as requests.
    """
    for first in range(0, len(events), _PER_REQUEST):
        yield b"\n".join(map(msgspec.json.encode, events[first : first + _PER_REQUEST]))


def day(text: str) -> str:
    """
    Return the start of a time's day, as answers write it.
    """
    return f"{text[:10]}T00:00:00Z"


def check_runs(events: Iterable[dict[str, Any]], tenant: str) -> Counter[str]:
    """
    Compute a customer's check runs of each day from what was sent.
    """
    details = [event["detail"] for event in events if event["detail-type"] == "check_run.completed"]
    return Counter(day(detail["completed_at"]) for detail in details if detail["organization"]["login"] == tenant)


def scan_seconds(events: Iterable[dict[str, Any]], tenant: str) -> dict[str, float]:
    """
    Compute a customer's seconds of scans that did not fail, of each scanner, from what was sent.
    """
    sums: dict[str, float] = {}
    for detail in (event["detail"] for event in events if event["detail-type"] == "scan-completed"):
        if detail["tenant_id"] == tenant and detail["status"] != "failed":
            sums[detail["scanner"]] = sums.get(detail["scanner"], 0) + detail["duration_seconds"]
    return sums


def stored(status: dict[str, Any], metric: str) -> dict[str, int]:
    """
    Return how many metric events of each tenant the store has taken, all that there are.
    """
    rows = [row for row in status["books"] if row["metric"] == metric]
    assert status["balanced"]
    assert all(row["received"] == row["laked"] == row["store"]["stored"] + row["store"]["duplicate"] for row in rows)
    return {row["tenant"]: row["store"]["stored"] for row in rows}


def beside(running: Running, metric: str) -> dict[str, Any]:
    """
    Run a whole backfill beside a server, as the command does.
    """

    async def work() -> dict[str, Any]:
        async with httpx.AsyncClient(base_url=running.client.base_url, timeout=60) as client:
            return await backfill_metric(Reached(client, running.keys), {"metric": metric, "dry_run": False})

    return asyncio.run(work())


def test_history_of_added_metrics_is_made_once(folder: Path, sent: list[dict[str, Any]]) -> None:
    """
    A backfill without a server dies at each point in its middle; beside a server it goes on, to the recomputed numbers.

    What a metric has counted live keeps its numbers, and comes again as duplicates.
    """
    commands = Commands(folder)
    asked = ("backfill", "check_runs", "--since", "1d", "--yes", *DATA)
    for point in POINTS:
        dying = commands.start(*asked, environ={"METRICLAKE_CRASH_AT": point})
        said = dying.communicate(timeout=60)
        assert (point, dying.returncode) == (point, -signal.SIGKILL), said
    with Process(folder) as process:
        running = Running(folder, process)
        with closing(running.client):
            before = stored(running.settled(), "pushes")
            done = commands.json(*asked)
            again, _, _ = (beside(running, metric) for metric in ("check_runs", "pushes", "scan_seconds"))
            days = {"metric": "check_runs", "range": {"last": "91d"}, "interval": "day"}
            scans = {"metric": "scan_seconds", "measure": "seconds", "range": {"last": "91d"}}
            counts = {tenant: dict(running.ask(tenant, **days)) for tenant in TENANTS}
            sums = {tenant: dict(running.ask(tenant, **scans, group_by=["scanner"])) for tenant in TENANTS}
            status = running.settled()
        assert process.stop() == 0

    assert counts == {tenant: check_runs(sent, tenant) for tenant in TENANTS}
    assert sums == {tenant: pytest.approx(scan_seconds(sent, tenant)) for tenant in TENANTS}
    assert stored(status, "check_runs") == {tenant: sum(found.values()) for tenant, found in counts.items()}
    assert (done["already"] >= 4, again["batches"], again["already"]) == (True, 0, done["already"] + done["batches"])
    assert stored(status, "pushes") == before
    assert {row["store"]["duplicate"] for row in status["books"] if row["metric"] == "pushes"} == set(before.values())
