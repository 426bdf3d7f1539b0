"""
Replays by the real program: refused where they would show twice, done by the server, and gone on with after a crash.
"""

from __future__ import annotations

from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.hooked import Hooked, hook_of, send, status_when
from app.server import Commands, Running
from crash.process import Process
from metriclake.testing import WebhookTwin

pytestmark = [pytest.mark.engine, pytest.mark.crash]

DATA = ("--data", "data")


def test_replay_is_refused_done_and_gone_on_with(tmp_path: Path) -> None:
    """
    A webhook's receiver may have all twice: refused, unless that is allowed. The store has nothing twice, ever.
    """
    with WebhookTwin() as twin:
        hooked = Hooked(tmp_path, twin)
        hooked.say()
        commands = Commands(tmp_path)
        asked = ("replay", "--destination", "hook", *DATA)
        with hooked.up() as server:
            for number in range(3):
                send(server, number)
                until_delivered(server, number + 1)
            refused = commands.run(*asked, code=1)
            dry = commands.json(*asked, "--dry-run", "--allow-duplicates")
            nothing = commands.json(*asked, "--to", "2020-01-01", "--allow-duplicates")
            done = commands.json(*asked, "--allow-duplicates")
            stored = commands.run("replay", "--destination", "store", *DATA)
            unknown = commands.run("replay", "--destination", "other", *DATA, code=1)
            before = twin.counts.repeated
        with Process(tmp_path, crash_at="settle:2") as process:
            client = process.client()
            assert client is not None
            with closing(client), suppress(httpx.HTTPError):
                client.post(
                    "/v1/admin/replays",
                    json={"destination": "hook", "allow_duplicates": True},
                    headers={"Authorization": f"Bearer {process.keys.admin}"},
                )
            process.wait_dead()
        with hooked.up() as server:
            status_when(server, lambda _: last_of(server)["state"] == "done")
            status = server.process.status(server.client)
            stopped = commands.run(*asked, "--stop")

        assert before == 3
        assert 3 <= twin.counts.repeated - before <= 4
        assert hooked.taken == dict.fromkeys(range(3), 1)
    assert "each time that it is sent" in refused
    assert (dry["objects"], dry["events"], dry["replay"]) == (3, 3, 0)
    assert (nothing["objects"], nothing["state"]) == (0, "none")
    assert (done["state"], done["delivered"], done["dead"]) == ("done", 3, 0)
    assert "into store (done): 3 of 3 objects, 3 delivered, 0 dead" in stored
    assert "no destination `other`" in unknown
    assert "0 replays ended" in stopped
    assert [(row["store"]["stored"], row["store"]["duplicate"]) for row in status["books"]] == [(3, 0)]
    assert (status["balanced"], hook_of(status)) == (True, {"delivered": 3})


def until_delivered(server: Running, count: int) -> None:
    """
    Wait until so many metric events are delivered.
    """
    status_when(server, lambda found: hook_of(found) == {"delivered": count})


def last_of(server: Running) -> dict[str, Any]:
    """
    Return the newest replay.
    """
    answer = server.client.get("/v1/admin/replays", headers={"Authorization": f"Bearer {server.keys.admin}"})
    found: dict[str, Any] = answer.raise_for_status().json()["replays"][-1]
    return found
