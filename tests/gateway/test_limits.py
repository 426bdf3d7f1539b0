"""
Limits of ingest keys: never more than the rate and the burst, and who waits as told gets through.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.doorstep import KEYS, Doorstep
from metriclake._errors import InvalidBody, OverLimit
from metriclake.gateway import Allowance, Limiter, Rate
from metriclake.gateway.limits import Bucket
from metriclake.journal import SqliteJournal

SECOND = 1_000_000_000
EVENT = {"id": "1", "source": "s", "detail-type": "t", "detail": {}}
METRIC = {"metric_name": "m", "metadata": {"tenant_id": "a", "event_id": "1"}, "data": {"event_time": 1}}
RATES = st.builds(Rate, st.integers(1, 10**9), st.integers(1, 10**12))
STEPS = st.lists(st.tuples(st.integers(0, 100 * SECOND), st.floats(0, 1)), min_size=1, max_size=40)


class Clock:
    """
    A clock that a test moves.
    """

    def __init__(self) -> None:
        """
        Start anywhere.
        """
        self.now = 7 * SECOND

    def __call__(self) -> int:
        """
        Return the time.
        """
        return self.now


@given(RATES, STEPS, st.integers(0, 10**18))
def test_never_more_than_rate_and_burst(rate: Rate, steps: list[tuple[int, float]], now: int) -> None:
    """
    Between any two moments, what is let through is at most the rate times the time, and the burst.
    """
    bucket, passed = Bucket(at=now), list[tuple[int, int]]()
    for pause, share in steps:
        now += pause
        amount = int(rate.burst * share)
        bucket, wait = bucket.take(rate, amount, now)
        passed.append((now, 0 if wait else amount))

    for first in range(len(passed)):
        total = 0
        for at, amount in passed[first:]:
            total += amount
            assert total * SECOND <= rate.per_second * (at - passed[first][0]) + rate.burst * SECOND


@given(RATES, STEPS, st.floats(0, 1))
def test_who_waits_as_told_gets_through(rate: Rate, steps: list[tuple[int, float]], share: float) -> None:
    """
    Where a bucket says how long to wait, exactly then it lets through, and not a nanosecond before.
    """
    now, bucket = 0, Bucket()
    for pause, part in steps:
        now += pause
        bucket, _ = bucket.take(rate, int(rate.burst * part), now)
    amount = max(1, int(rate.burst * share))
    same, wait = bucket.take(rate, amount, now)

    if wait:
        assert same == bucket
        assert bucket.take(rate, amount, now + wait - 1)[1] == 1
    assert bucket.take(rate, amount, now + wait)[1] == 0


@given(st.integers(1, 50), st.integers(1, 5000), st.lists(st.integers(1, 50), min_size=1, max_size=20))
def test_retry_after_is_enough(events: int, size: int, requests: list[int]) -> None:
    """
    The whole seconds of `retry_after` are at least one, and after them the same request is taken.
    """
    clock = Clock()
    limits = {"k": Allowance(Rate(events, 50), Rate(size, 5000))}
    limiter = Limiter(lambda: limits, clock)
    for amount in requests:
        before = clock.now
        try:
            limiter.spend("k", amount, amount * 100)
        except OverLimit as error:
            clock.now += error.retry_after * SECOND
            limiter.spend("k", amount, amount * 100)
            again = True
        else:
            again = False

        assert (clock.now >= before + SECOND) == again


def test_what_is_refused_costs_nothing() -> None:
    """
    A request that one limit refuses does not count against the other.
    """
    clock = Clock()
    limits = {"k": Allowance(Rate(10, 10), Rate(1, 100))}
    limiter = Limiter(lambda: limits, clock)
    limiter.spend("k", 1, 100)
    with pytest.raises(OverLimit, match="1 bytes a second"):
        limiter.spend("k", 9, 50)
    clock.now += 50 * SECOND
    limiter.spend("k", 10, 50)


def test_more_than_the_burst_never_passes() -> None:
    """
    A request that alone is above the burst is told to split, not to wait.
    """
    limits = {"k": Allowance(Rate(1, 10))}
    with pytest.raises(InvalidBody, match="split it") as refused:
        Limiter(lambda: limits, Clock()).spend("k", 11, 1)

    assert refused.value.status == 413


def door(journal: SqliteJournal, limits: Mapping[str, Allowance], clock: Clock) -> Doorstep:
    """
    Stand before a gateway with limits.
    """
    return Doorstep(journal, limiter=Limiter(lambda: limits, clock))


@pytest.mark.parametrize(
    ("path", "record", "kind"),
    [
        ("/v1/events", EVENT, "application/json"),
        ("/v1/metrics", METRIC, "application/json"),
        (
            "/v1/events",
            {"specversion": "1.0", "id": "1", "source": "s", "type": "t"},
            "application/cloudevents-batch+json",
        ),
    ],
    ids=["events", "metrics", "cloudevents"],
)
def test_over_the_limit(journal: SqliteJournal, path: str, record: object, kind: str) -> None:
    """
    Over the limit of its key a request is answered with 429, when to come again and the key's name; nothing is kept.
    """
    clock = Clock()
    stand = door(journal, {"default": Allowance(events=Rate(2, 10))}, clock)
    body, headers = json.dumps([record] * 6).encode(), {"Content-Type": kind}

    assert stand.post(path, body, headers).status_code == 200
    answer = stand.post(path, body, headers)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "`default`" in answer.json()["detail"]
    assert KEYS.ingest not in answer.text
    assert len(stand.kept()) == 6
    clock.now += SECOND
    assert stand.post(path, body, headers).status_code == 200


def test_other_keys_are_not_limited(journal: SqliteJournal) -> None:
    """
    A limit is its key's alone.
    """
    stand = door(journal, {"other": Allowance(events=Rate(1, 1))}, Clock())
    answers = [stand.post("/v1/events", json.dumps([EVENT] * 5).encode()) for _ in range(3)]

    assert {answer.status_code for answer in answers} == {200}
