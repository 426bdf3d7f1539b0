"""
A destination is made of what the pipeline file says.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from metriclake.destinations import Destination
from metriclake.destinations.kinds import destination_of
from metriclake.pipeline.destination_specs import KINDS, DestinationSpec

HERE = Path(__file__).parent
LEAST: dict[str, dict[str, Any]] = {
    "segment": {"write_key": "k"},
    "mixpanel": {"token": "t"},
    "hubspot": {"token": "t"},
    "webhook": {"url": "https://example.com", "secrets": ["whsec_" + "A" * 32]},
    "python": {"call": "destinations.metric_events:an_event"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_made(kind: str) -> None:
    """
    The least that the file must say of a kind makes one, under its name.
    """
    made: Destination = destination_of("mine", msgspec.convert(LEAST[kind], KINDS[kind]), HERE)
    with closing(made):
        assert made.name == "mine"
        assert made.account.startswith(kind)


def test_no_kind() -> None:
    """
    What is of no kind makes none.
    """
    with pytest.raises(TypeError, match="DestinationSpec"):
        destination_of("mine", DestinationSpec(), HERE)
