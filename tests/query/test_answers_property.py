"""
THE property of questions: the store's answer is what plain Python makes of the same events.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

import pytest

from metriclake.query import plan, read
from metriclake.query.arrange import arrange
from query.drawn import Drawn, drawn_questions, load
from query.plain_answers import answered
from store.shelf import Shelf

pytestmark = pytest.mark.engine

QUESTIONS = 240
TENANTS = 4


@pytest.fixture(scope="module")
def tenants(shelf: Shelf) -> list[Drawn]:
    """
    Load the events of a few tenants, each another draw, beside each other.
    """
    return load(shelf, TENANTS)


def ask(shelf: Shelf, tenant: str, question: dict[str, Any], now: datetime) -> list[list[Any]]:
    """
    Answer a question by the store.
    """
    reader = shelf.reader(tenant)
    made = plan(read(question), reader.metrics(), {}, now)
    return arrange(made, reader.select(made.selection))


def alike(one: Any, other: Any) -> bool:
    """
    Tell whether two cells are the same; numbers may differ in what adding up in another order changes.
    """
    if isinstance(one, int | float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)
    return bool(one == other)


def test_answers_are_those_of_plain_python(shelf: Shelf, tenants: list[Drawn]) -> None:
    """
    Whatever is asked, of data with duplicates, conflicts, late rows and drifted types, each cell of each row is right.
    """
    wrong = []
    for number, (question, now) in enumerate(drawn_questions(QUESTIONS)):
        drawn = tenants[number % TENANTS]
        found, wanted = ask(shelf, drawn.tenant, question, now), answered(drawn.events, question, now)
        same = len(found) == len(wanted) and all(
            len(one) == len(other) and all(map(alike, one, other)) for one, other in zip(found, wanted, strict=True)
        )
        if not same:
            wrong.append((question, now.isoformat(), found[:5], wanted[:5]))

    assert wrong == []
