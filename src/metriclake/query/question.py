"""
What may be asked: the shape of a question, read from JSON with all its faults at once.

Pure. Whether the metric, dimensions and measure exist for the tenant is decided in `plan`.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import available_timezones

import msgspec

from metriclake._errors import Fault, InvalidQuestion
from metriclake.event import json_kind
from metriclake.query.filters import Filter, read_filters
from metriclake.query.formula import read_formula
from metriclake.store import Aggregate, Bucket, Term

RATE = "rate"
"""A count or a sum, by the second; the store knows only those."""

AGGREGATES = (*(aggregate.value for aggregate in Aggregate), RATE)
FILLS = ("none", "zero", "null")
PREVIOUS_PERIOD = "previous_period"
COMPARISONS = ("none", PREVIOUS_PERIOD)
MAX_GROUPS = 3
MAX_LIMIT = 1000
MAX_QUERIES = 50
MAX_NAME = 100
MAX_SPAN = timedelta(days=3660)
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
"""The engine's intervals start within these; events lie between 1970 and a day from now."""

_KEYS = (
    "metric",
    "measure",
    "aggregate",
    "range",
    "interval",
    "timezone",
    "group_by",
    "filters",
    "fill",
    "compare",
    "limit",
)
_BARE = ("count", RATE)
"""The aggregates that need no measure."""

_LAST = re.compile(r"(\d{1,6})(m|h|d|w)")
_LAST_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True, slots=True)
class Question:
    """
    A question that is well formed: of one metric, over [start, end) or the time back from now.

    The measures within `measure` have no types yet.
    """

    metric: str
    aggregate: str
    last: timedelta | None
    start: datetime | None
    end: datetime | None
    measure: Term | None = None
    bucket: Bucket = Bucket.NONE
    zone: str = "UTC"
    group_by: tuple[str, ...] = ()
    filters: tuple[Filter, ...] = ()
    fill: str = "none"
    compared: bool = False
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """
    A question as far as it could be read, and what was wrong with its shape.
    """

    question: Question
    faults: tuple[Fault, ...] = ()


def parse(value: Any) -> Question:
    """
    Read a question. Raises InvalidQuestion with every fault of its shape.
    """
    draft = read(value)
    if draft.faults:
        raise InvalidQuestion(draft.faults)
    return draft.question


def read(value: Any) -> Draft:
    """
    Read what can be read of a question; `plan` refuses a draft with its faults and those of its names together.
    """
    return _Reader(value).draft()


def read_many(value: dict[str, Any]) -> dict[str, Draft]:
    """
    Read `{"queries": {name: question, ...}}`. Raises InvalidQuestion where that itself is wrong.
    """
    queries = value["queries"]
    faults = [Fault(key[:60], "does not stand beside `queries`") for key in value if key != "queries"]
    if not isinstance(queries, dict) or not 1 <= len(queries) <= MAX_QUERIES:
        faults.append(Fault("queries", f"must be an object of 1 to {MAX_QUERIES} questions by their names"))
    elif max(map(len, queries)) > MAX_NAME:
        faults.append(Fault("queries", f"has a name of more than {MAX_NAME} characters"))
    if faults:
        raise InvalidQuestion(tuple(faults))
    return {name: read(question) for name, question in queries.items()}


