"""
The one loop: every announced object in order, each with its fate, whatever fails on the way.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from metriclake._errors import MetriclakeError, StoreError
from metriclake.books import STORE
from metriclake.destinations import Announced, DestinationLoop, LoopTerms, Outcome
from metriclake.entry import Announcement
from metriclake.journal import SqliteJournal
from metriclake.stream import Lake, Limits, NoDirectory, StreamWorker
from metriclake.stream.lake import pack
from patience import until
from stream.plans import event, events, plan


class Shelf:
    """
    A destination that keeps what it is given, and fails as often as it is told.
    """

    name = STORE

    def __init__(self, failures: int = 0, *, after_taking: bool = False) -> None:
        """
        `after_taking` makes it fail when it has kept the objects, as a crash before the checkpoint does.
        """
        self.failures = failures
        self.after_taking = after_taking
        self.taken: list[str] = []
        self.rounds: list[int] = []

    def take(self, objects: Sequence[Announced]) -> list[Outcome]:
        """
        Keep the identities of the objects' metric events.
        """
        failing = self.failures > 0
        self.failures -= 1
        if failing and not self.after_taking:
            raise StoreError("the shelf is full")
        for one in objects:
            self.taken.extend(json.loads(line)["metadata"]["event_id"] for line in one.lines.splitlines())
        self.rounds.append(len(objects))
        if failing:
            raise StoreError("the shelf fell down")
        return [Outcome({"stored": one.announcement.counts}) for one in objects]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """
    Open a fresh lake.
    """
    return Lake(tmp_path / "lake")


def announce(journal: SqliteJournal, lake: Lake, *numbers: int) -> list[str]:
    """
    Send one event a batch through the stream; return their ids.
    """
    for number in numbers:
        journal.append(events(event(str(number)))).result(30)
    stream = StreamWorker(journal, lake, NoDirectory(), lambda _version: plan(), lambda: Limits(600, 1))
    stream.start()
    stream.stop()
    return [str(number) for number in numbers]


def loop(
    journal: SqliteJournal, lake: Lake, shelf: Shelf,
    delivered: Callable[[Announcement, Outcome], None] | None = None, announced: threading.Event | None = None,
) -> DestinationLoop:  # fmt: skip
    """
    Return a loop that is not started.
    """
    return DestinationLoop(shelf, journal, lake.get, announced or threading.Event(), delivered)


def work(journal: SqliteJournal, lake: Lake, shelf: Shelf) -> DestinationLoop:
    """
    Deliver all there is, as a server that starts and stops.
    """
    made = loop(journal, lake, shelf)
    made.start()
    made.stop()
    return made


def test_everything_announced_is_delivered_in_order(journal: SqliteJournal, lake: Lake) -> None:
    """
    More objects than one round takes: each once, in order; the checkpoint stands at the last and the books balance.
    """
    expected = announce(journal, lake, *range(40))
    shelf = Shelf()
    work(journal, lake, shelf)

    assert expected == shelf.taken
    assert journal.checkpoint(STORE).number == 40
    assert {"stored": 40, "waiting": 0}.items() <= journal.books(STORE).accounts[0].store.items()
    assert journal.books(STORE).balanced


def test_next_loop_goes_on_from_the_checkpoint(journal: SqliteJournal, lake: Lake) -> None:
    """
    What was delivered once is not delivered by the next process.
    """
    announce(journal, lake, 1, 2)
    work(journal, lake, Shelf())
    later = announce(journal, lake, 3)
    shelf = Shelf()
    work(journal, lake, shelf)

    assert later == shelf.taken


def test_running_loop_hears_of_announcements(journal: SqliteJournal, lake: Lake) -> None:
    """
    A loop that waits goes on when it is told that there is more, and tells of each object.
    """
    announced, heard = threading.Event(), list[int]()
    shelf = Shelf()
    running = loop(journal, lake, shelf, lambda announcement, _receipt: heard.append(announcement.number), announced)
    running.start()
    expected = announce(journal, lake, 1)
    announced.set()
    until(lambda: heard == [1])
    running.stop()

    assert expected == shelf.taken
    assert running.lag == (0.0, 0)


def test_bytes_of_a_round_are_bounded(journal: SqliteJournal, lake: Lake) -> None:
    """
    Objects beyond the bound wait for the next round; one that is larger than the bound goes alone.
    """
    expected = announce(journal, lake, 1, 2, 3)
    shelf = Shelf()
    bounded = DestinationLoop(shelf, journal, lake.get, threading.Event(), terms=LoopTerms(bytes=1))
    bounded.start()
    bounded.stop()

    assert (expected, [1, 1, 1]) == (shelf.taken, shelf.rounds)


def test_failing_destination_is_tried_again(journal: SqliteJournal, lake: Lake) -> None:
    """
    A destination that fails keeps its place: the failure is said, and the same objects come again.
    """
    expected = announce(journal, lake, 1, 2)
    shelf = Shelf(failures=1)
    running = loop(journal, lake, shelf)
    running.start()
    until(lambda: running.failure)
    assert "store waits and tries again: the shelf is full" in str(running.failure)
    assert journal.checkpoint(STORE).number == 0
    until(lambda: journal.checkpoint(STORE).number == 2)
    running.stop()

    assert expected == shelf.taken
    assert running.failure is None


def test_error_that_no_one_foresaw_is_said(journal: SqliteJournal, lake: Lake) -> None:
    """
    An error of no known kind does not end the loop in silence: it is its failure, and nothing is skipped.
    """

    class Broken(Shelf):
        def take(self, objects: Sequence[Announced]) -> list[Outcome]:
            raise ValueError(f"no one expected {len(objects)}")

    expected = announce(journal, lake, 1)
    assert work(journal, lake, Broken()).failure is not None
    shelf = Shelf()
    work(journal, lake, shelf)

    assert expected == shelf.taken


def test_batches_come_again_after_a_crash_before_the_checkpoint(journal: SqliteJournal, lake: Lake) -> None:
    """
    What was taken and not checkpointed comes again to the next process, and is counted once.
    """
    expected = announce(journal, lake, 1, 2)
    shelf = Shelf(failures=1, after_taking=True)
    assert isinstance(work(journal, lake, shelf).failure, MetriclakeError)
    work(journal, lake, shelf)

    assert expected * 2 == shelf.taken
    assert journal.books(STORE).accounts[0].store["stored"] == 2
    assert journal.books(STORE).balanced


def test_stop_does_not_wait_for_a_failing_destination(journal: SqliteJournal, lake: Lake) -> None:
    """
    A server can stop while a destination is away; what waits is counted as waiting.
    """
    announce(journal, lake, 1, 2)
    stopped = work(journal, lake, Shelf(failures=10**6))

    assert stopped.lag[1] == 2
    assert journal.books(STORE).accounts[0].store["waiting"] == 2
    assert journal.books(STORE).balanced


def test_changed_object_is_not_delivered(journal: SqliteJournal, lake: Lake) -> None:
    """
    An object that is not what its manifest says goes nowhere, and the loop says which.
    """
    announce(journal, lake, 1)
    (found,) = journal.announcements(0, 1)
    (lake.root / found.object).write_bytes(pack(found.object, b"{}\n"))
    shelf = Shelf()

    assert f"{found.object} is not what its manifest says" in str(work(journal, lake, shelf).failure)
    assert (shelf.taken, journal.checkpoint(STORE).number) == ([], 0)


@pytest.mark.parametrize("which", ["object", "manifest"])
def test_missing_object_is_waited_for(journal: SqliteJournal, lake: Lake, which: str) -> None:
    """
    An object or manifest that was moved away stops the loop; put back, it is delivered.
    """
    expected = announce(journal, lake, 1)
    path = lake.root / str(getattr(journal.announcements(0, 1)[0], which))
    away = path.rename(path.with_suffix(".away"))
    shelf = Shelf()
    assert "is not there" in str(work(journal, lake, shelf).failure)
    assert shelf.taken == []

    away.rename(path)
    work(journal, lake, shelf)
    assert expected == shelf.taken


def test_object_that_cannot_be_read_does_not_hold_back_those_before_it(journal: SqliteJournal, lake: Lake) -> None:
    """
    Objects are delivered up to the one that cannot be read.
    """
    announce(journal, lake, 1, 2)
    (lake.root / journal.announcements(1, 1)[0].object).unlink()
    shelf = Shelf()
    work(journal, lake, shelf)

    assert (shelf.taken, journal.checkpoint(STORE).number) == (["1"], 1)


def test_after_an_unclean_end_the_last_objects_come_again_uncounted(journal: SqliteJournal, lake: Lake) -> None:
    """
    The last objects are delivered once more, then what waits; the books count each once; a lost object is left out.
    """
    announce(journal, lake, 1, 2, 3)
    first = loop(journal, lake, Shelf())
    first.start()
    first.stop()
    announce(journal, lake, 4)
    (lake.root / journal.announcements(0, 10)[1].object).unlink()
    shelf = Shelf(failures=1)
    again = DestinationLoop(shelf, journal, lake.get, threading.Event(), terms=LoopTerms(again=2))
    again.start()
    until(lambda: journal.checkpoint(STORE).number == 4)
    again.stop()

    assert shelf.taken == ["3", "4"]
    assert [(row.laked, row.store["stored"]) for row in journal.books(STORE).accounts] == [(4, 4)]
