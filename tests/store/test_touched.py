"""
What rollups lack is known by quarters of an hour, and forgotten when every checkpoint is past it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from metriclake.store.rollups.sets import stretches_of
from metriclake.store.rollups.table import Grain
from metriclake.store.rollups.touched import Touched

PAIR = ("acme", "uploads")


def noted(touched: Touched, *rows: tuple[int, int]) -> Touched:
    """
    Take note of quarters and objects of one pair.
    """
    touched.note((*PAIR, quarter, number) for quarter, number in rows)
    return touched


def test_what_lies_beyond_an_object() -> None:
    """
    A quarter is beyond an object where a later one has rows in it, in whichever order they were noted.
    """
    touched = noted(Touched(), (900, 3), (0, 5), (900, 2), (1800, 1))

    assert [touched.beyond(PAIR, through) for through in (0, 1, 2, 3, 5)] == [
        [0, 900, 1800],
        [0, 900],
        [0, 900],
        [0],
        [],
    ]
    assert touched.beyond(("globex", "uploads"), 0) == []


def test_what_is_passed_is_forgotten() -> None:
    """
    Only what every checkpoint has passed is forgotten.
    """
    touched = noted(Touched(), (900, 3), (0, 5))

    touched.forget(PAIR, 4)

    assert touched.beyond(PAIR, 0) == [0]


def test_too_many_are_not_known() -> None:
    """
    Of a pair with too many quarters it is said that nothing is known, until its checkpoints are past them.
    """
    touched = noted(Touched(most=2), (0, 1), (900, 2), (1800, 7), (2700, 8))

    assert touched.beyond(PAIR, 6) is None
    assert touched.beyond(PAIR, 7) == [2700]
    touched.forget(PAIR, 7)
    assert touched.beyond(PAIR, 0) == [2700]


def test_pairs_that_loads_tell_of() -> None:
    """
    Loads tell of pairs that were expected, also before something of them was noted.
    """
    touched = Touched()
    touched.expect(PAIR)

    assert touched.pairs == {PAIR}


def test_quarters_as_buckets() -> None:
    """
    Quarters become the whole buckets that they lie in; what lies next to each other is one stretch.
    """
    epoch, hour = datetime(1970, 1, 1, tzinfo=UTC), timedelta(hours=1)
    quarters = [0, 900, 3600, 9000, 90_000]

    assert stretches_of(quarters, Grain.QUARTER) == (
        (epoch, epoch + hour / 2),
        (epoch + hour, epoch + hour * 1.25),
        (epoch + hour * 2.5, epoch + hour * 2.75),
        (epoch + hour * 25, epoch + hour * 25.25),
    )
    assert stretches_of(quarters, Grain.HOUR) == ((epoch, epoch + 3 * hour), (epoch + 25 * hour, epoch + 26 * hour))
    assert stretches_of(quarters, Grain.DAY) == ((epoch, epoch + 48 * hour),)
