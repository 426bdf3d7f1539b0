"""
For tests: twins of the services that destinations send to, on this machine, with the services' limits and manners.

A twin listens on 127.0.0.1 while a `with` statement lasts, remembers what it took, and fails when told to::

    with SegmentTwin() as twin:
        twin.fail(429, times=2)
        ...  # send to twin.url
        assert [call["event"] for call in twin.records] == ["Report viewed"]
"""

from metriclake.testing.clock import Clock
from metriclake.testing.failing import Drop, Failure, Order, Refuse, Slow, Status, WrongRegion
from metriclake.testing.hubspot import HubSpotLimits, HubSpotTwin
from metriclake.testing.hubspot_events import EventDefinition
from metriclake.testing.mixpanel import MixpanelLimits, MixpanelProject, MixpanelTwin
from metriclake.testing.record import Counts, Keep, Rejected, Rule, Seen, Taken
from metriclake.testing.segment import SegmentLimits, SegmentTwin
from metriclake.testing.twin import Twin
from metriclake.testing.webhook import WebhookLimits, WebhookTwin

__all__ = [
    "Clock",
    "Counts",
    "Drop",
    "EventDefinition",
    "Failure",
    "HubSpotLimits",
    "HubSpotTwin",
    "Keep",
    "MixpanelLimits",
    "MixpanelProject",
    "MixpanelTwin",
    "Order",
    "Refuse",
    "Rejected",
    "Rule",
    "Seen",
    "SegmentLimits",
    "SegmentTwin",
    "Slow",
    "Status",
    "Taken",
    "Twin",
    "WebhookLimits",
    "WebhookTwin",
    "WrongRegion",
]
