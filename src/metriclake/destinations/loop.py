"""
The one loop of every destination: next announcement, its object, taken, checkpoint and count in one transaction.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from metriclake._errors import LakeError, MetriclakeError, StageFailed
from metriclake.books import Delta
from metriclake.deadletter import Letter
from metriclake.destinations.objects import Announced, Follower, Interrupted, Outcome
from metriclake.entry import Announcement, Checkpointed, decode_manifest

_LOG = logging.getLogger(__name__)
_RETRY_SECONDS = 1.0
_IDLE_SECONDS = 0.5
_AT_ONCE = 16


class Announcements(Protocol):
    """
    What a destination needs of the journal.
    """

    def announcements(self, after: int, limit: int) -> list[Announcement]:
        """
        Return the announcements after a number, in order.
        """

    def checkpoint(self, reader: str) -> Checkpointed:
        """
        Return how far a reader has come.
        """

    def advance(
        self, reader: str, announcement: Announcement, deltas: Sequence[Delta], letters: Sequence[Letter] = (), *,
        more: bool = False,
    ) -> None:  # fmt: skip
        """
        Move a reader's checkpoint, count and keep its dead letters.
        """


class Aside(Protocol):
    """
    What a destination does beside the announced objects: redrives, replays.
    """

    def turn(self) -> bool:
        """
        Do a part of it; False where there is nothing to do.
        """


@dataclass(frozen=True, slots=True)
class LoopTerms:
    """
    How a loop works: `bytes` of objects are in hand at once; `aside` is done in turns with them, a part at a time.

    `again` objects that were delivered last are delivered once more at the start, uncounted: after an unclean end.
    """

    bytes: int = 32 * 1024 * 1024
    again: int = 0
    aside: Sequence[Aside] = ()


_TERMS = LoopTerms()


class DestinationLoop:
    """
    One destination at work, in a thread of its own.
    """

    def __init__(
        self,
        follower: Follower,
        journal: Announcements,
        fetch: Callable[[str], bytes],
        announced: threading.Event,
        delivered: Callable[[Announcement, Outcome], None] | None = None,
        terms: LoopTerms = _TERMS,
    ) -> None:
        """
        `fetch` returns a lake object's content; `announced` is set when there may be more; `delivered` hears of each.
        """
        self._follower = follower
        self._journal = journal
        self._fetch = fetch
        self._announced = announced
        self._delivered = delivered
        self._terms = terms
        self._again = terms.again
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"destination-{follower.name}", daemon=True)
        self.failure: MetriclakeError | None = None

    def start(self) -> None:
        """
        Start the thread.
        """
        self._thread.start()

    def ring(self) -> None:
        """
        Have it look at once whether there is more to deliver.
        """
        self._announced.set()

    def halt(self) -> None:
        """
        Have it deliver what is announced, and end; does not wait for that.
        """
        self._stop.set()
        self._announced.set()

    def stop(self) -> None:
        """
        Deliver what is announced, and end.
        """
        self.halt()
        if self._thread.ident is not None:
            self._thread.join()

    @property
    def lag(self) -> tuple[float, int]:
        """
        Return the age of the oldest announcement that waits, in seconds, and how many wait (counted to a bound).
        """
        waiting = self._journal.announcements(self._journal.checkpoint(self._follower.name).number, 1000)
        age = time.time() - waiting[0].oldest_at / 1_000_000 if waiting else 0.0
        return (max(0.0, age), len(waiting))

    def _run(self) -> None:
        while True:
            stopping = self._stop.is_set()
            try:
                aside = [one.turn() for one in self._terms.aside]
                done = self._turn() or any(aside)
            except Interrupted:
                return
            except Exception as error:  # noqa: BLE001 - whatever it is, the loop says it and tries again
                self.failure = StageFailed(f"{self._follower.name} waits and tries again: {error}")
                _LOG.error(
                    "destination failed, nothing is lost",
                    extra={"destination": self._follower.name, "error": str(error)},
                )
                if self._stop.wait(_RETRY_SECONDS):
                    return
                continue
            self.failure = None
            if not done and stopping:
                return
            if not done:
                self._announced.wait(_IDLE_SECONDS)
                self._announced.clear()

    def _turn(self) -> bool:
        """
        Deliver the next few announcements; False when there are none.
        """
        after = self._journal.checkpoint(self._follower.name).number
        if self._again:
            self._redeliver(after)
        objects = self._objects(self._journal.announcements(after, _AT_ONCE))
        if not objects:
            return False
        for one, outcome in zip(objects, self._follower.take(objects), strict=True):
            more = one is not objects[-1]
            self._journal.advance(
                self._follower.name, one.announcement, self._deltas(outcome), outcome.letters, more=more
            )
            if self._delivered is not None:
                self._delivered(one.announcement, outcome)
        return True

    def _redeliver(self, done: int) -> None:
        """
        Deliver the last objects up to `done` again: what the destination has stays, what it has lost comes back.

        They are counted already. One that the lake has no more is left out.
        """
        objects: list[Announced] = []
        for announcement in self._journal.announcements(max(0, done - self._again), min(self._again, done)):
            try:
                objects.append(fetched(announcement, self._fetch))
            except LakeError as error:
                _LOG.warning("not delivered again", extra={"object": announcement.object, "error": str(error)})
            if len(objects) == _AT_ONCE or sum(len(one.lines) for one in objects) > self._terms.bytes:
                self._follower.take(objects)
                objects = []
        if objects:
            self._follower.take(objects)
        self._again = 0

    def _objects(self, announcements: Sequence[Announcement]) -> list[Announced]:
        """
        Fetch announced objects, up to a bound of bytes; at least one, if there is one.
        """
        objects: list[Announced] = []
        size = 0
        for announcement in announcements:
            try:
                one = fetched(announcement, self._fetch)
            except LakeError:
                if not objects:
                    raise
                break
            size += len(one.lines)
            if objects and size > self._terms.bytes:
                break
            objects.append(one)
        return objects

    def _deltas(self, outcome: Outcome) -> list[Delta]:
        return [
            Delta(self._follower.name, tenant, metric, counter, amount)
            for counter, counts in outcome.counters.items()
            for (tenant, metric), amount in counts.items()
        ]


def fetched(announcement: Announcement, fetch: Callable[[str], bytes]) -> Announced:
    """
    Fetch an announced object. Raises LakeError where it is not there, or not what its manifest says.
    """
    manifest = decode_manifest(announcement.manifest, fetch(announcement.manifest))
    lines = fetch(announcement.object)
    about = manifest.data
    if about is None or hashlib.sha256(lines).hexdigest() != about.sha256:
        raise LakeError(f"the lake object {announcement.object} is not what its manifest says: it was changed")
    return Announced(announcement, manifest, lines)
