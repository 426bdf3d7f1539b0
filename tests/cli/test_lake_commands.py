"""
The lake's commands by the real program, with a server that runs and without one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.server import Commands, Running, write_pipeline
from app.test_main_job import METRIC, lines, upload
from crash.process import Process

pytestmark = pytest.mark.engine

DATA = ("--data", "data")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """
    Serve once: one event that passes, and three refused records of two tenants.
    """
    write_pipeline(tmp_path)
    with Process(tmp_path) as process:
        server = Running(tmp_path, process)
        with closing(server.client):
            events = (
                upload("acme", "1"),
                upload("acme", "2", existing="many"),
                upload("globex", "3", existing="many"),
                upload(None, "4"),
            )
            server.post("/v1/events", lines(*events)).raise_for_status()
            server.settled()
            yield tmp_path
        assert process.stop() == 0


def relax(folder: Path) -> None:
    """
    Fix the pipeline file: the count may be any type.
    """
    file = folder / "metriclake.yaml"
    file.write_text(file.read_text("utf-8").replace(", type: integer", ""), encoding="utf-8")


def asked(process: Process, **params: str) -> httpx.Response:
    """
    Ask the running server for refused records.
    """
    client = process.client()
    assert client is not None
    with closing(client):
        headers = {"Authorization": f"Bearer {process.keys.admin}"}
        return client.get("/v1/admin/errors/records", params=params, headers=headers)


def test_refused_records_are_listed_shown_and_retried(folder: Path) -> None:
    """
    While a server runs the commands ask it; after the fix they open the directory themselves; nothing counts twice.
    """
    commands = Commands(folder)
    listed = commands.json("errors", "ls", *DATA)["errors"]
    shown = commands.json("errors", "show", *DATA, "--tenant", "acme")["records"]

    assert {(one["reason"], one["tenant"], one["records"], one["retried"]) for one in listed} == {
        ("type-mismatch", "acme", 1, 0),
        ("type-mismatch", "globex", 1, 0),
        ("missing-tenant", "(none)", 1, 0),
    }
    assert [(one["metric"], one["kind"], json.loads(one["raw"])["id"]) for one in shown] == [(METRIC, "events", "2")]
    assert commands.json("errors", "retry", *DATA, "--dry-run")["sent"] == 3
    assert "2 refused records, 2 sent again" in commands.run("errors", "retry", *DATA, "--reason", "type-mismatch")


def test_retry_after_a_fix_is_counted_once(tmp_path: Path) -> None:
    """
    Refused, fixed, retried without a server, retried by mistake, and again: the chart has each event once.
    """
    write_pipeline(tmp_path)
    commands = Commands(tmp_path)
    events = (upload("acme", "1"), upload("acme", "2", existing="many"), upload("acme", "3", existing="some"))
    commands.run("put", "-", *DATA, stdin=lines(*events))
    relax(tmp_path)
    first = commands.json("errors", "retry", *DATA)
    second = commands.run("errors", "retry", *DATA)
    again = commands.json("errors", "retry", *DATA, "--again")
    status = commands.json("status", *DATA)
    (row,) = status["books"]

    assert (first["sent"], again["sent"]) == (2, 2)
    assert "2 were sent by an earlier retry" in second
    assert "0 sent again" in second
    assert status["balanced"]
    assert (row["received"], row["rejected"], row["store"]["stored"], row["store"]["duplicate"]) == (7, 2, 3, 2)
    assert "type-mismatch" in commands.run("errors", "ls", *DATA)
    assert '"existing":"many"' in commands.run("errors", "show", *DATA)


def test_lake_check_finds_what_was_done(folder: Path) -> None:
    """
    A whole lake ends with 0; one without an object, with 1, and the object's name.
    """
    commands = Commands(folder)
    whole = commands.json("lake", "check", *DATA)
    gone = next((folder / "data" / "lake" / "Archive").rglob("*.zst"))
    gone.unlink()
    found = commands.start("lake", "check", *DATA, "--json")
    answer: dict[str, Any] = json.loads(found.communicate(timeout=60)[0])

    assert (whole["ok"], whole["findings"]) == (True, [])
    assert (whole["manifests"] >= 1, whole["objects"] >= 4) == (True, True)
    assert found.returncode == 1
    assert [(one["what"], one["path"].rpartition("/")[2]) for one in answer["findings"]] == [("missing", gone.name)]
    assert commands.json("lake", "check", *DATA, "--to", "2020-01-01")["manifests"] == 0


def test_routes_refuse_what_they_do_not_understand(tmp_path: Path) -> None:
    """
    An unknown reason, a time that is none, a limit out of range, a body with another key or too large: each is said.
    """
    write_pipeline(tmp_path)
    with Process(tmp_path) as process:
        assert asked(process, reason="because").status_code == 400
        assert "`from`" in asked(process, **{"from": "soon"}).json()["detail"]
        assert [asked(process, limit=limit).status_code for limit in ("0", "1001", "x", "1000")] == [400, 400, 400, 200]
        client = process.client()
        assert client is not None
        with closing(client):
            headers = {"Authorization": f"Bearer {process.keys.admin}"}
            assert client.post("/v1/admin/errors/retry", json={"agian": True}, headers=headers).status_code == 400
            for path in ("errors/retry", "deadletters/redrive", "deadletters/drop", "replays", "recount", "backfill"):
                large = client.post(f"/v1/admin/{path}", content=b" " * 262_145, headers=headers)
                assert (large.status_code, "at most 262144 bytes" in large.json()["detail"]) == (413, True), path
            assert client.get("/v1/admin/lake/check", params={"after": "x"}, headers=headers).status_code == 400
            for path in ("lake/check", "errors", "errors/records"):
                assert client.get(f"/v1/admin/{path}").status_code == 401
            assert client.post("/v1/admin/errors/retry").status_code == 401


def test_commands_want_a_data_directory(tmp_path: Path) -> None:
    """
    Asking about a directory that is not there does not make one.
    """
    commands = Commands(tmp_path)

    for command in (("lake", "check"), ("errors", "ls"), ("errors", "show"), ("errors", "retry")):
        assert "data directory" in commands.run(*command, "--data", "missing", code=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.crash
def test_retry_whose_server_is_killed_goes_on(tmp_path: Path) -> None:
    """
    The server dies after the second batch was sent, before it says so: the next retry sends the third, and no other.
    """
    write_pipeline(tmp_path, seconds=0.01)
    commands = Commands(tmp_path)
    for number in range(3):
        commands.run("put", "-", *DATA, stdin=lines(upload("acme", str(number), existing="many")))
    relax(tmp_path)
    with Process(tmp_path, crash_at="append:2") as process:
        client = process.client()
        assert client is not None
        client.close()
        assert "run it again" in commands.run("errors", "retry", *DATA, code=1)
        process.wait_dead()
    found = commands.json("errors", "retry", *DATA)
    (row,) = commands.json("status", *DATA)["books"]

    assert (found["already"], found["sent"]) == (2, 1)
    assert (row["received"], row["rejected"], row["store"]["stored"], row["store"]["duplicate"]) == (6, 3, 3, 0)


def test_preview_says_what_an_edited_file_would_change(folder: Path) -> None:
    """
    The archived events are run through an edited copy beside the file in force; nothing is changed by it.
    """
    commands = Commands(folder)
    edited = folder / "edited.yaml"
    edited.write_text((folder / "metriclake.yaml").read_text("utf-8").replace(", type: integer", ""), encoding="utf-8")
    asked = ("preview", METRIC, "--since", "1d", "--edited", str(edited), *DATA)
    told = commands.json(*asked)
    same = commands.run("preview", METRIC, "--since", "1d", *DATA, code=1)

    assert told["events"] == 4
    differences = {one["tenant"]: one for one in told["differences"]}
    assert (differences["acme"]["before"], differences["acme"]["after"], differences["acme"]["added"]) == (1, 2, 1)
    assert differences["globex"]["refused_before"] == {"type-mismatch": 1}
    assert "in force already" in same
    assert "acme" in commands.run(*asked)
