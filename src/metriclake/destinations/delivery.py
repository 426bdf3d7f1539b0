"""
A destination of records as a follower of announced objects: they are taken apart, sent, and counted.
"""

from __future__ import annotations

from collections.abc import Sequence

from metriclake.books import Counts
from metriclake.destinations.destination import Destination
from metriclake.destinations.gathering import gather, meant
from metriclake.destinations.objects import Announced, Outcome
from metriclake.destinations.sending import Sender, Time

OBJECTS = "objects"
"""Where the journal notes what is on its way of announced objects."""


class Delivery:
    """
    What a service gets of the announced objects.
    """

    def __init__(self, destination: Destination, sender: Sender, clock: Time | None = None) -> None:
        """
        `sender` is the destination's own.
        """
        self._destination = destination
        self._sender = sender
        self._clock = clock or Time()

    @property
    def name(self) -> str:
        """
        Return the name of its checkpoint and its books.
        """
        return self._destination.name

    def take(self, objects: Sequence[Announced]) -> list[Outcome]:
        """
        Deliver the records of some objects together; returns when each is delivered or a dead letter.
        """
        hand = gather(objects, self._destination)
        self._sender.run(hand.jobs, OBJECTS)
        now = self._clock.now()
        return [
            hand.outcome(one.announcement.number, now) if meant(one, self.name) else Outcome({"not_mapped": _all(one)})
            for one in objects
        ]


def _all(one: Announced) -> Counts:
    return one.announcement.counts
