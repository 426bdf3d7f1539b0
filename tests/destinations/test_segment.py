"""
Segment's sender against Segment's twin, which says 200 to nearly everything.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from contracts.destination import SECRET, DestinationContract
from destinations.metric_events import SECONDS, TIME, an_event, batch_of, verdicts
from metriclake.destinations import Batch, Destination, Verdict
from metriclake.destinations.segment import GROUP, TRACK, SegmentDestination
from metriclake.pipeline.destination_specs import SegmentSpec
from metriclake.testing import Refuse, SegmentTwin, Slow, Status, Twin, WrongRegion


class TestSegmentDestination(DestinationContract):
    """
    Segment keeps what every destination promises.
    """

    def twin(self) -> Twin:
        """
        Return a twin that knows one write key.
        """
        return SegmentTwin([SECRET])

    def destination(self, twin: Twin | None) -> Destination:
        """
        Make a destination that sends to it.
        """
        assert twin is not None
        return SegmentDestination("segment", SegmentSpec(write_key=SECRET, url=twin.url))


@pytest.fixture
def twin() -> Iterator[SegmentTwin]:
    """
    Start a twin that knows one write key.
    """
    with SegmentTwin([SECRET]) as running:
        yield running


@pytest.fixture
def segment(twin: SegmentTwin) -> Iterator[SegmentDestination]:
    """
    Send to the twin.
    """
    with closing(made(twin)) as destination:
        yield destination


def made(twin: SegmentTwin, **settings: Any) -> SegmentDestination:
    """
    Make a destination that sends to the twin, with settings of the pipeline file.
    """
    spec = msgspec.convert({"write_key": SECRET, "url": twin.url, **settings}, SegmentSpec)
    return SegmentDestination("segment", spec, now=lambda: SECONDS)


def test_a_track_call(twin: SegmentTwin, segment: SegmentDestination) -> None:
    """
    A metric event is a track call of its tenant's group, at its own time, with all dimensions and measures.
    """
    batch = batch_of(segment, an_event(3))

    assert verdicts(segment, batch) == [("delivered", "")]
    (call,) = twin.records
    assert call.pop("receivedAt")
    assert call == {
        "type": "track",
        "messageId": batch.records[0].id,
        "timestamp": TIME,
        "anonymousId": "tenant:acme",
        "event": "scans",
        "properties": {"tenant_id": "acme", "event_id": "e3", "severity": "high", "count": 3, "seconds": 1.5},
        "context": {"groupId": "acme", "library": {"name": "metriclake", "version": "0.1.0"}},
    }
    assert twin.requests[0].headers["x-retry-count"] == "0"


def test_a_user_and_a_mapping(twin: SegmentTwin) -> None:
    """
    Where a field names the user, that is the userId; a mapping gives the name and the properties.
    """
    mapping = {"scans": {"name": "Scan finished", "properties": {"findings": "data.count", "x": "metadata.none"}}}
    routes = {"All": False, "Mixpanel": True}
    with closing(made(twin, user="metadata.user", metrics=mapping, integrations=routes)) as segment:
        assert list(segment.records(an_event(metric="other"))) == []
        assert verdicts(segment, batch_of(segment, an_event(5, user="u1"), an_event(6))) == [("delivered", "")] * 2

    assert [(call.get("userId"), call.get("anonymousId")) for call in twin.records] == [
        ("u1", None),
        (None, "tenant:acme"),
    ]
    assert [(call["event"], call["properties"]) for call in twin.routed_to("Mixpanel")] == [
        ("Scan finished", {"findings": 5}),
        ("Scan finished", {"findings": 6}),
    ]
    assert twin.routed_to("Amplitude") == ()


def test_attributes_are_a_group_call_when_they_changed(twin: SegmentTwin, segment: SegmentDestination) -> None:
    """
    A tenant's attributes are sent once, and again when they are others, also when they are the first ones again.
    """
    names = ("Acme", "Acme", "Acme Inc.", "Acme")
    for number, name in enumerate(names):
        event = an_event(number, tenant_name=name, tenant_plan="pro", time=f"2026-03-01T12:00:0{number}.000000Z")
        batch = batch_of(segment, event, kind=GROUP)
        assert [(record.slot, record.counted) for record in batch.records] == [("group acme", False)]
        assert verdicts(segment, batch) == [("delivered", "")]

    assert [(call["groupId"], call["traits"]) for call in twin.records] == [
        ("acme", {"name": "Acme", "plan": "pro"}),
        ("acme", {"name": "Acme Inc.", "plan": "pro"}),
        ("acme", {"name": "Acme", "plan": "pro"}),
    ]
    assert len(twin.requests) == 3


def test_attributes_that_were_not_taken_are_sent_again(twin: SegmentTwin, segment: SegmentDestination) -> None:
    """
    Only what was delivered is taken for sent.
    """
    batch = batch_of(segment, an_event(tenant_name="Acme"), kind=GROUP)
    with twin.fail(500):
        assert verdicts(segment, batch) == [("retry", "500")]

    assert verdicts(segment, batch) == [("delivered", "")]
    assert twin.counts.taken == 1


def test_groups_can_be_left_out(twin: SegmentTwin) -> None:
    """
    Without groups only track calls go out.
    """
    with closing(made(twin, groups=False)) as segment:
        assert [record.kind for record in segment.records(an_event(tenant_name="Acme"))] == [TRACK]
        assert list(segment.capabilities) == [TRACK]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"messageId": "x" * 100}, "message-id"),
        ({"messageId": ""}, "message-id"),
        ({"event": ""}, "no-event-name"),
        ({"anonymousId": ""}, "no-user"),
        ({"properties": {"long": "x" * 32_768}}, "too-large"),
        (None, "malformed"),
    ],
)
def test_what_segment_would_silently_leave_out_is_not_sent(
    twin: SegmentTwin, segment: SegmentDestination, change: dict[str, object] | None, reason: str
) -> None:
    """
    A call that would be answered with 200 and lost is rejected with its reason, and the others of its batch are sent.
    """
    good = batch_of(segment, an_event(1), an_event(2)).records
    body = b"[]" if change is None else msgspec.json.encode({**msgspec.json.decode(good[0].body), **change})
    bad = replace(good[0], body=body)

    assert verdicts(segment, Batch(TRACK, [good[0], bad, good[1]])) == [
        ("delivered", ""),
        ("rejected", reason),
        ("delivered", ""),
    ]
    assert (twin.counts.taken, twin.debugger) == (2, ())
    assert verdicts(segment, Batch(TRACK, [bad])) == [("rejected", reason)]
    assert len(twin.requests) == 1


def test_the_twin_leaves_out_without_a_word(twin: SegmentTwin, segment: SegmentDestination) -> None:
    """
    What Segment leaves out for reasons of its own, nobody can see: it counts as delivered.
    """
    twin.fail(Refuse(lambda call: call["event"] == "scans"))

    assert verdicts(segment, batch_of(segment, an_event())) == [("delivered", "")]
    assert (twin.counts.taken, twin.counts.rejected) == (0, 1)


def test_a_full_batch_is_within_the_limits(twin: SegmentTwin, segment: SegmentDestination) -> None:
    """
    As many calls and as many bytes as the capabilities allow are taken by the twin, which counts what is sent.
    """
    capabilities = segment.capabilities[TRACK]
    small = [record for number in range(capabilities.records) for record in segment.records(an_event(number))]
    for size in (100, 2_000, 30_000):
        text = "x" * size
        records, used = [], 0
        for number, record in enumerate(small):
            body = msgspec.json.encode({**msgspec.json.decode(record.body), "properties": {"text": text}})
            if used + len(body) > (capabilities.bytes or 0):
                break
            used += len(body)
            records.append(replace(record, id=f"{number:x}", body=body))
        assert verdicts(segment, Batch(TRACK, records)) == [("delivered", "")] * len(records)

    assert twin.counts.statuses == {200: 3}


@pytest.mark.parametrize(
    ("failure", "fate", "pause", "blocked"),
    [
        (Status(400), ("refused", "400"), None, False),
        (Status(413), ("refused", "413"), None, False),
        (Status(410), ("retry", "410"), None, False),
        (Status(460), ("retry", "460"), None, False),
        (Status(429), ("retry", "429"), 1, False),
        (Status(429, {"Retry-After": "30"}), ("retry", "429"), 30, False),
        (Status(429, {"Retry-After": "", "X-RateLimit-Reset": "7"}), ("retry", "429"), 7, False),
        (Status(429, {"Retry-After": "Sun, 01 Mar 2026 12:01:00 GMT"}), ("retry", "429"), 60, False),
        (Status(429, {"Retry-After": "Sun, 01 Mar 2026 11:01:00 GMT"}), ("retry", "429"), 0, False),
        (Status(429, {"Retry-After": "999999999"}), ("retry", "429"), 3600, False),
        (Status(429, {"Retry-After": "soon", "X-RateLimit-Reset": "later"}), ("retry", "429"), None, True),
        (Status(503, {"Retry-After": "2.5"}), ("retry", "503"), 2.5, False),
        (Status(504, stored=True), ("retry", "504"), None, False),
    ],
)
def test_failures(
    twin: SegmentTwin,
    segment: SegmentDestination,
    failure: Status,
    fate: tuple[str, str],
    pause: float | None,
    blocked: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """
    A failure is tried again where Segment's own library does; how long to wait is read in each of its forms.
    """
    twin.fail(failure, times=1)
    receipt = segment.deliver(batch_of(segment, an_event(1), an_event(2)))

    assert [(each.verdict.value, each.reason) for each in receipt.fates] == [fate] * 2
    assert (receipt.pause, receipt.blocked) == (pause, blocked)


@pytest.mark.parametrize("status", [301, 501, 505])
def test_a_host_that_is_none_blocks(twin: SegmentTwin, segment: SegmentDestination, status: int) -> None:
    """
    What no request could get right costs no record a try.
    """
    twin.fail(Status(status, {"Location": "/elsewhere"}, body=b"{}"))
    receipt = segment.deliver(batch_of(segment, an_event()))

    assert (receipt.blocked, receipt.fates[0].verdict) == (True, Verdict.RETRY)
    assert [seen.path for seen in twin.requests] == ["/v1/batch"]


def test_an_answer_that_takes_too_long(twin: SegmentTwin) -> None:
    """
    After its time a request is unknown; sent again under its id it is there once.
    """
    twin.fail(Slow(0.4), times=1)
    with closing(made(twin, timeout="100ms")) as segment:
        batch = batch_of(segment, an_event())
        assert verdicts(segment, batch) == [("unknown", "no-answer")]
        assert verdicts(segment, batch) == [("delivered", "")]

    assert (twin.counts.taken, twin.counts.repeated) == (1, 1)


def test_ids_of_two_keys_differ() -> None:
    """
    Segment knows ids across sources: two keys, or two namespaces, must not have one in common; a namespace is stable.
    """
    specs = (
        SegmentSpec(write_key="one"),
        SegmentSpec(write_key="two"),
        SegmentSpec(write_key="one", namespace="staging"),
        SegmentSpec(write_key="two", namespace="staging"),
    )
    ids = [first_id(SegmentDestination("segment", spec)) for spec in specs]

    assert len(set(ids)) == 3
    assert ids[2] == ids[3]
    assert first_id(SegmentDestination("other", specs[0])) not in ids


def test_the_region_is_a_host() -> None:
    """
    Each region has a host; the wrong one would say 200 and keep nothing, as the twin shows.
    """
    assert repr(SegmentDestination("s", SegmentSpec(write_key="k"))._http) == "Http(https://api.segment.io)"
    eu = SegmentDestination("s", SegmentSpec(write_key="k", region="eu"))
    assert repr(eu._http) == "Http(https://events.eu1.segmentapis.com)"


def test_a_wrong_region_looks_like_success(twin: SegmentTwin, segment: SegmentDestination) -> None:
    """
    Nothing in the answer tells: docs/destinations.md says how to see it.
    """
    twin.fail(WrongRegion())

    assert verdicts(segment, batch_of(segment, an_event())) == [("delivered", "")]
    assert twin.counts.elsewhere == 1


def first_id(destination: SegmentDestination) -> str:
    """
    Return the id of an event's first record.
    """
    return next(destination.records(an_event())).id
