"""
What the query API says about itself in the OpenAPI document; its examples are requests that work.
"""

from __future__ import annotations

from typing import Any

import msgspec

from metriclake.openapi import Answer, Content, Example, Operation
from metriclake.query.described_rows import described_rows
from metriclake.query.filters import MAX_FILTER_VALUES, MAX_FILTERS
from metriclake.query.question import AGGREGATES, COMPARISONS, FILLS, MAX_GROUPS, MAX_LIMIT, MAX_NAME, MAX_QUERIES
from metriclake.store import Bucket
from metriclake.store.selection import BOUNDS


class Column(msgspec.Struct):
    """
    A column of an answer.
    """

    name: str
    type: str
    unit: str | None


class Span(msgspec.Struct, rename={"start": "from", "end": "to"}):
    """
    A period: `from` is inclusive, `to` exclusive.
    """

    start: str
    end: str


class Meta(msgspec.Struct, rename={"start": "from", "end": "to"}):
    """
    What an answer covers, and how fresh it is; `previous` is the period that it is compared with.
    """

    start: str
    end: str
    interval: str
    rollup: bool
    cached: bool
    fresh_as_of: str
    elapsed_ms: float
    previous: Span | None = None


class Answered(msgspec.Struct):
    """
    The answer to a question: `time` where an interval was asked, then the dimensions, `value`, `previous` if compared.
    """

    columns: list[Column]
    rows: list[list[Any]]
    meta: Meta


class CatalogTenant(msgspec.Struct):
    """
    Whose catalogue it is.
    """

    id: str
    name: str | None
    environment: str | None


class CatalogDimension(msgspec.Struct):
    """
    A dimension of a metric.
    """

    name: str


class CatalogMeasure(msgspec.Struct):
    """
    A measure of a metric; several types mean that it has drifted.
    """

    name: str
    type: str
    types: list[str]
    unit: str | None


class CatalogMetric(msgspec.Struct):
    """
    A metric that the tenant has.
    """

    name: str
    first_time: str
    last_time: str
    dimensions: list[CatalogDimension]
    measures: list[CatalogMeasure]


class Catalog(msgspec.Struct):
    """
    What the tenant may ask about.
    """

    tenant: CatalogTenant
    metrics: list[CatalogMetric]


class DashboardFilter(msgspec.Struct):
    """
    A dimension by whose values the reader may filter, and the metrics on the page that have it.
    """

    dimension: str
    title: str
    metrics: list[str]


class DashboardTile(msgspec.Struct):
    """
    A tile: `question` lacks its range and its interval, which is `auto` where the range decides.
    """

    kind: str
    title: str
    description: str | None
    width: int
    height: int
    unit: str | None
    decimals: int | None
    good: str | None
    interval: str
    range: dict[str, str] | None
    question: dict[str, Any]


class DashboardDescription(msgspec.Struct):
    """
    A dashboard for one tenant; `intervals` says which one suits each range, `refresh` is in seconds.
    """

    name: str
    tenant: CatalogTenant
    title: str
    ranges: list[str]
    range: str
    intervals: dict[str, str]
    refresh: float
    filters: list[DashboardFilter]
    tiles: list[DashboardTile]


