"""
THE property of rollups: at every moment the answer is the one that the rows give.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metriclake._errors import StoreError
from metriclake.event import MetricEvent
from metriclake.store import Aggregate, Bucket, Condition, Dimension, Measure, Operator, Selection
from store.rolled_data import DAYS, DIMENSIONS, INTEGERS, START, TENANTS, drawn
from store.shelf import Shelf

pytestmark = pytest.mark.engine

STORIES = int(os.environ.get("METRICLAKE_TORTURE_STORIES", "4"))
DECLARATIONS = ((DIMENSIONS,), (DIMENSIONS, ()), (("region", "kind"), ("tenant_plan",)), ((),))
SIZE, ITEMS, NOTE = Measure("size", ("double",)), Measure("items", ("integer",)), Measure("note", ("string",))
BOTH = Measure("both", ("double", "integer"))
ZONES = ("UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu")
OPERANDS: tuple[tuple[Operator, Any], ...] = (
    (Operator.IN, ("a", "eu", "")),
    (Operator.NOT_IN, ("a", "us")),
    (Operator.PREFIX, "e"),
    (Operator.EXISTS, True),
    (Operator.EXISTS, False),
)
SUBJECTS: tuple[tuple[Aggregate, Any], ...] = (
    (Aggregate.COUNT, None),
    *((Aggregate.COUNT, value) for value in (SIZE, NOTE, BOTH, Dimension("region"))),
    (Aggregate.UNIQUE, Dimension("kind")),
    (Aggregate.UNIQUE, SIZE),
    (Aggregate.P90, SIZE),
    *(
        (aggregate, value)
        for aggregate in (Aggregate.SUM, Aggregate.AVG, Aggregate.MIN, Aggregate.MAX, Aggregate.LAST)
        for value in (SIZE, ITEMS, BOTH)
    ),
)


class Story:
    """
    What happens to a store: each step does something to it, all of them drawn from one seed.
    """

    def __init__(self, shelf: Shelf, metric: str, seed: int) -> None:
        self.shelf = shelf
        self.metric = metric
        self.chance = random.Random(seed)  # noqa: S311 - test data
        self.objects: dict[int, list[MetricEvent]] = {}
        self.steps: tuple[Callable[[], None], ...] = (
            *(self.load, self.load, self.load_again, self.cut_off, self.fail),
            *(self.build_a_little, self.build_a_little, self.build, self.build, self.end, self.merge, self.declare),
        )
        self.declare()

    def load(self) -> None:
        """
        Load new events, events that came before, and such with other fields under an identity that is known.
        """
        self.shelf.number += 1
        self.objects[self.shelf.number] = self._events()
        self._load(self.shelf.number, self.objects[self.shelf.number])

    def _events(self) -> list[MetricEvent]:
        made = [
            drawn(self.chance, f"{self.shelf.number}-{index}", self.metric)
            for index in range(self.chance.randrange(1, 60))
        ]
        known = [one for events in self.objects.values() for one in events]
        again = self.chance.sample(known, min(len(known), 10))
        others = [MetricEvent(one.metric_name, one.metadata, {**one.data, "size": 7.25}) for one in again[:3]]
        return [*made, *again, *others]

    def _load(self, number: int, events: list[MetricEvent]) -> None:
        held, self.shelf.number = self.shelf.number, number
        whole = [*INTEGERS, *(["both"] if number % 2 else [])]
        self.shelf.again(*events, integers={self.metric: whole})
        self.shelf.number = held

    def load_again(self) -> None:
        """
        Load an object that was loaded before, as after an unclean end; some of its rows may have been lost.
        """
        if not self.objects:
            return
        number = self.chance.choice(list(self.objects))
        if self.chance.random() < 0.5:
            lost = f"metric = '{self.metric}' AND object = {number} AND cityHash64(event_id) % 2 = 0"
            self.shelf.engine.command(f"ALTER TABLE metriclake.metrics DELETE WHERE {lost}", {"mutations_sync": 2})
        self._load(number, self.objects[number])

    def cut_off(self) -> None:
        """
        Store the first rows of an object, and end; a later process loads it whole.
        """
        self.shelf.number += 1
        events = self._events()
        self._load(self.shelf.number, events[: len(events) // 2] or events)
        self.end()
        if self.chance.random() < 0.5:
            self.build()
        self.objects[self.shelf.number] = events
        self._load(self.shelf.number, events)

    def fail(self) -> None:
        """
        Store the rows of an object, fail to say so, and load it again.
        """
        self.shelf.number += 1
        events = self.objects[self.shelf.number] = self._events()
        with (
            mock.patch.object(self.shelf.loader, "_verify", side_effect=StoreError("cut off")),
            pytest.raises(StoreError),
        ):
            self._load(self.shelf.number, events)
        if self.chance.random() < 0.5:
            self.build_a_little()
        self._load(self.shelf.number, events)

    def build_a_little(self) -> None:
        """
        Run a few of the statements.
        """
        self.shelf.rollups._due.clear()
        for _ in islice(self.shelf.rollups.steps(), self.chance.randrange(1, 6)):
            pass

    def build(self) -> None:
        """
        Build all there is to build.
        """
        self.shelf.rollups.catch_up()

    def end(self) -> None:
        """
        Lose what the process knows, as a kill does.
        """
        self.shelf.begin()

    def merge(self) -> None:
        """
        Merge all parts of both tables.
        """
        for table in ("rollups", "metrics"):
            self.shelf.engine.command(f"OPTIMIZE TABLE metriclake.{table} FINAL")

    def declare(self) -> None:
        """
        Declare other rollups.
        """
        self.shelf.sets.declare({self.metric: self.chance.choice(DECLARATIONS)})

    def selection(self) -> Selection:
        """
        Draw a selection over some of the ten days.
        """
        chance = self.chance
        aggregate, value = chance.choice(SUBJECTS)
        start = START + timedelta(minutes=chance.randrange(-600, 6 * 1440), seconds=chance.randrange(60))
        end = start + timedelta(minutes=chance.randrange(200, DAYS * 1440))
        names = [name for name in DIMENSIONS if chance.random() < 0.3]
        conditions = tuple(
            Condition(Dimension(chance.choice(DIMENSIONS)), *chance.choice(OPERANDS))
            for _ in range(chance.choice((0, 0, 1, 2)))
        )
        bucket = chance.choice((Bucket.NONE, Bucket.HOUR, Bucket.DAY, Bucket.DAY, Bucket.WEEK, Bucket.MONTH))
        selection = Selection(
            self.metric, aggregate, start, end, value, bucket, chance.choice(ZONES), (), tuple(names), conditions
        )
        if chance.random() < 0.2:
            selection = replace(selection, before=(start - (end - start), start))
        return replace(selection, limit=2) if names and chance.random() < 0.2 else selection


@settings(max_examples=STORIES, deadline=None)
@given(seed=st.integers(0, 2**32), steps=st.lists(st.integers(0, 11), min_size=4, max_size=10))
def test_a_rollup_answers_as_the_rows_do(shelf: Shelf, seed: int, steps: list[int]) -> None:
    """
    Whatever is loaded, late, twice or in part, built, merged, killed and declared, in any order.
    """
    story = Story(shelf, f"uploads_{shelf.number}", seed)
    for step in [0, 7, *steps]:
        story.steps[step]()
        if story.chance.random() < 0.7:
            shelf.rollups._learn()
        for tenant in TENANTS:
            selection = story.selection()
            found = shelf.rolled_reader(tenant).select(selection)

            assert (found.rows, found.before) == (
                (wanted := shelf.reader(tenant).select(selection)).rows,
                wanted.before,
            ), (step, selection, shelf.sets.live)


def test_stories_ask_what_rollups_answer(shelf: Shelf) -> None:
    """
    Of the questions that stories draw, a good part is answered from rollups once these are built.
    """
    story = Story(shelf, f"uploads_{shelf.number}", 7)
    story.steps[0]()
    story.steps[7]()
    shelf.rollups._learn()

    found = [shelf.rolled_reader(tenant).select(story.selection()).rolled for _ in range(20) for tenant in TENANTS]

    assert sum(found) > len(found) / 4
