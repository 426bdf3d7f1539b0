"""
Which rules an event matches, and that the index changes nothing but the cost.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metriclake.rules import Pattern, Rule, RuleSet, Transform
from metriclake.rules.leaf import Leaf
from metriclake.rules.ways import Way

NOTHING = Transform.compile({}, {})
WORDS = st.sampled_from(["x", "y", "z"])
ANY_WORD = st.one_of(WORDS, WORDS, st.lists(WORDS, max_size=2), st.none(), st.just([{"source": "x"}]))
LEAVES = st.one_of(
    st.lists(WORDS, min_size=1, max_size=2),
    st.sampled_from(
        [
            [{"prefix": "x"}],
            [{"exists": False}],
            ["x", {"exists": False}],
            [{"anything-but": "y"}],
            ["1.1.1.1"],
            ["x", 1],
        ]
    ),
)
KEYS = st.sampled_from(["source", "detail-type", "detail", "detail.x", "bus", "e.source"])
OBJECTS = st.dictionaries(KEYS, LEAVES, min_size=1)
PATTERNS = st.one_of(
    OBJECTS,
    st.tuples(OBJECTS, st.lists(OBJECTS, min_size=2, max_size=3)).map(lambda pair: {**pair[0], "$or": pair[1]}),
)
EVENTS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "source": ANY_WORD, "detail-type": ANY_WORD, "detail": ANY_WORD,
        "bus": st.sampled_from(["default", "b", "c", None, 1, ["default"], {}]),
        "e": st.just([{"source": "x"}, {"source": "y"}]),
    },
)  # fmt: skip


def rule(name: str, pattern: dict[str, Any], bus: str = "default") -> Rule:
    """
    Return a rule of which only the matching matters.
    """
    return Rule(name, bus, Pattern.compile(pattern), NOTHING)


def names(rules: RuleSet, event: dict[str, Any]) -> list[str]:
    """
    Return the names of the rules that match the event decoded, and as text.
    """
    found = [one.name for one in rules.matching(event)]

    assert found == [one.name for one in rules.matching_json(json.dumps(event))]
    return found


@given(st.lists(st.tuples(PATTERNS, st.sampled_from(["default", "b"])), max_size=6), EVENTS)
@settings(max_examples=300, deadline=None)
def test_index_finds_what_every_rule_finds(patterns: list[tuple[dict[str, Any], str]], event: dict[str, Any]) -> None:
    """
    The rule set gives the rules that match one by one, in their order.
    """
    rules = [rule(str(number), pattern, bus) for number, (pattern, bus) in enumerate(patterns)]
    seen = {key: value for key, value in event.items() if key != "bus"}
    expected = [one.name for one in rules if one.bus == event.get("bus", "default") and one.pattern.matches(seen)]
    ready = RuleSet(rules)

    assert expected == names(ready, event)
    assert expected == names(ready, event)
    assert expected == [verdict.rule.name for verdict in ready.explain(event) if verdict.mismatch is None]


def test_routes_are_forgotten_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    However many sources events have, and however long they are, only so much is remembered of them.
    """
    monkeypatch.setattr("metriclake.rules.ruleset._MOST_ROUTES", 10)
    rules = RuleSet([rule("s", {"source": ["s"]})])

    for number in range(100):
        assert names(rules, {"source": f"{number}" * (1 + 300 * (number % 2)), "detail-type": "t"}) == []
        assert names(rules, {"source": "s", "detail-type": f"{number}"}) == ["s"]
        assert len(rules._routes) <= 10


def test_order_is_the_order_of_definition() -> None:
    """
    Rules found by different keys of the index come in the order they were defined in.
    """
    rules = RuleSet([
        rule("any", {"detail": {"n": [1]}}),
        rule("both", {"source": ["s"], "detail-type": ["t"]}),
        rule("source", {"source": ["s"]}),
        rule("type", {"detail-type": ["t"]}),
        rule("both again", {"source": ["s"], "detail-type": ["t"]}),
    ])  # fmt: skip

    found = names(rules, {"source": "s", "detail-type": "t", "detail": {"n": 1}})

    assert found == ["any", "both", "source", "type", "both again"]


def test_buses_are_apart() -> None:
    """
    A rule sees the events of its own bus only; an event without a bus came by the default one.
    """
    rules = RuleSet([rule("here", {"source": ["s"]}), rule("there", {"source": ["s"]}, "b")])

    assert names(rules, {"source": "s"}) == ["here"]
    assert names(rules, {"source": "s", "bus": "b"}) == ["there"]
    assert names(rules, {"source": "s", "bus": "c"}) == []


def test_patterns_do_not_see_the_bus() -> None:
    """
    EventBridge's envelope has no bus, so a pattern finds none.
    """
    rules = RuleSet([rule("asks", {"bus": ["default"]}), rule("misses", {"bus": [{"exists": False}]})])

    assert names(rules, {"source": "s", "bus": "default"}) == ["misses"]


def test_many_texts_in_one_rule() -> None:
    """
    A rule with more pairs of source and detail-type than the index takes is found all the same.
    """
    many = [str(number) for number in range(300)]
    rules = RuleSet([rule("wide", {"source": many, "detail-type": many})])

    assert names(rules, {"source": "7", "detail-type": "299"}) == ["wide"]
    assert names(rules, {"source": "7", "detail-type": "300"}) == []


def counted(ways: tuple[Way, ...], tested: list[str]) -> tuple[Way, ...]:
    """
    Return ways that tell which paths they test.
    """

    def count(path: str, leaf: Leaf) -> Leaf:
        def accepts(value: object) -> bool:
            tested.append(path)
            return leaf.accepts(value)

        return replace(leaf, accepts=accepts)

    return tuple(Way(way.rule, tuple((path, count(path, leaf)) for path, leaf in way.leaves)) for way in ways)


@pytest.mark.parametrize(
    ("pattern", "event"),
    [
        ({"source": ["s{}"], "detail-type": ["t"]}, {"source": "s7", "detail-type": "t"}),
        ({"source": ["s"], "detail": {"id": ["{}"]}}, {"source": "s", "detail-type": "t", "detail": {"id": "7"}}),
        ({"detail": {"id": ["{}", "x{}"], "n": [1]}}, {"detail": {"id": ["7", "y"], "n": 1}}),
        ({"detail": {"e": {"id": ["{}"], "n": [1]}}}, {"detail": {"e": [{"id": "7", "n": 1}]}}),
    ],
)
def test_unrelated_rules_are_not_tested(pattern: dict[str, Any], event: dict[str, Any]) -> None:
    """
    Of thousands of rules only those are tested that want an exact value which the event has, wherever it lies.
    """
    tested: list[str] = []
    rules = []
    for number in range(3000):
        compiled = Pattern.compile(json.dumps(pattern).replace("{}", str(number)))
        rules.append(Rule(str(number), "default", Pattern(counted(compiled.ways, tested)), NOTHING))
    ready = RuleSet(rules)
    tested.clear()

    assert names(ready, event) == ["7"]
    assert len(tested) <= 4
