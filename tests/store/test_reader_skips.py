"""
A filter on a dimension reads fewer rows than none.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from metriclake._errors import StoreError
from metriclake.store import Aggregate, Condition, Dimension, Measure, Operator, Selection
from metriclake.store.columns import Statement
from metriclake.store.statement import SelectionText
from store.shelf import NOW, Shelf, event

pytestmark = pytest.mark.engine

BLOCK = 8192
"""The rows that the engine reads or leaves out together."""

ROWS = 3 * BLOCK


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    """
    Open a store that is filled a release after the other.
    """
    opened = Shelf(tmp_path_factory.mktemp("store"))
    opened.load(
        *(
            event(
                "acme",
                str(index),
                time=NOW + timedelta(seconds=index),
                dimensions={"release": f"r{index // BLOCK}", "kind": "ab"[index % 2]},
                size=1.0,
            )
            for index in range(ROWS)
        )
    )
    yield opened
    opened.engine.close()


def total(shelf: Shelf, most: int, *conditions: Condition) -> float:
    """
    Add up what each event has one of, where the engine may read so many rows and not one more.
    """
    size = Measure("size", ("double",))
    selection = Selection("uploads", Aggregate.SUM, NOW, NOW + timedelta(days=1), size, conditions=conditions)
    statement = Statement()
    sql = SelectionText(selection, shelf.catalogue, "acme", statement).sql()
    settings = {**shelf.reader("acme")._settings(), "max_rows_to_read": most}
    shelf.engine.read(sql, statement.parameters, settings)
    (row,) = shelf.reader("acme").select(selection).rows
    return float(row[0] or 0)


def test_a_filter_reads_only_blocks_that_may_have_its_values(shelf: Shelf) -> None:
    """
    What one release adds up to is read from its own blocks; without the filter that is too little.
    """
    one = Condition(Dimension("release"), Operator.IN, ("r1",))
    two = Condition(Dimension("release"), Operator.IN, ("r0", "r2"))
    none = Condition(Dimension("release"), Operator.IN, ("r9",))

    assert total(shelf, 2 * BLOCK, one) == BLOCK
    assert total(shelf, ROWS, two) == 2 * BLOCK
    assert total(shelf, 1, none) == 0
    with pytest.raises(StoreError, match="TOO_MANY_ROWS"):
        total(shelf, 2 * BLOCK)


def test_a_value_that_every_block_has_reads_them_all(shelf: Shelf) -> None:
    """
    Where a value is everywhere, nothing can be left out, and nothing is.
    """
    common = Condition(Dimension("kind"), Operator.IN, ("a",))

    assert total(shelf, ROWS, common) == ROWS // 2
    with pytest.raises(StoreError, match="TOO_MANY_ROWS"):
        total(shelf, 2 * BLOCK, common)


def test_two_filters_leave_out_what_either_leaves_out(shelf: Shelf) -> None:
    """
    Where one filter has left blocks out, the other is put to the rest.
    """
    both = (Condition(Dimension("release"), Operator.IN, ("r2",)), Condition(Dimension("kind"), Operator.IN, ("b",)))

    assert total(shelf, 2 * BLOCK, *both) == BLOCK // 2