_MOMENT = {"type": "string", "format": "date-time"}
_TEXTS = {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": MAX_FILTER_VALUES}
_BOUND = {"type": "number", "description": "the value, or the dimension's text read as a number"}
_FILTER: dict[str, Any] = {
    "type": "object",
    "description": "names a dimension or a measure, and one comparison, or a lower and an upper bound",
    "properties": {
        "dimension": {"type": "string", "description": "bounds and `exists` may name a measure here too"},
        "measure": {"type": "string", "description": "takes gt, gte, lt, lte and exists"},
        "in": _TEXTS,
        "not_in": {**_TEXTS, "description": "keeps what lacks the dimension, too"},
        "equals": {"type": "string", "description": "empty text: what lacks the dimension"},
        "prefix": {"type": "string"},
        "exists": {"type": "boolean"},
        **{bound.value: _BOUND for bound in BOUNDS},
    },
    "oneOf": [{"required": ["dimension"]}, {"required": ["measure"]}],
    "additionalProperties": False,
}
_QUESTION: dict[str, Any] = {
    "type": "object",
    "required": ["metric", "range"],
    "properties": {
        "metric": {"type": "string"},
        "measure": {
            "type": ["string", "null"],
            "description": "needed by all aggregates but count and rate; count and unique also take a dimension. A"
            " formula such as `100 * errors / total` is of the sums with sum and rate, else of each event",
        },
        "aggregate": {"enum": list(AGGREGATES), "description": "sum where a measure is named, else count"},
        "range": {
            "oneOf": [
                {"type": "object", "required": ["last"], "properties": {"last": {"pattern": r"^\d{1,6}[mhdw]$"}}},
                {"type": "object", "required": ["from", "to"], "properties": {"from": _MOMENT, "to": _MOMENT}},
            ]
        },
        "interval": {"enum": [bucket.value for bucket in Bucket], "default": "none"},
        "timezone": {"type": "string", "default": "UTC"},
        "group_by": {"type": "array", "items": {"type": "string"}, "maxItems": MAX_GROUPS, "uniqueItems": True},
        "filters": {"type": "array", "items": _FILTER, "maxItems": MAX_FILTERS},
        "fill": {"enum": list(FILLS), "default": "none"},
        "compare": {
            "enum": list(COMPARISONS),
            "default": "none",
            "description": "a column `previous` beside the value, by the position in the period",
        },
        "limit": {
            "type": ["integer", "null"],
            "minimum": 1,
            "maximum": MAX_LIMIT,
            "description": "so many groups, the largest over the whole range; the others are one group named `other`",
        },
    },
    "additionalProperties": False,
}
_QUERIES: dict[str, Any] = {
    "type": "object",
    "required": ["queries"],
    "properties": {
        "queries": {
            "type": "object",
            "description": "questions by their names, answered by one statement",
            "minProperties": 1,
            "maxProperties": MAX_QUERIES,
            "propertyNames": {"maxLength": MAX_NAME},
            "additionalProperties": _QUESTION,
        }
    },
    "additionalProperties": False,
}
_EACH: dict[str, Any] = {
    "type": "object",
    "required": ["queries"],
    "description": "of each name the answer, or the problem document of what is wrong with its question",
    "properties": {
        "queries": {
            "type": "object",
            "additionalProperties": {
                "anyOf": [{"$ref": "#/components/schemas/Answered"}, {"$ref": "#/components/schemas/Problem"}]
            },
        }
    },
}
_LINE: dict[str, Any] = {
    "type": "object",
    "required": ["query"],
    "description": "a line: a question's name, and its answer or the problem document of what is wrong with it",
    "properties": {
        "query": {"type": "string"},
        "answer": {"$ref": "#/components/schemas/Answered"},
        "problem": {"$ref": "#/components/schemas/Problem"},
    },
}
_ASKED: dict[str, Any] = {
    "metric": "findings_opened",
    "range": {"from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"},
    "interval": "day",
    "timezone": "Europe/Berlin",
    "group_by": ["severity"],
    "filters": [{"dimension": "severity", "in": ["high", "critical"]}],
    "fill": "zero",
}
_COMMON = {"metric": "findings_opened", "range": {"last": "30d"}}
_EXAMPLES = (
    Example("by-day", _ASKED),
    Example("rate", {**_COMMON, "aggregate": "rate", "interval": "hour"}),
    Example("unique", {**_COMMON, "measure": "severity", "aggregate": "unique"}),
    Example("filters", {**_COMMON, "filters": [{"dimension": "severity", "not_in": ["low"]},
                                               {"dimension": "severity", "exists": True}]}),
    Example("bounds", {**_COMMON, "measure": "risk", "aggregate": "p95", "filters": [{"measure": "risk", "gte": 5}]}),
    Example("derived", {**_COMMON, "measure": "risk / age_days", "aggregate": "sum", "interval": "week"}),
    Example("compare", {**_COMMON, "interval": "day", "fill": "zero", "compare": "previous_period"}),
    Example("largest", {**_COMMON, "group_by": ["severity"], "limit": 2}),
    Example("dashboard", {"queries": {"by day": _ASKED, "in all": _COMMON, "wrong": {"metric": "no"}}}),
    Example("no-queries", {"queries": {}}, 400),
    Example("unknown-metric", {**_ASKED, "metric": "no"}, 400),
)  # fmt: skip


def described() -> tuple[Operation, ...]:
    """
    Return what there is to say of each route.
    """
    return (
        Operation(
            "/v1/query",
            "post",
            "query",
            "Answer a question about a metric of the token's tenant, or several by their names",
            key="tenantToken",
            takes=(Content("application/json", {"anyOf": [_QUESTION, _QUERIES]}, _EXAMPLES),),
            answers={
                200: Answer(
                    "The answer, or each; of several, for who accepts NDJSON, a line each as they come",
                    ("application/json", "application/x-ndjson"),
                    (Answered, _EACH, _LINE),
                )
            },
            problems=(400, 401, 403, 408, 413, 422, 429, 503),
        ),
        Operation(
            "/v1/dashboards/{dashboard}",
            "get",
            "query",
            "Describe a dashboard to the page that shows it: its tiles with their questions, its ranges and filters",
            key="tenantToken",
            answers={200: Answer("The dashboard", schema=DashboardDescription)},
            problems=(401, 403, 404, 503),
        ),
        Operation(
            "/v1/catalog",
            "get",
            "query",
            "List the tenant's metrics with their dimensions and measures",
            key="tenantToken",
            answers={200: Answer("The catalogue", schema=Catalog)},
            problems=(401, 403, 429, 503),
        ),
        *described_rows(),
    )
