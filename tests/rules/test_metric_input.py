"""
Which metric event an input makes, and which inputs cannot make their metric.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metriclake._errors import InvalidTransform, TransformFailed
from metriclake.rules import MetricInput, Transform

CASES = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "cases" / "metric_inputs.jsonl").read_text(encoding="utf-8").splitlines()
]
EVENT = CASES[0]["event"]
"""The event of every row."""

ARRIVED_AT = 1_769_860_801_999_999
"""2026-01-31T12:00:01.999999Z in microseconds."""


@dataclass(frozen=True)
class Source:
    """
    An input, as the pipeline file would give it.
    """

    input_path: str | None = None
    input_paths: Mapping[str, str] = field(default_factory=dict)
    input_template: str | None = None


@dataclass(frozen=True)
class Field:
    """
    A field's source in the short form.
    """

    path: str | None = None
    value: str | float | bool | None = None


def read(row: Mapping[str, Any]) -> MetricInput:
    """
    Compile a row's input, of the metric `m` on the bus `b`.
    """
    source = Source(row.get("input_path"), row.get("input_paths", {}), row.get("input_template"))
    return MetricInput.read("m", "b", source, row.get("declared", ()))


@pytest.mark.parametrize("row", [row for row in CASES if "metadata" in row], ids=lambda row: row["id"])
def test_truth_table(row: dict[str, Any]) -> None:
    """
    Each input of the table makes its metadata and data.
    """
    assert (row["metadata"], row["data"]) == read(row).apply(EVENT, ARRIVED_AT)


@pytest.mark.parametrize("row", [row for row in CASES if "failed" in row], ids=lambda row: row["id"])
def test_failures(row: dict[str, Any]) -> None:
    """
    Where an event makes no metric event, the reason is said, without a value of the event.
    """
    with pytest.raises(TransformFailed) as failed:
        read(row).apply(EVENT, ARRIVED_AT)

    assert row["failed"] in str(failed.value)
    assert "globex" not in str(failed.value)


@pytest.mark.parametrize("row", [row for row in CASES if "faults" in row], ids=lambda row: row["id"])
def test_refusals(row: dict[str, Any]) -> None:
    """
    An input that can never make its metric is refused, with all its faults, each with its place.
    """
    with pytest.raises(InvalidTransform) as refused:
        read(row)

    found = [(fault.place, fault.what) for fault in refused.value.faults]
    assert [place for place, _ in row["faults"]] == [place for place, _ in found]
    assert all(said.startswith(what) for (_, what), (_, said) in zip(row["faults"], found, strict=True)), found


def test_measures_are_named_in_the_templates_order() -> None:
    """
    The measures of a template are known before an event comes; of a path, those that the file declares.
    """
    template = '{"metadata": {"tenant_id": "a"}, "data": {"z": 1, "event_time": "now", "a": 2}}'

    assert MetricInput.read("m", "b", Source(input_template=template), ()).measures == ("z", "a")
    assert MetricInput.read("m", "b", Source(input_path="$.detail"), ("n",)).measures == ("n",)


def test_rule_of_the_default_bus() -> None:
    """
    On the default bus a rule's ARN does not name the bus.
    """
    template = '{"metadata": {"tenant_id": "<aws.events.rule-arn>"}, "data": {"event_time": 1}}'
    made = MetricInput.read("m", "default", Source(input_template=template), ())

    assert made.apply({})[0] == {"tenant_id": "arn:aws:events:us-east-1:000000000000:rule/m"}


def test_answers_are_independent() -> None:
    """
    Changing one answer does not change the next, nor the event.
    """
    made = MetricInput.read(
        "m", "b", Source(input_template='{"metadata": {"tenant_id": "a"}, "data": {"event_time": 1}}'), ()
    )
    made.apply({})[0]["tenant_id"] = "changed"

    assert made.apply({})[0] == {"tenant_id": "a"}


NAMES = st.sampled_from(["a", "b", "c"])
VALUES = (
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text('ab<>"\\\\\n\x00é😀', max_size=5) | st.lists(st.integers(), max_size=2)
)  # fmt: skip
FIELDS = st.dictionaries(NAMES, NAMES, max_size=3)


@given(FIELDS, FIELDS, st.dictionaries(NAMES, VALUES, max_size=3))
@settings(deadline=None)
def test_short_form_is_the_template_of_its_fields(
    metadata: dict[str, str], data: dict[str, str], detail: dict[str, Any]
) -> None:
    """
    The short form makes what the template of the same fields makes, but for empty text, which the template leaves out.
    """
    metadata, data = {"tenant_id": "a", **metadata}, {"event_time": "b", **data}
    paths = {name: f"$.detail.{name}" for name in "abc"}
    parts = {"metadata": metadata, "data": data}
    template = {part: {name: f"<{source}>" for name, source in fields.items()} for part, fields in parts.items()}
    text = json.dumps(template).replace('"<', "<").replace('>"', ">")
    made = MetricInput.read("m", "b", Source(input_paths=paths, input_template=text), ())
    short = Transform.compile(
        *({name: Field(paths[source]) for name, source in part.items()} for part in parts.values())
    )
    event = {"detail": detail}

    expected = tuple({name: value for name, value in part.items() if value != ""} for part in short.apply(event))
    assert expected == made.apply(event)
