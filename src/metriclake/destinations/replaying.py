"""
Announced objects again, for one destination: asked for, refused where it would show twice, done object by object.

A replay stands in the journal, and is done by the destination's own loop, in turns with what is new.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from metriclake._errors import LakeError, MetriclakeError
from metriclake.books import STORE
from metriclake.deadletter import Letter, Replay, Replayable, ReplayState, Settled
from metriclake.destinations.destination import Capabilities, Repeats
from metriclake.destinations.objects import Announced
from metriclake.entry import Span

_LOG = logging.getLogger(__name__)
_MARGIN = timedelta(hours=1)
"""A replay takes its time: what is at the edge of a service's memory may be beyond it by then."""


@dataclass(frozen=True, slots=True)
class Redelivered:
    """
    What became of an object that was delivered again: letters that it settled, new ones, and counts of metric events.
    """

    settled: Settled
    letters: Sequence[Letter]
    delivered: int
    dead: int


class Kept(Protocol):
    """
    What is needed of the journal.
    """

    def replayable(self, reader: str, span: Span) -> Replayable | None:
        """
        Return which announced objects a span has, of those before a reader's checkpoint.
        """

    def begin_replay(self, replay: Replay) -> int:
        """
        Keep a replay that is to be done; returns its number.
        """

    def replays(self, reader: str | None = None, *, running: bool = True) -> list[Replay]:
        """
        Return replays, the oldest first.
        """

    def stop_replay(self, number: int) -> bool:
        """
        Let a replay go no further.
        """

    def replayed(self, replay: Replay, settled: Settled, letters: Sequence[Letter]) -> None:
        """
        Say how far a replay has come.
        """


class Replaying:
    """
    The replays of one destination, an object at a time.
    """

    def __init__(
        self, name: str, kept: Kept, read: Callable[[int], Announced],
        redeliver: Callable[[Announced, bool], Redelivered],
    ) -> None:  # fmt: skip
        """
        `read` returns an announced object; `redeliver` delivers it, also where the destination may have it twice.
        """
        self._name = name
        self._kept = kept
        self._read = read
        self._redeliver = redeliver

    def turn(self) -> bool:
        """
        Deliver the next object again; False where no replay runs.
        """
        running = self._kept.replays(self._name)
        if not running:
            return False
        replay = running[0]
        try:
            one = self._read(replay.next)
        except LakeError as error:
            self._kept.stop_replay(replay.number)
            _LOG.error("a replay ends before its time", extra={"destination": self._name, "error": str(error)})
            return True
        about = one.announcement
        if replay.span.meets(about.oldest_at, about.sealed_at):
            done = self._redeliver(one, replay.duplicates)
        else:
            done = Redelivered(Settled(), (), 0, 0)
        self._kept.replayed(_after(replay, done), done.settled, done.letters)
        return True


def _after(replay: Replay, done: Redelivered) -> Replay:
    state = ReplayState.DONE if replay.next >= replay.last else replay.state
    delivered, dead = replay.delivered + done.delivered, replay.dead + done.dead
    return dataclasses.replace(replay, next=replay.next + 1, state=state, delivered=delivered, dead=dead)


class Replays:
    """
    What is asked about replays.
    """

    def __init__(
        self, kept: Kept, capabilities: Callable[[], Mapping[str, Mapping[str, Capabilities]]],
        failures: Callable[[], Mapping[str, str | None]],
    ) -> None:  # fmt: skip
        """
        `capabilities` are those of each destination that is at work, `failures` why one does not take all.
        """
        self._kept = kept
        self._capabilities = capabilities
        self._failures = failures

    def begin(
        self, destination: str, span: Span, dry_run: bool, duplicates: bool  # noqa: FBT001 - a callable's arguments
    ) -> dict[str, Any]:  # fmt: skip
        """
        Have the objects of a span delivered again; returns the replay's number, 0 for none, and how much it is.

        Raises MetriclakeError where the destination may have records twice, unless it is asked for.
        """
        found = self._kept.replayable(destination, span)
        told = {"objects": found.objects if found else 0, "events": found.events if found else 0}
        reason = self._refusal(destination, span)
        if dry_run:
            return {"replay": 0, **told, "refused": None if duplicates else reason}
        if reason and not duplicates:
            raise MetriclakeError(reason)
        if self._kept.replays(destination):
            raise MetriclakeError(f"a replay of {destination} runs already: wait for it, or end it with --stop")
        if found is None:
            return {"replay": 0, **told, "refused": None}
        asked = Replay(0, destination, found.first, found.last, found.first, duplicates=duplicates, span=span)
        return {"replay": self._kept.begin_replay(asked), **told, "refused": None}

    def listed(self) -> dict[str, Any]:
        """
        Return all replays, and which destinations do not take all.
        """
        shown = [
            {
                "number": one.number,
                "destination": one.destination,
                "state": one.state,
                "objects": one.last - one.first + 1,
                "done": one.next - one.first,
                "delivered": one.delivered,
                "dead": one.dead,
            }
            for one in self._kept.replays(running=False)
        ]
        return {"replays": shown, "failures": {name: why for name, why in self._failures().items() if why}}

    def stop(self, destination: str) -> dict[str, Any]:
        """
        Let the replays of a destination go no further; returns how many there were.
        """
        return {"stopped": sum(self._kept.stop_replay(one.number) for one in self._kept.replays(destination))}

    def _refusal(self, destination: str, span: Span) -> str | None:
        known = self._capabilities()
        if destination == STORE:
            return None
        if destination not in known:
            raise MetriclakeError(
                f"the pipeline file has no destination `{destination}`: nothing can be replayed to it"
            )
        return refusal(destination, known[destination], span, datetime.now(UTC))


def refusal(name: str, capabilities: Mapping[str, Capabilities], span: Span, now: datetime) -> str | None:
    """
    Return why a span is not delivered again unless duplicates are allowed, None where there would be none. Pure.
    """
    doubled = [kind for kind, one in capabilities.items() if one.repeats is Repeats.DOUBLED]
    if doubled:
        return (
            f"{name} takes a record each time that it is sent ({', '.join(sorted(doubled))}): what it has would be"
            " there twice, whatever the span; --allow-duplicates replays all the same"
        )
    memories = [one.remembers or timedelta(0) for one in capabilities.values() if one.repeats is Repeats.FORGOTTEN]
    if not memories:
        return None
    safe = now - max(min(memories) - _MARGIN, timedelta(0))
    if span.start is not None and span.start >= safe.timestamp() * 1_000_000:
        return None
    hours = min(memories) / timedelta(hours=1)
    return (
        f"{name} knows for {hours:g} hours what it has taken, and takes what is older twice: a replay is safe from"
        f" {safe.isoformat(timespec='seconds').replace('+00:00', 'Z')} on; --allow-duplicates replays all the same"
    )
