"""
What a target is given of an event, and which inputs are refused.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metriclake._errors import InvalidTransform
from metriclake.rules import Input, Rendered, Variables
from metriclake.rules.jsonpath import MOST_FOUND
from metriclake.rules.template import MOST_RENDERED_BYTES

SHARED = Path(__file__).parents[2].parent / "shared" / "cases" / "inputs.jsonl"
CASES = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "cases" / "inputs.jsonl").read_text(encoding="utf-8").splitlines()
]
EVENT = CASES[0]["event"]
"""The event of every row that has none of its own."""


def rendered(row: Mapping[str, Any]) -> Rendered:
    """
    Render a row's event by its input.
    """
    variables = Variables(row.get("rule_name"), row.get("rule_arn"), row.get("ingestion_time"))
    return Input.of_target(row).render(row.get("event", EVENT), variables)


def check(row: Mapping[str, Any]) -> None:
    """
    Hold what a row's event becomes against what the row says.
    """
    found = rendered(row)

    assert row["delivered"] == found.delivered, found.reason
    assert row.get("body_text", found.text) == found.text
    if "body_json" in row:
        assert row["body_json"] == found.as_json()
    assert row.get("reason", "") in (found.reason or "")


@pytest.mark.parametrize("row", [row for row in CASES if "error" not in row], ids=lambda row: row["id"])
def test_truth_table(row: dict[str, Any]) -> None:
    """
    Each row of the table: what is delivered, or why nothing is.
    """
    check(row)


@pytest.mark.parametrize("row", [row for row in CASES if "error" in row], ids=lambda row: row["id"])
def test_refusals(row: dict[str, Any]) -> None:
    """
    Each wrong input is refused with EventBridge's words on the first line, then the place and a hint.
    """
    with pytest.raises(InvalidTransform) as refused:
        Input.of_target({**row, "Id": "T"})

    assert str(refused.value).startswith(row["error"])
    assert refused.value.faults[0].hint.startswith(row.get("hint", ""))


def test_answers_of_eventbridge() -> None:
    """
    Every row of EventBridge's own answers, where the table of them lies beside the repository.
    """
    if not SHARED.exists():
        pytest.skip("the table inputs.jsonl of EventBridge's answers is not beside this repository")
    rows = [json.loads(line) for line in SHARED.read_text(encoding="utf-8").splitlines()]
    for row in rows:
        check(row)

    assert len(rows) >= 17


def test_all_wrong_paths_are_named() -> None:
    """
    Several wrong paths are one refusal with a fault for each.
    """
    with pytest.raises(InvalidTransform) as refused:
        Input.compile(input_paths={"a": "x", "b": "$.id", "c": "$.."}, input_template="<b>")

    assert [fault.place for fault in refused.value.faults] == ["input_paths.a", "input_paths.c"]


@pytest.mark.parametrize(
    ("given_input", "most"),
    [
        ({"constant": '"' + "x" * 8191 + '"'}, 8192),
        ({"input_path": "$." + "x" * 255}, 256),
        ({"input_template": "x" * 8193}, 8192),
        ({"input_paths": {"x": "$." + "x" * 255}, "input_template": "<x>"}, 256),
        ({"input_paths": {f"x{number}": "$.id" for number in range(101)}, "input_template": "<x1>"}, 100),
    ],
)
def test_limits(given_input: dict[str, Any], most: int) -> None:
    """
    What is one character or one entry too long is refused, with the limit in EventBridge's words.
    """
    with pytest.raises(InvalidTransform, match=rf"1 validation error detected.* less than or equal to {most}\n"):
        Input.compile(**given_input)


def test_what_was_not_delivered_is_no_json() -> None:
    """
    Asking for the JSON of what was not delivered says why there is none; text that is no JSON is said, too.
    """
    with pytest.raises(ValueError, match=r"not delivered: .* leads nowhere"):
        Input.compile(input_path="$.no").render(EVENT).as_json()
    with pytest.raises(ValueError, match="Expecting value"):
        Input.compile(input_template="no JSON").render(EVENT).as_json()


def test_output_is_bounded() -> None:
    """
    A short template that names a large value very often is not rendered, and takes no time to find out.
    """
    event = {"detail": {"x": "a" * 1_000_000}}
    template = '{"v": [' + ",".join(["<x>"] * 2000) + "]}"
    began = time.process_time()
    found = Input.compile(input_paths={"x": "$.detail.x"}, input_template=template).render(event)

    assert found == Rendered(delivered=False, reason=f"the template becomes longer than {MOST_RENDERED_BYTES:,} bytes")
    assert time.process_time() - began < 1


def test_wildcards_are_bounded() -> None:
    """
    A path whose wildcards lead to too many values is not followed to the end, also if it finds none of them.
    """
    paths = {f"x{number}": "$.detail.x[*].y" for number in range(100)}
    few, many = ({"detail": {"x": [0] * count}} for count in (MOST_FOUND, 1_000_000))
    began = time.process_time()
    compiled = Input.compile(input_paths=paths, input_template='{"v": <x1>}')

    assert compiled.render(few).text == '{"v":[]}'
    assert "leads to more than 10000 values" in (compiled.render(many).reason or "")
    assert "leads to more than 10000 values" in (Input.compile(input_path="$.detail.*.*").render(many).reason or "")
    assert time.process_time() - began < 1


@pytest.mark.parametrize("depth", [100, 2000, 100_000])
def test_deep_events_are_rendered_or_not_delivered(depth: int) -> None:
    """
    However deep a value is nested, the answer is a text or a reason; how deep is too deep differs between Pythons.
    """
    deep: Any = 1
    for _ in range(depth):
        deep = [deep]
    inputs = (
        Input.compile(input_path="$.detail"),
        Input.compile(input_paths={"x": "$.detail"}, input_template='{"v": <x>}'),
        Input.compile(input_paths={"x": "$.detail"}, input_template='{"v": "<x>"}'),
    )
    for one in inputs:
        found = one.render({"detail": deep})
        assert found.delivered or "nested too deeply" in (found.reason or "")
        assert found.delivered or depth > 100


@pytest.mark.parametrize(
    ("value", "why"),
    [("\ud800", "half a surrogate pair"), (10**5000, "too many digits"), ([10**5000], "too many digits")],
    ids=["surrogate", "digits", "digits-inside"],
)
def test_what_is_no_text_is_not_delivered(value: Any, why: str) -> None:
    """
    What cannot be written in UTF-8, or not at all, cannot be sent, and says so.
    """
    for one in (
        Input.compile(input_path="$.detail.x"),
        Input.compile(input_paths={"x": "$.detail.x"}, input_template="<x>"),
        Input.compile(input_paths={"x": "$.detail.x"}, input_template='{"v": <x>}'),
    ):
        assert why in (one.render({"detail": {"x": value}}).reason or "")


def test_template_that_is_no_text_is_refused() -> None:
    """
    Half a surrogate pair in a template itself is refused.
    """
    with pytest.raises(InvalidTransform, match="half a surrogate pair"):
        Input.compile(input_template="\ud800")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text('ab<>"\\\\\n\x00é😀', max_size=8) | st.sampled_from(["<x>", '"', "\\", '","b":"', "\n"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('ab<>"\\', max_size=2), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
VALUES = st.fixed_dictionaries({"x": JSON, "y": JSON}) | st.fixed_dictionaries({"y": JSON})
PATHS = {"x": "$.detail.x", "y": "$.detail.y"}
PIECES = st.sampled_from(
    ["<x>", "<y>", '"<x>"', '"a<y>"', '"<x><y>"', "1", '"b"', '"\\""', "[", "]", "{", "}", ",", ":", " ", '"k":', "\\"]
)


@given(st.text('ab"\\ \n{}[],:1é<', max_size=30).filter(lambda text: not text.lstrip(" \n").startswith("{")))
@settings(deadline=None)
def test_text_of_constants_renders_itself(text: str) -> None:
    """
    A text template without placeholders is what is delivered, to the letter.
    """
    if text:
        assert Input.compile(input_template=text).render(EVENT).text == text


@given(st.dictionaries(st.text("ab", max_size=2), JSON, max_size=3))
@settings(deadline=None)
def test_json_of_constants_renders_itself(value: dict[str, Any]) -> None:
    """
    A JSON template without placeholders makes the value that it spells, whatever spaces it has.
    """
    text = json.dumps(value, indent=1).replace("<", "\\u003c")

    assert Input.compile(input_template=text).render(EVENT).as_json() == value


@given(st.lists(PIECES, max_size=9).map("".join), VALUES)
@settings(deadline=None)
def test_json_template_makes_json_or_says_why(text: str, values: dict[str, Any]) -> None:
    """
    Whatever stands in a JSON template and whatever the event holds: refused, delivered as JSON, or not, with a reason.
    """
    try:
        found = Input.compile(input_paths=PATHS, input_template="{" + text).render({"detail": values})
    except InvalidTransform as refused:
        found = Rendered(delivered=False, reason=str(refused))

    assert found.delivered == (found.text is not None)
    if found.delivered:
        assert isinstance(found.as_json(), dict)
    else:
        assert re.match("Invalid InputTemplate for target 1\n|<[xy]> stands in quotes", found.reason or "")


@given(VALUES)
@settings(deadline=None)
def test_values_without_quotes_are_always_delivered(values: dict[str, Any]) -> None:
    """
    A placeholder that stands as a value becomes that value, whatever it is; one that is missing becomes empty text.
    """
    compiled = Input.compile(input_paths=PATHS, input_template='{"x": <x>, "y": [<y>, <y>]}')
    y = values["y"]

    assert compiled.render({"detail": values}).as_json() == {"x": values.get("x", ""), "y": [y, y]}


@given(JSON)
@settings(deadline=None)
def test_path_delivers_the_value(value: Any) -> None:
    """
    A path delivers the JSON of what lies there.
    """
    assert Input.compile(input_path="$.detail.x").render({"detail": {"x": value}}).as_json() == value
