"""
A question that needs more than it may is refused with the limit, and what each has used is counted.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from metriclake._errors import QuestionTooLarge, StoreError
from metriclake.store import Aggregate, Bounds, Bucket, Selection, Spent, TenantReader
from metriclake.store.engine import GIVES_WAY, Session
from store.shelf import NOW, Shelf, event

pytestmark = pytest.mark.engine

EVENTS = 3000
ALL = Selection("uploads", Aggregate.COUNT, datetime(2025, 1, 1, tzinfo=UTC), NOW + timedelta(days=1))
BY_DAY = Selection("uploads", Aggregate.COUNT, ALL.start, ALL.end, bucket=Bucket.DAY)


@pytest.fixture(scope="module")
def filled(shelf: Shelf) -> Shelf:
    """
    Load events of a few weeks for one tenant, and others' beside them.
    """
    for tenant in ("acme", "globex"):
        shelf.load(*(event(tenant, f"{index}", time=NOW - timedelta(minutes=20 * index)) for index in range(EVENTS)))
    return shelf


def reader(shelf: Shelf, bounds: Bounds | None = None) -> TenantReader:
    """
    Return a reader with bounds.
    """
    return TenantReader(shelf.engine, shelf.catalogue, "acme", bounds)


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        (Bounds(rows_read=100), "would read more than 100 rows"),
        (Bounds(memory=1000), "needs more than 1000 bytes of memory"),
        (Bounds(seconds=0.0001), "takes longer than 0.0001 seconds"),
        (Bounds(rows=10), "has more than 10 rows of answer"),
    ],
    ids=lambda found: found if isinstance(found, str) else "",
)
def test_each_bound_is_said_when_it_is_passed(filled: Shelf, bounds: Bounds, said: str) -> None:
    """
    The error names the limit and a way out, and nothing of the engine; the next question works.
    """
    with pytest.raises(QuestionTooLarge) as refused:
        reader(filled, bounds).select(BY_DAY)
    (fault,) = refused.value.faults

    assert (fault.place, fault.what) == ("question", said)
    assert "shorter range" in fault.hint
    assert reader(filled).select(ALL).rows == [(EVENTS,)]


def test_a_failure_of_the_store_is_no_fault_of_the_question(filled: Shelf) -> None:
    """
    Only a bound that is passed is said to the asker.
    """
    assert Bounds().passed(StoreError("SELECT: Code: 60. DB::Exception: no such table")) is None
    assert Bounds().passed(StoreError("the connection is closed")) is None
    assert filled is not None


def test_what_statements_read_is_counted(filled: Shelf) -> None:
    """
    Rows and bytes are those read from the tables, not those of the answer; and they add up.
    """
    asked = reader(filled)
    asked.select(BY_DAY)
    one = Spent(asked.spent.statements, asked.spent.rows, asked.spent.bytes, asked.spent.seconds)
    asked.select(BY_DAY)

    assert (one.statements, asked.spent.statements) == (1, 2)
    assert EVENTS <= one.rows <= 2 * EVENTS
    assert asked.spent.rows == 2 * one.rows
    assert one.bytes > 8 * EVENTS
    assert 0 < one.seconds < asked.spent.seconds


def test_a_statement_that_was_refused_is_counted_too(filled: Shelf) -> None:
    """
    What ended at a bound has taken its time.
    """
    asked = reader(filled, Bounds(rows_read=1))
    with pytest.raises(QuestionTooLarge):
        asked.select(BY_DAY)

    assert asked.spent.statements == 1
    assert asked.spent.seconds > 0


def test_the_catalogue_is_not_bounded_by_what_questions_may(filled: Shelf) -> None:
    """
    A tenant whose questions may read next to nothing still sees what it has.
    """
    assert list(reader(filled, Bounds(rows_read=1, rows=1)).metrics()) == ["uploads"]


def test_what_nobody_waits_for_gives_way(shelf: Shelf) -> None:
    """
    Loads, rollups and a reader that gives way let the operating system put others first; a plain reader does not.
    """
    sql = "SELECT toInt64(getSetting('os_threads_nice_value_query'))"
    session = Session(shelf.engine)
    assert shelf.engine.rows(sql)[0][0] == session.rows(sql)[0][0] == GIVES_WAY
    assert shelf.engine.read(sql, {}, Bounds().settings()).result_rows[0][0] == 0
    assert shelf.engine.read(sql, {}, Bounds(nice=GIVES_WAY).settings()).result_rows[0][0] == GIVES_WAY


def test_a_reader_that_gives_way_answers_the_same(filled: Shelf) -> None:
    """
    Giving way changes when an answer comes, not what it says; what it took is counted with the rest.
    """
    plain = reader(filled)
    assert plain.giving_way().select(ALL) == plain.select(ALL)
    assert plain.spent.statements == 2
