"""
When a replay is refused: where a destination would have records twice, with the time from which it would not.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from metriclake.destinations import Capabilities, Repeats
from metriclake.destinations.replaying import refusal
from metriclake.entry import Span

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
HARMLESS = Capabilities(repeats=Repeats.HARMLESS)
DOUBLED = Capabilities(repeats=Repeats.DOUBLED)
DAY = Capabilities(repeats=Repeats.FORGOTTEN, remembers=timedelta(hours=24))
FORGETFUL = Capabilities(repeats=Repeats.FORGOTTEN)


def span(hours: float | None) -> Span:
    """
    Return the span that begins so many hours ago, or at the beginning.
    """
    return Span(None if hours is None else int((NOW - timedelta(hours=hours)).timestamp() * 1_000_000))


@pytest.mark.parametrize(
    ("capabilities", "hours", "words"),
    [
        ({"event": HARMLESS}, None, None),
        ({"event": DAY}, 23, None),
        ({"event": DAY, "company": HARMLESS}, 1, None),
        ({"event": DAY}, 23.1, "safe from 2026-01-30T13:00:00Z"),
        ({"event": DAY}, None, "knows for 24 hours"),
        ({"event": FORGETFUL}, 0.1, "safe from 2026-01-31T12:00:00Z"),
        ({"event": DOUBLED, "company": HARMLESS}, 0, "each time that it is sent (event)"),
    ],
)
def test_refusal_says_why_and_from_when(
    capabilities: dict[str, Capabilities], hours: float | None, words: str | None
) -> None:
    """
    What a destination knows again may be sent again, for as long as it knows it; else the refusal says what would help.
    """
    said = refusal("crm", capabilities, span(hours), NOW)

    assert (said is None) == (words is None)
    assert words is None or words in str(said)
    assert words is None or "--allow-duplicates" in str(said)
