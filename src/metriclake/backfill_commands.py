"""
What the command `backfill` asks of a server, slice by slice, with a progress bar on a terminal.
"""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from metriclake._errors import MetriclakeError
from metriclake.lake_commands import advance, bar
from metriclake.serve import Reached

_PATIENCE_SECONDS = 600.0
"""How long nothing may move before the command gives up: a second run goes on."""

_SUMS = ("batches", "events", "already", "elsewhere")
Asked = dict[str, Any]


async def backfill(reached: Reached, asked: Asked) -> Asked:
    """
    Run a metric's rule over the archive from end to end; returns what became of each tenant's metric events.

    Returns when the store has loaded it. Raises MetriclakeError where nothing moves for long.
    """
    found: Asked = {"metric": asked["metric"], "dry_run": asked["dry_run"], **dict.fromkeys(_SUMS, 0)}
    tenants: dict[str, Asked] = {}
    body, still = dict(asked), 0.0
    label = "dry run" if asked["dry_run"] else "backfill"
    with bar(label) as (progress, task):
        while True:
            part = await _part(reached, body)
            for name in _SUMS:
                found[name] += part[name]
            for one in part["tenants"]:
                _add(tenants, one)
            if part["total"]:
                advance(progress, task, part, f"{label}, by hour of arrival")
            if not part["next"]:
                break
            still = still + part["pause"] if part["waits_for"] and part["next"] == body.get("after") else 0.0
            if still > _PATIENCE_SECONDS:
                raise MetriclakeError(f"nothing moves: {part['waits_for']}; `metriclake status` says more. {_AGAIN}")
            if part["waits_for"]:
                progress.update(task, description=f"{label}, waits for {part['waits_for']}")
            body.update(after=part["next"], rule=part["rule"], number=part["number"])
            await asyncio.sleep(part["pause"])
    return {**found, "tenants": [tenants[name] for name in sorted(tenants)]}


_AGAIN = "What is done stays: run it again, it goes on"


async def _part(reached: Reached, body: Asked) -> Asked:
    try:
        part: Asked = await reached.ask("POST", "/v1/admin/backfill", reached.keys.admin, json=body)
    except MetriclakeError as error:
        if isinstance(error.__cause__, httpx.HTTPError):
            raise MetriclakeError(f"{error}. {_AGAIN}") from error
        raise
    return part


def _add(tenants: dict[str, Asked], one: Asked) -> None:
    into = tenants.setdefault(one["tenant"], {**one, "received": 0, "laked": 0, "beyond": 0, "refused": {}})
    for name in ("received", "laked", "beyond"):
        into[name] += one[name]
    for reason, amount in one["refused"].items():
        into["refused"][reason] = into["refused"].get(reason, 0) + amount
