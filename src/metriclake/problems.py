"""
How an error reads on the wire: RFC 9457 problem documents, and which status each of our errors has.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from metriclake._errors import (
    InvalidBody,
    InvalidQuestion,
    InvalidToken,
    JournalError,
    JournalFull,
    MetriclakeError,
    NoRoom,
    NotAllowed,
    OverLimit,
    QuestionTooLarge,
    StoreError,
)
from metriclake.request_id import instance

_LOG = logging.getLogger(__name__)
_RETRY_AFTER_SECONDS = 5


def as_json(value: Any, status: int = 200) -> Response:
    """
    Return a JSON answer that no cache keeps.
    """
    return as_encoded(msgspec.json.encode(value), status)


def as_encoded(body: bytes, status: int = 200) -> Response:
    """
    Return an answer that is JSON already.
    """
    return Response(body, status, {"Cache-Control": "no-store"}, media_type="application/json")


def problem(
    status: int, title: str, detail: str, errors: list[Any] | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """
    Return a problem document; `errors` lists several faults.
    """
    body: dict[str, Any] = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    where = instance()
    if where is not None:
        body["instance"] = where
    if errors:
        body["errors"] = errors
    return Response(
        msgspec.json.encode(body),
        status,
        {"Cache-Control": "no-store", **(headers or {})},
        media_type="application/problem+json",
    )


_RETRY = {"Retry-After": str(_RETRY_AFTER_SECONDS)}
_OF_BODIES = {408: {"Connection": "close"}, 503: {**_RETRY, "Connection": "close"}}
"""The rest of a body that is not read is not awaited either."""
_ANSWERS: tuple[tuple[type[MetriclakeError], int, str, dict[str, str]], ...] = (
    (InvalidToken, 401, "Unauthorized", {"WWW-Authenticate": 'Bearer realm="metriclake"'}),
    (NotAllowed, 403, "Forbidden", {}),
    (InvalidQuestion, 400, "The question cannot be asked", {}),
    (QuestionTooLarge, 422, "The question needs more than it may use", {}),
    (OverLimit, 429, "Too many requests", _RETRY),
    (JournalFull, 429, "Too many requests", _RETRY),
    (NoRoom, 503, "No room", _RETRY),
    (JournalError, 503, "Nothing was accepted", _RETRY),
    (MetriclakeError, 400, "Refused", {}),
)


async def on_error(_request: Request, error: Exception) -> Response:
    """
    Answer one of our errors; of any other, and of the store's, the sender learns only that it happened.
    """
    if isinstance(error, InvalidBody):
        return problem(
            error.status, "The request's body cannot be read", str(error), headers=_OF_BODIES.get(error.status)
        )
    if isinstance(error, StoreError):
        _LOG.error("the store refused a statement", extra={"error": str(error)})
        return problem(503, "The store did not answer", "try again; the server's log says why", headers=_RETRY)
    if isinstance(error, JournalError) and not isinstance(error, JournalFull):
        _LOG.error("the journal did not take a request", extra={"error": str(error)})
    if not isinstance(error, MetriclakeError):
        return problem(500, "Internal error", "the server's log says what happened")
    status, title, headers = _told(error)
    return problem(status, title, str(error), _faults(error), {**headers, **_wait(error)})


def refusal(error: MetriclakeError) -> dict[str, Any]:
    """
    Return one of our errors as a problem document inside of an answer: of one of several questions that were asked.
    """
    status, title, _ = _told(error)
    body = {"type": "about:blank", "title": title, "status": status, "detail": str(error)}
    faults = _faults(error)
    return body if faults is None else {**body, "errors": faults}


def _told(error: MetriclakeError) -> tuple[int, str, dict[str, str]]:
    """
    Return the status, the title and the headers of one of our errors.
    """
    return next((status, title, headers) for kind, status, title, headers in _ANSWERS if isinstance(error, kind))


def _wait(error: MetriclakeError) -> dict[str, str]:
    """
    Return when to come again, where the error itself knows it: whole seconds, at least one.
    """
    return {"Retry-After": str(max(1, error.retry_after))} if isinstance(error, OverLimit | JournalFull) else {}


def _faults(error: MetriclakeError) -> list[dict[str, str]] | None:
    if not isinstance(error, InvalidQuestion | QuestionTooLarge):
        return None
    return [{"place": fault.place, "error": fault.what, "hint": fault.hint} for fault in error.faults]


async def on_gone(_request: Request, _error: Exception) -> Response:
    """
    Answer nobody: the sender has hung up before its body was whole, and nothing of it was accepted.
    """
    return Response(status_code=400)


async def on_http_error(_request: Request, error: Exception) -> Response:
    """
    Answer Starlette's own errors: no such route, no such method.
    """
    status = getattr(error, "status_code", 500)
    detail = str(getattr(error, "detail", "")) or "see /openapi.json"
    return problem(status, detail, detail, headers=dict(getattr(error, "headers", None) or {}))
