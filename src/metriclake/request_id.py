"""
Give every request an id, and every answer, problem document and log line of it that id.

It is the caller's where that is 1 to 128 printable ASCII characters without spaces, else a new one.
"""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Awaitable, Callable, Iterable
from contextvars import ContextVar
from urllib.parse import quote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LOG = logging.getLogger(__name__)
_USABLE = re.compile(rb"[\x21-\x7e]{1,128}")
_HEADER = b"x-request-id"
_IN_A_URI = "!$&'()*+,-./:;=?@_~"
_CURRENT: ContextVar[str | None] = ContextVar("request_id", default=None)

Answer = Callable[[Request, Exception], Awaitable[Response]]


def current() -> str | None:
    """
    Return the id of the request that is being answered, None outside of one.
    """
    return _CURRENT.get()


def instance() -> str | None:
    """
    Return the id as a problem document's `instance`, in which it must be a URI's part.
    """
    found = _CURRENT.get()
    return None if found is None else f"urn:request:{quote(found, safe=_IN_A_URI)}"


def chosen(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """
    Return the caller's id where it is usable, else a new one.
    """
    for name, value in headers:
        if name == _HEADER and _USABLE.fullmatch(value):
            return value.decode("ascii")
    return secrets.token_hex(16)


class RequestIds:
    """
    The middleware around all routes. What no handler has answered is logged with the id and answered here.
    """

    def __init__(self, app: ASGIApp, on_error: Answer) -> None:
        """
        `on_error` answers what no handler has.
        """
        self._app = app
        self._on_error = on_error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """
        Answer a request.
        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        chosen_id = chosen(scope["headers"])
        answer = _Answer(send, chosen_id.encode("ascii"))
        before = _CURRENT.set(chosen_id)
        try:
            await self._app(scope, receive, answer)
        except ClientDisconnect:
            _LOG.info("a caller went away before its request was read", extra={"path": scope["path"]})
        except Exception as error:
            _LOG.exception("a request failed", extra={"path": scope["path"]})
            if answer.started:
                raise
            await (await self._on_error(Request(scope), error))(scope, receive, answer)
        finally:
            _CURRENT.reset(before)


class _Answer:
    """
    The way back, on which the id goes into the headers.
    """

    __slots__ = ("_id", "_send", "started")

    def __init__(self, send: Send, request_id: bytes) -> None:
        self._send = send
        self._id = request_id
        self.started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            message["headers"] = [*message.get("headers", ()), (_HEADER, self._id)]
        await self._send(message)
