"""
What reads the announced objects, in order, each with a checkpoint of its own.
"""

from metriclake.destinations.deadletters import DeadLetters
from metriclake.destinations.destination import (
    DELIVERED,
    EVENT,
    Batch,
    Capabilities,
    Destination,
    Erasure,
    Fate,
    Rate,
    Receipt,
    Record,
    Repeats,
    Verdict,
)
from metriclake.destinations.kinds import destination_of
from metriclake.destinations.loop import DestinationLoop, LoopTerms
from metriclake.destinations.objects import Announced, Follower, Outcome
from metriclake.destinations.replaying import Replaying, Replays
from metriclake.destinations.running import Destinations, Running
from metriclake.destinations.store import StoreDestination

__all__ = [
    "DELIVERED",
    "EVENT",
    "Announced",
    "Batch",
    "Capabilities",
    "DeadLetters",
    "Destination",
    "DestinationLoop",
    "Destinations",
    "Erasure",
    "Fate",
    "Follower",
    "LoopTerms",
    "Outcome",
    "Rate",
    "Receipt",
    "Record",
    "Repeats",
    "Replaying",
    "Replays",
    "Running",
    "StoreDestination",
    "Verdict",
    "destination_of",
]
