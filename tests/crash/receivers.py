"""
Twins of all services behind one pipeline file, each failing in each of its ways, and the equation that must hold.

Every metric event is, at each destination, in exactly one of delivered, dead (with a reason) and not mapped; the twin
has what the books call delivered, once.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec

from crash.process import Process
from metriclake.testing import (
    Drop,
    EventDefinition,
    Failure,
    HubSpotTwin,
    Keep,
    MixpanelTwin,
    Order,
    Refuse,
    SegmentTwin,
    Slow,
    Status,
    Twin,
    WebhookTwin,
)

TENANTS = [f"t{number}" for number in range(10)]
REFUSED_TENANT, UNKNOWN_TENANT = "t7", "t9"
"""One that HubSpot refuses as a company, and one that it does not have when events come."""
TIMEOUT_SECONDS = 1
TOO_LONG, ODD, OTHER = 97, 89, 10
"""One event in so many has a long text, a property that no service takes, or a metric that goes nowhere."""
ALONE = {"413", "not-written"}
"""Reasons for which a record is a dead letter where its batch, which is refused whole, has no other."""

_PATIENCE_SECONDS = 60.0
_AT_ONCE = 1000
_COPIES = 20
_KEEP = Keep(records=1_000_000, requests=10_000, identities=2_000_000)
_BEGIN = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
_PIPELINE = """
tenants: {file: tenants.yaml}
stream: {buffer: {seconds: 0.1, megabytes: 5}}
metrics:
  jobs:
    bus: jobs
    pattern: {source: [jobs], detail-type: [done]}
    metadata: {tenant_id: $.detail.tenant_id, odd: $.detail.odd}
    data: {event_time: $.time, number: $.detail.number, note: {path: $.detail.note, type: string}}
  others:
    bus: jobs
    pattern: {source: [jobs], detail-type: [other]}
    metadata: {tenant_id: $.detail.tenant_id}
    data: {event_time: $.time, number: $.detail.number}
