"""
Decide what a dashboard asks: of a tenant's metrics, for what its reader may choose, and nothing else.

Pure. A page asks what `questions_of` says, and a token that is bound to a dashboard may ask only that.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from msgspec import structs

from metriclake._errors import Fault
from metriclake.pipeline.dashboard_specs import DashboardSpec, TileSpec, additive
from metriclake.pipeline.spec import duration
from metriclake.query.filters import Filter
from metriclake.query.question import Question, read
from metriclake.store import Bucket, Metric, Operator

MAX_VALUES = 50
"""The values of a dimension that a filter offers."""

AUTO = "auto"
_APART = str.maketrans(dict.fromkeys("_.:-", " "))
_COLOURS = 8
_LIMITS = {"table": 100, "heatmap": 20}
"""How many groups have names of their own where nothing is said: as many as there are colours, or rows."""

_ENRICHED = "tenant_"
_UNTIMED = ("donut",)
_INTERVALS = (
    (timedelta(minutes=72), "minute"),
    (timedelta(hours=6), "5m"),
    (timedelta(days=2), "hour"),
    (timedelta(days=120), "day"),
    (timedelta(days=900), "week"),
)
_CHOSEN = {"1h": "minute", "6h": "5m", "2d": "hour", "120d": "day", "900d": "week", "1000d": "month"}
"""A range for each interval that suits one: stands for two times that a reader chooses."""
_RANGE = {"last": "1d"}
"""Stands for the range while a tile is judged: which one it is says nothing of its shape."""


Declared = Mapping[str, Iterable[str] | None]
"""The metrics of the pipeline file, each with its fields; None where its rule does not name them."""


def check(dashboard: DashboardSpec, declared: Declared) -> Iterator[tuple[tuple[Any, ...], Fault]]:
    """
    Yield each fault of the questions that a dashboard asks, with its place in the dashboard.

    A metric that the file does not have may come by the metrics door: it is a fault only where another one is meant.
    """
    for index, text in enumerate(dashboard.ranges):
        faults = read({"metric": "m", "range": {"last": text}}).faults
        yield from ((("ranges", index), replace(fault, place="range")) for fault in faults)
    known: set[str] = set()
    for index, tile in enumerate(dashboard.tiles):
        fields = declared.get(tile.metric)
        known.update(fields or ())
        yield from ((("tiles", index, *_key(fault)), fault) for fault in _tile_faults(tile, declared))
    sure = all(declared.get(tile.metric) is not None for tile in dashboard.tiles)
    for index, name in enumerate(dashboard.filters):
        if sure and dashboard.tiles and name not in known and not name.startswith(_ENRICHED):
            yield ("filters", index), _unknown("filters", name, "dimension of these tiles' metrics", known)


def _tile_faults(tile: TileSpec, declared: Declared) -> Iterator[Fault]:
    draft = read({**question_of(tile), "range": {"last": tile.range} if tile.range else _RANGE})
    yield from draft.faults
    if tile.interval != AUTO and tile.interval not in tuple(Bucket):
        yield Fault("interval", f"must be one of: {AUTO}, {', '.join(Bucket)}")
    if tile.metric not in declared:
        near = difflib.get_close_matches(tile.metric, list(declared), n=1)
        if near:
            yield Fault("metric", f"there is no metric `{tile.metric}`", f"did you mean `{near[0]}`?")
        return
    fields = declared[tile.metric]
    if fields is not None and not draft.faults:
        yield from _unknown_names(tile, draft.question, set(fields))


def _unknown_names(tile: TileSpec, question: Question, known: set[str]) -> Iterator[Fault]:
    named = (
        ("group_by", "dimension", question.group_by),
        ("filters", "dimension or measure", tuple(condition.name for condition in question.filters)),
        ("measure", "measure", _names_in(tile.measure)),
    )
    for place, what, names in named:
        for name in names:
            if name not in known and not name.startswith(_ENRICHED):
                yield _unknown(place, name, what, known)


def _names_in(measure: str | None) -> Sequence[str]:
    """
    Return the name in a measure; a formula's names are judged when it is asked.
    """
    return [] if measure is None or any(sign in measure for sign in " +*/()") else [measure]


def _unknown(place: str, name: str, what: str, known: Iterable[str]) -> Fault:
    near = difflib.get_close_matches(name, sorted(known), n=1)
    return Fault(place, f"there is no {what} `{name}`", f"did you mean `{near[0]}`?" if near else "")


def _key(fault: Fault) -> tuple[Any, ...]:
    """
    Return where in a tile a fault of its question stands.
    """
    name = fault.place.partition(".")[0].partition("[")[0]
    return (name,)


def question_of(tile: TileSpec) -> dict[str, Any]:
    """
    Return a tile's question as it goes on the wire, without its range and interval.
    """
    parts = {
        "metric": tile.metric,
        "measure": tile.measure,
        "aggregate": tile.aggregate,
        "group_by": tile.group_by,
        "filters": tile.filters,
        "limit": tile.limit if tile.limit or not tile.group_by else _LIMITS.get(tile.kind, _COLOURS),
        "compare": "previous_period" if tile.compare else None,
    }
    return {key: value for key, value in parts.items() if value not in (None, [])}


def interval_of(text: str) -> str:
    """
    Return the interval in which a range, such as `30d`, has some dozens of points.
    """
    return _interval(duration(text))


def _interval(span: timedelta) -> str:
    return next((interval for most, interval in _INTERVALS if span <= most), "month")


def questions_of(tile: TileSpec, text: str) -> list[dict[str, Any]]:
    """
    Return what a tile asks for a range: one question, of a `value` also its course.
    """
    text = text if tile.range is None else tile.range
    plain = {**question_of(tile), "range": {"last": text}}
    interval = interval_of(text) if tile.interval == AUTO else tile.interval
    timed = {**plain, "interval": interval, "fill": "zero" if additive(tile) else "null"}
    if tile.kind == "value":
        return [{**plain, "compare": "previous_period"}, timed]
    crossed = tile.kind == "heatmap" and len(tile.group_by) > 1
    return [plain if tile.kind in _UNTIMED or crossed else timed]


def metrics_of(dashboard: DashboardSpec) -> frozenset[str]:
    """
    Return the metrics that a dashboard shows.
    """
    return frozenset(tile.metric for tile in dashboard.tiles)


class Permission:
    """
    The questions that a dashboard asks, whatever its reader's time zone and whatever stands in holes.

    Its reader may choose one of the dashboard's ranges, or two times within the longest of them; and of the dimensions
    that it filters by the values to keep.
    """

    def __init__(self, dashboard: DashboardSpec) -> None:
        """
        Work out all that the dashboard asks.
        """
        self._free = frozenset(dashboard.filters)
        self._asked = {
            _essence(read(candidate).question)
            for text in dashboard.ranges
            for candidate in _candidates(dashboard, text)
        }
        self._lengths = {len(question.filters) for question in self._asked}
        self._longest = max(map(duration, dashboard.ranges))
        free = structs.replace(dashboard, tiles=[tile for tile in dashboard.tiles if tile.range is None])
        self._between = {
            interval: frozenset(
                replace(_essence(read(candidate).question), last=None) for candidate in _candidates(free, text)
            )
            for text, interval in _CHOSEN.items()
        }

    def allows(self, question: Question, now: datetime) -> bool:
        """
        Tell whether a question is one of them at this moment.
        """
        asked: Collection[Question] = self._asked
        if question.last is None:
            asked = self._asked_between(question, now)
            question = replace(question, start=None, end=None)
        return any(
            _essence(replace(question, filters=question.filters[:own])) in asked
            and all(self._chosen(condition) for condition in question.filters[own:])
            for own in self._lengths
        )

    def _asked_between(self, question: Question, now: datetime) -> Collection[Question]:
        """
        Return what is asked of two times; nothing where they are not within the longest range.
        """
        start, end = question.start, question.end
        if start is None or end is None or not now - self._longest <= start < end:
            return ()
        return self._between[_interval(end - start)]

    def _chosen(self, condition: Filter) -> bool:
        return condition.name in self._free and condition.operator is Operator.IN and not condition.measured


def _candidates(dashboard: DashboardSpec, text: str) -> Iterator[dict[str, Any]]:
    for tile in dashboard.tiles:
        yield from questions_of(tile, text)
    for metric in metrics_of(dashboard):
        for dimension in dashboard.filters:
            yield _values_of(metric, dimension, text)


def _values_of(metric: str, dimension: str, text: str) -> dict[str, Any]:
    """
    Return the question for the values that a filter offers.
    """
    group = {"group_by": [dimension], "limit": MAX_VALUES}
    return {"metric": metric, "aggregate": "count", "range": {"last": text}, **group}


def _essence(question: Question) -> Question:
    return replace(question, zone="UTC", fill="none")


def described(
    dashboard: DashboardSpec, metrics: Mapping[str, Metric], allowed: frozenset[str] | None
) -> dict[str, Any]:
    """
    Describe a dashboard for the page that shows it to a tenant with these metrics.

    Tiles of metrics that the token does not allow are left out; those of metrics that the tenant has not yet stay.
    """
    tiles = [tile for tile in dashboard.tiles if allowed is None or tile.metric in allowed]
    shown = dict.fromkeys(tile.metric for tile in tiles)
    filters = []
    for name in dashboard.filters:
        having = [one for one in shown if one in metrics and _has(metrics[one], name)]
        if having:
            filters.append({"dimension": name, "title": _words(name), "metrics": having})
    return {
        "title": dashboard.title or "",
        "ranges": dashboard.ranges,
        "range": dashboard.first_range,
        "intervals": {text: interval_of(text) for text in (*dashboard.ranges, *(t.range for t in tiles if t.range))},
        "refresh": duration(dashboard.refresh).total_seconds(),
        "filters": filters,
        "tiles": [_tile(tile) for tile in tiles],
    }


def _has(metric: Metric, dimension: str) -> bool:
    return dimension in metric.dimensions or dimension in metric.attributes


def _tile(tile: TileSpec) -> dict[str, Any]:
    value = tile.kind == "value"
    return {
        "kind": tile.kind,
        "title": tile.title or _title(tile),
        "description": tile.description,
        "width": tile.width or (3 if value else 6),
        "height": tile.height or (1 if value else 2),
        "unit": tile.unit,
        "decimals": tile.decimals,
        "good": tile.good,
        "interval": tile.interval,
        "range": None if tile.range is None else {"last": tile.range},
        "question": question_of(tile),
    }


def _title(tile: TileSpec) -> str:
    by = f" by {_words(tile.group_by[0]).lower()}" if tile.group_by else ""
    return f"{_words(tile.metric)}{by}"


def _words(name: str) -> str:
    """
    Make words of an identifier: pull_requests_merged is "Pull requests merged".
    """
    text = " ".join(name.translate(_APART).split())
    return text[:1].upper() + text[1:]
