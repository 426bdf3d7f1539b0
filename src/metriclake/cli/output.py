"""
How the commands print facts to people: tables on standard output.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from metriclake.importing import Imported

_PLAIN_WIDTH = 160
"""Columns for output that is not a terminal's: nothing is cut."""


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=_PLAIN_WIDTH)


def print_status(found: dict[str, Any]) -> None:
    """
    Print the books as a table.
    """
    console = _console()
    table = Table(title="The books, in metric events", title_justify="left")
    columns = ("received", "in_flight", "held", "rejected", "laked")
    stored = ("stored", "duplicate", "conflict", "expired", "waiting")
    for name in ("tenant", "metric"):
        table.add_column(name)
    for name in (*columns, *stored):
        table.add_column(name.replace("_", " "), justify="right")
    for row in found["books"]:
        numbers = [row[name] for name in columns] + [row["store"][name] for name in stored]
        table.add_row(row["tenant"], row["metric"], *(f"{number:,}" for number in numbers))
    console.print(table)
    events = found["domain_events"]
    console.print("domain events: " + ", ".join(f"{value:,} {key.replace('_', ' ')}" for key, value in events.items()))
    for name, counters in _delivered(found["books"]).items():
        told = ", ".join(f"{amount:,} {counter.replace('_', ' ')}" for counter, amount in counters.items())
        console.print(f"{name}: {told}")
    for name, stage in found["stages"].items():
        console.print(f"{name}: {stage['waiting']} waiting, {stage['lag_seconds']:.1f} s behind")
    console.print(_directory(found["directory"]))
    for rollup in found.get("rollups", []):
        over = ", ".join(rollup["dimensions"]) or "no dimensions"
        told = f"{rollup['tenants']:,} tenants, {rollup['waiting']:,} objects waiting"
        console.print(f"rollup of {escape(rollup['metric'])} by {rollup['interval']} over {escape(over)}: {told}")
    for failure in found.get("failures", []):
        console.print(f"[red]{failure}[/red]")
    console.print("the books balance" if found["balanced"] else "[red]the books do not balance[/red]")


def _delivered(books: list[dict[str, Any]]) -> dict[str, Counter[str]]:
    """
    Return the counters of each destination over all accounts.
    """
    totals: dict[str, Counter[str]] = {}
    for row in books:
        for name, counters in row["destinations"].items():
            totals.setdefault(name, Counter()).update(counters)
    return totals


def _directory(state: dict[str, Any]) -> str:
    """
    Return one line on the tenants' directory.
    """
    if state["unavailable_since"] is None:
        told = "answers"
    else:
        told = f"unavailable since {state['unavailable_since']}, stale for {state['stale_tenants']:,} tenants"
    waits = f"; {state['held']:,} held for {state['held_tenants']:,} tenants" if state["held"] else ""
    return f"tenants' directory ({state['source']}): {told}{waits}"


def print_answer(answer: dict[str, Any]) -> None:
    """
    Print an answer of the query API as a table.
    """
    table = Table()
    for column in answer["columns"]:
        unit = f" ({column['unit']})" if column["unit"] else ""
        table.add_column(column["name"] + unit, justify="left" if column["type"] in ("string", "time") else "right")
    for row in answer["rows"]:
        table.add_row(*("" if value is None else escape(_visible(str(value))) for value in row))
    _console().print(table)


def print_answers(answers: dict[str, dict[str, Any]]) -> None:
    """
    Print answers by their names, or what is wrong with the question.
    """
    for name, answer in answers.items():
        click.echo(_visible(name))
        if "columns" in answer:
            print_answer(answer)
        else:
            click.echo(f"  {_visible(answer['detail'])}")


def print_check(found: dict[str, Any]) -> None:
    """
    Print what a check of the lake has found.
    """
    console = _console()
    if found["findings"]:
        table = Table("what", "object", "detail")
        for finding in found["findings"]:
            table.add_row(*(escape(finding[key]) for key in ("what", "path", "detail")))
        console.print(table)
    if found["left_out"]:
        console.print(f"… and {found['left_out']:,} more")
    looked = f"{found['manifests']:,} manifests, {found['objects']:,} objects, {found['bytes']:,} bytes of lines"
    wrong = len(found["findings"]) + found["left_out"]
    console.print(f"{looked}: " + ("all as it was written" if found["ok"] else f"[red]{wrong:,} wrong[/red]"))


