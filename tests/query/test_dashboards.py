"""
What a dashboard asks, what it may be asked, and what is wrong with one.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metriclake.pipeline.dashboard_specs import DashboardSpec, TileSpec
from metriclake.query.dashboards import Permission, check, described, interval_of, questions_of
from metriclake.query.derived import derived
from metriclake.query.question import parse
from metriclake.store import Metric
from query.uploads import METRICS, NOW, UNITS

KINDS = ("line", "area", "bar", "stacked_bar", "donut", "heatmap", "table", "value")
DECLARED = {"uploads": ("tenant_id", "kind", "severity", "event_time", "size", "items"), "scans": None}
RANGES = ["24h", "7d", "30d"]

tiles = st.builds(
    lambda kind, groups, filters, interval, own, limit: TileSpec(
        kind=kind,
        metric="uploads",
        measure="size",
        group_by=[]
        if kind == "value"
        else ["kind", "severity"][: max(groups, 1 if kind in ("donut", "heatmap") else 0)],
        filters=filters,
        interval=interval,
        range=own,
        limit=None if kind == "value" or not groups else limit,
    ),
    st.sampled_from(KINDS),
    st.integers(0, 1),
    st.sampled_from([[], [{"dimension": "severity", "not_in": ["low"]}], [{"measure": "size", "gt": 0, "lte": 9}]]),
    st.sampled_from(["auto", "none", "day"]),
    st.sampled_from([None, "14d"]),
    st.sampled_from([None, 5]),
)
dashboards = st.builds(
    lambda found: DashboardSpec(ranges=RANGES, filters=["kind"], tiles=found), st.lists(tiles, min_size=1, max_size=3)
)
CHOSEN = {"dimension": "kind", "in": ["a"]}
BEYOND: tuple[dict[str, Any], ...] = (
    {"range": {"last": "31d"}},
    {"range": {"from": "2026-06-01T00:00:00Z", "to": "2026-07-01T00:00:00Z"}},
    {"metric": "scans", "measure": None},
    {"aggregate": "max"},
    {"measure": "items"},
    {"interval": "minute"},
    {"group_by": ["event"]},
    {"filters": [{"dimension": "secret", "in": ["a"]}]},
    {"filters": [{"dimension": "kind", "prefix": ""}]},
    {"filters": [{"dimension": "kind", "not_in": ["a"]}]},
    {"group_by": ["kind"], "limit": 1000},
)


@given(dashboards, st.sampled_from(RANGES), st.booleans())
def test_a_dashboard_allows_what_it_asks(dashboard: DashboardSpec, text: str, chosen: bool) -> None:  # noqa: FBT001 - drawn
    """
    Whatever tiles ask can be asked with a token of the dashboard, in any zone, and filtered as its reader may.
    """
    permission = Permission(dashboard)
    for tile in dashboard.tiles:
        for question in questions_of(tile, text):
            filters = [*question.get("filters", []), *([CHOSEN] if chosen else [])]
            assert permission.allows(parse({**question, "timezone": "Asia/Tokyo", "filters": filters}), NOW)


@given(dashboards, st.sampled_from(RANGES), st.sampled_from(BEYOND))
def test_a_dashboard_allows_nothing_else(dashboard: DashboardSpec, text: str, beyond: dict[str, Any]) -> None:
    """
    Another range, metric, aggregate, measure, interval, group or filter than its own is not allowed.
    """
    permission = Permission(dashboard)
    for tile in dashboard.tiles:
        for question in questions_of(tile, text):
            assert not permission.allows(parse({**question, **beyond}), NOW)


@given(dashboards, st.integers(1, 30 * 24), st.integers(1, 30 * 24))
def test_two_times_within_the_longest_range_may_be_chosen(dashboard: DashboardSpec, back: int, hours: int) -> None:
    """
    Of two times is allowed what tiles without a range of their own ask, in the interval that suits; not what is older.
    """
    permission = Permission(dashboard)
    start = NOW - timedelta(hours=back)
    between = {"from": start.isoformat(), "to": (start + timedelta(hours=hours)).isoformat()}
    older = {"from": (NOW - timedelta(days=30, seconds=1)).isoformat(), "to": NOW.isoformat()}

    for tile in dashboard.tiles:
        for question in questions_of(tile, f"{hours}h"):
            allowed = permission.allows(parse({**question, "range": between}), NOW)
            assert allowed or tile.range is not None
            assert not permission.allows(parse({**question, "range": older}), NOW)
            assert not permission.allows(parse({**question, "range": between, "aggregate": "max"}), NOW)


def test_a_filter_may_ask_for_its_values() -> None:
    """
    The values of a dimension that the reader may filter by can be asked for, and of no other.
    """
    dashboard = DashboardSpec(filters=["kind"], tiles=[TileSpec(metric="uploads")])
    values = {"metric": "uploads", "aggregate": "count", "range": {"last": "7d"}, "limit": 50}

    assert Permission(dashboard).allows(parse({**values, "group_by": ["kind"]}), NOW)
    assert not Permission(dashboard).allows(parse({**values, "group_by": ["severity"]}), NOW)
    assert not Permission(dashboard).allows(parse({**values, "group_by": ["kind"], "limit": 51}), NOW)


def test_filters_of_a_tile_cannot_be_left_out() -> None:
    """
    What a tile leaves out of sight stays out of sight.
    """
    hidden = {"dimension": "severity", "not_in": ["low"]}
    dashboard = DashboardSpec(ranges=["7d"], filters=["severity"], tiles=[TileSpec(metric="uploads", filters=[hidden])])
    asked = {"metric": "uploads", "range": {"last": "7d"}, "interval": "day"}
    chosen = {"dimension": "severity", "in": ["low"]}

    assert Permission(dashboard).allows(parse({**asked, "filters": [hidden, chosen]}), NOW)
    assert not Permission(dashboard).allows(parse({**asked, "filters": [chosen]}), NOW)
    assert not Permission(dashboard).allows(parse(asked), NOW)


@pytest.mark.parametrize(
    ("text", "interval"),
    [
        ("60m", "minute"),
        ("6h", "5m"),
        ("24h", "hour"),
        ("2d", "hour"),
        ("30d", "day"),
        ("52w", "week"),
        ("3650d", "month"),
    ],
)
def test_an_interval_suits_its_range(text: str, interval: str) -> None:
    """
    A chart has some dozens of points, whatever its range.
    """
    assert interval_of(text) == interval


@pytest.mark.parametrize(
    ("parts", "place", "said"),
    [
        ({"metric": "upload"}, ("tiles", 0, "metric"), "did you mean `uploads`?"),
        ({"aggregate": "summ", "measure": "size"}, ("tiles", 0, "aggregate"), "did you mean `sum`?"),
        ({"aggregate": "avg"}, ("tiles", 0, "measure"), "needs one"),
        ({"measure": "sise"}, ("tiles", 0, "measure"), "did you mean `size`?"),
        ({"group_by": ["kinds"]}, ("tiles", 0, "group_by"), "did you mean `kind`?"),
        ({"filters": [{"dimension": "kinds", "in": ["a"]}]}, ("tiles", 0, "filters"), "did you mean `kind`?"),
        ({"filters": [{"dimension": "kind"}]}, ("tiles", 0, "filters"), "compares in one way"),
        ({"interval": "dai"}, ("tiles", 0, "interval"), "must be one of: auto, none"),
        ({"range": "30x"}, ("tiles", 0, "range"), "must be a number and one of m, h, d, w"),
        ({"limit": 5}, ("tiles", 0, "limit"), "there are none"),
    ],
)
def test_faults_of_tiles(parts: dict[str, Any], place: tuple[Any, ...], said: str) -> None:
    """
    What cannot be asked is a fault, with its place and the nearest name that there is.
    """
    tile = msgspec.structs.replace(TileSpec(metric="uploads"), **parts)
    ((found, fault),) = check(DashboardSpec(tiles=[tile]), DECLARED)

    assert found == place
    assert said in str(fault)


def test_what_the_file_cannot_know_is_no_fault() -> None:
    """
    Metrics of the metrics door, fields of templates, and what the enrich step adds may be named.
    """
    tiles = [
        TileSpec(metric="wholly_different"),
        TileSpec(metric="scans", measure="anything", group_by=["anything"]),
        TileSpec(metric="uploads", group_by=["tenant_plan"]),
        TileSpec(metric="uploads", measure="100 * size / items"),
    ]

    assert list(check(DashboardSpec(filters=["anything"], tiles=tiles), DECLARED)) == []


def test_faults_of_ranges_and_filters() -> None:
    """
    A range that is none, and a filter by what no tile has, are faults with their places.
    """
    dashboard = DashboardSpec(ranges=["7d", "soon"], filters=["kinds"], tiles=[TileSpec(metric="uploads")])
    found = dict(check(dashboard, DECLARED))

    assert set(found) == {("ranges", 1), ("filters", 0)}
    assert "did you mean `kind`?" in str(found["filters", 0])


def test_a_description_fits_the_tenant() -> None:
    """
    Filters stand by the metrics that have the dimension; titles and sizes are given where the file leaves them out.
    """
    tiles = [TileSpec(metric="uploads", kind="value"), TileSpec(metric="scans", group_by=["kind"], title="Scans")]
    found = described(DashboardSpec(filters=["kind", "tenant_plan", "none"], tiles=tiles), METRICS, None)

    assert [(one["dimension"], one["metrics"]) for one in found["filters"]] == [
        ("kind", ["uploads"]),
        ("tenant_plan", ["uploads"]),
    ]
    assert [(tile["title"], tile["width"], tile["height"]) for tile in found["tiles"]] == [
        ("Uploads", 3, 1),
        ("Scans", 6, 2),
    ]


def test_what_is_made_of_a_catalogue() -> None:
    """
    A metric's first number is added up, or averaged where it is a time or a share, and split by what is telling.
    """
    both: dict[str, tuple[str, ...]] = {"took": ("double",), "score": ("double",)}
    metrics = {
        "uploads": METRICS["uploads"],
        "waits": Metric("waits", NOW, NOW, dimensions=("severity",), measures=both),
        "clicks": Metric("clicks", NOW - timedelta(days=50), NOW - timedelta(days=45)),
    }
    units = {("waits", "took"): "seconds", **UNITS}
    found = derived(metrics, units, NOW)
    charts = {tile.metric: tile for tile in found.tiles if tile.kind != "value"}

    assert (charts["uploads"].kind, charts["uploads"].measure, charts["uploads"].group_by) == (
        "stacked_bar",
        "size",
        ["kind"],
    )
    assert (charts["waits"].kind, charts["waits"].measure, charts["waits"].aggregate) == ("line", "took", "avg")
    assert (charts["clicks"].kind, charts["clicks"].aggregate) == ("bar", "count")
    assert found.range == "30d"
    assert list(check(found, DECLARED)) == []


@pytest.mark.parametrize(("age", "text"), [(1, "30d"), (40, "90d"), (200, "365d"), (2000, "365d")])
def test_a_page_opens_where_something_happened(age: int, text: str) -> None:
    """
    The first range is the shortest of the usual ones that has something in it.
    """
    then = NOW - timedelta(days=age)

    assert derived({"m": Metric("m", then, then)}, {}, NOW).range == text
    assert derived({}, {}, NOW).tiles == []
