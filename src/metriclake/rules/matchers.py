"""
Read a leaf of a pattern, and the operators that may stand in it.

Adding an operator is one function that reads the operator's argument and the end of its expression into the
alternatives, and one line in `OPERATORS`. The words of each refusal, and the order in which faults are found, are
EventBridge's; the hints are ours.
"""

from __future__ import annotations

from collections.abc import Callable

from metriclake.rules.addresses import address_of, block_of
from metriclake.rules.doubles import double_of, integer_key
from metriclake.rules.exclusions import read_anything_but
from metriclake.rules.jsontext import Token, Tokens
from metriclake.rules.leaf import WORD_KEYS, Accepts, Alternatives, Leaf
from metriclake.rules.letters import begins_but_for_case, ends_but_for_case
from metriclake.rules.ranges import read_numeric
from metriclake.rules.spelling import Spelling
from metriclake.rules.wildcards import HINT, wildcard_of

_MOST_DIGITS = 4000
_WORDS = {"true": WORD_KEYS[True], "false": WORD_KEYS[False], "null": WORD_KEYS[None]}
_TEXT_HINT = 'Write the text in double quotes: {"%s": "x"}.'
_CIDR_HINT = 'Write {"cidr": "10.0.0.0/24"} or {"cidr": "2001:db8::/32"}; one address is a plain value.'


def read_leaf(tokens: Tokens, position: int) -> Leaf:
    """
    Read a leaf up to its closing bracket; the opening one has been read.
    """
    found = Alternatives()
    tokens.spelling = spelling = Spelling()
    token = tokens.next()
    if token.kind == "]":
        tokens.refuse("Empty arrays are not allowed", "Name at least one value, or leave the key out.")
    while token.kind != "]":
        _read_value(tokens, token, found)
        token = tokens.next()
    tokens.spelling = None
    return found.leaf(str(spelling), position)


def _read_value(tokens: Tokens, token: Token, into: Alternatives) -> None:
    """
    Read one member of a leaf into the alternatives.
    """
    if token.kind == "{":
        _read_expression(tokens, into)
    elif token.kind == "string":
        address = address_of(token.text)
        if address is None:
            into.strings.add(token.text)
        else:
            into.addresses.add(address)
    elif token.kind == "number":
        _read_number(tokens, token, into)
    elif token.kind in _WORDS:
        into.words.add(_WORDS[token.kind])
    else:
        hint = "Alternatives stand side by side in one array."
        if token.kind == "other":
            hint = f"This is a {token.text}: quote it to make it text."
        tokens.refuse("Match value must be String, number, true, false, or null", hint)


def _read_number(tokens: Tokens, token: Token, into: Alternatives) -> None:
    """
    Read a plain number: as a double where one spells it, else as the integer it is.
    """
    double = double_of(token.text)
    if double is not None:
        into.numbers.add(double)
    elif len(token.text) > _MOST_DIGITS:
        tokens.refuse(f"Cannot compare number : {token.text[:20]}...", f"A number has at most {_MOST_DIGITS} digits.")
    elif token.text.lstrip("-").isdigit():
        into.numbers.add(integer_key(int(token.text)))
    else:
        # EventBridge compares this one by its spelling, which no decoded event has any more: it never matches.
        into.tests.append(lambda _value: False)


def _read_expression(tokens: Tokens, into: Alternatives) -> None:
    """
    Read a match expression, `{"operator": argument}`, by the table of operators.
    """
    name = tokens.next()
    if name.kind != "key":
        tokens.refuse("Match expression name not found", f"Name an operator: {', '.join(OPERATORS)}.")
    if name.text not in OPERATORS:
        tokens.refuse(f"Unrecognized match type {name.text}", f"Operators are {', '.join(OPERATORS)}.")
    OPERATORS[name.text](tokens, into)


