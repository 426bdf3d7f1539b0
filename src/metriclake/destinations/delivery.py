"""
A destination of records as a follower of announced objects: they are taken apart, sent, and counted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Protocol

from metriclake.books import Counts
from metriclake.deadletter import Attempt, Letter, Settled
from metriclake.destinations.destination import Destination
from metriclake.destinations.gathering import Mapped, gather, letters_of, meant
from metriclake.destinations.objects import Announced, Outcome
from metriclake.destinations.replaying import Redelivered
from metriclake.destinations.sending import Sender
from metriclake.destinations.timing import Time

OBJECTS = "objects"
"""Where the journal notes what is on its way of announced objects."""
REPLAY = "replay"
"""Where the journal notes what is on its way of an object that is replayed."""


class KnownLetters(Protocol):
    """
    What is needed of the journal.
    """

    def letters_of(self, reader: str, announced: int) -> dict[tuple[int, str, str], int]:
        """
        Return the numbers of the dead letters of an announced object, by line, kind and record.
        """


class Delivery:
    """
    What a service gets of the announced objects.
    """

    def __init__(
        self, destination: Destination, sender: Sender, letters: KnownLetters, clock: Time | None = None
    ) -> None:
        """
        `sender` is the destination's own.
        """
        self._destination = destination
        self._letters = letters
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

    def redeliver(self, one: Announced, duplicates: bool) -> Redelivered:  # noqa: FBT001 - a callable's argument
        """
        Deliver an object once more; `duplicates` sends also what the destination is known to have.

        A dead letter of it that is delivered is one no longer. What fails is one, and is not counted again.
        """
        hand = gather([one], self._destination)
        self._sender.run(hand.jobs, REPLAY, duplicates=duplicates)
        number, now = one.announcement.number, self._clock.now()
        known = self._letters.letters_of(self.name, number)
        again = _Again(known)
        for mapped in hand.events.get(number, ()):
            again.add(mapped, letters_of(number, mapped, now))
        return again.told()


class _Again:
    """
    What a replay makes of the dead letters of an object.
    """

    def __init__(self, known: dict[tuple[int, str, str], int]) -> None:
        self._known = known
        self._delivered: list[int] = []
        self._failed: dict[int, tuple[str, Sequence[Attempt]]] = {}
        self._letters: list[Letter] = []
        self._counts = {"delivered": 0, "dead": 0, "not_mapped": 0}

    def add(self, mapped: Mapped, letters: Sequence[Letter]) -> None:
        self._counts[mapped.counter] += 1
        dead = {(letter.kind, letter.record): letter for letter in letters}
        for own, letter in dead.items():
            number = self._known.get((mapped.line, *own))
            if number is None:
                self._letters.append(dataclasses.replace(letter, counted=False))
            else:
                self._failed[number] = (letter.reason, letter.attempts)
        alive = {(part.record.kind, part.record.id) for part in mapped.parts} - dead.keys()
        if alive and not dead:
            alive.add(("", ""))  # its mapping failed once, and does no longer
        self._delivered += [self._known[mapped.line, *own] for own in alive if (mapped.line, *own) in self._known]

    def told(self) -> Redelivered:
        settled = Settled(self._delivered, self._failed)
        return Redelivered(settled, self._letters, self._counts["delivered"], self._counts["dead"])


def _all(one: Announced) -> Counts:
    return one.announcement.counts
