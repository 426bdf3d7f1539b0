"""
Run a server on a socket, and reach one: the process around `app`.

A command reaches the server that holds the data directory; where none does, it opens the directory itself and speaks
to the same application in process.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ipaddress
import json
import logging
import re
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx
import uvicorn
from starlette.types import ASGIApp

from metriclake._config import DataDirectory, Environment
from metriclake._errors import MetriclakeError
from metriclake.app import Configured, Server, configure, publish, running
from metriclake.connection import Config, Connections
from metriclake.in_process import InProcess
from metriclake.request_id import current
from metriclake.tokens import Keys, load_keys

_TIMEOUT = httpx.Timeout(60.0)
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class _JsonLines(logging.Formatter):
    """
    Logs as one JSON object a line.
    """

    def format(self, record: logging.LogRecord) -> str:
        extras = {key: value for key, value in record.__dict__.items() if key not in _STANDARD}
        fields = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{int(record.msecs):03d}",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **({"request_id": current()} if current() else {}),
            **{key: value for key, value in extras.items() if isinstance(value, str | int | float | bool)},
        }
        if record.exc_info:
            fields["error"] = self.formatException(record.exc_info)
        return masked(json.dumps(fields))


_SECRETS = re.compile(
    r"\bml_[a-z]+_[A-Za-z0-9_-]{8,}|\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"
    r"|(?i:bearer)\s+[^\s\"\\]+|sha256=[0-9a-f]{64}"
)
_given: set[str] = set()


def masked(text: str) -> str:
    """
    Return a line of a log without keys, tokens, signatures and the secrets that the environment gave.
    """
    for secret in _given:
        text = text.replace(secret, "***")
    return _SECRETS.sub("***", text)


def mask(*secrets: str | None) -> None:
    """
    Keep these out of the log as well.
    """
    _given.update(secret for secret in secrets if secret)


def log_to_stderr(level: str = "INFO") -> None:
    """
    Send structured logs to stderr.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in ("uvicorn", "uvicorn.error", "httpx"):
        logging.getLogger(name).setLevel(logging.WARNING)


def check_host(host: str, environment: Environment) -> None:
    """
    Refuse a host that others can reach unless every key is given. Raises MetriclakeError.
    """
    with contextlib.suppress(ValueError):
        if ipaddress.ip_address(host).is_loopback:
            return
    if host == "localhost":
        return
    given = {
        "METRICLAKE_INGEST_KEY": environment.ingest_key,
        "METRICLAKE_ADMIN_KEY": environment.admin_key,
        "METRICLAKE_SIGNING_KEY": environment.signing_key,
        "METRICLAKE_GITHUB_SECRET": environment.github_secret,
    }
    missing = [name for name, value in given.items() if not value]
    if missing:
        raise MetriclakeError(f"{host} can be reached from outside: set {', '.join(missing)} first")


def listen(host: str, port: int) -> socket.socket:
    """
    Return a listening socket. Raises MetriclakeError where the port is taken.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        raise MetriclakeError(f"cannot listen on {host} port {port}: {error.strerror}; take another --port") from error
    return listener


def url_of(listener: socket.socket) -> str:
    """
    Return the URL of a listening socket.
    """
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Uvicorn(uvicorn.Server):
    """
    Uvicorn that looks after its connections, and ends well on a signal: to be asked to stop is no failure.

    SIGHUP reloads.
    """

    def __init__(self, config: Config, reload: Callable[[], object]) -> None:
        super().__init__(config)
        self._connections = config.connections
        self._reload = reload

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """
        Serve, and end the connections that do not come to an end.
        """
        looking_after = asyncio.create_task(self._connections.look_after())
        try:
            await super().serve(sockets)
        finally:
            looking_after.cancel()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """
        Let the requests at work be answered, and hurry the others.
        """
        self._connections.hurry()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """
        Stop on SIGINT and SIGTERM, at once on the second.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, self._reload_apart)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _reload_apart(self, *_: object) -> None:
        threading.Thread(target=self._reload, name="reload", daemon=True).start()


