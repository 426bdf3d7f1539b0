"""
The commands `lake` and `errors`, and what they ask of a server, slice by slice.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import click
import httpx

from metriclake._errors import MetriclakeError
from metriclake.cli import options
from metriclake.cli.asking import Asked, advance, bar, first_of, said, with_server
from metriclake.cli.output import print_check, print_errors, print_refused
from metriclake.event import DropReason
from metriclake.serve import Reached, answered

_MOST_FINDINGS = 10_000
_BUSY = frozenset({429, 503})
_TRIES = 60

_reason = click.option(
    "--reason", type=click.Choice([reason.value for reason in DropReason]), default=None, help="Only of this reason."
)
_tenant = click.option("--tenant", default=None, help="Only of this tenant; `(none)` where it cannot be told.")


@click.group()
def lake() -> None:
    """
    Look after the lake.
    """


@lake.command("check")
@options.start
@options.end
@options.file
@options.data
@options.as_json
@said
def lake_check(start: str | None, end: str | None, config: Path | None, root: Path, *, as_json: bool) -> None:
    """
    Re-read every object against its manifest: what is missing, torn, changed, or named by no manifest.
    """
    asked = options.given({"from": start, "to": end})
    found = with_server(config, root, lambda reached: check_lake(reached, asked))
    if as_json:
        click.echo(json.dumps(found))
    else:
        print_check(found)
    if not found["ok"]:
        sys.exit(1)


@click.group()
def errors() -> None:
    """
    Look at what was refused, and send it again after a fix.
    """


@errors.command("ls")
@_reason
@_tenant
@options.start
@options.end
@options.file
@options.data
@options.as_json
@said
def errors_ls(config: Path | None, root: Path, *, as_json: bool, **which: str | None) -> None:
    """
    Count refused records by reason, tenant and metric.
    """
    found = with_server(config, root, lambda reached: list_errors(reached, _refused(which)))
    if as_json:
        click.echo(json.dumps(found))
    else:
        print_errors(found)


@errors.command("show")
@_reason
@_tenant
@options.start
@options.end
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many.")
@options.file
@options.data
@options.as_json
@said
def errors_show(config: Path | None, root: Path, *, limit: int, as_json: bool, **which: str | None) -> None:
    """
    Print refused records, the newest batch's first, each with its reason and as it was sent.
    """
    found = with_server(config, root, lambda reached: show_errors(reached, _refused(which), limit))
    if as_json:
        click.echo(json.dumps(found))
    else:
        print_refused(found)


@errors.command("retry")
@_reason
@_tenant
@options.start
@options.end
@click.option("--dry-run", is_flag=True, help="Only say how many would be sent.")
@click.option("--again", is_flag=True, help="Send also what an earlier retry has sent.")
@options.file
@options.data
@options.as_json
@said
def errors_retry(
    config: Path | None, root: Path, *, dry_run: bool, again: bool, as_json: bool, **which: str | None
) -> None:
    """
    Send refused records through the journal again, as new arrivals; identities see to it that nothing counts twice.
    """
    asked = {**_refused(which), "dry_run": dry_run, "again": again}
    found = with_server(config, root, lambda reached: retry_errors(reached, asked))
    if as_json:
        click.echo(json.dumps({**found, "dry_run": dry_run}))
        return
    click.echo(f"{found['records']} refused records, {found['sent']} {'would be ' if dry_run else ''}sent again")
    if found["already"] and not again:
        click.echo(f"{found['already']} were sent by an earlier retry and are left alone: --again sends them too")


def _refused(which: dict[str, str | None]) -> dict[str, Any]:
    return options.given(
        {"reason": which["reason"], "tenant": which["tenant"], "from": which["start"], "to": which["end"]}
    )


async def check_lake(reached: Reached, asked: Asked) -> Asked:
    """
    Check the lake from end to end; returns what was looked at, and what is wrong.
    """
    found: Asked = {"manifests": 0, "objects": 0, "bytes": 0, "findings": [], "left_out": 0}
    listed = 0
    with bar("lake check") as (progress, task):
        async for part in _slices(reached, "/v1/admin/lake/check", asked):
            for key in ("manifests", "objects", "bytes"):
                found[key] += part[key]
            room = _MOST_FINDINGS - len(found["findings"])
            found["findings"] += part["findings"][:room]
            found["left_out"] += len(part["findings"][room:])
            listed += part["listed"]
            if part["phase"] == "manifests":
                advance(progress, task, part, "manifests and objects, by hour")
            else:
                progress.update(task, description=part["phase"], completed=listed, total=found["objects"] or None)
    return {**found, "ok": not found["findings"]}


async def list_errors(reached: Reached, asked: Asked) -> Asked:
    """
    Count refused records by reason, tenant and metric.
    """
    groups: dict[tuple[str, str, str], Asked] = {}
    with bar("errors") as (progress, task):
        async for part in _slices(reached, "/v1/admin/errors", asked):
            for group in part["groups"]:
                key = (group["reason"], group["tenant"], group["metric"])
                before = groups.setdefault(key, {**group, "records": 0, "retried": 0})
                before["records"] += group["records"]
                before["retried"] += group["retried"]
                before["newest"] = max(before["newest"], group["newest"])
            advance(progress, task, part, "errors")
    return {"errors": [groups[key] for key in sorted(groups)]}


async def show_errors(reached: Reached, asked: Asked, limit: int) -> Asked:
    """
    Return refused records, the newest batch's first.
    """
    return {"records": await first_of(reached, "/v1/admin/errors/records", asked, "records", limit)}


async def retry_errors(reached: Reached, asked: Asked) -> Asked:
    """
    Send refused records again; returns how many there are, were sent before, and are sent now.
    """
    found: Asked = {"records": 0, "already": 0, "sent": 0}
    body = dict(asked)
    with bar("errors retry") as (progress, task):
        while True:
            part = await _patiently(reached, body)
            for key in found:
                found[key] += part[key]
            advance(progress, task, part, "errors retry")
            if not part["next"]:
                return found
            body.update(after=part["next"], as_of=part["as_of"])


async def _patiently(reached: Reached, body: Asked) -> Asked:
    """
    Ask for one slice of a retry, and wait while the journal is full.
    """
    headers = {"Authorization": f"Bearer {reached.keys.admin}"}
    for attempt in range(_TRIES):
        try:
            response = await reached.client.post("/v1/admin/errors/retry", json=body, headers=headers)
        except httpx.HTTPError as error:
            raise MetriclakeError(
                f"{reached.client.base_url} does not answer: {error}; run it again, what was sent is remembered"
            ) from error
        if response.status_code not in _BUSY or attempt == _TRIES - 1:
            break
        await asyncio.sleep(float(response.headers.get("Retry-After", "1")))
    part: Asked = answered(response)
    return part


async def _slices(reached: Reached, path: str, asked: Asked) -> AsyncIterator[Asked]:
    after = ""
    while True:
        part = await reached.ask("GET", path, reached.keys.admin, params={**asked, "after": after})
        yield part
        after = part["next"]
        if not after:
            return
