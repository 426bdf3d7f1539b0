"""
HubSpot's twin and HubSpot's own library for Python, which knows nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import hubspot
import pytest
import urllib3
from hubspot.crm.companies import BatchInputSimplePublicObjectBatchInputUpsert as Companies
from hubspot.crm.companies import SimplePublicObjectBatchInputUpsert as Company
from hubspot.crm.companies.exceptions import ApiException as CompaniesError
from hubspot.crm.properties import PropertyCreate
from hubspot.crm.properties.exceptions import ApiException as PropertiesError
from hubspot.events.send import BatchedBehavioralEventHttpCompletionRequest as Occurrences
from hubspot.events.send import BehavioralEventHttpCompletionRequest as Occurrence
from hubspot.events.send.exceptions import ApiException as EventsError

from metriclake.testing import Clock, Drop, EventDefinition, HubSpotLimits, HubSpotTwin, Refuse

NOON = 1_772_366_400.0
EVENT = "pe1234567_report_viewed"


@pytest.fixture
def clock() -> Clock:
    """
    Stand still at noon.
    """
    return Clock(NOON)


@pytest.fixture
def twin(clock: Clock) -> Iterator[HubSpotTwin]:
    """
    Have companies with a unique `tenant_id`, and an event of them and one of contacts.
    """
    with HubSpotTwin(["pat-1"], clock=clock) as twin:
        prepare(twin)
        yield twin


@pytest.fixture
def client(twin: HubSpotTwin) -> Any:
    """
    Speak to the twin, without retries.
    """
    return hubspot.HubSpot(access_token="pat-1", host=twin.url)


def prepare(twin: HubSpotTwin) -> None:
    """
    Create what the tests send to.
    """
    twin.create_property("companies", "tenant_id", unique=True)
    twin.define(EventDefinition("report_viewed", "companies", matching=("tenant", "tenant_id")))
    twin.define(EventDefinition("signed_in"))


def upsert(client: Any, *tenants: str, traced: bool = False, **properties: str) -> Any:
    """
    Write companies by their tenant.
    """
    inputs = [
        Company(
            id_property="tenant_id",
            id=tenant,
            properties=properties,
            object_write_trace_id=f"trace-{tenant}" if traced else None,
        )
        for tenant in tenants
    ]
    return client.crm.companies.batch_api.upsert(Companies(inputs=inputs))


def send(client: Any, *occurrences: Any) -> Any:
    """
    Send events in a batch.
    """
    return client.events.send.batch_api.send(Occurrences(inputs=list(occurrences)))


@pytest.mark.rule("hubspot-upsert", "hubspot-unique-property", "hubspot-paths")
def test_companies_are_created_and_then_updated(twin: HubSpotTwin, client: Any) -> None:
    """
    A company is found again by its tenant; what an update does not name stays as it was.
    """
    first = upsert(client, "acme", "globex", name="A", city="Rome")
    second = upsert(client, "acme", "initech", name="B")

    assert (first.status, [result.new for result in first.results]) == ("COMPLETE", [True, True])
    assert [result.new for result in second.results] == [False, True]
    assert first.results[0].id == second.results[0].id != first.results[1].id
    assert [{**company, "hs_object_id": ""} for company in twin.objects("companies")] == [
        {"tenant_id": "acme", "name": "B", "city": "Rome", "hs_object_id": ""},
        {"tenant_id": "globex", "name": "A", "city": "Rome", "hs_object_id": ""},
        {"tenant_id": "initech", "name": "B", "hs_object_id": ""},
    ]


@pytest.mark.rule("hubspot-whole-batch", "hubspot-unknown-property", "hubspot-error-body")
def test_one_wrong_input_and_nothing_is_written(twin: HubSpotTwin, client: Any) -> None:
    """
    Without trace ids one wrong input has its whole batch refused.
    """
    twin.fail(Refuse(lambda company: company["id"] == "globex", "blocked"), times=1)
    with pytest.raises(CompaniesError) as refused:
        upsert(client, "acme", "globex")
    with pytest.raises(CompaniesError, match=r'Property \\"nothing\\" does not exist'):
        upsert(client, "acme", nothing="1")

    assert (refused.value.status, '"category":"VALIDATION_ERROR"' in refused.value.body) == (400, True)
    assert (twin.objects("companies"), twin.taken) == ((), ())


@pytest.mark.rule("hubspot-multi-status")
def test_with_trace_ids_the_others_are_written(twin: HubSpotTwin, client: Any) -> None:
    """
    With trace ids the answer is 207: it names what is wrong, and the rest is written.
    """
    twin.fail(Refuse(lambda company: company["id"] == "globex", "blocked"))
    answer = upsert(client, "acme", "globex", "initech", traced=True, name="A")

    assert (twin.counts.statuses, answer.num_errors) == ({207: 1}, 1)
    assert [(error.message, error.context) for error in answer.errors] == [
        ("blocked", {"objectWriteTraceId": ["trace-globex"]})
    ]
    assert [result.object_write_trace_id for result in answer.results] == ["trace-acme", "trace-initech"]
    assert [company["tenant_id"] for company in twin.objects("companies")] == ["acme", "initech"]


@pytest.mark.rule("hubspot-repeated-id")
@pytest.mark.parametrize("traced", [False, True])
def test_a_repeated_id(twin: HubSpotTwin, client: Any, traced: bool) -> None:  # noqa: FBT001
    """
    The same tenant twice has the batch refused, with trace ids or without.
    """
    with pytest.raises(CompaniesError, match=r"Duplicate IDs found in batch input: \[acme\]. IDs must be unique"):
        upsert(client, "acme", "globex", "acme", traced=traced)

    assert twin.objects("companies") == ()


@pytest.mark.rule("hubspot-most-objects")
def test_too_many_companies(twin: HubSpotTwin, client: Any) -> None:
    """
    A hundred companies are written at once, and of a hundred and one none.
    """
    full = upsert(client, *(f"t{number}" for number in range(100)))
    with pytest.raises(CompaniesError, match="101 inputs"):
        upsert(client, *(f"u{number}" for number in range(101)))

    assert len(full.results) == len(twin.objects("companies")) == 100


@pytest.mark.rule("hubspot-unique-property")
@pytest.mark.parametrize("name", ["domain", "name", "nothing"])
def test_only_unique_properties_name_a_company(client: Any, name: str) -> None:
    """
    What is not unique, or not there, names no company.
    """
    with pytest.raises(CompaniesError, match="is not a unique property"):
        client.crm.companies.batch_api.upsert(
            Companies(inputs=[Company(id_property=name, id="acme.example", properties={})])
        )


@pytest.mark.rule("hubspot-create-property", "hubspot-property-again")
def test_properties(twin: HubSpotTwin, client: Any) -> None:
    """
    A property is created once, can be read, and then names companies if it is unique.
    """
    wanted = PropertyCreate(
        name="account", label="Account", type="string", field_type="text", group_name="g", has_unique_value=True
    )
    with pytest.raises(PropertiesError) as missing:
        client.crm.properties.core_api.get_by_name("companies", "account")
    created = client.crm.properties.core_api.create("companies", wanted)
    with pytest.raises(PropertiesError) as again:
        client.crm.properties.core_api.create("companies", wanted)
    read = client.crm.properties.core_api.get_by_name("companies", "account")
    client.crm.companies.batch_api.upsert(
        Companies(inputs=[Company(id_property="account", id="7", properties={"name": "A"})])
    )

    assert (missing.value.status, again.value.status) == (404, 409)
    assert (created.name, created.has_unique_value, read.has_unique_value) == ("account", True, True)
    assert twin.objects("companies")[0]["account"] == "7"


@pytest.mark.rule("hubspot-send", "hubspot-identifier", "hubspot-defined")
def test_events_find_their_record(twin: HubSpotTwin, client: Any) -> None:
    """
    An event lands at the company that its matching property names, else at that of its objectId.
    """
    acme, globex = (result.id for result in upsert(client, "acme", "globex").results)
    answer = send(
        client,
        Occurrence(event_name=EVENT, properties={"tenant": "acme"}, object_id=globex),
        Occurrence(event_name=EVENT, properties={"tenant": "unknown"}, object_id=globex),
    )

    assert answer is None
    assert [event["objectId"] for event in twin.records[2:]] == [acme, globex]
    assert twin.requests[-1].status == 204


@pytest.mark.rule("hubspot-send", "hubspot-paths", "hubspot-occurred")
def test_a_single_event(twin: HubSpotTwin, client: Any) -> None:
    """
    One event can be sent alone; without a time it has that of its arrival.
    """
    client.events.send.basic_api.send(
        Occurrence(event_name="pe1234567_signed_in", email="a@acme.example", properties={"plan": "free"})
    )

    assert twin.records == (
        {
            "eventName": "pe1234567_signed_in",
            "email": "a@acme.example",
            "properties": {"plan": "free"},
            "occurredAt": "2026-03-01T12:00:00.000Z",
        },
    )


@pytest.mark.rule("hubspot-unresolved", "hubspot-contacts-only", "hubspot-send")
def test_events_that_are_lost_without_a_word(twin: HubSpotTwin, client: Any) -> None:
    """
    Events that belong to no record are answered as the others, and are nowhere.
    """
    send(
        client,
        Occurrence(event_name=EVENT, object_id="404", properties={}),
        Occurrence(event_name=EVENT, email="a@acme.example", properties={}),
        Occurrence(event_name=EVENT, properties={"tenant": "unknown"}),
        Occurrence(event_name="pe1234567_signed_in", email="a@acme.example", properties={}),
    )

    assert (twin.counts.statuses, twin.counts.taken) == ({204: 1}, 1)
    assert [rejected.rule for rejected in twin.debugger] == [
        "hubspot-unresolved",
        "hubspot-contacts-only",
        "hubspot-unresolved",
    ]


@pytest.mark.rule("hubspot-undefined-status", "hubspot-no-identifier", "hubspot-defined")
@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"event_name": "pe1234567_unknown", "email": "a@b.example"}, "no event definition"),
        ({"event_name": "signed_in", "email": "a@b.example"}, "no event definition"),
        ({"event_name": "pe1234567_signed_in"}, "needs an objectId, email or utk"),
    ],
)
def test_an_event_that_refuses_its_batch(twin: HubSpotTwin, client: Any, wrong: dict[str, Any], words: str) -> None:
    """
    One wrong event has the whole batch refused.
    """
    good = Occurrence(event_name="pe1234567_signed_in", email="a@b.example", properties={})
    with pytest.raises(EventsError, match=words) as refused:
        send(client, good, Occurrence(properties={}, **wrong))

    assert (refused.value.status, twin.taken, twin.counts.rejected) == (400, (), 1)


@pytest.mark.rule("hubspot-most-events", "hubspot-most-events-status")
def test_too_many_events(twin: HubSpotTwin, client: Any) -> None:
    """
    Five hundred events are taken at once, and of one more none.
    """
    event = Occurrence(event_name="pe1234567_signed_in", email="a@b.example", properties={})
    send(client, *[event] * 500)
    with pytest.raises(EventsError, match="501 events"):
        send(client, *[event] * 501)

    assert twin.counts.taken == 500


@pytest.mark.rule("hubspot-uuid")
def test_an_event_that_is_sent_again_is_there_twice(twin: HubSpotTwin, client: Any) -> None:
    """
    Nothing says that the uuid deduplicates, and so the twin does not: a lost answer makes two events of one.
    """
    event = Occurrence(event_name="pe1234567_signed_in", email="a@b.example", properties={}, uuid="u-1")
    twin.fail(Drop(stored=True), times=1)
    with pytest.raises(urllib3.exceptions.ProtocolError):
        send(client, event)
    send(client, event)

    assert [record["uuid"] for record in twin.records] == ["u-1", "u-1"]


@pytest.mark.rule("hubspot-authentication", "hubspot-error-body")
def test_wrong_tokens(twin: HubSpotTwin) -> None:
    """
    A token that is unknown is refused.
    """
    with pytest.raises(EventsError, match="INVALID_AUTHENTICATION") as refused:
        send(hubspot.HubSpot(access_token="pat-2", host=twin.url))

    assert refused.value.status == 401


@pytest.mark.rule("hubspot-rate", "hubspot-headers", "hubspot-no-retry-after")
def test_the_rate_of_ten_seconds(clock: Clock) -> None:
    """
    Above the rate the answer is 429 and says how long the window is; after it requests are taken again.
    """
    with HubSpotTwin(clock=clock, limits=HubSpotLimits(requests_per_ten_seconds=2)) as twin:
        prepare(twin)
        client = hubspot.HubSpot(access_token="pat-1", host=twin.url)
        upsert(client, "acme")
        clock.move(9)
        upsert(client, "globex")
        with pytest.raises(CompaniesError, match="TEN_SECONDLY_ROLLING") as refused:
            upsert(client, "initech")
        clock.move(1)
        upsert(client, "initech")

        headers = refused.value.headers
        assert {name: headers.get(f"X-HubSpot-RateLimit-{name}") for name in RATE_HEADERS} == RATE_HEADERS
        assert (refused.value.status, headers.get("Retry-After")) == (429, None)
        assert len(twin.objects("companies")) == 3


RATE_HEADERS = {
    "Max": "2",
    "Remaining": "0",
    "Interval-Milliseconds": "10000",
    "Daily": "625000",
    "Daily-Remaining": "624998",
}


def test_the_library_retries_when_it_is_told_to(twin: HubSpotTwin) -> None:
    """
    With retries of urllib3 a 502 on order is passed over.
    """
    again = urllib3.Retry(total=3, status_forcelist=(502,), allowed_methods=["POST"], backoff_factor=0)
    twin.fail(502, times=2)
    upsert(hubspot.HubSpot(access_token="pat-1", host=twin.url, retry=again), "acme")

    assert (twin.counts.statuses, len(twin.objects("companies"))) == ({502: 2, 200: 1}, 1)
