"""
The command `backfill`, and what it asks of a server, slice by slice.
"""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import httpx

from metriclake._errors import MetriclakeError
from metriclake.cli import options
from metriclake.cli.asking import Asked, advance, bar, said, with_server
from metriclake.cli.output import print_backfill
from metriclake.serve import Reached

_PATIENCE_SECONDS = 600.0
"""How long nothing may move before the command gives up: a second run goes on."""

_SUMS = ("batches", "events", "already", "elsewhere")


@click.command()
@click.argument("metric")
@click.option("--since", required=True, help="From this arrival on: a time, or a length such as 90d.")
@click.option("--until", default=None, help="Before this arrival.  [default: now]")
@click.option(
    "--destination", "destinations", multiple=True, help="Send it there too, not into the store alone; may be repeated."
)
@click.option("--dry-run", is_flag=True, help="Only say what would be made.")
@click.option("--yes", is_flag=True, help="Go to work without a dry run and a question.")
@options.file
@options.data
@options.as_json
@said
def backfill(metric: str, config: Path | None, root: Path, *, as_json: bool, dry_run: bool, **given: Any) -> None:
    """
    Run the rule of METRIC, as it is in force, over archived domain events: first dry, then, when told so, for good.

    What the store has already counts as a duplicate. Run again, it goes on where it was.
    """
    asking = not dry_run and not given["yes"]
    if as_json and asking:
        raise click.UsageError("--json asks no questions: give --dry-run or --yes with it")
    until = datetime.now(UTC).isoformat() if given["until"] is None else options.since(given["until"])
    span = {"from": options.since(given["since"]), "to": until}
    asked = {"metric": metric, "destinations": list(given["destinations"]), **span}

    async def work(reached: Reached) -> dict[str, Any]:
        if asking:
            found = await backfill_metric(reached, {**asked, "dry_run": True})
            print_backfill(found)
            if not found["tenants"] or not click.confirm("Make it?"):
                return {}
        return await backfill_metric(reached, {**asked, "dry_run": dry_run})

    found = with_server(config, root, work)
    if as_json:
        click.echo(json.dumps(found))
    elif found:
        print_backfill(found)


async def backfill_metric(reached: Reached, asked: Asked) -> Asked:
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
