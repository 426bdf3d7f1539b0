"""
The commands `token`: print a key, or mint a token.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from metriclake._config import DataDirectory, environment
from metriclake.cli import options
from metriclake.cli.asking import said
from metriclake.pipeline.spec import duration
from metriclake.tokens import ingest_key, load_keys, mint_tenant


@click.group()
def token() -> None:
    """
    Print a key, or mint a token; it is the last line printed.
    """


@token.command("tenant")
@click.argument("tenant")
@click.option("--ttl", default="15m", show_default=True, help="How long it lives, at most 24h.")
@click.option("--metrics", default=None, help="Only these metrics, comma-separated.")
@click.option("--dashboards", default=None, help="Only these dashboards and what they ask, comma-separated.")
@click.option("--origin", default=None, help="Only for pages of this origin.")
@options.data
@said
def token_tenant(tenant: str, ttl: str, root: Path, **bounds: str | None) -> None:
    """
    Mint a token that reads the metrics of TENANT.
    """
    try:
        lives = duration(ttl)
    except ValueError as error:
        raise click.BadParameter("a whole number and a unit, such as 15m", param_hint="--ttl") from error
    keys = load_keys(DataDirectory(root).keys, environment())
    metrics, dashboards = (_names(bounds[name]) for name in ("metrics", "dashboards"))
    bound: dict[str, Any] = {"metrics": metrics, "dashboards": dashboards, "origin": bounds["origin"]}
    click.echo(mint_tenant(keys.signing, tenant, now=datetime.now(UTC), ttl=lives, **bound))


def _names(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(text.split(","))


@token.command("ingest")
@click.option("--name", default=None, help="The key of this name, made where it is not there.")
@options.data
@said
def token_ingest(root: Path, name: str | None) -> None:
    """
    Print the ingest key, or a named one.
    """
    folder, env = DataDirectory(root).keys, environment()
    click.echo(load_keys(folder, env).ingest if name is None else ingest_key(folder, env, name))


@token.command("admin")
@options.data
@said
def token_admin(root: Path) -> None:
    """
    Print the admin key.
    """
    click.echo(load_keys(DataDirectory(root).keys, environment()).admin)


@token.command("github")
@options.data
@said
def token_github(root: Path) -> None:
    """
    Print the secret of GitHub webhooks.
    """
    click.echo(load_keys(DataDirectory(root).keys, environment()).github)
