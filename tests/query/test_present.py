"""
The present moves in steps that no reader of a chart sees, and never leaves out what has happened.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metriclake._errors import Fault
from metriclake.query.present import catalog_key, key_of, present
from metriclake.query.question import Draft, read
from metriclake.tokens import TenantClaims

NOW = datetime(2026, 7, 1, 12, 34, 56, 789_012, UTC)
BASE: dict[str, Any] = {"metric": "uploads", "range": {"last": "30d"}}
CASES = [
    json.loads(line)["question"]
    for line in (Path(__file__).parent.parent / "cases" / "questions.jsonl").read_text("utf-8").splitlines()
]


def claims(tenant: str = "acme", *metrics: str) -> TenantClaims:
    """
    Return what a token allows: all metrics, or these.
    """
    return TenantClaims(tenant, NOW, frozenset(metrics) or None)


def asked(question: Any, now: datetime = NOW) -> datetime:
    """
    Return the present of a question.
    """
    return present(read(question).question, now)


@pytest.mark.parametrize(
    ("last", "end"),
    [
        ("1m", "12:34:57"),
        ("49m", "12:34:57"),
        ("50m", "12:35:00"),
        ("4h", "12:35:00"),
        ("5h", "12:35:00"),
        ("24h", "12:35:00"),
        ("25h", "12:35:00"),
        ("7d", "12:35:00"),
        ("3650d", "12:35:00"),
    ],
)
def test_a_range_ends_at_the_next_step(last: str, end: str) -> None:
    """
    Short ranges end within the second, long ones within five minutes.
    """
    assert asked({**BASE, "range": {"last": last}}).time().isoformat() == end


@pytest.mark.parametrize(("last", "seconds"), [("1m", 1), ("50m", 10), ("5h", 60), ("25h", 300), ("365d", 300)])
def test_a_step_is_so_long(last: str, seconds: int) -> None:
    """
    Within a step the present stands still; with the next one it has moved on.
    """
    start = datetime(2026, 7, 1, 12, tzinfo=UTC)
    question = {**BASE, "range": {"last": last}}
    within = {asked(question, start + timedelta(seconds=seconds * part)) for part in (0.001, 0.5, 1)}

    assert within == {start + timedelta(seconds=seconds)}
    assert asked(question, start) == start
    assert asked(question, start + timedelta(seconds=seconds + 0.001)) == start + timedelta(seconds=2 * seconds)


@pytest.mark.parametrize("parts", [{"aggregate": "rate"}, {"compare": "previous_period"}])
@pytest.mark.parametrize(
    ("interval", "zone", "now", "end"),
    [
        ("day", "UTC", "2026-07-01T00:00:10.5", "2026-07-01T00:00:11"),
        ("day", "UTC", "2026-07-01T00:59:01", "2026-07-01T00:59:10"),
        ("day", "UTC", "2026-07-01T01:30:01", "2026-07-01T01:31:00"),
        ("day", "UTC", "2026-07-01T05:00:01", "2026-07-01T05:05:00"),
        ("day", "Asia/Kathmandu", "2026-06-30T18:15:10", "2026-06-30T18:15:10"),
        ("day", "Asia/Kathmandu", "2026-06-30T18:14:58", "2026-06-30T18:15:00"),
        ("hour", "UTC", "2026-07-01T05:00:01.5", "2026-07-01T05:00:02"),
        ("hour", "UTC", "2026-07-01T05:10:01", "2026-07-01T05:10:10"),
        ("none", "UTC", "2026-07-01T00:00:10", "2026-07-01T00:05:00"),
    ],
)
def test_an_interval_that_has_just_begun_is_not_made_longer(
    interval: str, zone: str, now: str, end: str, parts: dict[str, str]
) -> None:
    """
    What is divided by the time that has passed, or held against as much of another interval, has hardly more of it.
    """
    question = {**BASE, **parts, "interval": interval, "timezone": zone}
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)

    assert asked(question, moment) == datetime.fromisoformat(end).replace(tzinfo=UTC)
    assert asked({**BASE, "interval": interval, "timezone": zone}, moment).minute % 5 == 0


def test_a_wrong_zone_has_a_present_too() -> None:
    """
    A question that cannot be asked is refused for its faults, and not by what looks for its interval.
    """
    assert asked({**BASE, "aggregate": "rate", "interval": "day", "timezone": "Mars/Olympus"}) >= NOW


@settings(deadline=None)
@given(st.datetimes(datetime(1971, 1, 1), datetime(2099, 1, 1)), st.integers(1, 10**6), st.sampled_from("mhd"))  # noqa: DTZ001 - hypothesis wants it so
def test_the_present_is_never_before_now_nor_far_ahead(naive: datetime, number: int, unit: str) -> None:
    """
    What has happened is within the range; it is longer than asked by no more than its 300th part, or a second.
    """
    now = naive.replace(tzinfo=UTC)
    question = read({**BASE, "range": {"last": f"{number}{unit}"}}).question
    if question.last is not None:
        ahead = present(question, now) - now
        assert timedelta() <= ahead <= timedelta(minutes=5)
        assert ahead < max(question.last / 300, timedelta(seconds=1))


def test_a_fixed_range_is_asked_now() -> None:
    """
    A question that names its range does not depend on the present.
    """
    draft = read({**BASE, "range": {"from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"}})
    later = NOW + timedelta(days=1)

    assert present(draft.question, NOW) == NOW
    assert key_of(claims(), draft, NOW, 1) == key_of(claims(), draft, later, 1)


def test_a_key_is_of_all_that_the_answer_depends_on() -> None:
    """
    Another tenant, question, present, pipeline file or token's list has another key; the same ones have the same.
    """
    draft = read(BASE)
    keys = [
        key_of(claims(), draft, NOW, 1),
        key_of(claims("Acme"), draft, NOW, 1),
        key_of(claims(), draft, NOW + timedelta(seconds=1), 1),
        key_of(claims(), draft, NOW, 2),
        key_of(claims(), read({**BASE, "metric": "logins"}), NOW, 1),
        key_of(claims(), read({**BASE, "limit": 0}), NOW, 1),
        key_of(claims("acme", "uploads", "logins"), draft, NOW, 1),
        key_of(claims("acme", "uploads"), draft, NOW, 1),
        catalog_key(claims(), 1),
        catalog_key(claims(), 2),
        catalog_key(claims("acme", "uploads"), 1),
        key_of(claims(), Draft(draft.question, (Fault("a", "b"),)), NOW, 1),
    ]

    assert len(set(keys)) == len(keys)
    assert key_of(claims(), read(dict(reversed(BASE.items()))), NOW, 1) == keys[0]
    assert key_of(claims("acme", "logins", "uploads"), draft, NOW, 1) == keys[6]
    assert {key.tenant for key in keys} == {"acme", "Acme"}


def test_questions_that_read_differently_have_different_keys() -> None:
    """
    Of all the cases there are, two have one key only where they are read as the same.
    """
    drafts = [read(case) for case in CASES]
    keys = [key_of(claims(), draft, NOW, 1) for draft in drafts]

    assert len(drafts) > 10
    for one, key in zip(drafts, keys, strict=True):
        same = [repr(other) for other, found in zip(drafts, keys, strict=True) if found == key]
        assert same == [repr(other) for other in drafts if repr(other) == repr(one)]
