"""
What stands before a server: a first pipeline file, its check, its schema.
"""

from __future__ import annotations

import json
import sys
from importlib.resources import files
from pathlib import Path

import click

from metriclake._config import environment
from metriclake._errors import InvalidPipeline, MetriclakeError
from metriclake.app import configure
from metriclake.cli import options
from metriclake.cli.asking import said
from metriclake.pipeline import json_schema


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=".")
@said
def init(folder: Path) -> None:
    """
    Write a first pipeline file and tenants file into FOLDER.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in (options.PIPELINE, "tenants.yaml"):
        target = folder / name
        if target.exists():
            raise MetriclakeError(f"{target} is there already: nothing was written over it")
    for name in (options.PIPELINE, "tenants.yaml"):
        text = files("metriclake.samples").joinpath(name).read_text(encoding="utf-8")
        (folder / name).write_text(text, encoding="utf-8")
        click.echo(f"wrote {folder / name}")
    click.echo("next: metriclake check, then metriclake up")


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), default=options.PIPELINE)
@click.option("--strict", is_flag=True, help="End with 1 if there are warnings.")
@options.as_json
@said
def check(file: Path, *, strict: bool, as_json: bool) -> None:
    """
    Check the pipeline FILE: all its faults, each with its place, and warnings of what may not do as it seems to.
    """
    try:
        configured = configure(file, environment().variables)
    except InvalidPipeline as error:
        if not as_json:
            raise
        faults = [{"place": fault.place, "error": fault.what, "hint": fault.hint} for fault in error.faults]
        click.echo(json.dumps({"ok": False, "faults": faults}))
        sys.exit(1)
    names, traps = list(configured.loaded.pipeline.metrics), configured.traps
    ok = not (strict and traps)
    if as_json:
        warnings = [
            {"place": place, "metric": metric, "trap": trap.name, "warning": trap.what, "hint": trap.instead}
            for metric, place, trap in traps
        ]
        facts = {"ok": ok, "metrics": names, "version": configured.loaded.version, "warnings": warnings}
        click.echo(json.dumps(facts))
    else:
        for _, place, trap in traps:
            click.echo(f"{place}: warning: {trap.what} ({trap.instead}) [{trap.name}]", err=True)
        said = f", {len(traps)} warning(s)" if traps else ""
        click.echo(f"{file}: {len(names)} metrics, no faults{said}")
    if not ok:
        sys.exit(1)


@click.command()
def schema() -> None:
    """
    Print the JSON Schema of the pipeline file, for editors that complete and check as you type.
    """
    click.echo(json.dumps(json_schema(), indent=2))
