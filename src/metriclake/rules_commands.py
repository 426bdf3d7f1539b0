"""
What the commands about rules ask of a server.
"""

from __future__ import annotations

from typing import Any

from metriclake.lake_commands import advance, bar
from metriclake.serve import Reached

Asked = dict[str, Any]
_COUNTS = ("before", "after", "added", "removed", "changed")
_TABLES = ("refused_before", "refused_after", "sums_before", "sums_after")


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
