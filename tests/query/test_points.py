"""
The questions of one request have together as much room as one of them alone.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from metriclake._errors import Fault, InvalidQuestion, QuestionTooLarge
from metriclake.query.points import Points

FAULT = Fault("interval", "has too many", "take a longer one")


def test_what_is_taken_is_gone() -> None:
    """
    The last point that there is room for is taken, and none after it; what is refused takes nothing.
    """
    points = Points(10)
    points.take(6, FAULT)
    with pytest.raises(QuestionTooLarge, match="together with the questions beside it"):
        points.take(5, FAULT)
    points.take(4, FAULT)

    with pytest.raises(QuestionTooLarge) as raised:
        points.take(1, FAULT)
    assert raised.value.faults[0].hint == "ask it by itself, or take a longer one"


def test_what_one_question_may_not_have_is_its_own_fault() -> None:
    """
    It is no use to ask it by itself, and so nothing says to.
    """
    with pytest.raises(InvalidQuestion) as raised:
        Points(10).take(11, FAULT)

    assert raised.value.faults == (FAULT,)


def test_points_without_room_are_not_made() -> None:
    """
    Of endless points no more are made than one beyond the room, and they have taken it: making them took the time.
    """
    made: list[int] = []

    def endless() -> Iterator[int]:
        while True:
            made.append(len(made))
            yield made[-1]

    points = Points(10)
    assert points.taken(range(4), FAULT) == (0, 1, 2, 3)
    with pytest.raises(QuestionTooLarge):
        points.taken(endless(), FAULT)
    assert len(made) == 7
    with pytest.raises(QuestionTooLarge):
        points.take(1, FAULT)

    with pytest.raises(InvalidQuestion):
        Points(10).taken(endless(), FAULT)
