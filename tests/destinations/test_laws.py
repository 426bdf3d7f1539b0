"""
Whatever passes validation is there after its delivery, or is rejected with a reason before it is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.destination import batches
from destinations.metric_events import SECONDS
from metriclake.destinations import Destination, Verdict
from metriclake.destinations.hubspot import HubSpotDestination, own_name
from metriclake.destinations.mixpanel import MixpanelDestination
from metriclake.destinations.segment import SegmentDestination
from metriclake.destinations.webhook import WebhookDestination
from metriclake.event import Measure, MetricEvent, is_field_name, is_tenant_id
from metriclake.pipeline.destination_specs import HubSpotEventsSpec, HubSpotSpec, MixpanelSpec, SegmentSpec, WebhookSpec
from metriclake.testing import Clock, EventDefinition, HubSpotTwin, MixpanelTwin, SegmentTwin, Twin, WebhookTwin

LETTERS = "abzAZ09_.:-$"
NAMES = st.text(alphabet=LETTERS, min_size=1, max_size=60).filter(is_field_name)
METRICS = st.sampled_from(["scans", "Orders.Paid", "a:b-c", "_x"])
TENANTS = st.text(alphabet="aB0_.:@|+=~-", min_size=1, max_size=128).filter(is_tenant_id)
TEXTS = st.one_of(st.text(min_size=1, max_size=20), st.integers(250, 260).map(lambda length: "é" * length))
MEASURES: st.SearchStrategy[Measure] = st.one_of(
    st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False), TEXTS
)
TIMES = st.datetimes().map(lambda at: at.isoformat(timespec="microseconds") + "Z")
USERS = st.one_of(st.none(), st.sampled_from(["null", "0", "u1"]), TEXTS)


@st.composite
def metric_events(draw: st.DrawFn) -> MetricEvent:
    """
    Draw a metric event that could lie in the lake.
    """
    number = draw(st.integers(0, 10**9))
    user = draw(USERS)
    dimensions = draw(st.dictionaries(NAMES, TEXTS, max_size=5))
    time = draw(st.one_of(TIMES, st.just("2026-03-01T12:00:00.000000Z"), st.just("2026-03-01T12:30:00.000000Z")))
    metadata = {**dimensions, "tenant_id": draw(TENANTS), "event_id": str(number), **({"user": user} if user else {})}
    measures = draw(st.dictionaries(NAMES, MEASURES, max_size=5))
    return MetricEvent(draw(METRICS), metadata, {**measures, "event_time": time})


@contextmanager
def segment() -> Iterator[tuple[Twin, Destination]]:
    """
    Open Segment's.
    """
    with SegmentTwin() as twin:
        yield twin, SegmentDestination("s", SegmentSpec(write_key="k", url=twin.url, user="metadata.user"))


@contextmanager
def mixpanel() -> Iterator[tuple[Twin, Destination]]:
    """
    Open Mixpanel's.
    """
    with MixpanelTwin(clock=Clock(SECONDS)) as twin:
        spec = MixpanelSpec(token=twin.project.token, url=twin.url, distinct_id="metadata.user")
        yield twin, MixpanelDestination("m", spec, now=twin.clock)


@contextmanager
def hubspot() -> Iterator[tuple[Twin, Destination]]:
    """
    Open HubSpot's events, of contacts.
    """
    with HubSpotTwin() as twin:
        for metric in ("scans", "Orders.Paid", "a:b-c", "_x"):
            twin.define(EventDefinition(own_name(metric)))
        events = HubSpotEventsSpec(hub_id=twin.hub_id, email="metadata.tenant_id")
        yield twin, HubSpotDestination("h", HubSpotSpec(token="t", url=twin.url, events=events))


@contextmanager
def webhook() -> Iterator[tuple[Twin, Destination]]:
    """
    Open a receiver of webhooks.
    """
    with WebhookTwin() as twin:
        spec = WebhookSpec(url=twin.url, secrets=list(twin.secrets), allow_private=True)
        yield twin, WebhookDestination("w", spec)


@pytest.mark.parametrize("opened", [segment, mixpanel, hubspot, webhook], ids=lambda opened: opened.__name__)
def test_what_is_delivered_is_there(opened: Callable[[], AbstractContextManager[tuple[Twin, Destination]]]) -> None:
    """
    A twin leaves out nothing that its sender says is delivered, and refuses no batch for one of its records.
    """
    with opened() as (twin, destination):

        @settings(max_examples=30)
        @given(st.lists(metric_events(), min_size=1, max_size=3, unique_by=lambda event: event.metadata["event_id"]))
        def law(events: list[MetricEvent]) -> None:
            for batch in batches(destination, events):
                before = twin.counts
                verdicts = [fate.verdict for fate in destination.deliver(batch).fates]
                after = twin.counts
                arrived = after.taken + after.repeated - before.taken - before.repeated
                assert set(verdicts) <= {Verdict.DELIVERED, Verdict.REJECTED}
                assert after.rejected == before.rejected
                if batch.kind != "group":
                    assert arrived == verdicts.count(Verdict.DELIVERED)

        law()
        destination.close()
        assert twin.counts.taken > 0
