"""
The ways of matching give one answer: written functions, rows of arrays, the counted search, decoded events and texts.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metriclake.rules import Pattern
from metriclake.rules import program as program_module
from metriclake.rules.index import Index
from metriclake.rules.program import Plan, _Program
from metriclake.rules.shape import MOST_KEYS, shape_of
from metriclake.rules.ways import Way, prepared
from rules.strategies import (  # type: ignore[import-not-found,unused-ignore] # pytest's path, not mypy's
    ARRAY_EVENTS,
    ARRAY_PATTERNS,
    EVENTS,
    PATTERNS,
    VALUES,
)

ROW_LEAVES = st.sampled_from([["x"], ["x", 1], [{"prefix": "x"}], [{"anything-but": "x"}], [{"exists": True}], [1]])
ROW_PATTERNS = st.fixed_dictionaries({}, optional={
    "a": ROW_LEAVES,
    "e": st.fixed_dictionaries({"x": ROW_LEAVES}, optional={"y": ROW_LEAVES, "k": st.just({"z": ["x"]})}),
    "f": st.just({"x": ["x"]}),
}).filter(bool)  # fmt: skip
ROW = st.fixed_dictionaries({}, optional={
    "x": st.sampled_from(["x", "xy", 1, True, None, ["x"], {}]), "y": st.sampled_from(["x", 1]),
    "k": st.sampled_from([{"z": "x"}, [{"z": "x"}], "x"]),
})  # fmt: skip
ROW_EVENTS = st.fixed_dictionaries({}, optional={
    "a": st.sampled_from(["x", "y", 1, ["x", 1], []]),
    "e": st.lists(st.one_of(ROW, st.lists(ROW, max_size=2), st.just("x")), max_size=3),
    "f": st.one_of(ROW, st.lists(ROW, max_size=2)),
})  # fmt: skip


def index_of(patterns: list[dict[str, Any]]) -> Index:
    """
    Return an index of some patterns, by their numbers.
    """
    ways = [Way(number, way.leaves) for number, pattern in enumerate(patterns) for way in Pattern.compile(pattern).ways]
    return Index(ways, len(patterns))


def agree(patterns: list[dict[str, Any]], event: dict[str, Any]) -> bool:
    """
    Tell whether all ways of matching find the same patterns as each pattern by itself; each is asked twice.
    """
    index = index_of(patterns)
    expected = [number for number, pattern in enumerate(patterns) if Pattern.compile(pattern).matches(event)]
    text = json.dumps(event).encode()
    answers = [
        answer
        for _ in range(2)
        for answer in (
            index.of_unusual(event),
            index.of_event(event),
            index.of_text(text),
            index.of_text(text.decode()),
        )
    ]
    return all(list(answer) == expected for answer in answers)


@given(st.lists(PATTERNS, min_size=1, max_size=3), EVENTS)
@settings(max_examples=150, deadline=None)
def test_every_way_of_matching_agrees(patterns: list[dict[str, Any]], event: dict[str, Any]) -> None:
    """
    They agree on any patterns and events.
    """
    assert agree(patterns, event)


@given(st.lists(st.one_of(ROW_PATTERNS, ARRAY_PATTERNS), min_size=1, max_size=3), st.one_of(ROW_EVENTS, ARRAY_EVENTS))
@settings(max_examples=300, deadline=None)
def test_every_way_of_matching_agrees_on_arrays(patterns: list[dict[str, Any]], event: dict[str, Any]) -> None:
    """
    They agree where arrays of objects lie on the paths, and arrays in these.
    """
    assert agree(patterns, event)


@given(st.lists(ROW_PATTERNS, min_size=9, max_size=12), ROW_EVENTS)
@settings(max_examples=100, deadline=None)
def test_every_way_of_matching_agrees_on_filed_ways(patterns: list[dict[str, Any]], event: dict[str, Any]) -> None:
    """
    They agree where there are so many patterns that they are looked up by their exact values.
    """
    assert agree(patterns, event)


KEYS = st.text(alphabet="ab.\\\"'{}\n\u2028\x00é%$", min_size=1, max_size=4).filter(lambda key: key != "$or")


@given(KEYS, KEYS, st.sampled_from(["x", "y"]))
@settings(max_examples=200, deadline=None)
def test_any_key_can_be_written_out(outer: str, inner: str, value: str) -> None:
    """
    Quotes, brackets and line breaks in keys are letters as others are.
    """
    pattern = Pattern.compile({outer: {inner: ["x"]}})

    events: list[dict[str, Any]] = [{outer: {inner: value}}, {outer: [{inner: value}]}, {f"{outer}.{inner}": value}]
    for event in events:
        assert pattern.matches(event) is (value == "x")
        assert pattern.matches_json(json.dumps(event)) is (value == "x")


@given(
    PATTERNS,
    st.lists(st.tuples(st.sampled_from(["a", "b", "c", "a.b", "\\u0061"]), VALUES), max_size=5),
)
@settings(max_examples=200, deadline=None)
def test_texts_match_as_what_they_decode_to(pattern: dict[str, Any], pairs: list[tuple[str, Any]]) -> None:
    """
    A text with equal keys, the same key spelled otherwise and odd spaces matches as what it decodes to.
    """
    text = "{" + " , ".join(f'"{key}" :\t{json.dumps(value)}' for key, value in pairs) + "\n}"
    compiled = Pattern.compile(pattern)

    assert compiled.matches(json.loads(text)) is compiled.matches_json(text)


def test_function_reads_as_documented() -> None:
    """
    The function in the documentation of `program` is the one that is written.
    """
    patterns: list[dict[str, Any]] = [{"source": ["x"]}, {"source": ["y"], "detail": {"size": [1]}}]
    ways = [Way(number, way.leaves) for number, one in enumerate(patterns) for way in Pattern.compile(one).ways]
    paths = ("source", "detail.size")
    shape = shape_of(paths)
    assert shape is not None
    plan = Plan(prepared(ways, paths), shape.tree, 2, of_text=False, searched=frozenset(), longest=0, most_rows=0)
    program = _Program(plan)
    program.read(shape.tree, "event", "return arrays(event)")
    program.check(range(2), f"return lists({program.values})")
    program.finished()
    documented = (program_module.__doc__ or "").split("it reads\n\n")[1].split("\n\nwhere")[0]

    assert documented.splitlines() == [f"    {line}" for line in program._lines]


@pytest.mark.parametrize("number", [1, 9, 200, 300])
def test_many_paths(number: int) -> None:
    """
    Rules that look at more keys than a function is written for are found all the same.
    """
    index = index_of([{"detail": {f"k{key}": ["x"]}} for key in range(number)])
    event = {"detail": {f"k{number - 1}": "x", "other": 1}}

    assert (number > MOST_KEYS) is (index.shape is None)
    assert index.of_event(event) == [number - 1]
    assert index.of_text(json.dumps(event)) == [number - 1]


def test_paths_that_go_on_behind_an_end() -> None:
    """
    A path that ends where another goes on is found, whichever the event has.
    """
    index = index_of([{"a": ["x"]}, {"a": {"b": ["x"]}}])

    assert index.of_event({"a": "x"}) == [0]
    assert index.of_event({"a": {"b": "x"}}) == [1]
    assert index.of_text('{"a": ["x", {"b": "x"}]}') == [0, 1]
