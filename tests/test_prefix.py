"""
Firehose's prefixes: every row of the table, and what holds for the random strings.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metriclake._errors import InvalidPipeline
from metriclake.event import DropReason
from metriclake.pipeline import parse
from metriclake.prefix import DATA_PREFIX, ERROR_PREFIX, Moment, layout

CASES = [
    json.loads(line) for line in (Path(__file__).parent / "cases" / "prefixes.jsonl").read_text("utf-8").splitlines()
]
WHEN = datetime(2026, 7, 13, 10, 5, 9, 12_345, UTC)
RANDOM = re.compile(r"[A-Za-z0-9]{11}")


def given_of(case: dict[str, Any]) -> tuple[str, str | None]:
    """
    Return the two prefixes of a case.
    """
    return case.get("prefix", DATA_PREFIX), case.get("error_prefix", ERROR_PREFIX)


def shown(expected: str) -> re.Pattern[str]:
    """
    Return what an evaluated prefix must match.
    """
    return re.compile(re.escape(expected).replace("<random>", RANDOM.pattern))


@pytest.mark.parametrize("case", [case for case in CASES if "faults" not in case], ids=lambda case: case["id"])
def test_evaluated(case: dict[str, Any]) -> None:
    """
    A prefix becomes what Firehose makes of it.
    """
    made = layout(*given_of(case))
    when = datetime.fromisoformat(case["time"]) if "time" in case else WHEN
    moment = Moment(when, "seal", "expired")

    assert {"data", "error"} & set(case)
    assert "data" not in case or shown(case["data"]).fullmatch(made.data(moment)), made.data(moment)
    assert "error" not in case or shown(case["error"]).fullmatch(made.error(moment)), made.error(moment)


@pytest.mark.parametrize("case", [case for case in CASES if "faults" in case], ids=lambda case: case["id"])
def test_refused(case: dict[str, Any]) -> None:
    """
    A prefix that cannot be has exactly these faults, each with its key.
    """
    found: list[tuple[str, str]] = []
    layout(*given_of(case), lambda key, what, _hint: found.append((key, what)))

    assert [key for key, _ in found] == [key for key, _ in case["faults"]], found
    assert all(what.startswith(expected) for (_, what), (_, expected) in zip(found, case["faults"], strict=True)), found


def test_check_says_where_a_prefix_is_wrong() -> None:
    """
    The pipeline file's check has the fault with its place and a hint.
    """
    with pytest.raises(InvalidPipeline) as refused:
        parse("stream:\n  prefix: x/!{timestamp:YYYY}/\n", Path("p.yaml"), {})

    assert str(refused.value).startswith("p.yaml:2:3: !{timestamp:…}: the letter `Y`")
    assert "(letters:" in str(refused.value)


def test_random_strings_differ_by_seal_and_place_and_stay_the_same() -> None:
    """
    Two places, two seals and two prefixes have their own; a second try has the first one's.
    """
    made = layout(
        "!{firehose:random-string}/!{firehose:random-string}/",
        "!{firehose:error-output-type}/!{firehose:random-string}/",
    )
    drawn = [
        text
        for seal in ("a-0-1", "a-0-2")
        for prefix in (made.data(Moment(WHEN, seal)), made.error(Moment(WHEN, seal, "expired")).removeprefix("expired"))
        for text in RANDOM.findall(prefix)
    ]

    assert len(drawn) == len(set(drawn)) == 6
    assert made.data(Moment(WHEN, "a-0-1")) == made.data(Moment(WHEN.replace(year=2027), "a-0-1"))


@given(st.datetimes(datetime(1970, 1, 1), datetime(2106, 1, 1)))  # noqa: DTZ001 - the strategy wants them so
def test_no_moment_is_longer_than_what_check_has_measured(when: datetime) -> None:
    """
    The longest names of days and months are among the moments that check evaluates.
    """
    made = layout("!{timestamp:EEEE-MMMM-d-D-w-H-h-m-s-M}/")

    assert len(made.data(Moment(when.replace(tzinfo=UTC), ""))) <= len("Wednesday-September-30-273-40-22-10-59-59-10/")


@pytest.mark.parametrize("reason", DropReason)
def test_reasons_have_places_of_their_own(reason: DropReason) -> None:
    """
    The default layout keeps each reason apart.
    """
    assert layout().error(Moment(WHEN, "", reason)) == f"Error/{reason}/2026/07/13/10/"
