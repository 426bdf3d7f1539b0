"""
THE property of kept answers: asked of the store or from memory, before a load or after it, they are plain Python's.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from metriclake.query import Declared, Desk, read
from metriclake.query.answers import Answers
from metriclake.query.present import present
from metriclake.store import Bounds, TenantReader
from metriclake.tokens import TenantClaims
from query.drawn import METRIC, Drawn, Object, Question, drawn_questions, objects
from query.plain_answers import answered, same
from store.shelf import Shelf

pytestmark = pytest.mark.engine

QUESTIONS = 27
TENANTS = 2
NEVER = datetime(2100, 1, 1, tzinfo=UTC)


class Asking:
    """
    What asks drawn questions of one tenant after the other, at moments of their own.
    """

    def __init__(self, shelf: Shelf) -> None:
        """
        Keep what is answered.
        """
        reader = lambda tenant: TenantReader(shelf.engine, shelf.catalogue, tenant, Bounds(seconds=600))  # noqa: E731
        self.shelf = shelf
        self.desk = Desk(reader, lambda _tenant: self.now)
        self.answers = Answers(self.desk, lambda: Declared(1, dict), lambda _: lambda _: False, lambda: self.now)
        self.now = NEVER
        self.wrong: list[Any] = []

    def load(self, one: Object) -> None:
        """
        Load an object as the store's destination does.
        """
        with self.desk.versions.changing((drawn.tenant, METRIC) for drawn in one.after):
            one.load(self.shelf)

    async def ask(self, drawn: Drawn, asked: Question, *, cached: bool) -> None:
        """
        Ask a question, and hold the answer against plain Python's of what is loaded.
        """
        question, self.now = asked
        draft = read(question)
        answer = msgspec.json.decode(await self.answers.one(TenantClaims(drawn.tenant, NEVER), draft))
        wanted = answered(drawn.events, question, present(draft.question, self.now))
        if not same(answer["rows"], wanted) or answer["meta"]["cached"] != cached:
            self.wrong.append((question, self.now.isoformat(), answer["meta"], answer["rows"][:5], wanted[:5]))


def test_kept_answers_are_those_of_plain_python(shelf: Shelf) -> None:
    """
    Whatever is asked, uncached and cached, and again whenever more is loaded: each cell is right, and none is stale.
    """
    unsynced = "fsync_after_insert = 0, fsync_part_directory = 0"
    shelf.engine.command(f"ALTER TABLE metriclake.metrics MODIFY SETTING {unsynced}")
    questions = list(drawn_questions(QUESTIONS))

    async def work() -> list[Any]:
        asking = Asking(shelf)
        for one in objects(TENANTS):
            asking.load(one)
            for number, question in enumerate(questions):
                for cached in (False, True):
                    await asking.ask(one.after[number % TENANTS], question, cached=cached)
        asking.desk.close()
        return asking.wrong

    assert asyncio.run(work()) == []
