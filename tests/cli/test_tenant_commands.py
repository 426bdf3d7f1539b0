"""
The commands `tenant`: what they list and export, and that no file of theirs is ever half there.
"""

from __future__ import annotations

import asyncio
import csv
import importlib
import json
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from starlette.types import Receive, Scope, Send

from app.server import Running, write_pipeline
from app.test_main_job import METRIC, TODAY, lines, upload
from crash.process import Process
from metriclake._errors import MetriclakeError
from metriclake.cli import main
from metriclake.cli.tenant_commands import export_tenant
from metriclake.in_process import InProcess
from metriclake.serve import Reached
from metriclake.tokens import Keys

pytestmark = pytest.mark.engine

EVENTS = [
    *(upload("acme", f"a{index}", created_at=(TODAY - timedelta(days=index)).isoformat()) for index in range(4)),
    upload("globex", "g1"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """
    Run a server whose store has rows of two tenants.
    """
    folder = write_pipeline(tmp_path_factory.mktemp("tenants"))
    with Process(folder) as process:
        running = Running(folder, process)
        with closing(running.client):
            running.post("/v1/events", lines(*EVENTS))
            running.settled()
            yield running
            assert process.stop() == 0


class Tenant:
    """
    The commands `tenant`, run in this process in a folder of its own.
    """

    def __init__(self, server: Running, folder: Path) -> None:
        """
        Beside a server.
        """
        self.folder = folder
        self._data = ("--data", str(server.folder / "data"))

    def run(self, *arguments: str, code: int = 0) -> str:
        """
        Run a command that must end with `code`; returns what it printed, or of a failure what it said.
        """
        result = CliRunner().invoke(main, ["tenant", *arguments, *self._data])
        assert result.exit_code == code, result.output
        return result.stderr if code else result.stdout


@pytest.fixture
def tenant(server: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tenant:
    """
    Run commands in an empty folder.
    """
    monkeypatch.chdir(tmp_path)
    return Tenant(server, tmp_path)


def ids(rows: list[dict[str, Any]]) -> list[str]:
    """
    Return the event ids of exported rows.
    """
    return sorted(row["event_id"] for row in rows)


def test_tenants_are_listed(tenant: Tenant) -> None:
    """
    Each tenant comes with its metrics, rows, first and last time, as JSON and as a table.
    """
    acme, globex = json.loads(tenant.run("ls", "--json"))["tenants"]

    assert (acme["tenant"], acme["metrics"], acme["rows"]) == ("acme", [METRIC], 4)
    assert acme["first_time"] == f"{TODAY - timedelta(days=3):%Y-%m-%d}T00:00:00Z"
    assert acme["last_time"] == globex["first_time"] == f"{TODAY:%Y-%m-%d}T00:00:00Z"
    assert all(word in tenant.run("ls") for word in ("acme", "globex", acme["first_time"]))


def test_a_tenants_rows_are_exported(tenant: Tenant) -> None:
    """
    Every format has all rows of the tenant and nobody else's; a range and a metric bound them.
    """
    parquet: Any = importlib.import_module("pyarrow.parquet")
    since = (TODAY - timedelta(days=1)).isoformat()

    said = tenant.run("export", "acme", "--format", "parquet", "-o", "acme.parquet")
    printed = tenant.run("export", "acme", "--format", "ndjson", "--metric", METRIC, "--from", since, "-o", "-")
    named = tenant.run("export", "globex")

    assert said.split()[:4] == ["wrote", "acme.parquet:", "4", "rows,"]
    assert ids(parquet.read_table("acme.parquet").to_pylist()) == ["a0", "a1", "a2", "a3"]
    assert ids([json.loads(line) for line in printed.splitlines()]) == ["a0", "a1"]
    assert named.startswith("wrote globex_metrics.csv: 1 rows")
    with (tenant.folder / "globex_metrics.csv").open(encoding="utf-8", newline="") as text:
        assert ids(list(csv.DictReader(text))) == ["g1"]


def test_what_cannot_be_exported_leaves_no_file(tenant: Tenant) -> None:
    """
    A tenant or a metric that is not there, and a file that is, are refused in words, and nothing is written.
    """
    file = tenant.folder / "file.csv"
    asked = ("-o", str(file))

    assert "nothing of this tenant" in tenant.run("export", "acne", *asked, code=1)
    assert "not a tenant id" in tenant.run("export", "../x", *asked, code=1)
    assert "did you mean" in tenant.run("export", "acme", "--metric", f"{METRIC}s", *asked, code=1)
    assert "cannot be written" in tenant.run("export", "acme", "-o", str(file / "x"), code=1)
    assert [*tenant.folder.iterdir()] == []
    file.write_text("kept", encoding="utf-8")
    assert "--force" in tenant.run("export", "acme", *asked, code=1)
    assert file.read_text(encoding="utf-8") == "kept"
    tenant.run("export", "acme", "--force", *asked)
    assert len(file.read_text(encoding="utf-8").splitlines()) == 5
    assert [path.name for path in tenant.folder.iterdir()] == ["file.csv"]


def test_the_admin_routes_of_tenants_need_the_admin_key(server: Running) -> None:
    """
    Nobody lists tenants or exports one of them with another key, or with a tenant's token.
    """
    for path in ("/v1/admin/tenants", "/v1/admin/tenants/acme/export"):
        for key in ("", server.keys.ingest, server.token("acme")):
            answer = server.client.get(path, headers={"Authorization": f"Bearer {key}".rstrip()})
            assert (answer.status_code, answer.json()["title"]) == (401, "Unauthorized")


@pytest.mark.parametrize("whole", [True, False])
def test_an_export_that_is_cut_leaves_nothing(tmp_path: Path, *, whole: bool) -> None:
    """
    Where the answer ends before it is whole, the command fails, and no file is there, half or under another name.
    """

    def suffixes() -> list[str]:
        return [path.suffix for path in tmp_path.iterdir()]

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-rows", b"2")]})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        assert suffixes() == [".part"]
        if whole:
            await send({"type": "http.response.body", "body": b" and half"})

    async def work() -> dict[str, Any]:
        async with httpx.AsyncClient(transport=InProcess(app), base_url="http://in-process") as client:
            keys = Keys("ingest", "admin", "signing", "github")
            return await export_tenant(Reached(client, keys), "acme", {}, tmp_path / "file", force=False)

    if whole:
        assert asyncio.run(work())["bytes"] == len("half and half")
        assert (tmp_path / "file").read_bytes() == b"half and half"
    else:
        with pytest.raises(MetriclakeError, match="nothing is kept"):
            asyncio.run(work())
        assert [*tmp_path.iterdir()] == []
