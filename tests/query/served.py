"""
The routes under test on a real socket, with the server's own connections and errors.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import BaseRoute

from metriclake._errors import MetriclakeError
from metriclake.connection import Connections, ConnectionTerms
from metriclake.intake import Intake
from metriclake.problems import on_error, on_http_error
from metriclake.request_id import RequestIds
from metriclake.serve import Listening, _event_loop, listen, url_of
from metriclake.tokens import mint_tenant
from patience import until

KEY = "a-signing-key-of-the-tests-0123456789"


def minted(tenant: str = "acme", **claims: Any) -> str:
    """
    Return a tenant's token as the commands mint it.
    """
    return mint_tenant(KEY, tenant, now=datetime.now(UTC), **claims)


def bearing(token: str) -> dict[str, str]:
    """
    Return the headers of a request with a token.
    """
    return {"Authorization": f"Bearer {token}".rstrip()}


@contextmanager
def served(
    routes: Iterable[BaseRoute], leaving: Callable[[], None] = lambda: None, patience: float = 20
) -> Iterator[tuple[httpx.Client, Connections]]:
    """
    Serve routes, with so many seconds of patience with who does not read; yields a client, and the connections.
    """
    connections = Connections(lambda: ConnectionTerms(most=64, patience=patience, keep_alive=0.3), leaving)
    handlers: Any = {MetriclakeError: on_error, HTTPException: on_http_error}
    around = [Middleware(RequestIds, on_error), Middleware(Intake, lambda: patience, 1024 * 1024)]
    app = Starlette(routes=list(routes), middleware=around, exception_handlers=handlers)
    listener = listen("127.0.0.1", 0)
    listening = Listening(app, connections, lambda: None, listener)

    def work() -> None:
        with asyncio.Runner(loop_factory=_event_loop) as runner:
            runner.run(listening.serve())

    thread = threading.Thread(target=work)
    thread.start()
    until(lambda: listening.started)
    with httpx.Client(base_url=url_of(listener), timeout=20) as client:
        try:
            yield client, connections
        finally:
            listening.stop()
            thread.join(20)
            assert not thread.is_alive()
