"""
What the command `query` does: make questions of its options, and ask them with a token of its own.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from metriclake._errors import MetriclakeError
from metriclake.serve import Reached
from metriclake.tokens import mint_tenant

Asked = dict[str, Any]

_LIFE = timedelta(minutes=1)
_COMPARED = re.compile(r"\s*([A-Za-z_$][A-Za-z0-9_.$:-]*)\s*(!=|\^=|>=|<=|=|>|<)(.*)", re.ASCII | re.DOTALL)
_NAMED = re.compile(r"\s*(!?)\s*([A-Za-z_$][A-Za-z0-9_.$:-]*)\s*", re.ASCII)
_BOUNDS = {">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}
_LISTS = {"=": "in", "!=": "not_in"}


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
