"""
The command line: thin, over the same functions and routes as everything else.

Exit codes: 0 done, 1 refused or failed, 2 wrong usage.
"""

from __future__ import annotations

import asyncio
import csv
import json
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from functools import wraps
from importlib.resources import files
from pathlib import Path
from typing import Any, ParamSpec

import click

from metriclake._config import DEFAULT_DATA, DEFAULT_HOST, DEFAULT_PORT, DataDirectory, environment
from metriclake._errors import InvalidPipeline, MetriclakeError
from metriclake._version import __version__
from metriclake.app import configure
from metriclake.backfill_commands import backfill as backfilled
from metriclake.cli_output import (
    print_answer,
    print_answers,
    print_backfill,
    print_check,
    print_errors,
    print_explanation,
    print_import,
    print_letters,
    print_letters_shown,
    print_preview,
    print_recount,
    print_refused,
    print_replay,
    print_status,
    print_tenants,
)
from metriclake.deadletter_commands import drop_letters, list_letters, redrive_letters, show_letters
from metriclake.deadletter_commands import replay as replayed
from metriclake.event import DropReason
from metriclake.importing import MOST_BYTES, Wishes, import_template
from metriclake.lake_commands import check_lake, list_errors, retry_errors, show_errors
from metriclake.pipeline import json_schema
from metriclake.pipeline.spec import duration
from metriclake.plans import faults_of
from metriclake.query_commands import ask, filter_of, queries_of, question_of
from metriclake.recount_commands import verify as verified
from metriclake.rules_commands import explain as explained
from metriclake.rules_commands import preview as previewed
from metriclake.rules_commands import test_pattern
from metriclake.serve import Reached, check_host, listen, log_to_stderr, pipeline_of, reach, run
from metriclake.tenant_commands import STDOUT, export_tenant, list_tenants
from metriclake.tokens import ingest_key, load_keys, mint_tenant

_P = ParamSpec("_P")
_PIPELINE = "metriclake.yaml"

_data = click.option(
    "--data", "root", type=click.Path(file_okay=False, path_type=Path), default=DEFAULT_DATA, show_default=True,
    help="The data directory.",
)  # fmt: skip
_file = click.option(
    "-c", "--config", "config", type=click.Path(dir_okay=False, path_type=Path), default=None,
    help=f"The pipeline file.  [default: {_PIPELINE}, or the one last served from the data directory]",
)  # fmt: skip
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def _said(command: Callable[_P, None]) -> Callable[_P, None]:
    """
    End a command that is refused with its error and exit code 1.
    """

    @wraps(command)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except InvalidPipeline as error:
            click.echo(f"{error}\n{len(error.faults)} fault(s); nothing was changed", err=True)
            sys.exit(1)
        except MetriclakeError as error:
            click.echo(f"error: {error}", err=True)
            sys.exit(1)

    return wrapped


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="metriclake")
def main() -> None:
    """
    Tenant-separated metrics for SaaS products: events in, each customer's own charts out.
    """


