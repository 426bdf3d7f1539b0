"""
What every destination promises, as tests: a subclass says how one is made, and which twin it sends to.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby

import msgspec
import pytest

from destinations.metric_events import TIME, an_event, as_line
from metriclake.destinations import Batch, Destination, Record, Verdict
from metriclake.event import MetricEvent
from metriclake.testing import Drop, Status, Twin

SECRET = "hunter2-hunter2-hunter2-hunter2-hunter2"
HIDDEN = "a-value-of-a-customer"
EVENTS = [
    *(an_event(number, tenant_id=f"t{number % 3}", tenant_name=f"T {number % 3}") for number in range(1, 12)),
    an_event(20, metric="Über.all", severity="\U0001f600 \u0000 \"'<&", tenant_id="a+b@c|d=e~f"),
    an_event(21, severity=HIDDEN),
]
_ID = re.compile(r"[0-9a-f-]{1,36}")


class DestinationContract:
    """
    The behaviour of the seam. `twin` makes what it sends to, `destination` one that holds `SECRET` where it has any.
    """

    def twin(self) -> Twin | None:
        """
        Return a twin that is not started yet, None where nothing is sent anywhere.
        """
        return None

    def destination(self, twin: Twin | None) -> Destination:
        """
        Make the destination under test.
        """
        raise NotImplementedError

    @pytest.fixture
    def running(self) -> Iterator[Twin | None]:
        """
        Start the twin.
        """
        twin = self.twin()
        if twin is None:
            yield None
            return
        with twin:
            yield twin

    @pytest.fixture
    def made(self, running: Twin | None) -> Iterator[Destination]:
        """
        Make a destination, and close it in the end.
        """
        destination = self.destination(running)
        yield destination
        destination.close()

    def test_records_are_pure(self, made: Destination) -> None:
        """
        The same event makes the same records, before and after it lay in the lake, and is not changed by it.
        """
        for event in EVENTS:
            before = msgspec.json.encode(event)
            first = list(made.records(event))
            assert list(made.records(as_line(event))) == first
            assert msgspec.json.encode(event) == before

    def test_ids_are_of_identities(self, made: Destination) -> None:
        """
        A record's id is its event's and its kind's: no two have one, and another payload changes none.
        """
        records = [record for event in EVENTS for record in made.records(event)]
        other = an_event(1, tenant_id="t1", tenant_name="T 1", severity="low")

        assert all(_ID.fullmatch(record.id) for record in records)
        assert len({(record.kind, record.id) for record in records}) == len({record.id for record in records})
        assert len({record.id for record in records}) == len(records)
        assert [record.id for record in made.records(other)] == [record.id for record in made.records(EVENTS[0])]

    @pytest.mark.parametrize("change", ["tenant_id", "event_id", "metric", "time"])
    def test_each_part_of_an_identity_makes_another_id(self, made: Destination, change: str) -> None:
        """
        Tenant, metric, event id and event time are all in the id.
        """
        value = TIME.replace("000000Z", "000001Z") if change == "time" else "other"
        before = {record.id for record in made.records(an_event(1))}

        assert before
        assert not before & {record.id for record in made.records(an_event(1, **{change: value}))}

    def test_records_say_what_they_are_of(self, made: Destination) -> None:
        """
        Tenant, metric and time are the event's; kinds are those that capabilities has; slots stand where states are.
        """
        for event in EVENTS:
            for record in made.records(event):
                assert (record.tenant, record.metric) == (event.metadata["tenant_id"], event.metric_name)
                assert record.time == 1_772_366_400_000_000
                capabilities = made.capabilities[record.kind]
                assert (record.slot is not None) == capabilities.latest_only
                assert len(record.body) <= (capabilities.record_bytes or len(record.body))

    def test_a_receipt_is_as_long_as_its_batch(self, made: Destination) -> None:
        """
        Whatever was sent, each record has a fate: all of these are delivered.
        """
        for batch in batches(made, EVENTS):
            receipt = made.deliver(batch)
            assert [fate.verdict for fate in receipt.fates] == [Verdict.DELIVERED] * len(batch.records)
            assert not receipt.blocked

    def test_an_outage_is_no_fault_of_a_record(self, made: Destination, running: Twin | None) -> None:
        """
        Where nobody listens all are to be tried again, and the destination is blocked; afterwards they are taken.
        """
        if running is None:
            return
        running.away()
        for batch in batches(made, EVENTS):
            receipt = made.deliver(batch)
            assert receipt.blocked
            assert {fate.verdict for fate in receipt.fates} == {Verdict.RETRY}
            assert len(receipt.fates) == len(batch.records)
        running.back()
        for batch in batches(made, EVENTS):
            assert {fate.verdict for fate in made.deliver(batch).fates} == {Verdict.DELIVERED}

    @pytest.mark.parametrize("stored", [False, True])
    def test_a_request_without_an_answer_is_unknown(
        self, made: Destination, running: Twin | None, *, stored: bool
    ) -> None:
        """
        Who hung up may have taken the request: nobody says otherwise.
        """
        if running is None:
            return
        for batch in batches(made, EVENTS):
            with running.fail(Drop(stored=stored)):
                receipt = made.deliver(batch)
            assert {fate.verdict for fate in receipt.fates} == {Verdict.UNKNOWN}
            assert not receipt.blocked

    @pytest.mark.parametrize("status", [401, 403, 404])
    def test_a_refused_key_blocks(self, made: Destination, running: Twin | None, status: int) -> None:
        """
        A key that is refused, or a path that is not there, costs no record a try.
        """
        if running is None:
            return
        for batch in batches(made, EVENTS):
            with running.fail(status):
                receipt = made.deliver(batch)
            assert receipt.blocked
            assert {(fate.verdict, fate.reason) for fate in receipt.fates} == {(Verdict.RETRY, str(status))}

    @pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
    def test_a_passing_failure_is_tried_again(self, made: Destination, running: Twin | None, status: int) -> None:
        """
        What may pass is a failed try of each record; a 429 is none: it says how long to wait, or else it blocks.
        """
        if running is None:
            return
        for batch in batches(made, EVENTS):
            with running.fail(status):
                receipt = made.deliver(batch)
            assert {(fate.verdict, fate.reason) for fate in receipt.fates} == {(Verdict.RETRY, str(status))}
            assert receipt.blocked == (status == 429 and receipt.pause is None)

    def test_nothing_that_is_said_holds_a_secret_or_a_payload(self, made: Destination, running: Twin | None) -> None:
        """
        Neither a destination's text, nor its account, nor a receipt shows a key or a customer's value.
        """
        texts = [repr(made), str(made), made.account, repr(made.erasure), repr(made.capabilities)]
        texts += [repr(record) for event in EVENTS for record in made.records(event)]
        for status in (400, 401, 413, 429, 500):
            for batch in batches(made, EVENTS):
                if running is not None and any(HIDDEN.encode() in record.body for record in batch.records):
                    body = b'{"message": "bad: a-value-of-a-customer", "error": "a-value-of-a-customer is wrong"}'
                    running.heal()
                    running.fail(Status(status, body=body), times=1)
                texts.append(repr(made.deliver(batch)))
        said = "\n".join(texts)

        assert SECRET not in said
        assert HIDDEN not in said

    def test_erasure_says_how(self, made: Destination) -> None:
        """
        Whether or not it can delete, there is a sentence for who asks.
        """
        assert len(made.erasure.how) > 20


def batches(made: Destination, events: list[MetricEvent]) -> Iterator[Batch]:
    """
    Yield the events' records in batches by kind, of as many as its capabilities say, each state once.
    """
    records = [record for event in events for record in made.records(event)]
    for kind, some in groupby(sorted(records, key=lambda record: record.kind), key=lambda record: record.kind):
        least = list(_latest(list(some)))
        most = made.capabilities[kind].records
        for start in range(0, len(least), most):
            yield Batch(kind, least[start : start + most])


def _latest(records: list[Record]) -> Iterator[Record]:
    slots = {record.slot: record for record in records}
    for record in records:
        if record.slot is None or slots[record.slot] is record:
            yield record
