"""
Which texts are events, and what decoding them may cost.
"""

from __future__ import annotations

import pytest

from metriclake._errors import EventTooComplex, InvalidEvent
from metriclake.rules import Pattern, Rule, RuleSet, Transform
from metriclake.rules.eventtext import MOST_BRACKETS, MOST_BYTES, decode_event

PATTERN = Pattern.compile({"a": ["x"], "e": {"b": [1, {"exists": False}]}})
RULES = RuleSet([Rule("r", "default", PATTERN, Transform.compile({}, {}))])
NO_EVENTS = [b"", b"{", b"[1]", b"5", b'"x"', b"null", b'{"a":x}', b'{"a":"x"}}', '{"a":"\ud800"}', b'{"a":"\xff"}',
             b'{"a":1e999}', b'{"a":' + b"9" * 5000 + b"}", b'{"a":"\\ud800"}', b"\xef\xbb\xbf{}"]  # fmt: skip


@pytest.mark.parametrize("text", NO_EVENTS)
def test_no_events(text: bytes | str) -> None:
    """
    What is no JSON object is refused with an error of this package, by a pattern and by a rule set.
    """
    with pytest.raises(InvalidEvent, match=r"no JSON that can be read|is a JSON object"):
        PATTERN.matches_json(text)
    with pytest.raises(InvalidEvent):
        RULES.matching_json(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b'{"a":"' + b"x" * MOST_BYTES + b'"}', "longer than"),
        ('{"a":"' + "é" * (MOST_BYTES // 2) + '"}', "longer than"),
        (b'{"b":[' + b"[]," * MOST_BRACKETS + b"[]]}", "arrays and objects"),
        (b'{"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}", "nested too deep"),
    ],
)
def test_texts_beyond_the_limits(text: bytes | str, why: str) -> None:
    """
    A text that would take long to decode is refused with its limit.
    """
    with pytest.raises(EventTooComplex, match=why):
        PATTERN.matches_json(text)
    with pytest.raises(EventTooComplex, match=why):
        RULES.matching_json(text)


def test_long_texts_are_decoded_alike() -> None:
    """
    The numbers of a long text are those of a short one.
    """
    numbers = "[1, -0.5, 2.5e-3, 1e22, 1.5e300, 12345678901234567890, 0.1234567890123456789]"
    short = decode_event(f'{{"a": {numbers}}}')
    long = decode_event(f'{{"a": {numbers}, "b": "{"x" * 20_000}"}}')

    assert short["a"] == long["a"]
    assert [type(number) for number in short["a"]] == [type(number) for number in long["a"]]
    with pytest.raises(InvalidEvent, match="out of range"):
        decode_event(f'{{"a": 1e999, "b": "{"x" * 20_000}"}}')


def test_what_no_rule_looks_at_is_not_decoded() -> None:
    """
    Deep nesting beside the paths is only skipped, as far as it can be.
    """
    assert PATTERN.matches_json('{"a": "x", "c": ' + "[" * 500 + "]" * 500 + "}")
    assert RULES.matching_json('{"a": "x", "c": [1e999]}') == [RULES.rules[0]]
