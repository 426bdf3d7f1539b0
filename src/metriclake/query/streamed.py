"""
An answer that comes in parts as they are made, ends when its client goes away, and is never taken for whole when cut.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send


class Cut(Exception):  # noqa: N818 - it is an end, told by who makes the parts
    """
    Raised between parts: no more of them come, and the client must see that.
    """


class Streamed(StreamingResponse):
    """
    The parts of an async generator. It is closed and `done` is called whatever becomes of the client.
    """

    def __init__(
        self,
        parts: AsyncGenerator[bytes, None],
        done: Callable[[], None],
        headers: Mapping[str, str],
        media_type: str,
    ) -> None:
        """
        Nothing of it is kept by caches.
        """
        super().__init__(parts, headers={"Cache-Control": "no-store", **headers}, media_type=media_type)
        self._parts = parts
        self._done = done

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """
        Answer.
        """
        try:
            async with aclosing(self._parts):
                await super().__call__(scope, receive, send)
        finally:
            self._done()

    async def stream_response(self, send: Send) -> None:
        """
        Send the parts. After a cut the end is never sent: the server closes the connection in the middle of the body.
        """
        try:
            await super().stream_response(send)
        except Cut:
            return