class Listening:
    """
    A server at work on a socket, to be awaited in `serve`.
    """

    def __init__(
        self, app: ASGIApp, connections: Connections, reload: Callable[[], object], listener: socket.socket
    ) -> None:
        """
        Serve `app`, and `reload` on SIGHUP.
        """
        config = Config(
            app,
            connections,
            log_config=None,
            access_log=False,
            lifespan="on",
            timeout_graceful_shutdown=10,
            server_header=False,
        )
        self._uvicorn = _Uvicorn(config, reload)
        self._listener = listener

    @classmethod
    def of(cls, server: Server, listener: socket.socket) -> Self:
        """
        Serve what `server` has opened and not started.
        """
        return cls(server.app(), server.connections, server.reload, listener)

    async def serve(self) -> None:
        """
        Serve until told to stop by a signal or `stop`.
        """
        await self._uvicorn.serve(sockets=[self._listener])

    @property
    def started(self) -> bool:
        """
        Tell whether requests are answered.
        """
        return self._uvicorn.started

    def stop(self) -> None:
        """
        Ask to stop.
        """
        self._uvicorn.should_exit = True


def run(configured: Configured, data: DataDirectory, environment: Environment, listener: socket.socket) -> None:
    """
    Serve until a signal comes; then flush, and close.
    """
    mask(environment.ingest_key, environment.admin_key, environment.signing_key, environment.github_secret)
    server = Server(configured, data, environment)
    publish(data, url_of(listener), configured.loaded.path)
    _settle()
    asked, most = configured.loaded.pipeline.gateway.connections, server.connections.terms.most
    if most < asked:
        logging.getLogger(__name__).warning(
            "the limit of open files (ulimit -n) allows fewer connections than `gateway.connections`",
            extra={"asked": asked, "most": most},
        )
    logging.getLogger(__name__).info("serving", extra={"url": url_of(listener), "data": str(data.root)})
    with asyncio.Runner(loop_factory=_event_loop) as runner:
        runner.run(Listening.of(server, listener).serve())


def _event_loop() -> asyncio.AbstractEventLoop:
    """
    Make the quicker event loop where there is one.
    """
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


_SWITCH_SECONDS = 0.00025
"""How long one thread may keep the others from Python: the doors and light questions take short turns beside
long ones of the stream and of heavy questions."""


def _settle() -> None:
    """
    Leave what start-up made to itself, look for cycles less often (an event makes none), take shorter turns.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    sys.setswitchinterval(_SWITCH_SECONDS)


@dataclass(frozen=True, slots=True)
class Reached:
    """
    A server that a command speaks to: over its socket, or in this process.
    """

    client: httpx.AsyncClient
    keys: Keys

    async def ask(self, method: str, path: str, key: str, **rest: Any) -> Any:
        """
        Return a JSON answer. Raises MetriclakeError with the problem's words.
        """
        headers = {"Authorization": f"Bearer {key}", **rest.pop("headers", {})}
        try:
            response = await self.client.request(method, path, headers=headers, **rest)
        except httpx.HTTPError as error:
            raise MetriclakeError(f"{self.client.base_url} does not answer: {error}") from error
        return answered(response)


def answered(response: httpx.Response) -> Any:
    """
    Return what a response says. Raises MetriclakeError with the words of a problem document.
    """
    try:
        body = response.json()
    except ValueError:
        raise MetriclakeError(f"{response.url.path} answered {response.status_code} without JSON") from None
    if response.is_success or "accepted" in body:
        return body
    raise MetriclakeError(str(body.get("detail", f"answered {response.status_code}")))


def pipeline_of(config: Path | None, data: DataDirectory) -> Path:
    """
    Return the pipeline file: the one named, the one here, or the one last served from the data directory.
    """
    here = Path("metriclake.yaml")
    if config is not None:
        return config
    if not here.exists() and data.served.exists():
        return Path(data.served.read_text(encoding="utf-8"))
    return here


@contextlib.asynccontextmanager
async def reach(
    data: DataDirectory, environment: Environment, pipeline: Callable[[], Path], url: str | None = None
) -> AsyncIterator[Reached]:
    """
    Reach the server at `url`, or the one that holds the data directory, or open the directory in this process.
    """
    found = running(data)
    target = url or (str(found["url"]) if found else None)
    if target is not None:
        async with httpx.AsyncClient(base_url=target, timeout=_TIMEOUT) as client:
            yield Reached(client, load_keys(data.keys, environment))
        return
    server = Server(configure(pipeline(), environment.variables), data, environment)
    app = server.app()
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=InProcess(app), base_url="http://in-process", timeout=_TIMEOUT) as client,
    ):
        yield Reached(client, server.keys)
