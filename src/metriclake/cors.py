"""
Let pages of other origins ask what tenants ask: those that the pipeline file names, and no others.

The token travels as a bearer header that the page sets itself, never as a cookie: nothing is sent along by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_METHODS: Final = "GET, POST"
_HEADERS: Final = "authorization, content-type, last-event-id"
_EXPOSED: Final = "Retry-After, X-Request-Id, Content-Disposition, X-Rows"
_MAX_AGE: Final = "600"


class Cors:
    """
    Cross-origin sharing around an application, on the paths whose first parts are given.
    """

    def __init__(self, app: ASGIApp, allows: Callable[[str], bool], paths: Collection[str]) -> None:
        """
        Stand around `app`; `allows` tells whether pages of an origin may ask, by the pipeline file in force.
        """
        self._app = app
        self._allows = allows
        self._paths = tuple(paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """
        Answer a preflight, and say on every other answer whether the page may read it.
        """
        origin = Headers(scope=scope).get("origin") if scope["type"] == "http" else None
        if origin is None or not self._is_shared(scope["path"]):
            await self._app(scope, receive, send)
            return
        allowed = self._allows(origin)
        if scope["method"] == "OPTIONS":
            await _preflight(origin, allowed=allowed)(scope, receive, send)
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.add_vary_header("Origin")
                if allowed:
                    headers["Access-Control-Allow-Origin"] = origin
                    headers["Access-Control-Expose-Headers"] = _EXPOSED
            await send(message)

        await self._app(scope, receive, answer)

    def _is_shared(self, path: str) -> bool:
        return any(path == shared or path.startswith(f"{shared}/") for shared in self._paths)


def _preflight(origin: str, *, allowed: bool) -> Response:
    if not allowed:
        return Response("the pipeline file does not name this origin below `embedding`", 403, {"Vary": "Origin"})
    headers = {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Methods": _METHODS,
        "Access-Control-Allow-Headers": _HEADERS,
        "Access-Control-Max-Age": _MAX_AGE,
        "Vary": "Origin",
    }
    return Response(status_code=204, headers=headers)
