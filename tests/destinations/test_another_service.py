"""
The destination that docs/destinations.md shows: in under 40 lines it keeps what every destination promises.
"""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar, cast

import msgspec

from contracts.destination import SECRET, DestinationContract
from destinations.metric_events import an_event, batch_of, verdicts
from metriclake.destinations import Destination
from metriclake.pipeline.destination_specs import ServiceSpec
from metriclake.testing import Refuse, Twin
from metriclake.testing.loopback import Answer
from metriclake.testing.record import Arrival, Refusal
from metriclake.testing.twin import Asked, Verdict, as_json

PAGE = Path(__file__).parents[2] / "docs" / "destinations.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
(EXAMPLE,) = (each for each in EXAMPLES if "class AcmeDestination" in each)


class AcmeSpec(ServiceSpec, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    The settings of that destination in a pipeline file.
    """

    account_id: str
    token: str


class AcmeTwin(Twin):
    """
    The service that the page makes up: an event is known again by its id, and the answer says what was refused.
    """

    RULES: ClassVar = ()

    def failing(self, status: int) -> Answer:
        """
        Return an answer without words.
        """
        return Answer(status)

    def judge(self, asked: Asked, now: float) -> Verdict:
        """
        Take all events but those that are refused on order.
        """
        del now
        if asked.headers.get("authorization") != f"Bearer {SECRET}":
            return Verdict(self.failing(401))
        taken, refused, places = list[Arrival](), list[Refusal](), list[int]()
        for place, event in enumerate(msgspec.json.decode(asked.body, type=list[dict[str, Any]])):
            refusal = asked.refused(event)
            if refusal is None:
                taken.append(Arrival("event", event, event["id"]))
            else:
                refused.append(refusal)
                places.append(place)
        return Verdict(as_json(200, {"refused": places}), taken, refused)


def acme(twin: AcmeTwin, token: str = SECRET) -> Destination:
    """
    Make the page's destination, sending to the twin.
    """
    names: dict[str, Any] = {}
    exec(compile(EXAMPLE, str(PAGE), "exec"), names)  # noqa: S102 - the example is this repository's own
    made = names["AcmeDestination"]("acme", AcmeSpec(account_id="1", token=token, url=twin.url))
    return cast("Destination", made)


class TestAnotherService(DestinationContract):
    """
    The page's destination is held to what all of them promise.
    """

    def twin(self) -> Twin:
        """
        Return the service.
        """
        return AcmeTwin(None, None)

    def destination(self, twin: Twin | None) -> Destination:
        """
        Make a destination that sends to it.
        """
        assert isinstance(twin, AcmeTwin)
        return acme(twin)


def test_the_example_is_short() -> None:
    """
    A reader has it on one screen.
    """
    assert len([line for line in EXAMPLE.splitlines() if line.strip()]) < 40


def test_what_the_service_refuses_is_rejected() -> None:
    """
    The place in the answer is the record's; all others are delivered, and known again when they are sent again.
    """
    with AcmeTwin(None, None) as twin, closing(acme(twin)) as destination:
        batch = batch_of(destination, an_event(1), an_event(2), an_event(3))
        with twin.fail(Refuse(lambda event: event["id"] == batch.records[1].id)):
            assert verdicts(destination, batch) == [("delivered", ""), ("rejected", "refused"), ("delivered", "")]
        assert verdicts(destination, batch) == [("delivered", "")] * 3
        assert twin.counts.taken == 3
