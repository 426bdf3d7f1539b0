"""
Announced objects through a scripted service: books, dead letters, redrives, and what a restart repeats.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import pytest

from contracts.deliveries import ALL
from destinations.scripted import MICROS, Scripted, always, record_of_event
from destinations.test_loop import announce
from metriclake._errors import LakeError
from metriclake.books import STORE
from metriclake.deadletter import DeadLetter, LetterState, Replay, ReplayState, WhichLetters
from metriclake.destinations import (
    Batch,
    Capabilities,
    DestinationLoop,
    Fate,
    LoopTerms,
    Receipt,
    Record,
    Repeats,
    Replaying,
    Verdict,
)
from metriclake.destinations.budget import Account
from metriclake.destinations.delivery import Delivery
from metriclake.destinations.loop import fetched
from metriclake.destinations.objects import Announced
from metriclake.destinations.redriving import Redriving
from metriclake.destinations.sending import Sender
from metriclake.destinations.tries import Retrying
from metriclake.entry import Span
from metriclake.event import MetricEvent
from metriclake.journal import SqliteJournal
from metriclake.stream import Lake

HARMLESS = Capabilities(records=10, repeats=Repeats.HARMLESS)
REFUSE = always(Fate(Verdict.REJECTED, "400", "no such property"))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """
    Open a fresh lake.
    """
    return Lake(tmp_path / "lake")


def work(journal: SqliteJournal, lake: Lake, service: Scripted, *, size: int = 32 * 1024 * 1024) -> DestinationLoop:
    """
    Deliver and redrive all there is, as a server that starts and stops.
    """
    sender = Sender(
        service, journal.deliveries, Account(service.clock.ticks), Retrying(3, timedelta(hours=1)), service.clock
    )

    def read(number: int) -> Announced:
        return fetched(journal.announcements(number - 1, 1)[0], lake.get)

    redriving = Redriving(service, sender, journal.deliveries, read, service.clock)
    delivery = Delivery(service, sender, journal.deliveries, service.clock)
    replaying = Replaying(service.name, journal.deliveries, read, delivery.redeliver)
    journal.deliveries.begin(service.name, 0)
    terms = LoopTerms(bytes=size, aside=[redriving, replaying])
    loop = DestinationLoop(delivery, journal, lake.get, threading.Event(), terms=terms)
    sender.stop()
    loop.start()
    loop.stop()
    sender.close()
    return loop


def books(journal: SqliteJournal) -> dict[str, int]:
    """
    Return what of the service's books is not nought; they balance when the store is left aside.
    """
    found = journal.books(STORE, ["crm"])
    assert all(one.laked == sum(one.destinations["crm"].values()) for one in found.accounts)
    return {counter: amount for counter, amount in found.delivered["crm"].items() if amount}


def letters(journal: SqliteJournal) -> list[DeadLetter]:
    """
    Return all dead letters.
    """
    return journal.deliveries.letters(ALL, 0, 100)


def redrive(journal: SqliteJournal) -> None:
    """
    Have all dead letters tried again.
    """
    journal.deliveries.restate(WhichLetters(), LetterState.REDRIVING, 0, 100)


@pytest.mark.parametrize("size", [1, 32 * 1024 * 1024])
def test_announced_objects_are_delivered(journal: SqliteJournal, lake: Lake, size: int) -> None:
    """
    Objects are taken together as far as memory allows; each event arrives once, and the books say so.
    """
    names = announce(journal, lake, *range(12))
    service = Scripted(HARMLESS)
    loop = work(journal, lake, service, size=size)

    assert loop.failure is None
    assert service.taken == dict.fromkeys(names, 1)
    assert len(service.batches) == (12 if size == 1 else 2)
    assert books(journal) == {"delivered": 12}
    assert journal.deliveries.noted("crm", "objects") == []


def test_what_is_refused_is_a_dead_letter_and_redriven(journal: SqliteJournal, lake: Lake) -> None:
    """
    Each refused event is a letter with its object, line and reason; redriven after a fix it is delivered.
    """
    announce(journal, lake, 1, 2)
    service = Scripted(HARMLESS, REFUSE)
    work(journal, lake, service)
    found = letters(journal)
    redrive(journal)
    waiting = books(journal)
    service.answer = lambda batch: Receipt.but(batch, {})
    work(journal, lake, service)

    assert [(one.letter.record, one.letter.line, one.letter.reason) for one in found] == [
        ("1", 1, "400"),
        ("2", 1, "400"),
    ]
    assert [one.path for one in found] == [one.object for one in journal.announcements(0, 10)]
    assert waiting == {"waiting": 2}
    assert books(journal) == {"delivered": 2}
    assert letters(journal) == []


def test_redriven_letter_that_fails_is_dead_again(journal: SqliteJournal, lake: Lake) -> None:
    """
    It keeps its attempts, the new one among them, and takes the new reason.
    """
    announce(journal, lake, 1)
    service = Scripted(HARMLESS, REFUSE)
    work(journal, lake, service)
    redrive(journal)
    service.answer = always(Fate(Verdict.REJECTED, "422"))
    work(journal, lake, service)
    (one,) = letters(journal)

    assert ([attempt.answer for attempt in one.letter.attempts], one.letter.reason) == (["400", "422"], "422")
    assert books(journal) == {"dead": 1}


@pytest.mark.parametrize("reason", ["not-mapped", "mapping-failed", "lake-object-unreadable"])
def test_letter_that_cannot_be_made_again_says_why(journal: SqliteJournal, lake: Lake, reason: str) -> None:
    """
    Not mapped any more, a mapping that fails, an object that is gone: it stays dead with that reason, alone.
    """
    announce(journal, lake, 1)
    service = Scripted(HARMLESS, REFUSE)
    work(journal, lake, service)
    redrive(journal)

    def broken(event: MetricEvent) -> Iterable[Record]:
        raise KeyError(event.metric_name)

    service.mapping = {"not-mapped": lambda _event: [], "mapping-failed": broken}.get(reason, record_of_event)
    if reason == "lake-object-unreadable":
        (lake.root / journal.announcements(0, 1)[0].object).unlink()
    loop = work(journal, lake, service)

    assert [one.letter.reason for one in letters(journal)] == [reason]
    assert (loop.failure, books(journal)) == (None, {"dead": 1})


def test_event_that_cannot_be_mapped_is_a_dead_letter(journal: SqliteJournal, lake: Lake) -> None:
    """
    A mapping that fails condemns its event alone; one that takes nothing leaves it not mapped.
    """
    announce(journal, lake, 1, 2, 3)
    service = Scripted(HARMLESS)

    def mapping(event: MetricEvent) -> Iterable[Record]:
        if event.metadata["event_id"] == "1":
            raise KeyError("a secret")
        return record_of_event(event) if event.metadata["event_id"] == "2" else []

    service.mapping = mapping
    work(journal, lake, service)
    (one,) = letters(journal)

    assert (one.letter.reason, one.letter.attempts[0].detail) == ("mapping-failed", "KeyError")
    assert books(journal) == {"delivered": 1, "dead": 1, "not_mapped": 1}


def test_event_of_several_records_is_dead_if_one_is(journal: SqliteJournal, lake: Lake) -> None:
    """
    A record that is not counted may die beside it, and does not make it dead.
    """
    announce(journal, lake, 1, 2)
    service = Scripted()
    service.capabilities = {"event": HARMLESS, "company": HARMLESS, "tenant": HARMLESS}

    def mapping(event: MetricEvent) -> list[Record]:
        (one,) = record_of_event(event)
        company = dataclasses.replace(one, kind="company")
        return [one, company, dataclasses.replace(one, kind="tenant", counted=False)]

    def answer(batch: Batch) -> Receipt:
        bad = [index for index, one in enumerate(batch.records) if (one.kind, one.id) == ("company", "1")]
        no = Fate(Verdict.REJECTED, "no")
        return Receipt.all(batch, no) if batch.kind == "tenant" else Receipt.but(batch, dict.fromkeys(bad, no))

    service.mapping, service.answer = mapping, answer
    work(journal, lake, service)

    assert books(journal) == {"delivered": 1, "dead": 1}
    assert sorted((one.letter.kind, one.letter.record, one.letter.counted) for one in letters(journal)) == [
        ("company", "1", True), ("tenant", "1", False), ("tenant", "2", False),
    ]  # fmt: skip


@pytest.mark.parametrize("dead", [True, False])
def test_states_of_one_slot_share_the_fate_of_the_newest(journal: SqliteJournal, lake: Lake, *, dead: bool) -> None:
    """
    Of many updates of a company the newest is sent; what becomes of it has become of all.
    """
    announce(journal, lake, 1, 2, 3)
    service = Scripted(Capabilities(records=10, repeats=Repeats.HARMLESS, latest_only=True), REFUSE if dead else None)
    times = {"1": 5, "2": 9, "3": 7}

    def mapping(event: MetricEvent) -> list[Record]:
        (one,) = record_of_event(event)
        return [dataclasses.replace(one, time=times[one.id] * MICROS, slot="acme")]

    service.mapping = mapping
    work(journal, lake, service)

    assert [[one.id for one in batch.records] for batch in service.batches] == [["2"]]
    assert books(journal) == ({"dead": 3} if dead else {"delivered": 3})
    assert len(letters(journal)) == (3 if dead else 0)


def test_object_meant_for_others_is_not_mapped(
    journal: SqliteJournal, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    An announcement for some destinations is passed by the others, and counted as not mapped.
    """
    announce(journal, lake, 1, 2)
    found = journal.announcements(0, 10)
    aimed = [dataclasses.replace(found[0], only=("hook",)), dataclasses.replace(found[1], only=("hook", "crm"))]
    monkeypatch.setattr(journal, "announcements", lambda after, limit: aimed[after : after + limit])
    service = Scripted(HARMLESS)
    work(journal, lake, service)

    assert service.taken == {"2": 1}
    assert books(journal) == {"delivered": 1, "not_mapped": 1}


