"""
Dead letters by the real program, with a server that runs and without one; and a server that dies on the way.
"""

from __future__ import annotations

import json
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.hooked import Hooked, hook_of, send, status_when
from app.server import Commands
from app.test_main_job import lines, upload
from crash.process import Process
from metriclake.testing import Status, WebhookTwin

pytestmark = pytest.mark.engine

DATA = ("--data", "data")


def test_dead_letters_are_listed_shown_redriven_and_dropped(tmp_path: Path) -> None:
    """
    What a receiver refuses is listed and shown with its reason and event; after a fix it is redriven, or given up.
    """
    with WebhookTwin() as twin:
        hooked = Hooked(tmp_path, twin)
        hooked.say()
        commands = Commands(tmp_path)
        twin.fail(Status(422))
        with hooked.up() as server:
            send(server, 1, 2, 3)
            dead = status_when(server, lambda found: hook_of(found) == {"dead": 3})
            metrics = server.client.get("/metrics").text
            (group,) = commands.json("deadletters", "ls", *DATA)["groups"]
            shown = commands.json("deadletters", "show", "--destination", "hook", *DATA)["letters"]
            said = commands.run("deadletters", "show", "1", *DATA)
            again = commands.json("deadletters", "redrive", "1", *DATA)
            twin.heal()
            one = commands.json("deadletters", "redrive", "--reason", "422", "1", *DATA)
            headers = {"Authorization": f"Bearer {server.keys.admin}"}
            wrong = [
                server.client.get("/v1/admin/deadletters/records", params=params, headers=headers).status_code
                for params in ({"limit": "0"}, {"after": "x"}, {"numbers": "1,y"}, {"limit": "1000"})
            ]
            no_key = server.client.get("/v1/admin/deadletters").status_code
            noted = server.client.get("/v1/admin/audit", headers=headers).json()["lines"]
            strange = server.client.post("/v1/admin/deadletters/drop", json={"number": 1}, headers=headers).status_code
        unknown = commands.run("deadletters", "redrive", "--destination", "other", *DATA, code=1)
        commands.run("deadletters", "drop", *DATA, code=2)
        dropped = commands.json("deadletters", "drop", "2", *DATA)
        without = commands.run("deadletters", "redrive", *DATA)
        left = commands.run("deadletters", "ls", *DATA)
        given_up = commands.json("deadletters", "ls", "--dropped", *DATA)["groups"]
        status = commands.json("status", *DATA)

        assert sum(hooked.taken.values()) == 2
    assert [(line["action"], line["by"], line["facts"]) for line in noted] == [
        ("redrive", "key", {"reason": "422", "numbers": [1]}),
        ("redrive", "key", {"numbers": [1]}),
    ]
    assert dead["balanced"]
    assert 'metriclake_dead_letters{destination="hook"} 3.0' in metrics
    assert dead["failures"] == []
    assert {key: group[key] for key in ("destination", "reason", "tenant", "state", "letters")} == {
        "destination": "hook", "reason": "422", "tenant": "acme", "state": "dead", "letters": 3,
    }  # fmt: skip
    assert [(letter["number"], letter["line"]) for letter in shown] == [(1, 1), (2, 2), (3, 3)]
    assert {json.loads(letter["event"])["metadata"]["event_id"] for letter in shown} == {"1", "2", "3"}
    assert [attempt["answer"] for attempt in shown[0]["attempts"]] == ["422"]
    assert "1: hook: 422 (dead)" in said
    assert (again["redriven"], again["dead"], again["delivered"]) == (1, 1, 0)
    assert (one["redriven"], one["delivered"]) == (1, 1)
    assert (wrong, no_key, strange) == ([400, 400, 400, 200], 401, 400)
    assert "no destination `other`" in unknown
    assert dropped == {"dropped": 1}
    assert "1 dead letters tried again: 1 delivered, 0 dead again, 0 waiting" in without
    assert "no dead letters" in left
    assert [group["letters"] for group in given_up] == [1]
    assert (hook_of(status), status["balanced"]) == ({"delivered": 2, "dead": 1}, True)


@pytest.mark.crash
def test_server_that_dies_on_the_way_sends_nothing_twice_that_would_double(tmp_path: Path) -> None:
    """
    Killed around a request: each event arrives once, or is a dead letter that says that it may have arrived.

    Those that did not arrive are redriven; killed before the redrive is settled, it is settled at the next start.
    """
    with WebhookTwin() as twin:
        hooked = Hooked(tmp_path, twin)
        hooked.say(unknown="dead", concurrency=1)
        last = 0
        for point in ("note:1", "sent:2", "note:4", "checkpoint:2"):
            last += 3
            with Process(tmp_path, crash_at=point) as process:
                client = process.client()
                if client is not None:
                    with closing(client), suppress(httpx.HTTPError):
                        client.post("/v1/events", content=uploads(last), headers=bearer(process.keys.ingest))
                process.wait_dead()
        commands = Commands(tmp_path)
        with hooked.up() as server:
            send(server, *range(last))
            status = status_when(server, lambda found: stored(found) == last and not hook_of(found).get("waiting"))
            letters = commands.json("deadletters", "show", *DATA)["letters"]
        taken, times = set(hooked.taken), set(hooked.taken.values())
        named = {letter["number"]: int(json.loads(letter["event"])["metadata"]["event_id"]) for letter in letters}
        missing = [number for number, name in named.items() if name not in taken]
        with Process(tmp_path, crash_at="settle:1") as process:
            client = process.client()
            assert client is not None
            with closing(client), suppress(httpx.HTTPError):
                headers = bearer(process.keys.admin)
                client.post("/v1/admin/deadletters/redrive", json={"numbers": missing or list(named)}, headers=headers)
            process.wait_dead()
        settled = commands.json("status", *DATA)

        assert hooked.taken.keys() == set(range(last))
    assert times == {1}
    assert letters
    assert {letter["reason"] for letter in letters} == {"unknown-outcome"}
    assert taken | set(named.values()) == set(range(last))
    assert (status["balanced"], settled["balanced"]) == (True, True)
    assert hook_of(settled).get("dead", 0) == len(letters) - len(missing or named)


def uploads(last: int) -> bytes:
    """
    Return uploads by the numbers below one, those of before among them: as a client that got no answer sends again.
    """
    return lines(*(upload("acme", str(number), new=number) for number in range(last)))


def bearer(key: str) -> dict[str, str]:
    """
    Return the header of a key.
    """
    return {"Authorization": f"Bearer {key}"}


def stored(status: dict[str, Any]) -> int:
    """
    Return how many metric events the store has.
    """
    return sum(row["store"]["stored"] for row in status["books"])
