"""
The pipeline file of a running server is swapped whole or refused whole.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from crash.process import Process
from metriclake.app import running
from metriclake.tokens import mint_tenant

pytestmark = pytest.mark.engine

FIRST = """stream: {buffer: {seconds: 0.2}}
metrics:
  uploads:
    bus: b
    pattern: {source: [s], detail-type: [upload]}
    metadata: {tenant_id: $.detail.tenant_id}
    data: {event_time: $.time, size: $.detail.size}
"""
SECOND = (
    FIRST
    + """  downloads:
    bus: b
    pattern: {source: [s], detail-type: [download]}
    metadata: {tenant_id: $.detail.tenant_id}
    data: {event_time: $.time}
"""
)


class Running:
    """
    A server, a client, and the file it serves.
    """

    def __init__(self, folder: Path, process: Process, client: httpx.Client) -> None:
        self.file = folder / "metriclake.yaml"
        self.process = process
        self.client = client

    def status(self) -> dict[str, Any]:
        """
        Return the status.
        """
        return self.process.status(self.client)

    def until(self, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """
        Return the first status for which something holds.
        """
        deadline = time.monotonic() + 30
        while not holds(status := self.status()):
            assert time.monotonic() < deadline, status["pipeline"]
            time.sleep(0.05)
        return status

    def send(self, kind: str) -> None:
        """
        Send an event of a detail-type.
        """
        event = {"source": "s", "detail-type": kind, "bus": "b", "detail": {"tenant_id": "acme", "size": 1}}
        headers = {"Authorization": f"Bearer {self.process.keys.ingest}"}
        self.client.post("/v1/events", json=event, headers=headers).raise_for_status()

    def metrics(self) -> list[str]:
        """
        Return the names of the tenant's metrics once everything is stored.
        """
        self.process.settled(self.client)
        token = mint_tenant(self.process.keys.signing, "acme", now=datetime.now(UTC))
        answer = self.client.get("/v1/catalog", headers={"Authorization": f"Bearer {token}"})
        return [metric["name"] for metric in answer.raise_for_status().json()["metrics"]]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    """
    Serve the first file.
    """
    (tmp_path / "metriclake.yaml").write_text(FIRST, encoding="utf-8")
    with Process(tmp_path) as process:
        client = process.client()
        assert client is not None
        with closing(client):
            yield Running(tmp_path, process, client)


def test_metric_added_while_running(server: Running) -> None:
    """
    A metric that is added to the file counts its next event, without a restart.
    """
    server.send("download")
    server.send("upload")
    assert server.metrics() == ["uploads"]
    before = server.status()["pipeline"]["version"]

    server.file.write_text(SECOND, encoding="utf-8")
    server.until(lambda status: bool(status["pipeline"]["version"] != before))
    server.send("download")

    assert server.metrics() == ["downloads", "uploads"]
    assert server.status()["balanced"]


def test_faulty_file_is_refused_whole(server: Running) -> None:
    """
    A file with a fault changes nothing, the status says what is wrong and where, and the next good file is taken.
    """
    before = server.status()["pipeline"]["version"]

    server.file.write_text(SECOND.replace("downloads:", "downloads:\n    patern: {}"), encoding="utf-8")
    refused = server.until(lambda status: status["pipeline"]["refused"] is not None)
    assert ":9:5: unknown key `patern` (did you mean `pattern`?)" in refused["pipeline"]["refused"]
    assert refused["pipeline"]["version"] == before
    server.send("upload")
    assert server.metrics() == ["uploads"]

    server.file.write_text(SECOND, encoding="utf-8")
    server.until(lambda status: status["pipeline"]["refused"] is None)


def test_change_of_a_place_needs_a_restart(server: Running) -> None:
    """
    Another lake, journal or store is refused while running, with these words.
    """
    server.file.write_text("lake: file://elsewhere\n" + FIRST, encoding="utf-8")
    refused = server.until(lambda status: status["pipeline"]["refused"] is not None)

    assert "metriclake.yaml:1:1: `lake` changes only with a restart" in refused["pipeline"]["refused"]


def test_sighup_reads_the_file_at_once(server: Running) -> None:
    """
    SIGHUP reads the file again, also where its times and size tell no change.
    """
    stat = server.file.stat()
    found = running(server.process.data)
    assert found is not None

    server.file.write_text(FIRST.replace("[upload]", "[UPLOAD]"), encoding="utf-8")
    os.utime(server.file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    before = server.status()["pipeline"]["version"]
    os.kill(found["pid"], signal.SIGHUP)
    server.until(lambda status: bool(status["pipeline"]["version"] != before))
    server.send("UPLOAD")

    assert server.metrics() == ["uploads"]


def test_tiers_change_while_running(server: Running) -> None:
    """
    A shorter retention holds for the next event: what is older is refused.
    """
    before = server.status()["pipeline"]["version"]
    server.file.write_text("store: {hot: 1d, retention: 2d}\n" + FIRST, encoding="utf-8")
    server.until(lambda status: bool(status["pipeline"]["version"] != before))

    event = {
        "metric_name": "uploads",
        "metadata": {"tenant_id": "acme", "event_id": "old"},
        "data": {"event_time": time.time() - 3 * 86_400},
    }
    headers = {"Authorization": f"Bearer {server.process.keys.ingest}"}
    server.client.post("/v1/metrics", content=msgspec.json.encode(event), headers=headers).raise_for_status()

    status = server.process.settled(server.client)
    assert [row["rejected"] for row in status["books"]] == [1]


def test_a_tenant_is_given_a_retention_while_running(server: Running) -> None:
    """
    A tenant's own retention holds for what comes and for what is there, another's rows stay, and the books balance.
    """
    tenants = ("acme", "globex")

    def send(event_id: str) -> None:
        """
        Send each tenant's metric event of three days ago.
        """
        for tenant in tenants:
            event = {
                "metric_name": "uploads",
                "metadata": {"tenant_id": tenant, "event_id": event_id},
                "data": {"event_time": time.time() - 3 * 86_400},
            }
            headers = {"Authorization": f"Bearer {server.process.keys.ingest}"}
            server.client.post("/v1/metrics", content=msgspec.json.encode(event), headers=headers).raise_for_status()

    def counted() -> dict[str, int]:
        """
        Return how many rows each tenant is shown once everything is stored.
        """
        server.process.settled(server.client)
        question = {"metric": "uploads", "aggregate": "count", "range": {"last": "30d"}}
        found = {}
        for tenant in tenants:
            token = mint_tenant(server.process.keys.signing, tenant, now=datetime.now(UTC))
            answer = server.client.post("/v1/query", json=question, headers={"Authorization": f"Bearer {token}"})
            found[tenant] = answer.raise_for_status().json()["rows"][0][0]
        return found

    send("1")
    assert counted() == {"acme": 1, "globex": 1}
    before = server.status()["pipeline"]["version"]

    server.file.write_text(FIRST + "store: {tenants: {acme: {hot: 1d, retention: 2d}}}\n", encoding="utf-8")
    server.until(lambda status: bool(status["pipeline"]["version"] != before))
    send("2")

    assert counted() == {"acme": 0, "globex": 2}
    books = {row["tenant"]: (row["rejected"], row["store"]["stored"]) for row in server.status()["books"]}
    assert books == {"acme": (1, 1), "globex": (0, 2)}
    assert server.status()["balanced"]
