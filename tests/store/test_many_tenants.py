"""
A hundred thousand tenants are rows like others: nothing is made for each of them, and one is answered as quickly.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from metriclake.tiers import Stay, Tiers
from store.shelf import Shelf, event, fates

pytestmark = pytest.mark.engine

TENANTS = 100_000
OBJECT = 25_000
NOW = datetime.now(UTC)
OWN = {f"t{number}": Stay(retention=timedelta(days=30 + number // 10 % 5)) for number in range(0, TENANTS, 10)}
TIERS = Tiers(timedelta(days=14), timedelta(days=365), tenants=OWN)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    """
    Open a store in which every tenth of so many tenants has a retention of its own, and load an event of each.
    """
    opened = Shelf(tmp_path_factory.mktemp("store"), TIERS)
    for first in range(0, TENANTS, OBJECT):
        numbers = range(first, first + OBJECT)
        events = (event(f"t{number}", str(number), time=NOW, size=float(number)) for number in numbers)
        assert fates(opened.load(*events, now=NOW)) == {"stored": OBJECT}
    yield opened
    opened.engine.close()


def test_any_of_them_is_answered_alone(shelf: Shelf) -> None:
    """
    The first, the last and one between have their own event and catalogue, and read a few blocks of rows for it.
    """
    for number in (0, 54_321, TENANTS - 1):
        assert shelf.value(f"t{number}", "sum", "size") == float(number)
        assert list(shelf.reader(f"t{number}").metrics()) == ["uploads"]
    blocks = "SELECT count() FROM metriclake.metrics WHERE tenant = 't54321'"
    read = shelf.engine.read(blocks, {}, {"max_rows_to_read": 5 * 8192})
    assert read.result_rows == [(1,)]


def test_each_stays_by_its_own_retention(shelf: Shelf) -> None:
    """
    Every tenth tenant's row has that tenant's retention, all others the one of all.
    """
    found = shelf.engine.rows("SELECT intDiv(retention, 86400) AS days, count() FROM metriclake.metrics GROUP BY 1")

    assert dict(found) == dict.fromkeys(range(30, 35), TENANTS // 50) | {365: TENANTS * 9 // 10}


def test_nothing_is_made_for_each_of_them(shelf: Shelf) -> None:
    """
    Tables, their definitions and the parts of their rows do not grow with tenants.
    """
    definitions = shelf.engine.rows(
        "SELECT sum(length(create_table_query)) FROM system.tables WHERE database = 'metriclake'"
    )
    parts = shelf.engine.rows("SELECT count() FROM system.parts WHERE database = 'metriclake' AND active")

    assert definitions[0][0] < 20_000
    assert parts[0][0] < 50
