"""
A record that is alone in its request: which answers make it a dead letter at once, and which have it tried again.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from contracts.destination import SECRET
from destinations import test_hubspot, test_mixpanel, test_segment, test_webhook_sender
from destinations.metric_events import SECONDS, an_event, batch_of
from destinations.scripted import Memory, MovedTime, reasons
from destinations.test_hubspot import OCCURRED
from metriclake.destinations import Destination, Record
from metriclake.destinations.budget import Account
from metriclake.destinations.hubspot import COMPANIES, EVENTS
from metriclake.destinations.progress import key_of
from metriclake.destinations.sending import Sender
from metriclake.destinations.tries import Job, Retrying
from metriclake.testing import Clock, HubSpotTwin, MixpanelTwin, SegmentTwin, Status, Twin, WebhookTwin

CASES = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "cases" / "answers_to_one.jsonl").read_text("utf-8").splitlines()
]
HUBSPOT = {"companies": {}, "events": OCCURRED}


def segment(twin: Twin) -> Destination:
    """
    Make Segment's sender.
    """
    assert isinstance(twin, SegmentTwin)
    return test_segment.made(twin)


def mixpanel(twin: Twin) -> Destination:
    """
    Make Mixpanel's.
    """
    assert isinstance(twin, MixpanelTwin)
    return test_mixpanel.sender(twin)


def hubspot(twin: Twin) -> Destination:
    """
    Make HubSpot's, whose events are of a company that is there.
    """
    assert isinstance(twin, HubSpotTwin)
    with test_hubspot.made(twin) as companies:
        companies.deliver(batch_of(companies, an_event(2)))
    return test_hubspot.sender(twin, **HUBSPOT)


def webhook(twin: Twin) -> Destination:
    """
    Make a webhook's.
    """
    assert isinstance(twin, WebhookTwin)
    return test_webhook_sender.sender(twin)


def services() -> dict[str, tuple[Twin, Callable[[Twin], Destination], str]]:
    """
    Return of each service a twin at a time that stands still, its sender, and the kind of record.
    """
    clock = Clock(SECONDS)
    crm = test_hubspot.an_account(HubSpotTwin([SECRET], clock=clock))
    return {
        "segment": (SegmentTwin(clock=clock), segment, "track"),
        "mixpanel": (MixpanelTwin(clock=clock), mixpanel, "import"),
        "company": (crm, hubspot, COMPANIES),
        "event": (crm, hubspot, EVENTS),
        "webhook": (WebhookTwin(clock=clock), webhook, "event"),
    }


def one_record(destination: Destination, kind: str) -> Record:
    """
    Return one record of a kind.
    """
    return next(record for record in destination.records(an_event()) if record.kind == kind)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['service']}-{case['status']}")
def test_answer_to_one_record(case: dict[str, Any]) -> None:
    """
    What is wrong with the record is a dead letter with the status; what passes is tried again, and delivered.
    """
    twin, make, kind = services()[case["service"]]
    with twin, closing(make(twin)) as destination:
        twin.fail(Status(case["status"]), times=1)
        asked = len(twin.requests)
        clock, job = MovedTime(), Job(one_record(destination, kind))
        sender = Sender(destination, Memory(), Account(clock.ticks), Retrying(3, timedelta(hours=24)), clock)
        sender.run({key_of(job.record): job}, "objects")
        sender.close()
        asked = len(twin.requests) - asked

    dead = case["becomes"] != "delivered"
    assert reasons({"it": job}) == ({"it": case["becomes"]} if dead else {})
    assert asked == (1 if dead else 2)
