"""
The command `query`: make questions of its options, and ask them with a token of its own.
"""

from __future__ import annotations

import asyncio
import csv
import json
import math
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import msgspec

from metriclake._config import DataDirectory, environment
from metriclake._errors import MetriclakeError
from metriclake.cli import options
from metriclake.cli.asking import Asked, said
from metriclake.cli.output import print_answer, print_answers
from metriclake.serve import Reached, pipeline_of, reach
from metriclake.tokens import mint_tenant

_LIFE = timedelta(minutes=1)
_COMPARED = re.compile(r"\s*([A-Za-z_$][A-Za-z0-9_.$:-]*)\s*(!=|\^=|>=|<=|=|>|<)(.*)", re.ASCII | re.DOTALL)
_NAMED = re.compile(r"\s*(!?)\s*([A-Za-z_$][A-Za-z0-9_.$:-]*)\s*", re.ASCII)
_BOUNDS = {">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}
_LISTS = {"=": "in", "!=": "not_in"}


def _filters(_context: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> tuple[dict[str, Any], ...]:
    """
    Return filters as a question has them.
    """
    try:
        return tuple(filter_of(text) for text in given)
    except ValueError as error:
        raise click.BadParameter("such as severity=high,critical or seconds>=60") from error


@click.command()
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
@options.file
@options.data
@options.as_json
@said
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
    body = queries_of(options.text_of(queries or "-")) if metric is None else question_of(metric, asked, filters)

    async def work() -> dict[str, Any]:
        async with reach(data, environment(), lambda: pipeline_of(config, data)) as reached:
            return await ask(reached, tenant, body)

    answer = asyncio.run(work())
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


def question_of(metric: str, options: Mapping[str, Any], filters: Sequence[Asked]) -> Asked:
    """
    Return the question of a command's options; those that were not given are left out.
    """
    given = {key: value for key, value in options.items() if value is not None}
    start, end, last, groups = (given.pop(key, None) for key in ("start", "end", "last", "group_by"))
    question: Asked = {"metric": metric, **given}
    question["range"] = {"from": start, "to": end} if start or end else {"last": last}
    if groups:
        question["group_by"] = groups.split(",")
    if filters:
        question["filters"] = list(filters)
    return question


def filter_of(text: str) -> Asked:
    """
    Return the filter that is written so: `a=x,y`, `a!=x`, `a^=x`, `a>=1`, `a`, `!a`, or JSON.

    Raises ValueError where it is none of these.
    """
    if text.lstrip().startswith("{"):
        return _decoded(text.encode())
    if (match := _NAMED.fullmatch(text)) is not None:
        return {"dimension": match[2], "exists": not match[1]}
    if (match := _COMPARED.fullmatch(text)) is None:
        raise ValueError("it is no filter")
    name, sign, value = match.groups()
    if sign in _BOUNDS:
        return {"dimension": name, _BOUNDS[sign]: _number(value)}
    return {"dimension": name, "prefix": value} if sign == "^=" else {"dimension": name, _LISTS[sign]: value.split(",")}


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("it is no number")
    return number


def _decoded(text: bytes) -> Asked:
    """
    Return a JSON object. Raises ValueError for anything else.
    """
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from error


def queries_of(text: bytes) -> Asked:
    """
    Return what a file of questions asks: an object of questions by their names, alone or under `queries`.

    Raises MetriclakeError where it is no such object.
    """
    try:
        found = _decoded(text)
    except ValueError as error:
        raise MetriclakeError(f"this is no JSON object of questions by their names: {error}") from error
    queries = found.get("queries")
    return found if isinstance(queries, dict) and "metric" not in queries else {"queries": found}


async def ask(reached: Reached, tenant: str, body: Asked) -> Asked:
    """
    Ask as a tenant, with a token that lives for the one request.
    """
    key = mint_tenant(reached.keys.signing, tenant, now=datetime.now(UTC), ttl=_LIFE)
    answer: Asked = await reached.ask("POST", "/v1/query", key, json=body)
    return answer
