"""
Read a pattern as a stream of tokens, and refuse what is not JSON in EventBridge's words.

A stream, not a tree, because EventBridge reads patterns so: the first fault in reading order is the one it reports,
a number keeps its spelling, and of two equal keys the later wins. A pattern that is already a mapping becomes the
same stream.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, NoReturn

from metriclake._errors import InvalidPattern
from metriclake.rules.spelling import Spelling

REFUSED = "Event pattern is not valid. Reason: "
"""How every refusal of a pattern begins."""

_SPACE = re.compile(r"[ \t\r\n]*")
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+"')
_STRING_SO_FAR = re.compile(r'"(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+')
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_BROKEN_NUMBER = re.compile(
    r"(?P<sign>-)(?![0-9])|-?[0-9]++(?:(?P<point>\.)(?![0-9])|(?:\.[0-9]++)?+(?P<power>[eE][+-]?+)(?![0-9]))"
)
_WORD = re.compile(r"[\w$]+")
_WORDS = {"true", "false", "null"}
_ANY_VALUE = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
_CLOSE = "Every bracket is closed by its own kind: { by }, [ by ]."
_QUOTE = "Texts stand in double quotes, and no comma stands before a closing bracket."
_SNIPPET = 500


class Token(NamedTuple):
    """
    One token: `{ } [ ]`, `key`, `string`, `number`, `true`, `false`, `null`, `other` or `end`.

    `text` is the decoded text of a key or string and the spelling of anything else; `at` is its offset, -1 without one.
    """

    kind: str
    text: str
    at: int = -1


class Tokens:
    """
    The tokens of one pattern, one at a time, and the way to refuse it at the last one read.

    `spelling` gets each token while it is there.
    """

    def __init__(self, pattern: Any, most_characters: int) -> None:
        self._text = pattern if isinstance(pattern, str) else None
        self._source = _Scanner(pattern).tokens() if isinstance(pattern, str) else _value_tokens(pattern)
        self._end = Token("end", "end of the pattern", -1 if self._text is None else len(self._text))
        self._last = Token("start", "", -1 if self._text is None else 0)
        self.spelling: Spelling | None = None
        self._most = self._left = most_characters
        self._read(0 if self._text is None else len(self._text))

    def next(self) -> Token:
        """
        Return the next token; after the last one, `end` for ever.
        """
        self._last = next(self._source, self._end)
        if self._text is None:
            self._read(1 + len(self._last.text))
        if self.spelling is not None:
            self.spelling.add(self._last.kind, self._last.text)
        return self._last

    def _read(self, characters: int) -> None:
        self._left -= characters
        if self._left < 0:
            self.refuse(f"A pattern has {self._most} characters at most", "Make it several rules.")

    def end_expression(self, otherwise: str = "Only one key allowed in match expression") -> None:
        """
        Read the end of a match expression; refuse the pattern in these words where there is more.
        """
        if self.next().kind != "}":
            self.refuse(otherwise, "An expression holds one operator: write a second one as a further value beside it.")

    def refuse(self, reason: str, hint: str) -> NoReturn:
        """
        Refuse the pattern at the last token: in EventBridge's words, with a hint of ours.
        """
        known = self._text is not None and self._last.at >= 0
        raise InvalidPattern(REFUSED + reason, hint, _place(self._text or "", self._last.at) if known else None)


def _value_tokens(pattern: Any) -> Iterator[Token]:
    """
    Yield the tokens of a decoded pattern; a stack of iterators, so that depth costs no recursion.
    """
    stack: list[tuple[Iterator[Any], str]] = [(iter((pattern,)), "")]
    while stack:
        items, close = stack[-1]
        for item in items:
            value = item
            if close == "}":
                yield _key_token(item[0])
                value = item[1]
            if isinstance(value, Mapping):
                yield Token("{", "{")
                stack.append((iter(value.items()), "}"))
                break
            if isinstance(value, list | tuple):
                yield Token("[", "[")
                stack.append((iter(value), "]"))
                break
            yield _scalar_token(value)
        else:
            stack.pop()
            if close:
                yield Token(close, close)


def _key_token(key: Any) -> Token:
    """
    Return the token of a mapping's key, which JSON wants to be text.
    """
    if isinstance(key, str):
        return Token("key", str(key))
    reason = f"{REFUSED}Unexpected character: was expecting double-quote to start field name"
    raise InvalidPattern(reason, f'The key {key!r:.100} is not text: quote it, as "{key!s:.100}".')


def _scalar_token(value: Any) -> Token:
    """
    Return the token of a decoded scalar; a value that JSON does not have (YAML's dates) is of kind `other`.
    """
    if value is None or isinstance(value, bool):
        return Token(json.dumps(value), json.dumps(value))
    if isinstance(value, str):
        return Token("string", str(value))
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return Token("number", _spelling(value))
    return Token("other", type(value).__name__)


def _spelling(value: Any) -> str:
    """
    Return how JSON spells a number; an integer beyond Python's limit of decimal digits as the power it lies below.
    """
    try:
        return float.__repr__(value) if isinstance(value, float) else int.__repr__(value)
    except ValueError:
        return "1e9999"


def _place(text: str, at: int) -> tuple[int, int]:
    """
    Return the line and column, from 1, of an offset.
    """
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)


class _Scanner:
    """
    Cut JSON text into tokens, with the faults of the JSON reader that EventBridge uses.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._open: list[tuple[str, int]] = []
        self._filled = False

    def tokens(self) -> Iterator[Token]:
        """
        Yield every token; a fault is raised when the stream reaches it, not before.
        """
        while self._more():
            if self._text[self._at] in "]}":
                yield self._close()
                continue
            if self._open and self._filled:
                self._comma()
            if self._open and self._open[-1][0] == "{":
                yield self._key()
            yield self._value()
        if self._open:
            kind, start = self._open[-1]
            self._refuse(f"Unexpected end-of-input: expected close marker for {_container(kind)} "
                         f"(start marker at {self._source(start)})", _CLOSE)  # fmt: skip

    def _more(self) -> bool:
        """
        Skip white space; tell whether any text is left.
        """
        if (space := _SPACE.match(self._text, self._at)) is not None:
            self._at = space.end()
        return self._at < len(self._text)

    def _need(self) -> str:
        """
        Skip white space and return the character that has to follow.
        """
        if not self._more():
            within = f" within/between {_container(self._open[-1][0])} entries" if self._open else ""
            self._refuse(f"Unexpected end-of-input{within}", _CLOSE)
        return self._text[self._at]

    def _close(self) -> Token:
        marker = self._text[self._at]
        opener, start = self._open.pop() if self._open else ("", 0)
        if opener + marker not in {"{}", "[]"}:
            expected = "]" if opener == "[" else "}"
            self._refuse(f"Unexpected close marker '{marker}': expected '{expected}' "
                         f"(for {_container(opener)} starting at {self._source(start)})", _CLOSE)  # fmt: skip
        return self._token(marker, marker, 1)

    def _comma(self) -> None:
        if self._text[self._at] != ",":
            self._unexpected(f": was expecting comma to separate {_container(self._open[-1][0])} entries",
                             "Put a comma between two values, or two keys.")  # fmt: skip
        self._at += 1
        self._need()

    def _key(self) -> Token:
        if self._text[self._at] != '"':
            self._unexpected(": was expecting double-quote to start field name",
                             "Keys stand in double quotes, and no comma stands before a closing bracket.")  # fmt: skip
        token = self._string("key")
        if self._need() != ":":
            self._unexpected(": was expecting a colon to separate field name and value",
                             "Put a colon between the key and its value.")  # fmt: skip
        self._at += 1
        self._need()
        return token

    def _value(self) -> Token:
        char = self._text[self._at]
        if char in "{[":
            self._open.append((char, self._at))
            self._filled = False
            token = Token(char, char, self._at)
            self._at += 1
            return token
        if char == '"':
            return self._string("string")
        return self._number() if char == "-" or "0" <= char <= "9" else self._word()

    def _string(self, kind: str) -> Token:
        found = _STRING.match(self._text, self._at)
        if found is None:
            self._broken_string(kind)
        return self._token(kind, json.loads(found[0]), len(found[0]))

    def _broken_string(self, kind: str) -> NoReturn:
        """
        Say what is wrong with the string that starts here.
        """
        if (sound := _STRING_SO_FAR.match(self._text, self._at)) is not None:
            self._at = sound.end()
        rest = self._text[self._at : self._at + 6]
        if len(rest) < 2 and rest in {"", "\\"}:
            where = " in field name" if kind == "key" else ": was expecting closing quote for a string value"
            self._refuse("Unexpected end-of-input" + where, "Close the text with a double quote.")
        if rest[0] != "\\":
            what = "name" if kind == "key" else "string value"
            self._refuse(f"Illegal unquoted character ((CTRL-CHAR, code {ord(rest[0])})): "
                         f"has to be escaped using backslash to be included in {what}",
                         "Write a line break as \\n and a tab as \\t.")  # fmt: skip
        if rest[1] != "u":
            self._refuse(f"Unrecognized character escape {_named(rest[1])}", "Write a backslash as \\\\.")
        self._at += 2
        while self._at < len(self._text) and self._text[self._at] in "0123456789abcdefABCDEF":
            self._at += 1
        self._unexpected(": expected a hex-digit for character escape sequence",
                         "Four hexadecimal digits follow \\u.")  # fmt: skip

    def _number(self) -> Token:
        broken = _BROKEN_NUMBER.match(self._text, self._at)
        if broken is not None:
            self._at = broken.end()
            why = {"sign": "expected digit (0-9) to follow minus sign, for valid numeric value",
                   "point": "Decimal point not followed by a digit",
                   "power": "Exponent indicator not followed by a digit"}[broken.lastgroup or "sign"]  # fmt: skip
            self._unexpected(f" in numeric value: {why}", "Write numbers as 5, -5, 0.5 or 5e3.")
        found = _NUMBER.match(self._text, self._at)
        spelling = found[0] if found else ""
        if spelling in {"0", "-0"} and self._text[self._at + len(spelling) : self._at + len(spelling) + 1].isdigit():
            self._refuse("Invalid numeric value: Leading zeroes not allowed", "Quote it if it is text.")
        return self._token("number", spelling, len(spelling))

    def _word(self) -> Token:
        found = _WORD.match(self._text, self._at)
        if found is None:
            self._unexpected(f": expected a valid value {_ANY_VALUE}", _QUOTE)
        if found[0] not in _WORDS:
            self._refuse(f"Unrecognized token '{found[0][:256]}': was expecting {_ANY_VALUE}", _QUOTE)
        return self._token(found[0], found[0], len(found[0]))

    def _token(self, kind: str, text: str, length: int) -> Token:
        token = Token(kind, text, self._at)
        self._at += length
        self._filled = True
        return token

    def _unexpected(self, why: str, hint: str) -> NoReturn:
        """
        Refuse the character that stands here, or the end of the text.
        """
        if self._at >= len(self._text):
            self._refuse("Unexpected end-of-input" + why, hint)
        self._refuse(f"Unexpected character ({_named(self._text[self._at])}){why}", hint)

    def _source(self, at: int) -> str:
        """
        Return the place of a bracket as EventBridge's JSON reader writes it, which quotes the text.
        """
        more = len(self._text) - _SNIPPET
        snippet = f'"{self._text[:_SNIPPET]}"' + (f"[truncated {more} chars]" if more > 0 else "")
        line, column = _place(self._text, at)
        return f"[Source: (String){snippet}; line: {line}, column: {column}]"

    def _refuse(self, reason: str, hint: str) -> NoReturn:
        raise InvalidPattern(REFUSED + reason, hint, _place(self._text, self._at))


def _container(opener: str) -> str:
    """
    Return the name of what a bracket opens.
    """
    return {"{": "Object", "[": "Array"}.get(opener, "root")


def _named(char: str) -> str:
    """
    Return a character with its code, control characters by the code alone.
    """
    code = ord(char)
    if code < 32:
        return f"(CTRL-CHAR, code {code})"
    return f"'{char}' (code {code}" + (f" / 0x{code:x})" if code > 255 else ")")
