"""
What all twins have in common, shown with Segment's: failures on order, what is remembered, the life of the server.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from metriclake.testing import Clock, Drop, Failure, Keep, Refuse, SegmentTwin, Slow, Status
from testing.plain_http import post, speaking

CALL = {"userId": "u", "event": "Seen", "writeKey": "key"}


@pytest.fixture
def twin() -> Iterator[SegmentTwin]:
    """
    Listen for one test.
    """
    with SegmentTwin() as twin:
        yield twin


@pytest.fixture
def http(twin: SegmentTwin) -> Iterator[httpx.Client]:
    """
    Speak to the twin.
    """
    with speaking(twin.url) as client:
        yield client


def send(http: httpx.Client, number: int = 0, path: str = "/v1/track") -> int:
    """
    Send one call, and return the status; 0 where the connection ended.
    """
    try:
        return http.post(path, json={**CALL, "messageId": f"m{number}"}).status_code
    except httpx.TransportError:
        return 0


def ids(twin: SegmentTwin) -> list[str]:
    """
    Return the ids of the calls that are there.
    """
    return [record["messageId"] for record in twin.records]


def test_a_number_of_times(twin: SegmentTwin, http: httpx.Client) -> None:
    """
    A failure for two requests meets two, which are not taken, and lets the next one through.
    """
    order = twin.fail(503, times=2)

    assert [send(http, number) for number in range(4)] == [503, 503, 200, 200]
    assert (ids(twin), order.happened) == (["m2", "m3"], 2)


def test_until_told_otherwise(twin: SegmentTwin, http: httpx.Client) -> None:
    """
    A failure without an end goes on until it is stopped, its block ends, or all are healed.
    """
    order = twin.fail(500)
    first = [send(http), send(http)]
    order.stop()
    with twin.fail(502):
        inside = [send(http)]
    between = [send(http)]
    twin.fail(504)
    second = [send(http)]
    twin.heal()

    assert [*first, *inside, *between, *second, send(http)] == [500, 500, 502, 200, 504, 200]


def test_a_share(twin: SegmentTwin, http: httpx.Client) -> None:
    """
    A share of the requests fails, the same ones for the same seed.
    """
    statuses = []
    for seed in (1, 1, 2):
        with twin.fail(500, share=0.3, seed=seed):
            statuses.append([send(http, number) for number in range(100)])

    assert statuses[0] == statuses[1] != statuses[2]
    assert 15 <= statuses[0].count(500) <= 45


def test_below_a_path(twin: SegmentTwin, http: httpx.Client) -> None:
    """
    A failure for a path leaves the others alone, and does not count them.
    """
    twin.fail(500, path="/v1/identify", times=1)

    assert [send(http), send(http, path="/v1/identify"), send(http, path="/v1/identify")] == [200, 500, 200]


def test_the_first_order_meets(twin: SegmentTwin, http: httpx.Client) -> None:
    """
    Of two failures the one given first comes first, and the other after it is used up.
    """
    twin.fail(500, times=1)
    twin.fail(503, times=1)

    assert [send(http) for _ in range(3)] == [500, 503, 200]


def test_an_answer_of_ones_own(twin: SegmentTwin, http: httpx.Client) -> None:
    """
    Headers and body of a failure are as they were told; what was not told is as the service does it.
    """
    twin.fail(Status(429, {"Retry-After": "7", "X-Other": "a"}), times=1)
    twin.fail(Status(503, body=b"<html>"), times=1)
    limited = http.post("/v1/track", json=CALL)
    down = http.post("/v1/track", json=CALL)

    assert (limited.headers["Retry-After"], limited.headers["X-Other"]) == ("7", "a")
    assert (limited.headers["X-RateLimit-Reset"], limited.json()["code"]) == ("1", "too_many_requests")
    assert (down.content, twin.counts.taken) == (b"<html>", 0)


@pytest.mark.parametrize(
    ("failure", "seen", "kept"),
    [
        (Drop(), 0, []),
        (Drop(stored=True), 0, ["m1"]),
        (Drop(stored=True, partly=True), 0, ["m1"]),
        (Status(504), 504, []),
        (Status(504, stored=True), 504, ["m1"]),
    ],
    ids=str,
)
def test_before_and_after(twin: SegmentTwin, http: httpx.Client, failure: Failure, seen: int, kept: list[str]) -> None:
    """
    Told so, a request that fails is stored all the same, and its repetition is a duplicate.
    """
    twin.fail(failure, times=1)
    first = send(http, 1)

    assert (first, ids(twin)) == (seen, kept)
    assert (send(http, 1), ids(twin), twin.counts.repeated) == (200, ["m1"], len(kept))
    assert [request.status for request in twin.requests] == [seen, 200]
    assert [request.failure for request in twin.requests] == [type(failure).__name__, ""]


def test_half_an_answer_needs_one() -> None:
    """
    Half of an answer can only be sent to what was taken.
    """
    with pytest.raises(ValueError, match="half an answer"):
        Drop(partly=True)


@pytest.mark.parametrize(("status", "words"), [(99, "200 to 599"), (600, "200 to 599"), (204, "body")])
def test_statuses_that_mean_nothing(twin: SegmentTwin, status: int, words: str) -> None:
    """
    What is no status is refused at once, and so is a success of which nothing says how it looks.
    """
    with pytest.raises(ValueError, match=words):
        twin.fail(status)


def test_a_success_that_is_none(twin: SegmentTwin, http: httpx.Client) -> None:
    """
    An answer of success may be told too: nothing is there.
    """
    twin.fail(Status(200, body=b'{"success": true}'), times=1)

    assert (send(http), twin.counts.taken) == (200, 0)


def test_slow(twin: SegmentTwin, http: httpx.Client) -> None:
    """
    A slow answer holds up its own connection alone; who does not wait for it has sent a call that is there.
    """
    twin.fail(Slow(30), times=1)
    with pytest.raises(httpx.ReadTimeout):
        http.post("/v1/track", json={**CALL, "messageId": "m1"}, timeout=0.2)
    twin.fail(Slow(0.2), times=1)
    begun = time.monotonic()
    status = send(http, 2)

    assert (status, ids(twin)) == (200, ["m1", "m2"])
    assert time.monotonic() - begun >= 0.2


def test_refused_records(twin: SegmentTwin, http: httpx.Client) -> None:
    """
    Records for which the test says so are refused as the service does it, here without a word.
    """
    twin.fail(Refuse(lambda call: call["messageId"] in {"m1", "m3"}, "blocked"))

    assert [send(http, number) for number in range(4)] == [200] * 4
    assert ids(twin) == ["m0", "m2"]
    assert [(rejected.record["messageId"], rejected.reason, rejected.rule) for rejected in twin.debugger] == [
        ("m1", "blocked", ""),
        ("m3", "blocked", ""),
    ]


def test_a_predicate_that_raises_is_told_to_the_test() -> None:
    """
    What is wrong with the test's own predicate ends the test, and is not lost in an answer of 500.
    """
    twin = SegmentTwin().start()
    twin.fail(Refuse(lambda call: bool(call["nothing"])))
    status = post(f"{twin.url}/v1/track", json=CALL).status_code
    with pytest.raises(RuntimeError, match="could not judge") as raised:
        twin.stop()

    assert status == 500
    assert isinstance(raised.value.__cause__, KeyError)


@pytest.mark.parametrize("wrong", [{"times": 0}, {"share": 0}, {"share": 1.5}])
def test_orders_that_mean_nothing(twin: SegmentTwin, wrong: dict[str, Any]) -> None:
    """
    A failure for no request is refused at once.
    """
    with pytest.raises(ValueError, match=r"at least one|a part"):
        twin.fail(500, **wrong)


def test_away_and_back(twin: SegmentTwin, http: httpx.Client) -> None:
    """
    While it is away connections are refused, also one that was open; then it listens at the same place.
    """
    before = send(http, 1)
    url = twin.url
    twin.away()
    with pytest.raises(httpx.TransportError):
        http.post("/v1/track", json=CALL)
    with pytest.raises(httpx.ConnectError):
        http.post("/v1/track", json=CALL)
    twin.back()

    assert (before, send(http, 2), twin.url) == (200, 200, url)
    assert twin.counts.taken == 2


def test_memory_is_bounded() -> None:
    """
    Of everything the last ones are kept and all are counted; a forgotten identity is new again.
    """
    with SegmentTwin(keep=Keep(records=3, requests=2, identities=4)) as twin, speaking(twin.url) as http:
        for number in range(10):
            send(http, number)
        send(http, 9)
        send(http, 0)
        http.post("/v1/track", json={"writeKey": "key"})

        assert ids(twin) == ["m8", "m9", "m0"]
        assert [seen.number for seen in twin.requests] == [12, 13]
        assert (twin.counts.requests, twin.counts.taken, twin.counts.repeated, twin.counts.rejected) == (13, 11, 1, 1)


def test_two_attempts_can_be_compared(twin: SegmentTwin, http: httpx.Client) -> None:
    """
    A request is remembered by what it was: bodies that are the same have the same digest.
    """
    for number in (1, 1, 2):
        send(http, number, "/v1/track?a=b&c")
    first, second, third = twin.requests

    assert (first.query, first.method, first.path) == ({"a": "b", "c": ""}, "POST", "/v1/track")
    assert first.size == len(httpx.Request("POST", "http://a", json={**CALL, "messageId": "m1"}).content)
    assert first.digest == second.digest != third.digest
    assert "writeKey" not in repr(first)


def test_from_many_threads(twin: SegmentTwin) -> None:
    """
    Eight clients at once are taken in whole, while others read what there is.
    """
    reading = threading.Event()

    def read() -> None:
        while not reading.wait(0.001):
            assert len(twin.records) <= 200
            assert twin.counts.taken <= 200

    reader = threading.Thread(target=read)
    reader.start()

    def sender(first: int) -> list[int]:
        with speaking(twin.url) as http:
            return [send(http, first + number) for number in range(25)]

    with ThreadPoolExecutor(8) as pool:
        statuses = [status for found in pool.map(sender, range(0, 200, 25)) for status in found]
    reading.set()
    reader.join()

    assert statuses == [200] * 200
    assert sorted(ids(twin)) == sorted(f"m{number}" for number in range(200))


def test_waiting(twin: SegmentTwin) -> None:
    """
    A test waits until the counts are as it wants, and not for ever.
    """
    with ThreadPoolExecutor(1) as pool, speaking(twin.url) as http:
        pool.submit(send, http)
        twin.until(lambda counts: counts.taken == 1)

    with pytest.raises(TimeoutError, match=r"did not come in 0\.05 s"):
        twin.until(lambda counts: counts.taken == 2, seconds=0.05)


def test_only_this_machine(twin: SegmentTwin) -> None:
    """
    It listens on the loopback interface alone.
    """
    assert twin.url.startswith("http://127.0.0.1:")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", int(twin.url.rpartition(":")[2])), 1)


def test_not_running() -> None:
    """
    Before it is started a twin has no place, and says what to do.
    """
    twin = SegmentTwin()
    with pytest.raises(RuntimeError, match="start"):
        _ = twin.url
    with pytest.raises(RuntimeError, match="start"):
        twin.away()


def test_started_by_hand() -> None:
    """
    It is started and stopped without a `with` statement too, and stopping twice does no harm.
    """
    twin = SegmentTwin().start()
    status = post(f"{twin.url}/v1/track", json=CALL).status_code
    twin.stop()
    twin.stop()

    assert (status, twin.counts.taken) == (200, 1)


def test_the_clock_only_goes_forward() -> None:
    """
    A clock that stands can be moved on, one that runs stays ahead, and none goes back.
    """
    standing, running = Clock(1000), Clock()
    ahead = running.move(3600) - time.time()

    assert (standing.move(5), standing()) == (1005, 1005)
    assert 3599 < ahead < 3660
    with pytest.raises(ValueError, match="forward"):
        standing.move(-1)
