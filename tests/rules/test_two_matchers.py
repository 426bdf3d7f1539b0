"""
The compiled pattern and the plain matcher give one answer.
"""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings

from metriclake.rules import Pattern
from rules.plain_matcher import (  # type: ignore[import-not-found,unused-ignore] # pytest's path, not mypy's
    plainly_matches,
)
from rules.strategies import (  # type: ignore[import-not-found,unused-ignore] # as above
    ARRAY_EVENTS,
    ARRAY_PATTERNS,
    EVENTS,
    LEAVES,
    PATTERNS,
    SCALARS,
)


@given(PATTERNS, EVENTS)
@settings(max_examples=300, deadline=None)
def test_two_matchers_agree(pattern: dict[str, Any], event: dict[str, Any]) -> None:
    """
    They agree on any nesting, `$or`, dots in names and arrays.
    """
    assert plainly_matches(pattern, event) == Pattern.compile(pattern).matches(event)


@given(LEAVES, SCALARS)
@settings(max_examples=300, deadline=None)
def test_two_matchers_agree_on_a_value(leaf: list[Any], value: object) -> None:
    """
    They agree on what each operator says of one value.
    """
    assert plainly_matches({"a": leaf}, {"a": value}) == Pattern.compile({"a": leaf}).matches({"a": value})


@given(ARRAY_PATTERNS, ARRAY_EVENTS)
@settings(max_examples=300, deadline=None)
def test_two_matchers_agree_on_arrays_of_objects(pattern: dict[str, Any], event: dict[str, Any]) -> None:
    """
    They agree where many names share arrays within arrays, absence included.
    """
    assert plainly_matches(pattern, event) == Pattern.compile(pattern).matches(event)


@given(PATTERNS, EVENTS)
@settings(max_examples=100, deadline=None)
def test_text_and_mapping_are_one(pattern: dict[str, Any], event: dict[str, Any]) -> None:
    """
    A pattern means the same as JSON text and decoded.
    """
    from_text = Pattern.compile(json.dumps(pattern))

    assert Pattern.compile(pattern).matches(event) == from_text.matches(event)
