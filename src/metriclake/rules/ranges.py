"""
Read what `numeric` says: numbers equal to one, beyond one, or between two.
"""

from __future__ import annotations

from metriclake.rules.doubles import COMPARISONS, between, double_of, ends_of
from metriclake.rules.jsontext import Token, Tokens
from metriclake.rules.leaf import Accepts, Alternatives

_HINT = 'Write {"numeric": [">", 0, "<=", 5]}: the lower bound first, or one bound alone.'
_TOO_MANY = "Too many elements in numeric expression"


def read_numeric(tokens: Tokens, into: Alternatives) -> None:
    """
    Read the argument of `numeric` and the end of its expression.
    """
    if tokens.next().kind != "[":
        tokens.refuse("Value of numeric must be an array.", _HINT)
    operator = tokens.next()
    if operator.kind != "string":
        tokens.refuse(f"Invalid member in numeric match: {operator.text}", _HINT)
    number = tokens.next()
    if operator.text not in COMPARISONS:
        tokens.refuse(
            f"Unrecognized numeric range operator: {operator.text}", f"Operators are {', '.join(COMPARISONS)}."
        )
    bottom = _operand(tokens, number, operator.text)
    token = tokens.next()
    if token.kind == "]":
        into.ranges.append(between(*ends_of(operator.text, comparable(tokens, bottom))))
    elif operator.text in {"=", "<", "<="}:
        tokens.refuse(_TOO_MANY, _HINT)
    else:
        into.ranges.append(_read_between(tokens, token, operator.text, bottom))
    tokens.end_expression(_TOO_MANY)


def _read_between(tokens: Tokens, token: Token, lower: str, bottom: str) -> Accepts:
    """
    Read the upper half of a range, whose operator is `token`, and its closing bracket.
    """
    if token.kind != "string":
        tokens.refuse(f"Bad value in numeric range: {token.text}", _HINT)
    if token.text not in {"<", "<="}:
        tokens.refuse(f"Bad numeric range operator: {token.text}", _HINT)
    top = _operand(tokens, tokens.next(), token.text)
    if tokens.next().kind != "]":
        tokens.refuse("Too many terms in numeric range expression", _HINT)
    low, high = comparable(tokens, bottom), comparable(tokens, top)
    if low >= high:
        tokens.refuse("Bottom must be less than top", "No number lies in this range.")
    return between(ends_of(lower, low)[0], ends_of(token.text, high)[1])


def _operand(tokens: Tokens, token: Token, operator: str) -> str:
    """
    Return the spelling of the number that follows an operator.
    """
    if token.kind != "number":
        name = "equals" if operator == "=" else operator
        tokens.refuse(f"Value of {name} must be numeric", "Write the number without quotes.")
    return token.text


def comparable(tokens: Tokens, spelling: str) -> float:
    """
    Return a number that a double spells; refuse any other.
    """
    double = double_of(spelling)
    if double is None:
        tokens.refuse(
            f"Cannot compare number : {spelling[:100]}",
            "It is not exactly a double; as a plain value, outside of an operator, it equals the same integer.",
        )
    return double
