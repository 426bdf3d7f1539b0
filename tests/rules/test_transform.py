"""
Which values a transform takes, and which paths it refuses.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metriclake._errors import InvalidTransform
from metriclake.rules import Transform

CASES = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "cases" / "transforms.jsonl").read_text(encoding="utf-8").splitlines()
]


@dataclass(frozen=True)
class Source:
    """
    A field's source, as the pipeline file would give it.
    """

    path: str | None = None
    value: str | float | bool | None = None


@pytest.mark.parametrize("case", [case for case in CASES if "refused" not in case], ids=lambda case: case["id"])
def test_truth_table(case: dict[str, Any]) -> None:
    """
    Each path of the table finds its value, or leaves the field out.
    """
    transform = Transform.compile({"field": Source(case["path"])}, {"field": Source(case["path"])})
    expected = {} if "missing" in case else {"field": case["value"]}

    assert (expected, expected) == transform.apply(case["event"])


@pytest.mark.parametrize("case", [case for case in CASES if "refused" in case], ids=lambda case: case["id"])
def test_refusals(case: dict[str, Any]) -> None:
    """
    Each wrong path is refused with the field, the reason, and what a path looks like.
    """
    with pytest.raises(InvalidTransform) as refused:
        Transform.compile({}, {"count": Source(case["path"])})

    (fault,) = refused.value.faults
    assert fault.place == "data.count"
    assert fault.what.startswith(f"the path {case['path']!r} {case['refused']}")
    assert fault.hint.startswith("a path is $ and then .name")
    assert str(refused.value).startswith(fault.what)


@pytest.mark.parametrize(("source", "why"), [(Source(), "neither"), (Source("$.a", 1), "a path and a value")])
def test_a_field_has_a_path_or_a_value(source: Source, why: str) -> None:
    """
    A field with both, or with neither, is refused by name.
    """
    with pytest.raises(InvalidTransform, match=rf"has {why}.*\nat metadata\.tenant_id"):
        Transform.compile({"tenant_id": source}, {})


def test_fields_of_both_halves() -> None:
    """
    Metadata and data are filled from all over the event, and constants stand as they are written.
    """
    transform = Transform.compile(
        {"tenant_id": Source("$.detail.tenant"), "env": Source(value="prod"), "arn": Source("$.resources[0]")},
        {"event_time": Source("$.time"), "n": Source("$.detail.n"), "one": Source(value=1), "no": Source("$.x.y")},
    )
    event = {"time": "now", "resources": ["arn:1"], "detail": {"tenant": "acme", "n": 5}}

    metadata, data = transform.apply(MappingProxyType(event))

    assert metadata == {"tenant_id": "acme", "env": "prod", "arn": "arn:1"}
    assert data == {"event_time": "now", "n": 5, "one": 1}


def test_answers_are_independent() -> None:
    """
    Changing one answer does not change the next.
    """
    transform = Transform.compile({"env": Source(value="prod")}, {})
    transform.apply({})[0]["env"] = "changed"

    assert transform.apply({}) == ({"env": "prod"}, {})


STEPS = st.lists(st.one_of(st.sampled_from(["a", "b", "a.b", "c d"]), st.integers(0, 2)), min_size=1, max_size=4)
VALUES = st.recursive(
    st.sampled_from([None, 0, "x"]),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["a", "b", "a.b"]), inner)),
)


def plainly_found(value: Any, steps: list[str | int]) -> Any:
    """
    Follow a path one step at a time.
    """
    for step in steps:
        if isinstance(step, str):
            value = value.get(step) if isinstance(value, dict) else None
        else:
            value = dict(enumerate(value)).get(step) if isinstance(value, list) else None
    return value


@given(st.lists(STEPS, min_size=1, max_size=5), st.dictionaries(st.sampled_from(["a", "b"]), VALUES))
def test_paths_together_find_what_each_finds_alone(paths: list[list[str | int]], event: dict[str, Any]) -> None:
    """
    However fields share their parents, each gets the value at its own path.
    """
    texts = ["$" + "".join(f"[{step!r}]" for step in steps) for steps in paths]
    transform = Transform.compile({}, {str(number): Source(text) for number, text in enumerate(texts)})
    found = {str(number): plainly_found(event, steps) for number, steps in enumerate(paths)}

    assert ({}, {name: value for name, value in found.items() if value is not None}) == transform.apply(event)


def test_deep_paths_and_events() -> None:
    """
    Depth of a path costs no recursion.
    """
    deep: Any = 1
    for _ in range(500):
        deep = {"a": deep}
    transform = Transform.compile({}, {"x": Source("$" + ".a" * 500), "y": Source("$" + ".a" * 501)})

    assert transform.apply(deep) == ({}, {"x": 1})