def print_errors(found: dict[str, Any]) -> None:
    """
    Print the counts of refused records.
    """
    table = Table("reason", "tenant", "metric")
    for name in ("records", "retried"):
        table.add_column(name, justify="right")
    table.add_column("newest arrival")
    for group in found["errors"]:
        names = (escape(group[key]) for key in ("reason", "tenant", "metric"))
        table.add_row(*names, f"{group['records']:,}", f"{group['retried']:,}", group["newest"])
    _console().print(table if found["errors"] else "nothing was refused")


def print_tenants(found: dict[str, Any]) -> None:
    """
    Print what the store holds of each tenant.
    """
    table = Table("tenant")
    for name in ("metrics", "rows"):
        table.add_column(name, justify="right")
    for name in ("first time", "last time"):
        table.add_column(name)
    for one in found["tenants"]:
        numbers = (f"{len(one['metrics']):,}", f"{one['rows']:,}")
        table.add_row(escape(one["tenant"]), *numbers, one["first_time"], one["last_time"])
    _console().print(table if found["tenants"] else "the store has rows of no tenant")


def print_letters(found: dict[str, Any]) -> None:
    """
    Print the counts of dead letters.
    """
    table = Table("destination", "reason", "tenant", "metric", "state")
    table.add_column("letters", justify="right")
    table.add_column("newest")
    for group in found["groups"]:
        names = (escape(_visible(group[key])) for key in ("destination", "reason", "tenant", "metric", "state"))
        table.add_row(*names, f"{group['letters']:,}", group["newest"])
    _console().print(table if found["groups"] else "no dead letters")


def print_letters_shown(found: dict[str, Any]) -> None:
    """
    Print dead letters, each with why, whose, where, its attempts and its metric event.
    """
    for one in found["letters"]:
        click.echo(_visible(f"{one['number']}: {one['destination']}: {one['reason']} ({one['state']})"))
        click.echo(_visible(f"  {one['tenant']} {one['metric']} {one['kind']} {one['id']}"))
        click.echo(f"  {one['object']} line {one['line']}")
        for attempt in one["attempts"]:
            click.echo(_visible(f"  {attempt['at']} {attempt['answer']} {attempt['detail']}".rstrip()))
        click.echo(f"  {_visible(one['event'] or one['unreadable'])}")
    if not found["letters"]:
        click.echo("no dead letters")


def print_replay(found: dict[str, Any], *, dry_run: bool) -> None:
    """
    Print what a replay has delivered, or would.
    """
    amount = f"{found['objects']:,} objects, {found['events']:,} metric events"
    if dry_run or found["state"] == "none":
        click.echo(f"{amount} {'would be' if dry_run else 'to be'} delivered again")
        if found["refused"]:
            click.echo(f"it would be refused: {found['refused']}")
        return
    far = f"{found['done']:,} of {found['objects']:,} objects"
    told = f"{found['delivered']:,} delivered, {found['dead']:,} dead"
    click.echo(f"replay {found['number']} into {found['destination']} ({found['state']}): {far}, {told}")
    if found["failure"]:
        click.echo(found["failure"], err=True)


def print_explanation(found: dict[str, Any]) -> None:
    """
    Print what becomes of an event at each rule.
    """
    for one in found["rules"]:
        if not one["matches"]:
            click.echo(f"{one['rule']}: does not match: {_visible(one['why'])}")
        elif one["refused"] is not None:
            click.echo(
                f"{one['rule']}: matches, and is refused as {one['refused']['reason']}: {one['refused']['message']}"
            )
        else:
            click.echo(f"{one['rule']}: matches, and makes {_visible(json.dumps(one['metric_event']))}")
    if not found["rules"]:
        others = f"; rules listen on {', '.join(found['other_buses'])}" if found["other_buses"] else ""
        click.echo(f"no rule listens on the bus {_visible(found['bus'])}{others}")


def print_preview(found: dict[str, Any]) -> None:
    """
    Print what an edited file would change, by tenant: events, each number's sum, and what would be refused.
    """
    table = Table("tenant", title=f"{found['metric']}, over {found['events']:,} archived events", title_justify="left")
    for name in ("before", "after", "added", "removed", "changed"):
        table.add_column(name, justify="right")
    table.add_column("sums and refusals that differ")
    for one in found["differences"]:
        numbers = (f"{one[name]:,}" for name in ("before", "after", "added", "removed", "changed"))
        table.add_row(escape(one["tenant"]), *numbers, escape("\n".join(_differing(one))))
    _console().print(table if found["differences"] else f"neither rule makes {found['metric']} of these events")


