"""
A destination that is down does not grow the server: what waits for it waits in the lake.
"""

from __future__ import annotations

import json
import os
import re
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from crash.process import Process
from metriclake.testing import WebhookTwin

pytestmark = [
    pytest.mark.crash,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peaks of memory are read from /proc"),
]

_RECORDS = int(os.environ.get("METRICLAKE_TORTURE_WAITING", "20000"))
_PER_REQUEST = 5_000
_MOST_MEGABYTES = 150
_PATIENCE_SECONDS = 3600.0
_PIPELINE = """
stream: {buffer: {seconds: 0.5, megabytes: 1}}
metrics:
  jobs:
    bus: jobs
    pattern: {source: [jobs]}
    metadata: {tenant_id: $.detail.tenant_id}
    data: {event_time: $.time, number: $.detail.number}
"""


def test_memory_is_bounded_while_a_destination_is_down(tmp_path: Path) -> None:
    """
    The peak with all that waits for a dead destination is that of a server without one, and a batch in hand.
    """
    with WebhookTwin() as twin:
        twin.away()
        hook = {"type": "webhook", "url": f"{twin.url}/h", "secrets": [twin.secret], "allow_private": True}
        without = _peak(tmp_path / "without", "")
        beside = _peak(tmp_path / "beside", f"destinations: {json.dumps({'hook': hook})}\n")

    print(f"\n{_RECORDS} records: {without} MiB without a destination, {beside} MiB with one that is down")  # noqa: T201 - figures for who runs it with -s
    assert beside < without + _MOST_MEGABYTES


def _post(client: httpx.Client, first: int, headers: dict[str, str]) -> None:
    """
    Send a request of small events, again while the server says that it has too much to do.
    """
    when = datetime.now(UTC).replace(microsecond=0, second=0, minute=0).isoformat().replace("+00:00", "Z")
    body = "\n".join(
        f'{{"id":"{number}","source":"jobs","detail-type":"done","bus":"jobs","time":"{when}",'
        f'"detail":{{"tenant_id":"t{number % 10}","number":{number}}}}}'
        for number in range(first, first + _PER_REQUEST)
    )
    while (answer := client.post("/v1/events", content=body.encode(), headers=headers)).status_code in (429, 503):
        time.sleep(0.5)
    answer.raise_for_status()


def _peak(folder: Path, destinations: str) -> int:
    """
    Return the most that the server has in memory until the store has everything, in MiB.
    """
    folder.mkdir()
    (folder / "metriclake.yaml").write_text(_PIPELINE + destinations, encoding="utf-8")
    with Process(folder) as process:
        client = process.client()
        assert client is not None
        with closing(client):
            headers = {"Authorization": f"Bearer {process.keys.ingest}", "Content-Type": "application/x-ndjson"}
            for first in range(0, _RECORDS, _PER_REQUEST):
                _post(client, first, headers)
            until = time.monotonic() + _PATIENCE_SECONDS
            while sum(row["store"]["stored"] for row in process.status(client)["books"]) < _RECORDS:
                assert time.monotonic() < until
                time.sleep(0.2)
            waiting = [row["destinations"].get("hook", {}).get("waiting", 0) for row in process.status(client)["books"]]
        text = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
        assert sum(waiting) == (_RECORDS if destinations else 0)
        assert process.stop() == 0
    found = re.search(r"VmHWM:\s+(\d+) kB", text)
    assert found is not None
    return int(found[1]) // 1024
