"""
What the doors take, complete, refuse and answer; a real journal stands behind them.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any

import pytest
import zstandard

from gateway.doorstep import KEYS, MAX_BODY, MAX_EVENT, Doorstep
from metriclake.books import STORE
from metriclake.entry import Entry, EntryKind
from metriclake.journal import SqliteJournal

EVENT = {"id": "1", "source": "s", "detail-type": "t", "time": "2026-01-31T12:00:00Z", "detail": {"n": 1}}
METRIC = {"metric_name": "m", "metadata": {"tenant_id": "acme", "event_id": "1"}, "data": {"event_time": 1, "n": 1}}

PACK: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}


@pytest.fixture
def door(journal: SqliteJournal) -> Doorstep:
    """
    Stand before a gateway on a fresh journal.
    """
    return Doorstep(journal)


def without(record: dict[str, Any], *names: str) -> dict[str, Any]:
    """
    Return a record that lacks some of its keys.
    """
    return {key: value for key, value in record.items() if key not in names}


@pytest.mark.parametrize(("path", "record"), [("/v1/events", EVENT), ("/v1/metrics", METRIC)])
@pytest.mark.parametrize("form", ["object", "pretty", "array", "pretty array", "lines"])
@pytest.mark.parametrize("encoding", ["", "gzip", "zstd"])
def test_every_form_is_taken(door: Doorstep, path: str, record: dict[str, Any], form: str, encoding: str) -> None:
    """
    One object, an array or lines, in every compression: each record is kept as it was sent, on one line.
    """
    records = [record] if form in ("object", "pretty") else [record, record]
    value: Any = record if len(records) == 1 else records
    text = json.dumps(value, indent=2 if "pretty" in form else None)
    body = ("\n".join(map(json.dumps, records)) if form == "lines" else text).encode()
    answer = door.post(path, PACK[encoding](body), {"Content-Encoding": encoding} if encoding else {})

    assert (200, {"accepted": len(records), "rejected": []}) == (answer.status_code, answer.json())
    assert records == door.kept()


def test_one_request_is_one_entry(door: Doorstep) -> None:
    """
    All that a request brings is one entry of the journal, with its count.
    """
    door.post("/v1/events", json.dumps([EVENT] * 3).encode())

    (entry,) = door.journal.read(0, 0, 10)
    assert (entry.kind, entry.count) == (EntryKind.EVENTS, 3)


def test_metric_events_are_counted_by_tenant_and_metric(door: Doorstep) -> None:
    """
    The books know of each metric event from the door on; one without a usable tenant stands under `(none)`.
    """
    stray = {**METRIC, "metadata": {"tenant_id": "a/b", "event_id": "2"}}
    door.post("/v1/metrics", json.dumps([METRIC, METRIC, stray]).encode())

    assert [(one.tenant, one.metric, one.received, one.in_flight) for one in door.journal.books(STORE).accounts] == [
        ("(none)", "m", 1, 1),
        ("acme", "m", 2, 2),
    ]


@pytest.mark.parametrize(
    ("records", "status", "accepted", "indexes"),
    [
        ([EVENT, EVENT], 200, 2, []),
        ([EVENT, {}, EVENT, 7], 207, 2, [1, 3]),
        ([{}, None, "x", []], 400, 0, [0, 1, 2, 3]),
        ([], 200, 0, []),
    ],
)
def test_each_item_is_judged_alone(
    door: Doorstep, records: list[Any], status: int, accepted: int, indexes: list[int]
) -> None:
    """
    200 when all were accepted, 207 when some were, 400 when none; the rejected are named by index.
    """
    answer = door.post("/v1/events", json.dumps(records).encode())

    assert (status, accepted) == (answer.status_code, answer.json()["accepted"])
    assert indexes == [item["index"] for item in answer.json()["rejected"]]
    assert accepted == len(door.kept())


@pytest.mark.parametrize(("path", "lacking"), [("/v1/events", '"source"'), ("/v1/metrics", '"data"')])
def test_each_of_many_items_keeps_its_number(journal: SqliteJournal, path: str, lacking: str) -> None:
    """
    Items so many that they are checked some at a time are named by their own indexes, and have ids of their own.
    """
    door = Doorstep(journal, max_body=2**20)
    sent = without(EVENT, "id") if path == "/v1/events" else {**METRIC, "metadata": {"tenant_id": "acme"}}
    wrong = [0, 199, 200, 201, 650, 999]
    texts = [json.dumps(sent)] * 1000
    for index in wrong:
        texts[index] = texts[index].replace(lacking, '"other"')
    answer = door.post(path, "\n".join(texts).encode(), {"Content-Type": "application/x-ndjson"})

    assert wrong == [item["index"] for item in answer.json()["rejected"]]
    assert answer.json()["accepted"] == 1000 - len(wrong)
    ids = {record["id"] if path == "/v1/events" else record["metadata"]["event_id"] for record in door.kept()}
    assert len(ids) == 1000 - len(wrong)
    if path == "/v1/metrics":
        (account,) = door.journal.books(STORE).accounts
        assert account.received == 1000 - len(wrong)


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (without(EVENT, "source"), "source"),
        (without(EVENT, "detail-type"), "detail-type"),
        (without(EVENT, "detail"), "detail"),
        ({**EVENT, "detail": [1]}, "`detail` must be an object"),
        ({**EVENT, "detail": None}, "`detail` must be an object"),
        ({**EVENT, "source": ""}, "source"),
        ({**EVENT, "source": 7}, "source"),
        ({**EVENT, "id": None}, "id"),
        ({**EVENT, "id": ""}, "id"),
        ({**EVENT, "id": "x" * 257}, "id"),
        ({**EVENT, "time": "2026-01-31T12:00:00"}, "time"),
        ({**EVENT, "time": "yesterday"}, "time"),
        ({**EVENT, "colour": "red"}, "colour"),
        ({**EVENT, "detail": {"x": "y" * MAX_EVENT}}, f"larger than {MAX_EVENT} bytes"),
    ],
)
def test_rejected_event_is_told_why(door: Doorstep, record: dict[str, Any], said: str) -> None:
    """
    An event that lacks its envelope is rejected with the field's name.
    """
    answer = door.post("/v1/events", json.dumps(record).encode())

    assert answer.status_code == 400
    assert said in answer.json()["rejected"][0]["error"]
    assert door.kept() == []


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (without(METRIC, "metric_name"), "metric_name"),
        (without(METRIC, "metadata"), "metadata"),
        (without(METRIC, "data"), "data"),
        ({**METRIC, "data": [1]}, "`data` must be an object"),
        ({**METRIC, "metadata": "x"}, "metadata"),
        ({**METRIC, "metric_name": 7}, "metric_name"),
        ({**METRIC, "more": 1}, "more"),
        ({**METRIC, "data": {"x": "y" * MAX_EVENT}}, f"larger than {MAX_EVENT} bytes"),
    ],
)
def test_rejected_metric_event_is_told_why(door: Doorstep, record: dict[str, Any], said: str) -> None:
    """
    A metric event that lacks one of its three parts is rejected with the part's name.
    """
    answer = door.post("/v1/metrics", json.dumps(record).encode())

    assert answer.status_code == 400
    assert said in answer.json()["rejected"][0]["error"]


def test_rejections_show_no_values(door: Doorstep) -> None:
    """
    What was sent is not repeated in the answer.
    """
    answer = door.post(
        "/v1/events", json.dumps([{**EVENT, "source": ["hunter2"]}, {**EVENT, "time": "hunter2"}]).encode()
    )

    assert "hunter2" not in answer.text


def test_broken_line_is_rejected_alone(door: Doorstep) -> None:
    """
    A line that is not JSON does not take its neighbours with it.
    """
    body = b"\n".join([json.dumps(EVENT).encode(), b'{"id":', json.dumps(EVENT).encode()])
    answer = door.post("/v1/events", body, {"Content-Type": "application/x-ndjson"})

    assert (
        answer.status_code,
        answer.json()["accepted"],
        [item["index"] for item in answer.json()["rejected"]],
    ) == (207, 2, [1])


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ((), set()),
        (("time",), set()),
        (("id",), {"id"}),
        (("id", "time"), {"id", "time"}),
    ],
    ids=["both-kept", "id-without-time-gets-none", "time-kept", "both-made"],
)
def test_what_an_event_lacks_is_made(door: Doorstep, given: tuple[str, ...], made: set[str]) -> None:
    """
    Without an id an event gets one, and the arrival's time where it has none; with an id it gets nothing.
    """
    door.post("/v1/events", json.dumps([without(EVENT, *given)] * 2).encode())

    first, second = door.kept()
    assert set(first) == set(without(EVENT, *given)) | made
    assert without(first, *made) == without(EVENT, *given)
    assert (first["id"] != second["id"]) == ("id" in made)
    assert datetime.fromisoformat(first.get("time", "2026-01-31T12:00:00Z")).tzinfo is not None


def test_made_ids_are_never_the_same(door: Doorstep) -> None:
    """
    The same body sent twice is given other ids the second time: it is documented as not safe to send again.
    """
    body = json.dumps([without(EVENT, "id")] * 50).encode()
    door.post("/v1/events", body)
    door.post("/v1/events", body)

    assert len({record["id"] for record in door.kept()}) == 100


@pytest.mark.parametrize("event_id", ["", None, "absent"])
def test_metric_event_without_id_gets_one(door: Doorstep, event_id: str | None) -> None:
    """
    A metric event without `event_id` is given one, and nothing else of it changes.
    """
    metadata = {"tenant_id": "acme", "d": 1.0} | ({} if event_id == "absent" else {"event_id": event_id})
    door.post("/v1/metrics", json.dumps({**METRIC, "metadata": metadata}).encode())

    (kept,) = door.kept()
    assert len(kept["metadata"].pop("event_id")) == 36
    assert kept == {**METRIC, "metadata": {"tenant_id": "acme", "d": 1.0}}


@pytest.mark.parametrize("path", ["/v1/events", "/v1/metrics"])
@pytest.mark.parametrize(
    "authorization", [None, "Bearer wrong", "Bearer ", f"Basic {KEYS.ingest}", KEYS.ingest, f"Bearer {KEYS.admin}"]
)
def test_without_the_ingest_key_nothing_is_taken(door: Doorstep, path: str, authorization: str | None) -> None:
    """
    A missing or wrong key is answered with 401 and a problem document.
    """
    headers = {"Authorization": authorization} if authorization else {}
    answer = door.post(path, json.dumps(EVENT).encode(), headers, key=None)

    assert answer.status_code == 401
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert {"type", "title", "status", "detail"} == set(answer.json())
    assert door.kept() == []


async def chunks() -> AsyncIterator[bytes]:
    """
    Yield a body that is too large without saying so beforehand.
    """
    for _ in range(MAX_BODY // 1024 + 1):
        yield b" " * 1024


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b" " * (MAX_BODY + 1), {}, 413),
        (chunks, {}, 413),
        (gzip.compress(b" " * (MAX_BODY + 1)), {"Content-Encoding": "gzip"}, 413),
        (zstandard.ZstdCompressor().compress(b" " * (MAX_BODY + 1)), {"Content-Encoding": "zstd"}, 413),
        (gzip.compress(json.dumps(EVENT).encode())[:-3], {"Content-Encoding": "gzip"}, 400),
        (json.dumps(EVENT).encode(), {"Content-Encoding": "gzip"}, 400),
        (json.dumps(EVENT).encode(), {"Content-Encoding": "br"}, 415),
        (b"", {}, 400),
        (b"[{}", {}, 400),
        (b'{"id": "\xff"}', {}, 400),
    ],
    ids=["length", "stream", "gzip-bomb", "zstd-bomb", "truncated", "not-gzip", "brotli", "empty", "array", "utf-8"],
)
def test_body_that_cannot_be_read_is_refused_whole(
    door: Doorstep, body: Any, headers: dict[str, str], status: int
) -> None:
    """
    A body that is too large, broken or of an unknown kind is a problem document, and nothing of it is kept.
    """
    answer = door.post("/v1/events", body() if callable(body) else body, headers)

    assert (status, "application/problem+json") == (answer.status_code, answer.headers["Content-Type"])
    assert status == answer.json()["status"]
    assert door.kept() == []


@pytest.mark.parametrize("path", ["/v1/events", "/v1/metrics"])
def test_bottomless_nesting_is_rejected(door: Doorstep, path: str) -> None:
    """
    An item that nests deeper than anyone reads is rejected by index; its neighbour is taken.
    """
    good = EVENT if path == "/v1/events" else METRIC
    field = "detail" if path == "/v1/events" else "data"
    deep = json.dumps({**good, field: "?"}).replace('"?"', '{"x":' + "[" * 7000 + "]" * 7000 + "}")
    answer = door.post(path, f"{json.dumps(good)}\n{deep}\n".encode())

    assert (answer.status_code, [item["index"] for item in answer.json()["rejected"]]) == (207, [1])


def test_full_journal_says_when_to_come_again(door: Doorstep) -> None:
    """
    Above the journal's quota the answer is 429 with Retry-After, and nothing was accepted.
    """
    door.journal.append(Entry(EntryKind.EVENTS, 1, 1, b" " * (1024 * 1024 - 10))).result(30)
    answer = door.post("/v1/events", json.dumps(EVENT).encode())

    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert len(door.journal.read(0, 0, 10)) == 1


def test_closed_journal_is_said(door: Doorstep) -> None:
    """
    Where the journal cannot write the answer is 503: nothing is accepted before it is durable.
    """
    door.journal.close()
    answer = door.post("/v1/events", json.dumps(EVENT).encode())

    assert (answer.status_code, answer.headers["Content-Type"]) == (503, "application/problem+json")
    assert int(answer.headers["Retry-After"]) > 0


def test_journal_that_cannot_write_is_said(door: Doorstep) -> None:
    """
    An entry that the journal does not get onto the disk is not answered as accepted.
    """
    writer = door.journal._submit(lambda connection: connection).result(30)
    writer.execute("PRAGMA query_only=1")
    answer = door.post("/v1/events", json.dumps(EVENT).encode())

    assert (answer.status_code, answer.json()["title"]) == (503, "Nothing was accepted")
    assert door.kept() == []
