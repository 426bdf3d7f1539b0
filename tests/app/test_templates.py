"""
Metrics that are written as EventBridge does, by the real server: counted, kept when they fail, and right after a fix.
"""

from __future__ import annotations

import json
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from app.server import Running
from app.test_main_job import TODAY, lines
from crash.process import Process
from metriclake._errors import InvalidPipeline
from metriclake.app import configure

BROKEN = r"""
stream: {buffer: {seconds: 0.1}}
metrics:
  orders:
    pattern: {source: [shop]}
    metadata: {tenant_id: $.detail.tenant, customer: $.detail.customer}
    data: {event_time: $.detail.at, total: $.detail.total}
  revenue:
    pattern: {source: [shop], detail: {paid: [true]}}
    input_paths: {tenant: $.detail.tenant, customer: $.detail.customer, at: $.detail.at, total: $.detail.total}
    input_template: |
      {
        "metadata": {"tenant_id": <tenant>, "customer": "<customer>"},
        "data": {"event_time": <at>, "total": <total>}
      }
    data: {total: {type: double, unit: EUR}}
  raw:
    pattern: {source: [shop], detail: {paid: [false]}}
    input_path: $.metric
"""
FIXED = BROKEN.replace('"<customer>"', "<customer>")


def order(event_id: str, customer: str, **detail: Any) -> dict[str, Any]:
    """
    Return a domain event of acme.
    """
    whole = {"tenant": "acme", "customer": customer, "at": TODAY.isoformat(), "total": 2.5, "paid": True, **detail}
    return {"id": event_id, "source": "shop", "detail-type": "order", "detail": whole}


def retry(server: Running, **asked: Any) -> int:
    """
    Send refused records again; returns how many were sent.
    """
    headers = {"Authorization": f"Bearer {server.keys.admin}"}
    sent: int = 0
    while True:
        part: dict[str, Any] = (
            server.client.post("/v1/admin/errors/retry", json=asked, headers=headers).raise_for_status().json()
        )
        sent += part["sent"]
        if not part["next"]:
            return sent
        asked.update(after=part["next"], as_of=part["as_of"])


def test_failed_transform_is_retried_without_double_counting(tmp_path: Path) -> None:
    """
    One rule of two cannot transform an event, as the log has warned; the other counts it once, also after two retries.
    """
    file = tmp_path / "metriclake.yaml"
    file.write_text(BROKEN, encoding="utf-8")
    with Process(tmp_path) as process:
        server = Running(tmp_path, process)
        with closing(server.client):
            server.post("/v1/events", lines(order("1", "Ada"), order("2", 'The "Best" Ltd'))).raise_for_status()
            failed = server.account("(none)", "revenue")
            before = server.ask("acme", metric="orders", range={"last": "10d"})
            file.write_text(FIXED, encoding="utf-8")
            version = server.process.status(server.client)["pipeline"]["version"]
            while server.process.status(server.client)["pipeline"]["version"] == version:
                time.sleep(0.05)
            retried = retry(server, reason="transform-failed")
            server.settled()
            again = retry(server, again=True)
            orders, revenue = server.account("acme", "orders"), server.account("acme", "revenue")

            assert [record["errorMessage"][:26] for record in server.errors("transform-failed")] == [
                "<customer> stands in quote"
            ]
            assert [json.loads(record["raw"])["id"] for record in server.errors("transform-failed")] == ["2"]
            assert (failed["received"], failed["rejected"], failed["laked"]) == (1, 1, 0)
            assert (retried, again) == (1, 1)
            assert (orders["store"]["stored"], orders["store"]["duplicate"], orders["store"]["conflict"]) == (2, 2, 0)
            assert (revenue["store"]["stored"], revenue["store"]["duplicate"]) == (2, 1)
            assert before == server.ask("acme", metric="orders", range={"last": "10d"}) == [[2]]
            assert server.ask("acme", metric="revenue", measure="total", range={"last": "10d"}) == [[5]]
            assert server.settled()["balanced"]
        assert process.stop() == 0
    log = map(json.loads, (tmp_path / "log").read_text(encoding="utf-8").splitlines())
    assert [(line["metric"], line["trap"], line["place"].rpartition(":")[0]) for line in log if "trap" in line] == [
        ("revenue", "quoted", f"{file}:11"),
        ("raw", "never-there", f"{file}:19"),
        ("raw", "never-there", f"{file}:19"),
    ]


def test_units_of_a_template_are_declared(tmp_path: Path) -> None:
    """
    The measures of a template are known with their order, types and units before an event comes.
    """
    file = tmp_path / "metriclake.yaml"
    file.write_text(FIXED, encoding="utf-8")
    configured = configure(file, {})

    assert configured.declared == {("orders", "total"): None, ("revenue", "total"): "EUR"}
    assert configured.plan.types == {"orders": {}, "revenue": {"total": "double"}, "raw": {}}


def test_faults_of_inputs_have_their_places(tmp_path: Path) -> None:
    """
    A path, a template and a measure that it does not make are each named at their own line.
    """
    file = tmp_path / "metriclake.yaml"
    text = FIXED.replace("at: $.detail.at, total", "at: detail, total").replace("$.metric\n", "'$.a[x]'\n")
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidPipeline) as refused:
        configure(file, {})
    file.write_text(FIXED.replace("<at>", "<when>").replace('"total": <total>', ""), encoding="utf-8")
    with pytest.raises(InvalidPipeline) as second:
        configure(file, {})

    assert [(fault.place, fault.what) for fault in refused.value.faults] == [
        (f"{file}:10:73", "the path 'detail' does not begin with $"),
        (f"{file}:19:5", "the path '$.a[x]' cannot be read at character 4"),
    ]
    (fault,) = second.value.faults
    assert fault.place == f"{file}:11:5"
    assert fault.what == "InputTemplate for target revenue contains invalid placeholder when."
    assert fault.hint.startswith("line 3, column 26 of the template: name it in `input_paths`")
