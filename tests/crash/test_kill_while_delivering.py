"""
The process is killed at every named point of a delivery, and at random: a record arrives once, or is a dead letter.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import httpx
import pytest

from crash.process import Process
from crash.receivers import Receivers, body, receivers
from metriclake.crashpoints import CrashPoint

pytestmark = pytest.mark.crash

PER_REQUEST = 30
_KILLS = int(os.environ.get("METRICLAKE_TORTURE_DELIVERY_KILLS", "2"))
_POINTS = ("sent:1", "note:1", "note:2", "checkpoint:3", "settle:1")
_MORE_POINTS = ("sent:2", "sent:5", "note:3", "note:4", "note:7", "checkpoint:1", "checkpoint:5", "settle:2")


@dataclass
class Client:
    """
    A client that sends requests of numbered events, and sends again what was not answered.
    """

    next: int = 0
    unanswered: list[int] = field(default_factory=list)

    def send(self, process: Process, client: httpx.Client, most: int) -> bool:
        """
        Send so many requests, fewer where the server dies, which returns False.
        """
        headers = {"Authorization": f"Bearer {process.keys.ingest}", "Content-Type": "application/x-ndjson"}
        for _ in range(most):
            number = self.unanswered.pop() if self.unanswered else self.next
            self.next = max(self.next, number + 1)
            numbers = range(number * PER_REQUEST, (number + 1) * PER_REQUEST)
            try:
                client.post("/v1/events", content=body(numbers), headers=headers).raise_for_status()
            except httpx.HTTPError:
                self.unanswered.append(number)
                return False
        return True

    def redrive(self, process: Process, client: httpx.Client) -> None:
        """
        Have the dead letters of all destinations tried again, but for those that nobody knows of.
        """
        headers = {"Authorization": f"Bearer {process.keys.admin}"}
        for reason in ("too-large", "400", "VALIDATION_ERROR", "value-too-long"):
            try:
                client.post("/v1/admin/deadletters/redrive", json={"reason": reason}, headers=headers)
            except httpx.HTTPError:
                return


def test_every_named_point_of_a_delivery(tmp_path: Path) -> None:
    """
    Killed at each named point, with five services at work: nothing is lost, and nothing is twice where it would show.
    """
    sender = Client()
    with receivers(tmp_path) as everything:
        for point in (*_POINTS, *(_MORE_POINTS if _KILLS > 2 else ())):
            with Process(tmp_path, crash_at=point) as process:
                client = process.client()
                if client is not None:
                    with closing(client):
                        if point.startswith(CrashPoint.SETTLE):
                            sender.redrive(process, client)
                        while not process.dead and sender.send(process, client, 1):
                            time.sleep(0.1)
                process.wait_dead()
        check(tmp_path, everything, sender)


def test_random_kills_of_deliveries(tmp_path: Path) -> None:
    """
    Killed at random moments while five services are sent to and fail, it loses nothing and doubles nothing.
    """
    sender, random = Client(), Random(7)  # noqa: S311 - moments to kill at, the same each run
    with receivers(tmp_path) as everything:
        with everything.failing(again=True):
            for _ in range(_KILLS):
                with Process(tmp_path) as process:
                    client = process.client()
                    assert client is not None
                    with closing(client):
                        sending = threading.Thread(target=sender.send, args=(process, client, 20))
                        sending.start()
                        time.sleep(random.random() * 1.5)
                        process.kill()
                        sending.join()
        check(tmp_path, everything, sender)


def check(folder: Path, everything: Receivers, sender: Client) -> None:
    """
    Start once more, send what was not answered, and compare books, dead letters and services with what was sent.
    """
    with Process(folder) as process:
        client = process.client()
        assert client is not None
        with closing(client):
            assert sender.send(process, client, len(sender.unanswered) + 1)
            status = everything.settled(process, client, 600)
            report = everything.check(process, client, status, sender.next * PER_REQUEST)
            print(f"\n{sender.next * PER_REQUEST} events: {dict(report)}")  # noqa: T201 - figures for who runs it with -s
        assert process.stop() == 0
