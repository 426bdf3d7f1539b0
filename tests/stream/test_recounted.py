"""
The books counted anew from a lake: whole they agree, and what is lost or was never announced is said.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from metriclake._errors import MetriclakeError
from metriclake.books import DOMAIN_EVENTS, STORE, Delta, Key
from metriclake.entry import Entry, EntryKind
from metriclake.journal import SqliteJournal
from metriclake.recount import Verdict, compare
from metriclake.stream import Lake, Recount, Wanted
from stream.plans import event, lines, metric, plan
from stream.test_backfill import Shop, archive, without

ARRIVED = 1_769_860_800_000_000


def post(journal: SqliteJournal) -> None:
    """
    Send two metric events, of which one will be refused.
    """
    posted = lines(metric("a"), metric("b", {"size": [1]}))
    journal.append(Entry(EntryKind.METRICS, ARRIVED, 2, posted, Counter({("acme", "posted"): 2}))).result(30)


@dataclass
class Recounted(Shop):
    """
    A lake whose store has what was announced, but for what a test changes: rows more or fewer, by object and key.
    """

    changed: Counter[tuple[int, str, str]] = field(default_factory=Counter)
    aged: list[Key] = field(default_factory=list)

    def rows(self, first: int, last: int) -> list[tuple[int, str, str, int]]:
        """
        Return the store's rows of some objects.
        """
        found = self.journal.announcements(first - 1, last - first + 1)
        rows = ((one.number, *key, amount) for one in found for key, amount in one.counts.items())
        return [(*row[:3], row[3] + self.changed[row[:3]]) for row in rows]

    def recounted(self, meanwhile: Iterable[Callable[[], object]] = ()) -> tuple[Verdict, list[str]]:
        """
        Count anew from end to end in the smallest slices; a thing that happens meanwhile before each of them.
        """
        recount = Recount(self.lake, self.journal, self.rows, lambda: self.aged)
        part, things = recount.slice(None, "", bool), iter(meanwhile)
        said, found, wrong = list(part.said), list(part.found), list[str]()
        for _ in range(100):
            next(things, lambda: None)()
            part = recount.slice(part.moment, part.next, lambda: True)
            found += part.found
            wrong += part.wrong
            if not part.next:
                return compare(said, found, part.aged), wrong
        message = "the recount does not end"
        raise TimeoutError(message)


@pytest.fixture
def shop(tmp_path: Path, journal: SqliteJournal) -> Recounted:
    """
    Archive batches and posted metric events, backfill a metric, and have some more in flight.
    """
    made = Recounted(Lake(tmp_path / "lake"), journal)
    post(journal)
    archive(made.lake, journal, without("uploads"))
    made.run()
    post(journal)
    return made


def test_whole_books_are_found_again(shop: Recounted) -> None:
    """
    Events of both kinds, refused, laked and in flight, and a backfill: no number differs.
    """
    verdict, wrong = shop.recounted()

    assert (verdict.differences, verdict.left, wrong) == ([], 0, [])
    assert shop.books()["acme"] == (3, 1, 2)


def test_what_runs_on_meanwhile_is_left_out(shop: Recounted) -> None:
    """
    Batches, backfills and loads that come between two slices make no difference.
    """
    things: list[Callable[[], object]] = [
        lambda: post(shop.journal),
        lambda: archive(shop.lake, shop.journal, plan(), [[event("x")], [event("y", {"size": "x"})]]),
        lambda: shop.run(Wanted("urgent")),
        shop.loaded,
    ]

    assert shop.recounted(things)[0].differences == shop.recounted()[0].differences == []


def test_manifest_that_is_gone_or_torn_is_missed(shop: Recounted) -> None:
    """
    Each number that it would count is fewer by that; one that cannot be read is named too.
    """
    gone, torn, *_ = [path for path in shop.lake.walk("Manifest/") if "backfill" in path]
    (shop.lake.root / gone).unlink()
    (shop.lake.root / torn).write_bytes(b'{"format"')
    verdict, wrong = shop.recounted()
    found = {(one.tenant, one.metric, one.counter): one.by for one in verdict.differences}

    assert found["acme", "uploads", "laked"] == -2
    assert found["acme", "uploads", "rejected"] == -1
    assert found["globex", "uploads", "received"] == -1
    assert [torn in sentence for sentence in wrong] == [True]


def test_counter_that_is_wrong_is_named(shop: Recounted, tmp_path: Path) -> None:
    """
    Whatever counter of the journal is off, it is said of whom and by how much.
    """
    with sqlite3.connect(tmp_path / "journal.db") as other:
        other.execute("UPDATE counters SET amount = amount + 7 WHERE counter = 'rejected' AND metric = 'posted'")
        other.execute("UPDATE counters SET amount = amount - 2 WHERE counter = 'matched'")
        other.execute("UPDATE counters SET amount = amount + 1 WHERE counter = 'stored' AND tenant = 'globex'")
    other.close()
    found = {(one.scope, one.tenant, one.metric, one.counter): one.by for one in shop.recounted()[0].differences}

    assert found == {
        ("stream", "acme", "posted", "rejected"): -7,
        ("stream", "(none)", DOMAIN_EVENTS, "matched"): 2,
        (STORE, "globex", "uploads", "stored"): -1,
        (STORE, "globex", "uploads", "announced"): -1,
    }


def test_rows_of_the_store_are_counted(shop: Recounted) -> None:
    """
    Rows that are gone differ, unless their retention may have taken them; more than were announced name their object.
    """
    number = shop.journal.checkpoint(STORE).number
    shop.changed[number, "globex", "uploads"] = -1
    lost, _ = shop.recounted()
    shop.aged = [("globex", "uploads")]
    aged, _ = shop.recounted()
    shop.changed[number, "globex", "uploads"] = 2
    verdict, wrong = shop.recounted()

    assert [(one.scope, one.counter, one.by) for one in lost.differences] == [(STORE, "stored", -1)]
    assert (aged.differences, aged.left) == ([], 1)
    assert [one.by for one in verdict.differences] == [2]
    assert wrong == [f"the store holds 3 rows of globex uploads from object {number}, of which 1 were announced"]


def test_another_readers_books_are_held_against_its_checkpoint(shop: Recounted) -> None:
    """
    What was announced up to a destination's checkpoint must be somewhere in its counters.
    """
    first, second, *_ = shop.journal.announcements(0, 10)
    for one, counter in ((first, "delivered"), (second, "not_mapped")):
        deltas = [Delta("crm", *key, counter, amount) for key, amount in one.counts.items()]
        shop.journal.advance("crm", one, deltas)
    assert shop.recounted()[0].differences == []
    third = shop.journal.announcements(2, 1)[0]
    shop.journal.advance("crm", third, [])

    differences = shop.recounted()[0].differences
    assert {one.scope for one in differences} == {"crm"}
    assert sum(one.by for one in differences) == third.rows


def test_place_that_is_none_is_refused(shop: Recounted) -> None:
    """
    A recount goes on where it has stopped, and nowhere else.
    """
    recount = Recount(shop.lake, shop.journal, shop.rows, list)
    moment = recount.slice(None, "", bool).moment

    with pytest.raises(MetriclakeError, match="take `next`"):
        recount.slice(moment, "elsewhere:", bool)
