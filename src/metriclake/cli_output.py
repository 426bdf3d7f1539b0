"""
How the commands print facts to people: tables on standard output.
"""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

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
    for name, stage in found["stages"].items():
        console.print(f"{name}: {stage['waiting']} waiting, {stage['lag_seconds']:.1f} s behind")
    console.print(_directory(found["directory"]))
    for failure in found.get("failures", []):
        console.print(f"[red]{failure}[/red]")
    console.print("the books balance" if found["balanced"] else "[red]the books do not balance[/red]")


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
        table.add_column(column["name"] + unit, justify="right" if column["name"] == "value" else "left")
    for row in answer["rows"]:
        table.add_row(*("" if value is None else str(value) for value in row))
    _console().print(table)
