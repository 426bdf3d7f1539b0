"""
THE property of questions, of rollups: what is read from them is what plain Python makes of the same events.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from metriclake.store import Bounds, TenantReader
from metriclake.store.rollups.table import Grain
from metriclake.tiers import Tiers
from query.drawn import DIMENSIONS, METRIC, Drawn, drawn_questions, objects
from query.test_answers_property import ask, differing
from store.shelf import TIERS, Shelf

pytestmark = pytest.mark.engine

QUESTIONS = 64
BATCH = 16


@pytest.fixture(scope="module")
def drawn(shelf: Shelf) -> Drawn:
    """
    Load the events of a tenant, building rollups after each object but the last: its late rows are beyond them.
    """
    shelf.grains = tuple(Grain)
    shelf.begin()
    shelf.sets.declare({METRIC: (DIMENSIONS, ())})
    for table in ("metrics", "rollups", "rollup_sets", "rollup_tenants"):  # their months are many parts
        unsynced = "fsync_after_insert = 0, fsync_part_directory = 0"
        shelf.engine.command(f"ALTER TABLE metriclake.{table} MODIFY SETTING {unsynced}")
    loaded = objects(1)
    for one in loaded:
        shelf.rollups.catch_up()
        one.load(shelf)
    return loaded[-1].after[0]


def check(shelf: Shelf, drawn: Drawn, seed: int) -> None:
    """
    Ask much that rollups can answer, and hold it against plain Python; a good part must come from rollups.
    """
    reader = TenantReader(
        shelf.engine, shelf.catalogue, drawn.tenant, Bounds(seconds=600), tiers=shelf.tiers, sets=shelf.sets
    )
    questions = list(drawn_questions(QUESTIONS * (seed + 1)))[-QUESTIONS:]
    wrong, rolled = [], 0
    for first in range(0, QUESTIONS, BATCH):
        batch = questions[first : first + BATCH]
        answers = ask(reader, batch)
        wrong += differing(drawn, batch, [rows for rows, _ in answers])
        rolled += sum(from_rollup for _, from_rollup in answers)

    assert wrong == []
    assert rolled > QUESTIONS / 16


def test_with_rows_beyond_the_rollups(shelf: Shelf, drawn: Drawn) -> None:
    """
    Late rows, duplicates and conflicts that came after the rollups were built are in the answers, once.
    """
    shelf.rollups._learn()
    assert all(shelf.sets.waiting(one) for one in shelf.sets.live)

    check(shelf, drawn, 0)


def test_with_rollups_of_all_rows(shelf: Shelf, drawn: Drawn) -> None:
    """
    Built to the last row, and after merges of both tables.
    """
    shelf.rollups.catch_up()
    check(shelf, drawn, 1)

    for table in ("metrics", "rollups"):
        shelf.engine.command(f"OPTIMIZE TABLE metriclake.{table} FINAL")
    check(shelf, drawn, 2)


def test_with_rows_on_the_cold_volume(shelf: Shelf, drawn: Drawn) -> None:
    """
    After the rows have moved to the other tier, and in another process.
    """
    shelf.rollups.catch_up()
    shelf.retain(Tiers(timedelta(hours=1), TIERS.retention))
    shelf.engine.command("OPTIMIZE TABLE metriclake.metrics FINAL")
    assert "cold" in shelf.volumes().values()

    shelf.begin()
    shelf.rollups.catch_up()
    check(shelf, drawn, 3)
