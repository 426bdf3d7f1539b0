"""
The destinations of one process, but for the store: which there are, each at work in threads of its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from metriclake._errors import LakeError, MetriclakeError, StageFailed
from metriclake.destinations.budget import Accounts
from metriclake.destinations.delivery import Delivery, KnownLetters
from metriclake.destinations.destination import Capabilities, Destination
from metriclake.destinations.kinds import destination_of
from metriclake.destinations.loop import Announcements, DestinationLoop, LoopTerms, fetched
from metriclake.destinations.notebook import Ledger
from metriclake.destinations.objects import Announced
from metriclake.destinations.redriving import Letters, Redriving
from metriclake.destinations.replaying import Kept as KeptReplays
from metriclake.destinations.replaying import Replaying
from metriclake.destinations.sending import Sender, Traffic
from metriclake.destinations.tries import Retrying
from metriclake.entry import Checkpointed
from metriclake.pipeline.destination_specs import DestinationSpec
from metriclake.pipeline.spec import duration

_BYTES_IN_HAND = 8 * 1024 * 1024


class Kept(Ledger, Letters, KnownLetters, KeptReplays, Protocol):
    """
    What the journal keeps for deliveries.
    """

    def begin(self, reader: str, since: int | None) -> Checkpointed:
        """
        Give a new destination its checkpoint.
        """


class Journal(Announcements, Protocol):
    """
    What destinations need of the journal.
    """

    @property
    def deliveries(self) -> Kept:
        """
        Return what is kept for deliveries.
        """


@dataclass(frozen=True, slots=True)
class Running:
    """
    One destination at work.
    """

    spec: DestinationSpec
    destination: Destination
    sender: Sender
    loop: DestinationLoop

    @property
    def failure(self) -> MetriclakeError | None:
        """
        Return why nothing, or not everything, is taken.
        """
        if self.loop.failure is not None or not self.sender.trouble:
            return self.loop.failure
        return StageFailed(f"{self.destination.name} does not take all, and is tried again: {self.sender.trouble}")


class Destinations:
    """
    All of them; they change with the pipeline file.
    """

    def __init__(self, journal: Journal, fetch: Callable[[str], bytes]) -> None:
        """
        `fetch` returns a lake object's content.
        """
        self._journal = journal
        self._fetch = fetch
        self._accounts = Accounts(time.monotonic)
        self._running: dict[str, Running] = {}
        self._lock = threading.Lock()

    def made(self, specs: Mapping[str, DestinationSpec], folder: Path) -> dict[str, Running]:
        """
        Make what the file says and is not at work yet; raises MetriclakeError where one cannot be made.

        Nothing changes until `turn_to`. `folder` is the pipeline file's.
        """
        return {
            name: running if running is not None and running.spec == spec else self._make(name, spec, folder)
            for (name, spec), running in zip(specs.items(), map(self._running.get, specs), strict=True)
        }

    def turn_to(self, made: Mapping[str, Running]) -> None:
        """
        Have these at work and no others: what is gone is stopped first, what is new begins where it is told.
        """
        with self._lock:
            before, self._running = self._running, dict(made)
            kept = {id(running) for running in made.values()}
            _stop([running for running in before.values() if id(running) not in kept])
            for name, running in made.items():
                if before.get(name) is not running:
                    self._journal.deliveries.begin(name, since(running.spec.start))
                    running.loop.start()

    def ring(self) -> None:
        """
        Have all of them look at once whether there is more to deliver.
        """
        for running in list(self._running.values()):
            running.loop.ring()

    def stop(self) -> None:
        """
        End all of them, together: what is taken at once is sent for a few seconds.
        """
        with self._lock:
            _stop(list(self._running.values()))

    @property
    def names(self) -> list[str]:
        """
        Return their names.
        """
        return list(self._running)

    @property
    def capabilities(self) -> dict[str, Mapping[str, Capabilities]]:
        """
        Return what each can take, by kind of call.
        """
        return {name: running.destination.capabilities for name, running in self._running.items()}

    @property
    def lags(self) -> dict[str, tuple[float, int]]:
        """
        Return how far each is behind: the age of the oldest object that waits, and how many wait.
        """
        return {name: running.loop.lag for name, running in self._running.items()}

    @property
    def failures(self) -> dict[str, str | None]:
        """
        Return of each why it does not take everything, None where it does.
        """
        found = {name: running.failure for name, running in self._running.items()}
        return {name: None if failure is None else str(failure) for name, failure in found.items()}

    @property
    def traffic(self) -> dict[str, Traffic]:
        """
        Return what each has sent since it was started.
        """
        return {name: running.sender.traffic for name, running in self._running.items()}

    def _make(self, name: str, spec: DestinationSpec, folder: Path) -> Running:
        destination = destination_of(name, spec, folder)
        retrying = Retrying(spec.retry.tries, duration(spec.retry.within))
        kept = self._journal.deliveries
        sender = Sender(destination, kept, self._accounts.of(destination.account), retrying)
        redriving = Redriving(destination, sender, kept, self.read)
        delivery = Delivery(destination, sender, kept)
        replaying = Replaying(name, kept, self.read, delivery.redeliver)
        terms = LoopTerms(bytes=_BYTES_IN_HAND, aside=[redriving, replaying])
        loop = DestinationLoop(delivery, self._journal, self._fetch, threading.Event(), terms=terms)
        return Running(spec, destination, sender, loop)

    def read(self, number: int) -> Announced:
        """
        Return the announced object of a number. Raises LakeError where it is not there, or is not what it was.
        """
        found = self._journal.announcements(number - 1, 1)
        if not found or found[0].number != number:
            raise LakeError(f"no lake object is announced as {number}")
        return fetched(found[0], self._fetch)


def since(start: str) -> int | None:
    """
    Return from when on a new destination gets what was laked, in microseconds since 1970; None for from now on.
    """
    if start in ("now", "beginning"):
        return None if start == "now" else 0
    when = datetime.fromisoformat(start)
    when = when.replace(tzinfo=UTC) if when.tzinfo is None else when
    return int(when.timestamp() * 1_000_000)


def _stop(running: list[Running]) -> None:
    for one in running:
        one.sender.stop()
        one.loop.halt()
    for one in running:
        one.loop.stop()
        one.sender.close()
        one.destination.close()
