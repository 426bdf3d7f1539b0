"""
What `status --verify` asks of a server, slice by slice, with a progress bar on a terminal.
"""

from __future__ import annotations

from typing import Any

from metriclake.lake_commands import advance, bar
from metriclake.recount import compare
from metriclake.serve import Reached

Asked = dict[str, Any]


async def verify(reached: Reached) -> Asked:
    """
    Count the books anew from end to end; returns what differs from the counters, and what cannot be counted.
    """
    found: Asked = {"manifests": 0, "objects": 0, "wrong": []}
    rows: Asked = {"said": [], "found": [], "aged": []}
    body: Asked = {}
    with bar("verify") as (progress, task):
        while True:
            part = await reached.ask("POST", "/v1/admin/recount", reached.keys.admin, json=body)
            for name in rows:
                rows[name] += map(tuple, part[name])
            for name in found:
                found[name] += part[name]
            if part["total"]:
                advance(progress, task, part, f"verify, {part['phase']}")
            if not part["next"]:
                break
            body = {"moment": part["moment"], "after": part["next"]}
    verdict = compare(rows["said"], rows["found"], rows["aged"])
    differences = [
        {
            "scope": one.scope, "tenant": one.tenant, "metric": one.metric, "counter": one.counter, "said": one.said,
            "found": one.found, "difference": one.by,
        }
        for one in verdict.differences
    ]  # fmt: skip
    ok = not differences and not found["wrong"]
    return {
        **found,
        "announced": part["moment"]["announced"],
        "differences": differences,
        "left": verdict.left,
        "ok": ok,
    }
