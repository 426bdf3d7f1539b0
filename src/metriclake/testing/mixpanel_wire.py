"""
Read what is sent to Mixpanel, and write what it answers. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

import msgspec

from metriclake.testing.loopback import Answer
from metriclake.testing.mixpanel_events import Fault
from metriclake.testing.record import Rule
from metriclake.testing.twin import Asked, as_json

_PAGE = "Mixpanel, Import Events, 2026-08-21"
_OPENAPI = "Mixpanel, Ingestion API (OpenAPI), 2026-08-21"

FORMATS = Rule(
    "mixpanel-formats", "/import takes application/json, an array, and application/x-ndjson", f"{_PAGE}: Request Format"
)
FORM = Rule("mixpanel-form", "/import takes a form with data as well, which is what the library for Python sends")
UNREADABLE = Rule(
    "mixpanel-unreadable", "400, and nothing is there, where the body is no array of JSON that holds anything"
)
GZIP = Rule("mixpanel-gzip", "a body may be compressed with gzip", f"{_PAGE}: Request Format")
ALL_GOOD = Rule(
    "mixpanel-imported",
    "200 with num_records_imported where all are taken; it has no error, which the library for Python looks for",
    f"{_OPENAPI}: StrictReceived",
)
PARTLY = Rule(
    "mixpanel-partly",
    "strict=1: 400 where any event fails, with failed_records and num_records_imported; the others are there",
    f"{_PAGE}: Validation",
)
FAILED_RECORD = Rule(
    "mixpanel-failed-record",
    "a failed record has index, $insert_id, field and message",
    f"{_PAGE}: Example of a validation error (the OpenAPI sample says insert_id)",
)
NOT_STRICT = Rule("mixpanel-not-strict", "without strict=1: 200, and what fails is left out without a word")
TRACK_ANSWER = Rule(
    "mixpanel-track-answer",
    "/track, /engage and /groups answer 1 if anything is valid, else 0; a wrong token does not show",
    f"{_OPENAPI}: Received",
)
VERBOSE = Rule(
    "mixpanel-verbose", "with verbose=1 the answer is JSON with status, 1 or 0, and error", f"{_OPENAPI}: /track"
)
NO_RETRY_AFTER = Rule("mixpanel-no-retry-after", "a 429 has no Retry-After")

WIRE_RULES = (
    FORMATS, FORM, UNREADABLE, GZIP, ALL_GOOD, PARTLY, FAILED_RECORD, NOT_STRICT, TRACK_ANSWER, VERBOSE, NO_RETRY_AFTER,
)  # fmt: skip

_FORM = "application/x-www-form-urlencoded"
_ERRORS = {
    400: "some data points in the request failed validation",
    401: "Invalid credentials",
    429: "Project exceeded rate limits. Please retry the request with exponential backoff.",
}
_PHRASES = {413: "Request Entity Too Large"}


def failing(status: int, error: str = "") -> Answer:
    """
    Return an answer with `code`, `error` and `status`.
    """
    known = status in HTTPStatus._value2member_map_
    phrase = _PHRASES.get(status, HTTPStatus(status).phrase if known else "Unknown")
    return as_json(status, {"code": status, "error": error or _ERRORS.get(status, phrase), "status": phrase})


def parts(asked: Asked) -> tuple[Sequence[bytes] | None, dict[str, str]]:
    """
    Return the texts of the records of a body, None where it cannot be read, and the other fields of a form.
    """
    match asked.media_type:
        case "application/x-ndjson":
            return [line for line in asked.body.split(b"\n") if line.strip()] or None, {}
        case "application/json":
            return _array(asked.body), {}
        case media_type if media_type == _FORM:
            return _form(asked.body)
        case _:
            return None, {}


def decoded(text: bytes) -> Any:
    """
    Return what a text is in JSON, None where it is none.
    """
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def imported(count: int, form: dict[str, str], *, strict: bool) -> Answer:
    """
    Return the answer of /import to events of which all, or without `strict` so many, were taken.
    """
    if form.get("verbose") == "1" and not strict:
        return as_json(200, {"error": None, "status": 1})
    return as_json(200, {"code": 200, "num_records_imported": count, "status": "OK"})


def partly(count: int, faults: Sequence[tuple[int, dict[str, Any], Fault]]) -> Answer:
    """
    Return the answer of /import to events of which so many were taken, and others not.
    """
    failed = [
        {"index": index, "$insert_id": _insert_id(event), "field": fault.field, "message": fault.message}
        for index, event, fault in faults
    ]
    return as_json(
        400,
        {
            "code": 400,
            "error": _ERRORS[400],
            "failed_records": failed,
            "num_records_imported": count,
            "status": "Bad Request",
        },
    )


def received(asked: Asked, form: dict[str, str], *, valid: bool) -> Answer:
    """
    Return the answer of the other paths.
    """
    if "1" in (form.get("verbose"), asked.query.get("verbose")):
        return as_json(200, {"error": None if valid else "no valid record in the request", "status": int(valid)})
    return Answer(200, {"Content-Type": "text/plain"}, b"1" if valid else b"0")


def _form(body: bytes) -> tuple[Sequence[bytes] | None, dict[str, str]]:
    try:
        fields = {name: values[-1] for name, values in parse_qs(body.decode(), max_num_fields=100).items()}
    except (UnicodeDecodeError, ValueError):
        return None, {}
    data = fields.pop("data", "").encode()
    return ([data] if isinstance(decoded(data), dict) else _array(data)), fields


def _array(text: bytes) -> Sequence[bytes] | None:
    """
    Return the texts of what an array holds, if it is one that holds anything.
    """
    try:
        return [bytes(part) for part in msgspec.json.decode(text, type=list[msgspec.Raw])] or None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _insert_id(event: dict[str, Any]) -> Any:
    properties = event.get("properties")
    return properties.get("$insert_id", "") if isinstance(properties, dict) else ""
