"""
What the commands about rules do: test a pattern, explain an event, preview an edited file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from metriclake._config import DataDirectory, Environment
from metriclake.app import configure, explain_event, running
from metriclake.lake_commands import advance, bar
from metriclake.rules import Pattern
from metriclake.serve import Reached, pipeline_of, reach
from metriclake.stream import read_event

Asked = dict[str, Any]
_COUNTS = ("before", "after", "added", "removed", "changed")
_TABLES = ("refused_before", "refused_after", "sums_before", "sums_after")


def test_pattern(pattern: str, event: bytes) -> Asked:
    """
    Return whether an event matches a pattern, and if not why. Raises InvalidPattern and InvalidEvent.
    """
    compiled = Pattern.compile(pattern)
    mismatch = compiled.explain(read_event(event))
    return {
        "matches": mismatch is None,
        "why": None if mismatch is None else str(mismatch),
        "mismatch": None if mismatch is None else msgspec.to_builtins(mismatch),
        "wildcard_complexity": compiled.wildcard_complexity,
    }


async def explain(data: DataDirectory, environment: Environment, config: Path | None, event: bytes) -> Asked:
    """
    Return what becomes of an event by the named file, or by the one that is in force on a data directory.
    """
    if config is None and running(data):
        async with reach(data, environment, Path) as reached:
            headers = {"Content-Type": "application/json"}
            found: Asked = await reached.ask(
                "POST", "/v1/admin/rules/explain", reached.keys.admin, content=event, headers=headers
            )
            return found
    configured = configure(pipeline_of(config, data), environment.variables)
    try:
        explained: Asked = msgspec.to_builtins(explain_event(event, configured))
    finally:
        configured.directory.close()
    return explained


async def preview(reached: Reached, asked: Asked) -> Asked:
    """
    Run an edited file's rule over archived events from end to end; returns the differences by tenant.
    """
    tenants: dict[str, Asked] = {}
    body, events = dict(asked), 0
    with bar("preview") as (progress, task):
        while True:
            part = await reached.ask("POST", "/v1/admin/preview", reached.keys.admin, json=body)
            events += part["events"]
            for found in part["differences"]:
                _add(tenants.setdefault(found["tenant"], {**found, **dict.fromkeys(_COUNTS, 0), **_empty()}), found)
            advance(progress, task, part, "preview, by hour of arrival")
            if not part["next"]:
                break
            body["after"] = part["next"]
    return {"metric": asked["metric"], "events": events, "differences": [tenants[name] for name in sorted(tenants)]}


def _empty() -> Asked:
    return {name: {} for name in _TABLES}


def _add(into: Asked, found: Asked) -> None:
    for name in _COUNTS:
        into[name] += found[name]
    for name in _TABLES:
        for key, amount in found[name].items():
            into[name][key] = into[name].get(key, 0) + amount
