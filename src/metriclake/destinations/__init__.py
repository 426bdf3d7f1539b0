"""
What reads the announced objects, in order, each with a checkpoint of its own.
"""

from metriclake.destinations.destination import Batch, Destination, Receipt
from metriclake.destinations.loop import DestinationLoop
from metriclake.destinations.store import StoreDestination

__all__ = ["Batch", "Destination", "DestinationLoop", "Receipt", "StoreDestination"]
