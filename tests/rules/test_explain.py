"""
Why an event does not match: what is told, and that it is true.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from metriclake._errors import EventTooComplex
from metriclake.rules import Mismatch, Pattern, Reason, Rule, RuleSet, Transform
from metriclake.rules.spelling import LONGEST
from rules.plain_matcher import (  # type: ignore[import-not-found,unused-ignore] # pytest's path, not mypy's
    plainly_matches,
    sub_rules,
)
from rules.strategies import (  # type: ignore[import-not-found,unused-ignore] # as above
    ARRAY_EVENTS,
    ARRAY_PATTERNS,
    EVENTS,
    PATTERNS,
)

EVENT = {
    "source": "findings",
    "detail-type": "finding-opened",
    "detail": {
        "severity": "High",
        "count": 5,
        "size": "7",
        "tags": [],
        "name": " ann ",
        "labels": ["a", "b", "c", "d", "d"],
        "items": [{"status": "open", "owner": "ann"}, {"status": "closed", "owner": "bob"}],
    },
}
TOLD = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "cases" / "explanations.jsonl").read_text(encoding="utf-8").splitlines()
]


@pytest.mark.parametrize("row", TOLD, ids=lambda row: row["told"])
def test_what_is_told(row: dict[str, Any]) -> None:
    """
    Each mismatch reads as one sentence that names the key, the value and what was wanted.
    """
    assert row["told"] == str(Pattern.compile(row["pattern"]).explain(EVENT))


def test_first_key_is_the_patterns_first() -> None:
    """
    Of several keys that fail it is the first one as the pattern is written.
    """
    found = Pattern.compile('{"z": ["x"], "a": ["x"]}').explain({"z": "y", "a": "y"})

    assert found == Mismatch("z", Reason.OTHER, '["x"]', ('"y"',), keys=2, satisfied=0)


def test_missing_keys_of_large_patterns_and_events() -> None:
    """
    A key is missing from an event with nothing at all of a large pattern, and from one with too many keys to guess at.
    """
    large = Pattern.compile({f"k{number}": {"x": ["y"]} for number in range(50)})
    many = {f"x{number}": 1 for number in range(5000)}

    assert large.explain({}) == Mismatch("k0.x", Reason.MISSING, '["y"]', keys=50)
    assert large.explain({"K0": 1}) == Mismatch("k0.x", Reason.MISSING, '["y"]', keys=50, hint="there is K0")
    assert large.explain({**many, "K0": 1}) == Mismatch("k0.x", Reason.MISSING, '["y"]', keys=50)


def test_match_is_told_by_nothing() -> None:
    """
    For an event that matches there is nothing to tell.
    """
    assert Pattern.compile({"source": ["findings"]}).explain(EVENT) is None


def test_what_is_shown_is_short() -> None:
    """
    Long leaves, texts and numbers are cut, however long they are.
    """
    pattern = Pattern.compile({"a": [{"prefix": "x" * 1000}, *map(str, range(1000))]})

    for value in ("y" * 10**6, 10**5000, [f"{index}" + "y" * 10**5 for index in range(9)]):
        found = pattern.explain({"a": value})
        assert found is not None
        assert len(str(found)) < 5 * LONGEST


def test_hostile_events_are_refused() -> None:
    """
    An explanation has the limits of a match.
    """
    with pytest.raises(EventTooComplex):
        Pattern.compile({"a": {"b": [1]}}).explain({"a": [{"b": 2}] * 200_000})


def told_truly(pattern: dict[str, Any], event: dict[str, Any], found: Mismatch) -> bool:
    """
    Tell whether a mismatch says what the plain matcher finds of the key by itself, for some way with this key.
    """
    leaves = [way[found.path] for way in sub_rules(pattern, "", [{}]) if found.path in way]
    alone = [plainly_matches({found.path: leaf}, event) for leaf in leaves]
    return any(alone) if found.reason is Reason.APART else not all(alone)


@given(PATTERNS, EVENTS)
@settings(max_examples=200, deadline=None)
def test_what_is_told_is_true(pattern: dict[str, Any], event: dict[str, Any]) -> None:
    """
    Something is told if and only if the event does not match, and the key that is named fails as is told.
    """
    compiled = Pattern.compile(pattern)
    found = compiled.explain(event)

    assert compiled.matches(event) is (found is None)
    assert found is None or told_truly(pattern, event, found)


@given(ARRAY_PATTERNS, ARRAY_EVENTS)
@settings(max_examples=200, deadline=None)
def test_what_is_told_of_arrays_is_true(pattern: dict[str, Any], event: dict[str, Any]) -> None:
    """
    The same holds for arrays of objects.
    """
    compiled = Pattern.compile(pattern)
    found = compiled.explain(event)

    assert compiled.matches(event) is (found is None)
    assert found is None or told_truly(pattern, event, found)


def test_rule_set_explains_every_rule_of_the_bus() -> None:
    """
    Each rule of the event's bus gets its verdict, in order; the bus itself is hidden from patterns.
    """
    nothing = Transform.compile({}, {})
    rules = RuleSet([
        Rule("other bus", "b", Pattern.compile({"source": ["findings"]}), nothing),
        Rule("match", "default", Pattern.compile({"source": ["findings"]}), nothing),
        Rule("bus", "default", Pattern.compile({"bus": ["default"]}), nothing),
    ])  # fmt: skip

    match, bus = rules.explain({**EVENT, "bus": "default"})

    assert (match.rule.name, match.mismatch) == ("match", None)
    assert str(bus.mismatch) == 'bus is missing, and the pattern wants ["default"]'
    assert rules.explain({**EVENT, "bus": "c"}) == ()
