"""
The commands that serve, and that bring events: `up`, `demo`, `put`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import click

from metriclake._config import DEFAULT_HOST, DEFAULT_PORT, DataDirectory, environment
from metriclake._errors import MetriclakeError
from metriclake.app import configure
from metriclake.cli import options
from metriclake.cli.asking import said
from metriclake.serve import check_host, listen, log_to_stderr, pipeline_of, reach, run


@click.command()
@options.file
@options.data
@click.option("--host", default=DEFAULT_HOST, show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=DEFAULT_PORT, show_default=True, help="0: any free one.")
@click.option("--role", default=None, help="The roles of this process; on the embedded engines: all.")
@said
def up(config: Path | None, root: Path, host: str, port: int, role: str | None) -> None:
    """
    Serve: doors, stream, store, query and charts in one process.
    """
    if role not in (None, "all", "gateway,stream,store,query"):
        raise MetriclakeError("--role: chDB allows one process, so on the embedded engines all roles run together")
    env = environment()
    check_host(host, env)
    log_to_stderr()
    data = DataDirectory(root)
    configured = configure(pipeline_of(config, data), env.variables)
    with listen(host, port) as listener:
        run(configured, data, env, listener)


@click.command()
@click.option("--once", is_flag=True, help="Feed, print the books, end; exit 0 only if they balance.")
@click.option("--data", "root", type=click.Path(file_okay=False, path_type=Path), default=None,
              help="Keep the data there.  [default: a folder that is removed at the end]")  # fmt: skip
@click.option("--port", type=click.IntRange(0, 65535), default=None, help="The port.  [default: 8321, or a free one]")
@said
def demo(root: Path | None, port: int | None, *, once: bool) -> None:
    """
    Serve sample events of three customers: 90 days of history, then a live trickle.
    """
    from metriclake.cli.demo import show  # noqa: PLC0415 - no other command pays for it

    log_to_stderr("WARNING")
    balanced = asyncio.run(show(root, port, environment(), once=once))
    if not balanced:
        raise MetriclakeError("the books do not balance")


@click.command()
@click.argument("file", type=click.Path(allow_dash=True, dir_okay=False), default="-")
@click.option(
    "--door", type=click.Choice(["events", "metrics", "github"]), default="events", show_default=True,
    help="The door: what the lines are.",
)  # fmt: skip
@click.option("--url", default=None, help="The server.  [default: the one that serves the data directory]")
@options.file
@options.data
@options.as_json
@said
def put(file: str, door: str, url: str | None, config: Path | None, root: Path, *, as_json: bool) -> None:
    """
    Send the events in FILE (NDJSON or a JSON array, also gzip or zstd; - is standard input) through a door.
    """
    from metriclake.cli.put import send  # noqa: PLC0415 - no other command pays for it

    data = DataDirectory(root)

    async def work() -> dict[str, Any]:
        async with reach(data, environment(), lambda: pipeline_of(config, data), url) as reached:
            sent: dict[str, Any] = await send(reached, file, door)
            return sent

    sent = asyncio.run(work())
    if as_json:
        click.echo(json.dumps(sent))
    else:
        click.echo(f"{sent['accepted']} accepted, {len(sent['rejected'])} rejected")
        for item in sent["rejected"][:20]:
            click.echo(f"  item {item['index']}: {item['error']}", err=True)
    if sent["rejected"]:
        sys.exit(1)
