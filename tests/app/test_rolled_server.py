"""
A running server builds rollups of what it loads, answers from them, and says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from crash.process import Process
from metriclake.tokens import mint_tenant
from patience import until

pytestmark = pytest.mark.engine

PIPELINE = """store: {rollup_from: 0}
stream: {buffer: {seconds: 0.2}}
metrics:
  uploads:
    pattern: {source: [s]}
    metadata: {tenant_id: $.detail.tenant_id, kind: $.detail.kind}
    data: {event_time: $.time, size: $.detail.size}
"""


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    """
    Run a server with rollups for whoever has events.
    """
    (tmp_path / "metriclake.yaml").write_text(PIPELINE, encoding="utf-8")
    with Process(tmp_path) as running:
        yield running


def sent(days: int) -> bytes:
    """
    Return an event a day, of two kinds, before today.
    """
    noon = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
    events = (
        {
            "source": "s",
            "detail-type": "upload",
            "time": (noon - timedelta(days=day)).isoformat(),
            "detail": {"tenant_id": "acme", "kind": "ab"[day % 2], "size": day},
        }
        for day in range(1, days + 1)
    )
    return b"".join(msgspec.json.encode(event) + b"\n" for event in events)


def ask(process: Process, client: httpx.Client, **more: Any) -> dict[str, Any]:
    """
    Ask for the sum of the last days.
    """
    token = mint_tenant(process.keys.signing, "acme", now=datetime.now(UTC))
    question = {"metric": "uploads", "measure": "size", "aggregate": "sum", "range": {"last": "30d"}, **more}
    answer = client.post("/v1/query", json=question, headers={"Authorization": f"Bearer {token}"})
    found: dict[str, Any] = answer.raise_for_status().json()
    return found


def test_a_server_answers_from_rollups_and_says_so(process: Process, tmp_path: Path) -> None:
    """
    `meta`, the status and `/metrics` tell of rollups; without them, by the file, the answers are the same.
    """
    client = process.client()
    assert client is not None
    with closing(client):
        headers = {"Authorization": f"Bearer {process.keys.ingest}", "Content-Type": "application/x-ndjson"}
        client.post("/v1/events", content=sent(20), headers=headers).raise_for_status()
        until(lambda: ask_or_none(process, client) == [[210.0]])

        until(lambda: len(process.status(client)["rollups"]) == 6)
        whole = ask(process, client, range={"last": "29d"})  # another question: the one above is answered from memory
        assert (whole["meta"]["rollup"], whole["rows"]) == (True, [[210.0]])
        by_kind = ask(process, client, group_by=["kind"])
        assert (by_kind["meta"]["rollup"], by_kind["rows"]) == (True, [["a", 110.0], ["b", 100.0]])
        assert not ask(process, client, aggregate="p50")["meta"]["rollup"]

        status = process.status(client)
        assert {(one["metric"], tuple(one["dimensions"])) for one in status["rollups"]} == {
            ("uploads", ()),
            ("uploads", ("kind",)),
        }
        assert {one["interval"] for one in status["rollups"]} == {"quarter", "hour", "day"}
        assert status["stages"]["rollups"].keys() == {"lag_seconds", "waiting"}
        assert 'metriclake_stage_lag_seconds{stage="rollups"}' in client.get("/metrics").text

        (tmp_path / "metriclake.yaml").write_text(
            PIPELINE.replace("rollup_from: 0", "rollups: false"), encoding="utf-8"
        )
        until(lambda: not process.status(client)["rollups"])
        raw = ask(process, client, group_by=["kind"])
        assert (raw["meta"]["rollup"], raw["rows"]) == (False, by_kind["rows"])


def ask_or_none(process: Process, client: httpx.Client) -> list[list[Any]] | None:
    """
    Return the rows of the answer; None while there is none yet.
    """
    try:
        rows: list[list[Any]] = ask(process, client)["rows"]
    except httpx.HTTPStatusError:
        return None
    return rows
