"""
What a metric event is at a destination, and its ids.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from destinations.metric_events import an_event
from metriclake.destinations.attributes import Sent
from metriclake.destinations.mapping import Mapped, Mapper, as_text, attributes_of
from metriclake.event import MetricEvent
from metriclake.pipeline.destination_specs import MappingSpec

CASES = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "cases" / "mappings.jsonl").read_text("utf-8").splitlines()
]
PARTS = st.tuples(*(st.text(max_size=4) for _ in range(6)))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_mapped(case: dict[str, Any]) -> None:
    """
    Every row of the table: the event has this name, time and properties there, or does not go there.
    """
    metrics = msgspec.convert(case["metrics"], dict[str, MappingSpec] | None)
    found = Mapper("n", metrics).mapped(msgspec.convert(case["event"], MetricEvent))

    assert (found and {"name": found.name, "time": found.time, "properties": found.properties}) == case["mapped"]


@given(PARTS, PARTS)
def test_ids_differ_where_anything_does(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    """
    Namespace, tenant, metric, event id, event time and kind make an id, wherever one ends and the next begins.
    """
    assert (id_of(one) == id_of(other)) == (one == other)
    assert len(id_of(one)) == 36


def id_of(parts: tuple[str, ...]) -> str:
    """
    Return the id of an event of these parts.
    """
    namespace, tenant, metric, event_id, event_time, kind = parts
    return Mapper(namespace, None).id_of(Mapped(tenant, metric, "", event_id, event_time, 0, {}), kind)


def test_ids_stay_the_same() -> None:
    """
    An id is no matter of this process or version: what was sent before must be known again.
    """
    assert id_of(("segment", "acme", "scans", "e1", "2026-03-01T12:00:00.000000Z", "track")) == EXPECTED


EXPECTED = "1ea2ff9d-98e1-5396-a1f9-2471fe038c5d"


def test_attributes() -> None:
    """
    What the enrich step said has the names of the tenants' source; the tenant's id is no attribute.
    """
    event = an_event(tenant_name="Acme", tenant_plan="pro")

    assert attributes_of(event) == {"name": "Acme", "plan": "pro"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (False, "false"),
        (3, "3"),
        (3.0, "3"),
        (-0.5, "-0.5"),
        (1e300, "1e+300"),
        (0.1, "0.1"),
        ("x", "x"),
        (2**63, "9223372036854775808"),
    ],
)
def test_values_as_text(value: bool | float | str, text: str) -> None:  # noqa: FBT001 - one of the values of a measure
    """
    Where a service wants text, a number is written as people write it.
    """
    assert as_text(value) == text


def test_what_was_sent_is_remembered_within_bounds() -> None:
    """
    The last state of each slot is known, of the slots that were used last.
    """
    sent = Sent(most=2)
    for slot in ("a", "b"):
        sent.keep(slot, b"1")
    assert sent.has("a", b"1")
    assert not sent.has("a", b"2")
    sent.keep("c", b"1")

    assert [sent.has(slot, b"1") for slot in ("a", "b", "c")] == [True, False, True]
    sent.forget("a")
    sent.forget("z")
    assert not sent.has("a", b"1")
