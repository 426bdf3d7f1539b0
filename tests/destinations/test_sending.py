"""
The engine: each record has its ending, whatever the destination answers, and none is taken twice where it would show.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from destinations.scripted import Answer, Memory, Scripted, always, chance, in_turn, reasons, record, send, sender_of
from metriclake.deadletter import Note
from metriclake.destinations import DELIVERED, Batch, Capabilities, Fate, Rate, Receipt, Record, Repeats, Verdict
from metriclake.destinations.budget import Account
from metriclake.destinations.objects import Interrupted
from metriclake.destinations.progress import key_of
from metriclake.destinations.tries import Job

HARMLESS = Capabilities(records=10, repeats=Repeats.HARMLESS, concurrency=1)
DOUBLED = Capabilities(records=10, repeats=Repeats.DOUBLED)
RETRY, UNKNOWN = Fate(Verdict.RETRY, "500"), Fate(Verdict.UNKNOWN, "timeout")


def taken(batch: Batch) -> Receipt:
    """
    Take all of a batch.
    """
    return Receipt.but(batch, {})


def records(count: int) -> list[Record]:
    """
    Return records by the names 0, 1, 2 and so on.
    """
    return [record(str(number)) for number in range(count)]


def poisoned(*names: str) -> Answer:
    """
    Refuse every batch with one of these records in it.
    """

    def answer(batch: Batch) -> Receipt:
        if any(one.id in names for one in batch.records):
            return Receipt.all(batch, Fate(Verdict.REFUSED, "400", "no such property"))
        return Receipt.but(batch, {})

    return answer


def test_all_records_are_sent_in_full_batches_in_order() -> None:
    """
    As many as a batch takes go together, in order, each once.
    """
    service = Scripted(HARMLESS)
    jobs = send(service, records(25))

    assert [len(batch.records) for batch in service.batches] == [10, 10, 5]
    assert [one.id for batch in service.batches for one in batch.records] == [str(number) for number in range(25)]
    assert reasons(jobs) == {}


@pytest.mark.parametrize("bad", [["0"], ["7"], ["3", "4"], ["0", "19"], [str(number) for number in range(20)]])
def test_refused_batch_is_split_until_the_poison_is_alone(bad: list[str]) -> None:
    """
    Whichever records are at fault, they alone are dead, with the destination's reason, and all others arrive once.
    """
    service = Scripted(HARMLESS, poisoned(*bad))
    jobs = send(service, records(20))

    assert reasons(jobs) == dict.fromkeys(bad, "400")
    assert set(service.taken.values()) <= {1}
    assert sorted([*service.taken, *bad]) == sorted(jobs)
    assert jobs[bad[0]].attempts[-1].detail == "no such property"


def test_oversize_record_is_dead_without_a_request() -> None:
    """
    What is larger than a record or a batch may be is never sent.
    """
    service = Scripted(Capabilities(records=10, bytes=50, record_bytes=20, repeats=Repeats.HARMLESS))
    jobs = send(service, [record("a", size=21), record("b", size=20)])

    assert reasons(jobs) == {"a": "too-large"}
    assert "21 bytes" in jobs["a"].attempts[0].detail
    assert service.taken == {"b": 1}


def test_record_of_an_unknown_kind_is_dead() -> None:
    """
    A kind of which the destination says nothing has no limits to be sent by.
    """
    assert reasons(send(Scripted(), [record("a", kind="other")])) == {"a": "unknown-kind"}


def test_failing_record_dies_after_its_tries_where_others_are_taken() -> None:
    """
    One that fails while others are taken is at fault: it has its tries, and the others do not wait for it.
    """

    def answer(batch: Batch) -> Receipt:
        return Receipt.but(batch, {index: RETRY for index, one in enumerate(batch.records) if one.id == "0"})

    service = Scripted(Capabilities(records=1, repeats=Repeats.HARMLESS), answer)
    jobs = send(service, records(3), tries=3)

    assert reasons(jobs) == {"0": "500"}
    assert [one.answer for one in jobs["0"].attempts] == ["500"] * 3
    assert service.taken == {"1": 1, "2": 1}


def test_nothing_dies_of_tries_while_nothing_is_taken() -> None:
    """
    A service that fails for an hour, then takes all: with three tries a record no record is dead.
    """
    service = Scripted(HARMLESS)

    def away(batch: Batch) -> Receipt:
        return Receipt.all(batch, RETRY) if service.clock.seconds < 3600 else taken(batch)

    service.answer = away
    jobs = send(service, records(30), tries=3)

    assert reasons(jobs) == {}
    assert service.clock.seconds >= 3600


def test_waits_grow_to_a_minute() -> None:
    """
    A failing service is asked after 1, 2, 4 … seconds, at most 60 apart.
    """
    service = Scripted(HARMLESS, in_turn(*[always(RETRY)] * 8, taken))
    send(service, records(1))
    waits = [round(after - before) for before, after in zip(service.moments, service.moments[1:], strict=False)]

    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]


def test_outage_beyond_the_span_makes_dead_letters() -> None:
    """
    What was tried for longer than `within` is dead, with the last answer, also where nothing is taken.
    """
    service = Scripted(Capabilities(records=1, repeats=Repeats.HARMLESS), always(RETRY))
    jobs = send(service, records(2), hours=1)

    assert reasons(jobs) == {"0": "500", "1": "500"}
    assert 3600 <= service.clock.seconds <= 7400


def test_blocked_destination_costs_no_tries_and_is_asked_by_one_request() -> None:
    """
    While a key is refused one request asks whether it still is; then all arrives, and no record has used a try.
    """
    refused = always(Fate(Verdict.RETRY, "401"), blocked=True)
    service = Scripted(
        Capabilities(records=1, repeats=Repeats.HARMLESS, concurrency=4), in_turn(*[refused] * 12, taken)
    )
    jobs = send(service, records(8), tries=1)

    assert reasons(jobs) == {}
    assert [job.tries for job in jobs.values()] == [0] * 8
    assert service.moments[4:12] == sorted(set(service.moments[4:12]))


def test_pause_stops_the_account_and_costs_no_tries() -> None:
    """
    After `Retry-After: 30` nothing leaves for 30 seconds, and the record has its tries still.
    """
    limited = always(Fate(Verdict.RETRY, "429"), pause=30.0)
    service = Scripted(Capabilities(records=1, repeats=Repeats.HARMLESS), in_turn(*[limited] * 5, taken))
    jobs = send(service, records(2), tries=1)

    assert [round(moment) for moment in service.moments] == [0, 30, 60, 90, 120, 150, 150]
    assert reasons(jobs) == {}


def test_pause_of_nothing_is_none_to_run_in_circles_in() -> None:
    """
    One that says `Retry-After: 0` again and again is asked further and further apart; no record pays.
    """
    limited = always(Fate(Verdict.RETRY, "429"), pause=0.0)
    service = Scripted(Capabilities(records=1, repeats=Repeats.HARMLESS), in_turn(*[limited] * 6, taken))
    jobs = send(service, records(2), tries=1)

    assert [round(moment) for moment in service.moments] == [0, 1, 3, 7, 15, 31, 63, 63]
    assert reasons(jobs) == {}


def test_success_that_asks_for_a_pause_gets_that_one() -> None:
    """
    The last request of a window is followed by as long a wait as was asked for, each time.
    """
    service = Scripted(
        Capabilities(records=1, repeats=Repeats.HARMLESS), lambda batch: Receipt.all(batch, DELIVERED, pause=2.0)
    )
    send(service, records(3))

    assert [round(moment) for moment in service.moments] == [0, 2, 4]


def test_two_destinations_of_an_account_share_its_pauses() -> None:
    """
    What one of them was told the other keeps to.
    """
    one, other = Scripted(HARMLESS, always(Fate(Verdict.RETRY, "429"), pause=30.0)), Scripted(HARMLESS)
    other.clock = one.clock
    account = Account(one.clock.ticks)
    limited = sender_of(one, account=account)
    limited.stop()
    with pytest.raises(Interrupted):
        limited.run({"event/a": Job(record("a"))}, "objects")
    before = one.clock.seconds
    sender_of(other, account=account).run({"event/b": Job(record("b"))}, "objects")

    assert (before, one.moments, other.moments) == (0, [0], [30])


def test_stop_waits_for_nothing_that_is_away() -> None:
    """
    Told to stop, it sends what is taken at once, lets go of the rest, and the next start goes on from there.
    """
    service, ledger = Scripted(DOUBLED, in_turn(taken, always(RETRY, blocked=True))), Memory()
    sender = sender_of(service, ledger)
    sender.stop()
    with pytest.raises(Interrupted):
        sender.run({key_of(one): Job(one) for one in records(30)}, "objects")
    stopped = service.clock.seconds
    service.answer = taken
    jobs = send(service, records(30), ledger)

    assert stopped == 0
    assert reasons(jobs) == {}
    assert set(service.taken.values()) == {1}


def test_stop_sends_what_is_taken_for_a_while() -> None:
    """
    A destination that takes everything has it all before the server ends.
    """
    service = Scripted(HARMLESS)
    sender = sender_of(service)
    sender.stop()
    sender.run({key_of(one): Job(one) for one in records(50)}, "objects")

    assert len(service.taken) == 50


@given(st.integers(1, 5), st.integers(1, 20), st.integers(1, 60))
def test_rate_is_kept_in_every_span(requests: int, per_batch: int, count: int) -> None:
    """
    In any span of the rate's seconds no more requests leave than it has.
    """
    rate = Rate(10, requests=requests)
    service = Scripted(Capabilities(records=per_batch, rate=rate, repeats=Repeats.HARMLESS, concurrency=3))
    send(service, records(count))

    assert sum(service.taken.values()) == count
    for moment in service.moments:
        assert sum(moment <= other < moment + 10 for other in service.moments) <= requests


@pytest.mark.parametrize(
    ("capabilities", "dead"),
    [
        (Capabilities(repeats=Repeats.HARMLESS), {}),
        (Capabilities(repeats=Repeats.FORGOTTEN, remembers=timedelta(hours=24)), {}),
        (Capabilities(repeats=Repeats.FORGOTTEN, remembers=timedelta(milliseconds=1)), {"a": "unknown-outcome"}),
        (Capabilities(repeats=Repeats.FORGOTTEN), {"a": "unknown-outcome"}),
        (Capabilities(repeats=Repeats.DOUBLED), {"a": "unknown-outcome"}),
        (Capabilities(repeats=Repeats.DOUBLED, retry_unknown=True), {}),
    ],
)
def test_what_may_have_been_taken(capabilities: Capabilities, dead: dict[str, str]) -> None:
    """
    Without an answer it is tried again where that does no harm, and else it is a dead letter that says so.
    """
    service = Scripted(capabilities, in_turn(always(UNKNOWN), taken))
    jobs = send(service, [record("a")])

    assert reasons(jobs) == dead
    assert len(service.batches) == (1 if dead else 2)


def test_error_of_a_destination_is_an_outage() -> None:
    """
    What it raises costs no record a try, whatever it is, and its words, which may hold anything, are not kept.
    """

    def broken(_batch: Batch) -> Receipt:
        raise ValueError("the key is hunter2")

    service = Scripted(HARMLESS, in_turn(broken, broken, taken))
    jobs = send(service, [record("a")], tries=1)

    assert reasons(jobs) == {}
    assert [(one.answer, one.detail) for one in jobs["a"].attempts] == [("ValueError", "")] * 2


@pytest.mark.parametrize("bad", [["3"], ["0", "7"], []])
def test_record_that_always_raises_does_not_block_the_others_for_ever(bad: list[str]) -> None:
    """
    Where an error goes on, the batch is halved until what raises it is alone, which dies of its tries; others arrive.
    """

    def raising(batch: Batch) -> Receipt:
        if any(one.id in bad for one in batch.records):
            raise ValueError("a bug")
        return Receipt.but(batch, {})

    service = Scripted(HARMLESS, raising)
    jobs = send(service, records(10), tries=3)

    assert reasons(jobs) == dict.fromkeys(bad, "ValueError")
    assert service.taken == {str(number): 1 for number in range(10) if str(number) not in bad}
    assert service.clock.seconds < 600


def test_outage_that_raises_kills_no_record() -> None:
    """
    Where an error is raised whatever is sent, nothing dies of it, and all arrive when it is over.
    """

    def broken(_batch: Batch) -> Receipt:
        raise ValueError("the database is away")

    service = Scripted(HARMLESS, in_turn(*[broken] * 40, taken))
    jobs = send(service, records(10), tries=3)

    assert reasons(jobs) == {}
    assert service.taken == {str(number): 1 for number in range(10)}


def test_receipt_of_another_length_is_no_answer() -> None:
    """
    A destination that does not say what became of each record has said nothing of any.
    """
    service = Scripted(DOUBLED, lambda _batch: Receipt([]))

    assert reasons(send(service, [record("a")])) == {"a": "unknown-outcome"}


def test_older_state_never_overwrites_a_newer_one() -> None:
    """
    What is older than the newest that was delivered of its slot ends as delivered, without a request.
    """
    service, ledger = Scripted(Capabilities(repeats=Repeats.HARMLESS, latest_only=True)), Memory()
    send(service, [record("new", time=5, slot="acme")], ledger)
    ledger.notes.clear()
    jobs = send(service, [record("old", time=4, slot="acme"), record("other", time=1, slot="globex")], ledger)

    assert service.taken == {"new": 1, "other": 1}
    assert reasons(jobs) == {}


def test_duplicate_in_a_later_object_is_not_sent_where_it_would_double() -> None:
    """
    The ids of what was delivered are known; where repeats do no harm they are not kept.
    """
    for capabilities, times in ((DOUBLED, 1), (HARMLESS, 2)):
        service, ledger = Scripted(capabilities), Memory()
        for _ in range(2):
            assert reasons(send(service, [record("a")], ledger)) == {}
            ledger.notes.clear()

        assert service.taken == {"a": times}


def test_duplicate_of_what_may_have_been_taken_is_not_sent_unless_it_is_redriven() -> None:
    """
    Where a record's outcome is unknown, its producer's duplicate in a later object is unknown too; a redrive sends it.
    """
    service, ledger = Scripted(DOUBLED, in_turn(always(UNKNOWN), taken)), Memory()
    found = []
    for _ in range(2):
        found.append(reasons(send(service, [record("a")], ledger)))
        ledger.notes.clear()
    redriven = {key_of(one): Job(one) for one in [record("a")]}
    sender_of(service, ledger).run(redriven, "redrive", doubtful=True)

    assert found == [{"a": "unknown-outcome"}] * 2
    assert len(service.batches) == 2
    assert service.taken == {"a": 1}


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("concurrency", [1, 3])
@given(seed=st.integers(0, 10_000))
def test_whatever_is_answered_each_record_has_its_ending(seed: int, concurrency: int, *, whole: bool) -> None:
    """
    Any answers in any order, the process dying at any note: taken at most once, and dead or taken, never both.
    """
    random = chance(seed)
    fates = [Fate(verdict, str(verdict)) for verdict in Verdict]

    def answer(batch: Batch) -> Receipt:
        pause = random.choice([None, None, None, 5.0])
        blocked = random.random() < 0.1
        if blocked:
            return Receipt.all(batch, RETRY, pause=pause, blocked=True)
        if whole:
            return Receipt.all(batch, random.choice(fates), pause=pause)
        return Receipt([random.choice(fates) for _ in batch.records], pause=pause)

    capabilities = replace(DOUBLED, records=10 // concurrency, concurrency=concurrency)
    service, ledger = Scripted(capabilities, answer), _Dying(random.randrange(1, 30))
    for _ in range(40):
        try:
            jobs = send(service, records(20), ledger)
        except _Died:
            ledger.left = random.randrange(1, 30)
            continue
        break
    else:
        pytest.fail("it never came to an end")

    dead = {name for name, reason in reasons(jobs).items() if reason != "unknown-outcome"}
    assert all(job.ending is not None for job in jobs.values())
    assert set(service.taken.values()) <= {1}
    assert not dead & set(service.taken)
    assert {name for name, job in jobs.items() if job.ending and job.ending.delivered} <= set(service.taken)


class _Died(Exception):  # noqa: N818 - the process is gone, nothing raised
    pass


class _Dying(Memory):
    """
    A ledger whose process dies after so many notes.
    """

    def __init__(self, left: int) -> None:
        super().__init__()
        self.left = left

    def note(self, _reader: str, scope: str, noted: Note) -> None:
        super().note(_reader, scope, noted)
        self.left -= 1
        if self.left == 0:
            raise _Died


def test_notes_of_a_long_outage_stay_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A day of failures is noted whole now and then, and what is noted is still enough.
    """
    monkeypatch.setattr("metriclake.destinations.notebook._NOTES_BEFORE_WHOLE", 10)
    ledger = Memory()
    service = Scripted(Capabilities(records=1, repeats=Repeats.DOUBLED), always(RETRY, blocked=True))
    sender = sender_of(service, ledger, hours=2)
    jobs = {key_of(one): Job(one) for one in records(2)}
    sender.run(jobs, "objects")

    assert len(service.batches) > 100
    assert len(ledger.notes["objects"]) <= 11
    again = send(service, records(2), ledger)
    assert reasons(again) == {"0": "500", "1": "500"}


