"""
The main job by the real server: events in by every door, numbers out for each tenant, and whatever is wrong said.
"""

from __future__ import annotations

import gzip
import json
import signal
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard

from app.server import Commands, Running, write_pipeline
from crash.process import Process

pytestmark = pytest.mark.engine

TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
METRIC = "findings_upload_completed"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """
    Run a server for the tests of this module; each has tenants of its own.
    """
    folder = write_pipeline(tmp_path_factory.mktemp("server"))
    with Process(folder) as process:
        running = Running(folder, process)
        with closing(running.client):
            yield running
            assert process.stop() == 0
    log = (folder / "log").read_text(encoding="utf-8")
    assert all("message" in json.loads(line) for line in log.splitlines())
    assert "Traceback" not in log
    secrets = (running.keys.ingest, running.keys.admin, running.keys.signing, running.keys.github, "eyJ")
    assert not [secret for secret in secrets if secret in log]


def upload(tenant: str | None, event_id: str, **detail: Any) -> dict[str, Any]:
    """
    Return a domain event that the first rule matches; of the detail what is None is left out.
    """
    whole = {
        "tenant_id": tenant,
        "event_id": event_id,
        "created_at": TODAY.isoformat(),
        "severity": "high",
        "new": 1,
        "kind": "real",
    }
    kept = {key: value for key, value in {**whole, **detail}.items() if value is not None}
    bus = "findings-service-bus"
    return {"id": event_id, "source": "findings", "detail-type": "findings-uploaded", "bus": bus, "detail": kept}


def lines(*events: Any) -> bytes:
    """
    Return events as NDJSON.
    """
    return b"".join(msgspec.json.encode(event) + b"\n" for event in events)


def test_what_goes_in_by_every_form_comes_out_as_the_same_numbers(server: Running) -> None:
    """
    One object, arrays, lines, gzip and zstd: the answers are what plain Python computes over what was sent.
    """
    events = [
        upload(
            "main", f"e{index}", created_at=(TODAY - timedelta(days=index % 5, hours=index % 7)).isoformat(),
            severity=("high", "low", None)[index % 3], new=index * 0.5, existing=index if index % 2 else None,
        )
        for index in range(60)
    ]  # fmt: skip
    unmatched = [{**upload("main", "other"), "bus": "elsewhere"}, upload("main", "test", kind="test")]

    answers = [
        server.post("/v1/events", msgspec.json.encode(events[0])),
        server.post("/v1/events", json.dumps(events[1], indent=2).encode()),
        server.post("/v1/events", msgspec.json.encode(events[2:10])),
        server.post("/v1/events", json.dumps(events[10:20], indent=1).encode()),
        server.post("/v1/events", lines(*events[20:30], *unmatched), Content_Type="application/x-ndjson"),
        server.post("/v1/events", gzip.compress(lines(*events[30:45])), Content_Encoding="gzip"),
        server.post("/v1/events", zstandard.compress(lines(*events[45:])), Content_Encoding="zstd"),
        server.post("/v1/events", lines(*events[5:15])),
    ]
    account = server.account("main", METRIC)

    assert [answer.status_code for answer in answers] == [200] * 8
    assert [answer.json()["accepted"] for answer in answers] == [1, 1, 8, 10, 12, 15, 15, 10]
    assert (account["received"], account["laked"]) == (70, 70)
    assert (account["store"]["stored"], account["store"]["duplicate"]) == (60, 10)
    days = {"range": {"last": "10d"}, "metric": METRIC}
    assert server.ask("main", **days) == [[60]]
    by_severity = Counter(event["detail"].get("severity") for event in events)
    assert dict(server.ask("main", **days, group_by=["severity"])) == by_severity
    total = sum(event["detail"].get("existing", 0) for event in events)
    assert server.ask("main", **days, measure="existing_findings_count") == [[total]]
    by_day: Counter[str] = Counter()
    for event in events:
        by_day[event["detail"]["created_at"][:10] + "T00:00:00Z"] += event["detail"]["new"]
    asked = {**days, "measure": "new_findings_count", "interval": "day"}
    assert dict(server.ask("main", **asked)) == by_day


