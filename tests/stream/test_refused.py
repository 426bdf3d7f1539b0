"""
What was refused, read by way of the manifests, and sent again: once, whatever happens on the way.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from metriclake._errors import JournalFull, LakeError
from metriclake.books import STORE
from metriclake.entry import Entry, EntryKind, Span, Which
from metriclake.journal import SqliteJournal
from metriclake.stream import Lake, Limits, NoDirectory, Plan, Refusals, StreamWorker, Terms
from metriclake.stream.compose import kind_of
from metriclake.stream.refused import Group, Record, Sent
from stream.plans import event, events, lines, metric, plan

HOUR = 3_600_000_000
NOON = 1_769_860_800_000_000
LAX = replace(plan(2), types={})
"""The plan after a fix: `size` may be of any type."""


def work(journal: SqliteJournal, lake: Lake, used: Plan | None = None) -> None:
    """
    Do what a server does of all that waits, an entry a batch.
    """
    worker = StreamWorker(journal, lake, NoDirectory(), lambda _version: used or plan(), lambda: Limits(600, 1))
    worker.start()
    worker.stop()
    assert worker.failure is None


def posted(*records: dict[str, Any], arrived_at: int) -> Entry:
    """
    Return an entry of metric events of acme.
    """
    return Entry(EntryKind.METRICS, arrived_at, len(records), lines(*records), {("acme", "posted"): len(records)})


@pytest.fixture
def lake(tmp_path: Path, journal: SqliteJournal) -> Lake:
    """
    Fill a lake with three batches, an hour apart: what passes, and five records that are refused.
    """
    made = Lake(tmp_path / "lake")
    for entry in (
        events(event("1"), event("2", {"size": "x"}), event("3", {"size": "x", "urgent": True}), arrived_at=NOON),
        posted(metric("4"), metric("5", {"n": []}), arrived_at=NOON + HOUR),
        events(event("6", {"tenant_id": None, "urgent": True}), arrived_at=NOON + 2 * HOUR),
    ):
        journal.append(entry).result(30)
    work(journal, made)
    return made


def groups(refusals: Refusals, which: Which | None = None) -> dict[tuple[str, str, str], tuple[int, int]]:
    """
    Return the counts of refused and retried records, put together of the smallest slices.
    """
    found: Counter[tuple[str, str, str]] = Counter()
    sent: Counter[tuple[str, str, str]] = Counter()
    after = "-"
    while after:
        answer = refusals.groups(which or Which(), after.strip("-"), lambda: True)
        for group in answer.groups:
            found[group.reason, group.tenant, group.metric] += group.records
            sent[group.reason, group.tenant, group.metric] += group.retried
        after = answer.next
    return {key: (found[key], sent[key]) for key in found}


def shown(refusals: Refusals, which: Which | None = None, limit: int = 1000) -> list[Record]:
    """
    Return refused records, put together of pages of one.
    """
    found: list[Record] = []
    after = "-"
    while after and len(found) < limit:
        answer = refusals.records(which or Which(), after.strip("-"), 1, lambda: True)
        found += answer.records
        after = answer.next
    return found


def retry(
    refusals: Refusals,
    which: Which | None = None,
    terms: Terms | None = None,
    enough: Callable[[], bool] = lambda: True,
) -> Sent:
    """
    Send again, slice by slice.
    """
    whole = Sent()
    used = terms or Terms()
    after = "-"
    while after:
        part = refusals.retry(which or Which(), after.strip("-"), used, enough)
        whole.records += part.records
        whole.already += part.already
        whole.sent += part.sent
        used.as_of, after = part.as_of, part.next
    return whole


def ids(records: Iterable[Record]) -> list[str]:
    """
    Return the ids in the raw records.
    """
    found = [json.loads(record.raw) for record in records]
    return [one.get("id") or one["metadata"]["event_id"] for one in found]


def test_groups_count_by_reason_tenant_and_metric(journal: SqliteJournal, lake: Lake) -> None:
    """
    Each refused record is counted once, with the newest arrival.
    """
    refusals = Refusals(lake, journal)

    assert groups(refusals) == {
        ("type-mismatch", "acme", "uploads"): (2, 0),
        ("invalid-measure", "acme", "posted"): (1, 0),
        ("missing-tenant", "(none)", "uploads"): (1, 0),
        ("missing-tenant", "(none)", "urgent"): (1, 0),
    }
    whole = refusals.groups(Which(reason="missing-tenant"), "", lambda: False)
    assert whole.groups[0] == Group("missing-tenant", "(none)", "uploads", 1, 0, "2026-01-31T14:00:00.000Z")


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        (Which(), ["6", "6", "5", "2", "3"]),
        (Which(reason="type-mismatch"), ["2", "3"]),
        (Which(tenant="(none)"), ["6", "6"]),
        (Which(reason="type-mismatch", tenant="globex"), []),
        (Which(span=Span(NOON + HOUR)), ["6", "6", "5"]),
        (Which(span=Span(None, NOON + HOUR)), ["2", "3"]),
        (Which(span=Span(NOON + HOUR, NOON + 2 * HOUR)), ["5"]),
    ],
    ids=str,
)
def test_records_are_shown_newest_batch_first(
    journal: SqliteJournal, lake: Lake, which: Which, expected: list[str]
) -> None:
    """
    Filters pick by reason, tenant and arrival; a page has what its limit says.
    """
    refusals = Refusals(lake, journal)

    assert ids(shown(refusals, which)) == expected
    assert ids(refusals.records(which, "", 1000, lambda: False).records) == expected
    assert ids(shown(refusals, which, limit=1)) == expected[:1]


def test_record_is_shown_as_it_was_sent(journal: SqliteJournal, lake: Lake) -> None:
    """
    Why, whose, where, and the raw record.
    """
    (found,) = shown(Refusals(lake, journal), Which(reason="invalid-measure"))

    assert (found.tenant, found.metric, found.kind, found.line) == ("acme", "posted", "metrics", 1)
    assert (found.arrived_at, found.retried) == ("2026-01-31T13:00:00.000Z", False)
    assert found.object.startswith("Error/invalid-measure/2026/01/31/13/")
    assert json.loads(found.raw) == metric("5", {"n": []})


def test_retry_after_a_fix_brings_everything_through(journal: SqliteJournal, lake: Lake) -> None:
    """
    What the fixed pipeline takes is laked, what it still refuses lies in Error anew, and the books balance.
    """
    sent = retry(Refusals(lake, journal))
    before = journal.books(STORE)
    work(journal, lake, LAX)
    after = {(one.tenant, one.metric): one for one in journal.books(STORE).accounts}

    assert (sent.records, sent.already, sent.sent) == (5, 0, 4)
    assert before.domain_events.in_flight == 3
    assert journal.books(STORE).balanced
    assert (after["acme", "uploads"].laked, after["acme", "uploads"].rejected) == (3, 2)
    assert (after["acme", "posted"].received, after["acme", "posted"].rejected) == (3, 2)
    assert (after["(none)", "uploads"].received, after["(none)", "uploads"].rejected) == (2, 2)


def test_second_retry_sends_nothing_but_when_told(journal: SqliteJournal, lake: Lake) -> None:
    """
    What an earlier retry has sent is left alone, and said; `again` sends it.
    """
    refusals = Refusals(lake, journal)
    retry(refusals, Which(reason="type-mismatch"))
    dry = retry(refusals, terms=Terms(dry_run=True))
    second = retry(refusals)
    third = retry(refusals)
    again = retry(refusals, terms=Terms(again=True))

    assert (dry.records, dry.already, dry.sent) == (5, 2, 2)
    assert (second.records, second.already, second.sent) == (5, 2, 2)
    assert (third.records, third.already, third.sent) == (5, 5, 0)
    assert (again.records, again.already, again.sent) == (5, 5, 4)
    assert all(record.retried for record in shown(refusals))
    assert groups(refusals)["type-mismatch", "acme", "uploads"] == (2, 2)


def test_retry_of_some_lines_leaves_the_others(journal: SqliteJournal, lake: Lake) -> None:
    """
    A filter within an object marks only its own lines.
    """
    arrivals = [
        events(event("7", {"size": "x"}), event("8", {"size": "x", "tenant_id": "globex"}), arrived_at=NOON + 3 * HOUR)
    ]
    journal.append(arrivals[0]).result(30)
    work(journal, lake)
    refusals = Refusals(lake, journal)
    only = Which(span=Span(NOON + 3 * HOUR))
    retry(refusals, replace(only, tenant="globex"))

    assert {record.tenant: record.retried for record in shown(refusals, only) if record.metric == "uploads"} == {
        "acme": False,
        "globex": True,
    }
    assert retry(refusals, only).already == 1


def test_what_comes_back_is_not_sent_by_the_same_retry(journal: SqliteJournal, lake: Lake) -> None:
    """
    Without a fix the records are refused again while the retry runs: it ends all the same.
    """
    refusals = Refusals(lake, journal)
    part = refusals.retry(Which(), "", Terms(), lambda: True)
    work(journal, lake)
    rest = retry(refusals, terms=Terms(as_of=part.as_of))

    assert part.next
    assert part.sent + rest.sent == 4
    assert sum(count for count, _ in groups(refusals).values()) > 5


def test_retry_that_dies_goes_on(journal: SqliteJournal, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A retry that fails at any batch has sent what it has remembered: the next one sends the rest, once.
    """
    refusals = Refusals(lake, journal)
    real = journal.retry
    calls = []

    def failing(*arguments: Any) -> None:
        calls.append(arguments)
        if len(calls) == 2:
            raise OSError("pulled")
        real(*arguments)

    monkeypatch.setattr(journal, "retry", failing)
    with pytest.raises(OSError, match="pulled"):
        retry(refusals, enough=lambda: False)
    second = retry(refusals)

    assert (second.already, second.sent) == (2, 2)
    assert sum(info.size > 0 for info in journal.pending(0, 0)) == 3
    assert journal.books(STORE).domain_events.in_flight == 3


