"""
What the store holds of each tenant.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from metriclake.store import Holding, holdings, matching
from metriclake.tiers import Stay, Tiers
from store.shelf import Shelf, event

pytestmark = pytest.mark.engine

NOW = datetime.now(UTC).replace(microsecond=0)
"""Retention follows the engine's clock."""


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    """
    Open a store in which one tenant's rows are kept for a shorter time.
    """
    opened = Shelf(tmp_path / "store", Tiers(timedelta(days=1), timedelta(days=300)))
    yield opened
    opened.engine.close()


def test_each_tenant_is_listed_with_what_it_has(shelf: Shelf) -> None:
    """
    Tenants come by name, in slices, each with its metrics, rows and times; rows beyond their retention do not count.
    """
    ago = {name: NOW - timedelta(days=days) for name, days in (("old", 200), ("new", 2))}
    shelf.load(
        event("a", "1", time=ago["old"]), event("a", "2", metric="builds", time=ago["new"]), event("a", "2"),
        event("b", "1", time=ago["old"]), event("b", "2", time=ago["new"]),
        event("c", "1", time=ago["old"]), event("d", "1", time=ago["new"]),
        now=NOW,
    )  # fmt: skip
    short = Stay(retention=timedelta(days=100))
    shelf.retain(Tiers(timedelta(days=1), timedelta(days=300), tenants={"b": short, "c": short}))

    slices, after = [], ""
    while True:
        found, after = holdings(shelf.engine, after, 2)
        slices.append(found)
        if not after:
            break

    assert slices[0] == [
        Holding("a", ("builds", "uploads"), 3, ago["old"], slices[0][0].last),
        Holding("b", ("uploads",), 1, ago["new"], ago["new"]),
    ]
    assert [[one.tenant for one in found] for found in slices[1:]] in ([["d"]], [["d"], []])


def test_tenants_are_searched_by_a_part_of_their_ids(shelf: Shelf) -> None:
    """
    Upper and lower case are the same to a search, which goes on in slices as a list does; its signs mean themselves.
    """
    shelf.load(*(event(tenant, "1", time=NOW) for tenant in ("Acme", "acme-eu", "b%me", "globex", "zacme")), now=NOW)

    def searched(text: str, after: str = "") -> tuple[list[str], str]:
        found, following = holdings(shelf.engine, after, 2, text)
        return [one.tenant for one in found], following

    assert searched("ACME") == (["Acme", "acme-eu"], "acme-eu")
    assert searched("ACME", "acme-eu") == (["zacme"], "")
    assert searched("%me") == (["b%me"], "")
    assert searched("' OR 1") == ([], "")
    assert [matching(shelf.engine, text) for text in ("", "acme", "%", "x' OR 1")] == [5, 3, 1, 0]


def test_an_empty_store_holds_nothing(shelf: Shelf) -> None:
    """
    Without rows there are no tenants.
    """
    assert holdings(shelf.engine, "", 10) == ([], "")