def test_a_stream_tells_of_what_can_be_read_by_then(server: Running) -> None:
    """
    Who listens hears of a metric when its events are counted: the export and the answer have them at once.
    """
    bearer = {"Authorization": f"Bearer {server.token('listening')}"}
    with server.client.stream("GET", "/v1/stream", headers=bearer) as stream:
        heard = (line.partition(": ")[2] for line in stream.iter_lines() if line.startswith("data: "))
        assert json.loads(next(heard))["metrics"] is None
        server.post(
            "/v1/events", lines(*(upload("listening", f"e{index}") for index in range(3)), upload("quiet", "q"))
        )
        told = json.loads(next(heard))
        exported = server.client.get("/v1/export", params={"format": "ndjson"}, headers=bearer)
        counted = server.ask("listening", metric=METRIC, range={"last": "2d"})

    assert told == {"metric": METRIC}
    assert sorted(json.loads(line)["event_id"] for line in exported.text.splitlines()) == ["e0", "e1", "e2"]
    assert counted == [[3]]


def test_metric_events_go_in_as_they_are(server: Running) -> None:
    """
    What is in the unified schema already is validated, enriched and stored.
    """
    events = [
        {
            "metric_name": "ready_made",
            "metadata": {"tenant_id": "acme", "event_id": str(index), "plan": "paid"},
            "data": {"event_time": (TODAY - timedelta(hours=index)).timestamp(), "seconds": index, "ok": True},
        }
        for index in range(10)
    ]

    answer = server.post("/v1/metrics", zstandard.compress(lines(*events)), Content_Encoding="zstd")

    assert answer.json() == {"accepted": 10, "rejected": []}
    assert server.account("acme", "ready_made")["store"]["stored"] == 10
    question = {
        "metric": "ready_made",
        "range": {"last": "2d"},
        "measure": "seconds",
        "group_by": ["tenant_environment"],
    }
    assert server.ask("acme", **question) == [["eu", 45]]


def test_a_webhook_of_github_becomes_a_metric(server: Running) -> None:
    """
    A delivery is a domain event of bus `github`; delivered again it is counted once.
    """
    payload = {
        "action": "closed",
        "organization": {"login": "octo"},
        "repository": {"name": "hello"},
        "pull_request": {"additions": 30, "merged_at": TODAY.isoformat(), "title": "line\nbreak \u2028 and \U0001f600"},
    }

    first = server.deliver("pull_request", "72d3162e-cc78-11e3-81ab-4c9367dc0958", payload)
    again = server.deliver("pull_request", "72d3162e-cc78-11e3-81ab-4c9367dc0958", payload)
    forged = server.deliver("pull_request", "72d3162e-cc78-11e3-81ab-4c9367dc0959", payload, secret="another")

    assert (first.status_code, again.status_code, forged.status_code) == (200, 200, 401)
    store = server.account("octo", "pull_requests_merged")["store"]
    assert (store["stored"], store["duplicate"], store["conflict"]) == (1, 1, 0)
    question = {"metric": "pull_requests_merged", "range": {"last": "2d"}, "measure": "changed_lines"}
    assert server.ask("octo", **question, group_by=["repository"]) == [["hello", 30]]


