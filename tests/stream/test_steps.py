"""
What passes the steps, and for which reason the rest does not.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metriclake.event import DropReason, MetricEvent
from metriclake.stream.steps import (
    MAX_VALUE_BYTES,
    VALIDATE,
    Draft,
    Refusal,
    Terms,
    as_dimensions,
    check_time,
    put_attributes,
)

CASES = Path(__file__).parents[1] / "cases"
TIMES = [json.loads(line) for line in (CASES / "event_times.jsonl").read_text("utf-8").splitlines()]
REFUSALS = [json.loads(line) for line in (CASES / "refusals.jsonl").read_text("utf-8").splitlines()]

TYPES = {"m": {"n": "integer", "d": "double", "s": "string", "b": "boolean"}}
TERMS = Terms(datetime(2024, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC), TYPES)
TIME = "2026-01-31T12:00:00.000000Z"

NAMES = st.sampled_from(["n", "d", "s", "b", "x", "y", "tenant_name", "time", "a b", "", "$v", "k" * 61])
INTEGERS = st.one_of(st.integers(), st.integers(2**53 - 2, 2**53 + 3), st.integers(2**63 - 2, 2**63 + 1))
SCALARS = st.one_of(
    st.none(), st.booleans(), INTEGERS, st.floats(), st.text(max_size=20), st.just("é" * 1024), st.just("é" * 1025)
)
VALUES = st.one_of(SCALARS, SCALARS, SCALARS, st.lists(SCALARS, max_size=1))
TENANTS = st.sampled_from(["acme", "a@b.c", 42, "a/b", None, True])
EVENT_TIMES = st.sampled_from([TIME, "2025-01-31T12:00:00+02:00", 1769860800.5, 1769860800123, "no", None])
DRAFTS = st.builds(
    Draft,
    st.sampled_from(["m", "m", "m", "other", "", "1m"]),
    st.builds(
        lambda fields, tenant, event_id: {**fields, "tenant_id": tenant, "event_id": event_id},
        st.dictionaries(NAMES, VALUES, max_size=4), TENANTS, st.one_of(st.text(max_size=5), st.integers()),
    ),
    st.builds(
        lambda fields, time: {**fields, "event_time": time}, st.dictionaries(NAMES, VALUES, max_size=4), EVENT_TIMES
    ),
    st.just("default"), st.just(b"{}"), st.just(0),
)  # fmt: skip


def passed(
    record: Draft, answers: Mapping[str, Mapping[str, str] | None] | None = None, *, accept_unknown: bool = True
) -> MetricEvent:
    """
    Send a draft through every step; raises Refusal.
    """
    for step in VALIDATE:
        step(record, TERMS)
    added = {tenant: None if found is None else as_dimensions(found) for tenant, found in (answers or {}).items()}
    return put_attributes(record, added, accept_unknown=accept_unknown)


def draft(metadata: dict[str, Any] | None = None, data: dict[str, Any] | None = None) -> Draft:
    """
    Return a draft that passes, with further fields.
    """
    return Draft(
        "m",
        {"tenant_id": "acme", "event_id": "e1", **(metadata or {})},
        {"event_time": TIME, **(data or {})},
        None,
        b"{}",
        0,
    )


@pytest.mark.parametrize("case", TIMES, ids=lambda case: case["id"])
def test_event_time(case: dict[str, Any]) -> None:
    """
    Every row of the table: a time is put into UTC with microseconds, or refused for its reason.
    """
    record = draft(data={"event_time": case["value"]})
    reason = None
    try:
        check_time(record, TERMS)
    except Refusal as refusal:
        reason = refusal.reason

    assert (case.get("time", ""), case.get("reason")) == (record.measures.get("event_time", ""), reason)


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: case["id"])
def test_refusal(case: dict[str, Any]) -> None:
    """
    Every row of the table: a record passes, or is refused for its reason.
    """
    record = Draft(case["metric_name"], case["metadata"], case["data"], case.get("default_id"), b"{}", 0)
    reason = None
    try:
        passed(record)
    except Refusal as refusal:
        reason = refusal.reason

    assert case["reason"] == reason


@given(
    st.datetimes(datetime(2024, 1, 2), datetime(2026, 1, 30)),  # noqa: DTZ001 - the offset is drawn beside it
    st.integers(0, 6), st.sampled_from("Tt "), st.sampled_from(["Z", "z", "+00:00", "-00:00", "+05:30", "-11:00"]),
)  # fmt: skip
def test_canonical_time_is_the_same_moment(moment: datetime, digits: int, letter: str, offset: str) -> None:
    """
    However a time is written, with any number of decimals, its canonical text is the same moment.
    """
    fraction = f"{moment.microsecond:06d}"[:digits]
    written = moment.strftime(f"%Y-%m-%d{letter}%H:%M:%S") + (f".{fraction}" if digits else "") + offset
    record = draft(data={"event_time": written})
    check_time(record, TERMS)

    canonical = str(record.measures["event_time"])
    assert len(canonical) == len(TIME)
    assert canonical.endswith("Z")
    assert datetime.fromisoformat(canonical) == datetime.fromisoformat(written.upper())


def test_every_step_refuses_with_a_declared_reason() -> None:
    """
    The table shows each reason that a step may give.
    """
    shown = {case["reason"] for case in REFUSALS} | {case.get("reason") for case in TIMES}
    others = {"unknown-tenant", "malformed", "too-complex", "transform-failed"}

    assert {reason.value for reason in DropReason} == (shown - {None}) | others


def test_canonical_form() -> None:
    """
    Dimensions become text, undeclared numbers doubles, declared integers whole numbers; null leaves nothing.
    """
    made = passed(
        draft(
            {"tenant_id": 42, "event_id": 7, "flag": True, "size": 1.5, "count": 3, "none": None, "empty": ""},
            {"x": 3, "n": 3.0, "d": 4, "s": "t", "b": False, "free": "text", "gone": None},
        )
    )

    assert made == MetricEvent(
        "m",
        {"tenant_id": "42", "event_id": "7", "flag": "true", "size": "1.5", "count": "3"},
        {"event_time": TIME, "x": 3.0, "n": 3, "d": 4.0, "s": "t", "b": False, "free": "text"},
    )
    assert b'"x":3.0,"n":3,"d":4.0' in msgspec.json.encode(made)


def test_identity_falls_back_to_the_event() -> None:
    """
    Without a mapped event id the domain event's own is the identity.
    """
    made = passed(Draft("m", {"tenant_id": "acme"}, {"event_time": TIME}, "of-the-event", b"{}", 0))

    assert made.metadata["event_id"] == "of-the-event"


def test_attributes_become_dimensions() -> None:
    """
    The tenant's attributes come as `tenant_<name>`; empty ones do not come.
    """
    made = passed(draft(), {"acme": {"name": "Acme", "environment": "prod", "empty": ""}, "globex": {"name": "No"}})

    assert made.metadata == {
        "tenant_id": "acme",
        "event_id": "e1",
        "tenant_name": "Acme",
        "tenant_environment": "prod",
    }


@pytest.mark.parametrize(("answers", "reason"), [({"acme": None}, "unknown-tenant"), ({"acme": {}}, None)])
def test_unknown_tenant_is_refused_where_told(answers: dict[str, dict[str, str] | None], reason: str | None) -> None:
    """
    With `unknown: refuse`, a tenant that the directory does not know is refused; one without attributes passes.
    """
    found = None
    try:
        passed(draft(), answers, accept_unknown=False)
    except Refusal as refusal:
        found = refusal.reason

    assert found == reason


def test_refusals_show_no_values() -> None:
    """
    A refusal's message names field and reason, and never what the field held.
    """
    with pytest.raises(Refusal) as refused:
        passed(draft({"secret key": "hunter2"}, {}))
    assert "hunter2" not in str(refused.value)

    with pytest.raises(Refusal, match="`n` is a string") as refused:
        passed(draft({}, {"n": "hunter2"}))
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("part", ["tenant_id", "event_id"])
def test_integer_of_very_many_digits_is_refused(part: str) -> None:
    """
    A whole number that is too long to be a name is refused like any other that cannot be one.
    """
    with pytest.raises(Refusal):
        passed(draft({part: 10**300}, {}))


@given(DRAFTS)
@settings(max_examples=500, deadline=None)
def test_what_passes_is_canonical(record: Draft) -> None:
    """
    Whatever is given: what passes is bounded and finite, and goes through the steps again unchanged, byte for byte.
    """
    try:
        made = passed(record)
    except Refusal:
        return

    for value in made.data.values():
        assert type(value) in (bool, int, float, str)
        assert not isinstance(value, float) or math.isfinite(value)
        assert isinstance(value, bool) or not isinstance(value, int) or -(2**63) <= value < 2**63
        assert not isinstance(value, str) or len(value.encode()) <= MAX_VALUE_BYTES
    assert all(type(value) is str and 0 < len(value.encode()) <= MAX_VALUE_BYTES for value in made.metadata.values())
    line = msgspec.json.encode(made)
    again = msgspec.json.decode(line)
    assert line == msgspec.json.encode(
        passed(Draft(again["metric_name"], again["metadata"], again["data"], None, line, 0))
    )
