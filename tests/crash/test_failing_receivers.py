"""
Services fail in each of their ways while events flow: each record arrives once or is a dead letter, the store unmoved.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from crash.process import Process
from crash.receivers import body, receivers

pytestmark = pytest.mark.crash

_EVENTS = int(os.environ.get("METRICLAKE_TORTURE_DELIVERIES", "0"))
_HEALTHY_REQUESTS = 15
_MOST_TIMES_SLOWER = 3
_PATIENCE_SECONDS = 3600.0 if _EVENTS else 60.0


@dataclass
class Flow:
    """
    A client that sends events by their numbers, and how long the store took until it had each request's.
    """

    process: Process
    client: httpx.Client
    per_request: int
    sent: int = 0
    _posted: list[tuple[float, int]] = field(default_factory=list)

    def send(self) -> None:
        """
        Send the next request.
        """
        numbers = range(self.sent, self.sent + self.per_request)
        headers = {"Authorization": f"Bearer {self.process.keys.ingest}", "Content-Type": "application/x-ndjson"}
        self.client.post("/v1/events", content=body(numbers), headers=headers).raise_for_status()
        self.sent += self.per_request
        self._posted.append((time.monotonic(), self.sent))

    def visible(self) -> list[float]:
        """
        Return the seconds until the store had what was posted since the last time; waits until it has all of it.
        """
        found: list[float] = []
        posted, self._posted = self._posted, []
        until = time.monotonic() + _PATIENCE_SECONDS
        while posted:
            assert time.monotonic() < until, self.process.status(self.client)["books"]
            stored = sum(row["store"]["stored"] for row in self.process.status(self.client)["books"])
            while posted and posted[0][1] <= stored:
                found.append(time.monotonic() - posted.pop(0)[0])
            time.sleep(0.005)
        return found


def test_every_failure_of_every_service(tmp_path: Path) -> None:
    """
    Each service fails in each way: an event is delivered once, dead with a reason, or not mapped; the store keeps pace.
    """
    per_request = 200 if _EVENTS else 20
    with receivers(tmp_path, webhooks=20 if _EVENTS else 1) as everything, Process(tmp_path) as process:
        client = process.client()
        assert client is not None
        with closing(client):
            flow = Flow(process, client, per_request)
            healthy = _paced(flow, _HEALTHY_REQUESTS)
            everything.settled(process, client)
            began = time.monotonic()
            failing: list[float] = []
            with everything.failing(again=bool(_EVENTS)) as threads:
                while flow.sent < _EVENTS or (not _EVENTS and any(thread.is_alive() for thread in threads)):
                    assert time.monotonic() < began + _PATIENCE_SECONDS
                    failing += _paced(flow, 1)
            status = everything.settled(process, client, _PATIENCE_SECONDS)
            took = time.monotonic() - began
            report = everything.check(process, client, status, flow.sent)
            met = {one.name: one.met for one in everything.all}
        assert process.stop() == 0

    ratio = statistics.median(failing) / statistics.median(healthy)
    print(f"\n{flow.sent} events in {took:.0f} s; visible {ratio:.2f} times as late as without failures")  # noqa: T201 - figures for who runs it with -s
    print(json.dumps({"records": report, "failures": met}, indent=1))  # noqa: T201 - figures for who runs it with -s
    assert ratio < _MOST_TIMES_SLOWER
    for one in everything.all:
        assert met[one.name].keys() == {"away", *map(str, one.failures)}, one.name
        assert all(met[one.name].values())


def _paced(flow: Flow, requests: int) -> list[float]:
    """
    Send requests, each when the store has the one before; returns how long that took for each.
    """
    found: list[float] = []
    for _ in range(requests):
        flow.send()
        found += flow.visible()
    return found
