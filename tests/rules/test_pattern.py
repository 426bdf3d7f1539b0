"""
What an event pattern accepts, and what it refuses.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import doctest
import json
import re
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metriclake._errors import InvalidPattern
from metriclake.rules import Pattern

CASES = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "cases" / "patterns.jsonl").read_text(encoding="utf-8").splitlines()
]
MATCHES = [case for case in CASES if "matches" in case]
REFUSALS = [case for case in CASES if "reason" in case]


def source(case: dict[str, Any]) -> Any:
    """
    Return a row's pattern, as text where the text matters.
    """
    return case["pattern_text"] if "pattern_text" in case else case["pattern"]


@pytest.mark.parametrize("case", MATCHES, ids=lambda case: case["id"])
def test_truth_table(case: dict[str, Any]) -> None:
    """
    Each row of the truth table gets its answer.
    """
    pattern = Pattern.compile(source(case))
    event = json.loads(case["event_text"]) if "event_text" in case else case["event"]

    assert case["matches"] == pattern.matches(event)


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: case["id"])
def test_refusals(case: dict[str, Any]) -> None:
    """
    Each wrong pattern is refused with EventBridge's reason on the first line.
    """
    with pytest.raises(InvalidPattern) as refused:
        Pattern.compile(source(case))

    expected = f"Event pattern is not valid. Reason: {case['reason']}"
    assert expected == str(refused.value)[: len(expected)]
    assert str(refused.value)[len(expected) :][:1] in {"", "\n"}


def test_documentation_runs() -> None:
    """
    The examples of docs/patterns.md print what they say.
    """
    page = (Path(__file__).parents[2] / "docs" / "patterns.md").read_text(encoding="utf-8")
    examples = "\n\n".join(re.findall(r"```pycon\n(.*?)```", page, re.DOTALL))
    test = doctest.DocTestParser().get_doctest(examples, {}, "patterns.md", None, None)

    assert doctest.DocTestRunner().run(test).failed == 0
    assert len(test.examples) >= 4


def test_refusal_names_the_place() -> None:
    """
    A refused text is told its line and column.
    """
    with pytest.raises(InvalidPattern, match=r"line 2, column 8"):
        Pattern.compile('{\n  "a": "x"}')


@pytest.mark.parametrize("value", [dt.date(2024, 1, 1), float("nan"), float("inf"), b"x"])
def test_values_that_json_does_not_have_are_refused(value: object) -> None:
    """
    What YAML or Python has and JSON has not is no value of a pattern.
    """
    with pytest.raises(InvalidPattern, match="Match value must be String, number, true, false, or null"):
        Pattern.compile({"a": [value]})


def test_keys_that_are_not_text_are_refused() -> None:
    """
    A key that YAML read as a number is refused with what to write.
    """
    with pytest.raises(InvalidPattern, match='quote it, as "5"'):
        Pattern.compile({5: ["x"]})  # type: ignore[dict-item]


def test_any_mapping_is_an_event() -> None:
    """
    An event need not be a dict.
    """
    assert Pattern.compile({"a": [1]}).matches(MappingProxyType({"a": 1}))


def test_paths() -> None:
    """
    A pattern tells which paths it looks at, those inside `$or` included.
    """
    pattern = Pattern.compile({"a": {"b": [1]}, "$or": [{"c": [1]}, {"d": [1]}]})

    assert pattern.paths == {"a.b", "c", "d"}


@given(st.text(alphabet='{}[]",:\\ a1.e-$ortu\n', max_size=40))
@settings(max_examples=500, deadline=None)
def test_any_text_compiles_or_is_refused(text: str) -> None:
    """
    No text makes the compiler fail in another way than by refusing.
    """
    with contextlib.suppress(InvalidPattern):
        Pattern.compile(text)
        assert isinstance(json.loads(text), dict)
