"""
EventBridge's own answers, where the table of them lies beside the repository.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from metriclake._errors import InvalidPattern
from metriclake.rules import EVENTBRIDGE_MOST_COMPLEX, Pattern

SHARED = Path(__file__).parents[2].parent / "shared" / "cases"


def rows(file: str) -> Iterator[dict[str, Any]]:
    """
    Yield the rows of a table that speak of patterns; skip the test where the table is not there.
    """
    if not (SHARED / file).exists():
        pytest.skip(f"the table {file} of EventBridge's answers is not beside this repository")
    for line in (SHARED / file).read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if "quirk" not in row and "api" not in row:
            yield row


def check(row: dict[str, Any], pattern: Any, event: Any) -> None:
    """
    Check one row: its refusal by the first line, its answer, and the complexity of its wildcards.
    """
    limit = EVENTBRIDGE_MOST_COMPLEX if "too complex" in row.get("message", "") else None
    if row.get("error"):
        with pytest.raises(InvalidPattern) as refused:
            Pattern.compile(pattern, most_complex=limit)
        assert row["message"].splitlines()[0] == refused.value.reason, row["id"]
        assert refused.value.hint, row["id"]
        assert (refused.value.line is None) == (not isinstance(pattern, str) or limit is not None), row["id"]
        return
    compiled = Pattern.compile(pattern)
    if "matches" in row:
        assert row.get("parsed_event_result", row["matches"]) == compiled.matches(event), row["id"]
    if "complexity" in row:
        assert row["complexity"] == compiled.wildcard_complexity, row["id"]


@pytest.mark.parametrize("file", ["patterns.jsonl", "patterns_generated.jsonl", "patterns_valid.jsonl"])
def test_answers_of_eventbridge(file: str) -> None:
    """
    Every row gets EventBridge's answer, its pattern and event given as the texts that they were.
    """
    for row in rows(file):
        event = json.loads(row["event_text"]) if "event_text" in row else row.get("event")
        check(row, row["pattern_text"] if "pattern_text" in row else json.dumps(row["pattern"]), event)


@pytest.mark.parametrize("file", ["patterns.jsonl", "patterns_generated.jsonl", "patterns_valid.jsonl"])
def test_answers_to_decoded_patterns(file: str) -> None:
    """
    Every row whose text says no more than what it decodes to gets the same answer for the decoded pattern.
    """
    for row in rows(file):
        if "pattern_text" not in row:
            check(row, row["pattern"], row.get("event"))
