"""
Read the body of an admin request: no more of it than such a request can need.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec
from starlette.requests import Request

from metriclake._errors import InvalidBody

MOST_BYTES = 256 * 1024
"""Of what says which, how and where to go on."""

_Terms = TypeVar("_Terms")


async def read_terms(request: Request, terms: msgspec.json.Decoder[_Terms], *, most: int = MOST_BYTES) -> _Terms:
    """
    Return a request's body as terms; an empty body says nothing. Raises InvalidBody, 413 beyond `most` bytes.
    """
    body = await read_body(request, most)
    try:
        return terms.decode(body or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidBody(str(error)) from error


async def read_body(request: Request, most: int = MOST_BYTES) -> bytes:
    """
    Return a request's body. Raises InvalidBody, 413 beyond `most` bytes: what comes after them is not kept.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise InvalidBody(f"the body of this request has at most {most} bytes: ask for less at once", 413)
    return bytes(body)
