"""
THE property of questions: the store's answer is what plain Python makes of the same events.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from metriclake.query import plan, read
from metriclake.query.arrange import arrange
from metriclake.store import TenantReader
from metriclake.store.bounds import Bounds
from query.drawn import Drawn, Question, drawn_questions, load
from query.plain_answers import answered, same
from store.shelf import Shelf

pytestmark = pytest.mark.engine

QUESTIONS = 320
BATCH = 16
TENANTS = 4


@pytest.fixture(scope="module")
def tenants(shelf: Shelf) -> list[Drawn]:
    """
    Load the events of a few tenants, each another draw, beside each other.
    """
    unsynced = "fsync_after_insert = 0, fsync_part_directory = 0"
    shelf.engine.command(f"ALTER TABLE metriclake.metrics MODIFY SETTING {unsynced}")  # their months are many parts
    return load(shelf, TENANTS)


def ask(reader: TenantReader, questions: Sequence[Question]) -> list[tuple[list[list[Any]], bool]]:
    """
    Answer questions by one statement of the store: the rows of each, and whether a rollup was read.
    """
    metrics = reader.metrics()
    made = [plan(read(question), metrics, {}, now) for question, now in questions]
    answers = reader.select_all([one.selection for one in made])
    return [(arrange(one, answer), answer.rolled) for one, answer in zip(made, answers, strict=True)]


def differing(drawn: Drawn, questions: Sequence[Question], answers: Sequence[list[list[Any]]]) -> list[Any]:
    """
    Return the questions whose answers are not those of plain Python, each with the first rows of both.
    """
    wrong = []
    for (question, now), found in zip(questions, answers, strict=True):
        wanted = answered(drawn.events, question, now)
        if not same(found, wanted):
            wrong.append((question, now.isoformat(), found[:5], wanted[:5]))
    return wrong


def test_answers_are_those_of_plain_python(shelf: Shelf, tenants: list[Drawn]) -> None:
    """
    Whatever is asked, of data with duplicates, conflicts, late rows and drifted types, each cell of each row is right.
    """
    wrong = []
    questions = list(drawn_questions(QUESTIONS))
    for number, first in enumerate(range(0, QUESTIONS, BATCH)):
        drawn, batch = tenants[number % TENANTS], questions[first : first + BATCH]
        reader = TenantReader(shelf.engine, shelf.catalogue, drawn.tenant, Bounds(seconds=600))
        wrong += differing(drawn, batch, [rows for rows, _ in ask(reader, batch)])

    assert wrong == []
