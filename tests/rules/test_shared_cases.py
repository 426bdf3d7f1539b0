"""
EventBridge's own answers, where the table of them lies beside the repository.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from metriclake._errors import InvalidPattern
from metriclake.rules import Pattern
from metriclake.rules.matchers import NOT_YET

SHARED = Path(__file__).parents[2].parent / "shared" / "cases"
NOT_YET_WORDS = "is an operator of EventBridge that this version of metriclake does not support yet"


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


def verdict(row: dict[str, Any]) -> str:
    """
    Check one row; return what it was: `matched`, `refused`, `compiled`, or `not yet`.
    """
    text = row.get("pattern_text", row["pattern"])
    try:
        pattern = Pattern.compile(text)
    except InvalidPattern as refused:
        return refusal(row, str(refused).splitlines()[0])

    assert not row.get("error"), row["id"]
    if "matches" not in row:
        return "compiled"
    event = json.loads(row["event_text"]) if "event_text" in row else row["event"]
    assert row.get("parsed_event_result", row["matches"]) == pattern.matches(event), row["id"]
    return "matched"


def refusal(row: dict[str, Any], reason: str) -> str:
    """
    Check one refusal: an operator to come, which the pattern has to hold, or EventBridge's own words.
    """
    if NOT_YET_WORDS in reason:
        assert any(f'"{operator}"' in json.dumps(row["pattern"]) + row.get("pattern_text", "") for operator in NOT_YET)
        return "not yet"
    assert row.get("error"), f"{row['id']}: {reason}"
    assert row["message"].splitlines()[0] == reason, row["id"]
    return "refused"


@pytest.mark.parametrize(
    ("file", "floors"),
    [
        ("patterns.jsonl", {"matched": 1187, "refused": 43}),
        ("patterns_generated.jsonl", {"matched": 724, "refused": 29}),
        ("patterns_valid.jsonl", {"compiled": 357}),
    ],
)
def test_answers_of_eventbridge(file: str, floors: dict[str, int]) -> None:
    """
    Every row that this version can compile gets EventBridge's answer, and no fewer rows than when this was written.
    """
    found = Counter(verdict(row) for row in rows(file))

    assert all(found[what] >= floor for what, floor in floors.items()), found