def _read_text(tokens: Tokens, operator: str, hint: str = "") -> str:
    """
    Read an operator's argument that has to be text.
    """
    token = tokens.next()
    if token.kind != "string":
        tokens.refuse(f"{operator} match pattern must be a string", hint or _TEXT_HINT % operator)
    return token.text


def _read_exactly(tokens: Tokens, into: Alternatives) -> None:
    """
    Accept one text, compared letter by letter even where it looks like an address.
    """
    text = _read_text(tokens, "exact", _TEXT_HINT % "exactly")
    tokens.end_expression()
    into.strings.add(text)


def _read_prefix(tokens: Tokens, into: Alternatives) -> None:
    """
    Accept texts that begin so, exactly or but for the case of their letters.
    """
    _read_edge(tokens, "prefix", into, into.prefixes, begins_but_for_case)


def _read_suffix(tokens: Tokens, into: Alternatives) -> None:
    """
    Accept texts that end so, exactly or but for the case of their letters.
    """
    _read_edge(tokens, "suffix", into, into.suffixes, ends_but_for_case)


def _read_edge(
    tokens: Tokens, operator: str, into: Alternatives, edges: list[str], but_for_case: Callable[[str], Accepts]
) -> None:
    """
    Read the argument of `prefix` or `suffix`: a text, or `{"equals-ignore-case": ...}`.
    """
    hint = f'Write {{"{operator}": "x"}} or {{"{operator}": {{"equals-ignore-case": "x"}}}}.'
    token = tokens.next()
    if token.kind == "string":
        edges.append(token.text)
        tokens.end_expression()
        return
    if token.kind != "{":
        tokens.refuse(f"{operator} match pattern must be a string", hint)
    nested = tokens.next()
    if nested.kind != "key":
        tokens.refuse(f"{operator.capitalize()} expression name not found", hint)
    if nested.text != "equals-ignore-case":
        tokens.refuse(f"Unsupported {operator} pattern: {nested.text}", hint)
    text = _read_text(tokens, "equals-ignore-case")
    for _ in range(2):
        tokens.end_expression()
    into.add_spelled(text, but_for_case(text))


def _read_equals_ignore_case(tokens: Tokens, into: Alternatives) -> None:
    """
    Accept texts that are equal but for the case of their letters.
    """
    text = _read_text(tokens, "equals-ignore-case")
    tokens.end_expression()
    into.add_but_for_case(text)


def _read_wildcard(tokens: Tokens, into: Alternatives) -> None:
    """
    Accept texts by a pattern in which `*` stands for any run of characters.
    """
    text = _read_text(tokens, "wildcard")
    try:
        into.wildcards.append(wildcard_of(text))
    except ValueError as fault:
        tokens.refuse(str(fault), HINT)
    tokens.end_expression()


def _read_cidr(tokens: Tokens, into: Alternatives) -> None:
    """
    Accept texts that spell an address of a block.
    """
    text = _read_text(tokens, "prefix", _CIDR_HINT)
    try:
        into.blocks.append(block_of(text))
    except ValueError as fault:
        tokens.refuse(str(fault)[:200], _CIDR_HINT)
    tokens.end_expression()


def _read_exists(tokens: Tokens, into: Alternatives) -> None:
    """
    Accept every value, or be content where there is none.
    """
    token = tokens.next()
    if token.kind not in {"true", "false"}:
        tokens.refuse("exists match pattern must be either true or false.", "Write true or false, without quotes.")
    tokens.end_expression()
    if token.kind == "true":
        into.anything = True
    else:
        into.absent = True


OPERATORS: dict[str, Callable[[Tokens, Alternatives], None]] = {
    "exactly": _read_exactly,
    "prefix": _read_prefix,
    "suffix": _read_suffix,
    "equals-ignore-case": _read_equals_ignore_case,
    "wildcard": _read_wildcard,
    "anything-but": read_anything_but,
    "numeric": read_numeric,
    "exists": _read_exists,
    "cidr": _read_cidr,
}
"""Every operator: reads its argument and the end of its expression into the alternatives."""
