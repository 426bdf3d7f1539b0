"""
What could not be delivered, and what is noted of deliveries: the nouns that journal and destinations share.

A dead letter refers to a line of a lake object; nothing of a record's content is kept beside it. Times are microseconds
since 1970, UTC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from metriclake.entry import Span


class LetterState(StrEnum):
    """
    Where a dead letter stands: it waits for someone, for its destination, or is given up.
    """

    DEAD = "dead"
    REDRIVING = "redriving"
    DROPPED = "dropped"


class Attempt(msgspec.Struct, frozen=True, array_like=True):
    """
    One try of a record: when, and the destination's answer in its own words.
    """

    at: int
    answer: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Letter:
    """
    A record that ends as a dead letter: of the metric event on `line` (from 1) of the object announced as `object`.

    `kind` and `record` are the record's; both are empty where the event could not be made into records. `counted` is
    false for a record that the books do not count.
    """

    object: int
    line: int
    tenant: str
    metric: str
    kind: str
    record: str
    reason: str
    attempts: Sequence[Attempt]
    first_at: int
    counted: bool = True


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """
    A letter as the journal keeps it: under its number, with the destination, and the path of the lake object.
    """

    number: int
    destination: str
    path: str
    letter: Letter
    last_at: int
    state: LetterState


@dataclass(frozen=True, slots=True)
class LetterGroup:
    """
    How many dead letters there are of one destination, reason, tenant, metric and state, and when they were made.
    """

    destination: str
    reason: str
    tenant: str
    metric: str
    state: LetterState
    letters: int
    oldest: int
    newest: int


@dataclass(frozen=True, slots=True)
class WhichLetters:
    """
    Which dead letters are meant; what is None or empty is any. Those that were dropped are meant where it is said.
    """

    destinations: Sequence[str] = ()
    reason: str | None = None
    tenant: str | None = None
    metric: str | None = None
    numbers: Sequence[int] = ()
    states: Sequence[LetterState] = (LetterState.DEAD, LetterState.REDRIVING)


@dataclass(frozen=True, slots=True)
class Note:
    """
    What is to be known after a crash of requests that are begun or answered.

    `body` is the destinations' own. `delivered` are fingerprints of records that must not be sent twice, `slots` the
    newest event time that was delivered of each. A `whole` note stands for all that was noted before it in its scope.
    """

    body: bytes = field(repr=False)
    delivered: Sequence[bytes] = ()
    slots: Mapping[str, int] = field(default_factory=dict)
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Settled:
    """
    What became of letters that were tried again: the numbers that were delivered, and of the others the new reason.
    """

    delivered: Sequence[int] = ()
    failed: Mapping[int, tuple[str, Sequence[Attempt]]] = field(default_factory=dict)


class ReplayState(StrEnum):
    """
    Where a replay stands.
    """

    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Replay:
    """
    Announced objects again, for one destination: those numbered `first` to `last`; all before `next` are done.

    Of these the ones are meant that have events of `span`, by arrival.

    `duplicates` says that it was asked for although the destination may have its records twice. `delivered` and `dead`
    count the metric events so far.
    """

    number: int
    destination: str
    first: int
    last: int
    next: int
    duplicates: bool
    state: ReplayState = ReplayState.RUNNING
    delivered: int = 0
    dead: int = 0
    span: Span = field(default_factory=Span)


@dataclass(frozen=True, slots=True)
class Replayable:
    """
    The announced objects of a span that a destination has had: the first and last number, how many, and their events.
    """

    first: int
    last: int
    objects: int
    events: int
