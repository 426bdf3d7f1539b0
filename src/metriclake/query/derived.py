"""
Make a dashboard of what a tenant has, for those whose pipeline file has none.

Pure. What is drawn of a metric is guessed from its names and units; who wants it otherwise writes a dashboard.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from metriclake.pipeline.dashboard_specs import COLUMNS, DashboardSpec, TileSpec
from metriclake.query.plan import Units
from metriclake.store import Measure, Metric

RANGES = ("24h", "7d", "30d", "90d", "365d")
MOST_METRICS = 16
_NUMBERS_ABOVE = 4
_GROUPS = 8
_DURATION = re.compile(r"((nano|micro|milli)?seconds?|ns|us|ms|s|minutes?|min|hours?|h|days?|d)", re.IGNORECASE)
_SHARE = re.compile(r"(ratio|fraction|percent|%|score|points)", re.IGNORECASE)
_AVERAGED = re.compile(
    r"(.*_)?(score|ratio|rate|percent|percentage|duration|latency|age|lead_time|seconds|ms)", re.IGNORECASE
)
_TELLING = re.compile(
    r"(.*_)?(severity|priority|status|state|result|outcome|level|type|kind|category|tier)", re.IGNORECASE
)
"""Names of dimensions whose values are usually few and telling."""


def derived(metrics: Mapping[str, Metric], units: Units, now: datetime) -> DashboardSpec:
    """
    Return a dashboard of a tenant's metrics; of one that has none, a dashboard without tiles.
    """
    chosen = list(metrics.values())[:MOST_METRICS]
    numbers = [_number(metric, units) for metric in chosen[:_NUMBERS_ABOVE]] if len(chosen) > 1 else []
    charts = [_chart(metric, units) for metric in chosen]
    alone = len(charts) % 2 == 1
    tiles = [
        *numbers,
        *(msgspec.structs.replace(tile, width=COLUMNS) if alone and tile is charts[0] else tile for tile in charts),
    ]
    return DashboardSpec(ranges=list(RANGES), range=_first_range(chosen, now), tiles=tiles)


def _number(metric: Metric, units: Units) -> TileSpec:
    measure, aggregate = _measure(metric, units)
    return TileSpec(kind="value", metric=metric.name, measure=measure, aggregate=aggregate)


def _chart(metric: Metric, units: Units) -> TileSpec:
    measure, aggregate = _measure(metric, units)
    if aggregate == "avg":
        return TileSpec(kind="line", metric=metric.name, measure=measure, aggregate=aggregate, compare=True)
    group = next((name for name in metric.dimensions if _TELLING.fullmatch(name)), None)
    if group is None:
        return TileSpec(kind="bar", metric=metric.name, measure=measure, aggregate=aggregate)
    return TileSpec(
        kind="stacked_bar",
        metric=metric.name,
        measure=measure,
        aggregate=aggregate,
        group_by=[group],
        limit=_GROUPS,
    )


def _measure(metric: Metric, units: Units) -> tuple[str | None, str]:
    """
    Return what of a metric is shown: its first number in the pipeline file's order, else how many events there are.

    Times and shares are averaged, all else is added up.
    """
    order = [name for owner, name in units if owner == metric.name]
    names = sorted(metric.measures, key=lambda name: (order.index(name) if name in order else len(order), name))
    numbers = [name for name in names if Measure(name, metric.measures[name]).numbers]
    if not numbers:
        return None, "count"
    name = numbers[0]
    unit = units.get((metric.name, name)) or ""
    averaged = _DURATION.fullmatch(unit) or _SHARE.fullmatch(unit) or _AVERAGED.fullmatch(name)
    return name, "avg" if averaged else "sum"


def _first_range(metrics: Sequence[Metric], now: datetime) -> str:
    """
    Return the shortest of the usual ranges in which something has happened, from 30 days on.
    """
    newest = max((metric.last for metric in metrics), default=now)
    spans = (("30d", 30), ("90d", 90), ("365d", 365))
    return next((text for text, days in spans if now - newest < timedelta(days=days)), "365d")