def test_interrupted_object_goes_on_where_it_was(journal: SqliteJournal, lake: Lake) -> None:
    """
    The server stops while a service has taken half of an object: the next one sends the other half, and nothing twice.
    """
    names = announce(journal, lake, *range(4))
    service = Scripted(Capabilities(records=2, repeats=Repeats.DOUBLED))
    away = Fate(Verdict.RETRY, "down")

    def answer(batch: Batch) -> Receipt:
        return Receipt.all(batch, away, blocked=True) if len(service.batches) > 1 else Receipt.but(batch, {})

    service.answer = answer
    stopped = work(journal, lake, service)
    waiting = books(journal)
    service.answer = lambda batch: Receipt.but(batch, {})
    work(journal, lake, service)

    assert (stopped.failure, waiting) == (None, {"waiting": 4})
    assert service.taken == dict.fromkeys(names, 1)
    assert books(journal) == {"delivered": 4}


def test_object_that_cannot_be_read_is_waited_for(journal: SqliteJournal, lake: Lake) -> None:
    """
    A destination that goes on without an object would lose it: it waits, and says why.
    """
    announce(journal, lake, 1)
    path = lake.root / journal.announcements(0, 1)[0].object
    away = path.rename(path.with_suffix(".away"))
    service = Scripted(HARMLESS)

    assert "is not there" in str(work(journal, lake, service).failure)
    with pytest.raises(LakeError):
        fetched(journal.announcements(0, 1)[0], lake.get)
    away.rename(path)
    work(journal, lake, service)
    assert service.taken == {"1": 1}


