"""
A real server process that a test may kill: started on a free port, reached over HTTP.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import httpx

from metriclake._config import DataDirectory, environment
from metriclake.app import running
from metriclake.tokens import Keys, load_keys

_PATIENCE_SECONDS = 60.0


class Process:
    """
    `metriclake up` on a folder, one run of it.
    """

    def __init__(
        self, folder: Path, *, crash_at: str | None = None, environ: Mapping[str, str] | None = None, port: int = 0
    ) -> None:
        """
        Start it; `crash_at` is what METRICLAKE_CRASH_AT says to it, `environ` are further variables.

        It listens on `port`, on any free one where that is 0.
        """
        self.data = DataDirectory(folder / "data")
        crash = {"METRICLAKE_CRASH_AT": crash_at} if crash_at else {}
        variables = {**os.environ, **crash, **(environ or {})}
        command = [sys.executable, "-c", "from metriclake.cli import main; main()", "up", "--port", str(port)]
        with (folder / "log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - this project's own server
                [*command, "-c", str(folder / "metriclake.yaml"), "--data", str(self.data.root)],
                stderr=log,
                env=variables,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self.kill()

    @property
    def keys(self) -> Keys:
        """
        Return the server's keys.
        """
        return load_keys(self.data.keys, environment())

    @property
    def pid(self) -> int:
        """
        Return the process's id.
        """
        return self._process.pid

    @property
    def dead(self) -> bool:
        """
        Tell whether the process has ended.
        """
        return self._process.poll() is not None

    def client(self) -> httpx.Client | None:
        """
        Return a client once the server answers, None where it died before.
        """
        until = time.monotonic() + _PATIENCE_SECONDS
        while not self.dead and time.monotonic() < until:
            found = running(self.data)
            if found is not None and found["pid"] == self.pid:  # not its predecessor, whose address is still there
                client = httpx.Client(base_url=found["url"], timeout=_PATIENCE_SECONDS)
                try:
                    client.get("/healthz").raise_for_status()
                except httpx.HTTPError:
                    client.close()
                else:
                    return client
            time.sleep(0.02)
        return None

    def status(self, client: httpx.Client) -> dict[str, Any]:
        """
        Return the server's status.
        """
        answer = client.get("/v1/admin/status", headers={"Authorization": f"Bearer {self.keys.admin}"})
        found: dict[str, Any] = answer.raise_for_status().json()
        return found

    def settled(self, client: httpx.Client) -> dict[str, Any]:
        """
        Return the status once nothing waits anywhere.
        """
        until = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < until:
            status = self.status(client)
            waiting = sum(row["in_flight"] + row["store"]["waiting"] for row in status["books"])
            if status["domain_events"]["in_flight"] + waiting == 0:
                return status
            time.sleep(0.05)
        message = f"events still wait: {status['stages']} {status['failures']}"
        raise TimeoutError(message)

    def kill(self) -> None:
        """
        End the process as a power cut would.
        """
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> int:
        """
        Ask the process to stop; returns its exit code.
        """
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(timeout=_PATIENCE_SECONDS)

    def wait_dead(self) -> None:
        """
        Wait until the process has ended by itself.
        """
        self._process.wait(timeout=_PATIENCE_SECONDS)