BAD_BODIES: dict[str, tuple[bytes, dict[str, str], int, str]] = {
    "malformed": (b'{"source": "findings", "detail-type', {}, 400, "truncated"),
    "malformed-array": (b'[{"source": "findings"}, {', {}, 400, "not a JSON array"),
    "half-a-gzip": (gzip.compress(b'{"source": "x"}' * 999)[:60], {"Content_Encoding": "gzip"}, 400, "not whole gzip"),
    "half-a-zstd": (zstandard.compress(bytes(range(256)))[:200], {"Content_Encoding": "zstd"}, 400, "not whole zstd"),
    "not-gzip": (b'{"source": "x"}', {"Content_Encoding": "gzip"}, 400, "not whole gzip"),
    "brotli": (b"...", {"Content_Encoding": "br"}, 415, "gzip, zstd or none"),
    "50-megabytes": (b'{"source": "' + b"x" * 50_000_000 + b'"}', {}, 413, "larger than"),
    "gzip-bomb": (gzip.compress(b" " * 50_000_000), {"Content_Encoding": "gzip"}, 413, "larger than"),
    "zstd-bomb": (zstandard.compress(b" " * 50_000_000), {"Content_Encoding": "zstd"}, 413, "larger than"),
    "empty": (b"", {}, 400, "empty"),
    "not-utf-8": (b'{"source": "\xff"}', {}, 400, "UTF-8"),
    "nan": (lines(upload("bad", "nan")).replace(b'"new":1', b'"new":NaN'), {}, 400, "malformed"),
    "infinity": (lines(upload("bad", "inf")).replace(b'"new":1', b'"new":-Infinity'), {}, 400, "malformed"),
    "no-source": (b'{"detail-type": "x", "detail": {}}', {}, 400, "source"),
    "unknown-field": (b'{"source": "x", "detail-type": "x", "detail": {}, "tenant": 1}', {}, 400, "tenant"),
    "detail-text": (b'{"source": "x", "detail-type": "x", "detail": "{}"}', {}, 400, "`detail` must be an object"),
    "time-text": (b'{"source": "x", "detail-type": "x", "detail": {}, "time": "now"}', {}, 400, "time"),
    "nested": (
        b'{"source": "x", "detail-type": "x", "detail": {"a": ' + b"[" * 5000 + b"]" * 5000 + b"}}",
        {},
        400,
        "",
    ),
    "nested-array": (b"[" * 100_000, {}, 400, ""),
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_a_bad_body_is_refused_in_words_and_nothing_of_it_taken(server: Running, name: str) -> None:
    """
    Each bad body gets its status and a reason; nothing of it is accepted, and the server goes on.
    """
    body, headers, status, words = BAD_BODIES[name]
    before = server.settled()["domain_events"]["accepted"]

    answer = server.post("/v1/events", body, **headers)

    assert answer.status_code == status
    assert words in answer.text
    assert len(answer.text) < 1000
    assert server.settled()["domain_events"]["accepted"] == before
    assert server.client.get("/readyz").json()["failures"] == []


def test_of_a_mixed_request_the_good_is_taken(server: Running) -> None:
    """
    Good items are accepted beside bad ones, and each bad one is named by its index.
    """
    body = lines(upload("mixed", "1")) + b'{"source": 7}\n' + lines(upload("mixed", "2")) + b"nonsense\n"

    answer = server.post("/v1/events", body, Content_Type="application/x-ndjson")

    assert (answer.status_code, answer.json()["accepted"]) == (207, 2)
    assert [item["index"] for item in answer.json()["rejected"]] == [1, 3]
    assert server.account("mixed", METRIC)["store"]["stored"] == 2


@pytest.mark.parametrize("path", ["/v1/events", "/v1/metrics"])
@pytest.mark.parametrize("key", ["", "wrong", "ADMIN", "ümlaut"])
def test_a_wrong_key_opens_no_door(server: Running, path: str, key: str) -> None:
    """
    Without the ingest key nothing is taken; the admin key is another one.
    """
    given = (server.keys.admin if key == "ADMIN" else key).encode()

    answer = server.client.post(path, content=b"{}", headers={b"Authorization": (b"Bearer " + given).strip()})

    assert answer.status_code == 401
    assert "key" in answer.json()["detail"]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no-tenant": (upload(None, "r1"), "missing-tenant"),
    "odd-tenant": (upload("a/../b", "r2"), "invalid-tenant"),
    "no-time": (upload("refused", "r3", created_at=""), "invalid-event-time"),
    "yesterday": (upload("refused", "r4", created_at="yesterday"), "invalid-event-time"),
    "no-offset": (upload("refused", "r5", created_at="2026-01-01T00:00:00"), "invalid-event-time"),
    "old": (upload("refused", "r6", created_at="2001-01-01T00:00:00Z"), "expired"),
    "future": (upload("refused", "r7", created_at="2100-01-01T00:00:00Z"), "future"),
    "text-for-integer": (upload("refused", "r8", existing="7"), "type-mismatch"),
    "half-for-integer": (upload("refused", "r9", existing=7.5), "type-mismatch"),
    "nan-as-text": (upload("refused", "r10", existing="NaN"), "type-mismatch"),
    "list": (upload("refused", "r11", new=[1]), "invalid-measure"),
    "object-for-dimension": (upload("refused", "r12", severity={"a": 1}), "invalid-dimension"),
    "too-large-a-number": (upload("refused", "r13", new=2**64 + 1), "invalid-measure"),
    "long-dimension": (upload("refused", "r14", severity="x" * 3000), "invalid-dimension"),
    "unicode": (upload("refused", "r15", created_at="\U0001f600 \u2028 \u0000"), "invalid-event-time"),
}


