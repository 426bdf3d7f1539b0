"""
A running server with a pipeline file of the tests, and the commands beside it, each a process of its own.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec

from crash.process import Process
from metriclake.stream.lake import unpack
from metriclake.tokens import Keys, mint_tenant, sign_github

_PATIENCE_SECONDS = 60

TENANTS = """
acme: {name: Acme Inc., environment: eu, seats: 12}
globex: {name: Globex}
"""

PIPELINE = """
tenants: {file: tenants.yaml}
stream: {buffer: {seconds: SECONDS, megabytes: 5}}
metrics:
  findings_upload_completed:
    bus: findings-service-bus
    pattern: {source: [findings], detail-type: [findings-uploaded], detail: {kind: [{anything-but: test}]}}
    metadata: {tenant_id: $.detail.tenant_id, event_id: $.detail.event_id, severity: $.detail.severity}
    data:
      event_time: $.detail.created_at
      new_findings_count: $.detail.new
      existing_findings_count: {path: $.detail.existing, type: integer}
  pull_requests_merged:
    bus: github
    pattern: {source: [github], detail-type: [pull_request.closed]}
    metadata: {tenant_id: $.detail.organization.login, repository: $.detail.repository.name}
    data: {event_time: $.time, changed_lines: {path: $.detail.pull_request.additions, unit: lines}}
"""


def write_pipeline(folder: Path, seconds: float = 0.2) -> Path:
    """
    Write a pipeline file and its tenants file; `seconds` is the stream's buffer.
    """
    (folder / "tenants.yaml").write_text(TENANTS, encoding="utf-8")
    (folder / "metriclake.yaml").write_text(PIPELINE.replace("SECONDS", str(seconds)), encoding="utf-8")
    return folder


class Commands:
    """
    The command line, run in a folder.
    """

    def __init__(self, folder: Path) -> None:
        """
        `folder` has the pipeline file, and `data` below it.
        """
        self.folder = folder

    def start(self, *arguments: str, environ: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        """
        Start a command.
        """
        return subprocess.Popen(  # noqa: S603 - this project's own commands
            [sys.executable, "-c", "from metriclake.cli import main; main()", *arguments],
            cwd=self.folder,
            env={**os.environ, **(environ or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *arguments: str, code: int = 0, stdin: bytes = b"", environ: dict[str, str] | None = None) -> str:
        """
        Run a command that must end with `code`; returns what it printed, or of a failure what it said.
        """
        process = self.start(*arguments, environ=environ)
        try:
            printed, said = (text.decode() for text in process.communicate(stdin, timeout=_PATIENCE_SECONDS))
        finally:
            process.kill()
        assert process.returncode == code, f"{arguments} ended with {process.returncode}: {printed}{said}"
        assert "Traceback" not in said
        return said if code else printed

    def json(self, *arguments: str) -> Any:
        """
        Return what a command prints with --json.
        """
        return json.loads(self.run(*arguments, "--json"))


class Running:
    """
    A server process and a client to it.
    """

    def __init__(self, folder: Path, process: Process) -> None:
        """
        Wait until the server answers.
        """
        client = process.client()
        assert client is not None, (folder / "log").read_text(encoding="utf-8")
        self.folder = folder
        self.process = process
        self.client = client
        self.keys: Keys = process.keys
        self.commands = Commands(folder)

    def post(self, path: str, body: bytes, key: str | None = None, **headers: str) -> httpx.Response:
        """
        Send a body to a door.
        """
        bearer = {"Authorization": f"Bearer {self.keys.ingest if key is None else key}"}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post(path, content=body, headers={**bearer, **named})

    def deliver(self, event: str, delivery: str, payload: Any, secret: str | None = None) -> httpx.Response:
        """
        Deliver a webhook as GitHub does.
        """
        body = msgspec.json.encode(payload)
        headers = {
            "X-GitHub-Event": event,
            "X-GitHub-Delivery": delivery,
            "X-Hub-Signature-256": sign_github(body, self.keys.github if secret is None else secret),
            "Content-Type": "application/json",
        }
        return self.client.post("/v1/webhooks/github", content=body, headers=headers)

    def token(self, tenant: str, ttl: timedelta = timedelta(minutes=5), now: datetime | None = None) -> str:
        """
        Return a tenant's token.
        """
        return mint_tenant(self.keys.signing, tenant, now=now or datetime.now(UTC), ttl=ttl)

    def ask(self, tenant: str, **question: Any) -> list[list[Any]]:
        """
        Return the rows of an answer.
        """
        answer = self.client.post(
            "/v1/query", json=question, headers={"Authorization": f"Bearer {self.token(tenant)}"}
        ).raise_for_status()
        rows: list[list[Any]] = answer.json()["rows"]
        return rows

    def settled(self) -> dict[str, Any]:
        """
        Return the status once nothing waits anywhere.
        """
        return self.process.settled(self.client)

    def account(self, tenant: str, metric: str) -> dict[str, Any]:
        """
        Return the books' row of a tenant and metric, once nothing waits.
        """
        found: dict[str, Any] = next(
            (row for row in self.settled()["books"] if (row["tenant"], row["metric"]) == (tenant, metric)), {}
        )
        return found

    def errors(self, reason: str) -> list[dict[str, Any]]:
        """
        Return the refused records that the lake keeps for a reason, with their raw data decoded.
        """
        found = []
        for path in sorted((self.folder / "data" / "lake" / "Error" / reason).rglob("*.ndjson.zst")):
            for line in unpack(path.name, path.read_bytes()).splitlines():
                record = json.loads(line)
                found.append({**record, "raw": base64.b64decode(record["rawData"])})
        return found
