"""
Make a destination of what the pipeline file says of it: the literal list of kinds.
"""

from __future__ import annotations

from pathlib import Path

from metriclake.destinations.destination import Destination
from metriclake.destinations.hubspot import HubSpotDestination
from metriclake.destinations.mixpanel import MixpanelDestination
from metriclake.destinations.python import PythonDestination
from metriclake.destinations.segment import SegmentDestination
from metriclake.destinations.webhook import WebhookDestination
from metriclake.pipeline.destination_specs import (
    DestinationSpec,
    HubSpotSpec,
    MixpanelSpec,
    PythonSpec,
    SegmentSpec,
    WebhookSpec,
)


def destination_of(name: str, spec: DestinationSpec, folder: Path) -> Destination:
    """
    Return the destination of this name; `folder` is the pipeline file's.

    Raises MetriclakeError where it cannot be made: a function that is not there.
    """
    match spec:
        case SegmentSpec():
            return SegmentDestination(name, spec)
        case MixpanelSpec():
            return MixpanelDestination(name, spec)
        case HubSpotSpec():
            return HubSpotDestination(name, spec)
        case WebhookSpec():
            return WebhookDestination(name, spec)
        case PythonSpec():
            return PythonDestination(name, spec, folder)
    msg = f"no destination is made of {type(spec).__name__}"
    raise TypeError(msg)
