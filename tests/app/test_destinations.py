"""
Destinations of a real server: they get what is laked, change with the pipeline file, and never hold up its end.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from app.hooked import Hooked, hook_of, send, status_when
from app.server import Commands
from metriclake.testing import WebhookTwin

pytestmark = pytest.mark.engine

DATA = ("--data", "data")


def stored(status: dict[str, Any]) -> int:
    """
    Return how many metric events the store has.
    """
    return sum(row["store"]["stored"] for row in status["books"])


def test_destinations_get_what_is_laked_and_change_with_the_file(tmp_path: Path) -> None:
    """
    Added, it gets what was laked before; with a new key it goes on; removed, it is gone; back, it has missed nothing.
    """
    with WebhookTwin() as twin:
        hooked = Hooked(tmp_path, twin)
        with hooked.up() as server:
            send(server, 1, 2)
            send(server, 2, 3)
            status_when(server, lambda found: stored(found) == 3)
            hooked.say(secrets=["whsec_" + "A" * 32])
            refused = status_when(server, lambda found: found["failures"])
            hooked.say()
            status = status_when(server, lambda found: hook_of(found) == {"delivered": 4} and not found["failures"])
            metrics = server.client.get("/metrics").text
            told = Commands(tmp_path).run("status", *DATA)
            hooked.silence()
            gone = status_when(server, lambda found: "hook" not in found["stages"])
            send(server, 4)
            status_when(server, lambda found: stored(found) == 4)
            hooked.say(start="now")
            back = status_when(server, lambda found: hook_of(found) == {"delivered": 5})
            hooked.say(name="other")
            other = status_when(server, lambda found: hook_of(found, "other") == {"not_mapped": 5})

        assert hooked.taken == dict.fromkeys((1, 2, 3, 4), 1)
        assert "401" in refused["failures"][0]
        assert twin.secret not in str(refused)
    assert [one["balanced"] for one in (refused, status, gone, back, other)] == [True] * 5
    assert status["stages"]["hook"] == {"lag_seconds": 0.0, "waiting": 0}
    assert 'metriclake_destination_metric_events{counter="delivered",destination="hook"} 4.0' in metrics
    assert 'metriclake_dead_letters{destination="hook"} 0.0' in metrics
    assert "hook: 4 delivered" in told
    assert hook_of(gone) == {}


def test_server_ends_without_a_destination_that_is_away(tmp_path: Path) -> None:
    """
    Stopped while a receiver is gone the server ends at once, and the next one delivers what waits.
    """
    with WebhookTwin() as twin:
        hooked = Hooked(tmp_path, twin)
        hooked.say()
        twin.away()
        with hooked.up() as server:
            send(server, 1, 2)
            waiting = status_when(server, lambda found: found["failures"] and hook_of(found) == {"waiting": 2})
            began = time.monotonic()
            assert server.process.stop() == 0
            took = time.monotonic() - began
        twin.back()
        with hooked.up() as server:
            status = status_when(server, lambda found: hook_of(found) == {"delivered": 2})

        assert hooked.taken == dict.fromkeys((1, 2), 1)
    assert took < 15
    assert (waiting["balanced"], status["balanced"]) == (True, True)


def test_wrong_function_is_refused_at_check(tmp_path: Path) -> None:
    """
    A Python destination whose function is not there is a fault of the file, with its place.
    """
    with WebhookTwin() as twin:
        hooked = Hooked(tmp_path, twin)
        hooked.file.write_text(hooked.without + "\ndestinations: {mine: {type: python, call: 'nowhere:f'}}\n")

        assert "metriclake.yaml:" in Commands(tmp_path).run("check", code=1)
