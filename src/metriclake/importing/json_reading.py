"""
Read JSON with the line of each value, and with the spelling of each number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from metriclake._errors import InvalidTemplate
from metriclake.importing.limits import MOST_LEVELS, MOST_VALUES, refusal, shown, unsound
from metriclake.importing.node import Node, Number, Value

_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None}


def read_json(text: str, name: str, line: int = 1) -> Node:
    """
    Return the values of a JSON text, which begins on `line`; `name` is for messages.

    Raises:
        InvalidTemplate: It is not JSON, or goes beyond the limits.

    """
    return _Json(text, name, line).read()


class _Json:
    """
    JSON with the line of each value, and with the spelling of each number.
    """

    def __init__(self, text: str, name: str, line: int) -> None:
        self._text = text
        self._name = name
        self._line = line
        self._seen = 0
        self._at = 0
        self._values = 0

    def read(self) -> Node:
        node = self._value(0)
        self._skip()
        if self._at < len(self._text):
            raise self._refusal("there is text behind the end of it")
        return node

    def _value(self, level: int) -> Node:
        self._skip()
        line = self._here()
        self._values += 1
        if level > MOST_LEVELS or self._values > MOST_VALUES:
            raise self._refusal(
                f"it is nested deeper than {MOST_LEVELS} levels, or has more than {MOST_VALUES:,} values"
            )
        letter = self._text[self._at : self._at + 1]
        if letter == "{":
            return Node(self._object(level), line)
        if letter == "[":
            return Node(self._array(level), line)
        return Node(self._string() if letter == '"' else self._scalar(), line)

    def _object(self, level: int) -> dict[str, Node]:
        found: dict[str, Node] = {}
        for _ in self._members("}"):
            self._skip()
            line = self._here()
            if self._text[self._at : self._at + 1] != '"':
                raise self._refusal("a key in double quotes is missing")
            key = self._string()
            if key in found:
                raise self._refusal(f"the key `{shown(key)}` stands here a second time")
            self._skip()
            self._take(":")
            found[key] = Node(self._value(level + 1).value, line)
        return found

    def _array(self, level: int) -> list[Node]:
        return [self._value(level + 1) for _ in self._members("]")]

    def _members(self, end: str) -> Iterator[None]:
        """
        Yield where a member has to be read, up to the closing bracket; the opening one has not been read.
        """
        self._at += 1
        self._skip()
        if self._text[self._at : self._at + 1] == end:
            self._at += 1
            return
        while True:
            yield
            self._skip()
            if self._text[self._at : self._at + 1] == end:
                self._at += 1
                return
            self._take(",")

    def _string(self) -> str:
        try:
            decoded, self._at = _DECODER.raw_decode(self._text, self._at)
        except json.JSONDecodeError as error:
            self._at = min(error.pos, len(self._text))
            raise self._refusal(error.msg[:1].lower() + error.msg[1:]) from error
        found = str(decoded)
        if wrong := unsound(found):
            raise self._refusal(f"a string {wrong}")
        return found

    def _scalar(self) -> Value:
        for word, value in _WORDS.items():
            if self._text.startswith(word, self._at):
                self._at += len(word)
                return value
        match = _NUMBER.match(self._text, self._at)
        if match is None:
            raise self._refusal("a value is missing, or is not JSON's")
        self._at = match.end()
        return Number(match[0])

    def _take(self, sign: str) -> None:
        if self._text[self._at : self._at + 1] != sign:
            raise self._refusal(f"a `{sign}` is missing")
        self._at += 1

    def _skip(self) -> None:
        match = _SPACE.match(self._text, self._at)
        self._at = match.end() if match else self._at

    def _here(self) -> int:
        self._line += self._text.count("\n", self._seen, self._at)
        self._seen = max(self._seen, self._at)
        return self._line

    def _refusal(self, what: str) -> InvalidTemplate:
        return refusal(self._name, self._here(), f"not JSON: {what}")
