"""
Places for long answers: of one tenant, and in all.
"""

from __future__ import annotations

import pytest

from metriclake._errors import NoRoom, OverLimit
from metriclake.query.places import Places


def test_a_tenant_has_so_many_and_no_more() -> None:
    """
    A tenant that has all of its places is told to come again; its neighbour is not hindered.
    """
    places = Places("exports", 2, lambda: 10)
    give_back = places.take("acme")
    places.take("acme")

    with pytest.raises(OverLimit, match="2 exports of this tenant") as caught:
        places.take("acme")
    assert caught.value.retry_after > 0
    places.take("globex")
    give_back()
    places.take("acme")

    assert len(places) == 3


def test_all_together_have_so_many() -> None:
    """
    Where all places are taken nobody gets one, until one is given back; how many there are may change.
    """
    most = 2
    places = Places("streams", 2, lambda: most)
    give_back = places.take("acme")
    places.take(None)

    with pytest.raises(NoRoom, match="as many streams"):
        places.take("globex")
    give_back()
    places.take("globex")
    with pytest.raises(NoRoom):
        places.take(None)
    most = 3
    places.take(None)


def test_a_place_is_given_back_once() -> None:
    """
    To give a place back twice gives no second one back.
    """
    places = Places("exports", 2, lambda: 10)
    places.take("acme")
    give_back = places.take("acme")
    give_back()
    give_back()

    assert len(places) == 1
