"""
Decide who may ask the internal routes: who bears the admin key, or the internal page once somebody logged in there.

The page's session is a cookie that no script reads and no other site's page sends. It holds for some hours, and is
signed with the admin key: another key ends every session. A page of the same site in another window can make the
browser send it, so a request by cookie must also bear a header that only our own page's script sets.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from metriclake._errors import InvalidBody, InvalidToken
from metriclake.admin.terms import read_body
from metriclake.tokens import check_bearer

COOKIE = "metriclake_admin"
PAGE_HEADER = "x-metriclake-page"
"""Another origin's page cannot set it: the browser asks first, and is told that it may not."""

SECONDS = 12 * 3600
_PLACE = "/"
_SAME = (None, "same-origin", "none")


class LoginTerms(msgspec.Struct, forbid_unknown_fields=True):
    """
    The body of a login.
    """

    key: str


_TERMS = msgspec.json.Decoder(LoginTerms)


def check_admin(request: Request, key: str) -> None:
    """
    Check that a request bears the admin key, or is the internal page's with a session. Raises InvalidToken.
    """
    header = request.headers.get("authorization")
    cookie = request.cookies.get(COOKIE)
    if header is not None or cookie is None:
        check_bearer(header, key, "admin key")
        return
    if request.headers.get(PAGE_HEADER) is None or request.headers.get("sec-fetch-site") not in _SAME:
        raise InvalidToken("the session of the internal page counts for requests of that page alone")
    if not is_session(cookie, key, time.time()):
        raise InvalidToken("the session has ended: log in again with the admin key")


def session(key: str, now: float) -> str:
    """
    Return a session that begins now: when it ends, something that no other has, and the signature of both.
    """
    said = f"{int(now) + SECONDS}.{secrets.token_hex(8)}"
    return f"{said}.{_signed(said, key)}"


def is_session(text: str, key: str, now: float) -> bool:
    """
    Tell whether this is a session that has not ended.
    """
    said, _, signature = text.rpartition(".")
    if not hmac.compare_digest(signature.encode(), _signed(said, key).encode()):
        return False
    return now < int(said.partition(".")[0])


def _signed(said: str, key: str) -> str:
    return hmac.new(key.encode(), b"internal page " + said.encode(), hashlib.sha256).hexdigest()


class Sessions:
    """
    The routes by which the internal page logs in and out.
    """

    def __init__(self, admin_key: str, clock: Callable[[], float] = time.time) -> None:
        """
        `clock` is in seconds since 1970.
        """
        self._key = admin_key
        self._clock = clock

    def routes(self) -> list[BaseRoute]:
        """
        Return the routes.
        """
        return [
            Route("/v1/admin/session", self.begin, methods=["POST"]),
            Route("/v1/admin/session", self.end, methods=["DELETE"]),
        ]

    async def begin(self, request: Request) -> Response:
        """
        Begin a session for whoever has the admin key.

        Only our own page's script can ask: another site could log its victim in as itself.
        """
        if request.headers.get(PAGE_HEADER) is None:
            raise InvalidToken(f"a session is begun by the internal page: the header {PAGE_HEADER} is missing")
        body = await read_body(request)
        try:
            terms = _TERMS.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidBody("a login is an object with `key`") from error
        check_bearer(f"Bearer {terms.key}", self._key, "admin key")
        answer = Response(status_code=204, headers={"Cache-Control": "no-store"})
        answer.set_cookie(
            COOKIE,
            session(self._key, self._clock()),
            max_age=SECONDS,
            path=_PLACE,
            secure=True,
            httponly=True,
            samesite="strict",
        )
        return answer

    async def end(self, request: Request) -> Response:
        """
        Forget the session.
        """
        check_admin(request, self._key)
        answer = Response(status_code=204, headers={"Cache-Control": "no-store"})
        answer.delete_cookie(COOKIE, path=_PLACE, secure=True, httponly=True, samesite="strict")
        return answer
