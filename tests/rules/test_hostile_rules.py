"""
No pattern and no event, however hostile, makes matching fail in another way than by its own errors.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from typing import Any

from metriclake._errors import EventTooComplex, InvalidEvent, InvalidPattern
from metriclake.rules import Pattern
from rules.hostile import Hostile  # type: ignore[import-not-found,unused-ignore] # pytest's path, not mypy's

_MATCHES = int(os.environ.get("METRICLAKE_TORTURE_MATCHES", "300"))
_SECONDS = float(os.environ.get("METRICLAKE_TORTURE_SECONDS", "60"))
_SEED = int(os.environ.get("METRICLAKE_TORTURE_SEED", "1"))
_SIZE = 300_000 if "METRICLAKE_TORTURE_MATCHES" in os.environ else 2000
_EVENTS_A_PATTERN = 5
_MOST_CHARACTERS = 3_000_000


def answer(ask: Any, *arguments: object) -> Any:
    """
    Return an answer, or which of the own errors came instead.
    """
    try:
        return ask(*arguments)
    except (EventTooComplex, InvalidEvent) as error:
        return type(error)


def text_of(event: dict[str, Any]) -> str | None:
    """
    Return an event as JSON; None for one that is too deep or, its parts being shared, too large for that.
    """
    waiting: list[Any] = [event]
    left = _MOST_CHARACTERS
    while waiting and left > 0:
        value = waiting.pop()
        left -= 10 + (len(value) if isinstance(value, str) else 0)
        waiting.extend(value.values() if isinstance(value, dict) else value if isinstance(value, list) else ())
    try:
        return None if waiting else json.dumps(event)
    except RecursionError:
        return None


def test_hostile_patterns_and_events() -> None:
    """
    Each pattern compiles or is refused; each event gets one and the same answer from all who are asked, or is refused.
    """
    hostile = Hostile(_SEED, _SIZE)
    seen: Counter[str] = Counter()
    worst = 0.0
    end = time.monotonic() + _SECONDS
    while sum(seen.values()) < _MATCHES and time.monotonic() < end:
        source = hostile.pattern()
        try:
            pattern = Pattern.compile(source)
        except InvalidPattern:
            seen["refused pattern"] += 1
            continue
        for _ in range(_EVENTS_A_PATTERN):
            event = hostile.event()
            began = time.thread_time()
            decoded = answer(pattern.matches, event)
            worst = max(worst, time.thread_time() - began)
            seen[str(decoded)] += 1
            told = answer(pattern.explain, event)
            assert EventTooComplex in (decoded, told) or decoded is (told is None), (source, event)
            text = text_of(event)
            if text is not None:
                read = answer(pattern.matches_json, text)
                refused = {EventTooComplex, InvalidEvent} & {decoded, read}
                assert refused or decoded is read, (source, event)
                answer(pattern.matches_json, hostile.torn(text).encode(errors="surrogatepass"))

    sys.stdout.write(f"\n{dict(seen)}, the longest match took {worst * 1000:.1f} ms of CPU\n")
    assert seen["True"] > 0
    assert seen["False"] > 0
