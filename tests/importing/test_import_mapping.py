"""
What a target's input becomes: the short form where it means the same, a template otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metriclake.importing.mapping import (
    InputTemplate,
    ShortForm,
    constant_body,
    read_body,
    rule_variables,
    with_name,
)
from metriclake.importing.mapping import (
    Path as FieldPath,
)
from metriclake.importing.node import Number
from metriclake.rules import MetricInput, Transform

CASES = Path(__file__).parents[1] / "cases"
PATHS = {
    "t": "$.detail.t", "at": "$.time", "id": "$.id", "n": "$.detail.n[0].x-y", "m": "$.detail.m", "e": "$",
    "w": "$.detail.*.t", "v": "$.version",
}  # fmt: skip
FIELDS = ("tenant_id", "event_id", "event_time", "a", "b", "c")


@dataclass(frozen=True)
class Source:
    """
    A field of the short form, as the rules take it.
    """

    path: str | None = None
    value: Any = None


def said(sources: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return fields as a pipeline file says them.
    """
    return {
        name: source.path if isinstance(source, FieldPath) else {"value": plain(source)}
        for name, source in sources.items()
    }


def plain(source: Any) -> Any:
    """
    Return a constant.
    """
    return source.value if isinstance(source, Number) else source


def short_form(short: ShortForm) -> Transform:
    """
    Return a short form as the rules compile it.
    """
    halves = (
        {
            name: Source(source.path) if isinstance(source, FieldPath) else Source(value=plain(source))
            for name, source in half.items()
        }
        for half in (short.metadata, short.data)
    )
    return Transform.compile(*halves)


@pytest.mark.parametrize(
    "row",
    [json.loads(line) for line in (CASES / "import_templates.jsonl").read_text("utf-8").splitlines()],
    ids=lambda row: row["id"],
)
def test_templates(row: dict[str, Any]) -> None:
    """
    Every row: a template makes no metric event, or one of this name, which the short form says so, or cannot say.
    """
    body = read_body("[" * 5000 if row["template"] == "DEEP" else row["template"], PATHS)

    if row.get("none"):
        assert body is None
        return
    assert body is not None
    assert (body.metric_name, body.named_by_event) == (row["name"], row.get("by_event", False))
    assert (body.short_form is not None) == ("metadata" in row)
    if body.short_form is not None:
        assert said(body.short_form.metadata) == row["metadata"]
        assert said(body.short_form.data) == row["data"]


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(codec="utf-8")),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.sampled_from("ab"), st.integers(), max_size=2),
)
CONSTANTS = st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.sampled_from(["", "x", 'a "quote"', "<"]))


VARIABLES = st.sampled_from([f"<{name}>" for name in FIELDS])


@st.composite
def templates(draw: st.DrawFn) -> str:
    """
    Return a template of a metric event, each field a variable or a constant.
    """
    parts = {}
    for part, required in (("metadata", "tenant_id"), ("data", "event_time")):
        names = [required, *draw(st.lists(st.sampled_from(FIELDS[3:]), unique=True))]
        values = [draw(st.one_of(VARIABLES, CONSTANTS.map(json.dumps))) for _ in names]
        fields = [f"{json.dumps(name)}: {value}" for name, value in zip(names, values, strict=True)]
        parts[part] = "{" + ", ".join(fields) + "}"
    return json.dumps({"metric_name": "m"})[:-1] + "".join(f', "{part}": {text}' for part, text in parts.items()) + "}"


@given(templates(), st.dictionaries(st.sampled_from(FIELDS), VALUES))
def test_the_short_form_means_the_same(template: str, detail: dict[str, Any]) -> None:
    """
    Where a template becomes the short form, both make the same of every event, but for empty text, which is nothing.
    """
    paths = {name: f"$.detail.{name}" for name in FIELDS}
    body = read_body(template, paths)
    assert body is not None
    assert body.short_form is not None
    whole = MetricInput.read("m", "default", AsTemplate(paths, template), ())
    event = {"id": "e", "source": "s", "detail-type": "d", "detail": detail}

    made = short_form(body.short_form).apply(event)

    assert tuple(without_empty(half) for half in made) == tuple(without_empty(half) for half in whole.apply(event))


def without_empty(half: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return fields without those that hold empty text.
    """
    return {name: value for name, value in half.items() if value != ""}


@dataclass(frozen=True)
class AsTemplate:
    """
    A template as a pipeline file's metric has it.
    """

    input_paths: Mapping[str, str]
    input_template: str
    input_path: None = None


def test_a_constant_has_no_placeholders() -> None:
    """
    In a constant input, `<t>` is text.
    """
    body = constant_body('{"metric_name": "m", "metadata": {"tenant_id": "<t>"}, "data": {"event_time": 1}}')

    assert body is not None
    assert body.short_form == ShortForm({"tenant_id": "<t>"}, {"event_time": Number("1")})
    assert constant_body('"text"') is None
    assert constant_body("not JSON") is None


def test_a_template_is_given_another_name() -> None:
    """
    The constant name in a template is replaced where it is sure which text it is.
    """
    assert with_name('{"metric_name" : "a\\"b", "x": "y"}', "m") == '{"metric_name" : "m", "x": "y"}'
    assert with_name('{"metric_name": "a", "x": {"metric_name": "b"}}', "m") is None


def test_variables_of_the_rule_are_found() -> None:
    """
    Of the reserved variables, those that speak of the rule mean something else here.
    """
    assert rule_variables("<aws.events.rule-name> <aws.events.event> <t>") == {"aws.events.rule-name"}
    assert InputTemplate({}, "x") == InputTemplate({}, "x")
