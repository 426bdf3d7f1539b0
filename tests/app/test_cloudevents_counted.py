"""
CloudEvents through the real server: rules reach the attributes, and each event counts once, in whatever mode it comes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cloudevents.core.bindings.http import HTTPMessage, to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from app.server import Running
from crash.process import Process

pytestmark = pytest.mark.engine

PIPELINE = """
stream: {buffer: {seconds: 0.2, megabytes: 5}}
metrics:
  builds:
    bus: ci
    pattern: {detail-type: [com.example.build.finished], cloudevent: {subject: [{prefix: repo/}]}}
    metadata: {tenant_id: $.cloudevent.tenantid, stage: $.detail.stage}
    data: {event_time: $.time, seconds: $.detail.seconds}
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    """
    Run a server whose rule looks at CloudEvents.
    """
    (tmp_path / "metriclake.yaml").write_text(PIPELINE, encoding="utf-8")
    with Process(tmp_path) as process:
        running = Running(tmp_path, process)
        with closing(running.client):
            yield running


def finished(source: str, event_id: str) -> CloudEvent:
    """
    Return an event of acme's.
    """
    attributes = {
        "specversion": "1.0",
        "id": event_id,
        "source": source,
        "type": "com.example.build.finished",
        "time": datetime.now(UTC).replace(minute=0, second=0, microsecond=0),
        "subject": "repo/a",
        "tenantid": "acme",
        "priority": 5,
        "bus": "ci",
        "datacontenttype": "application/json",
    }
    return CloudEvent(attributes, {"stage": "test", "seconds": 2})


def test_source_and_id_together_count_once(server: Running) -> None:
    """
    The same id of two sources is two events; an event sent again, in every mode, is one.
    """
    events = [finished("/ci/one", "1"), finished("/ci/two", "1")]
    array = b"[" + b",".join(map(JSONFormat().write, events)) + b"]"
    batch = HTTPMessage({"content-type": "application/cloudevents-batch+json"}, array)
    singles = [encode(event, JSONFormat()) for event in events for encode in (to_binary, to_structured)]
    for message in (batch, *singles):
        server.post("/v1/events", message.body, **dict(message.headers)).raise_for_status()

    books = server.account("acme", "builds")
    assert (books["received"], books["store"]["stored"], books["store"]["duplicate"]) == (6, 2, 4)
    assert books["store"]["conflict"] == 0
    assert server.ask("acme", metric="builds", measure="seconds", range={"last": "2d"}) == [[4.0]]
