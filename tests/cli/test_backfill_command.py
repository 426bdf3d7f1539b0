"""
What the command `backfill` asks and says, beside a server at work.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing

import pytest
from click.testing import CliRunner, Result

from app.server import Running, write_pipeline
from app.test_main_job import lines, upload
from crash.process import Process
from metriclake.cli import main

pytestmark = pytest.mark.engine

ADDED = """
  uploads_by_kind:
    bus: findings-service-bus
    pattern: {source: [findings]}
    metadata: {tenant_id: $.detail.tenant_id, event_id: $.detail.event_id, kind: $.detail.kind}
    data: {event_time: $.detail.created_at, existing: {path: $.detail.existing, type: integer}}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """
    Serve three events of which one cannot be counted, then add a metric to the file that is served.
    """
    folder = write_pipeline(tmp_path_factory.mktemp("added"))
    with Process(folder) as process:
        running = Running(folder, process)
        with closing(running.client):
            sent = (upload("acme", "1"), upload("acme", "2", existing=5), upload("acme", "3", existing="many"))
            running.post("/v1/events", lines(*sent)).raise_for_status()
            running.settled()
            file = folder / "metriclake.yaml"
            version = process.status(running.client)["pipeline"]["version"]
            file.write_text(file.read_text("utf-8") + ADDED, encoding="utf-8")
            while process.status(running.client)["pipeline"]["version"] == version:
                assert not process.dead
            yield running
        assert process.stop() == 0


def run(server: Running, *arguments: str, said: str = "") -> Result:
    """
    Run the command in this process.
    """
    given = ("backfill", *arguments, "--data", str(server.folder / "data"))
    return CliRunner().invoke(main, given, input=said, catch_exceptions=False)


def test_it_says_what_would_be_made_and_asks(server: Running) -> None:
    """
    A no makes nothing, and a dry run does not ask; both say how many of which tenant, and what would be refused.
    """
    refused = run(server, "uploads_by_kind", "--since", "90d", said="n\n")
    dry = json.loads(run(server, "uploads_by_kind", "--since", "90d", "--dry-run", "--json").output)

    assert (refused.exit_code, "Make it?" in refused.output, "1 type-mismatch" in refused.output) == (0, True, True)
    assert dry["tenants"] == [
        {"tenant": "acme", "received": 3, "laked": 2, "beyond": 0, "refused": {"type-mismatch": 1}}
    ]
    assert server.account("acme", "uploads_by_kind") == {}


def test_yes_makes_it_and_the_chart_has_it(server: Running) -> None:
    """
    When the command ends the store has the metric; a second run says that it is done.
    """
    made = run(server, "uploads_by_kind", "--since", "90d", said="y\n")
    rows = server.ask("acme", metric="uploads_by_kind", range={"last": "2d"}, group_by=["kind"])
    again = run(server, "uploads_by_kind", "--since", "90d", "--yes", "--destination", "store")

    assert (made.exit_code, rows) == (0, [["real", 2]])
    assert "1 batches were done by an earlier backfill" in again.output
    assert server.account("acme", "uploads_by_kind")["rejected"] == 1
    assert server.settled()["balanced"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("misspelt", "--since", "90d", "--yes"), 1, "no metric 'misspelt'"),
        (("uploads_by_kind", "--since", "soon", "--yes"), 1, "`from` must be a date or a time"),
        (("uploads_by_kind", "--since", "90d", "--yes", "--destination", "crm"), 1, "no destination 'crm'"),
        (("uploads_by_kind", "--since", "90d", "--json"), 2, "give --dry-run or --yes"),
        (("uploads_by_kind",), 2, "--since"),
    ],
)
def test_what_cannot_be_done_is_said(server: Running, arguments: tuple[str, ...], code: int, words: str) -> None:
    """
    A wrong metric, time, destination or use ends with words and an exit code.
    """
    found = run(server, *arguments)

    assert (found.exit_code, words in found.output) == (code, True)


def test_route_wants_the_admin_key_and_a_body_it_knows(server: Running) -> None:
    """
    The ingest key opens nothing, and an unknown key of the body is an error.
    """
    known = {"metric": "uploads_by_kind", "dry_run": True}
    answers = [
        server.post("/v1/admin/backfill", json.dumps(body).encode(), key=key).status_code
        for body, key in ((known, None), ({**known, "frmo": "x"}, server.keys.admin), (known, server.keys.admin))
    ]

    assert answers == [401, 400, 200]
