"""
A server with a webhook, whose receiver runs in the test.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from app.server import Running, write_pipeline
from app.test_main_job import lines, upload
from crash.process import Process
from metriclake.testing import WebhookTwin

_PATIENCE_SECONDS = 30.0


class Hooked:
    """
    A folder with a pipeline file, and the receiver that it names.
    """

    def __init__(self, folder: Path, twin: WebhookTwin) -> None:
        """
        Write the file, without a destination.
        """
        self.folder = write_pipeline(folder, seconds=0.05)
        self.twin = twin
        self.file = folder / "metriclake.yaml"
        self.without = self.file.read_text(encoding="utf-8")

    def say(self, name: str = "hook", **settings: Any) -> None:
        """
        Write the file with the webhook, so named and set.
        """
        hook = {
            "type": "webhook",
            "url": f"{self.twin.url}/hooks",
            "secrets": [self.twin.secret],
            "allow_private": True,
            **({"start": "beginning"} if name == "hook" else {}),
            **settings,
        }
        self.file.write_text(f"{self.without}\ndestinations: {json.dumps({name: hook})}\n", encoding="utf-8")

    def silence(self) -> None:
        """
        Write the file without the webhook.
        """
        self.file.write_text(self.without, encoding="utf-8")

    @contextmanager
    def up(self, crash_at: str | None = None) -> Iterator[Running]:
        """
        Serve.
        """
        with Process(self.folder, crash_at=crash_at) as process:
            server = Running(self.folder, process)
            with closing(server.client):
                yield server

    @property
    def taken(self) -> Counter[int]:
        """
        Return how often each event was taken, by its number.
        """
        return Counter(int(record["data"]["properties"]["new_findings_count"]) for record in self.twin.records)


def send(server: Running, *numbers: int) -> None:
    """
    Send an upload for each number.
    """
    uploads = (upload("acme", str(number), new=number) for number in numbers)
    server.post("/v1/events", lines(*uploads)).raise_for_status()


def status_when(server: Running, holds: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """
    Return the first status for which something holds.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not holds(found := server.process.status(server.client)):
        assert time.monotonic() < deadline, (found["books"], found["stages"], found["failures"])
        time.sleep(0.05)
    return found


def hook_of(status: dict[str, Any], name: str = "hook") -> dict[str, int]:
    """
    Return the books of a webhook, over all accounts, without what is nought.
    """
    total: Counter[str] = Counter()
    for row in status["books"]:
        total.update(row["destinations"].get(name, {}))
    return {counter: amount for counter, amount in total.items() if amount}
