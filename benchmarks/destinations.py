"""
Measure delivery to twins of all services: records a second, and what a record takes of the processor.

Each destination alone takes the same lake objects apart, sends them over HTTP on this machine to a twin in another
process, notes every answer in a journal on the disk, and counts. What the twin takes counts in the records a second, as
both compete for the machine, and not in the processor's time. HubSpot's companies coalesce: of many events a tenant's
newest is sent. Figures of one run on one machine: compare ratios, not runs.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, cast

import httpx
import msgspec

from metriclake.books import Delta
from metriclake.destinations.budget import Account
from metriclake.destinations.delivery import Delivery
from metriclake.destinations.kinds import destination_of
from metriclake.destinations.objects import Announced
from metriclake.destinations.sending import Sender
from metriclake.destinations.tries import Retrying
from metriclake.entry import Announcement, Manifest
from metriclake.journal import SqliteJournal
from metriclake.pipeline.destination_specs import KINDS
from metriclake.testing import (
    EventDefinition,
    HubSpotTwin,
    Keep,
    MixpanelTwin,
    SegmentTwin,
    Twin,
    WebhookTwin,
)

RESULTS = Path(__file__).parent / "results" / "destinations.json"
TENANTS = 100
PER_OBJECT = 10_000
SECRET = "whsec_" + "A" * 40
_KEEP = Keep(records=1, requests=1)
_BEGIN = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)


def twin_of(kind: str) -> Twin:
    """
    Make the twin of a destination.
    """
    if kind == "segment":
        return SegmentTwin(keep=_KEEP)
    if kind == "mixpanel":
        return MixpanelTwin(keep=_KEEP)
    if kind.startswith("hubspot"):
        twin = HubSpotTwin(keep=_KEEP)
        twin.create_property("companies", "tenant_id", unique=True)
        twin.create_property("companies", "number")
        twin.define(EventDefinition("jobs", "companies", matching=("tenant_id", "tenant_id")))
        return twin
    return WebhookTwin([SECRET], keep=_KEEP)


def serve(kind: str, pipe: Connection) -> None:
    """
    Run a twin until the other end has heard enough.
    """
    with twin_of(kind) as twin:
        pipe.send(twin.url)
        pipe.recv()
        counts = twin.counts
        pipe.send((counts.requests, counts.taken))


@contextmanager
def served(kind: str) -> Iterator[tuple[str, Connection]]:
    """
    Run a twin in a process of its own.
    """
    here, there = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(kind, there))
    process.start()
    try:
        yield here.recv(), here
    finally:
        process.terminate()
        process.join()


def settings(kind: str, url: str) -> dict[str, Any]:
    """
    Return what the pipeline file would say.
    """
    crm = {"token": "t", "url": url, "requests_per_ten_seconds": 190}
    jobs = {"metrics": {"jobs": {"properties": {"number": "data.number"}}}}
    found: dict[str, dict[str, Any]] = {
        "segment": {"write_key": "key", "url": url},
        "mixpanel": {"token": "token", "url": url},
        "hubspot companies": {**crm, **jobs},
        "hubspot events": {**crm, **jobs, "events": {"hub_id": 1234567, "match": "tenant_id"}},
        "webhook": {"url": f"{url}/h", "secrets": [SECRET], "allow_private": True},
        "webhook, 100 at once": {"url": f"{url}/h", "secrets": [SECRET], "allow_private": True, "batch": 100},
    }
    return found[kind]


def announced(number: int, count: int) -> Announced:
    """
    Return a lake object of metric events.
    """
    first = (number - 1) * PER_OBJECT
    lines, counts = [], Counter[tuple[str, str]]()
    for index in range(first, first + count):
        tenant = f"tenant-{index % TENANTS}"
        when = (_BEGIN + timedelta(milliseconds=index)).isoformat().replace("+00:00", "Z")
        metadata = {"tenant_id": tenant, "event_id": f"e{index}", "outcome": "done", "tenant_name": tenant.upper()}
        data = {"event_time": when, "number": index, "seconds": index / 7}
        lines.append(msgspec.json.encode({"metric_name": "jobs", "metadata": metadata, "data": data}))
        counts[tenant, "jobs"] += 1
    announcement = Announcement(number, f"o{number}", f"m{number}", count, 0, 0, 1, dict(counts))
    return Announced(announcement, _MANIFEST, b"\n".join(lines))


_MANIFEST = cast("Manifest", None)
"""A delivery does not look at it."""


def measure(kind: str, records: int, folder: Path) -> dict[str, Any]:
    """
    Deliver so many metric events; the time and the processor's are of that alone.
    """
    objects = [
        announced(number + 1, min(PER_OBJECT, records - number * PER_OBJECT))
        for number in range(-(-records // PER_OBJECT))
    ]
    with served(kind) as (url, pipe):
        type_ = kind.partition(" ")[0].rstrip(",")
        if kind == "hubspot events":
            known = [{"idProperty": "tenant_id", "id": f"tenant-{n}", "properties": {}} for n in range(TENANTS)]
            path = f"{url}/crm/v3/objects/companies/batch/upsert"
            httpx.post(path, json={"inputs": known}, headers={"Authorization": "Bearer t"}).raise_for_status()
        spec = msgspec.convert(settings(kind, url), KINDS[type_])
        destination = destination_of(type_, spec, folder)
        journal = SqliteJournal(folder / f"{kind}.db", 1 << 30)
        sender = Sender(destination, journal.deliveries, Account(time.monotonic), Retrying())
        delivery = Delivery(destination, sender, journal.deliveries)
        ended: Counter[str] = Counter()
        began, computed = time.perf_counter(), time.process_time()
        for one in objects:
            (outcome,) = delivery.take([one])
            deltas = [
                Delta(type_, *account, counter, amount)
                for counter, counts in outcome.counters.items() for account, amount in counts.items()
            ]  # fmt: skip
            journal.advance(type_, one.announcement, deltas, outcome.letters)
            ended.update({delta.counter: 0 for delta in deltas})
            for delta in deltas:
                ended[delta.counter] += delta.amount
        seconds, computed = time.perf_counter() - began, time.process_time() - computed
        pipe.send(None)
        requests, _ = pipe.recv()
        sender.close()
        journal.close()
        destination.close()
    if ended != {"delivered": records}:
        raise RuntimeError(f"{kind}: not all were delivered: {dict(ended)}")
    return {
        "destination": kind,
        "events": records,
        "requests": requests,
        "events_per_second": round(records / seconds),
        "cpu_microseconds_per_event": round(computed / records * 1_000_000, 1),
    }


def main() -> None:
    """
    Measure all, print, keep.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    asked = parser.parse_args()
    kinds = ("segment", "mixpanel", "hubspot companies", "hubspot events", "webhook", "webhook, 100 at once")
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for kind in kinds:
            records = asked.events // 10 if kind == "webhook" else asked.events
            found.append(measure(kind, records, Path(folder)))
            print(json.dumps(found[-1]), flush=True)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