@main.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=".")
@_said
def init(folder: Path) -> None:
    """
    Write a first pipeline file and tenants file into FOLDER.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in (_PIPELINE, "tenants.yaml"):
        target = folder / name
        if target.exists():
            raise MetriclakeError(f"{target} is there already: nothing was written over it")
    for name in (_PIPELINE, "tenants.yaml"):
        text = files("metriclake.samples").joinpath(name).read_text(encoding="utf-8")
        (folder / name).write_text(text, encoding="utf-8")
        click.echo(f"wrote {folder / name}")
    click.echo("next: metriclake check, then metriclake up")


@main.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), default=_PIPELINE)
@click.option("--strict", is_flag=True, help="End with 1 if there are warnings.")
@_json
@_said
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


@main.command()
def schema() -> None:
    """
    Print the JSON Schema of the pipeline file, for editors that complete and check as you type.
    """
    click.echo(json.dumps(json_schema(), indent=2))


@main.command()
@_file
@_data
@click.option("--host", default=DEFAULT_HOST, show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=DEFAULT_PORT, show_default=True, help="0: any free one.")
@click.option("--role", default=None, help="The roles of this process; on the embedded engines: all.")
@_said
def up(config: Path | None, root: Path, host: str, port: int, role: str | None) -> None:
    """
    Serve: doors, stream, store, query and charts in one process.
    """
    if role not in (None, "all", "gateway,stream,store,query"):
        raise MetriclakeError("--role: chDB allows one process, so on the embedded engines all roles run together")
    env = environment()
    check_host(host, env)
    log_to_stderr()
    data = DataDirectory(root)
    configured = configure(pipeline_of(config, data), env.variables)
    with listen(host, port) as listener:
        run(configured, data, env, listener)


@main.command()
@click.option("--once", is_flag=True, help="Feed, print the books, end; exit 0 only if they balance.")
@click.option("--data", "root", type=click.Path(file_okay=False, path_type=Path), default=None,
              help="Keep the data there.  [default: a folder that is removed at the end]")  # fmt: skip
@click.option("--port", type=click.IntRange(0, 65535), default=None, help="The port.  [default: 8321, or a free one]")
@_said
def demo(root: Path | None, port: int | None, *, once: bool) -> None:
    """
    Serve sample events of three customers: 90 days of history, then a live trickle.
    """
    from metriclake.demo import show  # noqa: PLC0415 - no other command pays for it

    log_to_stderr("WARNING")
    balanced = asyncio.run(show(root, port, environment(), once=once))
    if not balanced:
        raise MetriclakeError("the books do not balance")


@main.command()
@click.argument("file", type=click.Path(allow_dash=True, dir_okay=False), default="-")
@click.option(
    "--door", type=click.Choice(["events", "metrics", "github"]), default="events", show_default=True,
    help="The door: what the lines are.",
)  # fmt: skip
@click.option("--url", default=None, help="The server.  [default: the one that serves the data directory]")
@_file
@_data
@_json
@_said
def put(file: str, door: str, url: str | None, config: Path | None, root: Path, *, as_json: bool) -> None:
    """
    Send the events in FILE (NDJSON or a JSON array, also gzip or zstd; - is standard input) through a door.
    """
    from metriclake.put import send  # noqa: PLC0415 - no other command pays for it

    data = DataDirectory(root)

    async def work() -> dict[str, Any]:
        async with reach(data, environment(), lambda: pipeline_of(config, data), url) as reached:
            sent: dict[str, Any] = await send(reached, file, door)
            return sent

    sent = _run(work())
    if as_json:
        click.echo(json.dumps(sent))
    else:
        click.echo(f"{sent['accepted']} accepted, {len(sent['rejected'])} rejected")
        for item in sent["rejected"][:20]:
            click.echo(f"  item {item['index']}: {item['error']}", err=True)
    if sent["rejected"]:
        sys.exit(1)


@main.group()
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
@_data
@_said
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
@_data
@_said
def token_ingest(root: Path, name: str | None) -> None:
    """
    Print the ingest key, or a named one.
    """
    folder, env = DataDirectory(root).keys, environment()
    click.echo(load_keys(folder, env).ingest if name is None else ingest_key(folder, env, name))


@token.command("admin")
@_data
@_said
def token_admin(root: Path) -> None:
    """
    Print the admin key.
    """
    click.echo(load_keys(DataDirectory(root).keys, environment()).admin)


@token.command("github")
@_data
@_said
def token_github(root: Path) -> None:
    """
    Print the secret of GitHub webhooks.
    """
    click.echo(load_keys(DataDirectory(root).keys, environment()).github)


@main.command()
@click.option(
    "--verify", is_flag=True, help="Count the books anew, from the lake and the store; end with 1 if they differ."
)
@_file
@_data
@_json
@_said
def status(config: Path | None, root: Path, *, verify: bool, as_json: bool) -> None:
    """
    Tell where every event is: the books, and how far each stage is behind.
    """
    if verify:
        recounted = _run(_with_server(config, root, verified))
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

    found = _run(_with_server(config, root, work))
    if as_json:
        click.echo(json.dumps(found))
    else:
        print_status(found)


_from = click.option("--from", "start", default=None, help="From this arrival on, such as 2026-01-31T12:00:00Z.")
_to = click.option("--to", "end", default=None, help="Before this arrival.")
_reason = click.option(
    "--reason", type=click.Choice([reason.value for reason in DropReason]), default=None, help="Only of this reason."
)
_tenant = click.option("--tenant", default=None, help="Only of this tenant; `(none)` where it cannot be told.")


@main.group()
def lake() -> None:
    """
    Look after the lake.
    """


@lake.command("check")
@_from
@_to
@_file
@_data
@_json
@_said
def lake_check(start: str | None, end: str | None, config: Path | None, root: Path, *, as_json: bool) -> None:
    """
    Re-read every object against its manifest: what is missing, torn, changed, or named by no manifest.
    """
    asked = _given({"from": start, "to": end})
    found = _run(_with_server(config, root, lambda reached: check_lake(reached, asked)))
    if as_json:
        click.echo(json.dumps(found))
    else:
        print_check(found)
    if not found["ok"]:
        sys.exit(1)


@main.group()
def errors() -> None:
    """
    Look at what was refused, and send it again after a fix.
    """


@errors.command("ls")
@_reason
@_tenant
@_from
@_to
@_file
@_data
@_json
@_said
def errors_ls(config: Path | None, root: Path, *, as_json: bool, **which: str | None) -> None:
    """
    Count refused records by reason, tenant and metric.
    """
    found = _run(_with_server(config, root, lambda reached: list_errors(reached, _refused(which))))
    if as_json:
        click.echo(json.dumps(found))
    else:
        print_errors(found)


@errors.command("show")
@_reason
@_tenant
@_from
@_to
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many.")
@_file
@_data
@_json
@_said
def errors_show(config: Path | None, root: Path, *, limit: int, as_json: bool, **which: str | None) -> None:
    """
    Print refused records, the newest batch's first, each with its reason and as it was sent.
    """
    found = _run(_with_server(config, root, lambda reached: show_errors(reached, _refused(which), limit)))
    if as_json:
        click.echo(json.dumps(found))
    else:
        print_refused(found)


@errors.command("retry")
@_reason
@_tenant
@_from
@_to
@click.option("--dry-run", is_flag=True, help="Only say how many would be sent.")
@click.option("--again", is_flag=True, help="Send also what an earlier retry has sent.")
@_file
@_data
@_json
@_said
def errors_retry(
    config: Path | None, root: Path, *, dry_run: bool, again: bool, as_json: bool, **which: str | None
) -> None:
    """
    Send refused records through the journal again, as new arrivals; identities see to it that nothing counts twice.
    """
    asked = {**_refused(which), "dry_run": dry_run, "again": again}
    found = _run(_with_server(config, root, lambda reached: retry_errors(reached, asked)))
    if as_json:
        click.echo(json.dumps({**found, "dry_run": dry_run}))
        return
    click.echo(f"{found['records']} refused records, {found['sent']} {'would be ' if dry_run else ''}sent again")
    if found["already"] and not again:
        click.echo(f"{found['already']} were sent by an earlier retry and are left alone: --again sends them too")


def _refused(which: dict[str, str | None]) -> dict[str, Any]:
    return _given({"reason": which["reason"], "tenant": which["tenant"], "from": which["start"], "to": which["end"]})


def _given(asked: dict[str, str | None]) -> dict[str, Any]:
    return {key: value for key, value in asked.items() if value is not None}


def _letters(command: Callable[_P, None]) -> Callable[_P, None]:
    """
    Give a command the options that say which dead letters are meant.
    """
    options = (
        click.argument("numbers", type=click.IntRange(min=1), nargs=-1),
        click.option("--destination", default=None, help="Only of this destination."),
        click.option("--reason", default=None, help="Only of this reason."),
        click.option("--tenant", default=None, help="Only of this tenant."),
        click.option("--metric", default=None, help="Only of this metric."),
        click.option("--dropped", is_flag=True, help="Those that were dropped, and no others."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _which_letters(which: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in which.items() if value}


@main.group()
def deadletters() -> None:
    """
    Look at what a destination did not take, and send it again or give it up.
    """


@deadletters.command("ls")
@_letters
@_file
@_data
@_json
@_said
def deadletters_ls(config: Path | None, root: Path, *, as_json: bool, **which: Any) -> None:
    """
    Count dead letters (of these NUMBERS, or all) by destination, reason, tenant, metric and state.
    """
    found = _run(_with_server(config, root, lambda reached: list_letters(reached, _which_letters(which))))
    if as_json:
        click.echo(json.dumps(found))
    else:
        print_letters(found)


@deadletters.command("show")
@_letters
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many.")
@_file
@_data
@_json
@_said
def deadletters_show(config: Path | None, root: Path, *, limit: int, as_json: bool, **which: Any) -> None:
    """
    Print dead letters (these NUMBERS, or all), each with its attempts and its metric event.
    """
    found = _run(_with_server(config, root, lambda reached: show_letters(reached, _which_letters(which), limit)))
    if as_json:
        click.echo(json.dumps(found))
    else:
        print_letters_shown(found)


@deadletters.command("redrive")
@_letters
@_file
@_data
@_json
@_said
def deadletters_redrive(config: Path | None, root: Path, *, as_json: bool, **which: Any) -> None:
    """
    Have dead letters (these NUMBERS, or all) tried again, as the pipeline file maps them now, and wait for the outcome.
    """
    found = _run(_with_server(config, root, lambda reached: redrive_letters(reached, _which_letters(which))))
    if as_json:
        click.echo(json.dumps(found))
        return
    told = f"{found['delivered']} delivered, {found['dead']} dead again, {found['waiting']} waiting"
    click.echo(f"{found['redriven']} dead letters tried again: {told}")
    for why in found["failures"].values():
        click.echo(why, err=True)


@deadletters.command("drop")
@_letters
@_file
@_data
@_json
@_said
def deadletters_drop(config: Path | None, root: Path, *, as_json: bool, **which: Any) -> None:
    """
    Give dead letters (these NUMBERS, or all of what an option says) up: counted as dead, listed no more.
    """
    asked = _which_letters(which)
    if not asked:
        raise click.UsageError("say which: by number, --destination, --reason, --tenant or --metric")
    found = _run(_with_server(config, root, lambda reached: drop_letters(reached, asked)))
    click.echo(json.dumps(found) if as_json else f"{found['dropped']} dead letters dropped")


@main.command()
@click.option("--destination", required=True, help="Which one; `store` too.")
@_from
@_to
@click.option(
    "--dry-run", is_flag=True, help="Only say how much it would be, and whether anything would be there twice."
)
@click.option("--allow-duplicates", is_flag=True, help="Also where the destination may have records twice.")
@click.option("--stop", is_flag=True, help="End the replay that runs.")
@_file
@_data
@_json
@_said
def replay(config: Path | None, root: Path, *, as_json: bool, **asked: Any) -> None:
    """
    Deliver lake objects to a destination again: those with events that arrived from a time to a time, or all.

    It goes on in the server where this command is ended, and after a restart.
    """
    body = {"from": asked.pop("start"), "to": asked.pop("end"), **asked}
    given = {key: value for key, value in body.items() if value}
    found = _run(_with_server(config, root, lambda reached: replayed(reached, given)))
    if as_json:
        click.echo(json.dumps(found))
    elif asked["stop"]:
        click.echo(f"{found['stopped']} replays ended")
    else:
        print_replay(found, dry_run=asked["dry_run"])


@main.group()
def tenant() -> None:
    """
    Look after tenants.
    """


@tenant.command("ls")
@_file
@_data
@_json
@_said
def tenant_ls(config: Path | None, root: Path, *, as_json: bool) -> None:
    """
    List the tenants of which the store has rows: their metrics, how many rows, the first and the last time.
    """
    found = _run(_with_server(config, root, list_tenants))
    if as_json:
        click.echo(json.dumps(found))
    else:
        print_tenants(found)


@tenant.command("export")
@click.argument("name", metavar="TENANT")
@click.option("--metric", "metrics", multiple=True, help="Only this metric; repeatable.")
@click.option("--from", "start", default=None, help="From this time on, such as 2026-01-31T12:00:00Z.")
@click.option("--to", "end", default=None, help="Before this time.")
@click.option("--format", "form", type=click.Choice(["csv", "ndjson", "parquet", "arrow"]), default="csv",
              show_default=True, help="The file's format.")  # fmt: skip
@click.option("--exact", is_flag=True, help="Leave text in CSV as it is, also what a spreadsheet would run.")
@click.option("-o", "--out", type=click.Path(dir_okay=False, path_type=Path), default=None,
              help="The file; - is standard output.  [default: named after the tenant, in this folder]")  # fmt: skip
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@_file
@_data
@_said
def tenant_export(  # noqa: PLR0913 - one for each option
    *, name: str, metrics: tuple[str, ...], start: str | None, end: str | None, form: str, exact: bool,
    out: Path | None, force: bool, config: Path | None, root: Path,
) -> None:  # fmt: skip
    """
    Write all rows of TENANT to a file, as of one moment. A file that is there is whole.
    """
    given = _given({"from": start, "to": end, "csv": "exact" if exact else None})
    asked = {"format": form, "metric": list(metrics), **given}
    found = _run(_with_server(config, root, lambda reached: export_tenant(reached, name, asked, out, force=force)))
    said = f"{found['rows']:,} rows, {found['bytes']:,} bytes"
    click.echo(said if out == STDOUT else f"wrote {found['file']}: {said}", err=out == STDOUT)


@main.group()
def rules() -> None:
    """
    Try rules on events, without accepting them.
    """


_EVENT_HELP = "A file, - for standard input, or the JSON text itself."


@rules.command("test")
@click.option("--pattern", required=True, help="The event pattern: a file, or the JSON text itself.")
@click.option("--event", required=True, help=f"The event. {_EVENT_HELP}")
@_json
@_said
def rules_test(pattern: str, event: str, *, as_json: bool) -> None:
    """
    Test whether an event matches a pattern, and say which key fails if it does not.
    """
    found = test_pattern(_text(pattern).decode("utf-8", "replace"), _text(event))
    if as_json:
        click.echo(json.dumps(found))
    else:
        click.echo("it matches" if found["matches"] else f"it does not match: {found['why']}")


@rules.command("explain")
@click.argument("event")
@_file
@_data
@_json
@_said
def rules_explain(event: str, config: Path | None, root: Path, *, as_json: bool) -> None:
    """
    Tell what every rule of its bus makes of EVENT: a file, - for standard input, or the JSON text itself.

    By the rules in force where a server runs on the data directory; by the pipeline file where it is named.
    """
    found = _run(explained(DataDirectory(root), environment(), config, _text(event)))
    if as_json:
        click.echo(json.dumps(found))
    else:
        print_explanation(found)


def _text(given: str) -> bytes:
    """
    Return what an argument names: standard input, a file, or itself where it looks like JSON.
    """
    if given == "-":
        return sys.stdin.buffer.read()
    if given.lstrip().startswith("{"):
        return given.encode()
    try:
        return Path(given).read_bytes()
    except OSError as error:
        raise MetriclakeError(f"{given} cannot be read ({error.strerror}), and is no JSON object") from error


@main.command()
@click.argument("metric")
@click.option("--since", required=True, help="From this arrival on: a time, or a length such as 7d.")
@_to
@click.option(
    "--edited", type=click.Path(dir_okay=False, path_type=Path), default=_PIPELINE, show_default=True,
    help="The edited pipeline file.",
)  # fmt: skip
@_file
@_data
@_json
@_said
def preview(
    metric: str, edited: Path, config: Path | None, root: Path, *, as_json: bool, **arrived: str | None
) -> None:  # fmt: skip
    """
    Say what an edited file's rule of METRIC would make of archived events, beside the rule in force.
    """
    text = configure(edited, environment().variables).text
    span = {"from": _since(arrived["since"] or ""), "to": arrived["end"]}
    asked = _given({"metric": metric, "pipeline": text, **span})
    found = _run(_with_server(config, root, lambda reached: previewed(reached, asked)))
    if as_json:
        click.echo(json.dumps(found))
    else:
        print_preview(found)


@main.command()
@click.argument("metric")
@click.option("--since", required=True, help="From this arrival on: a time, or a length such as 90d.")
@click.option("--until", default=None, help="Before this arrival.  [default: now]")
@click.option(
    "--destination", "destinations", multiple=True, help="Send it there too, not into the store alone; may be repeated."
)
@click.option("--dry-run", is_flag=True, help="Only say what would be made.")
@click.option("--yes", is_flag=True, help="Go to work without a dry run and a question.")
@_file
@_data
@_json
@_said
def backfill(metric: str, config: Path | None, root: Path, *, as_json: bool, dry_run: bool, **given: Any) -> None:
    """
    Run the rule of METRIC, as it is in force, over archived domain events: first dry, then, when told so, for good.

    What the store has already counts as a duplicate. Run again, it goes on where it was.
    """
    asking = not dry_run and not given["yes"]
    if as_json and asking:
        raise click.UsageError("--json asks no questions: give --dry-run or --yes with it")
    until = datetime.now(UTC).isoformat() if given["until"] is None else _since(given["until"])
    span = {"from": _since(given["since"]), "to": until}
    asked = {"metric": metric, "destinations": list(given["destinations"]), **span}

    async def work(reached: Reached) -> dict[str, Any]:
        if asking:
            found = await backfilled(reached, {**asked, "dry_run": True})
            print_backfill(found)
            if not found["tenants"] or not click.confirm("Make it?"):
                return {}
        return await backfilled(reached, {**asked, "dry_run": dry_run})

    found = _run(_with_server(config, root, work))
    if as_json:
        click.echo(json.dumps(found))
    elif found:
        print_backfill(found)


def _since(text: str) -> str:
    """
    Return the time that a time or a length back from now names.
    """
    with suppress(ValueError):
        return (datetime.now(UTC) - duration(text)).isoformat()
    return text


async def _with_server(
    config: Path | None, root: Path, work: Callable[[Reached], Coroutine[Any, Any, dict[str, Any]]]
) -> dict[str, Any]:
    """
    Do a command's work with the server of a data directory, which must be there.
    """
    data = DataDirectory(root)
    if not data.root.is_dir():
        raise MetriclakeError(f"{root} is not a data directory: name it with --data")
    async with reach(data, environment(), lambda: pipeline_of(config, data)) as reached:
        return await work(reached)


def _filters(_context: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> tuple[dict[str, Any], ...]:
    """
    Return filters as a question has them.
    """
    try:
        return tuple(filter_of(text) for text in given)
    except ValueError as error:
        raise click.BadParameter("such as severity=high,critical or seconds>=60") from error


@main.command()
@click.argument("sql", required=False)
@click.option("--tenant", required=True, help="Whose metrics.")
@click.option("--metric", default=None, help="Which metric.")
@click.option(
    "--measure",
    default=None,
    help='Which measure, or a formula such as "errors / total"; without one, events are counted.',
)
@click.option("--aggregate", default=None, help="count, sum, avg, min, max, last, unique, p50, p90, p95, p99 or rate.")
@click.option("--last", default="30d", show_default=True, help="How far back.")
@click.option("--from", "start", default=None, help="RFC 3339; instead of --last.")
@click.option("--to", "end", default=None, help="RFC 3339.")
@click.option("--interval", default=None, help="none, minute, 5m, hour, day, week, month, quarter or year.")
@click.option("--timezone", default=None, help="Whose days and months.  [default: UTC]")
@click.option("--group-by", default=None, help="Up to three dimensions, comma-separated.")
@click.option("--filter", "filters", multiple=True, callback=_filters, metavar="FILTER",
              help="a=x,y  a!=x,y  a^=prefix  a>=1  a<2  a (there)  !a (not there), or JSON; repeatable.")  # fmt: skip
@click.option("--fill", default=None, help="none, zero or null, for intervals without events.")
@click.option("--compare", default=None, help="previous_period: its values beside those asked for.")
@click.option("--limit", type=int, default=None, help="Only so many groups, the largest; the others are `other`.")
@click.option(
    "--queries", default=None, help="Questions by their names: a JSON file, - for standard input, or the JSON."
)
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@_file
@_data
@_json
@_said
def query(  # noqa: PLR0913 - one for each option
    *, sql: str | None, tenant: str, metric: str | None, queries: str | None, filters: tuple[dict[str, Any], ...],
    config: Path | None, root: Path, as_json: bool, as_csv: bool, **asked: Any,
) -> None:  # fmt: skip
    """
    Ask about one metric of one tenant, or several questions of a file together.
    """
    if sql is not None:
        raise MetriclakeError("SQL is not in this version of metriclake yet: ask with --metric")
    if (metric is None) == (queries is None):
        raise click.UsageError("name the metric with --metric, or a file of questions with --queries")
    if queries is not None and as_csv:
        raise click.UsageError("--csv prints one answer: ask with --metric, or print --json")
    data = DataDirectory(root)
    body = queries_of(_text(queries or "-")) if metric is None else question_of(metric, asked, filters)

    async def work() -> dict[str, Any]:
        async with reach(data, environment(), lambda: pipeline_of(config, data)) as reached:
            return await ask(reached, tenant, body)

    answer = _run(work())
    if as_json:
        click.echo(json.dumps(answer))
    elif as_csv:
        writer = csv.writer(sys.stdout)
        writer.writerow([column["name"] for column in answer["columns"]])
        writer.writerows(answer["rows"])
    elif queries is not None:
        print_answers(answer["queries"])
    else:
        print_answer(answer)
    if any("columns" not in found for found in answer.get("queries", {}).values()):
        sys.exit(1)


@main.group("import")
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
@_json
@_said
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
    imported = import_template(_template(file), name, wishes, lambda text: faults_of(text, Path(_PIPELINE)))
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


def _run(work: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
    return asyncio.run(work)


def _with_version(command: click.Command) -> None:
    """
    Give a command, and those below it, `--version`.
    """
    click.version_option(__version__, prog_name="metriclake")(command)
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        _with_version(below)


for _command in main.commands.values():
    _with_version(_command)
