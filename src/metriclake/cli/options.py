"""
The options and arguments that several commands share, and what is read of them.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from metriclake._config import DEFAULT_DATA
from metriclake._errors import MetriclakeError
from metriclake.pipeline.spec import duration

PIPELINE = "metriclake.yaml"

data = click.option(
    "--data", "root", type=click.Path(file_okay=False, path_type=Path), default=DEFAULT_DATA, show_default=True,
    help="The data directory.",
)  # fmt: skip
file = click.option(
    "-c", "--config", "config", type=click.Path(dir_okay=False, path_type=Path), default=None,
    help=f"The pipeline file.  [default: {PIPELINE}, or the one last served from the data directory]",
)  # fmt: skip
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
start = click.option("--from", "start", default=None, help="From this arrival on, such as 2026-01-31T12:00:00Z.")
end = click.option("--to", "end", default=None, help="Before this arrival.")


def given(asked: dict[str, str | None]) -> dict[str, Any]:
    """
    Return what was asked for, without the options that were not given.
    """
    return {key: value for key, value in asked.items() if value is not None}


def text_of(named: str) -> bytes:
    """
    Return what an argument names: standard input, a file, or itself where it looks like JSON.
    """
    if named == "-":
        return sys.stdin.buffer.read()
    if named.lstrip().startswith("{"):
        return named.encode()
    try:
        return Path(named).read_bytes()
    except OSError as error:
        raise MetriclakeError(f"{named} cannot be read ({error.strerror}), and is no JSON object") from error


def since(text: str) -> str:
    """
    Return the time that a time or a length back from now names.
    """
    with suppress(ValueError):
        return (datetime.now(UTC) - duration(text)).isoformat()
    return text
