"""
The process is killed at every named point of an event's path, and at random: each event is counted exactly once.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import httpx
import msgspec
import pytest

from crash.process import Process
from metriclake.crashpoints import DELIVERY_POINTS, CrashPoint
from metriclake.stream.lake import unpack
from metriclake.tokens import mint_tenant
from patience import until

pytestmark = pytest.mark.crash

TENANTS = ("acme", "globex", "initech")
PER_REQUEST = 50
_KILLS = int(os.environ.get("METRICLAKE_TORTURE_KILLS", "8"))
PIPELINE = """
store: {rollup_from: 0}
stream: {buffer: {seconds: 0.15, megabytes: 5}}
metrics:
  jobs:
    bus: jobs
    pattern: {source: [jobs], detail-type: [done, failed]}
    metadata: {tenant_id: $.detail.tenant_id, outcome: $.detail-type}
    data: {event_time: $.time, seconds: $.detail.seconds}
    rollup: [outcome]
"""
SELDOM = (CrashPoint.ROLL, CrashPoint.ROLLED)
"""Points that a process reaches every few seconds."""


@dataclass
class Sender:
    """
    A client that sends numbered requests, and sends again whatever was not answered, as a good client does.
    """

    seed: int
    answered: int = 0
    next: int = 0
    unanswered: list[int] = field(default_factory=list)
    tries: Counter[int] = field(default_factory=Counter)

    def body(self, number: int) -> bytes:
        """
        Return the body of a request: the same each time it is asked for.
        """
        random = Random(f"{self.seed}/{number}")  # noqa: S311 - made-up events, the same each time
        start = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
        lines = []
        for index in range(PER_REQUEST):
            moment = start + timedelta(seconds=random.randrange(86_400))
            lines.append(
                msgspec.json.encode(
                    {
                        "id": f"{self.seed}-{number}-{index}",
                        "source": "jobs",
                        "detail-type": random.choice(("done", "failed", "queued")),
                        "bus": "jobs",
                        "time": moment.isoformat().replace("+00:00", "Z"),
                        "detail": {"tenant_id": random.choice(TENANTS), "seconds": float(random.randrange(100))},
                    }
                )
            )
        return b"\n".join(lines)

    def send(self, client: httpx.Client, key: str, stop: threading.Event, most: int) -> None:
        """
        Send until the server dies, `stop` is set, or `most` requests are answered in all.
        """
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/x-ndjson"}
        while not stop.is_set() and self.answered < most:
            number = self.unanswered.pop() if self.unanswered else self.next
            if number == self.next:
                self.next += 1
            self.tries[number] += 1
            try:
                answer = client.post("/v1/events", content=self.body(number), headers=headers)
                answer.raise_for_status()
            except httpx.HTTPError:
                self.unanswered.append(number)
                return
            self.answered += 1

    def expected(self) -> tuple[Counter[str], Counter[str]]:
        """
        Return how many metric events each tenant must have, and the sum of their measure.
        """
        counts: Counter[str] = Counter()
        sums: Counter[str] = Counter()
        for number in range(self.next):
            for line in self.body(number).splitlines():
                event = msgspec.json.decode(line)
                if event["detail-type"] != "queued":
                    counts[event["detail"]["tenant_id"]] += 1
                    sums[event["detail"]["tenant_id"]] += event["detail"]["seconds"]
        return counts, sums


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """
    Return a folder with a pipeline file.
    """
    (tmp_path / "metriclake.yaml").write_text(PIPELINE, encoding="utf-8")
    return tmp_path


def test_every_named_point(folder: Path) -> None:
    """
    Killed at each named point in turn, early and later, under load, the path loses nothing and doubles nothing.
    """
    sender = Sender(seed=1)
    for point in (one for one in CrashPoint if one not in DELIVERY_POINTS):
        for nth in (1,) if point in SELDOM else (1, 3):
            with Process(folder, crash_at=f"{point}:{nth}") as process:
                client = process.client()
                if client is not None:
                    with closing(client):
                        sender.send(client, process.keys.ingest, threading.Event(), sender.answered + 2000)
                process.wait_dead()

    check_everything(folder, sender)


def test_random_kills(folder: Path) -> None:
    """
    Killed at random moments under load, also while it recovers, the path loses nothing and doubles nothing.
    """
    sender, random = Sender(seed=2), Random(11)  # noqa: S311 - moments to kill at, the same each run
    for _ in range(_KILLS):
        with Process(folder) as process:
            client = process.client()
            assert client is not None
            stop = threading.Event()
            sending = threading.Thread(
                target=sender.send, args=(client, process.keys.ingest, stop, sender.answered + 200)
            )
            sending.start()
            time.sleep(random.random() * 0.6)
            process.kill()
            stop.set()
            sending.join()
            client.close()

    check_everything(folder, sender)


def check_everything(folder: Path, sender: Sender) -> None:
    """
    Start once more, send what was not answered, and compare books, lake and store with what was sent.
    """
    with Process(folder) as process:
        client = process.client()
        assert client is not None
        with closing(client):
            remaining = len(sender.unanswered)
            sender.send(client, process.keys.ingest, threading.Event(), sender.answered + remaining)
            status = process.settled(client)
            counts, sums = sender.expected()

            assert not sender.unanswered
            assert status["balanced"]
            assert counts == Counter({tenant: _ask(process, client, tenant, "count") for tenant in TENANTS})
            assert sums == Counter({tenant: _ask(process, client, tenant, "sum") for tenant in TENANTS})
            until(lambda: _rolled(process.status(client)["rollups"]))
            assert sums == Counter({tenant: _ask_rolled(process, client, tenant) for tenant in TENANTS})
            assert counts == Counter({row["tenant"]: row["store"]["stored"] for row in status["books"]})
        assert process.stop() == 0

    lake = folder / "data" / "lake"
    laked = Counter(line["metadata"]["event_id"] for line in _lines(lake, "Data"))
    archived = Counter(event["id"] for event in _lines(lake, "Archive"))
    assert sum(counts.values()) == len(laked)
    assert sender.next * PER_REQUEST == len(archived)
    assert sum(row["laked"] for row in status["books"]) == sum(laked.values())
    assert status["domain_events"]["archived"] == sum(archived.values())
    assert not [found for found, times in archived.items() if times > sender.tries[int(found.split("-")[1])]]


def _rolled(rollups: list[dict[str, Any]]) -> bool:
    """
    Tell whether the quarters of an hour are built of all that is loaded, for each tenant.
    """
    found = [one for one in rollups if one["interval"] == "quarter"]
    return bool(found) and all(one["tenants"] == len(TENANTS) and not one["waiting"] for one in found)


def _ask(process: Process, client: httpx.Client, tenant: str, aggregate: str) -> float:
    question: dict[str, Any] = {"metric": "jobs", "aggregate": aggregate, "range": {"last": "3d"}}
    if aggregate == "sum":
        question["measure"] = "seconds"
    value: float = _answer(process, client, tenant, question)["rows"][0][0]
    return value


def _ask_rolled(process: Process, client: httpx.Client, tenant: str) -> float:
    """
    Return the sum as rollups have it: each time of another range, since an answer that is kept is not read anew.
    """
    lengths = iter(range(4, 3600))
    asked: list[dict[str, Any]] = []

    def rolled() -> bool:
        length = {"last": f"{next(lengths)}d"}
        question = {"metric": "jobs", "aggregate": "sum", "measure": "seconds", "range": length}
        asked.append(_answer(process, client, tenant, question))
        found: bool = asked[-1]["meta"]["rollup"]
        return found

    until(rolled)
    value: float = asked[-1]["rows"][0][0]
    return value


def _answer(process: Process, client: httpx.Client, tenant: str, question: dict[str, Any]) -> dict[str, Any]:
    token = mint_tenant(process.keys.signing, tenant, now=datetime.now(UTC))
    answer = client.post("/v1/query", json=question, headers={"Authorization": f"Bearer {token}"})
    found: dict[str, Any] = answer.raise_for_status().json()
    return found


def _lines(lake: Path, prefix: str) -> Iterator[dict[str, Any]]:
    for path in sorted((lake / prefix).rglob("*.ndjson.zst")):
        for line in unpack(path.name, path.read_bytes()).splitlines():
            yield msgspec.json.decode(line)
