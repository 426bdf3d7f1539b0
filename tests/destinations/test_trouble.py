"""
What is said of a destination that does not take everything: for as long as something waits, and not over and over.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from destinations.scripted import record
from metriclake.destinations import DELIVERED, Fate, Receipt, Verdict
from metriclake.destinations.tries import Job
from metriclake.destinations.trouble import Said, Trouble

TAKEN = Receipt([DELIVERED])
REFUSED = Receipt([Fate(Verdict.REFUSED, "400")])
AWAY = Receipt([Fate(Verdict.RETRY, "401", "the key was refused")], blocked=True)
FAILED = Receipt([Fate(Verdict.RETRY, "500")])
LOST = Receipt([Fate(Verdict.UNKNOWN)])


def test_words_stand_while_a_record_waits() -> None:
    """
    They go when each record that failed has its ending, also where others are taken meanwhile.
    """
    trouble, one, other = Trouble(), Job(record("a")), Job(record("b"))
    trouble.begin(blocked=False)
    seen = [trouble.why]
    for job in (one, other):
        trouble.fail(job)
        trouble.hear(FAILED, 0)
    for receipt in (TAKEN, REFUSED):
        trouble.hear(receipt, 1)
        seen.append(trouble.why)
    for job in (one, other):
        trouble.settle(job)
        seen.append(trouble.why)

    assert seen == ["", "500", "500", "500", ""]


def test_what_is_in_hand_waits_for_a_destination_that_is_away() -> None:
    """
    Before it is asked again nothing in hand has failed yet, and waits all the same; with nothing in hand nothing does.
    """
    trouble = Trouble()
    trouble.begin(blocked=False)
    trouble.fail(Job(record("a")))
    trouble.hear(AWAY, 0)
    seen = [trouble.why]
    trouble.end()
    seen.append(trouble.why)
    trouble.begin(blocked=True)
    seen.append(trouble.why)
    trouble.hear(TAKEN, 1)
    seen.append(trouble.why)

    assert seen == ["401: the key was refused", "", "401: the key was refused", ""]


def test_record_without_an_answer_is_a_failure_too() -> None:
    """
    A fate without a reason is said by its name.
    """
    trouble = Trouble()
    trouble.fail(Job(record("a")))

    assert (trouble.hear(LOST, 0), trouble.why) == (Said.BEGINS, "unknown")


@given(st.lists(st.tuples(st.sampled_from([TAKEN, AWAY, FAILED, LOST, REFUSED]), st.floats(0, 40)), max_size=60))
def test_log_does_not_flap(answers: list[tuple[Receipt, float]]) -> None:
    """
    Whatever is answered, beginnings and ends take turns, at most one pair a minute; an end says that nothing is left.
    """
    trouble, now, said = Trouble(), 0.0, list[tuple[Said, float]]()
    waits: Job | None = None
    for receipt, seconds in answers:
        now += seconds
        if receipt in (AWAY, FAILED, LOST):
            waits = waits or Job(record("a"))
            trouble.fail(waits)
        elif waits is not None:
            trouble.settle(waits)
            waits = None
        if (words := trouble.hear(receipt, now)) is not None:
            said.append((words, now))
            assert (words is Said.ENDS) == (trouble.why == "")

    assert [words for words, _ in said] == [[Said.BEGINS, Said.ENDS][place % 2] for place in range(len(said))]
    for (_, ended), (_, began) in zip(said[1::2], said[2::2], strict=False):
        assert began - ended >= 60