class _Slow(Memory):
    """
    A ledger on a disk that takes its time.
    """

    def __init__(self, service: Scripted) -> None:
        super().__init__()
        self.service = service

    def note(self, _reader: str, scope: str, noted: Note) -> None:
        super().note(_reader, scope, noted)
        self.service.clock.seconds += 0.02


@pytest.mark.parametrize("unknown", ["retry", "dead"])
def test_requests_in_flight_share_their_notes(unknown: str) -> None:
    """
    With four requests at once, one note has the answers of four, and the next four that leave, where they are noted.
    """
    capabilities = Capabilities(repeats=Repeats.DOUBLED, retry_unknown=unknown == "retry", concurrency=4)
    service = Scripted(capabilities)
    ledger = _Slow(service)
    assert reasons(send(service, records(40), ledger)) == {}

    notes = [msgspec.json.decode(body) for body in ledger.notes["objects"]]
    left = [len(note.get("left", [])) for note in notes]
    delivered = [len(note.get("delivered", [])) for note in notes]
    if unknown == "dead":
        assert (left, delivered) == ([*[4] * 10, 0], [0, *[4] * 10])
    else:
        assert (sum(left), sum(delivered)) == (0, 40)
        assert len(notes) <= 14


def test_crash_repeats_no_more_than_was_on_its_way() -> None:
    """
    Killed when some answers are there and not noted: as many records are sent again as requests may be at once.
    """
    service = Scripted(Capabilities(repeats=Repeats.DOUBLED, retry_unknown=True, concurrency=4))
    for dies_at in (1, 2, 3):
        ledger = _Lost(dies_at)
        service.taken.clear()
        with pytest.raises(_Died):
            send(service, records(40), ledger)
        assert reasons(send(service, records(40), ledger)) == {}

        again = [name for name, times in service.taken.items() if times > 1]
        assert set(service.taken.values()) <= {1, 2}
        assert 1 <= len(again) <= 4


