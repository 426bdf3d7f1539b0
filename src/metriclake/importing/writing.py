"""
Write a pipeline file: YAML that is pleasant to read, with the comments that an import has to make.

What fits a line stands on one; a number keeps its spelling; a comment is one whatever it is made of.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from metriclake.importing.node import Number

_WIDTH = 110
_INDENT = "  "
_PLACE = tuple[str, ...]


class Commented:
    """
    The comments of a file: those above a key, and those behind a value, by the keys that lead there.
    """

    def __init__(self) -> None:
        self.above: dict[_PLACE, tuple[str, ...]] = {}
        self.behind: dict[_PLACE, str] = {}


def written(document: Mapping[str, Any], comments: Commented) -> str:
    """
    Return the text of a pipeline file. What stands above the key `()` begins the file.
    """
    lines = [*_comment(comments.above.get((), ()), "")]
    for key, section in document.items():
        lines += ["", *_comment(comments.above.get((key,), ()), ""), f"{key}:"]
        for index, (name, value) in enumerate(section.items()):
            if index and key == "metrics":
                lines.append("")
            lines += _entry(name, value, (key, name), comments)
    return "\n".join(lines).strip("\n") + "\n"


def _entry(key: str, value: Any, place: _PLACE, comments: Commented) -> Iterator[str]:
    """
    Yield the lines of one key and its value.
    """
    indent = _INDENT * (len(place) - 1)
    yield from _comment(comments.above.get(place, ()), indent)
    note = comments.behind.get(place)
    behind = f"  # {_printable(note)}" if note else ""
    opened = f"{indent}{_scalar(key)}:"
    if place[0] == "metrics" and len(place) == 2:
        yield opened + behind
        for name, below in value.items():
            yield from _entry(name, below, (*place, name), comments)
    elif key == "input_template" and (block := _literal(value, indent + _INDENT)):
        yield f"{opened} {block[0]}"
        yield from block[1:]
    elif _fits(line := f"{opened} {_inline(value)}", value):
        yield line + behind
    else:
        yield opened + behind
        yield from _block(value, indent + _INDENT)


def _block(value: Any, indent: str) -> Iterator[str]:
    """
    Yield the lines of a mapping or a list, each member on one line where it fits.
    """
    if isinstance(value, dict):
        for key, below in value.items():
            opened = f"{indent}{_scalar(key)}:"
            line = f"{opened} {_inline(below)}"
            if _fits(line, below):
                yield line
            else:
                yield opened
                yield from _block(below, indent + _INDENT)
        return
    for element in value:
        line = f"{indent}- {_inline(element)}"
        if _fits(line, element):
            yield line
        else:
            first, *rest = _block(element, indent + _INDENT)
            yield f"{indent}- {first.lstrip(' ')}"
            yield from rest


def _fits(line: str, value: Any) -> bool:
    return len(line) <= _WIDTH or not isinstance(value, dict | list) or not value


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_scalar(key)}: {_inline(below)}" for key, below in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_inline(element) for element in value) + "]"
    return value.in_yaml if isinstance(value, Number) else _scalar(value)


def _scalar(value: str | bool | None) -> str:  # noqa: FBT001 - a value of any kind
    """
    Return a value as YAML writes it between brackets: quoted where it would be read as something else.
    """
    dumped: str = yaml.dump([value], Dumper=_Dumper, default_flow_style=True, width=2**31, allow_unicode=True)
    return dumped.rstrip("\n")[1:-1]


def _literal(text: str, indent: str) -> list[str]:
    """
    Return a text as a literal block; nothing for a text that has to be quoted.
    """
    body = text.removesuffix("\n")
    lines = body.split("\n")
    printable = all(line.replace("\t", " ").isprintable() for line in lines)
    if not printable or body[:1] in ("", " ", "\t", "\n") or body.endswith("\n"):
        return []
    return ["|" if body != text else "|-", *(f"{indent}{line}" if line else "" for line in lines)]


def _comment(paragraphs: tuple[str, ...], indent: str) -> Iterator[str]:
    for paragraph in paragraphs:
        for line in paragraph.split("\n"):
            for piece in textwrap.wrap(_printable(line), _WIDTH - len(indent) - 2) or [""]:
                yield f"{indent}# {piece}".rstrip()


def _printable(text: str) -> str:
    """
    Return a text in which nothing ends a line, or tells a terminal to do something.
    """
    return "".join(letter if letter.isprintable() else " " for letter in text)


class _Dumper(yaml.SafeDumper):
    """
    Without aliases: the same text twice is written twice.
    """

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """
    Write text with line ends or unprintable letters in double quotes, so that it stays on its line.
    """
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if text.isprintable() else '"')


_Dumper.add_representer(str, _represent_text)
