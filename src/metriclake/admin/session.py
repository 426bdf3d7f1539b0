"""
Decide who may ask the internal routes: who bears the admin key, or the internal page once somebody logged in there.

The page's session is a cookie that no script reads and no other site's page sends. It holds for some hours, and is
signed with the admin key: another key ends every session. A page of the same site in another window can make the
browser send it, so a request by cookie must also bear a header that only our own page's script sets, and come from our
own origin.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable

from starlette.requests import Request

from metriclake._errors import InvalidToken
from metriclake.tokens import check_bearer

COOKIE = "metriclake_admin"
PAGE_HEADER = "x-metriclake-page"
"""Another origin's page cannot set it: the browser asks first, and is told that it may not."""

SECONDS = 12 * 3600
_NAME_CHARACTERS = 8
_SAME = (None, "same-origin", "none")


class Guard:
    """
    What tells who may ask the internal routes of one server.
    """

    def __init__(self, admin_key: str, clock: Callable[[], float] = time.time) -> None:
        """
        `clock` is in seconds since 1970.
        """
        self._key = admin_key
        self._clock = clock
        self._ended: dict[str, float] = {}

    def check(self, request: Request) -> str:
        """
        Check that a request bears the admin key, or is the internal page's with a session. Raises InvalidToken.

        Returns how it is known, as the audit trail says it: `key`, or `session` with the beginning of its name.
        """
        header = request.headers.get("authorization")
        cookie = request.cookies.get(COOKIE)
        if header is not None or cookie is None:
            check_bearer(header, self._key, "admin key")
            return "key"
        if not is_of_page(request):
            raise InvalidToken("the session of the internal page counts for requests of that page alone")
        if not is_session(cookie, self._key, self._clock()) or cookie in self._ended:
            raise InvalidToken("the session has ended: log in again with the admin key")
        return named(cookie)

    def begin(self, key: str) -> str:
        """
        Return a new session for whoever has the admin key. Raises InvalidToken.
        """
        check_bearer(f"Bearer {key}", self._key, "admin key")
        return session(self._key, self._clock())

    def end(self, text: str) -> None:
        """
        Let a session count no more: a copy of the cookie is worth nothing after a logout.

        That is remembered until the session would have ended by itself, or the server stops.
        """
        now = self._clock()
        self._ended = {one: ends for one, ends in self._ended.items() if ends > now}
        if is_session(text, self._key, now):
            self._ended[text] = now + SECONDS


def is_of_page(request: Request) -> bool:
    """
    Tell whether only our own page's script can have sent a request.
    """
    origin = request.headers.get("origin")
    ours = origin is None or origin.partition("://")[2] == request.headers.get("host")
    return ours and PAGE_HEADER in request.headers and request.headers.get("sec-fetch-site") in _SAME


def session(key: str, now: float) -> str:
    """
    Return a session that begins now: when it ends, something that no other has, and the signature of both.
    """
    said = f"{int(now) + SECONDS}.{secrets.token_hex(8)}"
    return f"{said}.{_signed(said, key)}"


def is_session(text: str, key: str, now: float) -> bool:
    """
    Tell whether this is a session that has not ended by itself.
    """
    said, _, signature = text.rpartition(".")
    if not hmac.compare_digest(signature.encode(), _signed(said, key).encode()):
        return False
    return now < int(said.partition(".")[0])


def named(text: str) -> str:
    """
    Return how a session is called in the audit trail: enough to tell it from others, and too little to be it.
    """
    return f"session {text.split('.')[1][:_NAME_CHARACTERS]}"


def _signed(said: str, key: str) -> str:
    return hmac.new(key.encode(), b"internal page " + said.encode(), hashlib.sha256).hexdigest()
