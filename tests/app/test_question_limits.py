"""
Questions to the real server: kept while nothing changes, bounded by the pipeline file, counted for each tenant.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.server import Running, write_pipeline
from crash.process import Process
from patience import until

pytestmark = pytest.mark.engine

UPLOADS = "findings_upload_completed"
FIXED = {"from": "2026-01-01T00:00:00Z", "to": "2030-01-01T00:00:00Z"}
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


def upload(running: Running, tenant: str, *ids: str, age: timedelta = timedelta(), **more: Any) -> None:
    """
    Send uploads of a tenant, a minute between them, and wait until they are in the store.
    """
    now = datetime.now(UTC) - age
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
                **more,
            },
        }
        for index, name in enumerate(ids)
    ]
    assert running.post("/v1/events", msgspec.json.encode(events)).status_code == 200
    running.settled()


def rewrite(running: Running, before: str, after: str) -> None:
    """
    Change the pipeline file, and wait until it is in force.
    """
    file = running.folder / "metriclake.yaml"
    version = running.settled()["pipeline"]["version"]
    file.write_text(file.read_text(encoding="utf-8").replace(before, after), encoding="utf-8")
    until(lambda: running.settled()["pipeline"]["version"] != version)


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

    rewrite(running, "rows_read: 2}", "rows_read: 2000}")
    assert ask(running, "globex", **parts)["rows"] == [[4.5]]


def kept(running: Running, tenant: str, **parts: Any) -> Any:
    """
    Ask a question of fixed moments until its answer is from memory; returns its rows.
    """
    body = ask(running, tenant, range=FIXED, **parts)
    again = ask(running, tenant, range=FIXED, **parts)
    assert again["meta"]["cached"] is True
    assert again["rows"] == body["rows"]
    return again["rows"]


def test_what_is_sent_again_is_in_the_next_answer(running: Running) -> None:
    """
    Refused records that are sent again after a fix are loaded like any other: no answer of before them is given.
    """
    upload(running, "redriven", "1")
    upload(running, "redriven", "2", existing="many")
    assert kept(running, "redriven") == [[1]]
    rewrite(running, "{path: $.detail.existing, type: integer}", "$.detail.existing")
    assert kept(running, "redriven") == [[1]]

    headers = {"Authorization": f"Bearer {running.keys.admin}"}
    sent = running.client.post("/v1/admin/errors/retry", json={"tenant": "redriven"}, headers=headers)
    assert sent.raise_for_status().json()["sent"] == 1
    running.settled()
    answer = ask(running, "redriven", range=FIXED)
    assert (answer["rows"], answer["meta"]["cached"]) == ([[2]], False)


def test_what_is_beyond_its_retention_is_in_no_answer(running: Running) -> None:
    """
    A shorter retention holds for the next answer, whatever is kept.
    """
    upload(running, "aging", "1", age=timedelta(days=3))
    upload(running, "aging", "2")
    assert kept(running, "aging") == [[2]]
    rewrite(running, LIMITS.splitlines()[0], "store: {hot: 1d, retention: 2d}\nquery:")

    answer = ask(running, "aging", range=FIXED)
    assert (answer["rows"], answer["meta"]["cached"]) == ([[1]], False)


def test_what_questions_took_is_counted(running: Running) -> None:
    """
    The admin route tells it for each tenant, `/metrics` for all together and without a tenant's name.
    """
    upload(running, "umbrella", "1", "2")
    before = samples(running)
    for _ in range(5):
        ask(running, "umbrella", range=FIXED, measure="new_findings_count")
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
