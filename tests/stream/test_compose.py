"""
What a sealed range becomes: each line and each metric event in exactly one place, and always the same bytes.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metriclake.entry import EntryKind, Seal, StoredEntry
from metriclake.event import DropReason
from metriclake.pipeline import MetricSpec
from metriclake.prefix import layout
from metriclake.rules import MetricInput, Pattern, Rule, RuleSet
from metriclake.stream.compose import (
    Answers,
    Composed,
    Plan,
    compose,
    describe,
    recount,
    sort,
    tenants,
)
from metriclake.tiers import Stay, Tiers
from stream.plans import DAY, SEALED_AT, event, lines, metric, plan

SEAL = Seal("0123abcd", 0, 7, 1, 9, SEALED_AT - 1_000_000, SEALED_AT, 1)
KNOWN: Answers = {"acme": {"name": "Acme"}, "globex": None}

EVENT_LINES = st.sampled_from(
    [
        lines(event("1")),
        lines(event("2", {"urgent": True})),
        lines(event("3", {"tenant_id": "globex"})),
        lines(event("4", {"tenant_id": None})),
        lines(event("5", {"size": "three"})),
        lines(event("6", source="other")),
        lines(event("7", {"tenant_id": 42, "urgent": True, "size": 1.5})),
        b'{"id":"8","source":"findings","detail-type":"uploaded","detail":{"n":1e999}}\n',
        lines({**event("9"), "time": "1971-01-01T00:00:00Z"}),
    ]
)
METRIC_LINES = st.sampled_from(
    [
        lines(metric("1")),
        lines(metric("2", {"x": 1})),
        lines(metric("3", {"x": []})),
        lines(metric("4", tenant="a/b")),
        lines(metric("5", tenant="globex")),
    ]
)
ENTRIES = st.lists(
    st.one_of(
        st.tuples(st.just(EntryKind.EVENTS), st.lists(EVENT_LINES, min_size=1, max_size=6)),
        st.tuples(st.just(EntryKind.METRICS), st.lists(METRIC_LINES, min_size=1, max_size=6)),
    ),
    min_size=1, max_size=5,
)  # fmt: skip


def stored(*bodies: tuple[EntryKind, list[bytes]]) -> list[StoredEntry]:
    """
    Return entries as the journal gives them.
    """
    return [
        StoredEntry(offset, kind, SEALED_AT, len(body), b"".join(body)) for offset, (kind, body) in enumerate(bodies, 1)
    ]


def composed(entries: list[StoredEntry], answers: Answers = KNOWN, of: Plan | None = None) -> Composed:
    """
    Do all that a worker does of a sealed range.
    """
    used = of or plan()
    return compose(sort(entries, SEAL, used), entries, SEAL, used, answers)


def below(made: Composed, prefix: str) -> list[dict[str, Any]]:
    """
    Return the records of the objects below a prefix.
    """
    found = [content.lines for content in made.contents if content.about.path.startswith(f"{prefix}/")]
    return [json.loads(line) for text in found for line in text.splitlines()]


@given(ENTRIES, st.booleans())
@settings(deadline=None)
def test_everything_ends_in_exactly_one_place(bodies: list[tuple[EntryKind, list[bytes]]], accept: bool) -> None:  # noqa: FBT001 - hypothesis gives it by position
    """
    Each domain event is archived once, in order; each metric event is in Data or in Error, once; the counts agree.
    """
    entries = stored(*bodies)
    used = plan(accept_unknown=accept)
    batch = sort(entries, SEAL, used)
    drafts = len(batch.passed) + len(batch.refused)
    made = compose(batch, entries, SEAL, used, KNOWN)
    given_events = [line for kind, body in bodies if kind is EntryKind.EVENTS for line in body]

    archive = b"".join(content.lines for content in made.contents if content.about.path.startswith("Archive/"))
    assert b"".join(given_events) == archive
    assert drafts == len(below(made, "Data")) + len(below(made, "Error"))
    assert made.manifest.matched + made.manifest.unmatched == len(given_events)

    fates = Counter[tuple[str, str]]()
    for about in [*made.manifest.errors, *([made.manifest.data] if made.manifest.data else [])]:
        assert about.rows == sum(amount for *_, amount in about.counts)
        for tenant, name, amount in about.counts:
            fates[tenant, name] += amount
    posted = {key: amount for key, amount in fates.items() if key[1] == "posted"}
    assert fates == Counter(batch.received) + Counter(posted)


@given(ENTRIES)
@settings(deadline=None)
def test_same_seal_makes_the_same_bytes(bodies: list[tuple[EntryKind, list[bytes]]]) -> None:
    """
    A second try of a seal makes the same objects and the same manifest, byte for byte.
    """
    first, second = composed(stored(*bodies)), composed(stored(*bodies))

    assert first == second
    assert msgspec.json.encode(first.manifest) == msgspec.json.encode(second.manifest)


def test_places_are_named_by_the_seal() -> None:
    """
    Objects lie by kind, by the hour of the oldest arrival, and under the seal's own name.
    """
    body = [lines(event("1")), lines(event("2", {"tenant_id": None}))]
    made = composed(stored((EntryKind.EVENTS, body)))
    name = "2026/01/31/11/0123abcd-0-0000000007-2026-01-31-11-59-59"

    assert {content.about.path for content in made.contents} == {
        f"Archive/{name}.ndjson.zst",
        f"Error/missing-tenant/{name}.ndjson.zst",
        f"Data/{name}.ndjson.zst",
    }
    assert made.path == f"Manifest/{name}.json"


def test_one_event_makes_the_metrics_of_every_rule_it_matches() -> None:
    """
    An urgent upload is an upload too.
    """
    made = composed(stored((EntryKind.EVENTS, [lines(event("1", {"urgent": True}))])))

    assert [found["metric_name"] for found in below(made, "Data")] == ["uploads", "urgent"]
    assert (made.manifest.matched, made.manifest.unmatched) == (1, 0)


def test_data_is_the_unified_schema() -> None:
    """
    A metric event has its name, its tenant with attributes, its identity and its canonical time and measures.
    """
    made = composed(stored((EntryKind.EVENTS, [lines(event("of-the-event"))])))

    assert below(made, "Data") == [
        {
            "metric_name": "uploads",
            "metadata": {"tenant_id": "acme", "event_id": "of-the-event", "tenant_name": "Acme"},
            "data": {"event_time": "2026-01-31T11:00:00.000000Z", "size": 3},
        }
    ]
    assert made.manifest.integers == {"uploads": ["size"]}


def test_refused_record_is_kept_whole() -> None:
    """
    An error record is Firehose's, with the accepted record as it came and of whom it speaks.
    """
    line = lines(event("1", {"size": "three"}))
    made = composed(stored((EntryKind.EVENTS, [line])))

    (error,) = below(made, "Error/type-mismatch")
    assert base64.b64decode(error.pop("rawData")) == line.rstrip()
    assert error == {
        "attemptsMade": 1,
        "arrivalTimestamp": SEALED_AT // 1000,
        "errorCode": "Metriclake.TypeMismatch",
        "errorMessage": "the measure `size` is a string, the pipeline file says integer",
        "attemptEndingTimestamp": SEALED_AT // 1000,
        "tenantId": "acme",
        "metricName": "uploads",
        "entryKind": "events",
    }


def test_unknown_tenant_is_refused_where_told() -> None:
    """
    With `unknown: refuse`, the metric events of a tenant that the directory does not know go to Error.
    """
    entries = stored((EntryKind.METRICS, [lines(metric("1", tenant="globex"), metric("2"))]))

    assert [
        found["metadata"]["tenant_id"] for found in below(composed(entries, of=plan(accept_unknown=False)), "Data")
    ] == ["acme"]
    assert [
        found["tenantId"] for found in below(composed(entries, of=plan(accept_unknown=False)), "Error/unknown-tenant")
    ] == ["globex"]
    assert below(composed(entries), "Error") == []


def test_unreadable_event_is_kept_as_malformed() -> None:
    """
    A domain event with a number that nothing can hold is refused, and archived all the same.
    """
    line = b'{"id":"1","source":"findings","detail-type":"t","detail":{"n":1e999}}\n'
    made = composed(stored((EntryKind.EVENTS, [line])))

    assert [found["errorCode"] for found in below(made, "Error/malformed")] == ["Metriclake.Malformed"]
    assert made.manifest.archive is not None
    assert made.manifest.archive.rows == 1


@pytest.mark.parametrize("value", ["1e999", "9" * 5000], ids=["beyond-doubles", "very-many-digits"])
def test_unreadable_metric_event_stays_in_its_own_account(value: str) -> None:
    """
    The door counts a metric event for its tenant and metric; so does the stream, whatever its data hold.
    """
    line = b'{"metric_name":"posted","metadata":{"tenant_id":"acme","event_id":"1"},"data":{"x":%s}}\n' % value.encode()
    made = composed(stored((EntryKind.METRICS, [line])))

    assert [about.counts for about in made.manifest.errors] == [[("acme", "posted", 1)]]


def test_event_that_is_too_complex_is_kept() -> None:
    """
    An event whose arrays a pattern may not search is refused for that reason, and harms no other.
    """
    deep: Any = True
    for _ in range(150):
        deep = [deep]
    made = composed(stored((EntryKind.EVENTS, [lines(event("1", {"urgent": deep}), event("2"))])))

    assert [found["errorCode"] for found in below(made, "Error")] == ["Metriclake.TooComplex"]
    assert [found["metadata"]["event_id"] for found in below(made, "Data")] == ["2"]


def test_event_that_a_rule_cannot_transform_is_kept() -> None:
    """
    What one rule cannot make of an event is refused for that rule, with the reason; the other rules go on.
    """
    template = """{"metadata": {"tenant_id": <t>, "note": "<note>", "arrived": <aws.events.event.ingestion-time>},
                   "data": {"event_time": <time>}}"""
    paths = {"t": "$.detail.tenant_id", "note": "$.detail.note", "time": "$.time"}
    spec = MetricSpec(pattern={}, input_paths=paths, input_template=template)
    rule = Rule("noted", "default", Pattern.compile({"source": ["findings"]}), MetricInput.read("noted", "b", spec, ()))
    used = replace(plan(), rules=RuleSet([rule, *plan().rules.rules]))
    entries = stored((EntryKind.EVENTS, [lines(event("1", {"note": 'so "quoted"'}), event("2", {"note": "plain"}))]))
    batch = sort(entries, SEAL, used)
    made = compose(batch, entries, SEAL, used, KNOWN)

    (error,) = below(made, "Error/transform-failed")
    assert error["errorMessage"].startswith("<note> stands in quotes (line 1, column 42 of the template)")
    assert (error["errorCode"], error["entryKind"]) == ("Metriclake.TransformFailed", "events")
    assert json.loads(base64.b64decode(error["rawData"])) == event("1", {"note": 'so "quoted"'})
    assert batch.received == {("(none)", "noted"): 1, ("acme", "noted"): 1, ("acme", "uploads"): 2}
    assert [about.counts for about in made.manifest.errors] == [[("(none)", "noted", 1)]]
    assert [(found["metric_name"], found["metadata"]["event_id"]) for found in below(made, "Data")] == [
        ("uploads", "1"),
        ("noted", "2"),
        ("uploads", "2"),
    ]
    assert below(made, "Data")[1]["metadata"]["arrived"] == "2026-01-31T12:00:00Z"


def test_tenants_are_asked_for_once() -> None:
    """
    The directory is asked for each tenant of what passed, once, in order.
    """
    entries = stored(
        (EntryKind.METRICS, [lines(metric("1"), metric("2"), metric("3", tenant="a"), metric("4", {"x": []}, "z"))])
    )

    assert tenants(sort(entries, SEAL, plan())) == ["a", "acme"]


@pytest.mark.parametrize("prefix", ["Data", "Error", "Archive"])
def test_recount_finds_what_was_described(prefix: str) -> None:
    """
    An object that was there already is described by what it holds, as it was when it was made.
    """
    body = [lines(event("1"), event("2", {"tenant_id": "globex"}), event("3", {"tenant_id": "a/b"}))]
    made = composed(stored((EntryKind.EVENTS, body)))
    found = [content for content in made.contents if content.about.path.startswith(prefix)]

    assert found
    assert [content.about for content in found] == [recount(content.about, content.lines) for content in found]


def test_description_tells_rows_size_and_checksum() -> None:
    """
    An object's part of the manifest tells what it must hold.
    """
    about = describe("Error/expired/x", b"a\nb\n", DropReason.EXPIRED, Counter({("b", "m"): 1, ("a", "m"): 1}))

    assert (about.rows, about.size, about.reason, about.counts) == (2, 4, "expired", [("a", "m", 1), ("b", "m", 1)])
    assert len(about.sha256) == 64


def test_clock_of_the_seal_decides_what_is_expired() -> None:
    """
    A second try years later refuses no more than the first did: the clock is the seal's.
    """
    entries = stored((EntryKind.METRICS, [lines(metric("1"))]))
    later = Seal("0123abcd", 0, 7, 1, 9, SEALED_AT, SEALED_AT + 10_001 * DAY, 1)

    assert sort(entries, SEAL, plan()).refused == []
    assert [refused.reason for refused in sort(entries, later, plan()).refused] == [DropReason.EXPIRED]


def test_what_is_expired_is_decided_by_the_lengths_of_its_tenant_and_metric() -> None:
    """
    An event is refused as expired by its tenant's own retention, or else its metric's, or else the one of all.
    """
    tiers = Tiers(
        timedelta(days=1),
        timedelta(days=10),
        metrics={"posted": Stay(retention=timedelta(minutes=90))},
        tenants={"big": Stay(retention=timedelta(days=1000)), "warm": Stay(hot=timedelta(days=2))},
    )
    entries = stored((EntryKind.METRICS, [lines(*(metric("1", tenant=name) for name in ("acme", "big", "warm")))]))
    hour = SEALED_AT + DAY // 24

    def expired(own: Tiers, sealed_at: int) -> list[str]:
        """
        Return the tenants whose event is refused as expired.
        """
        batch = sort(entries, replace(SEAL, sealed_at=sealed_at), replace(plan(), tiers=own))
        assert {refused.reason for refused in batch.refused} <= {DropReason.EXPIRED}
        return [refused.draft.tenant for refused in batch.refused]

    assert expired(tiers, SEALED_AT) == []
    assert expired(tiers, hour) == ["acme", "warm"]
    assert expired(replace(tiers, metrics={}), hour) == []
    assert expired(replace(tiers, metrics={}), SEALED_AT + 10 * DAY) == ["acme", "warm"]
    assert expired(tiers, SEALED_AT + 1000 * DAY) == ["acme", "big", "warm"]


def test_objects_lie_where_the_layout_says() -> None:
    """
    Data and errors follow the plan's prefixes, the same at each try; archive and manifest stay where they are.
    """
    prefixes = ("d/!{firehose:random-string}/", "e/!{firehose:error-output-type}/!{firehose:random-string}-")
    used = replace(plan(), layout=layout(*prefixes))
    entries = stored((EntryKind.EVENTS, [lines(event("1"), event("2", {"tenant_id": None}))]))
    first, second = (composed(entries, of=used) for _ in range(2))
    paths = [content.about.path for content in first.contents]

    assert paths == [content.about.path for content in second.contents]
    assert [path.split("/")[0] for path in paths] == ["Archive", "e", "d"]
    assert paths[1].startswith("e/missing-tenant/")
    assert [path.count("/") for path in paths[1:]] == [2, 2]
    assert first.path.startswith("Manifest/2026/01/31/11/")