def replay(journal: SqliteJournal, span: Span | None = None, *, duplicates: bool = False) -> int:
    """
    Ask for a replay of a span, or of all there is.
    """
    found = journal.deliveries.replayable("crm", span or Span())
    assert found is not None
    asked = Replay(0, "crm", found.first, found.last, found.first, duplicates=duplicates, span=span or Span())
    return journal.deliveries.begin_replay(asked)


def test_replay_delivers_again_and_counts_nothing_twice(journal: SqliteJournal, lake: Lake) -> None:
    """
    Each object goes out once more, and the books stay as they are.
    """
    names = announce(journal, lake, 1, 2, 3)
    service = Scripted(HARMLESS)
    work(journal, lake, service)
    number = replay(journal)
    work(journal, lake, service)
    (done,) = journal.deliveries.replays(running=False)

    assert service.taken == dict.fromkeys(names, 2)
    assert books(journal) == {"delivered": 3}
    assert (done.number, done.state, done.next, done.delivered) == (number, ReplayState.DONE, 4, 3)


def test_replay_leaves_out_what_did_not_arrive_in_its_span(journal: SqliteJournal, lake: Lake) -> None:
    """
    An object between the first and the last that has no event of the span is passed.
    """
    announce(journal, lake, 1, 2)
    service = Scripted(HARMLESS)
    work(journal, lake, service)
    (first, _) = journal.announcements(0, 2)
    later = Span(first.sealed_at + 10**15)
    journal.deliveries.begin_replay(Replay(0, "crm", 1, 2, 1, duplicates=False, span=later))
    work(journal, lake, service)

    assert service.taken == {"1": 1, "2": 1}
    assert [one.state for one in journal.deliveries.replays(running=False)] == [ReplayState.DONE]


