"""
What an export's URL means, and every fault of it.
"""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metriclake._errors import InvalidQuestion
from metriclake.query.wanted import KEYS, FileFormat, Wanted, accepted, extract, file_name, read
from metriclake.store import Condition, Dimension, Metric, Operator

CASES = [
    json.loads(line) for line in (Path(__file__).parents[1] / "cases" / "exports.jsonl").read_text("utf-8").splitlines()
]
NOW = datetime(2026, 7, 1, tzinfo=UTC)
METRICS = {
    name: Metric(name, NOW, NOW, dimensions, ("tenant_plan",), {"size": ("double",)})
    for name, dimensions in (("builds", ("kind",)), ("uploads", ("kind", "severity")))
}


def shown(wanted: Wanted) -> dict[str, Any]:
    """
    Return what is asked for, without what is not.
    """
    found = {
        "form": wanted.form.value,
        "metrics": list(wanted.metrics),
        "last": wanted.last and str(wanted.last),
        "start": wanted.start and str(wanted.start),
        "end": wanted.end and str(wanted.end),
        "filters": {name: list(values) for name, values in wanted.filters.items()},
        "exact": wanted.exact,
    }
    return {key: value for key, value in found.items() if value or key == "metrics"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_parameters_are_read(case: dict[str, Any]) -> None:
    """
    Each row of the table is what a URL asks for, or the places and hints of all its faults.
    """
    parameters = parse_qsl(case["query"], keep_blank_values=True)
    if "faults" in case:
        with pytest.raises(InvalidQuestion) as caught:
            read(parameters, case.get("accept"))
        assert {fault.place: fault.hint for fault in caught.value.faults} == case["faults"]
    else:
        assert shown(read(parameters, case.get("accept"))) == case["wanted"]


@given(parameters=st.lists(st.tuples(st.sampled_from((*KEYS, "x")), st.text(max_size=20))), accept=st.text())
def test_no_url_is_the_servers_fault(parameters: list[tuple[str, str]], accept: str) -> None:
    """
    Whatever stands in a URL is read or refused with faults.
    """
    with suppress(InvalidQuestion):
        assert read(parameters, accept).form in FileFormat


@given(qualities=st.dictionaries(st.sampled_from(FileFormat), st.integers(1, 1000), min_size=1))
def test_the_format_that_is_liked_best_is_sent(qualities: dict[FileFormat, int]) -> None:
    """
    Of several formats in `Accept` the one of the highest quality is chosen.
    """
    header = ", ".join(f"{form.media};q={quality / 1000}" for form, quality in qualities.items())

    assert qualities[accepted(header)] == max(qualities.values())


def test_all_time_is_the_range_where_none_is_asked_for() -> None:
    """
    Without a range everything is exported, with `last` the time back from now; metrics come by name.
    """
    whole = extract(Wanted(FileFormat.CSV), METRICS, 7, NOW)
    some = extract(Wanted(FileFormat.CSV, metrics=("uploads",), last=timedelta(days=30)), METRICS, 7, NOW)

    assert (whole.start.year, whole.end.year, whole.upto) == (1970, 2100, 7)
    assert [metric.name for metric in whole.metrics] == ["builds", "uploads"]
    assert (some.start, some.end) == (NOW - timedelta(days=30), NOW)
    assert [metric.name for metric in some.metrics] == ["uploads"]


@pytest.mark.parametrize(
    ("wanted", "faults"),
    [
        (Wanted(FileFormat.CSV, metrics=("upload",)), {"metric": "did you mean `uploads`?"}),
        (Wanted(FileFormat.CSV, metrics=("a\0", "uploads")), {"metric": "see GET /v1/catalog"}),
        (Wanted(FileFormat.CSV, filters={"sevrity": ("x",)}), {"filter": "did you mean `severity`?"}),
        (
            Wanted(FileFormat.CSV, metrics=("builds",), filters={"severity": ("x",)}),
            {"filter": "see GET /v1/catalog"},
        ),
    ],
)
def test_names_that_are_not_there_are_faults(wanted: Wanted, faults: dict[str, str]) -> None:
    """
    A metric that the tenant has not, and a dimension that none of the metrics has, are refused with the nearest.
    """
    with pytest.raises(InvalidQuestion) as caught:
        extract(wanted, METRICS, 7, NOW)

    assert {fault.place: fault.hint for fault in caught.value.faults} == faults


def test_a_filter_may_be_put_to_a_part_of_the_metrics() -> None:
    """
    A dimension that one of the metrics has, or an attribute, is enough.
    """
    found = extract(Wanted(FileFormat.CSV, filters={"severity": ("high",), "tenant_plan": ("paid",)}), METRICS, 7, NOW)

    assert found.conditions == (
        Condition(Dimension("severity"), Operator.IN, ("high",)),
        Condition(Dimension("tenant_plan"), Operator.IN, ("paid",)),
    )


def test_more_columns_than_a_file_can_have_are_refused() -> None:
    """
    A table over metrics without end in width is refused with a way out.
    """
    wide = {name: Metric(name, NOW, NOW, tuple(f"{name}{index}" for index in range(1500))) for name in ("a", "b")}

    assert len(extract(Wanted(FileFormat.CSV, metrics=("a",)), wide, 7, NOW).columns) == 1503
    with pytest.raises(InvalidQuestion, match="name some metrics"):
        extract(Wanted(FileFormat.CSV), wide, 7, NOW)


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        (Wanted(FileFormat.CSV), "a-b_metrics.csv"),
        (Wanted(FileFormat.ARROW, metrics=("x.y:z",)), "a-b_x.y-z.arrow"),
        (
            Wanted(FileFormat.PARQUET, metrics=("x", "y"), last=timedelta(1)),
            "a-b_metrics_2026-06-30_2026-07-01.parquet",
        ),
    ],
)
def test_a_files_name_says_what_it_is(wanted: Wanted, name: str) -> None:
    """
    The tenant, the metric and the range stand in the name, in letters that every system takes.
    """
    assert file_name(wanted, "a|b", (NOW - timedelta(1), NOW)) == name
