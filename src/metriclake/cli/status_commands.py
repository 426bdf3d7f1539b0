"""
The command `status`, and what `--verify` asks of a server, slice by slice.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from metriclake.cli import options
from metriclake.cli.asking import Asked, advance, bar, said, with_server
from metriclake.cli.output import print_recount, print_status
from metriclake.recount import compare
from metriclake.serve import Reached


@click.command()
@click.option(
    "--verify", is_flag=True, help="Count the books anew, from the lake and the store; end with 1 if they differ."
)
@options.file
@options.data
@options.as_json
@said
def status(config: Path | None, root: Path, *, verify: bool, as_json: bool) -> None:
    """
    Tell where every event is: the books, and how far each stage is behind.
    """
    if verify:
        recounted = with_server(config, root, verify_books)
        if as_json:
            click.echo(json.dumps(recounted))
        else:
            print_recount(recounted)
        if not recounted["ok"]:
            sys.exit(1)
        return

    async def work(reached: Reached) -> dict[str, Any]:
        answer: dict[str, Any] = await reached.ask("GET", "/v1/admin/status", reached.keys.admin)
        return answer

    found = with_server(config, root, work)
    if as_json:
        click.echo(json.dumps(found))
    else:
        print_status(found)


async def verify_books(reached: Reached) -> Asked:
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
