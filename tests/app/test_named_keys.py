"""
Named ingest keys and their limits by the real server: from the pipeline file and the command to the answer.
"""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from app.server import Running, write_pipeline
from crash.process import Process

pytestmark = pytest.mark.engine

LIMITS = "gateway: {limits: {importer: {events_per_second: 2, events_burst: 10}}}\n"
EVENTS = msgspec.json.encode(
    [{"id": str(index), "source": "s", "detail-type": "t", "detail": {}} for index in range(8)]
)


def test_a_key_made_while_the_server_runs_is_held_to_its_limit(tmp_path: Path) -> None:
    """
    The command makes a key that the server knows within a second; over its limit who waits as told gets through.
    """
    folder = write_pipeline(tmp_path)
    with (folder / "metriclake.yaml").open("a", encoding="utf-8") as file:
        file.write(LIMITS)
    with Process(folder) as process:
        running = Running(folder, process)
        with closing(running.client):
            key = running.commands.run("token", "ingest", "--name", "importer", "--data", "data").splitlines()[-1]
            time.sleep(1.1)
            assert running.post("/v1/events", EVENTS, key).status_code == 200
            refused = running.post("/v1/events", EVENTS, key)
            assert refused.status_code == 429
            assert 1 <= int(refused.headers["Retry-After"]) <= 3
            assert "`importer`" in refused.json()["detail"]
            assert key not in refused.text
            assert {running.post("/v1/events", EVENTS).status_code for _ in range(5)} == {200}
            time.sleep(int(refused.headers["Retry-After"]))
            assert running.post("/v1/events", EVENTS, key).status_code == 200
            assert running.settled()["domain_events"]["accepted"] == 56
    assert key not in (folder / "log").read_text(encoding="utf-8")
