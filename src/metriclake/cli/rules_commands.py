"""
The commands about rules: test a pattern, explain an event, preview an edited file.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import click
import msgspec

from metriclake._config import DataDirectory, Environment, environment
from metriclake.app import configure, explain_event, running
from metriclake.cli import options
from metriclake.cli.asking import Asked, advance, bar, said, with_server
from metriclake.cli.output import print_explanation, print_preview
from metriclake.rules import Pattern
from metriclake.serve import Reached, pipeline_of, reach
from metriclake.stream import read_event

_COUNTS = ("before", "after", "added", "removed", "changed")
_TABLES = ("refused_before", "refused_after", "sums_before", "sums_after")


@click.group()
def rules() -> None:
    """
    Try rules on events, without accepting them.
    """


_EVENT_HELP = "A file, - for standard input, or the JSON text itself."


@rules.command("test")
@click.option("--pattern", required=True, help="The event pattern: a file, or the JSON text itself.")
@click.option("--event", required=True, help=f"The event. {_EVENT_HELP}")
@options.as_json
@said
def rules_test(pattern: str, event: str, *, as_json: bool) -> None:
    """
    Test whether an event matches a pattern, and say which key fails if it does not.
    """
    found = test_pattern(options.text_of(pattern).decode("utf-8", "replace"), options.text_of(event))
    if as_json:
        click.echo(json.dumps(found))
    else:
        click.echo("it matches" if found["matches"] else f"it does not match: {found['why']}")


@rules.command("explain")
@click.argument("event")
@options.file
@options.data
@options.as_json
@said
def rules_explain(event: str, config: Path | None, root: Path, *, as_json: bool) -> None:
    """
    Tell what every rule of its bus makes of EVENT: a file, - for standard input, or the JSON text itself.

    By the rules in force where a server runs on the data directory; by the pipeline file where it is named.
    """
    found = asyncio.run(explain(DataDirectory(root), environment(), config, options.text_of(event)))
    if as_json:
        click.echo(json.dumps(found))
    else:
        print_explanation(found)


@click.command()
@click.argument("metric")
@click.option("--since", required=True, help="From this arrival on: a time, or a length such as 7d.")
@options.end
@click.option(
    "--edited", type=click.Path(dir_okay=False, path_type=Path), default=options.PIPELINE, show_default=True,
    help="The edited pipeline file.",
)  # fmt: skip
@options.file
@options.data
@options.as_json
@said
def preview(
    metric: str, edited: Path, config: Path | None, root: Path, *, as_json: bool, **arrived: str | None
) -> None:  # fmt: skip
    """
    Say what an edited file's rule of METRIC would make of archived events, beside the rule in force.
    """
    text = configure(edited, environment().variables).text
    span = {"from": options.since(arrived["since"] or ""), "to": arrived["end"]}
    asked = options.given({"metric": metric, "pipeline": text, **span})
    found = with_server(config, root, lambda reached: preview_metric(reached, asked))
    if as_json:
        click.echo(json.dumps(found))
    else:
        print_preview(found)


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


async def preview_metric(reached: Reached, asked: Asked) -> Asked:
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
