"""
Questions beside loads and builds: no event is missing that was there before, and none is there twice.
"""

from __future__ import annotations

import random
import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from metriclake.store import Aggregate, Bucket, Measure, Selection
from store.rolled_data import DAYS, INTEGERS, START, drawn
from store.shelf import Shelf

pytestmark = pytest.mark.engine

LOADS = 12
EVENTS = 40


def test_answers_beside_loads_and_builds(shelf: Shelf) -> None:
    """
    While objects are loaded and rollups built, each answer has all that was loaded before it was asked, once.
    """
    shelf.sets.declare({"uploads": (("kind",), ())})
    loaded, ended = [0], threading.Event()

    def load() -> None:
        chance = random.Random(3)  # noqa: S311 - test data
        for index in range(LOADS):
            made = [drawn(chance, f"{index}-{number}", "uploads") for number in range(EVENTS)]
            mine = [one for one in made if one.metadata["tenant_id"] == "acme"]
            shelf.load(*mine, *made[:5], integers={"uploads": INTEGERS})
            loaded[0] += len(mine)
        ended.set()

    def build() -> None:
        while not ended.is_set():
            shelf.rollups.catch_up()

    items = Measure("items", ("integer",))
    count = Selection("uploads", Aggregate.COUNT, START - timedelta(days=1), START + timedelta(days=DAYS + 1))
    asked = (
        count,
        replace(count, bucket=Bucket.DAY, group_by=("kind",)),
        replace(count, aggregate=Aggregate.SUM, value=items, bucket=Bucket.HOUR),
    )
    threads = [threading.Thread(target=load), threading.Thread(target=build)]
    for thread in threads:
        thread.start()
    reader, rolled = shelf.rolled_reader("acme"), 0
    while not ended.is_set():
        for selection in asked[:2]:
            before = loaded[0]
            answer = reader.select(selection)
            rolled += answer.rolled
            found = sum(row[-1] for row in answer.rows)
            assert before <= found <= loaded[0] + EVENTS
    for thread in threads:
        thread.join()
    shelf.rollups.catch_up()

    assert [reader.select(one).rows for one in asked] == [shelf.reader("acme").select(one).rows for one in asked]
    assert loaded[0] == reader.select(asked[0]).rows[0][-1]
    assert rolled > 0
