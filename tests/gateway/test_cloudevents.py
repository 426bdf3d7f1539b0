"""
CloudEvents at the door for domain events: what the official package's clients send, in all three modes.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
import zstandard
from cloudevents.core.bindings.http import HTTPMessage, to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from gateway.doorstep import MAX_EVENT, Doorstep
from metriclake.event import DomainEvent
from metriclake.gateway.cloudevents import Mode, identity, read
from metriclake.journal import SqliteJournal

ATTRIBUTES: dict[str, Any] = {
    "specversion": "1.0",
    "id": "A-1",
    "source": "/findings/scanner",
    "type": "com.example.finding.opened",
    "time": datetime(2026, 1, 31, 12, tzinfo=UTC),
}
EVENT: dict[str, Any] = {**ATTRIBUTES, "time": "2026-01-31T12:00:00Z", "data": {"n": 1}}
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40)
ATTRIBUTE_NAMES = st.from_regex(r"[a-z0-9]{1,20}", fullmatch=True).filter(
    lambda name: name not in {*ATTRIBUTES, "data", "bus", "subject", "dataschema", "datacontenttype"}
)
URIS = st.from_regex(r"[A-Za-z0-9/:.#?&=~-]{1,60}", fullmatch=True)
EVENTS = st.builds(
    lambda head, more, data: CloudEvent({**ATTRIBUTES, **head, **more, "datacontenttype": "application/json"}, data),
    st.fixed_dictionaries(
        {"id": TEXT, "source": URIS, "type": TEXT},
        optional={
            "subject": TEXT,
            "bus": TEXT,
            "time": st.datetimes(datetime(1970, 1, 2), datetime(2099, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
        },
    ),
    st.dictionaries(ATTRIBUTE_NAMES, TEXT, max_size=3),
    st.dictionaries(TEXT, st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT | st.lists(TEXT), max_size=4),
)


@pytest.fixture
def door(journal: SqliteJournal) -> Doorstep:
    """
    Stand before a gateway on a fresh journal.
    """
    return Doorstep(journal)


def batch_of(*events: CloudEvent) -> HTTPMessage:
    """
    Return a batch: the array of what the package writes of each event.
    """
    body = b"[" + b",".join(JSONFormat().write(event) for event in events) + b"]"
    return HTTPMessage({"content-type": "application/cloudevents-batch+json"}, body)


ENCODERS: dict[Mode, Callable[[CloudEvent], HTTPMessage]] = {
    Mode.STRUCTURED: lambda event: to_structured(event, JSONFormat()),
    Mode.BATCH: batch_of,
    Mode.BINARY: lambda event: to_binary(event, JSONFormat()),
}


@pytest.mark.parametrize("mode", Mode)
def test_every_mode_brings_the_same_domain_event(door: Doorstep, mode: Mode) -> None:
    """
    The attributes have their places, the rest stands under `cloudevent`, and the bus is an extension's.
    """
    more = {"subject": "repo/a b", "dataschema": "https://example.com/s", "tenantid": "acme", "bus": "findings"}
    sent = {**ATTRIBUTES, **more, "datacontenttype": "application/json"}
    message = ENCODERS[mode](CloudEvent(sent, {"n": 1, "text": "größer"}))
    answer = door.post("/v1/events", message.body, message.headers)

    assert (answer.status_code, answer.json()) == (200, {"accepted": 1, "rejected": []})
    assert door.kept() == [
        {
            "id": "/findings/scanner A-1",
            "source": "/findings/scanner",
            "detail-type": "com.example.finding.opened",
            "bus": "findings",
            "time": "2026-01-31T12:00:00Z",
            "cloudevent": {
                "specversion": "1.0",
                "id": "A-1",
                "subject": "repo/a b",
                "dataschema": "https://example.com/s",
                "datacontenttype": "application/json",
                "tenantid": "acme",
            },
            "detail": {"n": 1, "text": "größer"},
        }
    ]


@given(EVENTS)
def test_the_mode_makes_no_difference(event: CloudEvent) -> None:
    """
    Whatever an event holds, each mode makes the same of it, and that is a domain event.
    """
    made = []
    for mode, encode in ENCODERS.items():
        message = encode(event)
        (line,) = read(
            mode, [(name.lower().encode(), value.encode()) for name, value in message.headers.items()], message.body
        )
        assert isinstance(line, bytes), line
        assert b"\n" not in line
        msgspec.json.decode(line, type=DomainEvent)
        made.append(json.loads(line))

    assert made[0] == made[1] == made[2]
    assert made[0]["detail"] == event.get_data()


@given(st.tuples(URIS, TEXT), st.tuples(URIS, TEXT))
def test_identity_is_source_and_id(one: tuple[str, str], other: tuple[str, str]) -> None:
    """
    Two events have the same id exactly if they have the same source and the same id.
    """
    assert (identity(*one) == identity(*other)) == (one == other)


def test_long_identity_still_fits() -> None:
    """
    The longest source and id that are taken make an id that the stream takes, another for each.
    """
    made = {identity("s" * 256, "ü" * 255 + end) for end in "ab"}

    assert len(made) == 2
    assert all(len(text.encode()) <= 256 for text in made)


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor().compress], ids=["gzip", "zstd"])
@pytest.mark.parametrize("mode", Mode)
def test_compressed_bodies(door: Doorstep, mode: Mode, pack: Any) -> None:
    """
    Each mode is taken compressed.
    """
    message = ENCODERS[mode](CloudEvent({**ATTRIBUTES, "datacontenttype": "application/json"}, {"n": 1}))
    encoding = "gzip" if pack is gzip.compress else "zstd"
    answer = door.post("/v1/events", pack(message.body), {**message.headers, "Content-Encoding": encoding})

    assert (answer.status_code, [event["detail"] for event in door.kept()]) == (200, [{"n": 1}])


@pytest.mark.parametrize(
    ("kind", "data", "detail"),
    [
        ("application/json", None, {}),
        ("application/json", {}, {}),
        ("application/vnd.a+json", b'{"a": 1}', {"a": 1}),
        ("application/json", b"[1, 2]", {"data": [1, 2]}),
        ("application/json; charset=utf-8", b"7", {"data": 7}),
        ("text/plain", b"hello", {"data": "hello"}),
        ("application/xml", b"<a/>", {"data": "<a/>"}),
        ("text/plain; charset=latin-1", b"\xfc", {"data_base64": base64.b64encode(b"\xfc").decode()}),
        ("text/plain", b"\xff", {"data_base64": base64.b64encode(b"\xff").decode()}),
        ("application/octet-stream", b"\x00{", {"data_base64": base64.b64encode(b"\x00{").decode()}),
        ("application/octet-stream", b"{" * 300, {"data_base64": base64.b64encode(b"{" * 300).decode()}),
    ],
)
@pytest.mark.parametrize("mode", Mode)
def test_data_of_every_kind(door: Doorstep, mode: Mode, kind: str, data: Any, detail: Any) -> None:
    """
    An object is the detail; nothing is an empty one; any other value stands in it as `data`, octets as base64.
    """
    message = ENCODERS[mode](CloudEvent({**ATTRIBUTES, "datacontenttype": kind}, data))
    answer = door.post("/v1/events", message.body, message.headers)

    assert answer.status_code == 200, answer.text
    assert [event["detail"] for event in door.kept()] == [detail]


def test_event_without_time_has_none(door: Doorstep) -> None:
    """
    No time is made up: the arrival's would be another on a retry, and the event would count twice.
    """
    body = json.dumps({name: value for name, value in EVENT.items() if name != "time"}).encode()
    door.post("/v1/events", body, {"Content-Type": Mode.STRUCTURED})
    door.post("/v1/events", body, {"Content-Type": Mode.STRUCTURED})

    first, again = door.kept()
    assert first == again
    assert "time" not in first


def test_what_is_kept_may_be_sent_again(door: Doorstep) -> None:
    """
    The archived form of a CloudEvent is a domain event that the door takes as it is.
    """
    door.post("/v1/events", json.dumps({**EVENT, "tenantid": "acme"}).encode(), {"Content-Type": Mode.STRUCTURED})
    answer = door.post("/v1/events", json.dumps(door.kept()[0]).encode())

    assert answer.status_code == 200
    assert door.kept()[0] == door.kept()[1]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"id": None}, "`id` is missing"),
        ({"source": None, "type": None}, "`source` is missing; `type` is missing"),
        ({"specversion": None}, "`specversion` is missing"),
        ({"specversion": "0.3"}, "`specversion` must be 1.0"),
        ({"id": ""}, "`id` is empty"),
        ({"id": 7}, "`id` must be text, not number"),
        ({"id": "x" * 257}, "`id` is longer than 256"),
        ({"source": "a b"}, "`source` must be a URI"),
        ({"type": ["hunter2"]}, "`type` must be text, not array"),
        ({"time": "hunter2"}, "`time` must be RFC 3339"),
        ({"time": "2026-01-31T12:00:00"}, "`time` must be RFC 3339"),
        ({"subject": ""}, "`subject` is empty"),
        ({"dataschema": "relative"}, "`dataschema` must be an absolute URI"),
        ({"datacontenttype": "json"}, "`datacontenttype` must be a media type"),
        ({"Tenant_id": "a"}, "`Tenant_id` cannot name an attribute"),
        ({"traces": {"a": "hunter2"}}, "`traces` is object"),
        ({"ratio": 0.5}, "`ratio` is a fraction"),
        ({"bus": ""}, "`bus` is empty"),
        ({"data_base64": "e30="}, "`data` and `data_base64`"),
        ({"data": None, "data_base64": "hunter2!"}, "`data_base64` must be base64"),
        ({"data": None, "data_base64": "aHVudGVyMg=="}, "`data_base64` is not JSON"),
        ({"data": None, "data_base64": base64.b64encode(b"[" * 300 + b"]" * 300).decode()}, "`data_base64` is nested"),
        ({"data": {"x": "y" * MAX_EVENT}}, f"larger than {MAX_EVENT} bytes"),
    ],
)
def test_invalid_event_is_told_which_attribute(door: Doorstep, wrong: Mapping[str, Any], said: str) -> None:
    """
    An invalid CloudEvent in a batch is rejected by index with its attribute; its neighbour is taken.
    """
    body = json.dumps([EVENT, {**EVENT, **wrong}]).encode()
    answer = door.post("/v1/events", body, {"Content-Type": "application/cloudevents-batch+json; charset=UTF-8"})

    assert (answer.status_code, answer.json()["accepted"]) == (207, 1)
    (rejected,) = answer.json()["rejected"]
    assert rejected["index"] == 1
    assert said in rejected["error"]
    assert "hunter2" not in rejected["error"]


@pytest.mark.parametrize(
    ("headers", "body", "said"),
    [
        ({"ce-id": ""}, b"{}", "`id` is empty"),
        ({"ce-id": "%"}, b"{}", "`id` is not percent-encoded"),
        ({"ce-id": "%ff"}, b"{}", "`id` is not UTF-8"),
        ({"ce-datacontenttype": "text/plain"}, b"{}", "`datacontenttype` is the header Content-Type"),
        ({"ce-data": "x"}, b"{}", "`data` cannot name an attribute"),
        ({"ce-my-key": "x"}, b"{}", "`my-key` cannot name an attribute"),
        ({}, b"hello", "`data` is not JSON"),
        ({"content-type": "application/json"}, b'{"a":' * 300 + b"1" + b"}" * 300, "`data` is nested deeper"),
    ],
)
def test_invalid_binary_event_is_told_which_attribute(
    door: Doorstep, headers: Mapping[str, str], body: bytes, said: str
) -> None:
    """
    What is wrong with an event in headers is told in the same words.
    """
    good = {f"ce-{name}": str(EVENT[name]) for name in ATTRIBUTES}
    answer = door.post("/v1/events", body, {**good, **headers})

    assert (answer.status_code, answer.json()["accepted"]) == (400, 0)
    assert said in answer.json()["rejected"][0]["error"]


@pytest.mark.parametrize(
    ("sent", "attribute"),
    [("Euro%20%E2%82%AC", "Euro €"), ('"a \\"b\\" %41"', 'a "b" A'), ("100%25", "100%"), ("%2541", "%41")],
)
def test_header_values_are_unquoted_once(door: Doorstep, sent: str, attribute: str) -> None:
    """
    Double quotes are undone, then percent-encoding, once: as the HTTP binding says.
    """
    good = {f"ce-{name}": str(EVENT[name]) for name in ATTRIBUTES}
    door.post("/v1/events", b"", {**good, "ce-subject": sent})

    assert [event["cloudevent"]["subject"] for event in door.kept()] == [attribute]


@pytest.mark.parametrize(
    ("kind", "body", "status", "said"),
    [
        ("application/cloudevents+avro", b"x", 415, "application/cloudevents+json"),
        ("application/cloudevents", b"{}", 415, "application/cloudevents+json"),
        ("application/cloudevents+json; charset=utf-16", b"{}", 415, "UTF-8"),
        ("application/cloudevents+json", b"[]", 400, "one JSON object"),
        ("application/cloudevents+json", b"{}\n{}", 400, "one JSON object"),
        ("application/cloudevents-batch+json", b"{}", 400, "JSON array"),
        ("application/cloudevents-batch+json", b"[{]", 400, "JSON array"),
        ("application/cloudevents+json", b"", 400, "empty"),
    ],
)
def test_request_that_is_no_cloudevents_is_refused_whole(
    door: Doorstep, kind: str, body: bytes, status: int, said: str
) -> None:
    """
    A format that is not spoken, and a body that is not what its type says, are problem documents.
    """
    answer = door.post("/v1/events", body, {"Content-Type": kind})

    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")
    assert said in answer.json()["detail"]
    assert door.kept() == []


def test_sent_as_plain_json_it_is_told_how(door: Doorstep) -> None:
    """
    A CloudEvent without its content type is refused with the one to send.
    """
    answer = door.post("/v1/events", json.dumps(EVENT).encode(), {"Content-Type": "application/json"})

    assert answer.status_code == 400
    assert "application/cloudevents+json" in answer.json()["rejected"][0]["error"]


def test_empty_batch(door: Doorstep) -> None:
    """
    A batch of nothing is answered as an empty array is.
    """
    answer = door.post("/v1/events", b"[]", {"Content-Type": Mode.BATCH})

    assert (answer.status_code, answer.json()) == (200, {"accepted": 0, "rejected": []})


@given(st.dictionaries(TEXT, st.none() | st.booleans() | st.floats() | TEXT | st.lists(st.integers()), max_size=5))
def test_whatever_comes_is_taken_or_refused(members: dict[str, Any]) -> None:
    """
    Any JSON object is a line or a refusal with words, and never anything else.
    """
    (found,) = read(Mode.STRUCTURED, [], json.dumps({**EVENT, **members}, allow_nan=True).encode())

    assert isinstance(found, bytes) or str(found)


def test_far_offset_is_no_harm(door: Doorstep) -> None:
    """
    A time at the calendar's end with an offset is judged, not stumbled over.
    """
    late = {**EVENT, "time": (datetime(9999, 12, 31, 23, tzinfo=UTC) + timedelta(minutes=59)).isoformat()}
    answer = door.post(
        "/v1/events", json.dumps({**late, "time": late["time"].replace("+00:00", "-10:00")}).encode(),
        {"Content-Type": Mode.STRUCTURED},
    )  # fmt: skip

    assert answer.status_code in (200, 400)
