"""
The commands `tenant`: list what is held of each tenant, and write a tenant's rows to a file.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import click
import httpx
from rich.console import Console
from rich.progress import DownloadColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TransferSpeedColumn

from metriclake._errors import MetriclakeError
from metriclake.cli import options
from metriclake.cli.asking import Asked, said, with_server
from metriclake.cli.output import print_tenants
from metriclake.event import is_tenant_id
from metriclake.serve import Reached, answered

STDOUT = Path("-")

_BUSY = frozenset({429, 503})
_TRIES = 12
_NAME = re.compile(r'filename="([A-Za-z0-9_.-]+)"')


@click.group()
def tenant() -> None:
    """
    Look after tenants.
    """


@tenant.command("ls")
@options.file
@options.data
@options.as_json
@said
def tenant_ls(config: Path | None, root: Path, *, as_json: bool) -> None:
    """
    List the tenants of which the store has rows: their metrics, how many rows, the first and the last time.
    """
    found = with_server(config, root, list_tenants)
    if as_json:
        click.echo(json.dumps(found))
    else:
        print_tenants(found)


@tenant.command("export")
@click.argument("name", metavar="TENANT")
@click.option("--metric", "metrics", multiple=True, help="Only this metric; repeatable.")
@click.option("--from", "start", default=None, help="From this time on, such as 2026-01-31T12:00:00Z.")
@click.option("--to", "end", default=None, help="Before this time.")
@click.option("--format", "form", type=click.Choice(["csv", "ndjson", "parquet", "arrow"]), default="csv",
              show_default=True, help="The file's format.")  # fmt: skip
@click.option("--exact", is_flag=True, help="Leave text in CSV as it is, also what a spreadsheet would run.")
@click.option("-o", "--out", type=click.Path(dir_okay=False, path_type=Path), default=None,
              help="The file; - is standard output.  [default: named after the tenant, in this folder]")  # fmt: skip
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@options.file
@options.data
@said
def tenant_export(  # noqa: PLR0913 - one for each option
    *, name: str, metrics: tuple[str, ...], start: str | None, end: str | None, form: str, exact: bool,
    out: Path | None, force: bool, config: Path | None, root: Path,
) -> None:  # fmt: skip
    """
    Write all rows of TENANT to a file, as of one moment. A file that is there is whole.
    """
    given = options.given({"from": start, "to": end, "csv": "exact" if exact else None})
    asked = {"format": form, "metric": list(metrics), **given}
    found = with_server(config, root, lambda reached: export_tenant(reached, name, asked, out, force=force))
    said = f"{found['rows']:,} rows, {found['bytes']:,} bytes"
    click.echo(said if out == STDOUT else f"wrote {found['file']}: {said}", err=out == STDOUT)


async def list_tenants(reached: Reached) -> Asked:
    """
    Return what the store holds of every tenant.
    """
    tenants: list[Asked] = []
    after = ""
    while True:
        part = await reached.ask("GET", "/v1/admin/tenants", reached.keys.admin, params={"after": after})
        tenants += part["tenants"]
        after = part["next"]
        if not after:
            return {"tenants": tenants}


async def export_tenant(reached: Reached, tenant: str, asked: Asked, out: Path | None, *, force: bool) -> Asked:
    """
    Write a tenant's rows to a file: to standard output where it is `-`, to one that the server names where it is None.

    A file comes under its name when it is whole. Raises MetriclakeError, and leaves nothing behind then.
    """
    if not is_tenant_id(tenant):
        raise MetriclakeError("this is not a tenant id: `metriclake tenant ls` lists those that there are")
    _check_free(out, force=force)
    for attempt in range(_TRIES):
        try:
            async with reached.client.stream(
                "GET",
                f"/v1/admin/tenants/{quote(tenant, safe='')}/export",
                params=asked,
                headers={"Authorization": f"Bearer {reached.keys.admin}"},
            ) as answer:
                if answer.status_code not in _BUSY or attempt == _TRIES - 1:
                    return await _taken(answer, out, force=force)
                wait = float(answer.headers.get("Retry-After", "1"))
        except httpx.HTTPError as error:
            raise MetriclakeError(f"the export did not come to its end: {error}; nothing is kept of it") from error
        await asyncio.sleep(wait)
    raise AssertionError("the last try is taken as it is")


async def _taken(answer: httpx.Response, out: Path | None, *, force: bool) -> Asked:
    if not answer.is_success:
        await answer.aread()
        answered(answer)
    if out is None:
        named = _NAME.search(answer.headers.get("Content-Disposition", ""))
        out = Path(named[1] if named else "export")
        _check_free(out, force=force)
    rows, size = int(answer.headers["X-Rows"]), 0
    with _whole(out, force=force) as write, _shown(f"{rows:,} rows") as show:
        async for part in answer.aiter_raw():
            write(part)
            size += len(part)
            show(size)
    return {"file": str(out), "rows": rows, "bytes": size}


def _check_free(out: Path | None, *, force: bool) -> None:
    if out is not None and out != STDOUT and out.exists() and not force:
        raise MetriclakeError(f"{out} is there already: nothing was written over it (--force does)")


@contextmanager
def _whole(out: Path, *, force: bool) -> Iterator[Callable[[bytes], object]]:
    """
    Write a file beside its name; it gets the name, durably, when all of it is there. Nothing is left where it is not.
    """
    if out == STDOUT:
        yield sys.stdout.buffer.write
        sys.stdout.buffer.flush()
        return
    part = out.with_name(f".{out.name}.{secrets.token_hex(4)}.part")
    try:
        try:
            with part.open("xb") as file:
                yield file.write
                file.flush()
                os.fsync(file.fileno())
            _check_free(out, force=force)
            part.replace(out)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise MetriclakeError(f"{out} cannot be written: {error.strerror}; nothing is kept of it") from error


@contextmanager
def _shown(what: str) -> Iterator[Callable[[int], None]]:
    """
    Show on a terminal's error output how much has come.
    """
    columns = (SpinnerColumn(), TextColumn("{task.description}"), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda size: progress.update(task, completed=size)
