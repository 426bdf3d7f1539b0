"""
The store that the tests of a module share, with events that they load.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from store.shelf import Shelf


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    """
    Open a store for the tests of one module.
    """
    opened = Shelf(tmp_path_factory.mktemp("store"))
    yield opened
    opened.engine.close()
