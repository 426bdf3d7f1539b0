"""
Read a measure as it is asked for: a name, or arithmetic over names such as `100 * errors / (errors + done)`.

    sum     = product { ("+" | "-") product }
    product = signed { ("*" | "/") signed }
    signed  = "-" signed | number | name | "(" sum ")"

A name may have `-` within, as names of measures may: to subtract, put spaces around it. Pure.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from metriclake._errors import Fault
from metriclake.store import Constant, Measure, Operation, Term

MAX_LENGTH = 500
MAX_OPERATIONS = 50
"""Signs and brackets of one formula: it is read and rendered by recursion."""

_WORD = r"[A-Za-z0-9_.$:]"
_NAME = re.compile(rf"[A-Za-z_$](?:{_WORD}|-(?={_WORD}|-))*", re.ASCII)
_NUMBER = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_SIGN = re.compile(r"[-+*/()]")
_SPACE = re.compile(r"\s*")
_PLAIN = re.compile(r"[A-Za-z_$][A-Za-z0-9_.$:-]*", re.ASCII)
_SHAPE = "such as `100 * errors / total`"


def read_formula(text: str) -> Term | Fault:
    """
    Return what a text asks for, its measures without their types yet; or what is wrong with it.
    """
    if _PLAIN.fullmatch(text):
        return Measure(text, ())
    if len(text) > MAX_LENGTH:
        return Fault("measure", f"has more than {MAX_LENGTH} characters")
    try:
        return _Formula(text).term()
    except _UnreadableError as error:
        return Fault("measure", str(error), _SHAPE)


def measures_of(term: Term) -> list[Measure]:
    """
    Return the measures of a formula, each as often as it stands there.
    """
    if isinstance(term, Operation):
        return [*measures_of(term.left), *measures_of(term.right)]
    return [term] if isinstance(term, Measure) else []


class _UnreadableError(Exception):
    """
    A text that is no formula; the message says where and what was expected.
    """


class _Token(NamedTuple):
    kind: str
    text: str
    place: int


class _Formula:
    """
    One text under way, read from left to right.
    """

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._next = 0
        if sum(token.kind == "sign" for token in self._tokens) > MAX_OPERATIONS:
            raise _UnreadableError(f"has more than {MAX_OPERATIONS} signs and brackets")

    def term(self) -> Term:
        term = self._sum()
        self._take("the end, or one of + - * /", "end")
        if not measures_of(term):
            raise _UnreadableError("names no measure")
        return term

    def _sum(self) -> Term:
        term = self._product()
        while (sign := self._sign("+-")) is not None:
            term = Operation(sign, term, self._product())
        return term

    def _product(self) -> Term:
        term = self._signed()
        while (sign := self._sign("*/")) is not None:
            term = Operation(sign, term, self._signed())
        return term

    def _signed(self) -> Term:
        if self._sign("-") is not None:
            return Operation("-", Constant(0.0), self._signed())
        if self._sign("(") is not None:
            term = self._sum()
            if self._sign(")") is None:
                self._take("`)`, or one of + - * /", "")
            return term
        token = self._take("a measure, a number or `(`", "name", "number")
        return Measure(token.text, ()) if token.kind == "name" else _constant(token)

    def _sign(self, signs: str) -> str | None:
        token = self._tokens[self._next]
        if token.kind != "sign" or token.text not in signs:
            return None
        self._next += 1
        return token.text

    def _take(self, expected: str, *kinds: str) -> _Token:
        token = self._tokens[self._next]
        if token.kind not in kinds:
            raise _UnreadableError(f"cannot be read at character {token.place + 1}: expected {expected}")
        self._next += 1
        return token


def _tokens(text: str) -> list[_Token]:
    """
    Return the tokens of a text, with one for its end.
    """
    tokens = []
    place = _after_space(text, 0)
    while place < len(text):
        for kind, pattern in (("name", _NAME), ("number", _NUMBER), ("sign", _SIGN)):
            if match := pattern.match(text, place):
                tokens.append(_Token(kind, match[0], place))
                break
        else:
            raise _UnreadableError(f"cannot be read at character {place + 1}: it is no part of a formula")
        place = _after_space(text, place + len(tokens[-1].text))
    return [*tokens, _Token("end", "", place)]


def _after_space(text: str, place: int) -> int:
    match = _SPACE.match(text, place)
    return place if match is None else match.end()


def _constant(token: _Token) -> Constant:
    value = float(token.text)
    if not math.isfinite(value):
        raise _UnreadableError(f"cannot be read at character {token.place + 1}: the number is too large")
    return Constant(value)
