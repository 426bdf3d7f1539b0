"""
A gateway on a real journal, to be sent requests.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.exceptions import HTTPException

from metriclake._errors import MetriclakeError
from metriclake.gateway import Gateway, Limiter
from metriclake.journal import SqliteJournal
from metriclake.problems import on_error, on_http_error
from metriclake.tokens import Keys

KEYS = Keys(ingest="i" * 40, admin="a" * 40, signing="s" * 40, github="g" * 40)
MAX_BODY = 64 * 1024
MAX_EVENT = 16 * 1024


class Doorstep:
    """
    Sends requests to a gateway, with the ingest key unless another or none is given.
    """

    def __init__(self, journal: SqliteJournal, max_body: int = MAX_BODY, limiter: Limiter | None = None) -> None:
        """
        `journal` is where the gateway appends.
        """
        self.journal = journal
        gateway = Gateway(journal.append, KEYS, max_body, MAX_EVENT, limiter)
        handlers: Any = {MetriclakeError: on_error, HTTPException: on_http_error}
        self.app = Starlette(routes=gateway.routes(), exception_handlers=handlers)

    def post(
        self, path: str, body: bytes | AsyncIterator[bytes], headers: Mapping[str, str] | None = None,
        key: str | None = KEYS.ingest,
    ) -> httpx.Response:  # fmt: skip
        """
        Return the answer to a body.
        """
        sent = {**({"Authorization": f"Bearer {key}"} if key else {}), **(headers or {})}

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                return await client.post(path, content=body, headers=sent)

        return asyncio.run(send())

    def kept(self) -> list[dict[str, Any]]:
        """
        Return the records that are in the journal, each of which stands on a line of its own.
        """
        bodies = b"".join(entry.body for entry in self.journal.read(0, 0, 2**40))
        return [json.loads(line) for line in bodies.split(b"\n") if line]
