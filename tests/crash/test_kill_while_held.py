"""
The server is killed while metric events are held aside, and while they go on: each is counted exactly once.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from crash.process import Process
from metriclake.stream.lake import unpack
from stream.crm import Crm

pytestmark = pytest.mark.crash

TENANTS = {f"t{number}": {"name": f"T{number}"} for number in range(4)}
PIPELINE = """
tenants:
  http: {url: "URL/tenants/{tenant_id}", headers: {Authorization: "Bearer s3cret-s3cret"}}
  unavailable: wait
  timeout: 1s
  ttl: 0s
stream: {buffer: {seconds: 0.1, megabytes: 5}}
metrics:
  jobs:
    bus: jobs
    pattern: {source: [jobs]}
    metadata: {tenant_id: $.detail.tenant_id}
    data: {event_time: $.time, seconds: $.detail.seconds}
"""


@pytest.fixture
def crm() -> Iterator[Crm]:
    """
    Serve the tenants.
    """
    with Crm(TENANTS, "s3cret-s3cret") as serving:
        yield serving


@pytest.fixture
def folder(tmp_path: Path, crm: Crm) -> Path:
    """
    Return a folder with a pipeline file.
    """
    (tmp_path / "metriclake.yaml").write_text(PIPELINE.replace("URL", crm.url), encoding="utf-8")
    return tmp_path


def send(process: Process, client: httpx.Client, batch: int) -> bool:
    """
    Send ten events of each tenant, the same each time for the same batch; False where the server died meanwhile.
    """
    when = datetime.now(UTC).replace(microsecond=0, second=0, minute=0).isoformat().replace("+00:00", "Z")
    records = [
        {"id": f"{batch}-{tenant}-{number}", "source": "jobs", "detail-type": "done", "bus": "jobs", "time": when,
         "detail": {"tenant_id": tenant, "seconds": number}}
        for tenant in TENANTS for number in range(10)
    ]  # fmt: skip
    try:
        client.post("/v1/events", json=records, headers={"Authorization": f"Bearer {process.keys.ingest}"})
    except httpx.HTTPError:
        return False
    return True


def held(process: Process, client: httpx.Client, least: int) -> dict[str, Any]:
    """
    Return the status once at least so many metric events are held; the books balance at every look.
    """
    until = time.monotonic() + 60
    while time.monotonic() < until:
        status = process.status(client)
        assert status["balanced"]
        if status["directory"]["held"] >= least:
            return status
        time.sleep(0.05)
    raise TimeoutError("nothing was held")


def all_stored(process: Process, client: httpx.Client, wanted: int) -> dict[str, Any]:
    """
    Return the status once so many metric events of each tenant are stored and nothing is held.
    """
    until = time.monotonic() + 60
    while time.monotonic() < until:
        status = process.status(client)
        assert status["balanced"]
        stored = {row["tenant"]: row["store"]["stored"] for row in status["books"]}
        if status["directory"]["held"] == 0 and stored == dict.fromkeys(TENANTS, wanted):
            return status
        time.sleep(0.05)
    raise TimeoutError(f"not all are stored: {status}")


def laked(folder: Path) -> Counter[str]:
    """
    Return how often each identity lies in the lake, all of them with their tenant's name.
    """
    found: Counter[str] = Counter()
    for path in sorted((folder / "data" / "lake" / "Data").rglob("*.ndjson.zst")):
        for line in unpack(path.name, path.read_bytes()).splitlines():
            metadata = msgspec.json.decode(line)["metadata"]
            assert metadata["tenant_name"] == metadata["tenant_id"].upper()
            found[metadata["event_id"]] += 1
    return found


def test_killed_while_held(folder: Path, crm: Crm) -> None:
    """
    Killed while everything is held, the next server has it still; when the directory is back it stores all of it.
    """
    crm.away()
    with Process(folder) as process:
        client = process.client()
        assert client is not None
        with closing(client):
            send(process, client, 1)
            status = held(process, client, 40)
            process.kill()
    assert status["directory"]["source"] == "http"
    assert status["directory"]["held_tenants"] == 4
    assert status["directory"]["unavailable_since"]
    assert "s3cret" not in str(status)

    with Process(folder) as process:
        client = process.client()
        assert client is not None
        with closing(client):
            assert held(process, client, 40)["directory"]["held"] == 40
            crm.back()
            after = all_stored(process, client, 10)
            assert after["directory"]["unavailable_since"] is None
            assert after["failures"] == []
        assert process.stop() == 0
    assert set(laked(folder).values()) == {1}
    assert "s3cret" not in (folder / "log").read_text(encoding="utf-8")


def test_killed_at_every_step_of_holding_and_freeing(folder: Path, crm: Crm) -> None:
    """
    Killed at each step at which it holds or frees, nothing is lost and nothing doubled.
    """
    batch, tries = 0, Counter[int]()
    for point in ("seal", "pin", "put", "announce"):
        crm.away()
        batch += 1
        answered = False
        with Process(folder, crash_at=f"{point}:1") as process:
            client = process.client()
            if client is not None:
                tries[batch] += 1
                with closing(client):
                    answered = send(process, client, batch)
            process.wait_dead()
        with Process(folder) as process:
            client = process.client()
            assert client is not None
            with closing(client):
                if not answered:
                    tries[batch] += 1
                    assert send(process, client, batch)
                held(process, client, 40)
            process.kill()
        crm.back()
        with Process(folder, crash_at=f"{point}:1") as process:
            process.wait_dead()
    with Process(folder) as process:
        client = process.client()
        assert client is not None
        with closing(client):
            all_stored(process, client, 10 * batch)
        assert process.stop() == 0

    found = laked(folder)
    assert len(found) == 40 * batch
    assert not [one for one, times in found.items() if times > tries[int(one.partition("-")[0])]]
