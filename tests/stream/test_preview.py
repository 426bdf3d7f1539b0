"""
What an edited file would make of archived events, beside what the one in force makes of them.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from metriclake._errors import MetriclakeError
from metriclake.entry import Span
from metriclake.journal import SqliteJournal
from metriclake.pipeline import FieldSpec
from metriclake.rules import Pattern, Rule, RuleSet, Transform
from metriclake.stream import Lake, Limits, NoDirectory, Plan, Preview, StreamWorker
from metriclake.stream.preview import Difference
from stream.plans import event, events, plan

HOUR = 3_600_000_000
NOON = 1_769_860_800_000_000


@pytest.fixture
def lake(tmp_path: Path, journal: SqliteJournal) -> Lake:
    """
    Archive three batches, an hour apart; the last event is in two of them.
    """
    made = Lake(tmp_path / "lake")
    last = event("4", {"tenant_id": "globex", "size": 7})
    for number, batch in enumerate(
        [
            [event("1"), event("2", {"urgent": True}), event("3", source="other")],
            [last, event("5", {"size": "x"})],
            [last],
        ]
    ):
        journal.append(events(*batch, arrived_at=NOON + number * HOUR)).result(30)
    worker = StreamWorker(journal, made, NoDirectory(), lambda _version: plan(), lambda: Limits(600, 1))
    worker.start()
    worker.stop()
    return made


def edited(pattern: dict[str, Any], path: str = "$.detail.size", **types: str) -> Plan:
    """
    Return a plan with another rule for `uploads`.
    """
    metadata = {"tenant_id": FieldSpec(path="$.detail.tenant_id")}
    data = {"event_time": FieldSpec(path="$.time"), "size": FieldSpec(path=path)}
    rule = Rule("uploads", "default", Pattern.compile(pattern), Transform.compile(metadata, data))
    return replace(plan(2), rules=RuleSet([rule]), types={"uploads": types})


def previewed(lake: Lake, after: Plan, span: Span | None = None, metric: str = "uploads") -> dict[str, Difference]:
    """
    Return the differences by tenant, put together of slices of one batch.
    """
    preview = Preview(lake, plan, lambda _text: after)
    found: dict[str, Difference] = {}
    place = "-"
    while place:
        part = preview.slice(metric, "", span or Span(), place.strip("-"), lambda: True)
        for one in part.differences:
            before = found.setdefault(one.tenant, Difference(tenant=one.tenant, metric=metric))
            for name in ("before", "after", "added", "removed", "changed"):
                setattr(before, name, getattr(before, name) + getattr(one, name))
            for name in ("refused_before", "refused_after", "sums_before", "sums_after"):
                getattr(before, name).update(getattr(one, name))
        place = part.next
    return found


def test_same_rule_changes_nothing(lake: Lake) -> None:
    """
    The rule in force beside itself makes, refuses and sums the same.
    """
    found = previewed(lake, edited({"source": ["findings"]}, size="integer"))

    assert {name: (one.before, one.after, one.added, one.removed, one.changed) for name, one in found.items()} == {
        "acme": (2, 2, 0, 0, 0),
        "globex": (2, 2, 0, 0, 0),
    }
    assert found["acme"].refused_before == found["acme"].refused_after == {"type-mismatch": 1}
    assert found["globex"].sums_before == found["globex"].sums_after == {"size": 7}


def test_what_a_narrower_rule_leaves_out_is_removed(lake: Lake) -> None:
    """
    Metric events that the edited rule no longer makes are removed, with their sums.
    """
    found = previewed(lake, edited({"source": ["findings"], "detail": {"urgent": [True]}}, size="integer"))

    assert (found["acme"].before, found["acme"].after, found["acme"].removed) == (2, 1, 1)
    assert (found["globex"].after, found["globex"].removed, found["globex"].sums_after) == (0, 2, {})


def test_what_a_wider_rule_takes_in_is_added(lake: Lake) -> None:
    """
    Metric events that only the edited rule makes are added; a type that fits what was refused takes it in.
    """
    wider = previewed(lake, edited({"source": [{"exists": True}]}, size="integer"))
    retyped = previewed(lake, edited({"source": ["findings"]}, size="string"))

    assert (wider["acme"].before, wider["acme"].after, wider["acme"].added) == (2, 3, 1)
    assert (retyped["acme"].after, retyped["acme"].added, retyped["acme"].removed) == (1, 1, 2)
    assert retyped["acme"].refused_after == {"type-mismatch": 2}


def test_other_values_are_changes(lake: Lake) -> None:
    """
    A metric event that is there before and after with other values is changed, and the sums tell how far.
    """
    found = previewed(lake, edited({"source": ["findings"]}, path="$.detail.urgent"))

    assert (found["globex"].before, found["globex"].after, found["globex"].changed) == (2, 2, 2)
    assert (found["globex"].sums_before, found["globex"].sums_after) == ({"size": 7}, {})


def test_only_a_span_is_looked_at(lake: Lake) -> None:
    """
    Batches that arrived outside the span are left out.
    """
    found = previewed(lake, edited({"source": ["findings"]}, size="integer"), Span(NOON + HOUR, NOON + 2 * HOUR))

    assert (found["acme"].before, found["globex"].before) == (0, 1)


def test_metric_that_neither_file_has_is_refused(lake: Lake) -> None:
    """
    A misspelt metric is an error, not an empty answer.
    """
    with pytest.raises(MetriclakeError, match="neither file has a metric 'upload'"):
        previewed(lake, edited({"source": ["findings"]}), metric="upload")
