"""
What the bodies of requests may take, on every route: time for each, and memory for all of them together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from metriclake._errors import InvalidBody
from metriclake.pace import LEAST_BYTES, Pace

_SWEEP_SECONDS = 0.5
"""How often the bodies that are awaited are looked at: a timer for each would cost every request."""


class Intake:
    """
    The middleware that ends the reading of a body which does not come, or for which there is no room.

    Who reads such a body gets InvalidBody: status 408, or 503.
    """

    def __init__(self, app: ASGIApp, patience: Callable[[], float], room: int) -> None:
        """
        `patience` returns the seconds in force for each `LEAST_BYTES`; `room` are the bytes of all bodies at once.
        """
        self._app = app
        self._patience = patience
        self._room = room
        self._held = 0
        self._sweeping: asyncio.TimerHandle | None = None
        self.awaited: dict[_Body, None] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """
        Answer a request; its body has its place until the answer.
        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(self, receive)
        try:
            await self._app(scope, body.receive, send)
        finally:
            self._held -= body.size

    def take(self, size: int) -> None:
        """
        Give room to so many more bytes of a body. Raises InvalidBody.
        """
        if self._held + size > self._room:
            raise InvalidBody("too many large bodies are being read: nothing of this one was accepted; try again", 503)
        self._held += size

    def begin(self, loop: asyncio.AbstractEventLoop) -> Pace:
        """
        Return the pace of a body that is awaited from now on, and see to it that it is kept.
        """
        if self._sweeping is None:
            self._sweeping = loop.call_later(_SWEEP_SECONDS, self._sweep, loop)
        return Pace(self.patience, loop.time())

    @property
    def patience(self) -> float:
        """
        Return the seconds of patience in force.
        """
        return self._patience()

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for body in self.awaited:
            body.give_up(now)
        self._sweeping = loop.call_later(_SWEEP_SECONDS, self._sweep, loop) if self.awaited else None


class _Body:
    """
    The body of one request on its way in.
    """

    __slots__ = ("_intake", "_pace", "_reader", "_receive", "_slow", "_whole", "size")

    def __init__(self, intake: Intake, receive: Receive) -> None:
        self._intake = intake
        self._receive = receive
        self._pace: Pace | None = None
        self._reader: asyncio.Task[Any] | None = None
        self._slow = False
        self._whole = False
        self.size = 0

    async def receive(self) -> Message:
        """
        Return the next part; after the last, what the server says when the client goes.
        """
        if self._whole:
            return await self._receive()
        loop = asyncio.get_running_loop()
        if self._pace is None:
            self._pace = self._intake.begin(loop)
        message = await self._awaited(loop)
        size = len(message.get("body", b""))
        self._intake.take(size)
        self.size += size
        self._whole = not message.get("more_body", False)
        if not self._whole:
            self._pace.move(size, loop.time())
        return message

    async def _awaited(self, loop: asyncio.AbstractEventLoop) -> Message:
        self._reader = asyncio.current_task(loop)
        self._intake.awaited[self] = None
        try:
            return await self._receive()
        except asyncio.CancelledError:
            if not self._slow or self._reader is None or self._reader.uncancel() > 0:
                raise
            slow = f"the body came too slowly, less than {LEAST_BYTES} bytes in {self._intake.patience:g} seconds"
            raise InvalidBody(f"{slow}: nothing of it was accepted; send it again", 408) from None
        finally:
            del self._intake.awaited[self]

    def give_up(self, now: float) -> None:
        """
        End the wait for the next part, if that takes too long.
        """
        if self._pace is not None and self._reader is not None and now > self._pace.until and not self._slow:
            self._slow = self._reader.cancel()
