"""
HubSpot's sender against HubSpot's twin, whose success may have written nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from contracts.destination import SECRET, DestinationContract
from destinations.metric_events import SECONDS, TIME, an_event, batch_of, verdicts
from metriclake.destinations import Batch, Destination, Repeats, Verdict
from metriclake.destinations.hubspot import COMPANIES, EVENTS, HubSpotDestination, own_name
from metriclake.pipeline.destination_specs import HubSpotSpec
from metriclake.testing import Clock, Drop, EventDefinition, HubSpotLimits, HubSpotTwin, Refuse, Status, Twin

KPIS = {"scans": {"properties": {"open_findings": "data.count", "name": "metadata.tenant_name"}}}
OCCURRED = {"hub_id": 1234567, "match": "tenant_id"}


def sender(twin: HubSpotTwin, **settings: Any) -> HubSpotDestination:
    """
    Make a destination that sends to the twin at the twin's time, with settings of the pipeline file.
    """
    spec = msgspec.convert({"token": SECRET, "url": twin.url, **settings}, HubSpotSpec)
    return HubSpotDestination("hubspot", spec, now=twin.clock)


def made(twin: HubSpotTwin, **settings: Any) -> closing[HubSpotDestination]:
    """
    Make the same, and close it in the end.
    """
    return closing(sender(twin, **settings))


def an_account(twin: HubSpotTwin) -> HubSpotTwin:
    """
    Give the twin's account the properties and the events that these tests send.
    """
    twin.create_property("companies", "tenant_id", unique=True)
    for name in ("open_findings", "scans_count", "scans_seconds", "orders_count", "orders_seconds", "n_ber_all_count"):
        twin.create_property("companies", name)
    for name in ("n_ber_all_seconds", "other_count", "other_seconds"):
        twin.create_property("companies", name)
    for name in ("scans", "orders", "n_ber_all", "other"):
        twin.define(EventDefinition(name, "companies", matching=("tenant_id", "tenant_id")))
    return twin


class TestHubSpotCompanies(DestinationContract):
    """
    Companies keep what every destination promises.
    """

    def twin(self) -> Twin:
        """
        Return a twin that has what is sent.
        """
        return an_account(HubSpotTwin([SECRET]))

    def destination(self, twin: Twin | None) -> Destination:
        """
        Make a destination that sends to it.
        """
        assert isinstance(twin, HubSpotTwin)
        return sender(twin)


class TestHubSpotEvents(DestinationContract):
    """
    Companies and events together keep what every destination promises.
    """

    def twin(self) -> Twin:
        """
        Return a twin that has what is sent.
        """
        return an_account(HubSpotTwin([SECRET]))

    def destination(self, twin: Twin | None) -> Destination:
        """
        Make a destination that sends to it.
        """
        assert isinstance(twin, HubSpotTwin)
        return sender(twin, companies={}, events=OCCURRED, version="v3")


@pytest.fixture
def twin() -> Iterator[HubSpotTwin]:
    """
    Start a twin that knows one token, at a time that stands still.
    """
    with an_account(HubSpotTwin([SECRET], clock=Clock(SECONDS))) as running:
        yield running


@pytest.mark.parametrize(
    ("version", "path"),
    [
        ("2026-03", "/crm/objects/2026-03/companies/batch/upsert"),
        ("v3", "/crm/v3/objects/companies/batch/upsert"),
    ],
)
def test_a_company(twin: HubSpotTwin, version: str, path: str) -> None:
    """
    A tenant is a company, found by its id, with the values of the mapping as text; other properties stay as they were.
    """
    with made(twin, metrics=KPIS, version=version) as hubspot:
        for number in (1, 2):
            batch = batch_of(hubspot, an_event(number, tenant_name="Acme"))
            assert [(record.slot, record.counted) for record in batch.records] == [("company acme scans", True)]
            assert verdicts(hubspot, batch) == [("delivered", "")]

    assert twin.objects("companies") == (
        {"tenant_id": "acme", "name": "Acme", "open_findings": "2", "hs_object_id": "1002"},
    )
    assert [seen.path for seen in twin.requests] == [path] * 2


def test_without_a_mapping_measures_go_along(twin: HubSpotTwin) -> None:
    """
    Without properties a company gets the measures, each named by metric and measure.
    """
    with made(twin) as hubspot:
        assert verdicts(hubspot, batch_of(hubspot, an_event(4))) == [("delivered", "")]
        empty = an_event(5)
        del empty.data["count"], empty.data["seconds"]
        assert list(hubspot.records(empty)) == []

    (company,) = twin.objects("companies")
    assert (company["scans_count"], company["scans_seconds"]) == ("4", "1.5")


def test_a_company_stands_in_a_batch_once(twin: HubSpotTwin) -> None:
    """
    Records of one tenant are one input, with the newest value of each property; all of them share its fate.
    """
    with made(twin) as hubspot:
        newer = an_event(7, time="2026-03-01T12:00:05.000000Z")
        batch = batch_of(hubspot, newer, an_event(5), an_event(6, metric="orders"), an_event(1, tenant_id="other"))
        assert verdicts(hubspot, batch) == [("delivered", "")] * 4

    companies = {company["tenant_id"]: company for company in twin.objects("companies")}
    assert (companies["acme"]["scans_count"], companies["acme"]["orders_count"]) == ("7", "6")
    assert companies["other"]["scans_count"] == "1"
    assert len(twin.requests) == 1


def test_a_207_names_what_is_wrong(twin: HubSpotTwin) -> None:
    """
    The others of a batch are written, and what is wrong is rejected with HubSpot's category and words.
    """
    with made(twin, metrics={"scans": {"properties": {"scans_count": "data.count"}}}) as hubspot:
        batch = batch_of(hubspot, *(an_event(number, tenant_id=f"tenant-{number}") for number in range(1, 5)))
        twin.fail(Refuse(lambda each: each["id"] == "tenant-3", "tenant-3 may not be written"), times=1)
        receipt = hubspot.deliver(batch)

    assert [fate.verdict.value for fate in receipt.fates] == ["delivered", "delivered", "rejected", "delivered"]
    assert (receipt.fates[2].reason, receipt.fates[2].detail) == ("VALIDATION_ERROR", "… may not be written")
    assert len(twin.objects("companies")) == 3


def test_a_property_that_is_not_there(twin: HubSpotTwin) -> None:
    """
    A property that nobody created makes its own company wrong, and no other.
    """
    with made(
        twin, metrics={"scans": {"properties": {"gone": "metadata.gone", "scans_count": "data.count"}}}
    ) as hubspot:
        batch = batch_of(hubspot, an_event(1), an_event(2, tenant_id="other", gone="x"))
        receipt = hubspot.deliver(batch)

    assert [fate.verdict.value for fate in receipt.fates] == ["delivered", "rejected"]
    assert '"gone" does not exist' in receipt.fates[1].detail


RESULT = {"id": "1", "properties": {"tenant_id": "t1"}}
ANSWERS: tuple[tuple[int, dict[str, Any], list[str]], ...] = (
    (200, {"status": "COMPLETE", "results": []}, ["not-written"] * 3),
    (200, {"status": "COMPLETE"}, ["not-written"] * 3),
    (200, {"results": [{"objectWriteTraceId": "1"}]}, ["not-written", "", "not-written"]),
    (200, {"results": [RESULT]}, ["not-written", "", "not-written"]),
    (200, {"results": [{"objectWriteTraceId": "99"}, {}, "x"]}, ["not-written"] * 3),
    (
        207,
        {
            "results": [{"objectWriteTraceId": "0"}],
            "errors": [
                {"category": "C", "context": {"objectWriteTraceId": ["2"]}},
                {"category": "D", "message": "why"},
            ],
        },
        ["", "not-written", "C"],
    ),
    (207, {"results": [], "errors": [{"context": {"objectWriteTraceId": ["x", "77"]}}]}, ["not-written"] * 3),
)
PASSING: tuple[tuple[int, dict[str, Any], list[tuple[str, str]]], ...] = (
    (200, {"status": "PENDING", "results": []}, [("retry", "not-written")] * 3),
    (200, {"status": "CANCELED", "results": [RESULT]}, [("retry", "not-written"), ("delivered", "")] * 2),
    (
        207,
        {"results": [RESULT], "errors": [{"category": "RATE_LIMITS"}]},
        [("retry", "not-written"), ("delivered", "")] * 2,
    ),
    (
        207,
        {
            "results": [RESULT],
            "errors": [
                {"category": "INTERNAL_ERROR", "context": {"objectWriteTraceId": ["0"]}},
                {"category": "VALIDATION_ERROR", "context": {"objectWriteTraceId": ["2"]}},
            ],
        },
        [("retry", "INTERNAL_ERROR"), ("delivered", ""), ("rejected", "VALIDATION_ERROR")],
    ),
)


@pytest.mark.parametrize(("status", "body", "reasons"), ANSWERS)
def test_a_success_is_held_against_what_was_sent(
    twin: HubSpotTwin, status: int, body: dict[str, Any], reasons: list[str]
) -> None:
    """
    A company that neither a result nor an error names was not written: it is refused, and so looked at alone.
    """
    twin.fail(Status(status, body=json.dumps(body).encode()), times=1)
    with made(twin) as hubspot:
        batch = batch_of(hubspot, *(an_event(number, tenant_id=f"t{number}") for number in range(3)))
        receipt = hubspot.deliver(batch)

    assert [fate.reason for fate in receipt.fates] == reasons
    assert {fate.verdict for fate in receipt.fates if fate.reason == "not-written"} <= {Verdict.REFUSED}
    assert {fate.verdict for fate in receipt.fates if not fate.reason} <= {Verdict.DELIVERED}


@pytest.mark.parametrize(("status", "body", "found"), PASSING)
def test_what_is_not_written_for_a_reason_that_passes_is_tried_again(
    twin: HubSpotTwin, status: int, body: dict[str, Any], found: list[tuple[str, str]]
) -> None:
    """
    A batch that HubSpot is not done with, an error of HubSpot's own: no company is at fault, alone or among others.
    """
    twin.fail(Status(status, body=json.dumps(body).encode()), times=2)
    with made(twin) as hubspot:
        batch = batch_of(hubspot, *(an_event(number, tenant_id=f"t{number}") for number in range(3)))
        alone = Batch(COMPANIES, batch.records[:1])

        assert verdicts(hubspot, batch) == found[:3]
        assert verdicts(hubspot, alone) == found[:1]


@pytest.mark.parametrize("body", [b"", b"[]", b'{"results": [{"objectWriteTraceId": "0"}'])
def test_a_success_that_cannot_be_read_says_nothing_of_a_company(twin: HubSpotTwin, body: bytes) -> None:
    """
    An answer that broke off leaves open what is written: it is no fault of a record, also of one that is alone.
    """
    twin.fail(Status(200, body=body), times=1)
    with made(twin) as hubspot:
        assert verdicts(hubspot, batch_of(hubspot, an_event())) == [("unknown", "no-results")]


def test_a_full_batch_of_companies(twin: HubSpotTwin) -> None:
    """
    A hundred are taken at once.
    """
    with made(twin) as hubspot:
        most = hubspot.capabilities[COMPANIES].records
        batch = batch_of(hubspot, *(an_event(number, tenant_id=f"t{number}") for number in range(most)))
        assert verdicts(hubspot, batch) == [("delivered", "")] * 100

    assert len(twin.objects("companies")) == 100


def with_events(twin: HubSpotTwin, **settings: Any) -> closing[HubSpotDestination]:
    """
    Make a destination of events alone, and the company of `acme` that they belong to.
    """
    with made(twin) as hubspot:
        hubspot.deliver(batch_of(hubspot, an_event()))
    return made(twin, **{"events": OCCURRED, **settings})


@pytest.mark.parametrize(
    ("version", "path"), [("2026-03", "/events/2026-03/send/batch"), ("v3", "/events/v3/send/batch")]
)
def test_an_event(twin: HubSpotTwin, version: str, path: str) -> None:
    """
    A metric event is an occurrence of a custom event of its tenant's company, with its values as text.
    """
    with with_events(twin, version=version) as hubspot:
        assert list(hubspot.capabilities) == [EVENTS]
        batch = batch_of(hubspot, an_event(3))
        assert verdicts(hubspot, batch) == [("delivered", "")]

    (taken,) = [taken.record for taken in twin.taken if taken.kind == "pe1234567_scans"]
    assert taken == {
        "eventName": "pe1234567_scans",
        "occurredAt": TIME.replace("000000Z", "000Z"),
        "uuid": batch.records[0].id,
        "objectId": "1002",
        "properties": {"tenant_id": "acme", "event_id": "e3", "severity": "high", "count": "3", "seconds": "1.5"},
    }
    assert twin.requests[-1].path == path


def test_an_event_of_a_contact(twin: HubSpotTwin) -> None:
    """
    With an email it is a contact's; an event that names nobody does not go there.
    """
    twin.define(EventDefinition("seen", "contacts"))
    events = {"hub_id": 1234567, "email": "metadata.email"}
    with made(twin, events=events, metrics={"scans": {"name": "Seen", "properties": {"n": "data.count"}}}) as hubspot:
        assert verdicts(hubspot, batch_of(hubspot, an_event(1, email="a@example.com"))) == [("delivered", "")]
        assert list(hubspot.records(an_event(2))) == []

    assert [(event["email"], event["properties"]) for event in twin.records] == [("a@example.com", {"n": "1"})]


def test_companies_and_events(twin: HubSpotTwin) -> None:
    """
    Where both are wanted a metric event is both, each with an id of its own.
    """
    with made(twin, companies={}, events=OCCURRED) as hubspot:
        records = list(hubspot.records(an_event()))

    assert [(record.kind, record.counted) for record in records] == [(COMPANIES, True), (EVENTS, True)]
    assert len({record.id for record in records}) == 2


def test_an_event_that_is_sent_again_is_there_twice(twin: HubSpotTwin) -> None:
    """
    HubSpot knows no event again, which is what the capabilities say: after silence nothing is sent by itself.
    """
    with with_events(twin) as hubspot:
        batch = batch_of(hubspot, an_event())
        twin.fail(Drop(stored=True), times=1)
        assert verdicts(hubspot, batch) == [("unknown", "no-answer")]
        assert verdicts(hubspot, batch) == [("delivered", "")]
        capabilities = hubspot.capabilities[EVENTS]

    assert len([taken for taken in twin.taken if taken.kind == "pe1234567_scans"]) == 2
    assert (capabilities.repeats, capabilities.retry_unknown) == (Repeats.DOUBLED, False)
    with made(twin, events=OCCURRED, unknown="retry") as hubspot:
        assert hubspot.capabilities[EVENTS].retry_unknown


def test_no_connection_is_used_twice_for_events(twin: HubSpotTwin) -> None:
    """
    A connection that the host closes as it is used again would leave events in doubt: each request has its own.
    """
    with with_events(twin, companies={}) as hubspot:
        for kind in (COMPANIES, EVENTS):
            assert verdicts(hubspot, batch_of(hubspot, an_event(), kind=kind)) == [("delivered", "")]

        assert (len(kept(hubspot._http)), len(kept(hubspot._once))) == (1, 0)


def kept(http: Any) -> list[Any]:
    """
    Return the connections that are open.
    """
    connections: list[Any] = http._client._transport_for_url(http._client.base_url)._pool.connections
    return connections


def test_a_gateway_that_gave_up(twin: HubSpotTwin) -> None:
    """
    A 504 says that nobody knows: of events that is a question, of companies only another try.
    """
    with with_events(twin, companies={}) as hubspot:
        twin.fail(Status(504, stored=True), times=2)
        found = [verdicts(hubspot, batch_of(hubspot, an_event(), kind=kind)) for kind in (COMPANIES, EVENTS)]

    assert found == [[("retry", "504")], [("unknown", "504")]]
    assert len([taken for taken in twin.taken if taken.kind == "pe1234567_scans"]) == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({f"d{number}": "x" for number in range(48)}, "too-many-properties"),
        ({"x" * 51: "x"}, "property-name"),
        ({"long": "x" * 257}, "value-too-long"),
        ({"page_url": "x" * 1025}, "value-too-long"),
    ],
)
def test_what_would_refuse_a_whole_batch_is_not_sent(twin: HubSpotTwin, change: dict[str, Any], reason: str) -> None:
    """
    An event that would take all others with it is rejected before, and the others are sent.
    """
    with with_events(twin) as hubspot:
        batch = batch_of(hubspot, an_event(1), an_event(2, **change), an_event(3, page_url="x" * 1024, text="y" * 256))
        assert verdicts(hubspot, batch) == [("delivered", ""), ("rejected", reason), ("delivered", "")]
        assert verdicts(hubspot, Batch(EVENTS, batch.records[1:2])) == [("rejected", reason)]

    assert len(twin.requests) == 2


def test_an_event_that_is_not_defined_refuses_its_batch(twin: HubSpotTwin) -> None:
    """
    A 400 is for the whole batch: it is refused, to be split.
    """
    with with_events(twin) as hubspot:
        batch = batch_of(hubspot, an_event(1), an_event(2, metric="nobody-defined"))
        assert verdicts(hubspot, batch) == [("refused", "400")] * 2
        halves = [verdicts(hubspot, Batch(EVENTS, [record])) for record in batch.records]

    assert halves == [[("delivered", "")], [("refused", "400")]]


def test_a_full_batch_of_events(twin: HubSpotTwin) -> None:
    """
    Five hundred are taken at once.
    """
    with with_events(twin) as hubspot:
        batch = batch_of(hubspot, *(an_event(number) for number in range(hubspot.capabilities[EVENTS].records)))
        assert verdicts(hubspot, batch) == [("delivered", "")] * 500


@pytest.mark.parametrize(
    ("failure", "pause"),
    [
        (Status(429), 10),
        (Status(429, {"Retry-After": "3"}), 3),
        (Status(429, body=b'{"policyName": "SECONDLY"}'), 1),
        (Status(429, body=b'{"policyName": "DAILY"}'), 3600),
        (Status(429, body=b'{"policyName": "MONTHLY"}'), 3600),
        (Status(429, {"X-HubSpot-RateLimit-Daily-Remaining": "0"}, b"[]"), 3600),
        (Status(429, {"X-HubSpot-RateLimit-Interval-Milliseconds": "2500"}, b""), 2.5),
        (Status(429, {"X-HubSpot-RateLimit-Interval-Milliseconds": "soon"}, b""), 10),
        (Status(423), None),
        (Status(477), None),
        (Status(502), None),
    ],
)
@pytest.mark.parametrize("kind", [COMPANIES, EVENTS])
def test_failures_that_pass(twin: HubSpotTwin, failure: Status, pause: float | None, kind: str) -> None:
    """
    A 429 pauses the account until its window is over; what HubSpot says will pass is tried again.
    """
    twin.fail(failure, times=1)
    with made(twin, companies={}, events=OCCURRED) as hubspot:
        receipt = hubspot.deliver(batch_of(hubspot, an_event(), kind=kind))

    assert [(fate.verdict, fate.reason) for fate in receipt.fates] == [(Verdict.RETRY, str(failure.status))]
    assert (receipt.pause, receipt.blocked) == (pause, False)


@pytest.mark.parametrize(
    ("limits", "pause"),
    [
        (HubSpotLimits(requests_per_ten_seconds=2), 10),
        (HubSpotLimits(requests_per_day=2), 3600),
        (HubSpotLimits(), None),
    ],
)
def test_the_last_of_a_window_pauses(limits: HubSpotLimits, pause: float | None) -> None:
    """
    A success that says that nothing is left is not followed by a request that would be refused.
    """
    with an_account(HubSpotTwin([SECRET], limits=limits, clock=Clock(SECONDS))) as twin, made(twin) as hubspot:
        receipts = [hubspot.deliver(batch_of(hubspot, an_event(number))) for number in range(2)]

    assert [receipt.pause for receipt in receipts] == [None, pause]


def test_a_message_is_shown_without_values(twin: HubSpotTwin) -> None:
    """
    HubSpot's category and words are the reason, but for the values of the records.
    """
    body = {"category": "VALIDATION_ERROR", "message": "acme-customer was not valid", "policyName": None}
    twin.fail(Status(400, body=json.dumps(body).encode()), times=1)
    with made(twin) as hubspot:
        fate = hubspot.deliver(batch_of(hubspot, an_event(tenant_id="acme-customer"))).fates[0]

    assert fate.detail.endswith("answered 400: VALIDATION_ERROR: … was not valid")


@pytest.mark.parametrize(
    ("name", "own"),
    [("scans", "scans"), ("Scan.Finished-2", "scan_finished_2"), ("2nd", "n_2nd"), ("Über", "n_ber"), ("_x", "n_x")],
)
def test_names(name: str, own: str) -> None:
    """
    HubSpot's names are of small letters, digits and _, and begin with a letter.
    """
    assert own_name(name) == own


def test_an_older_company_never_wins_in_a_batch(twin: HubSpotTwin) -> None:
    """
    The time of a record decides, wherever it stands in the batch.
    """
    with made(twin) as hubspot:
        batch = batch_of(hubspot, an_event(2), an_event(1))
        older = replace(batch.records[0], time=batch.records[1].time - 1)
        assert verdicts(hubspot, Batch(COMPANIES, [batch.records[1], older])) == [("delivered", "")] * 2

    assert twin.objects("companies")[0]["scans_count"] == "1"
