"""
What the doors say about themselves in the OpenAPI document; its examples are requests that work.
"""

from __future__ import annotations

from typing import Any

import msgspec

from metriclake.event import DomainEvent
from metriclake.gateway.cloudevents import Mode
from metriclake.gateway.doors import SentMetric
from metriclake.openapi import Answer, Content, Example, Header, Operation


class Rejected(msgspec.Struct):
    """
    An item that was not accepted: where it stood in the request, from 0, and why.
    """

    index: int
    error: str


class Taken(msgspec.Struct):
    """
    What became of a request's items; accepted means durable.
    """

    accepted: int
    rejected: list[Rejected]


_ITEM = {
    "id": "8d3c1c1e",
    "source": "findings",
    "detail-type": "finding-opened",
    "time": "2026-01-31T12:00:00Z",
    "bus": "findings-service-bus",
    "detail": {"tenant_id": "acme", "severity": "high", "created_at": "2026-01-31T12:00:00Z"},
}
_METRIC = {
    "metric_name": "findings_opened",
    "metadata": {"tenant_id": "acme", "event_id": "7f1a", "severity": "low"},
    "data": {"event_time": "2026-01-31T12:00:00Z", "risk": 7.5, "age_days": 30},
}
_CLOUDEVENT: dict[str, Any] = {
    "specversion": "1.0",
    "id": "A234-1234",
    "source": "/findings/scanner",
    "type": "finding-opened",
    "time": "2026-01-31T12:00:00Z",
    "bus": "findings-service-bus",
    "data": {"tenant_id": "acme", "severity": "high", "created_at": "2026-01-31T12:00:00Z"},
}
_DELIVERY = {
    "action": "closed",
    "pull_request": {"merged": True, "merged_at": "2026-01-31T12:00:00Z", "updated_at": "2026-01-31T12:00:00Z"},
    "organization": {"login": "acme"},
    "repository": {"name": "shop"},
}

_CLOUDEVENT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "A CloudEvent 1.0 in the JSON format; further keys are extension attributes.",
    "required": ["specversion", "id", "source", "type"],
    "properties": {
        "specversion": {"const": "1.0"},
        "id": {"type": "string", "minLength": 1, "maxLength": 256},
        "source": {"type": "string", "minLength": 1, "maxLength": 256},
        "type": {"type": "string", "minLength": 1, "maxLength": 256},
        "time": {"type": "string", "format": "date-time"},
        "subject": {"type": "string", "minLength": 1},
        "dataschema": {"type": "string", "format": "uri"},
        "datacontenttype": {"type": "string"},
        "bus": {"type": "string", "minLength": 1, "maxLength": 256, "default": "default"},
        "data": {},
        "data_base64": {"type": "string", "contentEncoding": "base64"},
    },
    "additionalProperties": {"type": ["string", "integer", "boolean", "null"]},
}
_ANSWERS = {
    200: Answer("All were accepted", schema=Taken),
    207: Answer("Some were accepted", schema=Taken),
    400: Answer("None was accepted", schema={"oneOf": [{"$ref": "#/components/schemas/Taken"}, {"type": "object"}]}),
}
_PROBLEMS = (401, 408, 413, 415, 429, 503)


def _lines(*items: Any) -> str:
    return "".join(msgspec.json.encode(item).decode() + "\n" for item in items)


_EVENTS = Operation(
    "/v1/events",
    "post",
    "doors",
    "Take domain events, in EventBridge's shape or as CloudEvents (also in the binary mode, with `ce-` headers)",
    key="ingestKey",
    takes=(
        Content(
            "application/json",
            DomainEvent | list[DomainEvent],
            (
                Example("one", _ITEM),
                Example("several", [_ITEM, {**_ITEM, "id": "8d3c1c1f"}]),
                Example("one-of-two-rejected", [_ITEM, {}], 207),
                Example("rejected", {"source": "findings"}, 400),
            ),
        ),
        Content("application/x-ndjson", {"type": "string"}, (Example("lines", _lines(_ITEM, _ITEM)),)),
        Content(Mode.STRUCTURED, _CLOUDEVENT_SCHEMA, (Example("structured", _CLOUDEVENT),)),
        Content(Mode.BATCH, {"type": "array", "items": _CLOUDEVENT_SCHEMA}, (Example("batch", [_CLOUDEVENT]),)),
    ),
    headers=(
        Header("ce-specversion", "A CloudEvent in the binary mode: its version", "1.0"),
        Header("ce-id", "its id, unique within its source", "A234-1234"),
        Header("ce-source", "its source", "/findings/scanner"),
        Header("ce-type", "its type", "finding-opened"),
    ),
    answers=_ANSWERS,
    problems=_PROBLEMS,
)
_METRICS = Operation(
    "/v1/metrics",
    "post",
    "doors",
    "Take metric events in the unified schema",
    key="ingestKey",
    takes=(
        Content(
            "application/json", SentMetric | list[SentMetric], (Example("one", _METRIC), Example("several", [_METRIC]))
        ),
        Content("application/x-ndjson", {"type": "string"}, (Example("lines", _lines(_METRIC)),)),
    ),
    answers=_ANSWERS,
    problems=_PROBLEMS,
)
_GITHUB = Operation(
    "/v1/webhooks/github",
    "post",
    "doors",
    "Take a GitHub webhook delivery",
    key="githubSignature",
    takes=(Content("application/json", {"type": "object"}, (Example("merged", _DELIVERY),)),),
    headers=(
        Header("X-GitHub-Event", "The event's name", "pull_request", required=True),
        Header("X-GitHub-Delivery", "The delivery's id", "72d3162e-cc78-11e3-81ab-4c9367dc0958", required=True),
    ),
    answers=_ANSWERS,
    problems=_PROBLEMS,
)


def described() -> tuple[Operation, ...]:
    """
    Return what there is to say of each door.
    """
    return (_EVENTS, _METRICS, _GITHUB)
