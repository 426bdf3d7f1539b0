"""
What the commands `lake` and `errors` ask of a server, slice by slice, with a progress bar on a terminal.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from metriclake._errors import MetriclakeError
from metriclake.serve import Reached, answered

_MOST_FINDINGS = 10_000
_AT_ONCE = 200
_BUSY = frozenset({429, 503})
_TRIES = 60
Asked = dict[str, Any]


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


def advance(progress: Progress, task: TaskID, part: Asked, description: str) -> None:
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