@pytest.fixture(scope="module")
def refused(server: Running) -> dict[str, dict[str, Any]]:
    """
    Send every record that is refused in one request; return what the lake keeps of each, by event id.
    """
    answer = server.post("/v1/events", lines(*(event for event, _ in REFUSED.values())))
    assert answer.json() == {"accepted": len(REFUSED), "rejected": []}
    server.settled()
    reasons = {reason for _, reason in REFUSED.values()}
    kept = [{**record, "reason": reason} for reason in reasons for record in server.errors(reason)]
    return {json.loads(record["raw"]).get("id"): record for record in kept}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_record_is_kept_with_its_reason(refused: dict[str, dict[str, Any]], name: str) -> None:
    """
    The record lies under `Error/<reason>/` with words for its sender, and raw as it was sent.
    """
    event, reason = REFUSED[name]

    record = refused[event["id"]]

    assert record["reason"] == reason
    assert record["raw"] == msgspec.json.encode(event)
    assert record["errorCode"] == "Metriclake." + "".join(word.capitalize() for word in reason.split("-"))
    assert record["errorMessage"]
    assert "yesterday" not in record["errorMessage"]
    assert record["metricName"] == METRIC
    assert record["tenantId"] == ("refused" if event["detail"].get("tenant_id") == "refused" else "(none)")


def test_refused_records_stand_in_the_books(server: Running, refused: dict[str, dict[str, Any]]) -> None:
    """
    What was refused is counted as rejected, for its tenant or for none, and the books balance.
    """
    assert refused
    assert server.account("refused", METRIC)["rejected"] == len(REFUSED) - 2
    assert server.account("(none)", METRIC)["rejected"] == 2
    assert server.settled()["balanced"]


def test_tokens_open_their_own_tenant_only(server: Running) -> None:
    """
    An expired or forged token, one without a tenant and the keys of other doors open nothing; another's opens its own.
    """
    server.post("/v1/events", lines(upload("own", "1"), upload("others", "1"), upload("others", "2")))
    server.settled()
    question = {"metric": METRIC, "range": {"last": "2d"}}
    expired = server.token("own", timedelta(minutes=1), datetime.now(UTC) - timedelta(hours=1))
    forged = server.token("own")[:-6] + "AAAAAA"

    for token in (expired, forged, server.keys.ingest, server.keys.admin, server.keys.signing):
        answer = server.client.post("/v1/query", json=question, headers={"Authorization": f"Bearer {token}"})
        assert (answer.status_code, "tenant token" in answer.json()["detail"]) == (401, True)
    assert server.ask("own", **question) == [[1]]
    assert server.ask("others", **question) == [[2]]


def test_the_admin_routes_need_the_admin_key(server: Running) -> None:
    """
    Neither a tenant's token nor the ingest key shows the books.
    """
    for key in (server.keys.ingest, server.token("acme"), ""):
        headers = {"Authorization": f"Bearer {key}".strip()}
        assert server.client.get("/v1/admin/status", headers=headers).status_code == 401


def test_commands_talk_to_the_running_server(server: Running, tmp_path: Path) -> None:
    """
    `put`, `status`, `query` and `token` work beside a server, through it.
    """
    file = tmp_path / "events.ndjson"
    file.write_bytes(lines(*(upload("commanded", str(index), new=index) for index in range(5))))
    commands, data = server.commands, ("--data", "data")

    assert commands.json("put", str(file), *data) == {"accepted": 5, "rejected": []}
    server.settled()
    status = commands.json("status", *data)
    assert {"stages", "books", "balanced"} <= status.keys()
    assert status["balanced"]
    assert (status["directory"]["source"], status["directory"]["unavailable_since"]) == ("file", None)
    assert "tenants' directory (file): answers" in commands.run("status", *data)
    row = next(row for row in status["books"] if row["tenant"] == "commanded")
    assert row["store"] == dict.fromkeys(row["store"], 0) | {"stored": 5}
    asked = ("query", "--tenant", "commanded", "--metric", METRIC, *data)
    assert commands.json(*asked, "--measure", "new_findings_count", "--last", "2d")["rows"] == [[10.0]]
    assert "5" in commands.run(*asked)
    assert commands.run(*asked, "--csv").split() == ["value", "5"]
    token = commands.run("token", "tenant", "commanded", *data).splitlines()[-1]
    answer = server.client.get("/v1/catalog", headers={"Authorization": f"Bearer {token}"})
    assert [metric["name"] for metric in answer.json()["metrics"]] == [METRIC]
    assert commands.run("token", "ingest", *data).splitlines()[-1] == server.keys.ingest


