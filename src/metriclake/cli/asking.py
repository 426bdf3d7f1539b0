"""
How a command asks the server of a data directory, shows how far it is, and ends where it is refused.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from metriclake._config import DataDirectory, environment
from metriclake._errors import InvalidPipeline, MetriclakeError
from metriclake.serve import Reached, pipeline_of, reach

_AT_ONCE = 200
_P = ParamSpec("_P")
Asked = dict[str, Any]
"""What a command asks for, and what a server answers: an object of JSON."""


def said(command: Callable[_P, None]) -> Callable[_P, None]:
    """
    End a command that is refused with its error and exit code 1.
    """

    @wraps(command)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except InvalidPipeline as error:
            click.echo(f"{error}\n{len(error.faults)} fault(s); nothing was changed", err=True)
            sys.exit(1)
        except MetriclakeError as error:
            click.echo(f"error: {error}", err=True)
            sys.exit(1)

    return wrapped


def with_server(
    config: Path | None, root: Path, work: Callable[[Reached], Coroutine[Any, Any, dict[str, Any]]]
) -> dict[str, Any]:
    """
    Do a command's work with the server of a data directory, which must be there.
    """
    data = DataDirectory(root)
    if not data.root.is_dir():
        raise MetriclakeError(f"{root} is not a data directory: name it with --data")

    async def reached() -> dict[str, Any]:
        async with reach(data, environment(), lambda: pipeline_of(config, data)) as server:
            return await work(server)

    return asyncio.run(reached())


async def first_of(reached: Reached, path: str, asked: Mapping[str, str], key: str, limit: int) -> list[Asked]:
    """
    Return so many of what a route lists under a key, page by page.
    """
    found: list[Asked] = []
    params: Asked = dict(asked)
    while len(found) < limit:
        params["limit"] = min(limit - len(found), _AT_ONCE)
        part = await reached.ask("GET", path, reached.keys.admin, params=params)
        found += part[key]
        params["after"] = part["next"]
        if not part["next"]:
            break
    return found


def advance(progress: Progress, task: TaskID, part: dict[str, Any], description: str) -> None:
    """
    Show how far the slices have come.
    """
    done = part["done"] if part["next"] else part["total"]
    progress.update(task, description=description, completed=done, total=part["total"])


@contextmanager
def bar(description: str) -> Iterator[tuple[Progress, TaskID]]:
    """
    Show a progress bar on a terminal's error output.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield progress, progress.add_task(description, total=None)
