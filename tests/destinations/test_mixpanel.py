"""
Mixpanel's sender against Mixpanel's twin, whose 400 is mostly a success.
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
from destinations.metric_events import SECONDS, an_event, batch_of, verdicts
from metriclake.destinations import Batch, Destination, Verdict
from metriclake.destinations.mixpanel import EVENTS, PROFILES, MixpanelDestination
from metriclake.pipeline.destination_specs import MixpanelSpec
from metriclake.testing import Clock, MixpanelLimits, MixpanelProject, MixpanelTwin, Refuse, Slow, Status, Twin

TOKEN = MixpanelProject(token=SECRET)


def sender(twin: MixpanelTwin, **settings: Any) -> MixpanelDestination:
    """
    Make a destination that sends to the twin at the twin's time, with settings of the pipeline file.
    """
    spec = msgspec.convert({"token": twin.project.token, "url": twin.url, **settings}, MixpanelSpec)
    return MixpanelDestination("mixpanel", spec, now=twin.clock)


def made(twin: MixpanelTwin, **settings: Any) -> closing[MixpanelDestination]:
    """
    Make the same, and close it in the end.
    """
    return closing(sender(twin, **settings))


class TestMixpanelDestination(DestinationContract):
    """
    Mixpanel keeps what every destination promises.
    """

    def twin(self) -> Twin:
        """
        Return a twin of a project.
        """
        return MixpanelTwin(TOKEN)

    def destination(self, twin: Twin | None) -> Destination:
        """
        Make a destination that sends to it.
        """
        assert isinstance(twin, MixpanelTwin)
        return sender(twin)


@pytest.fixture
def twin() -> Iterator[MixpanelTwin]:
    """
    Start a twin of a project with a group key, at a time that stands still.
    """
    with MixpanelTwin(group_keys=["company_id"], clock=Clock(SECONDS + 60)) as running:
        yield running


def test_an_event(twin: MixpanelTwin) -> None:
    """
    A metric event is an event of its tenant's group, at its own time, without a user where none is named.
    """
    with made(twin, group_key="company_id") as mixpanel:
        batch = batch_of(mixpanel, an_event(3))
        assert verdicts(mixpanel, batch) == [("delivered", "")]

    assert twin.of_group("company_id", "acme") == twin.records
    assert twin.records[0] == {
        "event": "scans",
        "properties": {
            "tenant_id": "acme",
            "event_id": "e3",
            "severity": "high",
            "count": 3,
            "seconds": 1.5,
            "company_id": "acme",
            "time": SECONDS * 1000,
            "distinct_id": "",
            "$insert_id": batch.records[0].id,
            "ip": 0,
        },
    }
    (seen,) = twin.requests
    assert (seen.path, seen.query, seen.headers["content-encoding"]) == ("/import", {"strict": "1"}, "gzip")


@pytest.mark.parametrize("placeholder", ["anonymous", "NULL", "0", "00000000-0000-0000-0000-000000000000", "unknown"])
def test_a_user(twin: MixpanelTwin, placeholder: str) -> None:
    """
    The field that is named is the distinct_id; what Mixpanel takes for nobody is nobody.
    """
    with made(twin, distinct_id="metadata.user") as mixpanel:
        events = (an_event(1, user="u1"), an_event(2, user=placeholder), an_event(3))
        assert verdicts(mixpanel, batch_of(mixpanel, *events)) == [("delivered", "")] * 3

    assert [event["properties"]["distinct_id"] for event in twin.records] == ["u1", "", ""]


def test_a_service_account(twin: MixpanelTwin) -> None:
    """
    A service account sends with its project's id; a wrong one blocks, and no record pays for it.
    """
    username, secret = twin.project.service_account
    account = {"username": username, "secret": secret, "project_id": twin.project.project_id}
    with made(twin, token=None, service_account=account) as mixpanel:
        assert verdicts(mixpanel, batch_of(mixpanel, an_event())) == [("delivered", "")]
        assert list(mixpanel.capabilities) == [EVENTS]
        assert [record.kind for record in mixpanel.records(an_event(tenant_name="Acme"))] == [EVENTS]
    assert twin.requests[0].query == {"strict": "1", "project_id": "1"}

    with made(twin, token=None, service_account={**account, "project_id": "2"}) as mixpanel:
        receipt = mixpanel.deliver(batch_of(mixpanel, an_event()))
    assert (receipt.blocked, receipt.fates[0].reason) == (True, "401")


def test_a_400_that_is_mostly_a_success(twin: MixpanelTwin) -> None:
    """
    What failed is rejected with Mixpanel's field and message; all others are there, and are not sent again.
    """
    twin.fail(Refuse(lambda event: event["properties"]["count"] in (2, 4), "is not wanted: high"), times=1)
    with made(twin) as mixpanel:
        batch = batch_of(mixpanel, *(an_event(number) for number in range(1, 6)))
        receipt = mixpanel.deliver(batch)

    assert [fate.verdict.value for fate in receipt.fates] == [
        "delivered", "rejected", "delivered", "rejected", "delivered",
    ]  # fmt: skip
    assert receipt.fates[1].detail == "is not wanted: …"
    assert (twin.counts.taken, len(twin.requests)) == (3, 1)


ANSWERS: tuple[tuple[dict[str, Any] | list[Any], list[str]], ...] = (
    ({"failed_records": [{"index": 1, "field": "f", "message": "m"}], "num_records_imported": 2}, ["d", "f", "d"]),
    ({"failed_records": [{"index": 0, "$insert_id": "ID2", "field": "f"}]}, ["d", "d", "f"]),
    ({"failed_records": [{"index": 0, "insert_id": "ID1", "field": "f"}]}, ["d", "f", "d"]),
    (
        {"failed_records": [{"index": 1, "field": "f"}], "num_records_imported": 1},
        ["imported-fewer", "f", "imported-fewer"],
    ),
    ({"failed_records": [{"index": 7, "field": "f"}]}, ["400"] * 3),
    ({"failed_records": [{"index": 0, "$insert_id": "nobody's", "field": "f"}]}, ["400"] * 3),
    ({"failed_records": ["what"]}, ["400"] * 3),
    ({"failed_records": []}, ["400"] * 3),
    ({"error": "some data points in the request failed validation"}, ["400"] * 3),
    ([], ["400"] * 3),
)


@pytest.mark.parametrize(("body", "reasons"), ANSWERS)
def test_what_a_400_says(twin: MixpanelTwin, body: Any, reasons: list[str]) -> None:
    """
    A failed event is found by its $insert_id, or else its place; where that leaves doubt nothing counts as delivered.
    """
    with made(twin) as mixpanel:
        batch = batch_of(mixpanel, an_event(0), an_event(1), an_event(2))
        text = json.dumps(body)
        for index, record in enumerate(batch.records):
            text = text.replace(f"ID{index}", record.id)
        twin.fail(Status(400, body=text.encode()), times=1)
        found = verdicts(mixpanel, batch)

    assert [reason or "d" for _, reason in found] == reasons
    assert all(verdict != "delivered" or not reason for verdict, reason in found)


@pytest.mark.parametrize(
    ("body", "fate"),
    [
        (b'{"code": 200, "num_records_imported": 2, "status": "OK"}', ("delivered", "")),
        (b'{"code": 200, "num_records_imported": 1, "status": "OK"}', ("unknown", "imported-fewer")),
        (b'{"code": 200}', ("unknown", "uncounted")),
        (b"1", ("unknown", "uncounted")),
    ],
)
def test_what_a_200_says(twin: MixpanelTwin, body: bytes, fate: tuple[str, str]) -> None:
    """
    A 200 is a success where it counts all of them.
    """
    twin.fail(Status(200, body=body), times=1)
    with made(twin) as mixpanel:
        assert verdicts(mixpanel, batch_of(mixpanel, an_event(1), an_event(2))) == [fate] * 2


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"time": "1970-12-31T23:59:59.999999Z"}, "time-too-old"),
        ({"time": "2026-03-01T13:01:01.000000Z"}, "time-ahead"),
        ({"user": "u" * 256}, "distinct-id-too-long"),
        ({f"d{number}": "x" for number in range(250)}, "too-many-properties"),
        ({f"d{number}": "x" * 2_000 for number in range(10)}, "too-large"),
    ],
)
def test_what_mixpanel_would_refuse_is_not_sent(twin: MixpanelTwin, change: dict[str, Any], reason: str) -> None:
    """
    An event outside of Mixpanel's bounds is rejected before it counts against the account's rate; others are sent.
    """
    with made(twin, distinct_id="metadata.user", event_bytes="16KB") as mixpanel:
        batch = batch_of(mixpanel, an_event(1), an_event(2, **change))
        assert verdicts(mixpanel, batch) == [("delivered", ""), ("rejected", reason)]
        alone = Batch(EVENTS, batch.records[1:])
        assert verdicts(mixpanel, alone) == [("rejected", reason)]

    assert (twin.counts.taken, len(twin.requests)) == (1, 1)


@pytest.mark.parametrize("time", ["1971-01-01T00:00:00.000000Z", "2026-03-01T13:00:59.000000Z"])
def test_the_bounds_of_time(twin: MixpanelTwin, time: str) -> None:
    """
    At the bounds the twin agrees.
    """
    with made(twin) as mixpanel:
        assert verdicts(mixpanel, batch_of(mixpanel, an_event(time=time))) == [("delivered", "")]


def test_most_properties(twin: MixpanelTwin) -> None:
    """
    As many properties as are let through, the twin takes.
    """
    dimensions: dict[str, Any] = {f"d{number}": "x" for number in range(245)}
    with made(twin) as mixpanel:
        assert verdicts(mixpanel, batch_of(mixpanel, an_event(**dimensions))) == [("delivered", "")]

    assert len(twin.records[0]["properties"]) == 254


def test_long_texts_are_cut_there(twin: MixpanelTwin) -> None:
    """
    Mixpanel cuts texts after 255 characters without a word: two that differ later are one there.
    """
    with made(twin) as mixpanel:
        events = (an_event(1, branch="x" * 255 + "one"), an_event(2, branch="x" * 255 + "two"))
        assert verdicts(mixpanel, batch_of(mixpanel, *events)) == [("delivered", "")] * 2

    assert {event["properties"]["branch"] for event in twin.records} == {"x" * 255}


def test_a_repeat_is_one_event(twin: MixpanelTwin) -> None:
    """
    After an answer that did not come, all four parts of the identity are the same.
    """
    twin.fail(Slow(0.4), times=1)
    with made(twin, timeout="100ms") as mixpanel:
        batch = batch_of(mixpanel, an_event(1), an_event(2))
        assert verdicts(mixpanel, batch) == [("unknown", "no-answer")] * 2
        assert verdicts(mixpanel, batch) == [("delivered", "")] * 2

    assert (twin.counts.taken, twin.counts.repeated) == (2, 2)


def test_a_413_is_to_be_split() -> None:
    """
    Where Mixpanel's limit is lower than is documented, a batch is refused whole, and halves pass.
    """
    with MixpanelTwin(limits=MixpanelLimits(request_bytes=700), clock=Clock(SECONDS)) as twin, made(twin) as mixpanel:
        batch = batch_of(mixpanel, *(an_event(number) for number in range(4)))
        assert verdicts(mixpanel, batch) == [("refused", "413")] * 4
        for half in (batch.records[:2], batch.records[2:]):
            assert verdicts(mixpanel, Batch(EVENTS, half)) == [("delivered", "")] * 2


def test_a_rate_that_is_used_up(twin: MixpanelTwin) -> None:
    """
    A 429 has no Retry-After here: it is no record's fault, and one request at a time asks whether it is over.
    """
    twin.fail(429, times=1)
    with made(twin) as mixpanel:
        receipt = mixpanel.deliver(batch_of(mixpanel, an_event()))

    assert (receipt.fates[0].verdict, receipt.fates[0].reason) == (Verdict.RETRY, "429")
    assert (receipt.pause, receipt.blocked) == (None, True)
    assert "rate limits" in receipt.fates[0].detail


def test_a_full_batch_is_within_the_limits() -> None:
    """
    As many events and bytes as the capabilities allow are taken by the twin, which counts what is unpacked.
    """
    limits = MixpanelLimits(request_bytes=1024 * 1024, event_bytes=64 * 1024)
    with MixpanelTwin(limits=limits, clock=Clock(SECONDS)) as twin, made(twin, bytes="1MB", event_bytes="64KB") as to:
        capabilities = to.capabilities[EVENTS]
        for length in (10, 60_000):
            records, used = [], 0
            for number in range(capabilities.records):
                (record,) = to.records(an_event(number, text="x" * length))
                if used + len(record.body) > (capabilities.bytes or 0):
                    break
                used += len(record.body)
                records.append(record)
            assert verdicts(to, Batch(EVENTS, records)) == [("delivered", "")] * len(records)
        assert twin.counts.statuses == {200: 2}


def test_attributes_are_a_profile_when_they_changed(twin: MixpanelTwin) -> None:
    """
    A tenant's attributes are a group's profile, sent when they are others than the last ones.
    """
    with made(twin, group_key="company_id") as mixpanel:
        for number, name in enumerate(("Acme", "Acme", "Acme Inc.", "Acme")):
            batch = batch_of(mixpanel, an_event(number, tenant_name=name, tenant_plan="pro"), kind=PROFILES)
            assert [(record.slot, record.counted) for record in batch.records] == [("group acme", False)]
            assert verdicts(mixpanel, batch) == [("delivered", "")]

    assert twin.groups == {("company_id", "acme"): {"name": "Acme", "plan": "pro"}}
    assert [seen.path for seen in twin.requests] == ["/groups"] * 3


def test_profiles_that_mixpanel_does_not_take(twin: MixpanelTwin) -> None:
    """
    A 0 is a refusal of all of them, after which they are not taken for sent.
    """
    with made(twin) as mixpanel:
        batch = batch_of(mixpanel, an_event(tenant_name="Acme"), kind=PROFILES)
        with twin.fail(Refuse(lambda _update: True)):
            assert verdicts(mixpanel, batch) == [("refused", "invalid-profile")]
        assert verdicts(mixpanel, batch) == [("delivered", "")]
    assert len(twin.groups) == 1


def test_profiles_can_be_left_out(twin: MixpanelTwin) -> None:
    """
    Without profiles only events go out.
    """
    with made(twin, profiles=False) as mixpanel:
        assert [record.kind for record in mixpanel.records(an_event(tenant_name="Acme"))] == [EVENTS]


@pytest.mark.parametrize(
    ("settings", "host", "possible"),
    [
        ({}, "https://api.mixpanel.com", False),
        ({"region": "eu", "distinct_id": "metadata.user"}, "https://api-eu.mixpanel.com", True),
        ({"region": "in"}, "https://api-in.mixpanel.com", False),
    ],
)
def test_regions_and_deletion(settings: dict[str, Any], host: str, *, possible: bool) -> None:
    """
    Each region has a host; deletion is by distinct_id, and so only where there is one.
    """
    mixpanel = MixpanelDestination("m", msgspec.convert({"token": "t", **settings}, MixpanelSpec))

    assert repr(mixpanel._http) == f"Http({host})"
    assert mixpanel.erasure.possible is possible


def test_a_record_of_another_size_is_looked_at_again(twin: MixpanelTwin) -> None:
    """
    The body decides, and not what made it.
    """
    with made(twin, event_bytes="1KB") as mixpanel:
        (record,) = mixpanel.records(an_event())
        long = replace(record, body=record.body.replace(b"high", b"x" * 1024))
        assert verdicts(mixpanel, Batch(EVENTS, [long])) == [("rejected", "too-large")]
