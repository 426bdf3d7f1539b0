"""
What the commands `deadletters` and `replay` ask of a server, with a progress bar on a terminal.
"""

from __future__ import annotations

import asyncio
from typing import Any

from metriclake.lake_commands import bar, first_of
from metriclake.serve import Reached

_POLL_SECONDS = 0.25
_PATIENCE_POLLS = 40
Asked = dict[str, Any]


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


async def replay(reached: Reached, asked: Asked) -> Asked:
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
