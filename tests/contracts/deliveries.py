"""
What every journal promises to destinations, as tests: a subclass says how one is opened.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from contracts.journal import QUOTA, OpenedJournal, announced, announcement_of, metrics, next_seal, put
from metriclake._errors import StaleSeal
from metriclake.books import STORE, STREAM, Delta
from metriclake.deadletter import (
    Attempt,
    Letter,
    LetterState,
    Note,
    Replay,
    Replayable,
    ReplayState,
    Settled,
    WhichLetters,
)
from metriclake.entry import Span
from metriclake.journal import Journal

CRM = "crm"
ALL = WhichLetters(states=tuple(LetterState))


def letter(number: int, line: int = 1, *, kind: str = "event", reason: str = "400", counted: bool = True) -> Letter:
    """
    Return a dead letter of an announced object.
    """
    attempts = [Attempt(5000, reason, "no such property")]
    return Letter(number, line, "acme", "m", kind, f"id-{line}", reason, attempts, 4000, counted)


def sealed(journal: Journal, *moments: int) -> None:
    """
    Announce an object of two metric events for each moment, sealed then.
    """
    for sealed_at in moments:
        position = put(journal, metrics(2))
        seal = next_seal(journal, position.offset, position.offset)
        made = replace(announcement_of(seal, 2), sealed_at=sealed_at)
        journal.announce(seal, made, [Delta(STREAM, "acme", "m", "laked", 2)])


def take(journal: Journal, number: int, dead: int, *letters: Letter) -> None:
    """
    Have the destination take the next announced object: its events are dead, or else delivered.
    """
    (announcement,) = journal.announcements(number - 1, 1)
    fates = {"delivered": announcement.rows - dead, "dead": dead}
    deltas = [Delta(CRM, "acme", "m", counter, amount) for counter, amount in fates.items()]
    journal.advance(CRM, announcement, deltas, letters)


def account(journal: Journal) -> dict[str, int]:
    """
    Return what of the destination's books is not nought; they balance when the store is left aside.
    """
    (found,) = journal.books(STORE, [CRM]).accounts
    assert found.laked == sum(found.destinations[CRM].values())
    return {counter: amount for counter, amount in found.destinations[CRM].items() if amount}


def restate(journal: Journal, state: LetterState, which: WhichLetters = WhichLetters()) -> int:  # noqa: B008 - frozen
    """
    Change the state of all dead letters that are meant; returns how many they were.
    """
    return journal.deliveries.restate(which, state, 0, 100)[0]


class DeliveriesContract(OpenedJournal):
    """
    The behaviour of the seam.
    """

    @pytest.mark.parametrize(("since", "number"), [(None, 3), (0, 0), (2000, 0), (2001, 1), (4000, 2), (4001, 3)])
    def test_new_destination_begins_where_it_is_told(self, journal: Journal, since: int | None, number: int) -> None:
        """
        It begins now, at the beginning, or with what was sealed since a time; what lies before counts as not mapped.
        """
        sealed(journal, 2000, 3000, 4000)

        assert journal.deliveries.begin(CRM, since).number == number
        assert journal.deliveries.begin(CRM, 0).number == number
        assert account(journal).get("not_mapped", 0) == 2 * number
        assert account(journal).get("waiting", 0) == 2 * (3 - number)

    def test_destination_of_an_empty_journal_begins_at_the_beginning(self, journal: Journal) -> None:
        """
        Where nothing is announced yet, now is the beginning.
        """
        assert journal.deliveries.begin(CRM, None).number == 0
        announced(journal)

        assert account(journal) == {"waiting": 1}

    def test_notes_are_kept_by_scope_until_the_last_in_hand(self, journal: Journal) -> None:
        """
        What is noted comes back in order, by destination and scope; a checkpoint forgets it unless more is in hand.
        """
        announced(journal)
        announced(journal)
        deliveries = journal.deliveries
        for body in (b"1", b"2"):
            deliveries.note(CRM, "objects", Note(body))
        deliveries.note(CRM, "redrive", Note(b"3"))
        deliveries.note("hook", "objects", Note(b"4"))
        first, second = journal.announcements(0, 2)
        journal.advance(CRM, first, [], more=True)
        kept = deliveries.noted(CRM, "objects")
        journal.advance(CRM, second, [])

        assert kept == [b"1", b"2"]
        assert deliveries.noted(CRM, "objects") == []
        assert [deliveries.noted(CRM, "redrive"), deliveries.noted("hook", "objects")] == [[b"3"], [b"4"]]

    def test_whole_note_stands_for_those_before_it(self, journal: Journal) -> None:
        """
        It replaces the notes of its destination and scope, and no others.
        """
        for scope in ("objects", "redrive"):
            journal.deliveries.note(CRM, scope, Note(b"1"))
        journal.deliveries.note(CRM, "objects", Note(b"2", whole=True))
        journal.deliveries.note(CRM, "objects", Note(b"3"))

        assert journal.deliveries.noted(CRM, "objects") == [b"2", b"3"]
        assert journal.deliveries.noted(CRM, "redrive") == [b"1"]

    def test_slots_keep_their_newest_time(self, journal: Journal) -> None:
        """
        A watermark rises and never falls; a slot that was never delivered has none.
        """
        for slots in ({"acme": 5, "globex": 1}, {"acme": 3}, {"globex": 2}):
            journal.deliveries.note(CRM, "objects", Note(b"", slots=slots))

        assert journal.deliveries.watermarks(CRM, ["acme", "globex", "initech"]) == {"acme": 5, "globex": 2}
        assert journal.deliveries.watermarks("hook", ["acme"]) == {}

    def test_what_was_delivered_once_is_known(self, journal: Journal) -> None:
        """
        Fingerprints are remembered by destination, however many are asked for.
        """
        prints = [number.to_bytes(16, "big") for number in range(1200)]
        journal.deliveries.note(CRM, "objects", Note(b"", delivered=prints[::2]))
        journal.deliveries.note(CRM, "objects", Note(b"", delivered=prints[:1]))

        assert journal.deliveries.delivered(CRM, prints) == set(prints[::2])
        assert journal.deliveries.delivered("hook", prints) == set()

    def test_dead_letters_come_with_the_checkpoint(self, journal: Journal) -> None:
        """
        They are kept and counted with the checkpoint or not at all, and found by what they are.
        """
        number = announced(journal, 3)
        (announcement,) = journal.announcements(0, 1)
        take(journal, number, 2, letter(number, 1), letter(number, 3, kind="group", reason="gone"))
        with pytest.raises(StaleSeal):
            journal.advance(CRM, announcement, [], [letter(number, 2)])

        found = journal.deliveries.letters(WhichLetters(), 0, 10)
        assert [(one.number, one.destination, one.path, one.last_at, one.state) for one in found] == [
            (1, CRM, announcement.object, 5000, LetterState.DEAD),
            (2, CRM, announcement.object, 5000, LetterState.DEAD),
        ]
        assert found[0].letter == letter(number, 1)
        assert account(journal) == {"delivered": 1, "dead": 2}

    @pytest.mark.parametrize(
        ("which", "numbers"),
        [
            (WhichLetters(), [1, 2, 3]),
            (WhichLetters(destinations=(CRM, "mail"), reason="400"), [1, 3]),
            (WhichLetters(destinations=("hook",)), []),
            (WhichLetters(tenant="acme", metric="m"), [1, 2, 3]),
            (WhichLetters(tenant="globex"), []),
            (WhichLetters(metric="n"), []),
            (WhichLetters(numbers=(2, 3, 9)), [2, 3]),
            (WhichLetters(states=(LetterState.DROPPED,)), []),
        ],
    )
    def test_dead_letters_are_found(self, journal: Journal, which: WhichLetters, numbers: list[int]) -> None:
        """
        By destination, reason, tenant, metric, number and state, page by page, and counted the same way.
        """
        number = announced(journal, 3)
        take(journal, number, 3, letter(number, 1), letter(number, 2, reason="gone"), letter(number, 3))

        pages = [one.number for after in range(4) for one in journal.deliveries.letters(which, after, 1)]
        assert sorted(set(pages)) == numbers
        assert [one.number for one in journal.deliveries.letters(which, 0, 10)] == numbers
        assert sum(group.letters for group in journal.deliveries.groups(which)) == len(numbers)

    def test_redriven_letter_waits_and_is_settled(self, journal: Journal) -> None:
        """
        Redriven, an event waits; delivered, its letter is gone; failed, it is dead again with one more attempt.
        """
        number = announced(journal, 2)
        take(journal, number, 2, letter(number, 1), letter(number, 2))
        seen = [account(journal)]
        assert restate(journal, LetterState.REDRIVING) == 2
        assert restate(journal, LetterState.REDRIVING) == 0
        seen.append(account(journal))
        journal.deliveries.note(CRM, "redrive", Note(b"1"))
        first, second = journal.deliveries.redriving(CRM, 10)
        failed = {second.number: ("gone", [Attempt(6000, "gone")])}
        journal.deliveries.settle(CRM, Settled([first.number], failed))
        seen.append(account(journal))

        assert seen == [{"dead": 2}, {"waiting": 2}, {"delivered": 1, "dead": 1}]
        (left,) = journal.deliveries.letters(ALL, 0, 10)
        assert (left.number, left.letter.reason, left.state) == (2, "gone", LetterState.DEAD)
        assert [one.answer for one in left.letter.attempts] == ["400", "gone"]
        assert journal.deliveries.redriving(CRM, 10) == []
        assert journal.deliveries.noted(CRM, "redrive") == []

    def test_letters_are_redriven_in_the_order_of_asking(self, journal: Journal) -> None:
        """
        What was asked for first stays first, so that what is in hand after a crash is what was in hand before.
        """
        number = announced(journal, 3)
        take(journal, number, 3, *(letter(number, line) for line in (1, 2, 3)))
        for asked in ((3,), (1, 2)):
            restate(journal, LetterState.REDRIVING, WhichLetters(numbers=asked))

        assert [one.number for one in journal.deliveries.redriving(CRM, 10)] == [3, 1, 2]
        assert [one.number for one in journal.deliveries.redriving(CRM, 1)] == [3]

    def test_event_with_several_letters_is_dead_while_one_is(self, journal: Journal) -> None:
        """
        An event of two records is delivered when both are; a letter that is not counted moves nothing.
        """
        number = announced(journal)
        others = (letter(number, kind="group"), letter(number, kind="tenant", counted=False))
        take(journal, number, 1, letter(number), *others)
        seen = [account(journal)]
        for asked in ((3,), (1,), (2,)):
            restate(journal, LetterState.REDRIVING, WhichLetters(numbers=asked))
            seen.append(account(journal))
        for settled in ((3,), (2,), (1,)):
            journal.deliveries.settle(CRM, Settled(settled))
            seen.append(account(journal))

        dead, waiting, delivered = {"dead": 1}, {"waiting": 1}, {"delivered": 1}
        assert seen == [dead, dead, dead, waiting, waiting, waiting, delivered]

    def test_dropped_letter_stays_dead_in_the_books(self, journal: Journal) -> None:
        """
        A letter that is given up is listed only where it is asked for, and can be redriven after all.
        """
        number = announced(journal)
        take(journal, number, 1, letter(number))
        assert restate(journal, LetterState.DROPPED) == 1

        assert journal.deliveries.letters(WhichLetters(), 0, 10) == []
        assert [one.state for one in journal.deliveries.letters(ALL, 0, 10)] == [LetterState.DROPPED]
        assert account(journal) == {"dead": 1}
        assert restate(journal, LetterState.REDRIVING, ALL) == 1
        assert account(journal) == {"waiting": 1}

    def test_letters_change_page_by_page(self, journal: Journal) -> None:
        """
        One pass over the numbers touches each letter once, and leaves alone what is being redriven.
        """
        number = announced(journal, 3)
        take(journal, number, 3, *(letter(number, line) for line in (1, 2, 3)))

        assert journal.deliveries.restate(WhichLetters(), LetterState.REDRIVING, 0, 2) == (2, 2)
        assert journal.deliveries.restate(WhichLetters(), LetterState.REDRIVING, 2, 2) == (1, 0)
        assert restate(journal, LetterState.DROPPED, ALL) == 0

    def test_replay_is_kept_and_goes_on(self, journal: Journal) -> None:
        """
        A replay says how far it is, settles letters that it meets, and keeps new ones that the books do not count.
        """
        number = announced(journal, 2)
        take(journal, number, 1, letter(number, 1))
        begun = journal.deliveries.begin_replay(Replay(0, CRM, 1, 1, 1, duplicates=True, span=Span(5, 9)))
        assert journal.deliveries.replays(CRM) == [Replay(begun, CRM, 1, 1, 1, duplicates=True, span=Span(5, 9))]
        journal.deliveries.note(CRM, "replay", Note(b"1"))
        done = Replay(
            begun, CRM, 1, 1, 2, duplicates=True, state=ReplayState.DONE, delivered=1, dead=1, span=Span(5, 9)
        )
        journal.deliveries.replayed(done, Settled([1]), [letter(number, 2, counted=False)])

        assert account(journal) == {"delivered": 2}
        assert [one.letter.line for one in journal.deliveries.letters(ALL, 0, 10)] == [2]
        assert (journal.deliveries.replays(), journal.deliveries.replays(running=False)) == ([], [done])
        assert journal.deliveries.replays("hook", running=False) == []
        assert journal.deliveries.noted(CRM, "replay") == []

    @pytest.mark.parametrize(
        ("span", "found"),
        [
            (Span(), Replayable(1, 3, 3, 6)),
            (Span(2001), Replayable(2, 3, 2, 4)),
            (Span(None, 1000), None),
            (Span(2000, 1001), Replayable(1, 3, 3, 6)),
            (Span(4001), None),
        ],
    )
    def test_replayable_is_what_has_events_of_a_span(
        self, journal: Journal, span: Span, found: Replayable | None
    ) -> None:
        """
        Of the objects before the destination's checkpoint those that arrived in a span, wholly or in part.
        """
        sealed(journal, 2000, 3000, 4000, 5000)
        journal.deliveries.begin(CRM, 5000)

        assert journal.deliveries.replayable(CRM, span) == found
        assert journal.deliveries.replayable("hook", span) is None

    def test_letters_of_an_object_are_found_by_their_place(self, journal: Journal) -> None:
        """
        By line, kind and record, of one destination and object.
        """
        number = announced(journal, 2)
        take(journal, number, 2, letter(number, 1), letter(number, 2, kind="group"))

        assert journal.deliveries.letters_of(CRM, number) == {(1, "event", "id-1"): 1, (2, "group", "id-2"): 2}
        assert journal.deliveries.letters_of(CRM, number + 1) == journal.deliveries.letters_of("hook", number) == {}

    def test_snapshot_tells_dead_events_from_those_that_are_redriven(self, journal: Journal) -> None:
        """
        Counted events by their letters: dead while one is, waiting when all are redriven; dropped ones are dead.
        """
        number = announced(journal, 4)
        first = (letter(number, 1), letter(number, 1, kind="other"), letter(number, 4, counted=False))
        take(journal, number, 3, *first, letter(number, 2), letter(number, 3))
        restate(journal, LetterState.REDRIVING, WhichLetters(numbers=(1, 4)))
        restate(journal, LetterState.DROPPED, WhichLetters(numbers=(5,)))

        said = {row[3]: row[4] for row in journal.snapshot().said if row[0] == CRM and row[4]}
        assert said == {"delivered": 1, "dead": 2, "waiting": 1}
        assert {row[3]: row[4] for row in journal.snapshot().found if row[0] == CRM} == {"dead": 2, "waiting": 1}

    def test_standing_letters_are_counted_as_they_come_and_go(self, journal: Journal) -> None:
        """
        What is listed is counted: dead and redriven letters, not dropped ones, and not those that were delivered.
        """
        number = announced(journal, 4)
        take(journal, number, 4, *(letter(number, line) for line in (1, 2, 3, 4)))
        counts = [journal.deliveries.standing()]
        restate(journal, LetterState.REDRIVING, WhichLetters(numbers=(1, 2)))
        counts.append(journal.deliveries.standing())
        journal.deliveries.settle(CRM, Settled([1], {2: ("400", [Attempt(6000, "400", "no such property")])}))
        counts.append(journal.deliveries.standing())
        restate(journal, LetterState.DROPPED, WhichLetters(numbers=(3,)))
        counts.append(journal.deliveries.standing())

        assert counts == [{CRM: 4}, {CRM: 4}, {CRM: 3}, {CRM: 2}]

    def test_waiting_follows_what_is_announced_and_taken(self, journal: Journal) -> None:
        """
        Whatever happens between two looks at the books, they have what each destination has yet to take.
        """
        rounds = ((3, 1, 0), (1, 2, 1), (0, 0, 3), (5, 1, 0), (0, 5, 1), (2, 0, 4))
        laked, done = 0, {CRM: 0, "hook": 0}
        for more, by_crm, by_hook in rounds:
            for _ in range(more):
                announced(journal)
            laked += more
            for reader, count in ((CRM, by_crm), ("hook", by_hook)):
                for one in journal.announcements(done[reader], count):
                    journal.advance(reader, one, [Delta(reader, "acme", "m", "delivered", 1)])
                    done[reader] += 1
            (account,) = journal.books(STORE, (CRM, "hook")).accounts
            assert account.store["waiting"] == laked
            assert account.destinations == {
                name: {"delivered": done[name], "dead": 0, "waiting": laked - done[name], "not_mapped": 0}
                for name in done
            }

    def test_stopped_replay_stays_stopped(self, journal: Journal) -> None:
        """
        A replay that is stopped while an object is in hand does not run on when that is done.
        """
        begun = journal.deliveries.begin_replay(Replay(0, CRM, 1, 9, 1, duplicates=False))
        assert journal.deliveries.stop_replay(begun)
        journal.deliveries.replayed(Replay(begun, CRM, 1, 9, 2, duplicates=False), Settled(), [])

        assert not journal.deliveries.stop_replay(begun)
        assert [(one.next, one.state) for one in journal.deliveries.replays(running=False)] == [
            (2, ReplayState.STOPPED)
        ]

    def test_reopened_journal_knows_what_it_kept(self, tmp_path: Path) -> None:
        """
        Notes, watermarks, fingerprints, letters and replays are there after closing.
        """
        before = self.open(tmp_path, QUOTA)
        number = announced(before)
        take(before, number, 1, letter(number))
        before.deliveries.note(CRM, "objects", Note(b"1", [b"x" * 16], {"acme": 5}))
        before.deliveries.begin_replay(Replay(0, CRM, 1, 1, 1, duplicates=False))
        kept = self._everything(before)
        before.close()

        after = self.open(tmp_path, QUOTA)
        assert kept == self._everything(after)
        after.close()

    @staticmethod
    def _everything(journal: Journal) -> tuple[object, ...]:
        deliveries = journal.deliveries
        return (
            deliveries.noted(CRM, "objects"), deliveries.watermarks(CRM, ["acme"]),
            deliveries.delivered(CRM, [b"x" * 16]), deliveries.letters(ALL, 0, 10), deliveries.replays(),
            account(journal),
        )  # fmt: skip
