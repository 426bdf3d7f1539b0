"""
Questions to the real server: kept while nothing changes, bounded by the pipeline file, counted for each tenant.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.server import Running, write_pipeline
from crash.process import Process

pytestmark = pytest.mark.engine

UPLOADS = "findings_upload_completed"
LIMITS = "query:\n  limits: {concurrent: 1}\n  tenants: {globex: {rows_read: 2}}\n"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """
    Run a server that limits one of its tenants.
    """
    folder = write_pipeline(tmp_path_factory.mktemp("server"))
    with (folder / "metriclake.yaml").open("a", encoding="utf-8") as file:
        file.write(LIMITS)
    with Process(folder) as process:
        found = Running(folder, process)
        with closing(found.client):
            yield found


def upload(running: Running, tenant: str, *ids: str) -> None:
    """
    Send uploads of a tenant, and wait until they are in the store.
    """
    now = datetime.now(UTC)
    events = [
        {
            "id": name,
            "source": "findings",
            "detail-type": "findings-uploaded",
            "bus": "findings-service-bus",
            "detail": {
                "tenant_id": tenant,
                "event_id": name,
                "kind": "real",
                "created_at": (now - timedelta(minutes=index)).isoformat(),
                "new": 1.5,
            },
        }
        for index, name in enumerate(ids)
    ]
    assert running.post("/v1/events", msgspec.json.encode(events)).status_code == 200
    running.settled()


def ask(running: Running, tenant: str, **parts: Any) -> Any:
    """
    Ask how many uploads a tenant had, as a program of its own would; returns the body.
    """
    question = {"metric": UPLOADS, "range": {"last": "30d"}, **parts}
    headers = {"Authorization": f"Bearer {running.token(tenant)}"}
    return running.client.post("/v1/query", json=question, headers=headers).json()


def usage(running: Running) -> dict[str, Any]:
    """
    Return the accounts by tenant.
    """
    headers = {"Authorization": f"Bearer {running.keys.admin}"}
    body = running.client.get("/v1/admin/usage", headers=headers).raise_for_status().json()
    return {account["tenant"]: account for account in body["tenants"]}


def samples(running: Running) -> dict[tuple[str, ...], float]:
    """
    Return what `/metrics` says of questions, by name and labels.
    """
    families = text_string_to_metric_families(running.client.get("/metrics").text)
    found = {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}
    return {key: value for key, value in found.items() if "question" in key[0] or "cache" in key[0]}


def test_an_answer_is_kept_until_something_is_loaded(running: Running) -> None:
    """
    The second viewer's answer is from memory; the first one's after a load has what was loaded.
    """
    upload(running, "acme", "1", "2")
    first, second = ask(running, "acme"), ask(running, "acme")
    if second["meta"]["to"] == first["meta"]["to"]:
        assert (first["meta"]["cached"], second["meta"]["cached"]) == (False, True)
    assert first["rows"] == second["rows"] == [[2]]

    upload(running, "acme", "3")
    third = ask(running, "acme")
    assert (third["rows"], third["meta"]["cached"]) == ([[3]], False)
    assert third["meta"]["fresh_as_of"] > second["meta"]["fresh_as_of"]

    upload(running, "initech", "1")
    fourth = ask(running, "acme")
    if fourth["meta"]["to"] == third["meta"]["to"]:
        assert fourth["meta"]["cached"] is True
    assert ask(running, "initech")["rows"] == [[1]]


def test_a_tenant_has_limits_of_its_own(running: Running) -> None:
    """
    What one tenant may not read is answered with the limit; another may, and so may it once the file says so.
    """
    upload(running, "globex", "1", "2", "3")
    parts = {"measure": "new_findings_count", "aggregate": "sum"}
    refused = ask(running, "globex", **parts)
    assert (refused["status"], refused["title"]) == (422, "The question needs more than it may use")
    assert "more than 2 rows" in refused["errors"][0]["error"]
    assert ask(running, "acme", **parts)["rows"][0][0] >= 4.5

    file = running.folder / "metriclake.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("rows_read: 2}", "rows_read: 2000}"), encoding="utf-8")
    until = time.monotonic() + 30
    while "rows" not in (answer := ask(running, "globex", **parts)) and time.monotonic() < until:
        time.sleep(0.1)
    assert answer["rows"] == [[4.5]]


def test_what_questions_took_is_counted(running: Running) -> None:
    """
    The admin route tells it for each tenant, `/metrics` for all together and without a tenant's name.
    """
    upload(running, "umbrella", "1", "2")
    before = samples(running)
    fixed = {"from": "2026-01-01T00:00:00Z", "to": "2030-01-01T00:00:00Z"}
    for _ in range(5):
        ask(running, "umbrella", range=fixed, measure="new_findings_count")
    assert ask(running, "umbrella", metric="nothing")["status"] == 400
    account, after = usage(running)["umbrella"], samples(running)

    assert (account["questions"], account["answered"], account["cached"], account["invalid"]) == (6, 1, 4, 1)
    assert (account["statements"], account["rows_read"] >= 2, account["bytes_read"] > 0) == (2, True, True)
    assert account["engine_ms"] > 0
    assert account["cpu_ms"] > 0
    grown = {key: after[key] - before[key] for key in after}
    assert grown["metriclake_questions_total", "cached"] == 4
    assert grown["metriclake_questions_rows_read_total",] == account["rows_read"]
    assert grown["metriclake_answer_cache_answers",] >= 1
    assert 0 < after["metriclake_answer_cache_hit_share",] < 1
    assert (after["metriclake_questions_running",], after["metriclake_questions_waiting",]) == (0, 0)
    assert "umbrella" not in running.client.get("/metrics").text


def test_usage_is_the_admins_alone(running: Running) -> None:
    """
    Who uses how much is told to nobody without the admin key.
    """
    assert running.client.get("/v1/admin/usage").status_code == 401
    for key in (running.keys.ingest, running.token("acme")):
        headers = {"Authorization": f"Bearer {key}"}
        assert running.client.get("/v1/admin/usage", headers=headers).status_code == 401
