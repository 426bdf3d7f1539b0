"""
Show the whole path on sample events: three customers, 90 days of history, a live trickle.

`--once` ends by itself: it asks the query API for every customer's totals, compares them with what was sent, and
prints the books.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import httpx
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from metriclake import samples
from metriclake._config import DEFAULT_HOST, DEFAULT_PORT, DataDirectory, Environment
from metriclake._errors import MetriclakeError
from metriclake.app import Server, configure, publish
from metriclake.cli.output import print_status
from metriclake.serve import Listening, Reached, listen, url_of
from metriclake.tokens import mint_tenant

_PER_REQUEST = 1000
_POLL_SECONDS = 0.1
_PATIENCE_SECONDS = 120.0
_TOKEN_TTL = timedelta(hours=12)
_CONSOLE = Console(stderr=True)

_Totals = Counter[tuple[str, str]]


@dataclass(slots=True)
class _Fed:
    """
    What was sent: how many events, and how many metric events of each tenant and metric the rules must make of them.
    """

    events: int = 0
    expected: _Totals = field(default_factory=Counter)


async def show(root: Path | None, port: int | None, environment: Environment, *, once: bool) -> bool:
    """
    Run the demo; True where the books balance and every customer's totals are what was sent.
    """
    with contextlib.ExitStack() as kept:
        folder = root or Path(kept.enter_context(tempfile.TemporaryDirectory(prefix="metriclake-demo-")))
        resources = kept.enter_context(as_file(files("metriclake.samples")))
        configured = configure(resources / "metriclake.yaml", environment.variables)
        listener = kept.enter_context(_listen(port))
        data = DataDirectory(folder)
        fresh = not data.journal.exists()
        server = Server(configured, data, environment)
        publish(data, url_of(listener), configured.loaded.path)
        async with (
            _serving(Listening.of(server, listener)) as serving,
            httpx.AsyncClient(base_url=url_of(listener), timeout=60) as client,
        ):
            reached = Reached(client, server.keys)
            fed = await _feed_history(reached, server)
            status = await _settled(reached)
            found = await _totals(reached, fed)
            if not once:
                _announce(url_of(listener), server)
                await _trickle(reached, serving)
    if not once:
        return True
    matches = found == fed.expected if fresh else all(found[key] >= count for key, count in fed.expected.items())
    print_status(status)
    _CONSOLE.print(f"{fed.events:,} events sent; every customer's totals {'agree' if matches else 'DO NOT agree'}")
    return bool(status["balanced"]) and matches


@contextlib.asynccontextmanager
async def _serving(listening: Listening) -> AsyncIterator[asyncio.Task[None]]:
    """
    Serve while the demo goes on, and end well however it ends.
    """
    serving = asyncio.create_task(listening.serve())
    while not listening.started and not serving.done():
        await asyncio.wait([serving], timeout=_POLL_SECONDS)
    try:
        yield serving
    finally:
        listening.stop()
        await serving


def _listen(port: int | None) -> Any:
    """
    Listen on the port asked for, or on the usual one, or where that is taken on any free one.
    """
    if port is not None:
        return listen(DEFAULT_HOST, port)
    try:
        return listen(DEFAULT_HOST, DEFAULT_PORT)
    except MetriclakeError:
        return listen(DEFAULT_HOST, 0)


async def _feed_history(reached: Reached, server: Server) -> _Fed:
    fed = _Fed()
    rules = server.rules
    events = list(samples.history(datetime.now(UTC)))
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=_CONSOLE, transient=True) as progress:
        task = progress.add_task("90 days of history", total=len(events))
        for start in range(0, len(events), _PER_REQUEST):
            batch = events[start : start + _PER_REQUEST]
            for event in batch:
                fed.expected.update((rule.transform.apply(event)[0]["tenant_id"], rule.name) for rule in rules(event))
            await _post(reached, batch)
            progress.advance(task, len(batch))
    fed.events = len(events)
    return fed


async def _post(reached: Reached, events: list[dict[str, Any]]) -> None:
    body = b"\n".join(map(msgspec.json.encode, events))
    headers = {"Content-Type": "application/x-ndjson"}
    answer = await reached.ask("POST", "/v1/events", reached.keys.ingest, content=body, headers=headers)
    if answer["rejected"]:
        raise MetriclakeError(f"the door rejected a sample event: {answer['rejected'][0]['error']}")


async def _settled(reached: Reached) -> dict[str, Any]:
    """
    Wait until everything sent is in the store; returns the status of that moment.
    """
    began = asyncio.get_running_loop().time()
    with _CONSOLE.status("loading the store"):
        while True:
            status: dict[str, Any] = await reached.ask("GET", "/v1/admin/status", reached.keys.admin)
            if _nothing_waits(status):
                return status
            if asyncio.get_running_loop().time() - began > _PATIENCE_SECONDS:
                raise MetriclakeError(f"the events did not reach the store: {status['failures'] or status['stages']}")
            await asyncio.sleep(_POLL_SECONDS)


def _nothing_waits(status: dict[str, Any]) -> bool:
    waiting = sum(row["in_flight"] + row["store"]["waiting"] for row in status["books"])
    return bool(status["domain_events"]["in_flight"] + waiting == 0)


async def _totals(reached: Reached, fed: _Fed) -> _Totals:
    """
    Ask each customer's totals with that customer's token.
    """
    found: _Totals = Counter()
    for tenant in sorted({tenant for tenant, _ in fed.expected}):
        key = mint_tenant(reached.keys.signing, tenant, now=datetime.now(UTC))
        catalogue = await reached.ask("GET", "/v1/catalog", key)
        for metric in catalogue["metrics"]:
            question = {"metric": metric["name"], "aggregate": "count", "range": {"last": "100d"}}
            answer = await reached.ask("POST", "/v1/query", key, json=question)
            found[tenant, metric["name"]] = answer["rows"][0][0]
    return found


def _announce(url: str, server: Server) -> None:
    console = Console()
    console.print("\n[bold]metriclake demo[/bold]: open a customer's own charts")
    for tenant in sorted(server.tenants()):
        token = mint_tenant(server.keys.signing, tenant, now=datetime.now(UTC), ttl=_TOKEN_TTL)
        for name in server.dashboards():
            console.print(f"  {tenant}: {url}/d/{name}#token={token}", soft_wrap=True, highlight=False)
    console.print(f"  internal page: {url}/admin#key={server.keys.admin}", soft_wrap=True, highlight=False)
    console.print("\nnew events trickle in; Ctrl-C ends it and removes the data\n")


async def _trickle(reached: Reached, serving: asyncio.Task[None]) -> None:
    async for index in _ticks(serving):
        events = samples.moment(datetime.now(UTC), index)
        if events:
            with contextlib.suppress(MetriclakeError):
                await _post(reached, events)


async def _ticks(serving: asyncio.Task[None]) -> AsyncIterator[int]:
    index = 0
    while not serving.done():
        yield index
        index += 1
        await asyncio.wait([serving], timeout=1.0)