def _differing(one: dict[str, Any]) -> list[str]:
    lines = []
    for what, label in (("sums", "sum of {}"), ("refused", "refused as {}")):
        before, after = one[f"{what}_before"], one[f"{what}_after"]
        for name in sorted(before.keys() | after.keys()):
            pair = (before.get(name, 0), after.get(name, 0))
            if pair[0] != pair[1]:
                lines.append(f"{label.format(name)}: {pair[0]:,.12g} → {pair[1]:,.12g}")
    return lines


def print_recount(found: dict[str, Any]) -> None:
    """
    Print where the books differ from what was counted anew.
    """
    console = _console()
    for sentence in found["wrong"]:
        console.print(f"[red]{escape(sentence)}[/red]")
    if found["differences"]:
        table = Table("where", "tenant", "metric", "counter")
        for name in ("the books say", "found", "difference"):
            table.add_column(name, justify="right")
        for one in found["differences"]:
            names = (escape(one[key]) for key in ("scope", "tenant", "metric", "counter"))
            table.add_row(*names, f"{one['said']:,}", f"{one['found']:,}", f"{one['difference']:+,}")
        console.print(table)
    looked = f"{found['manifests']:,} manifests, {found['objects']:,} objects up to number {found['announced']:,}"
    wrong = len(found["differences"]) + len(found["wrong"])
    console.print(f"{looked}: " + ("all as the books say" if found["ok"] else f"[red]{wrong:,} differ[/red]"))
    if found["left"]:
        console.print(f"{found['left']:,} stored rows have left, as their retention wants it")


def print_backfill(found: dict[str, Any]) -> None:
    """
    Print what a backfill has made, or would make, by tenant.
    """
    would = "would be made of" if found["dry_run"] else "made of"
    title = f"{found['metric']}, {would} {found['events']:,} archived events in {found['batches']:,} batches"
    table = Table("tenant", title=title, title_justify="left")
    for name in ("received", "laked", "beyond retention"):
        table.add_column(name, justify="right")
    table.add_column("refused")
    for one in found["tenants"]:
        refused = ", ".join(f"{amount:,} {reason}" for reason, amount in sorted(one["refused"].items()))
        numbers = (f"{one[name]:,}" for name in ("received", "laked", "beyond"))
        table.add_row(escape(one["tenant"]), *numbers, refused)
    _console().print(table if found["tenants"] else f"nothing {would} {found['events']:,} archived events")
    if found["already"]:
        click.echo(f"{found['already']:,} batches were done by an earlier backfill of this rule and are left alone")
    if found["elsewhere"]:
        click.echo(f"{found['elsewhere']:,} of them were not meant for every destination that is named now")


def print_refused(found: dict[str, Any]) -> None:
    """
    Print refused records, each with why, whose, where, and itself.
    """
    for record in found["records"]:
        retried = ", sent again" if record["retried"] else ""
        click.echo(f"{record['reason']}: {record['message']}")
        click.echo(f"  {record['arrived_at']} {record['tenant']} {record['metric']} ({record['kind']}{retried})")
        click.echo(f"  {record['object']} line {record['line']}")
        click.echo(f"  {_visible(record['raw'])}")
    if not found["records"]:
        click.echo("nothing was refused")


def print_import(imported: Imported, name: str) -> None:
    """
    Print to standard error what an import has carried, what is left to do, and what it could not carry over.
    """
    for note in imported.not_carried:
        click.echo(_visible(f"{name}:{note.line}: {note.resource}: {note.what}: {note.reason}"), err=True)
    if not imported.text and not imported.not_carried:
        click.echo(f"{name}: has no rules of EventBridge and no delivery streams of Firehose", err=True)
    left, carried = len(imported.unfinished), len(imported.metrics)
    unfinished = f", {left} of them without a mapping: `metriclake check` names what is missing" if left else ""
    metrics = "1 metric" if carried == 1 else f"{carried} metrics"
    click.echo(f"{metrics}{unfinished}; {len(imported.not_carried)} not carried over", err=True)


def _visible(text: str) -> str:
    """
    Return text without what a terminal would obey.
    """
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)
