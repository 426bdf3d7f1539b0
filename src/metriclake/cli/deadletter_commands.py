"""
The commands `deadletters` and `replay`, and what they ask of a server.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec

import click

from metriclake.cli import options
from metriclake.cli.asking import Asked, bar, first_of, said, with_server
from metriclake.cli.output import print_letters, print_letters_shown, print_replay
from metriclake.serve import Reached

_POLL_SECONDS = 0.25
_PATIENCE_POLLS = 40
_P = ParamSpec("_P")


def _letters(command: Callable[_P, None]) -> Callable[_P, None]:
    """
    Give a command the options that say which dead letters are meant.
    """
    meant = (
        click.argument("numbers", type=click.IntRange(min=1), nargs=-1),
        click.option("--destination", default=None, help="Only of this destination."),
        click.option("--reason", default=None, help="Only of this reason."),
        click.option("--tenant", default=None, help="Only of this tenant."),
        click.option("--metric", default=None, help="Only of this metric."),
        click.option("--dropped", is_flag=True, help="Those that were dropped, and no others."),
    )
    for option in reversed(meant):
        command = option(command)
    return command


def _which_letters(which: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in which.items() if value}


@click.group()
def deadletters() -> None:
    """
    Look at what a destination did not take, and send it again or give it up.
    """


@deadletters.command("ls")
@_letters
@options.file
@options.data
@options.as_json
@said
def deadletters_ls(config: Path | None, root: Path, *, as_json: bool, **which: Any) -> None:
    """
    Count dead letters (of these NUMBERS, or all) by destination, reason, tenant, metric and state.
    """
    found = with_server(config, root, lambda reached: list_letters(reached, _which_letters(which)))
    if as_json:
        click.echo(json.dumps(found))
    else:
        print_letters(found)


@deadletters.command("show")
@_letters
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many.")
@options.file
@options.data
@options.as_json
@said
def deadletters_show(config: Path | None, root: Path, *, limit: int, as_json: bool, **which: Any) -> None:
    """
    Print dead letters (these NUMBERS, or all), each with its attempts and its metric event.
    """
    found = with_server(config, root, lambda reached: show_letters(reached, _which_letters(which), limit))
    if as_json:
        click.echo(json.dumps(found))
    else:
        print_letters_shown(found)


@deadletters.command("redrive")
@_letters
@options.file
@options.data
@options.as_json
@said
def deadletters_redrive(config: Path | None, root: Path, *, as_json: bool, **which: Any) -> None:
    """
    Have dead letters (these NUMBERS, or all) tried again, as the pipeline file maps them now, and wait for the outcome.
    """
    found = with_server(config, root, lambda reached: redrive_letters(reached, _which_letters(which)))
    if as_json:
        click.echo(json.dumps(found))
        return
    told = f"{found['delivered']} delivered, {found['dead']} dead again, {found['waiting']} waiting"
    click.echo(f"{found['redriven']} dead letters tried again: {told}")
    for why in found["failures"].values():
        click.echo(why, err=True)


@deadletters.command("drop")
@_letters
@options.file
@options.data
@options.as_json
@said
def deadletters_drop(config: Path | None, root: Path, *, as_json: bool, **which: Any) -> None:
    """
    Give dead letters (these NUMBERS, or all of what an option says) up: counted as dead, listed no more.
    """
    asked = _which_letters(which)
    if not asked:
        raise click.UsageError("say which: by number, --destination, --reason, --tenant or --metric")
    found = with_server(config, root, lambda reached: drop_letters(reached, asked))
    click.echo(json.dumps(found) if as_json else f"{found['dropped']} dead letters dropped")


@click.command()
@click.option("--destination", required=True, help="Which one; `store` too.")
@options.start
@options.end
@click.option(
    "--dry-run", is_flag=True, help="Only say how much it would be, and whether anything would be there twice."
)
@click.option("--allow-duplicates", is_flag=True, help="Also where the destination may have records twice.")
@click.option("--stop", is_flag=True, help="End the replay that runs.")
@options.file
@options.data
@options.as_json
@said
def replay(config: Path | None, root: Path, *, as_json: bool, **asked: Any) -> None:
    """
    Deliver lake objects to a destination again: those with events that arrived from a time to a time, or all.

    It goes on in the server where this command is ended, and after a restart.
    """
    body = {"from": asked.pop("start"), "to": asked.pop("end"), **asked}
    given = {key: value for key, value in body.items() if value}
    found = with_server(config, root, lambda reached: replay_objects(reached, given))
    if as_json:
        click.echo(json.dumps(found))
    elif asked["stop"]:
        click.echo(f"{found['stopped']} replays ended")
    else:
        print_replay(found, dry_run=asked["dry_run"])


async def list_letters(reached: Reached, asked: Asked) -> Asked:
    """
    Count dead letters by destination, reason, tenant, metric and state.
    """
    found: Asked = await reached.ask("GET", "/v1/admin/deadletters", reached.keys.admin, params=_params(asked))
    return found


async def show_letters(reached: Reached, asked: Asked, limit: int) -> Asked:
    """
    Return dead letters, each with its attempts and its metric event, in the order of their numbers.
    """
    return {"letters": await first_of(reached, "/v1/admin/deadletters/records", _params(asked), "letters", limit)}


async def redrive_letters(reached: Reached, asked: Asked) -> Asked:
    """
    Have dead letters tried again, and wait for what becomes of them while their destinations take anything.
    """
    with bar("redrive") as (progress, task):
        before, _, _ = await _standing(reached, asked)
        redriven = await _change(reached, "redrive", asked)
        before += redriven if asked.get("dropped") else 0
        progress.update(task, total=redriven or None)
        after, left, failures = await _standing(reached, asked)
        idle = 0
        while left and not (failures and idle > _PATIENCE_POLLS):
            await asyncio.sleep(_POLL_SECONDS)
            known = left
            after, left, failures = await _standing(reached, asked)
            idle = idle + 1 if left == known else 0
            progress.update(task, completed=redriven - left)
    delivered = min(max(before - after, 0), redriven)
    dead = max(redriven - left - delivered, 0)
    return {"redriven": redriven, "delivered": delivered, "dead": dead, "waiting": left, "failures": failures}


async def drop_letters(reached: Reached, asked: Asked) -> Asked:
    """
    Give dead letters up; returns how many.
    """
    with bar("drop"):
        return {"dropped": await _change(reached, "drop", asked)}


async def replay_objects(reached: Reached, asked: Asked) -> Asked:
    """
    Have announced objects delivered again, and wait for it while the destination takes anything.
    """
    begun: Asked = await reached.ask("POST", "/v1/admin/replays", reached.keys.admin, json=asked)
    if not begun.get("replay"):
        return {"state": "none", **begun}
    with bar("replay") as (progress, task):
        found, idle = await _replayed(reached, begun["replay"]), 0
        while found["state"] == "running" and not (found["failure"] and idle > _PATIENCE_POLLS):
            await asyncio.sleep(_POLL_SECONDS)
            done = found["done"]
            found = await _replayed(reached, begun["replay"])
            idle = idle + 1 if found["done"] == done else 0
            progress.update(task, completed=found["done"], total=found["objects"])
    return {**begun, **found}


async def _replayed(reached: Reached, number: int) -> Asked:
    """
    Return how far a replay is, and why its destination does not take everything, None where it does.
    """
    listed = await reached.ask("GET", "/v1/admin/replays", reached.keys.admin)
    (found,) = (one for one in listed["replays"] if one["number"] == number)
    return {**found, "failure": listed["failures"].get(found["destination"])}


async def _change(reached: Reached, what: str, asked: Asked) -> int:
    """
    Redrive or drop letters, some hundred at a time; returns how many.
    """
    changed = 0
    body = dict(asked)
    while True:
        part = await reached.ask("POST", f"/v1/admin/deadletters/{what}", reached.keys.admin, json=body)
        changed += int(part["letters"])
        if not part["next"]:
            return changed
        body["after"] = part["next"]


async def _standing(reached: Reached, asked: Asked) -> tuple[int, int, dict[str, str]]:
    """
    Return how many letters there are, how many of them wait, and why their destinations do not take everything.

    They are those that were asked for, whatever their reason is now.
    """
    found = await list_letters(reached, {key: asked[key] for key in asked if key not in ("reason", "dropped")})
    groups = found["groups"]
    names = {group["destination"] for group in groups}
    failures = {name: why for name, why in found["failures"].items() if name in names}
    waiting = sum(group["letters"] for group in groups if group["state"] == "redriving")
    return sum(group["letters"] for group in groups), waiting, failures


def _params(asked: Asked) -> dict[str, str]:
    params = {key: value for key, value in asked.items() if key not in ("numbers", "dropped")}
    if asked.get("numbers"):
        params["numbers"] = ",".join(map(str, asked["numbers"]))
    if asked.get("dropped"):
        params["dropped"] = "true"
    return params
