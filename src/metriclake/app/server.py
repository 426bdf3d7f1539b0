"""
A server: its parts at work, the pipeline file swapped while they are, and the ASGI application that speaks to them.
"""

from __future__ import annotations

import contextlib
import logging
import operator
import threading
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from metriclake._config import MAX_BODIES_BYTES, DataDirectory, Environment
from metriclake._errors import Fault, InvalidPipeline, MetriclakeError
from metriclake.app.configured import Configured, configure
from metriclake.app.data_directory import locked, mark_unclean
from metriclake.app.parts import Parts
from metriclake.app.routes import routes_of
from metriclake.app.status import Status
from metriclake.connection import Connections
from metriclake.cors import Cors
from metriclake.crashpoints import arm
from metriclake.intake import Intake
from metriclake.pipeline import LoadedPipeline
from metriclake.problems import on_error, on_gone, on_http_error
from metriclake.request_id import RequestIds
from metriclake.rules import Rule
from metriclake.telemetry import Telemetry
from metriclake.tokens import Keys, load_keys
from metriclake.watch import Watcher

_LOG = logging.getLogger(__name__)
_NEEDS_RESTART = ("lake", "journal", "store.url")
_SHARED = ("/v1/query", "/v1/sql", "/v1/catalog", "/v1/dashboards", "/v1/export", "/v1/stream")
"""What tenants ask: pages of other origins may, where the pipeline file names them."""


class Server:
    """
    Every role of one process on one data directory.
    """

    def __init__(self, configured: Configured, data: DataDirectory, environment: Environment) -> None:
        """
        Open everything; raises MetriclakeError where it cannot be used. `start` sets it to work.
        """
        if environment.crash_at:
            arm(environment.crash_at)
        self._environment = environment
        self._reloading = threading.Lock()
        self._watcher = Watcher(configured.loaded.path, self.reload)
        _warn(configured)
        with contextlib.ExitStack() as opened:
            opened.enter_context(locked(data))
            unclean = mark_unclean(data)
            self._data = data
            self.keys: Keys = load_keys(data.keys, environment)
            self._parts = Parts(configured, data, self.keys, opened, unclean=unclean)
            self._opened = opened.pop_all()
        self._force = self._parts.force
        self.connections: Connections = self._parts.connections

    def start(self) -> None:
        """
        Set the stream and the destinations to work.
        """
        self._parts.start()
        self._watcher.start()

    def stop(self) -> None:
        """
        Flush what is accepted through to the store, and to the destinations that take it, and close everything.
        """
        self._watcher.stop()
        self._parts.stop()
        self._data.unclean.unlink(missing_ok=True)
        self._opened.close()

    def reload(self) -> bool:
        """
        Read the pipeline file again, and swap it in whole, or refuse it whole and go on with the one in force.

        A batch that is sealed keeps the version it is sealed with.
        """
        with self._reloading:
            before = self._force.configured.loaded
            try:
                fresh = configure(before.path, self._environment.variables)
                _check_restart(before, fresh.loaded)
                made = self._parts.made(fresh)
                self._parts.retain(fresh.loaded.pipeline.store.tiers())
            except MetriclakeError as error:
                self._force.refused = str(error)
                _LOG.error("the pipeline file is refused; the one before stays in force", extra={"error": str(error)})
                return False
            self._parts.swap(self._with_directory(fresh), made)
            _warn(fresh)
            return True

    def _with_directory(self, fresh: Configured) -> Configured:
        """
        Keep the directory, and what it remembers, where the file asks for the same one; old ones are closed at the end.
        """
        before = self._force.configured
        if fresh.loaded.pipeline.tenants == before.loaded.pipeline.tenants:
            fresh.directory.close()
            return replace(fresh, directory=before.directory)
        self._opened.callback(fresh.directory.close)
        return fresh

    def app(self) -> Starlette:
        """
        Return the ASGI application; its lifespan starts and stops the server.
        """

        @contextlib.asynccontextmanager
        async def lifespan(_app: Starlette) -> AsyncIterator[None]:
            self.start()
            try:
                yield
            finally:
                await run_in_threadpool(self.stop)

        handlers: Any = {MetriclakeError: on_error, ClientDisconnect: on_gone, HTTPException: on_http_error}
        status = Status(self._parts)
        telemetry = Telemetry(status.facts)
        routes = routes_of(self._parts, status, telemetry.routes())
        around = [
            Middleware(RequestIds, on_error),
            Middleware(_Counted, telemetry=telemetry, routes=routes),
            Middleware(Cors, self._embeds, _SHARED),
            Middleware(Intake, lambda: self.connections.terms.patience, MAX_BODIES_BYTES),
        ]
        return Starlette(routes=routes, middleware=around, exception_handlers=handlers, lifespan=lifespan)

    def _embeds(self, origin: str) -> bool:
        return self._force.configured.embeds(origin)

    def rules(self, event: dict[str, Any]) -> Sequence[Rule]:
        """
        Return the rules in force that a domain event matches.
        """
        return self._force.plan.rules.matching(event)

    def tenants(self) -> list[str]:
        """
        Return the tenants of which the store has metrics.
        """
        return self._parts.catalogue.tenants()

    def dashboards(self) -> list[str]:
        """
        Return the names of the dashboards, the one of every tenant first.
        """
        return self._force.configured.dashboards


class _Counted:
    """
    The telemetry around an application, in the shape in which Starlette takes it.
    """

    def __init__(self, app: ASGIApp, telemetry: Telemetry, routes: Sequence[BaseRoute]) -> None:
        self._app = telemetry.around(app, routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


def _warn(configured: Configured) -> None:
    """
    Log the traps of a pipeline file that comes into force.
    """
    for metric, place, trap in configured.traps:
        facts = {"metric": metric, "place": place, "trap": trap.name, "what": trap.what, "instead": trap.instead}
        _LOG.warning("a metric may not do what it seems to", extra=facts)


def _check_restart(before: LoadedPipeline, fresh: LoadedPipeline) -> None:
    """
    Refuse a change that a running server cannot make. Raises InvalidPipeline.
    """
    get = {key: operator.attrgetter(key) for key in _NEEDS_RESTART}
    changed = [key for key in _NEEDS_RESTART if get[key](before.pipeline) != get[key](fresh.pipeline)]
    if changed:
        raise InvalidPipeline(
            tuple(Fault(fresh.place(*key.split(".")), f"`{key}` changes only with a restart") for key in changed)
        )
