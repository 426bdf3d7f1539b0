"""
What the linter warns of, and that what it says is true.
"""

from __future__ import annotations

import json
import re
import time
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from metriclake._errors import InvalidPattern
from metriclake.pipeline import LoadedPipeline, parse
from metriclake.rules import Pattern, Trap, traps
from metriclake.rules.envelope import ALWAYS, PATTERN_KEYS

DOCS = Path(__file__).parents[2] / "docs"
CASES = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "cases" / "lint.jsonl").read_text(encoding="utf-8").splitlines()
]
SHORT_FORM = {"metadata": {"tenant_id": "$.detail.tenant_id"}, "data": {"event_time": "$.time"}}
PARTS = ("bus", "pattern", "metadata", "data", "input_path", "input_paths", "input_template")
SHOWN = [row for row in CASES if row.get("shows")]


def loaded(row: dict[str, Any]) -> LoadedPipeline:
    """
    Read the pipeline file that a row's metric makes.
    """
    metric = {part: row[part] for part in PARTS if part in row}
    if not metric.keys() & {"metadata", "input_path", "input_template"}:
        metric |= SHORT_FORM
    return parse(yaml.safe_dump({"metrics": {"m": metric}}, sort_keys=False), Path("p.yaml"), {})


def found_in(row: dict[str, Any]) -> tuple[Trap, ...]:
    """
    Return the traps of a row's metric.
    """
    return traps("m", loaded(row).pipeline.metrics["m"])


@pytest.mark.parametrize("row", CASES, ids=lambda row: row["id"])
def test_truth_table(row: dict[str, Any]) -> None:
    """
    Each metric of the table has exactly these traps, each at its own place, with what happens and what to do.
    """
    found = found_in(row)
    file = loaded(row)

    assert row["traps"] == [[trap.name, ".".join(map(str, trap.keys))] for trap in found]
    assert row.get("says", "") in " ".join(trap.what for trap in found)
    assert row.get("instead", "") in " ".join(trap.instead for trap in found)
    assert all(("metrics", "m", *trap.keys) in file.marks for trap in found)


@pytest.mark.parametrize("row", SHOWN, ids=lambda row: row["id"])
def test_what_is_said_of_patterns_is_so(row: dict[str, Any]) -> None:
    """
    The events of the table match, or do not, as the warning says.
    """
    pattern = Pattern.compile(row["pattern"])

    assert row["shows"] == [[event, pattern.matches(event)] for event, _ in row["shows"]]


def test_table_has_every_trap() -> None:
    """
    Each trap that the linter knows stands in the table, and in the documentation.
    """
    source = Path(str(files("metriclake").joinpath("rules")))
    texts = "".join(path.read_text(encoding="utf-8") for path in source.glob("*_traps.py"))
    known = set(re.findall(r'(?:Trap\(|_NEVER = |_ALL = )"([a-z-]+)"', texts))
    documented = set(re.findall(r"^\| `([a-z-]+)` \|", (DOCS / "linter.md").read_text("utf-8"), re.MULTILINE))

    assert known == {name for row in CASES for name, _ in row["traps"]} == documented


def test_sample_has_no_traps() -> None:
    """
    What `init` writes falls into none of them.
    """
    text = files("metriclake.samples").joinpath("metriclake.yaml").read_text(encoding="utf-8")
    metrics = parse(text, Path("p.yaml"), {}).pipeline.metrics

    assert {name: traps(name, metric) for name, metric in metrics.items() if traps(name, metric)} == {}


def test_large_patterns_are_read_in_time() -> None:
    """
    A pattern of as many ways and paths as there may be costs the linter no more than reading it does.
    """
    branches = {
        f"detail.{name}": {"$or": [{f"{name}{number}": {"b": [number]}} for number in range(10)]} for name in "abc"
    }
    many = {f"x{number}": {"y": [{"exists": False}]} for number in range(200)}
    metric = loaded({"pattern": {"detail": many, **branches}}).pipeline.metrics["m"]
    began = time.process_time()

    assert traps("m", metric) == ()
    assert time.process_time() - began < 3


VALUES: st.SearchStrategy[Any] = st.sampled_from(
    ["a", "", "a*", "true", 1, True, None, {"exists": True}, {"exists": False}, {"prefix": ""}, {"prefix": "a"},
     {"anything-but": "a"}, {"anything-but": ["a", "b"]}, {"numeric": [">", 0]}, {"numeric": ["<", 1]}]
)  # fmt: skip
LEAVES = st.lists(VALUES, min_size=1, max_size=3)
NAMES = st.sampled_from(["source", "source.x", "detail", "a", "a.b", "b", "time", "resources", "bus", "other"])
PATTERNS = st.recursive(
    st.dictionaries(NAMES, LEAVES, min_size=1, max_size=3),
    lambda inner: (
        st.dictionaries(NAMES, LEAVES | inner, min_size=1, max_size=3)
        | st.builds(lambda one, two: {"$or": [one, two]}, inner, inner)
    ),
    max_leaves=4,
)
TEXTS = st.sampled_from(["a", "b", "", "a*", "true"])
SCALARS = TEXTS | st.sampled_from([0, 1, True, None])
DETAILS = st.dictionaries(
    st.sampled_from(["a", "b", "a.b", "source", "detail"]),
    SCALARS | st.dictionaries(st.sampled_from(["a", "b", "x"]), SCALARS, max_size=2),
    max_size=3,
)
EVENTS = st.fixed_dictionaries(
    {"id": TEXTS, "source": TEXTS, "detail-type": TEXTS, "detail": DETAILS},
    optional={"time": TEXTS, "resources": st.lists(TEXTS, max_size=2)},
)


@given(PATTERNS, EVENTS)
@settings(deadline=None)
def test_what_never_matches_never_does(pattern: dict[str, Any], event: dict[str, Any]) -> None:
    """
    Of any pattern without `$or`, where the linter says of a leaf that it never matches, no event matches.
    """
    try:
        compiled = Pattern.compile(pattern)
    except InvalidPattern:
        return
    found = found_in({"pattern": pattern})

    assert ALWAYS <= PATTERN_KEYS
    if "$or" not in json.dumps(pattern) and any(trap.name == "never-matches" for trap in found):
        replaced = any(trap.name == "given-twice" for trap in found)
        assert replaced or not compiled.matches(event)
