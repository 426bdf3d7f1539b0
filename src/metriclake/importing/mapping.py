"""
Decide what the input of a rule's target becomes as a metric's mapping.

An input template of the unified schema is written in the short form (`metadata`, `data`) where that makes the same
metric events of the same domain events: where every value is a constant or a `<variable>` without quotes. A variable in
quotes is text whatever it holds, and refuses what would end the quotes: the short form cannot say that.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from metriclake.importing.node import Number

_PIECE = re.compile(r'(?P<string>"(?:[^"\\]|\\.)*"?)|<(?P<name>[^<>"]*)>|[^"<]+|<', re.DOTALL)
_NAMED = re.compile(r"<([A-Za-z0-9_.-]{1,256})>")
_METRIC_NAME = re.compile(r'("metric_name"\s*:\s*)"(?:[^"\\]|\\.)*"')
_PATH = re.compile(r"\$(?:\.[A-Za-z0-9_/$-]+|\[(?:0|[1-9][0-9]{0,8})\])+")
_RULE = frozenset({"aws.events.rule-name", "aws.events.rule-arn"})

_VALUE, _QUOTED = "\x00", "\x01"
"""What marks a placeholder while a template is read: a value of its own, or a part of a text."""


@dataclass(frozen=True, slots=True)
class Path:
    """
    A field that is taken from the event.
    """

    path: str


Source: TypeAlias = "Path | str | bool | Number"


@dataclass(frozen=True, slots=True)
class ShortForm:
    """
    The fields of a metric, each a path or a constant.
    """

    metadata: Mapping[str, Source]
    data: Mapping[str, Source]


@dataclass(frozen=True, slots=True)
class InputTemplate:
    """
    A template, and the paths of its variables.
    """

    paths: Mapping[str, str]
    template: str


@dataclass(frozen=True, slots=True)
class InputPath:
    """
    A part of the event that is a metric event already.
    """

    path: str


Mapped: TypeAlias = "ShortForm | InputTemplate | InputPath"


@dataclass(frozen=True, slots=True)
class Body:
    """
    What an input makes, where that is a metric event: its name if it has one, and the short form if there is one.

    `named_by_event` tells that the name is another with each event.
    """

    metric_name: str | None
    named_by_event: bool
    short_form: ShortForm | None


def read_body(template: str, paths: Mapping[str, str]) -> Body | None:
    """
    Return what a template makes, None where that is no metric event of the unified schema.
    """
    if "\\u000" in template or _QUOTED in template:
        return None
    return _body(_marked(template), paths)


def constant_body(text: str) -> Body | None:
    """
    Return what a constant input is, None where that is no metric event of the unified schema.
    """
    return None if "\\u000" in text else _body(text, {})


def with_name(template: str, name: str) -> str | None:
    """
    Return a template with another constant name of its metric; None where it cannot be told where the name stands.
    """
    renamed, count = _METRIC_NAME.subn(lambda match: f"{match[1]}{json.dumps(name)}", template)
    return renamed if count == 1 else None


def rule_variables(template: str) -> set[str]:
    """
    Return the reserved variables of a template that speak of its rule.
    """
    return set(_NAMED.findall(template)) & _RULE


def _body(text: str, paths: Mapping[str, str]) -> Body | None:
    try:
        whole = json.loads(text, strict=False, parse_int=Number, parse_float=Number)
    except (ValueError, RecursionError):
        return None
    if not isinstance(whole, dict) or not isinstance(whole.get("metric_name", ""), str):
        return None
    metadata, data = whole.get("metadata"), whole.get("data")
    if not _may_hold(metadata, "tenant_id") or not _may_hold(data, "event_time"):
        return None
    name = whole.get("metric_name", "")
    halves = (_half(metadata, paths), _half(data, paths))
    short = None if halves[0] is None or halves[1] is None else ShortForm(halves[0], halves[1])
    filled = _VALUE in name or _QUOTED in name
    return Body(None if filled else name or None, filled, None if filled else short)


def _may_hold(part: Any, name: str) -> bool:
    """
    Tell whether a half of a metric event has a field, or is one placeholder, and so may have it.
    """
    return name in part if isinstance(part, dict) else isinstance(part, str) and part.startswith(_VALUE)


def _half(part: Any, paths: Mapping[str, str]) -> Mapping[str, Source] | None:
    """
    Return a half's fields; None if the short form cannot say one of them.

    Null and empty text are left out: no metric event has them, whichever way it is made.
    """
    if not isinstance(part, dict):
        return None
    given = {name: value for name, value in part.items() if value is not None and value != ""}
    sources = {name: _source(value, paths) for name, value in given.items()}
    found = {name: source for name, source in sources.items() if source is not None}
    return found if len(found) == len(given) else None


def _source(value: Any, paths: Mapping[str, str]) -> Source | None:
    if isinstance(value, Number):
        return value if abs(value.value) != float("inf") else None
    if isinstance(value, bool):
        return value
    if not isinstance(value, str) or _QUOTED in value:
        return None
    if _VALUE not in value:
        return value
    path = paths.get(value[1:-1])
    return Path(path) if path is not None and _PATH.fullmatch(path) else None


def _marked(template: str) -> str:
    """
    Return a template as JSON, with marked texts in the place of its placeholders.
    """
    found = []
    for piece in _PIECE.finditer(template):
        if piece["string"] is not None:
            found.append(_NAMED.sub(rf"{_QUOTED}\1{_QUOTED}", piece[0]))
        else:
            found.append(piece[0] if piece["name"] is None else f'"{_VALUE}{piece["name"]}{_VALUE}"')
    return "".join(found)
