"""
Segment's twin and Segment's own library for Python, which knows nothing of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from segment.analytics.client import Client
from segment.analytics.request import APIError, post

from metriclake.testing import Clock, Drop, SegmentLimits, SegmentTwin, Status, WrongRegion

KEY = "key"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = 24 * 3600


@pytest.fixture
def clock() -> Clock:
    """
    Stand still at noon.
    """
    return Clock(NOON.timestamp())


@pytest.fixture
def twin(clock: Clock) -> Iterator[SegmentTwin]:
    """
    Know two sources.
    """
    with SegmentTwin([KEY, "other"], clock=clock) as twin:
        yield twin


@pytest.fixture
def client(twin: SegmentTwin) -> Any:
    """
    Send each call at once.
    """
    return Client(KEY, host=twin.url, sync_mode=True)


@pytest.fixture
def background(twin: SegmentTwin) -> Iterator[Callable[..., Any]]:
    """
    Make clients that send from a thread of their own.
    """
    made: list[Any] = []

    def make(**options: Any) -> Any:
        made.append(Client(KEY, host=twin.url, upload_interval=0.01, **options))
        return made[-1]

    yield make
    for client in made:
        client.join()


def track(number: int, **more: Any) -> dict[str, Any]:
    """
    Return a call with an id.
    """
    return {"type": "track", "event": "Seen", "userId": "u", "messageId": f"m{number}", **more}


@pytest.mark.rule("segment-endpoints", "segment-authentication")
def test_calls_of_every_kind_arrive(twin: SegmentTwin, client: Any) -> None:
    """
    What the library sends is there, with its kind, its id and the time of its arrival.
    """
    client.identify("u", {"plan": "free"})
    client.track("u", "Report viewed", {"reports": 3}, message_id="m1", timestamp=NOON)
    client.group("u", "acme", {"name": "Acme"})
    client.page("u", "docs", "Pricing")
    client.screen("u", "app", "Home")
    client.alias("before", "u")

    assert [taken.kind for taken in twin.taken] == ["identify", "track", "group", "page", "screen", "alias"]
    viewed = twin.records[1]
    assert (viewed["event"], viewed["properties"], viewed["messageId"]) == ("Report viewed", {"reports": 3}, "m1")
    assert viewed["timestamp"] == "2026-03-01T12:00:00.000+00:00"
    assert twin.taken[1].at == NOON.timestamp()


@pytest.mark.rule("segment-gzip")
def test_gzip_is_read(twin: SegmentTwin) -> None:
    """
    A compressed body counts by what it holds.
    """
    Client(KEY, host=twin.url, sync_mode=True, gzip=True).track("u", "Report viewed", {"text": "x" * 2000})

    assert twin.counts.taken == 1
    assert twin.requests[0].headers["content-encoding"] == "gzip"
    assert twin.requests[0].size > 2000


@pytest.mark.rule("segment-duplicates")
def test_an_id_that_comes_again_is_a_duplicate(twin: SegmentTwin, client: Any, clock: Clock) -> None:
    """
    The same id within a day is dropped, whatever else the call says, and the first one stays.
    """
    client.track("u", "Report viewed", message_id="m1")
    clock.move(DAY - 1)
    client.track("someone else", "Report closed", message_id="m1")

    assert [record["event"] for record in twin.records] == ["Report viewed"]
    assert twin.counts.repeated == 1


@pytest.mark.rule("segment-window")
def test_after_a_day_an_id_is_new(twin: SegmentTwin, client: Any, clock: Clock) -> None:
    """
    What comes again a day after its first arrival is there twice.
    """
    client.track("u", "Report viewed", message_id="m1")
    clock.move(DAY / 2)
    client.track("u", "Report viewed", message_id="m1")
    clock.move(DAY / 2)
    client.track("u", "Report viewed", message_id="m1")

    assert (twin.counts.taken, twin.counts.repeated) == (2, 1)


@pytest.mark.rule("segment-across-sources")
def test_ids_are_known_across_sources(twin: SegmentTwin, client: Any) -> None:
    """
    Two sources that use the same id lose one of two calls.
    """
    client.track("u", "Report viewed", message_id="1")
    Client("other", host=twin.url, sync_mode=True).track("u", "Report viewed", message_id="1")

    assert (twin.counts.taken, twin.counts.repeated) == (1, 1)


@pytest.mark.rule("segment-unknown-key")
def test_an_unknown_key_is_not_told(twin: SegmentTwin) -> None:
    """
    With a wrong write key the library sees success, and nothing is there.
    """
    Client("mistyped", host=twin.url, sync_mode=True).track("u", "Report viewed")

    assert twin.counts.statuses == {200: 1}
    assert (twin.taken, twin.debugger[0].rule) == ((), "segment-unknown-key")


@pytest.mark.rule("segment-batch-count", "segment-batch-count-all")
def test_too_many_calls_are_answered_with_200_and_lost(twin: SegmentTwin) -> None:
    """
    2,500 calls are taken; of 2,501 none is, and the answer is the same.
    """
    full = post(KEY, twin.url, batch=[track(number) for number in range(2500)])
    more = post(KEY, twin.url, batch=[track(10_000 + number) for number in range(2501)])

    assert (full.status_code, more.status_code, full.json() == more.json()) == (200, 200, True)
    assert (twin.counts.taken, twin.counts.rejected) == (2500, 2501)
    assert twin.debugger[0].reason == "a batch of 2501 calls, of at most 2500"


@pytest.mark.rule("segment-identifier", "segment-event-name", "segment-message-id", "segment-type-rejected")
@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        ({"type": "track", "event": "Seen"}, "segment-identifier"),
        ({"type": "track", "userId": "u"}, "segment-event-name"),
        (track(1, messageId="m" * 100), "segment-message-id"),
        ({"userId": "u", "event": "Seen"}, "segment-type"),
        ({"type": "Track", "userId": "u", "event": "Seen"}, "segment-type"),
    ],
)
def test_a_wrong_call_is_lost_alone(twin: SegmentTwin, wrong: dict[str, Any], rule: str) -> None:
    """
    A call that lacks something is not there, the others of its batch are, and the answer is 200.
    """
    answer = post(KEY, twin.url, batch=[track(0), wrong, track(2, messageId="m" * 99)])

    assert answer.status_code == 200
    assert (twin.counts.taken, [rejected.rule for rejected in twin.debugger]) == (2, [rule])


@pytest.mark.rule("segment-type")
def test_each_call_of_a_batch_has_its_own_kind(twin: SegmentTwin) -> None:
    """
    A batch holds calls of several kinds.
    """
    post(KEY, twin.url, batch=[track(1), {"type": "group", "userId": "u", "groupId": "acme"}])

    assert [taken.kind for taken in twin.taken] == ["track", "group"]


@pytest.mark.rule("segment-event-size", "segment-kilobytes", "segment-error-body")
def test_the_largest_call_that_the_library_lets_through(twin: SegmentTwin) -> None:
    """
    32,768 bytes are taken; one more, and the whole batch is refused, with what the library reads as code and message.
    """
    largest = track(1, properties={"text": ""})
    largest["properties"]["text"] = "x" * (32 * 1024 - len(json.dumps(largest)))
    post(KEY, twin.url, batch=[largest])
    largest["properties"]["text"] += "x"
    with pytest.raises(APIError) as refused:
        post(KEY, twin.url, batch=[track(2), largest])

    assert (refused.value.status, refused.value.code) == (400, "invalid_request")
    assert [record["messageId"] for record in twin.records] == ["m1"]


@pytest.mark.rule("segment-batch-size")
def test_a_batch_that_is_too_large_is_refused(twin: SegmentTwin) -> None:
    """
    More than 500,000 bytes are answered with 400, and nothing is there.
    """
    with pytest.raises(APIError, match="400"):
        post(KEY, twin.url, batch=[track(number, properties={"text": "x" * 5000}) for number in range(100)])

    assert (twin.taken, twin.debugger) == ((), ())


@pytest.mark.rule("segment-assigned-id")
def test_a_call_without_id_is_never_a_duplicate(twin: SegmentTwin) -> None:
    """
    What comes twice without an id is there twice, with an id each.
    """
    for _ in range(2):
        post(KEY, twin.url, batch=[{"type": "track", "event": "Seen", "userId": "u"}])

    first, second = twin.records
    assert first["messageId"] != second["messageId"]


@pytest.mark.rule("segment-merged")
def test_what_a_batch_says_is_said_of_each_call(twin: SegmentTwin) -> None:
    """
    The batch's context and integrations are in its calls; what a call says itself stays.
    """
    post(
        KEY,
        twin.url,
        batch=[track(1, context={"groupId": "acme", "ip": "1"})],
        context={"ip": "2", "app": "shop"},
        integrations={"All": False},
    )

    assert twin.records[0]["context"] == {"groupId": "acme", "ip": "1", "app": "shop"}
    assert twin.records[0]["integrations"] == {"All": False}


@pytest.mark.rule("segment-integrations")
def test_calls_are_routed_by_names_whose_case_counts(twin: SegmentTwin, client: Any) -> None:
    """
    A call goes to the destinations that it names, and to all where it names none.
    """
    client.track("u", "everywhere")
    client.track("u", "one", integrations={"All": False, "Mixpanel": True})
    client.track("u", "mistyped", integrations={"All": False, "mixpanel": True})

    assert [call["event"] for call in twin.routed_to("Mixpanel")] == ["everywhere", "one"]
    assert [call["event"] for call in twin.routed_to("HubSpot")] == ["everywhere"]


@pytest.mark.rule("segment-wrong-region")
def test_a_wrong_region_looks_like_success(twin: SegmentTwin, client: Any) -> None:
    """
    The library sees 200, and neither the calls nor a reason are anywhere.
    """
    with twin.fail(WrongRegion()):
        client.track("u", "Report viewed")

    assert (twin.counts.statuses, twin.counts.elsewhere) == ({200: 1}, 1)
    assert (twin.taken, twin.debugger) == ((), ())


@pytest.mark.rule("segment-rate")
def test_more_than_a_thousand_requests_a_second(clock: Clock) -> None:
    """
    Above the rate the answer is 429 with the seconds to wait, and after them it is taken.
    """
    with SegmentTwin(clock=clock, limits=SegmentLimits(requests_per_second=2)) as twin:
        client = Client(KEY, host=twin.url, sync_mode=True)
        client.track("u", "Seen")
        client.track("u", "Seen")
        with pytest.raises(APIError) as refused:
            client.track("u", "Seen")
        headers = refused.value.response.headers
        clock.move(1)
        client.track("u", "Seen")

        assert refused.value.status == 429
        assert (headers["Retry-After"], headers["X-RateLimit-Reset"]) == ("1", "1")
        assert twin.counts.taken == 3


def test_the_library_retries_what_it_was_told_to(twin: SegmentTwin, background: Callable[..., Any]) -> None:
    """
    After two failures and a 429 on order the calls are there, and the failures can be told from the requests.
    """
    twin.fail(503, times=1)
    twin.fail(Status(429, {"Retry-After": "0"}), times=1)
    background().track("u", "Report viewed", message_id="m1")
    twin.until(lambda counts: counts.taken == 1)

    assert [(seen.status, seen.failure) for seen in twin.requests] == [(503, "Status"), (429, "Status"), (200, "")]
    assert twin.requests[1].headers["x-retry-count"] == "1"


def test_a_lost_answer_makes_a_duplicate_that_the_id_catches(twin: SegmentTwin, background: Callable[..., Any]) -> None:
    """
    A connection that ends after the calls were taken has them sent again, and the id keeps them from counting twice.
    """
    twin.fail(Drop(stored=True), times=1)
    background().track("u", "Report viewed", message_id="m1")
    twin.until(lambda counts: counts.repeated == 1)

    assert (twin.counts.taken, [seen.status for seen in twin.requests]) == (1, [0, 200])


def test_batches_of_the_library_arrive(twin: SegmentTwin, background: Callable[..., Any]) -> None:
    """
    Thousands of calls come in batches of a hundred, each once.
    """
    client = background(max_queue_size=5000)
    for number in range(3000):
        client.track("u", "Seen", message_id=f"m{number}")
    client.flush()

    assert (twin.counts.taken, twin.counts.repeated, twin.counts.rejected) == (3000, 0, 0)
    assert {record["messageId"] for record in twin.records} == {f"m{number}" for number in range(3000)}
