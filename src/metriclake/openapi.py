"""
Put the OpenAPI document together of what each stage says about its own routes.

A stage describes an operation beside its `routes()`; schemas come from msgspec's types where there are such. Nothing
here knows a stage's routes but the process's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

Schema = Mapping[str, Any]

_PARAMETER = re.compile(r"\{(\w+)(?::\w+)?\}")
_REFERENCE = "#/components/schemas/{name}"
_SAID = {
    400: "It cannot be read, or nothing of it was accepted",
    401: "The key or token is missing, wrong or expired",
    403: "The key or token does not allow this",
    404: "There is nothing of this name",
    408: "It came too slowly; nothing was accepted",
    413: "It is too large: split it",
    415: "Its type or encoding is not spoken here",
    422: "It needs more than it may: `errors` say which limit, and what to ask instead",
    429: "Come again after `Retry-After` seconds; nothing was done",
    503: "Not now: come again after `Retry-After` seconds",
}
_COMES_AGAIN = frozenset({429, 503})


class Problem(msgspec.Struct):
    """
    A problem document (RFC 9457).
    """

    type: str
    title: str
    status: int
    detail: str
    instance: str | None = None
    errors: list[dict[str, Any]] | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """
    A request that works: its body (text where it is not JSON), and the status that answers it.
    """

    name: str
    value: Any
    status: int = 200


@dataclass(frozen=True, slots=True)
class Content:
    """
    What a body may be: its media type, its schema (a msgspec type or a JSON Schema), and requests that work.
    """

    media: str
    schema: Any
    examples: tuple[Example, ...] = ()


@dataclass(frozen=True, slots=True)
class Header:
    """
    A request's header, with an example.
    """

    name: str
    what: str
    example: str
    required: bool = False


@dataclass(frozen=True, slots=True)
class Parameter:
    """
    A parameter of a URL; with `many` it may stand there several times.
    """

    name: str
    what: str
    schema: Schema = field(default_factory=lambda: {"type": "string"})
    many: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """
    What a status brings: a body of one of these media types, of any kind where there is none, and its own headers.

    Several schemas in a tuple are those that it may have; a header is described by what it says.
    """

    what: str
    media: str | tuple[str, ...] = "application/json"
    schema: Any = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Operation:
    """
    One route and method: who may ask, what it takes, what it answers, and the statuses of its problem documents.

    `key` is one of `ingestKey`, `tenantToken`, `adminKey`, `githubSignature`, or None where nobody is asked for one.
    """

    path: str
    method: str
    tag: str
    summary: str
    key: str | None = None
    takes: tuple[Content, ...] = ()
    headers: tuple[Header, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    answers: Mapping[int, Answer] = field(default_factory=lambda: {200: Answer("Done")})
    problems: tuple[int, ...] = ()


OWN = (
    Operation("/healthz", "get", "health", "Tell whether the process answers"),
    Operation("/readyz", "get", "health", "Tell whether it can accept", problems=(503,)),
    Operation("/openapi.json", "get", "health", "Return this document"),
    Operation(
        "/metrics",
        "get",
        "health",
        "Tell Prometheus how it goes; names no tenant",
        answers={200: Answer("Samples", "text/plain", {"type": "string"})},
    ),
)
"""The routes that are no stage's."""

_KEYS: Mapping[str, Schema] = {
    "ingestKey": {"type": "http", "scheme": "bearer", "description": "`metriclake token ingest`"},
    "tenantToken": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "Minted by your backend with the signing key, or by `metriclake token tenant`",
    },
    "adminKey": {"type": "http", "scheme": "bearer", "description": "`metriclake token admin`"},
    "githubSignature": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Hub-Signature-256",
        "description": "HMAC-SHA256 of the body with `metriclake token github`",
    },
}


def document(version: str, operations: Iterable[Operation]) -> dict[str, Any]:
    """
    Return the OpenAPI 3.1 document of these operations.
    """
    operations = tuple(operations)
    schemas, components = _schemas(operations)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        path = _PARAMETER.sub(r"{\1}", operation.path)
        paths.setdefault(path, {})[operation.method] = _operation(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "metriclake",
            "version": version,
            "summary": "Events in, each customer's own metrics out",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": _KEYS,
            "headers": _HEADERS,
            "responses": {f"Problem{status}": _problem(status, schemas) for status in _SAID},
        },
    }


