"""
What a pattern and an event may cost: limits with an error, and work that grows no faster than what there is to see.

Work is counted, never timed: steps, and calls of functions.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from metriclake._errors import EventTooComplex, InvalidPattern
from metriclake.rules import Pattern
from metriclake.rules.arrays import MOST_STEPS
from metriclake.rules.layout import MOST_NESTED_ARRAYS
from metriclake.rules.reader import MOST_CHARACTERS, MOST_COMBINATIONS, MOST_LEVELS, MOST_PATHS


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
    assert Pattern.compile({"a": [10**5000]}).matches({"a": 10**5000}) is False
    with pytest.raises(InvalidPattern, match="Cannot compare number"):
        Pattern.compile('{"a":[' + "9" * 100_000 + "]}")


def test_long_patterns_are_refused() -> None:
    """
    A pattern beyond the limit of characters is refused, as text and decoded.
    """
    long = "x" * MOST_CHARACTERS

    for pattern in (f'{{"a":["{long}"]}}', {"a": [long]}, {"a": ["x"] * MOST_CHARACTERS}, {long: [1]}):
        with pytest.raises(InvalidPattern, match=f"A pattern has {MOST_CHARACTERS} characters at most"):
            Pattern.compile(pattern)


def test_keys_replaced_for_ever_are_refused() -> None:
    """
    A key that is named over and over, behind a thousand ways through `$or`, does not cost its square.
    """
    ten = [{f"k{number}": [1]} for number in range(10)]
    ways = json.dumps({name: {"$or": ten} for name in "abc"})

    with pytest.raises(InvalidPattern, match="replaced too often"):
        Pattern.compile(ways[:-1] + ', "d": [1]' * 5000 + "}")


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


def calls(work: Callable[[], object]) -> int:
    """
    Return how many functions some work calls, Python's own included.
    """
    count = 0

    def see(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    sys.setprofile(see)
    try:
        work()
    except EventTooComplex:
        pass
    finally:
        sys.setprofile(None)
    return count


def growth(pattern: Any, event: Callable[[int], Any], size: int) -> float:
    """
    Return how much more work four times the size makes.
    """
    compiled = Pattern.compile(pattern)
    compiled.matches(event(2))
    small, large = (event(each) for each in (size, 4 * size))
    return calls(lambda: compiled.matches(large)) / calls(lambda: compiled.matches(small))


def test_search_grows_with_elements_not_with_combinations() -> None:
    """
    Names that each match thousands of elements, but never the same, are told apart without trying the pairs.
    """
    pattern = {"e": {"x": [1], "y": [1], "z": [1]}, "f": {"x": [1], "y": [1]}}

    def never(many: int) -> dict[str, Any]:
        elements = [{"x": index % 2, "y": 1 - index % 2, "z": 1} for index in range(many)]
        return {"e": elements, "f": elements}

    assert not Pattern.compile(pattern).matches(never(1000))
    assert growth(pattern, never, 200) < 5


def test_absence_grows_with_elements_not_with_choices() -> None:
    """
    Names that may each be there or not are settled without trying all their combinations.
    """
    names = "pqrstuvw"
    pattern = {"e": {**{name: [{"exists": False}, 1] for name in names}, "x": [1]}}

    def hostile(many: int) -> dict[str, Any]:
        return {"e": [{name: 1 for bit, name in enumerate(names) if index >> bit & 1} for index in range(many)]}

    assert not Pattern.compile(pattern).matches(hostile(256))
    assert growth(pattern, hostile, 64) < 6


def test_ways_share_what_they_look_for() -> None:
    """
    Hundreds of ways through an `$or` look for their values in a large array once, not one after the other.
    """
    ways = [{"e": {"x": [number], "y": [number + 1]}} for number in range(900)]
    event = {"e": [{"x": index % 901, "y": index % 901} for index in range(5000)]}
    few, many = Pattern.compile({"$or": ways[:90]}), Pattern.compile({"$or": ways})

    assert not many.matches(event)
    assert calls(lambda: many.matches(event)) < 4 * calls(lambda: few.matches(event))


def test_large_arrays_stay_within_the_steps() -> None:
    """
    An honest event with a very large array is matched, by a pattern with many ways to match, too.
    """
    ways = [{"e": {"x": [str(number)], "y": [str(number + 1)]}} for number in range(50)]
    event = {"e": [{"x": str(index % 60), "y": str(index % 60), "z": "1"} for index in range(5000)]}

    assert not Pattern.compile({"e": {"z": ["1"]}, "$or": ways}).matches(event)
    assert Pattern.compile({"e": {"z": ["1"]}, "$or": [*ways, {"e": {"x": ["59"], "y": ["59"]}}]}).matches(event)
    assert not Pattern.compile({"e": {"x": ["1"], "y": ["2"]}}).matches({"e": event["e"] * 3})


MANY = 200_000
NAMES = "pqrstuvw"
HOSTILE: dict[str, tuple[Any, Any]] = {
    "scalars": ({"a": [{"prefix": "x"}]}, {"a": ["y"] * MANY}),
    "scalars of no use": ({"a": [{"anything-but": "y"}], "b": [1]}, {"a": ["x"] * MANY}),
    "large integers": ({"a": [{"numeric": [">", 1]}]}, {"a": [-(10**30)] * MANY}),
    "empty objects": ({"a": {"b": [1]}}, {"a": [{}] * MANY}),
    "empty arrays": ({"a": [1]}, {"a": [[]] * MANY}),
    "objects": ({"a": {"b": [1], "c": [1]}}, {"a": [{"b": 1, "c": 2}] * MANY}),
    "absence": ({"a": {"b": [1], "c": [{"exists": False}]}}, {"a": [{"b": 1, "c": 2}] * MANY}),
    "arrays in arrays": ({"a": {"b": [1], "c": [1]}}, {"a": [[[{"b": 1}], [{"c": 1}]] * 300] * 300}),
    "choices": (
        {"e": {name: [{"exists": False}, 1] for name in NAMES}},
        {"e.p": [[1]], "e": [{name: 1 for bit, name in enumerate(NAMES) if index >> bit & 1} for index in range(MANY)]},
    ),
    "tests": ({"a": [{"cidr": f"10.{number}.0.0/16"} for number in range(250)]}, {"a": ["11.0.0.1"] * MANY}),
    "ways": (
        {"$or": [{"e": {"x": [{"prefix": str(number)}], "y": [{"suffix": "q"}]}} for number in range(900)]},
        {"e": [{"x": str(number), "y": "z"} for number in range(20_000)]},
    ),
    "letters": ({"a": [{"wildcard": "*" + "a" * 99 + "b*"}] * 50}, {"a": "a" * 10_000_000}),
    "letters in an array": ({"a": [{"wildcard": "*" + "a" * 99 + "b*"}]}, {"a": ["a" * 20_000] * 1000}),
    "cases of letters": ({"a": [{"equals-ignore-case": "\u00df" * 50_000}]}, {"a": ["\u00df" * 50_000] * 100}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_events_are_given_up_soon(name: str) -> None:
    """
    An event that takes too much is refused with what to do, and by then little more was done than the steps allow.
    """
    pattern, event = HOSTILE[name]
    compiled = Pattern.compile(pattern)

    assert calls(lambda: compiled.matches(event)) < 8 * MOST_STEPS
    with pytest.raises(EventTooComplex, match="Split the event, or the pattern"):
        compiled.matches(event)


def test_shared_tests_are_made_once() -> None:
    """
    A test that all the ways through an `$or` share is made once an event, however many ways there are.
    """
    common = {f"p{number}": [{"prefix": "x"}] for number in range(200)}
    pattern = Pattern.compile({**common, "$or": [{"q": [number]} for number in range(900)]})
    event = {**dict.fromkeys(common, "x"), "q": 1000}
    pattern.matches(event)

    assert calls(lambda: pattern.matches(event)) < 2000


def test_keys_are_looked_up_not_walked() -> None:
    """
    A pattern of many deep paths costs no more than the event has where they lead.
    """
    deep = {f"k{number}": nested(40, [1], key=f"k{number}") for number in range(200)}
    pattern = Pattern.compile(deep)
    event = {"k7": [nested(39, 1, key="k7")], **{f"x{number}": number for number in range(200)}}
    pattern.matches(event)

    assert calls(lambda: pattern.matches(event)) < 20_000