def test_the_command_asks_all_that_can_be_asked(server: Running) -> None:
    """
    Each part of a question has its option, and a file of questions is answered name by name.
    """
    sent = [upload("asked", str(index), new=index, existing=index % 2, severity="abb"[index % 3]) for index in range(6)]
    assert server.post("/v1/events", lines(*sent)).json()["accepted"] == 6
    server.settled()
    commands, data = server.commands, ("--tenant", "asked", "--data", "data")
    asked = ("query", "--metric", METRIC, *data)
    filters = ("--filter", "new_findings_count>=2", "--filter", "severity!=a", "--filter", "severity^=b")
    assert commands.json(*asked, *filters)["rows"] == [[3]]
    assert commands.json(*asked, "--measure", "new_findings_count / existing_findings_count")["rows"] == [[15 / 3]]
    assert commands.json(*asked, "--measure", "severity", "--aggregate", "unique")["rows"] == [[2]]
    compared = commands.json(*asked, "--interval", "day", "--compare", "previous_period", "--fill", "zero")
    assert [column["name"] for column in compared["columns"]] == ["time", "value", "previous"]
    assert sum(row[1] for row in compared["rows"]) == 6
    assert commands.json(*asked, "--group-by", "severity", "--limit", "1")["rows"] == [["b", 4], ["other", 2]]


def test_the_command_asks_questions_together(server: Running, tmp_path: Path) -> None:
    """
    A file of questions has each answer under its name; a wrong one ends with 1, after the others are printed.
    """
    assert server.post("/v1/events", lines(upload("together", "1"))).json()["accepted"] == 1
    server.settled()
    data = ("--tenant", "together", "--data", "data")
    question = {"metric": METRIC, "range": {"last": "2d"}}
    file = tmp_path / "questions.json"
    file.write_text(json.dumps({"in all": question, "wrong": {**question, "measure": "new"}}), encoding="utf-8")

    process = server.commands.start("query", "--queries", str(file), *data)
    printed, _ = process.communicate(timeout=60)
    right = json.dumps({"queries": {"a": question}})
    answers = server.commands.json("query", "--queries", right, *data)["queries"]

    assert process.returncode == 1
    assert [word in printed.decode() for word in ("in all", "wrong", "there is no measure")] == [True] * 3
    assert answers["a"]["rows"] == [[1]]


def test_a_command_that_is_refused_says_why(server: Running) -> None:
    """
    An unknown metric, SQL and a question without a metric fail with words and their exit code.
    """
    asked = ("query", "--tenant", "nobody", "--data", "data")

    assert "there is no metric" in server.commands.run(*asked, "--metric", METRIC, code=1)
    assert "not in this version" in server.commands.run(*asked, "SELECT 1", code=1)
    assert "--metric" in server.commands.run(*asked, code=2)
    assert "tenant id" in server.commands.run("token", "tenant", "a/b", "--data", "data", code=1)


def test_put_names_what_was_rejected(server: Running) -> None:
    """
    `put` ends with 1 where something was rejected, and says which and why.
    """
    body = lines(upload("put", "1")) + b'{"source": 7}\n'

    process = server.commands.start("put", "-", "--json", "--data", "data")
    printed, _ = process.communicate(body, timeout=60)

    assert process.returncode == 1
    found = json.loads(printed)
    assert (found["accepted"], [item["index"] for item in found["rejected"]]) == (1, [1])


def test_a_second_server_on_the_data_directory_is_refused(server: Running) -> None:
    """
    A data directory has one server; the second one is told which.
    """
    said = server.commands.run("up", "-c", "metriclake.yaml", "--data", "data", "--port", "0", code=1)

    assert str(server.client.base_url).rstrip("/") in said
    assert "in use" in said


def test_a_port_in_use_is_refused(server: Running) -> None:
    """
    Where the port is taken, the error names it, and nothing is made in the data directory.
    """
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])

        said = server.commands.run("up", "-c", "metriclake.yaml", "--data", "other", "--port", port, code=1)

    assert port in said
    assert "another --port" in said
    assert not (server.folder / "other").exists()