_HEADERS: Mapping[str, Schema] = {
    "RequestId": {
        "description": "The request's own X-Request-Id where it is usable, else a new one",
        "schema": {"type": "string", "minLength": 1, "maxLength": 128},
    },
    "RetryAfter": {
        "description": "When to come again, in whole seconds",
        "schema": {"type": "integer", "minimum": 1},
    },
}


def _schemas(operations: Iterable[Operation]) -> tuple[dict[int, Schema], dict[str, Any]]:
    """
    Return the schema of each msgspec type in use, by its identity, and the components that they refer to.
    """
    taken = [content.schema for operation in operations for content in operation.takes]
    answered = [answer.schema for operation in operations for answer in operation.answers.values()]
    offered = [one for kind in (*taken, *answered) for one in (kind if isinstance(kind, tuple) else (kind,))]
    found = [kind for kind in offered if not isinstance(kind, dict)]
    types = list({id(kind): kind for kind in (Problem, *found)}.values())
    schemas, components = msgspec.json.schema_components(types, ref_template=_REFERENCE)
    return {id(kind): schema for kind, schema in zip(types, schemas, strict=True)}, components


def _operation(operation: Operation, schemas: Mapping[int, Schema]) -> dict[str, Any]:
    answers = {str(status): _answer(answer, schemas) for status, answer in operation.answers.items()}
    problems = {
        str(status): {"$ref": f"#/components/responses/Problem{status}"}
        for status in operation.problems
        if status not in operation.answers
    }
    described: dict[str, Any] = {
        "operationId": _name(operation),
        "tags": [operation.tag],
        "summary": operation.summary,
        "security": [{operation.key: []}] if operation.key else [],
        "responses": dict(sorted({**answers, **problems}.items())),
    }
    parameters = [
        *_path_parameters(operation.path),
        *map(_parameter, operation.parameters),
        *map(_header, operation.headers),
    ]
    if parameters:
        described["parameters"] = parameters
    if operation.takes:
        described["requestBody"] = {
            "required": True,
            "content": {content.media: _content(content, schemas) for content in operation.takes},
        }
    return described


def _name(operation: Operation) -> str:
    words = re.findall(r"\w+", operation.path.replace(".", "_")) or ["root"]
    return "_".join([operation.method, *words])


def _content(content: Content, schemas: Mapping[int, Schema]) -> dict[str, Any]:
    described: dict[str, Any] = {"schema": _schema(content.schema, schemas)}
    if content.examples:
        described["examples"] = {
            example.name: {"value": example.value, "x-status": example.status} for example in content.examples
        }
    return described


def _answer(answer: Answer, schemas: Mapping[int, Schema]) -> dict[str, Any]:
    medias = (answer.media,) if isinstance(answer.media, str) else answer.media
    content = {media: {"schema": _schema(answer.schema, schemas)} for media in medias}
    own = {name: {"description": what, "schema": {"type": "string"}} for name, what in answer.headers.items()}
    return {"description": answer.what, "headers": {**_headers(), **own}, "content": content}


def _problem(status: int, schemas: Mapping[int, Schema]) -> dict[str, Any]:
    names = {"RetryAfter": "Retry-After"} if status in _COMES_AGAIN else {}
    return {
        "description": _SAID[status],
        "headers": _headers(**names),
        "content": {"application/problem+json": {"schema": _schema(Problem, schemas)}},
    }


def _headers(**more: str) -> dict[str, Any]:
    names = {"RequestId": "X-Request-Id", **more}
    return {header: {"$ref": f"#/components/headers/{name}"} for name, header in names.items()}


def _schema(kind: Any, schemas: Mapping[int, Schema]) -> Schema:
    if isinstance(kind, tuple):
        return {"anyOf": [_schema(one, schemas) for one in kind]}
    found: Schema = kind if isinstance(kind, dict) else schemas[id(kind)]
    return found


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(path)
    ]


def _parameter(parameter: Parameter) -> dict[str, Any]:
    schema = {"type": "array", "items": parameter.schema} if parameter.many else parameter.schema
    return {"name": parameter.name, "in": "query", "description": parameter.what, "schema": schema}


def _header(header: Header) -> dict[str, Any]:
    return {
        "name": header.name,
        "in": "header",
        "required": header.required,
        "description": header.what,
        "schema": {"type": "string"},
        "example": header.example,
    }