def test_full_journal_ends_a_slice(journal: SqliteJournal, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Above the quota a slice ends where it is; one that cannot even begin says so.
    """
    refusals = Refusals(lake, journal)
    real = journal.retry
    full = iter((False, True, True, False, False))

    def filling(*arguments: Any) -> None:
        if next(full):
            raise JournalFull("full")
        real(*arguments)

    monkeypatch.setattr(journal, "retry", filling)
    first = refusals.retry(Which(), "", Terms(), lambda: False)
    with pytest.raises(JournalFull):
        refusals.retry(Which(), first.next, Terms(as_of=first.as_of), lambda: False)
    rest = refusals.retry(Which(), first.next, Terms(as_of=first.as_of), lambda: False)

    assert (first.sent, rest.sent, rest.already, rest.next) == (2, 2, 0, "")


def test_error_objects_of_earlier_versions_are_understood(journal: SqliteJournal, lake: Lake) -> None:
    """
    A record that does not say what it is, is told by its keys.
    """
    assert kind_of(lines(event("1"))) is EntryKind.EVENTS
    assert kind_of(lines(metric("1", {"n": 1}))) is EntryKind.METRICS
    assert kind_of(b'{"metric_name":"m","metadata":{},"data":{"x":1e999}}') is EntryKind.METRICS
    path = next(path for path in lake.walk("Error/invalid-measure/"))
    records = [msgspec.json.decode(line) for line in lake.get(path).splitlines()]
    (lake.root / path).unlink()
    lake.put(path, lines(*({k: v for k, v in one.items() if k != "entryKind"} for one in records)))

    assert [one.kind for one in shown(Refusals(lake, journal), Which(reason="invalid-measure"))] == ["metrics"]
    assert retry(Refusals(lake, journal), Which(reason="invalid-measure")).sent == 1
    assert [entry.kind for entry in journal.read(0, 0, 100)] == [EntryKind.METRICS]


def test_missing_error_object_is_said(journal: SqliteJournal, lake: Lake) -> None:
    """
    Where an object is gone nothing is passed over in silence.
    """
    path = next(path for path in lake.walk("Error/"))
    (lake.root / path).unlink()

    with pytest.raises(LakeError, match=path):
        groups(Refusals(lake, journal))