@pytest.mark.parametrize("depth", [50, 400, 850, 950])
def test_nesting_is_refused_or_taken_and_the_stream_goes_on(server: Running, depth: int) -> None:
    """
    However deep an event is nested, it is refused at the door or comes through: it never stops the stream.
    """
    event = lines(upload(f"nested-{depth}", "1")).replace(b'"kind":"real"', b'"kind":' + b"[" * depth + b"]" * depth)

    answer = server.post("/v1/events", event)
    server.post("/v1/events", lines(upload(f"nested-{depth}", "2")))

    assert answer.status_code in {200, 400}
    assert server.account(f"nested-{depth}", METRIC)["store"]["stored"] >= 1
    assert server.client.get("/readyz").json()["failures"] == []


@pytest.mark.parametrize("value", [b"1e400", b'"\\ud800"', b"-0", b"[[[1]]]", b'"\\u0000"', b"1" + b"0" * 5000])
def test_a_metric_event_with_odd_values_leaves_the_books_balanced(server: Running, value: bytes) -> None:
    """
    A metric event whose data no parser takes is refused at the door or kept as it was sent, in its tenant's books.
    """
    tenant = f"odd-{value[:12].hex()}"
    data = b'"data":{"event_time":"yesterday","x":' + value + b"}"
    sent = b'{"metric_name":"odd","metadata":{"tenant_id":"' + tenant.encode() + b'","event_id":"1"},' + data + b"}"

    answer = server.post("/v1/metrics", sent)
    account = server.account(tenant, "odd")

    assert answer.status_code in {200, 400}
    if answer.status_code == 200:
        assert account["received"] == account["rejected"] == 1
        reasons = ("invalid-event-time", "malformed")
        assert sent in [record["raw"] for reason in reasons for record in server.errors(reason)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_flushes_what_was_accepted(tmp_path: Path, number: signal.Signals) -> None:
    """
    A server that is told to stop stores all that it has accepted, and the commands find it so without a server.
    """
    folder = write_pipeline(tmp_path, seconds=600)
    sent = [upload("acme", str(index), new=index) for index in range(500)]
    with Process(folder) as process:
        running = Running(folder, process)
        with closing(running.client):
            assert running.post("/v1/events", lines(*sent)).json()["accepted"] == 500
            waiting = process.status(running.client)
            assert waiting["domain_events"]["in_flight"] == 500
        process._process.send_signal(number)
        assert process._process.wait(timeout=60) == 0

    commands, data = Commands(folder), ("--data", "data")
    status = commands.json("status", *data)
    (row,) = status["books"]
    assert (row["received"], row["in_flight"], row["laked"], row["store"]["stored"]) == (500, 0, 500, 500)
    assert status["balanced"]
    asked = ("query", "--tenant", "acme", "--metric", METRIC, "--measure", "new_findings_count", *data)
    assert commands.json(*asked)["rows"] == [[sum(range(500))]]


def test_commands_work_without_a_server(tmp_path: Path) -> None:
    """
    Where no server runs, `put`, `status`, `query`, `tenant` and `token` open the data directory themselves.
    """
    folder = write_pipeline(tmp_path)
    commands, data = Commands(folder), ("--data", "data")
    body = lines(upload("acme", "1", new=2.5), upload("acme", "2", created_at="yesterday"))

    printed = commands.run("put", "-", "--json", *data, stdin=body)
    status = commands.json("status", *data)

    assert json.loads(printed) == {"accepted": 2, "rejected": []}
    (row,) = status["books"]
    assert (row["received"], row["rejected"], row["laked"], row["store"]["stored"]) == (2, 1, 1, 1)
    assert status["balanced"]
    asked = ("query", "--tenant", "acme", "--metric", METRIC, "--measure", "new_findings_count", *data)
    assert commands.json(*asked, "--group-by", "tenant_name")["rows"] == [["Acme Inc.", 2.5]]
    exported = commands.run("tenant", "export", "acme", "--format", "ndjson", "-o", "-", *data)
    assert [json.loads(line)["event_id"] for line in exported.splitlines()] == ["1"]
    assert [found["rows"] for found in commands.json("tenant", "ls", *data)["tenants"]] == [1]
    assert len(commands.run("token", "tenant", "acme", *data).splitlines()[-1].split(".")) == 3
