"""
What is noted of records is enough to go on after a crash.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destinations.scripted import record
from metriclake.deadletter import Attempt
from metriclake.destinations.progress import fingerprint, key_of, progress, recall
from metriclake.destinations.tries import DELIVERED, Ending, Job

_ENDINGS = st.none() | st.just(DELIVERED) | st.builds(Ending, st.just(value=False), st.sampled_from(["400", "gone"]))
_TIMES = st.integers(1, 10**15)


def jobs_of(*names: str) -> dict[str, Job]:
    """
    Return fresh jobs by their keys.
    """
    return {key_of(job.record): job for job in (Job(record(name)) for name in names)}


@given(st.lists(st.tuples(_ENDINGS, st.integers(0, 9), _TIMES, st.integers(0, 9)), min_size=1, max_size=8))
def test_what_is_noted_is_recalled(standings: list[tuple[Ending | None, int, int, int]]) -> None:
    """
    Endings, tries, times and attempts come back as they were; for what was delivered the ending alone.
    """
    names = [str(number) for number in range(len(standings))]
    before = jobs_of(*names)
    for job, (ending, tries, first_at, sent_at) in zip(before.values(), standings, strict=True):
        job.ending, job.tries, job.first_at, job.sent_at = ending, tries, first_at, sent_at
        job.attempts = [Attempt(first_at, "500", "detail")] * tries
    after = jobs_of(*names)
    recall([progress(before.values())], after, 1)

    for was, now in zip(before.values(), after.values(), strict=True):
        assert was.ending == now.ending
        if was.ending is not DELIVERED:
            assert (was.first_at, was.attempts) == (now.first_at, now.attempts)
        if was.ending is None:
            assert (was.tries, was.sent_at) == (now.tries, now.sent_at)


def test_what_left_without_an_answer_may_have_been_taken() -> None:
    """
    A request that was about to leave counts as sent, unless its answer was noted; the attempt says why.
    """
    jobs = jobs_of("a", "b", "c")
    jobs["event/b"].ending = DELIVERED
    notes = [progress([], jobs.values(), 70), progress([jobs["event/b"]])]
    after = jobs_of("a", "b", "d")
    recall(notes, after, 99)

    assert (after["event/a"].sent_at, after["event/a"].first_at) == (70, 70)
    assert [(one.at, one.answer) for one in after["event/a"].attempts] == [(99, "no-answer")]
    assert (after["event/b"].sent_at, after["event/b"].ending) == (0, DELIVERED)
    assert (after["event/d"].sent_at, after["event/d"].attempts) == (0, [])


@pytest.mark.parametrize("together", [True, False])
def test_record_that_left_again_has_no_answer_to_that(*, together: bool) -> None:
    """
    The answer to an earlier request is none to a later one, also where one note has both.
    """
    jobs = jobs_of("a")
    after = jobs_of("a")
    first, again = progress([], jobs.values(), 70), progress([], jobs.values(), 80)
    answer = progress(jobs.values())
    both = progress(jobs.values(), jobs.values(), 80)
    recall([first, both] if together else [first, answer, again], after, 99)

    assert after["event/a"].sent_at == 80


def test_records_of_two_kinds_are_two() -> None:
    """
    The same id of another kind is another record, in notes and fingerprints.
    """
    track, group = record("a", kind="track"), record("a", kind="group")

    assert key_of(track) != key_of(group)
    assert fingerprint(track) != fingerprint(group)
    assert len(fingerprint(track)) == 16
