"""
What every journal promises, as tests: a subclass says how one is opened.

The entries, seals and announcements made here serve the tests of the journal's neighbours too.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from metriclake._errors import JournalFull, JournalUnavailable, StaleSeal
from metriclake.audit import AuditLine
from metriclake.books import DOMAIN_EVENTS, STORE, STREAM, Delta
from metriclake.entry import Announcement, Backfilling, Entry, EntryKind, Held, Position, Retried, Seal
from metriclake.journal import Journal

QUOTA = 100_000
_PATIENCE_SECONDS = 30


def metrics(amount: int = 1, arrived_at: int = 1000, tenant: str = "acme") -> Entry:
    """
    Return an entry of metric events of one tenant.
    """
    return Entry(EntryKind.METRICS, arrived_at, amount, b'{"n":1}\n' * amount, {(tenant, "m"): amount})


def events(amount: int = 1, arrived_at: int = 1000) -> Entry:
    """
    Return an entry of domain events.
    """
    return Entry(EntryKind.EVENTS, arrived_at, amount, b'{"n":1}\n' * amount)


def put(journal: Journal, entry: Entry) -> Position:
    """
    Append an entry and wait until it is durable.
    """
    return journal.append(entry).result(_PATIENCE_SECONDS)


def next_seal(journal: Journal, first: int, last: int, version: int = 1) -> Seal:
    """
    Close the next batch of the first partition.
    """
    partition = journal.partitions[0]
    previous = journal.last_sealed(partition)
    number = previous.number + 1 if previous else 1
    seal = Seal(journal.identity, partition, number, first, last, 1000, 2000, version)
    journal.seal(seal)
    return seal


def announcement_of(seal: Seal, amount: int = 1) -> Announcement:
    """
    Return the announcement of a seal's object with `amount` metric events.
    """
    name = f"{seal.number:03d}"
    counts = {("acme", "m"): amount}
    return Announcement(0, f"Data/{name}.ndjson.zst", f"Manifest/{name}.json", amount, 1000, 2000, seal.version, counts)


def announced(journal: Journal, amount: int = 1) -> int:
    """
    Append an entry of metric events, seal and announce it; return the announcement's number.
    """
    position = put(journal, metrics(amount))
    seal = next_seal(journal, position.offset, position.offset)
    number = journal.announce(seal, announcement_of(seal, amount), [Delta(STREAM, "acme", "m", "laked", amount)])
    assert number is not None
    return number


def held_of(tenant: str, amount: int = 1, oldest_at: int = 1000) -> Held:
    """
    Return metric events of a tenant that are held aside.
    """
    return Held(tenant, oldest_at, {(tenant, "m"): amount}, b'{"n":1}\n' * amount)


def holding(journal: Journal, *held: Held) -> None:
    """
    Append metric events of some tenants, seal them and hold them all aside.
    """
    for one in held:
        ((_, amount),) = one.counts.items()
        last = put(journal, metrics(amount, one.oldest_at, one.tenant))
    seal = next_seal(journal, last.offset - len(held) + 1, last.offset)
    journal.pin(seal, b"held")
    journal.announce(seal, None, [], held)


def freeing(journal: Journal, *numbers: int) -> Seal:
    """
    Make a seal without entries that frees what is held under numbers.
    """
    previous = journal.last_sealed(journal.partitions[0])
    assert previous is not None
    seal = next_seal(journal, previous.last + 1, previous.last)
    journal.pin(seal, b"freed", numbers)
    return seal


class OpenedJournal:
    """
    A fresh journal for each test. `open` opens the one that lies in a folder, or makes it.
    """

    def open(self, folder: Path, quota: int) -> Journal:
        """
        Open the journal under test.
        """
        raise NotImplementedError

    @pytest.fixture
    def journal(self, tmp_path: Path) -> Iterator[Journal]:
        """
        Open a fresh journal.
        """
        opened = self.open(tmp_path, QUOTA)
        yield opened
        opened.close()


class JournalContract(OpenedJournal):
    """
    The behaviour of the seam.
    """

    def test_what_is_appended_is_read_back(self, journal: Journal) -> None:
        """
        Entries come back in order, as they were given.
        """
        given = [events(2, 1000), metrics(3, 2000)]
        positions = [put(journal, entry) for entry in given]

        stored = journal.read(positions[0].partition, positions[0].offset, positions[1].offset)

        assert [(one.kind, one.arrived_at, one.count, one.body) for one in given] == [
            (one.kind, one.arrived_at, one.count, one.body) for one in stored
        ]

    def test_concurrent_appends_take_every_position_once(self, journal: Journal) -> None:
        """
        Positions taken by many threads are distinct and without gaps, and each holds its own entry.
        """
        bodies = [b'{"n":%d}\n' % number for number in range(400)]
        with ThreadPoolExecutor(8) as threads:
            positions = list(threads.map(lambda body: put(journal, Entry(EntryKind.EVENTS, 1, 1, body)), bodies))

        for partition in journal.partitions:
            of_it = {at.offset: body for at, body in zip(positions, bodies, strict=True) if at.partition == partition}
            stored = journal.read(partition, min(of_it), max(of_it))

            assert sorted(of_it) == list(range(min(of_it), max(of_it) + 1))
            assert of_it == {entry.offset: entry.body for entry in stored}

    def test_pending_tells_sizes_after_an_offset(self, journal: Journal) -> None:
        """
        The batcher sees what stands after an offset, in order, with arrival and size.
        """
        first, second = put(journal, events(1, 1000)), put(journal, events(2, 2000))

        pending = journal.pending(first.partition, first.offset)

        assert [(second.offset, 2000, 16)] == [(one.offset, one.arrived_at, one.size) for one in pending]

    def test_wait_hears_of_an_append(self, journal: Journal) -> None:
        """
        A wait ends with an append, once.
        """
        assert journal.wait(0) is False
        put(journal, events())

        assert journal.wait(_PATIENCE_SECONDS) is True
        assert journal.wait(0) is False

    @pytest.mark.parametrize(("number", "first", "last"), [(1, 1, 1), (2, 1, 2), (3, 2, 2), (2, 2, 0), (2, 1, 0)])
    def test_seal_that_does_not_follow_is_stale(self, journal: Journal, number: int, first: int, last: int) -> None:
        """
        A seal follows the last one in number and range, or nothing is sealed.
        """
        put(journal, events())
        put(journal, events())
        sealed = next_seal(journal, 1, 1)

        with pytest.raises(StaleSeal):
            journal.seal(Seal(journal.identity, sealed.partition, number, first, last, 1, 2, 1))

        assert sealed == journal.last_sealed(sealed.partition)
        assert [sealed] == journal.unannounced(sealed.partition)

    def test_of_concurrent_seals_one_wins(self, journal: Journal) -> None:
        """
        Of many workers that close the same batch, exactly one does.
        """
        put(journal, events())
        seal = Seal(journal.identity, journal.partitions[0], 1, 1, 1, 1000, 2000, 1)

        def closed(_: int) -> bool:
            try:
                journal.seal(seal)
            except StaleSeal:
                return False
            return True

        with ThreadPoolExecutor(8) as threads:
            assert sum(threads.map(closed, range(16))) == 1

    def test_first_answers_are_pinned(self, journal: Journal) -> None:
        """
        What the outside world answered first for a seal stays its answer.
        """
        put(journal, events())
        seal = next_seal(journal, 1, 1)

        assert journal.pin(seal, b"first") == b"first"
        assert journal.pin(seal, b"second") == b"first"

    def test_announced_seal_takes_no_answers(self, journal: Journal) -> None:
        """
        A worker that comes too late with its answers learns it.
        """
        put(journal, events())
        seal = next_seal(journal, 1, 1)
        journal.announce(seal, None, [])

        with pytest.raises(StaleSeal):
            journal.pin(seal, b"late")

    def test_seal_without_entries_follows(self, journal: Journal) -> None:
        """
        A seal may have no entries; the one after it goes on where the entries do.
        """
        holding(journal, held_of("acme"))
        empty = freeing(journal, 1)
        journal.announce(empty, None, [])
        after = put(journal, events())
        journal.announce(next_seal(journal, after.offset, after.offset), None, [])

        assert (empty.first, empty.last, after.offset) == (2, 1, 2)
        assert journal.unannounced(empty.partition) == []

    def test_held_is_told_by_tenant_in_order(self, journal: Journal) -> None:
        """
        What is held is found by tenant, with its oldest arrival, in the order in which it was held.
        """
        partition = journal.partitions[0]
        assert journal.held_tenants(partition) == {}
        holding(journal, held_of("acme", 2, 2000), held_of("globex"))
        holding(journal, held_of("acme", 3, 1500))

        found = journal.held(partition, "acme")
        assert journal.held_tenants(partition) == {"acme": 1500, "globex": 1000}
        assert [(one.tenant, one.oldest_at, one.size) for one in found] == [("acme", 2000, 16), ("acme", 1500, 24)]
        assert found[0].number < found[1].number
        assert journal.held(partition, "nobody") == []

    def test_held_balances_the_books(self, journal: Journal) -> None:
        """
        From being held to being laked a metric event stands in exactly one place, through every step.
        """
        holding(journal, held_of("acme", 2))
        seen = [self._held(journal)]
        seal = freeing(journal, *(one.number for one in journal.held(journal.partitions[0], "acme")))
        seen.append(self._held(journal))
        assert journal.held_tenants(seal.partition) == {}
        assert journal.freed(seal) == [held_of("acme", 2)]
        journal.announce(seal, announcement_of(seal, 2), [Delta(STREAM, "acme", "m", "laked", 2)])
        seen.append(self._held(journal))

        assert seen == [(2, 0, 2, 0), (2, 0, 2, 0), (2, 0, 0, 2)]
        assert journal.freed(seal) == []

    @staticmethod
    def _held(journal: Journal) -> tuple[int, ...]:
        books = journal.books(STORE)
        assert books.balanced
        (account,) = books.accounts
        return (account.received, account.in_flight, account.held, account.laked)

    def test_held_waits_for_its_tenant_alone(self, journal: Journal) -> None:
        """
        The oldest arrival that a reader has not is that of what is held, for its tenant and for no one else.
        """
        holding(journal, held_of("acme"))

        assert [journal.oldest_waiting(STORE, tenant) for tenant in ("acme", "globex", None)] == [1000, None, None]

    def test_held_is_freed_once(self, journal: Journal) -> None:
        """
        What a seal has taken no other seal can take, nor the same one in a second try that would take more.
        """
        partition = journal.partitions[0]
        holding(journal, held_of("acme"), held_of("globex"))
        acme, globex = (journal.held(partition, tenant)[0].number for tenant in ("acme", "globex"))
        first = freeing(journal, acme)
        assert journal.pin(first, b"other", [globex]) == b"freed"
        second = next_seal(journal, first.first, first.last)

        with pytest.raises(StaleSeal):
            journal.pin(second, b"both", [acme, globex])

        assert journal.pin(second, b"one", [globex]) == b"one"
        assert [[one.tenant for one in journal.freed(seal)] for seal in (first, second)] == [["acme"], ["globex"]]

    def test_what_is_held_counts_against_the_quota(self, tmp_path: Path) -> None:
        """
        Bytes held aside are bytes that wait, also for the journal that is opened again; freed ones are not.
        """
        before = self.open(tmp_path, QUOTA)
        holding(before, Held("acme", 1000, {("acme", "m"): 1}, b"x" * (QUOTA - 10)))
        with pytest.raises(JournalFull):
            before.append(events(2))
        before.close()

        after = self.open(tmp_path, QUOTA)
        with pytest.raises(JournalFull):
            after.append(events(2))
        after.announce(freeing(after, after.held(after.partitions[0], "acme")[0].number), None, [])
        assert put(after, events(2)).offset == 2
        after.close()

    def test_reopened_journal_knows_what_is_held_and_freed(self, tmp_path: Path) -> None:
        """
        What was held, and what a seal had taken of it, is there after closing.
        """
        before = self.open(tmp_path, QUOTA)
        holding(before, held_of("acme"), held_of("globex"))
        seal = freeing(before, before.held(before.partitions[0], "acme")[0].number)
        before.close()

        after = self.open(tmp_path, QUOTA)
        assert after.unannounced(seal.partition) == [seal]
        assert after.freed(seal) == [held_of("acme")]
        assert after.held_tenants(seal.partition) == {"globex": 1000}
        assert sum(account.held for account in after.books(STORE).accounts) == 2
        after.close()

    def test_announcements_are_numbered_without_gaps(self, journal: Journal) -> None:
        """
        Announcements count from 1; a seal without an object takes no number.
        """
        first = announced(journal, 2)
        empty = put(journal, events())
        assert journal.announce(next_seal(journal, empty.offset, empty.offset), None, []) is None
        second = announced(journal)

        assert [first, second] == [1, 2]
        assert [one.number for one in journal.announcements(0, 10)] == [1, 2]
        assert [one.number for one in journal.announcements(1, 10)] == [2]
        assert [one.counts for one in journal.announcements(0, 1)] == [{("acme", "m"): 2}]

    def test_announcement_says_whom_it_is_meant_for(self, journal: Journal) -> None:
        """
        An announcement for some destinations names them when it is read; one for all names none.
        """
        announced(journal)
        position = put(journal, metrics())
        seal = next_seal(journal, position.offset, position.offset)
        journal.announce(seal, replace(announcement_of(seal), only=("crm", "hook")), [])

        assert [one.only for one in journal.announcements(0, 10)] == [(), ("crm", "hook")]

    def test_announcing_trims_the_entries(self, journal: Journal) -> None:
        """
        What is announced leaves the journal; what came later stays.
        """
        announced(journal)
        later = put(journal, events())

        assert [later.offset] == [one.offset for one in journal.read(later.partition, 0, later.offset)]
        assert journal.unannounced(later.partition) == []

    def test_seal_is_announced_once(self, journal: Journal) -> None:
        """
        A second announcement of a seal is stale, and counts nothing.
        """
        put(journal, metrics())
        seal = next_seal(journal, 1, 1)
        laked = [Delta(STREAM, "acme", "m", "laked", 1)]
        journal.announce(seal, announcement_of(seal), laked)

        with pytest.raises(StaleSeal):
            journal.announce(seal, announcement_of(seal), laked)

        assert [account.laked for account in journal.books(STORE).accounts] == [1]
        assert len(journal.announcements(0, 10)) == 1

    def test_readers_go_on_one_by_one(self, journal: Journal) -> None:
        """
        Each reader has a checkpoint of its own and takes announcements in order; a skip or a repeat is stale.
        """
        announced(journal)
        announced(journal)
        first, second = journal.announcements(0, 2)
        assert journal.checkpoint("mail").number == 0

        with pytest.raises(StaleSeal):
            journal.advance("mail", second, [])
        journal.advance("mail", first, [])
        with pytest.raises(StaleSeal):
            journal.advance("mail", first, [])

        assert [
            (found.number, found.sealed_at) for found in (journal.checkpoint("mail"), journal.checkpoint(STORE))
        ] == [(1, 2000), (0, 0)]

    def test_stale_step_of_a_reader_counts_nothing(self, journal: Journal) -> None:
        """
        A checkpoint and its counters move together or not at all.
        """
        announced(journal)
        (first,) = journal.announcements(0, 1)
        stored = [Delta(STORE, "acme", "m", "stored", 1)]
        journal.advance(STORE, first, stored)

        with pytest.raises(StaleSeal):
            journal.advance(STORE, first, stored)

        assert [account.store["stored"] for account in journal.books(STORE).accounts] == [1]

    def test_books_follow_an_event_through(self, journal: Journal) -> None:
        """
        At every step a metric event stands in exactly one place, and the books balance.
        """
        put(journal, metrics(2))
        seen = [self._places(journal)]
        seal = next_seal(journal, 1, 1)
        journal.announce(seal, announcement_of(seal, 2), [Delta(STREAM, "acme", "m", "laked", 2)])
        seen.append(self._places(journal))
        (first,) = journal.announcements(0, 1)
        journal.advance(STORE, first, [Delta(STORE, "acme", "m", "stored", 2)])
        seen.append(self._places(journal))

        assert seen == [(2, 2, 0, 0, 0), (2, 0, 2, 2, 0), (2, 0, 2, 0, 2)]

    @staticmethod
    def _places(journal: Journal) -> tuple[int, ...]:
        books = journal.books(STORE)
        assert books.balanced
        (account,) = books.accounts
        return (account.received, account.in_flight, account.laked, account.store["waiting"], account.store["stored"])

    def test_books_count_domain_events(self, journal: Journal) -> None:
        """
        Accepted domain events are in flight until their archive is announced.
        """
        put(journal, events(3))

        books = journal.books(STORE)

        assert (
            books.domain_events.accepted,
            books.domain_events.in_flight,
            books.domain_events.archived,
        ) == (3, 3, 0)
        assert books.balanced

    def test_snapshot_says_what_is_counted_and_what_is_there(self, journal: Journal) -> None:
        """
        The counters, up to which announcement, seal and backfill they go, and what is in flight or held, at one moment.
        """
        number = announced(journal, 2)
        holding(journal, held_of("acme", 3))
        journal.pin_backfill("Manifest/late.json", b"")
        journal.announce_backfill("Manifest/late.json", None, [])
        journal.advance(STORE, journal.announcements(0, 1)[0], [Delta(STORE, "acme", "m", "stored", 2)])
        put(journal, metrics(5))
        put(journal, events(4))
        found = journal.snapshot()
        moment = found.moment

        assert (moment.announced, moment.backfilled, moment.checkpoints) == (number, 1, {STORE: 1})
        assert moment.sealed == {str(journal.partitions[0]): 2}
        assert {row[3]: row[4] for row in found.said if row[2] == "m"}["stored"] == 2
        assert {(*row[1:3], row[3]): row[4] for row in found.found} == {
            ("(none)", DOMAIN_EVENTS, "in_flight"): 4,
            ("acme", "m", "in_flight"): 5,
            ("acme", "m", "held"): 3,
        }

    def test_oldest_waiting_follows_the_reader(self, journal: Journal) -> None:
        """
        The oldest arrival that a reader has not is that of an entry, then of an announcement, then none.
        """
        found = [journal.oldest_waiting(STORE)]
        put(journal, metrics(1, 1000))
        found.append(journal.oldest_waiting(STORE))
        seal = next_seal(journal, 1, 1)
        journal.announce(seal, announcement_of(seal), [])
        found.append(journal.oldest_waiting(STORE))
        journal.advance(STORE, journal.announcements(0, 1)[0], [])
        found.append(journal.oldest_waiting(STORE))

        assert found == [None, 1000, 1000, None]

    def test_pipeline_is_kept_while_a_seal_needs_it(self, journal: Journal) -> None:
        """
        A pipeline file's text stays as long as a seal may be made with it, whatever is kept beside it.
        """
        journal.keep_pipeline(1, "one")
        put(journal, events())
        next_seal(journal, 1, 1, version=1)
        journal.keep_pipeline(2, "two")
        journal.keep_pipeline(2, "two, said again")

        assert (journal.pipeline(1), journal.pipeline(2), journal.pipeline(3)) == ("one", "two", None)

    def test_full_journal_refuses_until_announced(self, journal: Journal) -> None:
        """
        Above the quota an append is refused at once, and taken again when a batch has been announced.
        """
        big = Entry(EntryKind.EVENTS, 1, 1, b"x" * (QUOTA - 10))
        position = put(journal, big)

        with pytest.raises(JournalFull):
            journal.append(big)
        journal.announce(next_seal(journal, position.offset, position.offset), None, [])

        assert put(journal, big).offset == position.offset + 1

    def test_retry_takes_entries_and_remembers_whose_they_are(self, journal: Journal) -> None:
        """
        What is sent again is received anew, and which records it was is kept with it.
        """
        journal.retry([events(2), metrics(3)], [Retried("Error/a", None, b"[[1,5]]")])

        assert [entry.count for entry in journal.read(journal.partitions[0], 0, 100)] == [2, 3]
        assert (journal.retried("Error/a"), journal.retried("Error/b")) == (b"[[1,5]]", None)
        assert journal.books(STORE).domain_events.accepted == 2
        assert [account.received for account in journal.books(STORE).accounts] == [3]
        assert journal.wait(0)

    def test_retry_that_another_has_overtaken_takes_nothing(self, journal: Journal) -> None:
        """
        Of two retries of the same object that read the same before, one is stale, with all its entries and marks.
        """
        journal.retry([events()], [Retried("Error/a", None, b"1")])
        with pytest.raises(StaleSeal, match="Error/a"):
            journal.retry([events()], [Retried("Error/b", None, b"1"), Retried("Error/a", None, b"2")])
        journal.retry([events()], [Retried("Error/a", b"1", b"3")])

        assert len(journal.read(journal.partitions[0], 0, 100)) == 2
        assert (journal.retried("Error/a"), journal.retried("Error/b")) == (b"3", None)

    def test_backfill_of_a_batch_is_pinned_and_announced_once(self, journal: Journal) -> None:
        """
        The first answers stay; announcing counts, and both are refused afterwards; numbers grow without gaps.
        """
        announced(journal)
        one = replace(announcement_of(Seal("", 0, 7, 0, 0, 0, 0, 1), 2), only=(STORE,))
        assert journal.backfilling(one.manifest) is None
        assert [journal.pin_backfill(one.manifest, answers) for answers in (b"first", b"second")] == [b"first"] * 2
        assert journal.backfilling(one.manifest) == Backfilling(b"first", None)
        counted = [Delta(STREAM, "acme", "m", "received", 2), Delta(STREAM, "acme", "m", "laked", 2)]
        assert journal.announce_backfill(one.manifest, one, counted) == 2
        journal.pin_backfill("Manifest/other.json", b"")
        assert journal.announce_backfill("Manifest/other.json", None, []) is None

        with pytest.raises(StaleSeal, match="run it again"):
            journal.announce_backfill(one.manifest, one, counted)
        with pytest.raises(StaleSeal, match=one.manifest):
            journal.pin_backfill(one.manifest, b"third")
        with pytest.raises(StaleSeal, match="never"):
            journal.announce_backfill("Manifest/never.json", None, counted)
        assert journal.backfilling(one.manifest) == Backfilling(None, 1)
        assert journal.backfilling("Manifest/other.json") == Backfilling(None, 2)
        assert [found.only for found in journal.announcements(0, 9)] == [(), (STORE,)]
        assert [(account.received, account.laked) for account in journal.books(STORE).accounts] == [(3, 3)]

    def test_batches_that_a_backfill_makes_nothing_of_are_remembered(self, journal: Journal) -> None:
        """
        They have no number, and what is pinned or announced stays as it is.
        """
        journal.pin_backfill("Manifest/a.json", b"answers")
        journal.pass_over(["Manifest/a.json", "Manifest/b.json"])

        assert journal.backfilling("Manifest/a.json") == Backfilling(b"answers", None)
        assert journal.backfilling("Manifest/b.json") == Backfilling(None, 0)

    def test_full_journal_takes_no_retry(self, journal: Journal) -> None:
        """
        What is sent again waits for room like everything else.
        """
        with pytest.raises(JournalFull):
            journal.retry([events(QUOTA)], [Retried("Error/a", None, b"1")])

        assert journal.retried("Error/a") is None

    def test_reopened_journal_goes_on(self, tmp_path: Path) -> None:
        """
        Everything is there after closing: identity, entries, seals, announcements, checkpoints, counters.
        """
        before = self.open(tmp_path, QUOTA)
        announced(before)
        before.advance("mail", before.announcements(0, 1)[0], [])
        put(before, metrics(2))
        seal = next_seal(before, 2, 2)
        before.pin(seal, b"answers")
        before.keep_pipeline(1, "text")
        kept = self._everything(before)
        before.close()

        after = self.open(tmp_path, QUOTA)
        assert kept == self._everything(after)
        assert after.pin(seal, b"other") == b"answers"
        assert put(after, events()).offset == 3
        after.close()

    @staticmethod
    def _everything(journal: Journal) -> tuple[object, ...]:
        partition = journal.partitions[0]
        return (
            journal.identity, journal.read(partition, 0, 10), journal.unannounced(partition),
            journal.announcements(0, 10), journal.checkpoint("mail"), journal.pipeline(1), journal.books(STORE),
        )  # fmt: skip

    def test_the_audit_trail_is_kept(self, tmp_path: Path) -> None:
        """
        Lines are numbered in their order, the newest is read first, and a reopened journal has them all.
        """
        before = self.open(tmp_path, QUOTA)
        line = AuditLine(1_000, "redrive", "acme", "key", "10.0.0.1", "r-1", {"destination": "mail", "numbers": [1, 2]})
        before.audit.note(line)
        before.audit.note(replace(line, tenant="", facts={}))
        before.close()

        after = self.open(tmp_path, QUOTA)
        after.audit.note(replace(line, action="drop"))
        first, second, third = (
            replace(line, number=1), replace(line, tenant="", facts={}, number=2),
            replace(line, action="drop", number=3),
        )  # fmt: skip
        assert after.audit.lines(None, 10) == [third, second, first]
        assert after.audit.lines(3, 1) == [second]
        assert after.audit.lines(None, 10, "acme") == [third, first]
        assert after.audit.lines(1, 10) == []
        after.close()

    def test_offsets_go_on_after_all_was_trimmed(self, tmp_path: Path) -> None:
        """
        A position is never given twice, not even by a journal that was reopened empty.
        """
        before = self.open(tmp_path, QUOTA)
        announced(before)
        before.close()

        after = self.open(tmp_path, QUOTA)
        assert put(after, events()).offset == 2
        after.close()

    def test_closed_journal_refuses(self, tmp_path: Path) -> None:
        """
        A closed journal takes nothing; closing twice does no harm.
        """
        journal = self.open(tmp_path, QUOTA)
        journal.close()
        journal.close()

        with pytest.raises(JournalUnavailable):
            journal.append(events())
