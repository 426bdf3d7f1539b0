"""
Questions over all tenants, and provenance, by the real server: for the admin key and nobody else.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any

import httpx
import pytest

from app.server import Running, write_pipeline
from app.test_main_job import METRIC, TODAY, lines, upload
from crash.process import Process
from metriclake.stream.lake import unpack

pytestmark = pytest.mark.engine

ASKED = {"metric": METRIC, "range": {"last": "7d"}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """
    Run a server whose store has rows of two tenants.
    """
    folder = write_pipeline(tmp_path_factory.mktemp("fleet"))
    with Process(folder) as process:
        running = Running(folder, process)
        with closing(running.client):
            old = (TODAY - timedelta(days=9)).isoformat()
            running.post("/v1/events", lines(*(upload("acme", f"a{index}", new=2) for index in range(4))))
            running.post("/v1/events", lines(upload("globex", "g1", new=5), upload("globex", "g0", created_at=old)))
            running.settled()
            yield running
            assert process.stop() == 0


def asked(server: Running, bearer: str, **parts: Any) -> httpx.Response:
    """
    Ask a fleet question.
    """
    headers = {"Authorization": f"Bearer {bearer}"}
    return server.client.post("/v1/admin/fleet", json={**ASKED, **parts}, headers=headers)


def test_all_tenants_are_shown_for_the_admin_key(server: Running) -> None:
    """
    Each view answers over all tenants, in the form of a tenant's answer.
    """
    measured = {"measure": "new_findings_count"}
    total = asked(server, server.keys.admin, **measured).json()
    top = asked(server, server.keys.admin, show="top", **measured).json()
    movers = asked(server, server.keys.admin, show="movers").json()
    adoption = asked(server, server.keys.admin, show="adoption").json()

    assert (total["rows"], total["meta"]["tenants"]) == ([[13.0]], 2)
    assert top["rows"] == [["acme", 8.0], ["globex", 5.0]]
    assert movers["rows"] == [["acme", 4, 0, 4]]
    assert [column["name"] for column in movers["columns"]] == ["tenant", "value", "previous", "change"]
    assert adoption["rows"] == [[2, 1.0]]


def test_no_token_of_a_tenant_opens_it(server: Running) -> None:
    """
    A tenant's token and the ingest key are refused, and the route of tenants knows no `show`.
    """
    refused = [asked(server, key).status_code for key in (server.token("acme"), server.keys.ingest, "x")]
    headers = {"Authorization": f"Bearer {server.token('acme')}"}
    tenants = server.client.post("/v1/query", json={**ASKED, "show": "top"}, headers=headers)

    assert refused == [401, 401, 401]
    assert (tenants.status_code, tenants.json()["errors"][0]["place"]) == (400, "show")


def test_a_fault_is_said_with_its_place(server: Running) -> None:
    """
    What cannot be asked is refused as a tenant's question is, and what is no JSON as a body is.
    """
    wrong = asked(server, server.keys.admin, metric="uplods", show="tops")
    headers = {"Authorization": f"Bearer {server.keys.admin}"}

    assert wrong.status_code == 400
    assert [fault["place"] for fault in wrong.json()["errors"]] == ["show", "metric"]
    assert server.client.post("/v1/admin/fleet", content=b"{", headers=headers).status_code == 400


def test_a_point_tells_its_objects_and_rules(server: Running) -> None:
    """
    Provenance names lake objects that are there, with the sample's events in them, and the rule as the file had it.
    """
    body = {"tenant": "acme", "question": {**ASKED, "interval": "day"}, "time": f"{TODAY:%Y-%m-%d}T00:00:00Z"}
    headers = {"Authorization": f"Bearer {server.keys.admin}"}
    found = server.client.post("/v1/admin/provenance", json=body, headers=headers).raise_for_status().json()
    (one,) = found["objects"]
    (rule,) = found["rules"]
    lake = server.folder / "data" / "lake"
    lines_of = unpack(one["path"], (lake / one["path"]).read_bytes()).splitlines()
    known = {json.loads(line)["metadata"]["event_id"] for line in lines_of}

    assert (found["value"], one["rows"]) == (4, 4)
    assert set(one["event_ids"]) == {f"a{index}" for index in range(4)} <= known
    assert (lake / one["manifest"]).exists()
    assert (rule["version"], rule["in_force"]) == (one["version"], True)
    assert rule["rule"]["pattern"]["source"] == ["findings"]


def test_no_token_of_a_tenant_learns_where_its_points_come_from(server: Running) -> None:
    """
    A tenant's token and the ingest key are refused.
    """
    body = {"tenant": "acme", "question": ASKED}
    bearers = [{"Authorization": f"Bearer {key}"} for key in (server.token("acme"), server.keys.ingest)]

    for headers in (*bearers, {}):
        assert server.client.post("/v1/admin/provenance", json=body, headers=headers).status_code == 401


def test_the_catalogue_is_that_of_all_tenants(server: Running) -> None:
    """
    Every metric is there with its dimensions and measures; one whose values came as two types has drifted.
    """
    headers = {"Authorization": f"Bearer {server.keys.admin}"}
    (metric,) = server.client.get("/v1/admin/catalog", headers=headers).raise_for_status().json()["metrics"]
    (measure,) = metric["measures"]

    assert (metric["name"], "severity" in metric["dimensions"]) == (METRIC, True)
    assert measure == {"name": "new_findings_count", "types": ["double"], "unit": None, "drifted": False}
    server.post("/v1/events", lines(upload("acme", "drifting", new="many")))
    server.settled()
    (metric,) = server.client.get("/v1/admin/catalog", headers=headers).json()["metrics"]
    assert (metric["measures"][0]["types"], metric["measures"][0]["drifted"]) == (["double", "string"], True)


def test_who_looks_as_a_tenant_leaves_a_line(server: Running) -> None:
    """
    The admin key gets a token of one tenant, which the query API takes; log and trail name the tenant, and no token.
    """
    headers = {"Authorization": f"Bearer {server.keys.admin}"}
    found = server.client.post("/v1/admin/view-as", json={"tenant": "globex"}, headers=headers).json()
    bearer = {"Authorization": f"Bearer {found['token']}"}
    seen = server.client.post("/v1/query", json=ASKED, headers=bearer).raise_for_status().json()
    refused = [
        server.client.post("/v1/admin/view-as", json={"tenant": "globex"}, headers=other).status_code
        for other in (bearer, {}, {"Authorization": f"Bearer {server.keys.ingest}"})
    ]
    wrong = [
        server.client.post("/v1/admin/view-as", json=body, headers=headers).status_code
        for body in ({"tenant": "a/../b"}, {}, {"tenant": "acme", "for": "ever"})
    ]
    log = (server.folder / "log").read_text(encoding="utf-8")
    said = [json.loads(line) for line in log.splitlines() if "noted in the audit trail" in line]

    assert seen["rows"] == [[1]]
    assert (refused, wrong) == ([401, 401, 401], [400, 400, 400])
    noted = server.client.get("/v1/admin/audit", headers=headers).json()["lines"]
    assert [(line["action"], line["tenant"], line["by"]) for line in said] == [("view-as", "globex", "key")]
    assert [(line["action"], line["tenant"], line["by"]) for line in noted] == [("view-as", "globex", "key")]
    assert found["token"] not in log


def test_no_internal_route_reads_a_body_without_end(server: Running) -> None:
    """
    Every internal route that takes a body, by the program's own list, refuses one larger than it can need.
    """
    headers = {"Authorization": f"Bearer {server.keys.admin}", "X-Metriclake-Page": "1"}
    paths = server.client.get("/openapi.json").json()["paths"]
    takes = [
        path
        for path, found in paths.items()
        if path.startswith("/v1/admin/") and "requestBody" in found.get("post", {})
    ]
    found = {path: server.client.post(path, content=b" " * 5_000_000, headers=headers).status_code for path in takes}

    assert {"/v1/admin/session", "/v1/admin/fleet", "/v1/admin/errors/retry"} <= found.keys()
    assert set(found.values()) == {413}, found
