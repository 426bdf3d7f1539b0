"""
What an event pattern accepts, what it refuses, and what it may cost.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metriclake._errors import EventTooComplex, InvalidPattern
from metriclake.rules import Pattern
from metriclake.rules.arrays import MOST_NESTED_ARRAYS
from metriclake.rules.reader import MOST_COMBINATIONS, MOST_LEVELS, MOST_PATHS

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


def test_demands() -> None:
    """
    A path is demanded if every way to match names plain texts for it.
    """
    pattern = Pattern.compile({"$or": [{"source": ["x"], "a": ["1"]}, {"source": ["y", "z"], "b": ["1"]}]})

    assert pattern.demands("source") == frozenset({"x", "y", "z"})
    assert pattern.demands("a") is None
    assert Pattern.compile({"source": ["10.0.0.1"]}).demands("source") is None
    assert Pattern.compile({"source": ["x", {"exists": False}]}).demands("source") is None


@given(st.text(alphabet='{}[]",:\\ a1.e-$ortu\n', max_size=40))
@settings(max_examples=500, deadline=None)
def test_any_text_compiles_or_is_refused(text: str) -> None:
    """
    No text makes the compiler fail in another way than by refusing.
    """
    with contextlib.suppress(InvalidPattern):
        Pattern.compile(text)
        assert isinstance(json.loads(text), dict)


def test_deep_patterns_are_refused() -> None:
    """
    A pattern deeper than the limit is refused, by nesting, by dots and by `$or`, as text and decoded.
    """
    deep: dict[str, Any] = {"a": [1]}
    for _ in range(5000):
        deep = {"a": deep}
    for pattern in (
        deep,
        '{"a":' * 5000,
        {".".join("a" * (MOST_LEVELS + 1)): [1]},
        '{"$or":[{"a":[1]},' * 5000,
    ):
        with pytest.raises(InvalidPattern, match=f"A pattern has {MOST_LEVELS} levels at most"):
            Pattern.compile(pattern)


def test_deepest_pattern_matches() -> None:
    """
    A pattern as deep as the limit allows compiles and matches.
    """
    pattern: Any = [1]
    event: Any = 1
    for _ in range(MOST_LEVELS):
        pattern, event = {"a": pattern}, {"a": event}

    assert Pattern.compile(pattern).matches(event)
    assert Pattern.compile(pattern).matches({".".join("a" * MOST_LEVELS): 1})


def test_too_many_paths_are_refused() -> None:
    """
    A pattern with more paths than the limit is refused.
    """
    with pytest.raises(InvalidPattern, match=f"{MOST_PATHS} paths at most"):
        Pattern.compile({f"k{number}": [1] for number in range(MOST_PATHS + 1)})


def test_too_many_combinations_are_refused() -> None:
    """
    A thousand ways through `$or` are allowed, one more is not.
    """
    ten = [{f"k{number}": [1]} for number in range(10)]

    assert Pattern.compile({"a": {"$or": ten}, "b": {"$or": ten}, "c": {"$or": ten}}).matches({"a.k1": 1}) is False
    with pytest.raises(InvalidPattern, match=f"{MOST_COMBINATIONS} combinations at most"):
        Pattern.compile({"a": {"$or": ten}, "b": {"$or": ten}, "c": {"$or": [*ten, {"k": [1]}]}})


def test_huge_numbers_in_a_pattern() -> None:
    """
    A number of absurd length or exponent is refused or never matches, at once.
    """
    assert Pattern.compile('{"a":[1e99999999999999999999]}').matches({"a": 1}) is False
    assert Pattern.compile({"a": [1]}).matches({"a": 10**5000}) is False
    with pytest.raises(InvalidPattern, match="Cannot compare number"):
        Pattern.compile('{"a":[' + "9" * 100_000 + "]}")


def nested(depth: int, innermost: Any, *, key: str | None = None) -> Any:
    """
    Return a value inside so many arrays, or objects with one key.
    """
    value = innermost
    for _ in range(depth):
        value = {key: value} if key else [value]
    return value


def test_deep_events_off_the_paths_cost_nothing() -> None:
    """
    An event nested to absurdity where the pattern does not look is matched as any other.
    """
    event = {"a": 1, "b": nested(100_000, 1), "c": nested(100_000, 1, key="c")}

    assert Pattern.compile({"a": [1]}).matches(event)
    assert Pattern.compile({"a": [1], "c": {"c": [{"exists": False}]}}).matches(event)
    # An interpreter takes a value apart by recursion, and some do not survive this one: it is taken apart here.
    for key in ("b", "c"):
        inner = event.pop(key)
        while not isinstance(inner, int):
            inner = inner[0] if isinstance(inner, list) else inner["c"]


def test_deeply_nested_arrays_on_a_path() -> None:
    """
    Arrays nested beyond the limit on a path of the pattern are an error of the event.
    """
    pattern = Pattern.compile({"a": [1]})

    assert pattern.matches({"a": nested(MOST_NESTED_ARRAYS, 1)})
    with pytest.raises(EventTooComplex, match=f"nests more than {MOST_NESTED_ARRAYS} arrays"):
        pattern.matches({"a": nested(MOST_NESTED_ARRAYS + 2, 1)})


def test_search_grows_with_elements_not_with_combinations() -> None:
    """
    Names that each match thousands of elements, but never the same, are told apart without trying the pairs.
    """
    many = 5000
    pattern = Pattern.compile({"e": {"x": [1], "y": [1], "z": [1]}, "f": {"x": [1], "y": [1]}})
    never = [{"x": index % 2, "y": 1 - index % 2, "z": 1} for index in range(many)]

    assert not pattern.matches({"e": never, "f": never})
    assert pattern.matches({"e": [*never, {"x": 1, "y": 1, "z": 1}], "f": [*never, {"x": 1, "y": 1}]})


def test_large_arrays_stay_within_the_steps() -> None:
    """
    An honest event with a very large array is matched, by a pattern with many ways to match, too.
    """
    ways = [{"e": {"x": [number], "y": [number + 1]}} for number in range(50)]
    event = {"e": [{"x": index % 60, "y": index % 60, "z": 1} for index in range(20_000)]}

    assert not Pattern.compile({"e": {"z": [1]}, "$or": ways}).matches(event)
    assert Pattern.compile({"e": {"z": [1]}, "$or": [*ways, {"e": {"x": [59], "y": [59]}}]}).matches(event)


def test_search_gives_up_with_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    An event that leaves too many choices is refused, not searched for ever.
    """
    monkeypatch.setattr("metriclake.rules.arrays.MOST_STEPS", 100)
    pattern = Pattern.compile({"e": {name: [{"exists": False}, 1] for name in "pqrstuvw"}})
    elements = [{name: 1 for name in "pqrstuvw" if (index >> "pqrstuvw".index(name)) & 1} for index in range(256)]
    hostile = {"e": [{**element, "w": 0} for element in elements]}

    with pytest.raises(EventTooComplex, match="choices"):
        pattern.matches(hostile)