class _Reader:
    """
    Take a question apart, noting each fault and going on.
    """

    def __init__(self, value: Any) -> None:
        self.faults: list[Fault] = []
        self.value: dict[str, Any] = value if isinstance(value, dict) else {}
        if not isinstance(value, dict):
            self.fault("question", f"is {json_kind(value)}, it must be an object")

    def fault(self, place: str, what: str, hint: str = "") -> None:
        self.faults.append(Fault(place, what, hint))

    def _faulty(self, place: str) -> bool:
        return any(found.place == place for found in self.faults)

    def draft(self) -> Draft:
        self._keys()
        aggregate = self._aggregate()
        measure = self._measure()
        if measure is None and aggregate not in _BARE and not self._faulty("measure"):
            self.fault("measure", f"is missing: `{aggregate}` needs one", "without one, ask `count` or `rate`")
        last, start, end = self._range()
        question = Question(
            metric=self._metric(),
            aggregate=aggregate,
            last=last,
            start=start,
            end=end,
            measure=measure,
            bucket=self._bucket(),
            zone=self._zone(),
            group_by=self._group_by(),
            filters=self._filters(),
            fill=self._choice("fill", FILLS, "none"),
            compared=self._choice("compare", COMPARISONS, "none") == PREVIOUS_PERIOD,
            limit=self._limit(),
        )
        return Draft(question, tuple(self.faults))

    def _keys(self) -> None:
        for key in self.value:
            if key not in _KEYS:
                near = difflib.get_close_matches(key, _KEYS, n=1)
                self.fault(key[:60], "is not part of a question", f"did you mean `{near[0]}`?" if near else "")

    def _measure(self) -> Term | None:
        text = self._text("measure")
        found = None if text is None else read_formula(text)
        if isinstance(found, Fault):
            self.faults.append(found)
            return None
        return found

    def _metric(self) -> str:
        metric = self._text("metric")
        if metric is None and not self._faulty("metric"):
            self.fault("metric", "is missing", "GET /v1/catalog lists yours")
        return metric or ""

    def _text(self, key: str) -> str | None:
        value = self.value.get(key)
        if value is None or isinstance(value, str):
            return value or None
        self.fault(key, f"is {json_kind(value)}, it must be text")
        return None

    def _choice(self, key: str, options: tuple[str, ...], default: str) -> str:
        value = self.value.get(key, default)
        if isinstance(value, str) and value in options:
            return value
        near = difflib.get_close_matches(value, options, n=1) if isinstance(value, str) else []
        hint = f"did you mean `{near[0]}`?" if near else ""
        self.fault(key, f"must be one of: {', '.join(options)}", hint)
        return default

    def _aggregate(self) -> str:
        default = "sum" if self.value.get("measure") is not None else "count"
        found = self._choice("aggregate", AGGREGATES, default)
        return "count" if self._faulty("aggregate") else found

    def _bucket(self) -> Bucket:
        return Bucket(self._choice("interval", tuple(Bucket), Bucket.NONE))

    def _zone(self) -> str:
        zone, zones = self._text("timezone") or "UTC", _zones()
        if zone not in zones.values():
            near = difflib.get_close_matches(zone.casefold(), zones, n=1)
            hint = f"did you mean `{zones[near[0]]}`?" if near else "such as UTC or Europe/Berlin"
            self.fault("timezone", "is not a time zone", hint)
            return "UTC"
        return zone

    def _range(self) -> tuple[timedelta | None, datetime | None, datetime | None]:
        value = self.value.get("range")
        if not isinstance(value, dict):
            self.fault("range", "is missing" if value is None else "must be an object", 'such as {"last": "30d"}')
            return None, None, None
        unknown = set(value) - {"last", "from", "to"}
        if unknown or ("last" in value) == ("from" in value or "to" in value):
            self.fault("range", "has either `last`, or `from` and `to`")
            return None, None, None
        return self._last(value["last"]) if "last" in value else self._from_to(value)

    def _last(self, value: Any) -> tuple[timedelta | None, None, None]:
        match = _LAST.fullmatch(value) if isinstance(value, str) else None
        last = timedelta(**{_LAST_UNITS[match[2]]: int(match[1])}) if match else timedelta()
        if not timedelta() < last <= MAX_SPAN:
            self.fault("range.last", "must be a number and one of m, h, d, w, up to 10 years", "such as 30d")
            return None, None, None
        return last, None, None

    def _from_to(self, value: dict[str, Any]) -> tuple[None, datetime | None, datetime | None]:
        start, end = self._moment(value, "from"), self._moment(value, "to")
        if start is not None and end is not None and not start < end:
            self.fault("range", "`from` must lie before `to`")
        if start is not None and end is not None and end - start > MAX_SPAN:
            self.fault("range", "is longer than 10 years")
        if (start is not None and start < EARLIEST) or (end is not None and end > LATEST):
            self.fault("range", f"lies outside {EARLIEST:%Y} to {LATEST:%Y}")
        return None, start, end

    def _moment(self, value: dict[str, Any], key: str) -> datetime | None:
        try:
            moment = msgspec.convert(value.get(key), datetime)
        except msgspec.ValidationError:
            moment = None
        if moment is None or moment.tzinfo is None:
            self.fault(f"range.{key}", "must be RFC 3339 text with an offset", "such as 2026-01-31T00:00:00Z")
            return None
        return moment

    def _group_by(self) -> tuple[str, ...]:
        value = self.value.get("group_by", [])
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            self.fault("group_by", "must be a list of dimensions")
            return ()
        if len(value) > MAX_GROUPS or len(set(value)) < len(value):
            self.fault("group_by", f"takes up to {MAX_GROUPS} different dimensions")
        return tuple(value)

    def _limit(self) -> int | None:
        value = self.value.get("limit")
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_LIMIT:
            self.fault("limit", f"must be a whole number from 1 to {MAX_LIMIT}")
            return None
        if self.value.get("group_by") in (None, []):
            self.fault("limit", "keeps the largest groups, and there are none", "name dimensions in `group_by`")
        return value

    def _filters(self) -> tuple[Filter, ...]:
        filters, faults = read_filters(self.value.get("filters", []))
        self.faults += faults
        return filters


@cache
def _zones() -> dict[str, str]:
    """
    Return the time zones by their names in lower case.

    Machines have more: their own, and zones with leap seconds (`right/...`), which the engine does not have.
    """
    return {zone.casefold(): zone for zone in sorted(available_timezones() - {"localtime"})}
