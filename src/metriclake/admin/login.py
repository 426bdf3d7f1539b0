"""
How the internal page logs in and out.

Whoever tries keys is let try a few a minute. What bears the key itself is not held up: keys are too long to be guessed,
and a script with an old one would lock the commands out.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from metriclake._errors import InvalidBody, InvalidToken, OverLimit
from metriclake.admin.session import COOKIE, PAGE_HEADER, SECONDS, Guard, is_of_page, named
from metriclake.admin.terms import read_body
from metriclake.admin.trail import Trail
from metriclake.audit import Action
from metriclake.problems import as_json

MOST_TRIES = 5
WINDOW_SECONDS = 60.0
_MOST_CLIENTS = 10_000
_PLACE = "/"


class LoginTerms(msgspec.Struct, forbid_unknown_fields=True):
    """
    The body of a login.
    """

    key: str


_TERMS = msgspec.json.Decoder(LoginTerms)


class Tries:
    """
    The failed logins of the last minute, by address.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """
        `clock` is in seconds.
        """
        self._clock = clock
        self._failed: OrderedDict[str, list[float]] = OrderedDict()

    def check(self, client: str) -> None:
        """
        Refuse who has failed too often. Raises OverLimit.
        """
        now = self._clock()
        recent = [at for at in self._failed.get(client, ()) if now - at < WINDOW_SECONDS]
        if len(recent) >= MOST_TRIES:
            wait = max(1, math.ceil(recent[0] + WINDOW_SECONDS - now))
            raise OverLimit("too many logins with a wrong key came from this address: wait a minute", wait)

    def failed(self, client: str) -> None:
        """
        Count a login that has failed.
        """
        found = self._failed.setdefault(client, [])
        found[:] = [*found[1 - MOST_TRIES :], self._clock()]
        self._failed.move_to_end(client)
        if len(self._failed) > _MOST_CLIENTS:
            self._failed.popitem(last=False)


class Sessions:
    """
    The routes by which the internal page logs in and out.
    """

    def __init__(self, guard: Guard, trail: Trail, tries: Tries | None = None) -> None:
        """
        `guard` knows the sessions, `trail` notes them.
        """
        self._guard = guard
        self._trail = trail
        self._tries = tries or Tries()

    def routes(self) -> list[BaseRoute]:
        """
        Return the routes.
        """
        return [
            Route("/v1/admin/session", self.tell, methods=["GET"]),
            Route("/v1/admin/session", self.begin, methods=["POST"]),
            Route("/v1/admin/session", self.end, methods=["DELETE"]),
        ]

    async def tell(self, request: Request) -> Response:
        """
        Tell how whoever asks is known.
        """
        return as_json({"by": self._guard.check(request)})

    async def begin(self, request: Request) -> Response:
        """
        Begin a session for whoever has the admin key.

        Only our own page's script can ask: another site could log its victim in as itself.
        """
        if not is_of_page(request):
            raise InvalidToken(f"a session is begun by the internal page, with its header {PAGE_HEADER}")
        client = "" if request.client is None else request.client.host
        self._tries.check(client)
        body = await read_body(request)
        try:
            terms = _TERMS.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidBody("a login is an object with `key`") from error
        try:
            begun = self._guard.begin(terms.key)
        except InvalidToken:
            self._tries.failed(client)
            raise
        await self._trail.note(request, named(begun), Action.LOGIN)
        answer = Response(status_code=204, headers={"Cache-Control": "no-store"})
        answer.set_cookie(COOKIE, begun, max_age=SECONDS, path=_PLACE, secure=True, httponly=True, samesite="strict")
        return answer

    async def end(self, request: Request) -> Response:
        """
        End the session.
        """
        by = self._guard.check(request)
        await self._trail.note(request, by, Action.LOGOUT)
        self._guard.end(request.cookies.get(COOKIE, ""))
        answer = Response(status_code=204, headers={"Cache-Control": "no-store"})
        answer.delete_cookie(COOKIE, path=_PLACE, secure=True, httponly=True, samesite="strict")
        return answer
