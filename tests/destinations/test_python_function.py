"""
A function of the user's as a destination.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from contracts.destination import DestinationContract
from destinations.metric_events import TIME, an_event, batch_of, verdicts
from metriclake import MetriclakeError
from metriclake.destinations import Destination
from metriclake.destinations.python import PythonDestination
from metriclake.pipeline.destination_specs import MappingSpec, PythonSpec
from metriclake.testing import Twin

FOLDER = Path(__file__).parent
GOT: list[list[dict[str, Any]]] = []
SAYS: list[Any] = []


def take(events: list[dict[str, Any]]) -> Any:
    """
    Keep what came, and return what the test wants; an error is raised.
    """
    GOT.append(events)
    said = SAYS.pop() if SAYS else None
    if isinstance(said, Exception):
        raise said
    return said


@pytest.fixture(autouse=True)
def nothing_got() -> None:
    """
    Begin each test anew.
    """
    GOT.clear()
    SAYS.clear()


def made(**settings: Any) -> PythonDestination:
    """
    Make a destination of the function above.
    """
    return PythonDestination("mine", PythonSpec(call=f"{__name__}:take", **settings), FOLDER)


class TestPythonDestination(DestinationContract):
    """
    A function keeps what every destination promises.
    """

    def destination(self, twin: Twin | None) -> Destination:
        """
        Make a destination that sends nowhere.
        """
        assert twin is None
        return made(batch=5)


def test_a_function_gets_metric_events() -> None:
    """
    Each is a dict: the metric event, its id, and its name and properties by the mapping.
    """
    mine = made(metrics={"scans": MappingSpec(name="Scan", properties={"n": "data.count"})})
    batch = batch_of(mine, an_event(1), an_event(2))

    assert verdicts(mine, batch) == [("delivered", "")] * 2
    assert GOT[0][0] == {
        "id": batch.records[0].id,
        "metric_name": "scans",
        "metadata": {"tenant_id": "acme", "event_id": "e1", "severity": "high"},
        "data": {"event_time": TIME, "count": 1, "seconds": 1.5},
        "name": "Scan",
        "properties": {"n": 1},
    }
    assert len(GOT[0]) == 2


@pytest.mark.parametrize(
    ("said", "fates"),
    [
        ({}, [("delivered", "")] * 2),
        ({1: "retry"}, [("delivered", ""), ("retry", "retry")]),
        ({0: "rejected: no such customer"}, [("rejected", "no such customer"), ("delivered", "")]),
        ({0: "retry: busy", 1: "rejected"}, [("retry", "busy"), ("rejected", "rejected")]),
        ({0: "rejected: high is no severity"}, [("rejected", "… is no severity"), ("delivered", "")]),
    ],
)
def test_a_function_says_what_it_did_not_take(said: dict[int, str], fates: list[tuple[str, str]]) -> None:
    """
    What is not in the mapping was taken; a reason goes to the dead letter, without the event's values.
    """
    SAYS.append(said)
    mine = made()

    assert verdicts(mine, batch_of(mine, an_event(1), an_event(2))) == fates


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (ValueError("a-secret"), "raised"),
        ([1, 2], "unreadable"),
        ({2: "retry"}, "unreadable"),
        ({-1: "retry"}, "unreadable"),
        ({"0": "retry"}, "unreadable"),
        ({True: "retry"}, "unreadable"),
        ({0: "delivered"}, "unreadable"),
        ({0: None}, "unreadable"),
    ],
)
def test_an_error_is_an_outage(said: Any, reason: str) -> None:
    """
    What a function raises, or says that nobody understands, brings all of them again; no record is blamed.
    """
    SAYS.append(said)
    mine = made()
    receipt = mine.deliver(batch_of(mine, an_event(1), an_event(2)))

    assert (receipt.blocked, [fate.reason for fate in receipt.fates]) == (True, [reason] * 2)
    assert "a-secret" not in repr(receipt)


def test_a_function_that_is_not_there() -> None:
    """
    It is looked for at once, also beside the pipeline file.
    """
    with pytest.raises(MetriclakeError, match="has no `nothing`"):
        PythonDestination("mine", PythonSpec(call="destinations.metric_events:nothing"), FOLDER)
    assert PythonDestination("mine", PythonSpec(call="metric_events:an_event"), FOLDER).name == "mine"