"""
_COMMON = (
    Status(503), Status(429), Status(401),
    Drop(), Drop(stored=True), Drop(stored=True, partly=True), Status(504, stored=True), Slow(1.5 * TIMEOUT_SECONDS),
)  # fmt: skip
_BATCHED = (*_COMMON, Status(413), Status(429, {"Retry-After": "1"}))
_NOTHING_WRITTEN = Status(200, {"Content-Type": "application/json"}, b'{"status":"COMPLETE","results":[]}')


def body(numbers: Iterable[int]) -> bytes:
    """
    Return events by their numbers: the same each time. Later numbers do not have later times.
    """
    return b"\n".join(msgspec.json.encode(_event(number)) for number in numbers)


def is_other(number: int) -> bool:
    """
    Tell whether an event is of the metric that goes nowhere.
    """
    return number % OTHER == 3


def tenant_of(number: int) -> str:
    """
    Return the tenant of an event.
    """
    return TENANTS[number // OTHER % len(TENANTS)]


def when(number: int) -> datetime:
    """
    Return the time of an event; no two have the same.
    """
    return _BEGIN + timedelta(milliseconds=(number * 7_919) % 1_000_003)


def too_long(number: int) -> bool:
    """
    Tell whether an event has a text that is too long for some, and that Segment gets in so many properties.
    """
    return number % TOO_LONG == 11


def odd(number: int) -> bool:
    """
    Tell whether an event has the property that no service takes.
    """
    return number % ODD == 5


def _event(number: int) -> dict[str, Any]:
    detail: dict[str, Any] = {"tenant_id": tenant_of(number), "number": number}
    if too_long(number):
        detail["note"] = "x" * 2_000
    if odd(number):
        detail["odd"] = "yes"
    return {
        "id": f"e{number}",
        "source": "jobs",
        "detail-type": "other" if is_other(number) else "done",
        "bus": "jobs",
        "time": when(number).isoformat().replace("+00:00", "Z"),
        "detail": detail,
    }


@dataclass
class Receiver:
    """
    A twin, what the file says of it, how it fails, and which events it has or has left out without a word.

    `dead` says which events must be dead letters there, whatever else happens; with `doubles`, others may be, as what
    may have been taken.
    """

    name: str
    twin: Twin
    spec: dict[str, Any]
    failures: Sequence[Failure]
    dead: Callable[[int], bool]
    number: Callable[[Any], int | None]
    doubles: bool = False
    states: bool = False
    met: Counter[str] = field(default_factory=Counter)

    @property
    def taken(self) -> Counter[int]:
        """
        Return how often each event is there.
        """
        return Counter(found for record in self._records() if (found := self.number(record)) is not None)

    @property
    def silent(self) -> set[int]:
        """
        Return the events that were left out although the answer was a success.
        """
        return {found for one in self.twin.debugger if (found := self.number(one.record)) is not None}

    def _records(self) -> Iterable[Any]:
        """
        Return the records that are there; of batched webhooks, each payload once, by its id.
        """
        if not isinstance(self.twin, WebhookTwin):
            return self.twin.records
        payloads = (one for record in self.twin.records for one in (record if isinstance(record, list) else [record]))
        return {payload["data"]["id"]: payload for payload in payloads}.values()

    def fail_in_turn(self, stop: threading.Event, *, again: bool) -> None:
        """
        Fail in each way, each time after a success, then be away; `again` and again, or once.
        """
        while True:
            for failure in (*self.failures, None):
                if stop.is_set():
                    return
                if failure is None:
                    self.twin.away()
                    stop.wait(0.5)
                    self.twin.back()
                    self.met["away"] += 1
                else:
                    order = self.twin.fail(failure, times=1)
                    _wait(order, stop)
                    self.met[str(failure)] += order.happened
                before = self._answered()
                while self._answered() == before and not stop.wait(0.01):
                    pass
            if not again:
                return

    def _answered(self) -> int:
        counts = self.twin.counts
        return counts.taken + counts.repeated + counts.rejected


@dataclass
class Receivers:
    """
    All of them.
    """

    all: list[Receiver]
    companies: HubSpotTwin

    def write(self, folder: Path) -> None:
        """
        Write the pipeline file.
        """
        tenants = {tenant: {"name": tenant.upper()} for tenant in TENANTS}
        (folder / "tenants.yaml").write_text(json.dumps(tenants), encoding="utf-8")
        destinations = json.dumps({one.name: one.spec for one in self.all})
        (folder / "metriclake.yaml").write_text(f"{_PIPELINE}destinations: {destinations}\n", encoding="utf-8")

    @contextmanager
    def failing(self, *, again: bool) -> Iterator[list[threading.Thread]]:
        """
        Have all fail, each in a thread of its own, while a `with` block lasts; heal them at its end.
        """
        stop = threading.Event()
        threads = [
            threading.Thread(target=one.fail_in_turn, args=(stop,), kwargs={"again": again}, name=one.name)
            for one in self.all
        ]
        for thread in threads:
            thread.start()
        try:
            yield threads
        finally:
            stop.set()
            for thread in threads:
                thread.join()
            for one in self.all:
                one.twin.heal()
                _refuse(one.twin)

    def settled(self, process: Process, client: httpx.Client, seconds: float = _PATIENCE_SECONDS) -> dict[str, Any]:
        """
        Return the status once nothing waits anywhere.
        """
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            status = process.status(client)
            rows = status["books"]
            waiting = sum(row["in_flight"] + row["store"]["waiting"] for row in rows)
            waiting += sum(counters["waiting"] for row in rows for counters in row["destinations"].values())
            if rows and status["domain_events"]["in_flight"] + waiting == 0:
                return status
            time.sleep(0.1)
        message = f"events still wait: {status['stages']} {status['failures']}"
        raise TimeoutError(message)

    def check(self, process: Process, client: httpx.Client, status: dict[str, Any], sent: int) -> Counter[str]:
        """
        Compare what the books, the dead letters and the twins say of the events 0 to `sent`; returns counts to report.
        """
        assert status["balanced"]
        expected = {number for number in range(sent) if not is_other(number)}
        report: Counter[str] = Counter()
        for one in self.all:
            letters = list(_letters(process, client, one.name))
            _check_books(one.name, status, letters)
            dead = {json.loads(letter["event"])["data"]["number"]: letter["reason"] for letter in letters}
            must = {number for number in expected if one.dead(number)}
            assert must <= dead.keys(), (one.name, sorted(must - dead.keys())[:5])
            assert all(dead.values())
            unsure = {number for number, reason in dead.items() if number not in must}
            wrong = {dead[number] for number in unsure} - ALONE - ({"unknown-outcome"} if one.doubles else set())
            assert not wrong, (one.name, wrong)
            report[f"{one.name}: dead"] = len(must)
            report.update(f"{one.name}: {dead[number]}" for number in unsure)
            if one.states:
                again = {json.loads(one["event"])["data"]["number"] for one in letters if len(one["attempts"]) > 1}
                self._check_states(expected - dead.keys(), unsure & again)
                continue
            taken, delivered = one.taken, expected - dead.keys()
            twice = [number for number, times in taken.items() if times > 1]
            assert not twice, (one.name, twice[:5])
            lost = delivered - taken.keys() - one.silent
            assert not lost, (one.name, sorted(lost)[:5])
            strange = taken.keys() - delivered - unsure
            assert not strange, (one.name, sorted(strange)[:5])
            report[f"{one.name}: there"] = len(taken)
        return report

    def _check_states(self, delivered: set[int], unsure: set[int]) -> None:
        """
        Compare each company with the newest event of its tenant that is not dead; one that died later may be there too.
        """
        newest: dict[str, int] = {}
        for number in sorted(delivered, key=when):
            newest[tenant_of(number)] = number
        there = {one["tenant_id"]: one["last_number"] for one in self.companies.objects("companies")}
        found = {tenant: there.get(tenant) for tenant in newest.keys() | there.keys()}
        maybe = {(tenant_of(number), str(number)) for number in unsure}
        wrong = {
            tenant: (has, newest.get(tenant))
            for tenant, has in found.items()
            if has != str(newest.get(tenant)) and (tenant, has) not in maybe
        }
        assert not wrong, wrong


def _check_books(name: str, status: dict[str, Any], letters: Sequence[dict[str, Any]]) -> None:
    """
    Compare the books of a destination with its dead letters, for each tenant and metric.
    """
    events = {(one["tenant"], one["metric"], one["object"], one["line"]) for one in letters if one["counted"]}
    dead = Counter((tenant, metric) for tenant, metric, _, _ in events)
    for row in status["books"]:
        counters = row["destinations"][name]
        account = (row["tenant"], row["metric"])
        elsewhere = row["laked"] if row["metric"] == "others" else 0
        assert counters == {
            "delivered": row["laked"] - elsewhere - dead[account],
            "dead": dead[account],
            "waiting": 0,
            "not_mapped": elsewhere,
        }, (name, account)


def _letters(process: Process, client: httpx.Client, name: str) -> Iterator[dict[str, Any]]:
    after = 0
    while True:
        params = {"destination": name, "after": str(after), "limit": str(_AT_ONCE)}
        headers = {"Authorization": f"Bearer {process.keys.admin}"}
        answer = client.get("/v1/admin/deadletters/records", params=params, headers=headers).raise_for_status().json()
        yield from answer["letters"]
        after = answer["next"]
        if not after:
            return


@contextmanager
def receivers(folder: Path, webhooks: int = 1) -> Iterator[Receivers]:
    """
    Start all twins, and write the pipeline file that sends to them; so many webhooks go in a request.
    """
    with ExitStack() as opened:
        segment = opened.enter_context(SegmentTwin(keep=_KEEP))
        mixpanel = opened.enter_context(MixpanelTwin(group_keys=["tenant_id"], keep=_KEEP))
        companies = opened.enter_context(HubSpotTwin(keep=_KEEP))
        occurrences = opened.enter_context(HubSpotTwin(keep=_KEEP))
        hook = opened.enter_context(WebhookTwin(keep=_KEEP))
        _prepare(companies, occurrences)
        for twin in (segment, mixpanel, companies, occurrences, hook):
            _refuse(twin)
        all_of_it = {"number": "data.number", "note": "data.note", "odd": "metadata.odd"}
        jobs = {"metrics": {"jobs": {"properties": all_of_it}}}
        more = {f"note{copy}": "data.note" for copy in range(_COPIES)}
        large = {"metrics": {"jobs": {"properties": {**all_of_it, **more}}}}
        last = {"metrics": {"jobs": {"properties": {"last_number": "data.number"}}}}
        about = {"start": "beginning", "timeout": f"{TIMEOUT_SECONDS}s"}
        crm = {"type": "hubspot", "requests_per_ten_seconds": 190, **about}
        found = [
            Receiver(
                "segment", segment, {"write_key": "key", "url": segment.url, **about, **large},
                _BATCHED, too_long, _of_call,
            ),
            Receiver(
                "mixpanel", mixpanel, {"token": "token", "url": mixpanel.url, **about, **jobs},
                _BATCHED, odd, _of_call,
            ),
            Receiver(
                "companies", companies, {**crm, "token": "one", "url": companies.url, **last},
                (*_BATCHED, _NOTHING_WRITTEN), lambda number: tenant_of(number) == REFUSED_TENANT, _of_company,
                states=True,
            ),
            Receiver(
                "occurrences", occurrences,
                {**crm, "token": "two", "url": occurrences.url, **jobs,
                 "events": {"hub_id": 1234567, "match": "tenant_id"}},
                _BATCHED, lambda number: too_long(number) or odd(number), _of_occurrence, doubles=True,
            ),
            Receiver(
                "hook", hook,
                {"type": "webhook", "url": f"{hook.url}/hooks", "secrets": [hook.secret], "allow_private": True,
                 "batch": webhooks, **about, **jobs},
                _COMMON, odd, _of_payload,
            ),
        ]  # fmt: skip
        everything = Receivers(found, companies)
        everything.write(folder)
        yield everything


def _prepare(companies: HubSpotTwin, occurrences: HubSpotTwin) -> None:
    """
    Do what an administrator of HubSpot does first.
    """
    companies.create_property("companies", "tenant_id", unique=True)
    companies.create_property("companies", "last_number")
    occurrences.create_property("companies", "tenant_id", unique=True)
    occurrences.define(EventDefinition("jobs", "companies", ("number", "note"), ("tenant_id", "tenant_id")))
    known = [
        {"idProperty": "tenant_id", "id": tenant, "properties": {}} for tenant in TENANTS if tenant != UNKNOWN_TENANT
    ]
    httpx.post(
        f"{occurrences.url}/crm/v3/objects/companies/batch/upsert",
        json={"inputs": known},
        headers={"Authorization": "Bearer two"},
    ).raise_for_status()


def _refuse(twin: Twin) -> None:
    """
    Have a service refuse some records, for as long as nothing heals it.
    """
    refused: Callable[[Any], bool] = _is_odd
    if isinstance(twin, HubSpotTwin):
        refused = _is_refused_company
    twin.fail(Refuse(refused, "no such property"))


def _is_odd(record: Any) -> bool:
    payloads = record if isinstance(record, list) else [record]
    return any("odd" in payload.get("data", payload).get("properties", {}) for payload in payloads)


def _is_refused_company(record: Any) -> bool:
    return bool(record.get("id") == REFUSED_TENANT)


def _of_call(record: Any) -> int | None:
    number = record.get("properties", {}).get("number")
    return None if number is None else int(number)


def _of_company(_record: Any) -> int | None:
    return None


def _of_occurrence(record: Any) -> int | None:
    return int(record["properties"]["number"]) if "eventName" in record else None


def _of_payload(record: Any) -> int | None:
    return int(record["data"]["properties"]["number"]) if isinstance(record, dict) else None


def _wait(order: Order, stop: threading.Event) -> None:
    """
    Wait until a request has met an order, or `stop` is set.
    """
    while not order.happened and not stop.wait(0.01):
        pass
