"""
The command line: thin, over the same functions and routes as everything else.

A module for each group of commands: their options, and what they ask of a server.

Exit codes: 0 done, 1 refused or failed, 2 wrong usage.
"""

from __future__ import annotations

import click

from metriclake._version import __version__
from metriclake.cli import (
    backfill_commands,
    deadletter_commands,
    file_commands,
    import_commands,
    lake_commands,
    query_commands,
    rules_commands,
    server_commands,
    status_commands,
    tenant_commands,
    token_commands,
)

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="metriclake")
def main() -> None:
    """
    Tenant-separated metrics for SaaS products: events in, each customer's own charts out.
    """


def _with_version(command: click.Command) -> None:
    """
    Give a command, and those below it, `--version`.
    """
    click.version_option(__version__, prog_name="metriclake")(command)
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        _with_version(below)


for _command in (
    file_commands.init,
    file_commands.check,
    file_commands.schema,
    import_commands.import_,
    server_commands.up,
    server_commands.demo,
    server_commands.put,
    token_commands.token,
    status_commands.status,
    query_commands.query,
    rules_commands.rules,
    rules_commands.preview,
    backfill_commands.backfill,
    tenant_commands.tenant,
    lake_commands.lake,
    lake_commands.errors,
    deadletter_commands.deadletters,
    deadletter_commands.replay,
):
    _with_version(_command)
    main.add_command(_command)