class _Lost(Memory):
    """
    A ledger whose process dies before one of its notes is on the disk.
    """

    def __init__(self, dies_at: int) -> None:
        super().__init__()
        self.left = dies_at

    def note(self, _reader: str, scope: str, noted: Note) -> None:
        self.left -= 1
        if self.left == 0:
            raise _Died
        super().note(_reader, scope, noted)


def test_request_that_cannot_be_noted_takes_nothing_of_the_rate() -> None:
    """
    Where the journal cannot write, what was to leave does not, and the account's rate is not used up by it.
    """
    rate = Rate(10, requests=1)
    service, ledger = Scripted(replace(DOUBLED, rate=rate)), _Lost(1)
    account = Account(service.clock.ticks)
    with pytest.raises(_Died):
        sender_of(service, ledger, account=account).run({"event/a": Job(record("a"))}, "objects")
    service.clock.seconds += 10

    assert service.batches == []
    assert account.take("event", rate, 1) == 0


def test_trouble_is_over_when_nothing_waits(caplog: pytest.LogCaptureFixture) -> None:
    """
    What a key that is refused for too long leaves is dead letters: then no failure is shown, and the log says it once.
    """
    caplog.set_level(logging.INFO)
    service = Scripted(HARMLESS)
    sender = sender_of(service, hours=1)
    seen: list[str] = []

    def refused(batch: Batch) -> Receipt:
        seen.append(sender.trouble)
        return Receipt.all(batch, Fate(Verdict.RETRY, "401", "the key was refused"), blocked=True)

    def run(name: str) -> str:
        job = Job(record(name))
        sender.run({key_of(job.record): job}, "objects")
        return "" if job.ending is None else job.ending.reason

    service.answer = refused
    dead = [(run(name), sender.trouble) for name in ("a", "b", "c")]
    service.answer = taken
    after = (run("d"), sender.trouble)
    words = "401: the key was refused"

    assert dead == [("401", "")] * 3
    assert (seen[0], set(seen[1:])) == ("", {words})
    assert after == ("", "")
    assert [one.message.removeprefix("the destination ") for one in caplog.records] == [
        "does not take all", "takes all again",
    ]  # fmt: skip
