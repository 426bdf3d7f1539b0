"""
Dead letters that are to be tried again: read from the lake, mapped as the pipeline file says now, sent like all others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from metriclake._errors import LakeError
from metriclake.deadletter import Attempt, DeadLetter, Letter, Settled
from metriclake.destinations.destination import Destination, Record
from metriclake.destinations.gathering import Hand, Mapped
from metriclake.destinations.objects import Announced
from metriclake.destinations.sending import Sender
from metriclake.destinations.timing import Time
from metriclake.destinations.tries import MAPPING_FAILED, NOT_MAPPED

REDRIVE = "redrive"
"""Where the journal notes what is on its way of dead letters."""
UNREADABLE = "lake-object-unreadable"

_AT_ONCE = 500


class Letters(Protocol):
    """
    What is needed of the journal.
    """

    def redriving(self, reader: str, limit: int) -> list[DeadLetter]:
        """
        Return the letters that a destination is to try again, in a lasting order.
        """

    def settle(self, reader: str, settled: Settled) -> None:
        """
        Say what became of them.
        """


class Redriving:
    """
    The dead letters of one destination that are tried again, some hundred at a time.
    """

    def __init__(
        self, destination: Destination, sender: Sender, letters: Letters, read: Callable[[int], Announced],
        clock: Time | None = None,
    ) -> None:  # fmt: skip
        """
        `read` returns the announced object of a number.
        """
        self._destination = destination
        self._sender = sender
        self._letters = letters
        self._read = read
        self._clock = clock or Time()

    def turn(self) -> bool:
        """
        Try the next letters again; False where there are none.
        """
        letters = self._letters.redriving(self._destination.name, _AT_ONCE)
        if not letters:
            return False
        hand = Hand(self._destination.capabilities)
        mapped = self._mapped(letters, hand)
        self._sender.run(hand.jobs, REDRIVE, doubtful=True)
        self._letters.settle(self._destination.name, self._settled(letters, mapped))
        return True

    def _mapped(self, letters: Sequence[DeadLetter], hand: Hand) -> dict[int, Mapped]:
        """
        Make the records of letters anew, an object at a time; those whose object cannot be read are left out.
        """
        mapped: dict[int, Mapped] = {}
        for number in dict.fromkeys(one.letter.object for one in letters):
            try:
                lines = self._read(number).lines.splitlines()
            except LakeError:
                continue
            for one in letters:
                if one.letter.object == number:
                    mapped[one.number] = self._map(hand, one.letter, lines[one.letter.line - 1])
        return mapped

    def _map(self, hand: Hand, letter: Letter, line: bytes) -> Mapped:
        return hand.add(
            letter.object, letter.line, line, lambda event: _of_letter(self._destination.records(event), letter)
        )

    def _settled(self, letters: Sequence[DeadLetter], mapped: dict[int, Mapped]) -> Settled:
        delivered: list[int] = []
        failed: dict[int, tuple[str, Sequence[Attempt]]] = {}
        for one in letters:
            why = self._failure(mapped.get(one.number))
            if why is None:
                delivered.append(one.number)
            else:
                failed[one.number] = why
        return Settled(delivered, failed)

    def _failure(self, mapped: Mapped | None) -> tuple[str, Sequence[Attempt]] | None:
        """
        Return the reason and the attempts of a letter that was not delivered.
        """
        now = self._clock.now()
        if mapped is None:
            return UNREADABLE, [Attempt(now, UNREADABLE, "see `metriclake lake check`")]
        if mapped.fault:
            return MAPPING_FAILED, [Attempt(now, MAPPING_FAILED, mapped.fault)]
        if not mapped.parts:
            return NOT_MAPPED, [Attempt(now, NOT_MAPPED, "the pipeline file maps it no more: drop it, or map it")]
        for part in mapped.parts:
            end = part.job.end
            if end is not None and not end.delivered:
                return end.reason, part.job.tried
        return None


def _of_letter(records: Iterable[Record], letter: Letter) -> list[Record]:
    """
    Return which of an event's records a letter stands for: itself, or what is of its kind now.
    """
    alike = [record for record in records if letter.kind in ("", record.kind)]
    return [record for record in alike if record.id == letter.record] or alike
