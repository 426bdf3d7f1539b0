"""
The options of `query` become questions.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from metriclake._errors import MetriclakeError
from metriclake.cli.query_commands import filter_of, queries_of, question_of
from metriclake.query import parse

QUESTION = {"metric": "m", "range": {"last": "1d"}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("severity=high", {"dimension": "severity", "in": ["high"]}),
        ("severity=high,critical", {"dimension": "severity", "in": ["high", "critical"]}),
        ("severity=", {"dimension": "severity", "in": [""]}),
        ("severity!=low,", {"dimension": "severity", "not_in": ["low", ""]}),
        ("repo^=acme/a=b", {"dimension": "repo", "prefix": "acme/a=b"}),
        ("time-to-fix >= 1.5", {"dimension": "time-to-fix", "gte": 1.5}),
        ("a>-1", {"dimension": "a", "gt": -1.0}),
        ("a<1e3", {"dimension": "a", "lt": 1000.0}),
        ("a<=0", {"dimension": "a", "lte": 0.0}),
        ("a", {"dimension": "a", "exists": True}),
        (" ! a ", {"dimension": "a", "exists": False}),
        ('{"measure": "a", "gte": 1, "lt": 2}', {"measure": "a", "gte": 1, "lt": 2}),
    ],
)
def test_a_filter_is_written_in_one_word(text: str, expected: dict[str, Any]) -> None:
    """
    Each comparison has a sign of its own, and the question can be asked.
    """
    assert filter_of(text) == expected
    assert parse({**QUESTION, "filters": [expected]}).filters


@pytest.mark.parametrize("text", ["", "=", "=x", "1a=x", "a>x", "a>nan", "a<inf", "a b", "{", "{]", "!a=x", "a~x"])
def test_what_is_no_filter_is_refused(text: str) -> None:
    """
    What cannot be read is not guessed at.
    """
    with pytest.raises(ValueError, match=r"."):
        filter_of(text)


def test_options_become_a_question() -> None:
    """
    What was given stands in the question, what was not is left to its default.
    """
    options = {
        "measure": "x",
        "interval": None,
        "group_by": "a,b",
        "limit": 3,
        "last": "30d",
        "start": None,
        "end": None,
    }
    between = {"last": "30d", "start": "2026-01-01T00:00:00Z", "end": "2026-02-01T00:00:00Z"}

    assert question_of("m", options, [{"dimension": "a", "exists": True}]) == {
        "metric": "m",
        "measure": "x",
        "group_by": ["a", "b"],
        "limit": 3,
        "range": {"last": "30d"},
        "filters": [{"dimension": "a", "exists": True}],
    }
    assert question_of("m", between, [])["range"] == {"from": between["start"], "to": between["end"]}


def test_questions_come_alone_or_as_a_request() -> None:
    """
    A file may hold what the route takes, or only the questions by their names; one of them may be named `queries`.
    """
    for named in ({"a": QUESTION}, {"queries": QUESTION}, {"queries": QUESTION, "b": QUESTION}):
        assert queries_of(json.dumps(named).encode()) == {"queries": named}
    assert queries_of(json.dumps({"queries": {"a": QUESTION}}).encode()) == {"queries": {"a": QUESTION}}


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b"7", b'{"a": NaN}', b"\xff"])
def test_a_file_without_questions_is_refused(text: bytes) -> None:
    """
    What is no object of questions is said to be none, before a server is asked.
    """
    with pytest.raises(MetriclakeError, match="by their names"):
        queries_of(text)
