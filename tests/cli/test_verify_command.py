"""
`status --verify` by the real program: whole beside a server at work, and with each number that was changed.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.server import Running, write_pipeline
from app.test_main_job import METRIC, lines, upload
from crash.process import Process
from metriclake.cli import main

pytestmark = pytest.mark.engine


def verify(folder: Path, *more: str) -> Result:
    """
    Run the command in this process.
    """
    given = ("status", "--verify", "--data", str(folder / "data"), *more)
    return CliRunner().invoke(main, given, catch_exceptions=False)


def test_books_are_verified_beside_a_server_at_work(tmp_path: Path) -> None:
    """
    While events come in nothing differs; a counter, a manifest and rows of the store that were changed are all named.
    """
    write_pipeline(tmp_path, seconds=0.05)
    with Process(tmp_path) as process:
        server = Running(tmp_path, process)
        with closing(server.client):
            stop = threading.Event()

            def send() -> None:
                for number in range(10_000):
                    if stop.is_set():
                        return
                    sent = (upload("acme", f"{number}-{n}", existing=n or "many") for n in range(20))
                    server.post("/v1/events", lines(*sent, upload(None, f"{number}")))

            sender = threading.Thread(target=send)
            sender.start()
            try:
                whole = [verify(tmp_path, "--json")]
                until = time.monotonic() + 60
                while time.monotonic() < until and (len(whole) < 5 or not json.loads(whole[-1].output)["objects"]):
                    whole.append(verify(tmp_path, "--json"))
            finally:
                stop.set()
                sender.join()
            server.settled()
            with closing(sqlite3.connect(tmp_path / "data" / "journal.db", timeout=30)) as journal, journal:
                journal.execute("UPDATE counters SET amount = amount + 1 WHERE counter = 'stored'")
            gone = next((tmp_path / "data" / "lake" / "Manifest").rglob("*.json"))
            gone.unlink()
            changed, printed = verify(tmp_path, "--json"), verify(tmp_path)
            unknown = server.post("/v1/admin/recount", b'{"aftre": ""}', key=server.keys.admin).status_code
            closed = server.post("/v1/admin/recount", b"{}").status_code
        assert process.stop() == 0

    assert [(one.exit_code, json.loads(one.output)["differences"]) for one in whole] == [(0, [])] * len(whole)
    assert json.loads(whole[-1].output)["objects"] > 0
    found = json.loads(changed.output)
    named = {(one["scope"], one["tenant"], one["counter"]): one["difference"] for one in found["differences"]}
    assert (changed.exit_code, printed.exit_code, found["ok"]) == (1, 1, False)
    assert named["store", "acme", "stored"] == -1
    assert named["stream", "acme", "laked"] < 0
    assert named["stream", "(none)", "archived"] < 0
    assert METRIC in printed.output
    assert (unknown, closed) == (400, 401)
