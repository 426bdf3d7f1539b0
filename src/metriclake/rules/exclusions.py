"""
Read what `anything-but` says: every value that is there, and is not what it names.

What it names is gathered as the alternatives of a leaf are, and the test turned round. Values of another type than
those named are never excluded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from metriclake.rules.jsontext import Token, Tokens
from metriclake.rules.leaf import Alternatives
from metriclake.rules.ranges import comparable
from metriclake.rules.wildcards import HINT, wildcard_of

_TOO_MANY = "Too many elements in numeric expression"
_FORMS = 'Write {"anything-but": "x"}, {"anything-but": [1, 2]} or {"anything-but": {"prefix": "x"}}.'
_NO_EDGE = "prefix/suffix match pattern must be a string"
_EMPTY_EDGE = "Null prefix/suffix not allowed"


def read_anything_but(tokens: Tokens, into: Alternatives) -> None:
    """
    Read the argument of `anything-but` and the end of its expression.
    """
    excluded = Alternatives()
    token = tokens.next()
    if token.kind == "{":
        _read_nested(tokens, excluded)
    elif token.kind == "[":
        _read_values(tokens, excluded)
    elif token.kind in {"string", "number"}:
        _add_value(tokens, token, excluded)
    else:
        tokens.refuse("Value of anything-but must be an array or single string/number value.", _FORMS)
    tokens.end_expression(_TOO_MANY)
    into.excluded.append(excluded)


def _read_values(tokens: Tokens, excluded: Alternatives) -> None:
    """
    Read the excluded values up to the closing bracket: all texts, or all numbers.
    """
    while (token := tokens.next()).kind != "]":
        if token.kind not in {"string", "number"}:
            tokens.refuse("Inside anything but list, start|null|boolean is not supported.", _FORMS)
        _add_value(tokens, token, excluded)
    if bool(excluded.strings) == bool(excluded.numbers):
        tokens.refuse(
            "Inside anything but list, either all values are number or string, mixed type is not supported",
            "Name at least one value, and values of one type only.",
        )


def _add_value(tokens: Tokens, token: Token, excluded: Alternatives) -> None:
    """
    Add one text or number to what is excluded.
    """
    if token.kind == "string":
        excluded.strings.add(token.text)
    else:
        excluded.numbers.add(comparable(tokens, token.text))


def _read_nested(tokens: Tokens, excluded: Alternatives) -> None:
    """
    Read an operator inside of `anything-but`, with one text or several.
    """
    name = tokens.next()
    if name.kind != "key":
        tokens.refuse("Anything-But expression name not found", _FORMS)
    if name.text not in _NESTED:
        tokens.refuse(f"Unsupported anything-but pattern: {name.text}", f"There may be {', '.join(_NESTED)}.")
    for token in _texts(tokens):
        _NESTED[name.text](tokens, token, excluded)
    tokens.end_expression(_TOO_MANY)


def _texts(tokens: Tokens) -> Iterator[Token]:
    """
    Yield the one token, or those of the array, that an operator inside of `anything-but` has.
    """
    token = tokens.next()
    if token.kind in {"string", "number"}:
        yield token
        return
    if token.kind != "[":
        tokens.refuse("Value of anything-but must be an array or single string/number value.", _FORMS)
    token = tokens.next()
    if token.kind == "]":
        # EventBridge's reader lets this one through, and what builds its index then fails.
        tokens.refuse("Empty arrays are not allowed", "Name at least one text.")
    while token.kind != "]":
        yield token
        token = tokens.next()


def _exclude_prefix(tokens: Tokens, token: Token, excluded: Alternatives) -> None:
    excluded.prefixes.append(_edge(tokens, token))


def _exclude_suffix(tokens: Tokens, token: Token, excluded: Alternatives) -> None:
    excluded.suffixes.append(_edge(tokens, token))


def _edge(tokens: Tokens, token: Token) -> str:
    if token.kind != "string":
        tokens.refuse(_NO_EDGE, "Write texts in double quotes.")
    if not token.text:
        tokens.refuse(_EMPTY_EDGE, "Every text begins and ends with the empty text, so nothing would be left.")
    return token.text


def _exclude_but_for_case(tokens: Tokens, token: Token, excluded: Alternatives) -> None:
    if token.kind != "string":
        tokens.refuse(
            "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported.",
            "Write texts in double quotes.",
        )
    excluded.add_but_for_case(token.text)


def _exclude_wildcard(tokens: Tokens, token: Token, excluded: Alternatives) -> None:
    if token.kind != "string":
        tokens.refuse("wildcard match pattern must be a string", "Write texts in double quotes.")
    try:
        excluded.wildcards.append(wildcard_of(token.text))
    except ValueError as fault:
        tokens.refuse(str(fault), HINT)


_NESTED: dict[str, Callable[[Tokens, Token, Alternatives], Any]] = {
    "prefix": _exclude_prefix,
    "suffix": _exclude_suffix,
    "equals-ignore-case": _exclude_but_for_case,
    "wildcard": _exclude_wildcard,
}
"""The operators that may stand inside of `anything-but`."""
