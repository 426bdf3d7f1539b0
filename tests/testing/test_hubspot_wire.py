"""
HubSpot's twin by plain HTTP: what its own library does not send.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from metriclake.testing import Clock, EventDefinition, HubSpotLimits, HubSpotTwin
from testing.plain_http import post, speaking

NOON = 1_772_366_400.0
SIGNED_IN = "pe1234567_signed_in"


@pytest.fixture
def clock() -> Clock:
    """
    Stand still at noon.
    """
    return Clock(NOON)


@pytest.fixture
def twin(clock: Clock) -> Iterator[HubSpotTwin]:
    """
    Have an event of contacts, and companies with a unique `tenant_id`.
    """
    with HubSpotTwin(clock=clock) as twin:
        twin.define(EventDefinition("signed_in"))
        twin.create_property("companies", "tenant_id", unique=True)
        yield twin


@pytest.fixture
def http(twin: HubSpotTwin) -> Iterator[httpx.Client]:
    """
    Speak to the twin with a token.
    """
    with sender(twin) as client:
        yield client


def sender(twin: HubSpotTwin) -> httpx.Client:
    """
    Return a client with a token.
    """
    return speaking(twin.url, headers={"Authorization": "Bearer pat-1"})


def event(**more: Any) -> dict[str, Any]:
    """
    Return an event without faults.
    """
    return {"eventName": SIGNED_IN, "email": "a@b.example", **more}


def company(tenant: str) -> dict[str, Any]:
    """
    Return an input without faults.
    """
    return {"idProperty": "tenant_id", "id": tenant, "properties": {"name": tenant}}


@pytest.mark.rule("hubspot-paths")
@pytest.mark.parametrize("version", ["events/v3/send", "events/2026-03/send"])
def test_paths_of_events(twin: HubSpotTwin, http: httpx.Client, version: str) -> None:
    """
    Events are sent to paths with a version or with a date.
    """
    statuses = [http.post(f"/{version}", json=event()).status_code]
    statuses += [http.post(f"/{version}/batch", json={"inputs": [event()]}).status_code]

    assert (statuses, twin.counts.taken) == ([204, 204], 2)


@pytest.mark.rule("hubspot-paths")
@pytest.mark.parametrize("version", ["v3/{}", "{}/2026-03"])
def test_paths_of_objects(twin: HubSpotTwin, http: httpx.Client, version: str) -> None:
    """
    So are companies written, and properties created.
    """
    created = http.post(f"/crm/{version.format('properties')}/companies", json={"name": "a", "hasUniqueValue": True})
    path = f"/crm/{version.format('objects')}/companies/batch/upsert"
    written = http.post(path, json={"inputs": [company("acme")]})

    assert (created.status_code, written.status_code, len(twin.objects("companies"))) == (201, 200, 1)


@pytest.mark.rule("hubspot-other-paths")
def test_other_paths(http: httpx.Client) -> None:
    """
    What is no endpoint is not found.
    """
    assert http.post("/crm/v3/objects/companies/batch/create").status_code == 404
    assert http.get("/events/v3/send").status_code == 404


@pytest.mark.rule("hubspot-authentication", "hubspot-api-key")
@pytest.mark.parametrize(
    ("headers", "query"), [({}, {}), ({}, {"hapikey": "key"}), ({"Authorization": "Basic eA=="}, {})]
)
def test_who_may_not_send(twin: HubSpotTwin, headers: dict[str, str], query: dict[str, str]) -> None:
    """
    Without a bearer token nothing is taken; an API key is none.
    """
    answer = post(f"{twin.url}/events/v3/send", json=event(), headers=headers, params=query)

    assert (answer.status_code, answer.json()["category"]) == (401, "INVALID_AUTHENTICATION")


@pytest.mark.rule("hubspot-silent")
def test_a_batch_that_writes_nothing(twin: HubSpotTwin, http: httpx.Client) -> None:
    """
    An input that is sent without its list is answered as a success, whose results are empty.
    """
    answer = http.post("/crm/v3/objects/companies/batch/upsert", json=company("acme"))

    assert (answer.status_code, answer.json()["status"], answer.json()["results"]) == (200, "COMPLETE", [])
    assert twin.objects("companies") == ()


@pytest.mark.rule("hubspot-whole-batch")
@pytest.mark.parametrize(
    "wrong",
    [{}, {"idProperty": "tenant_id", "properties": {}}, {"idProperty": "tenant_id", "id": "a"}, 7, {"id": 1}],
)
def test_inputs_that_are_none(twin: HubSpotTwin, http: httpx.Client, wrong: Any) -> None:
    """
    An input needs its id, the name of its property, and properties.
    """
    answer = http.post("/crm/v3/objects/companies/batch/upsert", json={"inputs": [company("acme"), wrong]})

    assert (answer.status_code, twin.objects("companies"), twin.counts.rejected) == (400, (), 1)


@pytest.mark.rule("hubspot-unreadable")
@pytest.mark.parametrize("path", ["/events/v3/send", "/events/v3/send/batch", "/crm/v3/objects/companies/batch/upsert"])
@pytest.mark.parametrize("body", [b"", b"[]", b'{"inputs": 1}', b"{"])
def test_what_cannot_be_read(twin: HubSpotTwin, http: httpx.Client, path: str, body: bytes) -> None:
    """
    What is no object of JSON, or has no list where one belongs, is refused.
    """
    answer = http.post(path, content=body)

    assert (answer.status_code, answer.json()["category"], twin.counts.taken) == (400, "VALIDATION_ERROR", 0)


@pytest.mark.rule("hubspot-gzip")
def test_compression_is_refused(twin: HubSpotTwin, http: httpx.Client) -> None:
    """
    A sender that compresses learns it here.
    """
    answer = http.post("/events/v3/send", content=gzip.compress(b"{}"), headers={"Content-Encoding": "gzip"})

    assert (answer.status_code, twin.taken) == (415, ())


@pytest.mark.rule("hubspot-event-properties", "hubspot-names", "hubspot-values", "hubspot-urls")
@pytest.mark.parametrize(
    ("good", "bad", "rule"),
    [
        (
            {f"p{number}": "" for number in range(50)},
            {f"p{number}": "" for number in range(51)},
            "hubspot-event-properties",
        ),
        ({"a" * 50: ""}, {"a" * 51: ""}, "hubspot-names"),
        ({"a_1": ""}, {"A": ""}, "hubspot-names"),
        ({"a": ""}, {"1a": ""}, "hubspot-names"),
        ({"a": "x" * 256}, {"a": "x" * 257}, "hubspot-values"),
        ({"hs_page_url": "x" * 1024}, {"hs_page_url": "x" * 1025}, "hubspot-values"),
        ({"hs_referrer": "x" * 1024}, {"hs_title": "x" * 1024}, "hubspot-values"),
    ],
    ids=["count", "long name", "capital", "digit", "value", "url", "no url"],
)
def test_how_large_an_event_may_be(
    twin: HubSpotTwin, http: httpx.Client, good: dict[str, str], bad: dict[str, str], rule: str
) -> None:
    """
    At the limit an event is taken; beyond it the request fails, with all of its events.
    """
    taken = http.post("/events/v3/send/batch", json={"inputs": [event(properties=good)]})
    failed = http.post("/events/v3/send/batch", json={"inputs": [event(), event(properties=bad)]})

    assert (taken.status_code, failed.status_code, twin.counts.taken) == (204, 400, 1)
    assert [rejected.rule for rejected in twin.debugger] == [rule]


@pytest.mark.rule("hubspot-undeclared")
def test_properties_of_a_definition(twin: HubSpotTwin, http: httpx.Client) -> None:
    """
    Where a definition lists its properties others are refused, but for HubSpot's own.
    """
    name = twin.define(EventDefinition("exported", properties=["format"]))
    good = http.post("/events/v3/send", json=event(eventName=name, properties={"format": "csv", "hs_city": "Rome"}))
    bad = http.post("/events/v3/send", json=event(eventName=name, properties={"size": "1"}))

    assert (good.status_code, bad.status_code) == (204, 400)


@pytest.mark.rule("hubspot-occurred")
@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("2026-03-01T11:00:00Z", "2026-03-01T11:00:00.000Z"),
        ("2026-03-01T12:00:00.250+01:00", "2026-03-01T11:00:00.250Z"),
        (1_772_362_800_000, "2026-03-01T11:00:00.000Z"),
        ("1772362800000", "2026-03-01T11:00:00.000Z"),
        (None, "2026-03-01T12:00:00.000Z"),
        ("yesterday", None),
        (True, None),
        ([], None),
    ],
)
def test_times(twin: HubSpotTwin, http: httpx.Client, given: Any, kept: str | None) -> None:
    """
    ISO 8601 and milliseconds are read, and other times have the request refused.
    """
    answer = http.post("/events/v3/send", json=event(occurredAt=given))

    assert answer.status_code == (204 if kept else 400)
    assert [record["occurredAt"] for record in twin.records] == ([kept] if kept else [])


@pytest.mark.rule("hubspot-event-rate", "hubspot-no-retry-after")
def test_events_have_a_rate_of_their_own(clock: Clock) -> None:
    """
    Events and other requests do not use up each other's rate.
    """
    limits = HubSpotLimits(requests_per_ten_seconds=1, event_requests_per_second=2)
    with HubSpotTwin(clock=clock, limits=limits) as twin, sender(twin) as http:
        twin.define(EventDefinition("signed_in"))
        twin.create_property("companies", "tenant_id", unique=True)
        events = [http.post("/events/v3/send", json=event()) for _ in range(3)]
        objects = [
            http.post("/crm/v3/objects/companies/batch/upsert", json={"inputs": [company("a")]}) for _ in range(2)
        ]
        clock.move(1)
        later = http.post("/events/v3/send", json=event())

        assert [answer.status_code for answer in (*events, *objects, later)] == [204, 204, 429, 200, 429, 204]
        assert not any("ratelimit" in name or name == "retry-after" for name in events[2].headers)


@pytest.mark.rule("hubspot-month", "hubspot-month-status")
def test_events_of_a_month(clock: Clock) -> None:
    """
    What would go beyond the month's number is refused until the next month.
    """
    with HubSpotTwin(clock=clock, limits=HubSpotLimits(events_per_month=3)) as twin, sender(twin) as http:
        twin.define(EventDefinition("signed_in"))
        two = {"inputs": [event(), event()]}
        statuses = [http.post("/events/v3/send/batch", json=two).status_code for _ in range(2)]
        clock.move(31 * 24 * 3600)
        statuses.append(http.post("/events/v3/send/batch", json=two).status_code)

        assert (statuses, twin.counts.taken) == ([204, 429, 204], 4)


@pytest.mark.rule("hubspot-day", "hubspot-day-zone", "hubspot-headers")
def test_requests_of_a_day(clock: Clock) -> None:
    """
    The day's number is refused until midnight, however slowly it was used.
    """
    with HubSpotTwin(clock=clock, limits=HubSpotLimits(requests_per_day=2)) as twin, sender(twin) as http:
        answers = []
        for seconds in (0, 3600, 3600, 10 * 3600):
            clock.move(seconds)
            answers.append(http.post("/crm/v3/objects/companies/batch/upsert", json={"inputs": []}))

        assert [answer.status_code for answer in answers] == [200, 200, 429, 200]
        assert answers[0].headers["X-HubSpot-RateLimit-Daily-Remaining"] == "1"
        assert answers[2].json()["policyName"] == "DAILY"
        assert answers[2].json()["message"] == "You have reached your daily limit."


def test_a_429_on_order(twin: HubSpotTwin, http: httpx.Client) -> None:
    """
    A 429 on order is that of the ten seconds, with nothing left of them.
    """
    twin.fail(429, times=1)
    answer = http.post("/crm/v3/objects/companies/batch/upsert", json={"inputs": [company("acme")]})

    assert (answer.status_code, answer.json()["policyName"]) == (429, "TEN_SECONDLY_ROLLING")
    assert (answer.headers["X-HubSpot-RateLimit-Max"], answer.headers["X-HubSpot-RateLimit-Remaining"]) == ("190", "0")
