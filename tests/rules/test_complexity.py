"""
EventBridge's measure of wildcards: the figures known of it, and the same by trying every text.
"""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metriclake._errors import InvalidPattern
from metriclake.rules import EVENTBRIDGE_MOST_COMPLEX, Pattern
from metriclake.rules.complexity import complexity_of
from metriclake.rules.wildcards import wildcard_of

KNOWN = {
    "": 1, "no star": 1, "*": 2, "prefix*": 2, "*suffix": 2, "*hello*": 3, "*bbb*": 5, "a*b*c": 3, "a*bc": 2,
    "a*aa": 3, "*データ*": 4, "*オブジェクト*": 4, "次期*": 2, "arn:*:events:*:*:event-bus/*": 8,
    "*:*:*:*:*:event-bus/*": 11,
}  # fmt: skip

State = frozenset[tuple[int, int]]


def by_trying(texts: set[str]) -> int:
    """
    Return the most positions open at once, by following every text of a small alphabet until nothing new is open.
    """
    patterns = [f'"{text}"' for text in texts]
    start: State = frozenset((number, -1) for number in range(len(patterns)))
    seen, waiting, most = {start}, [start], 0
    while waiting:
        state = waiting.pop()
        for char in 'abc"':
            following = after(patterns, state, char)
            most = max(most, len(following))
            if following and following not in seen:
                seen.add(following)
                waiting.append(following)
    return most


def after(patterns: list[str], state: State, char: str) -> State:
    """
    Return the positions open after one more character; a star behind one is open at once.
    """
    stay = {(number, at) for number, at in state if at >= 0 and patterns[number][at] == "*"}
    go = {(number, at + 1) for number, at in state if patterns[number][at + 1 : at + 2] == char}
    stars = {(number, at + 1) for number, at in stay | go if patterns[number][at + 1 : at + 2] == "*"}
    return frozenset(stay | go | stars)


def without_double_stars(text: str) -> str:
    """
    Return a text with one star where several follow one another.
    """
    return "".join(char * (1 if char == "*" else len(list(run))) for char, run in itertools.groupby(text))


@pytest.mark.parametrize("text", KNOWN)
def test_known_figures(text: str) -> None:
    """
    Each wildcard has the complexity that is known of it.
    """
    assert KNOWN[text] == Pattern.compile({"a": [{"wildcard": text}]}).wildcard_complexity


@given(st.sets(st.text(alphabet="ab*c", max_size=7).map(without_double_stars), min_size=1, max_size=3))
@settings(max_examples=200, deadline=None)
def test_measure_is_the_worst_of_all_texts(texts: set[str]) -> None:
    """
    The measure is what trying every text finds, for several patterns of one field as well.
    """
    assert by_trying(texts) == complexity_of(map(wildcard_of, texts))


def test_patterns_of_one_field_are_summed() -> None:
    """
    The wildcards of a field count together, those of `anything-but` too; of several fields the greatest counts.
    """
    three = [{"wildcard": f"*:stack/{name}/*"} for name in "XYZ"]

    assert Pattern.compile({"a": three}).wildcard_complexity == 9
    assert Pattern.compile({"a": [{"anything-but": {"wildcard": ["*x*", "*y*"]}}]}).wildcard_complexity == 6
    assert Pattern.compile({"a": [{"wildcard": "*x*"}], "b": three}).wildcard_complexity == 9
    assert Pattern.compile({"a": ["x"]}).wildcard_complexity == 0


def test_limit_is_held_only_on_request() -> None:
    """
    A complex wildcard compiles; where EventBridge's limit is asked for, it is refused in its words.
    """
    complex_one = {"a": [{"wildcard": "*:*:*:*:*:event-bus/*"}]}

    assert Pattern.compile(complex_one).matches({"a": "1:2:3:4:5:event-bus/6"})
    with pytest.raises(InvalidPattern, match="Rule is too complex - try using fewer wildcard characters"):
        Pattern.compile(complex_one, most_complex=EVENTBRIDGE_MOST_COMPLEX)
    assert Pattern.compile({"a": [{"wildcard": "*x*"}]}, most_complex=3).wildcard_complexity == 3


def test_measuring_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A hostile set of wildcards is measured as far as the allowed work goes.
    """
    many = [wildcard_of("a" * length + "*" + "a" * length + "*") for length in range(1, 60)]
    whole = complexity_of(many)
    monkeypatch.setattr("metriclake.rules.complexity.MOST_WORK", 100)

    assert 1 < complexity_of(many) < whole