def test_replay_settles_dead_letters(journal: SqliteJournal, lake: Lake) -> None:
    """
    A letter that a replay delivers is one no longer; one that fails gets an attempt; a new one is not counted.
    """
    announce(journal, lake, 1, 2, 3)
    bad = {"1", "2"}

    def answer(batch: Batch) -> Receipt:
        no = Fate(Verdict.REJECTED, "400")
        return Receipt.but(batch, {index: no for index, one in enumerate(batch.records) if one.id in bad})

    service = Scripted(HARMLESS, answer)
    work(journal, lake, service)
    before = books(journal)
    bad = {"2", "3"}
    replay(journal)
    work(journal, lake, service)

    assert before == {"delivered": 1, "dead": 2}
    assert books(journal) == {"delivered": 2, "dead": 1}
    assert [(one.letter.record, one.letter.counted, len(one.letter.attempts)) for one in letters(journal)] == [
        ("2", True, 2), ("3", False, 1),
    ]  # fmt: skip


@pytest.mark.parametrize("duplicates", [True, False])
def test_replay_sends_what_would_double_where_that_is_asked_for(
    journal: SqliteJournal, lake: Lake, *, duplicates: bool
) -> None:
    """
    What a service is known to have is left out of a replay, unless duplicates are allowed.
    """
    announce(journal, lake, 1)
    service = Scripted(Capabilities(repeats=Repeats.DOUBLED))
    work(journal, lake, service)
    replay(journal, duplicates=duplicates)
    work(journal, lake, service)

    assert service.taken == {"1": 2 if duplicates else 1}


def test_replay_whose_object_is_gone_ends(journal: SqliteJournal, lake: Lake) -> None:
    """
    It does not stand in the way of what is new for ever: it is stopped, and says how far it came.
    """
    announce(journal, lake, 1, 2)
    service = Scripted(HARMLESS)
    work(journal, lake, service)
    replay(journal)
    (lake.root / journal.announcements(1, 1)[0].object).unlink()
    work(journal, lake, service)
    (ended,) = journal.deliveries.replays(running=False)

    assert (ended.state, ended.next, service.taken) == (ReplayState.STOPPED, 2, {"1": 2, "2": 1})
