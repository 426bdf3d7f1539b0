"""
What is new of a tenant since an object.
"""

from __future__ import annotations

import pytest

from metriclake.store import ChangesReader
from store.shelf import Shelf, event

pytestmark = pytest.mark.engine


def test_a_tenant_hears_which_of_its_own_metrics_have_new_rows(shelf: Shelf) -> None:
    """
    Only metrics with rows of later objects are named; duplicates bring none, and neighbours have their own.
    """
    shelf.load(event("acme", "1"), event("acme", "1", metric="builds"), event("globex", "1", metric="secrets"))
    first = shelf.number
    shelf.load(event("acme", "1"), event("acme", "2", metric="builds"), event("globex", "2"))

    def since(tenant: str, number: int) -> set[str]:
        return set(ChangesReader(shelf.engine, shelf.catalogue, tenant).since(number))

    assert since("acme", first - 1) == {"uploads", "builds"}
    assert since("acme", first) == {"builds"}
    assert since("acme", shelf.number) == set()
    assert since("globex", first) == {"uploads"}
    assert since("nobody", 0) == set()
