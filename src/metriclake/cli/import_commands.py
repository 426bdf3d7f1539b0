"""
The commands `import`: a pipeline file of another system's template.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from metriclake._errors import MetriclakeError
from metriclake.cli import options
from metriclake.cli.asking import said
from metriclake.cli.output import print_import
from metriclake.importing import MOST_BYTES, Wishes, import_template
from metriclake.plans import faults_of


@click.group("import")
def import_() -> None:
    """
    Make a pipeline file of another system's template.
    """


def _parameters(_context: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    """
    Return NAME=VALUE pairs as a mapping.
    """
    if any("=" not in pair for pair in given):
        raise click.BadParameter("NAME=VALUE, such as Stage=prod")
    return {name: value for name, _, value in (pair.partition("=") for pair in given)}


@import_.command("cloudformation")
@click.argument("file", type=click.Path(allow_dash=True, dir_okay=False))
@click.option("--parameter", "parameters", metavar="NAME=VALUE", multiple=True, callback=_parameters,
              help="A parameter's value, also of AWS::Region, an import or opt:stage; may be repeated.")  # fmt: skip
@click.option("--skip-unfinished", is_flag=True, help="Leave out metrics whose mapping has to be written by hand.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), default=None,
              help="Write the pipeline file there.  [default: standard output]")  # fmt: skip
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@options.as_json
@said
def import_cloudformation(
    *, file: str, parameters: dict[str, str], skip_unfinished: bool, out: Path | None, force: bool, as_json: bool
) -> None:
    """
    Make a pipeline file of FILE, a template of CloudFormation or SAM or a serverless.yml (- is standard input).

    What could not be carried over is listed on standard error, each with its line and its reason. Exit code 1 means
    that nothing was carried.
    """
    if out is not None and out.exists() and not force:
        raise MetriclakeError(f"{out} is there already: nothing was written over it (--force does)")
    name = "standard input" if file == "-" else file
    wishes = Wishes(parameters, skip_unfinished)
    imported = import_template(_template(file), name, wishes, lambda text: faults_of(text, Path(options.PIPELINE)))
    if imported.text and out is not None:
        _write(out, imported.text)
    if as_json:
        notes = [asdict(note) for note in imported.not_carried]
        found = {"pipeline": imported.pipeline, "not_carried": notes, "unfinished": imported.unfinished}
        click.echo(json.dumps(found))
    else:
        print_import(imported, name)
        if imported.text:
            click.echo(imported.text if out is None else f"wrote {out}\n", nl=False)
    if not imported.text:
        sys.exit(1)


def _write(out: Path, text: str) -> None:
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise MetriclakeError(f"{out}: cannot be written: {error.strerror}") from error


def _template(file: str) -> str:
    """
    Return a template's text. Raises MetriclakeError where it cannot be read.
    """
    try:
        with click.open_file(file, "rb") as opened:
            return str(opened.read(MOST_BYTES + 1).decode("utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        what = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        raise MetriclakeError(f"{file}: cannot be read: {what}") from error
