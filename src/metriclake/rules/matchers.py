"""
Decide whether one value of an event satisfies one leaf of a pattern.

A leaf is the array at the end of a pattern's path: its members are alternatives. Adding an operator is one function
that reads the operator's argument and returns a test of a scalar, and one line in `OPERATORS`.

Numbers are doubles. A number that no double spells (9007199254740993) equals only the same integer. An event's
fraction has been decoded to a double before it gets here, so the spelling of an odd one is lost.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

from metriclake.rules.jsontext import Token, Tokens

Accepts = Callable[[Any], bool]
"""A test of one scalar of an event: text, number, true, false or null."""

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_EXACT_INTEGERS = 2**53
_MOST_DIGITS = 4000
_IPV4 = re.compile(r"0*([0-9]{1,3})\.0*([0-9]{1,3})\.0*([0-9]{1,3})\.0*([0-9]{1,3})", re.ASCII)
_IPV6 = re.compile(r"[0-9a-fA-F:]*:[0-9a-fA-F:]*", re.ASCII)
_INFINITY = float("inf")


@dataclass(frozen=True, slots=True)
class Leaf:
    """
    The alternatives of one path: `accepts` a value, or is content where the path is `absent`.

    `strings` holds the texts where nothing but texts is accepted, for an index; None otherwise.
    """

    accepts: Accepts
    absent: bool
    strings: frozenset[str] | None


@dataclass(slots=True)
class _Alternatives:
    """
    A leaf while it is read.
    """

    strings: set[str] = field(default_factory=set)
    addresses: set[_Address] = field(default_factory=set)
    doubles: set[float] = field(default_factory=set)
    integers: set[int] = field(default_factory=set)
    words: set[bool | None] = field(default_factory=set)
    tests: list[Accepts] = field(default_factory=list)
    absent: bool = False

    def leaf(self) -> Leaf:
        """
        Return the finished leaf, with as few tests as its alternatives allow.
        """
        tests = list(self.tests)
        if self.words:
            tests.insert(0, _one_of_words(frozenset(self.words)))
        if self.doubles or self.integers:
            tests.insert(0, _one_of_numbers(frozenset(self.doubles), frozenset(self.integers)))
        if self.addresses:
            tests.append(_one_of_addresses(frozenset(self.addresses)))
        strings = frozenset(self.strings)
        only_strings = strings if strings and not tests and not self.absent else None
        if strings:
            tests.insert(0, strings.__contains__)
        return Leaf(_any_of(tuple(tests)), self.absent, only_strings)


def read_leaf(tokens: Tokens) -> Leaf:
    """
    Read a leaf up to its closing bracket; the opening one has been read.
    """
    found = _Alternatives()
    token = tokens.next()
    if token.kind == "]":
        tokens.refuse("Empty arrays are not allowed", "Name at least one value, or leave the key out.")
    while token.kind != "]":
        _read_value(tokens, token, found)
        token = tokens.next()
    return found.leaf()


def _read_value(tokens: Tokens, token: Token, found: _Alternatives) -> None:
    """
    Read one member of a leaf into the alternatives.
    """
    if token.kind == "{":
        _read_expression(tokens, found)
    elif token.kind == "string":
        address = ip_address(token.text)
        if address is None:
            found.strings.add(token.text)
        else:
            found.addresses.add(address)
    elif token.kind == "number":
        _read_number(tokens, token, found)
    elif token.kind in _WORDS:
        found.words.add(_WORDS[token.kind])
    else:
        hint = f"This is a {token.text}: quote it to make it text." if token.kind == "other" else ""
        tokens.refuse("Match value must be String, number, true, false, or null", hint)


def _read_number(tokens: Tokens, token: Token, found: _Alternatives) -> None:
    """
    Read a plain number: as a double where one spells it, else as the integer it is.
    """
    double = double_of(token.text)
    if double is not None:
        found.doubles.add(double)
    elif len(token.text) > _MOST_DIGITS:
        tokens.refuse(f"Cannot compare number : {token.text[:20]}...", f"A number has at most {_MOST_DIGITS} digits.")
    elif token.text.lstrip("-").isdigit():
        found.integers.add(int(token.text))
    else:
        # EventBridge compares this one by its spelling, which no decoded event has any more: it never matches.
        found.tests.append(_nothing)


def _read_expression(tokens: Tokens, found: _Alternatives) -> None:
    """
    Read a match expression, `{"operator": argument}`, by the table of operators.
    """
    name = tokens.next()
    if name.kind != "key":
        tokens.refuse("Match expression name not found")
    if name.text not in OPERATORS:
        if name.text in NOT_YET:
            _refuse_not_yet(tokens, name.text)
        tokens.refuse(f"Unrecognized match type {name.text}", f"Operators are {', '.join(OPERATORS)}.")
    test = OPERATORS[name.text](tokens)
    if test is None:
        found.absent = True
    else:
        found.tests.append(test)


def _refuse_not_yet(tokens: Tokens, name: str) -> NoReturn:
    """
    Refuse an operator that EventBridge has and this version has not.
    """
    tokens.refuse(
        f"{name} is an operator of EventBridge that this version of metriclake does not support yet",
        f"Supported are {', '.join(OPERATORS)}.",
    )


def _read_text(tokens: Tokens, operator: str) -> str:
    """
    Read an operator's argument that has to be text.
    """
    token = tokens.next()
    if token.kind != "string":
        tokens.refuse(f"{operator} match pattern must be a string")
    return token.text


def _end(tokens: Tokens, otherwise: str = "Only one key allowed in match expression") -> None:
    """
    Read the end of a match expression.
    """
    if tokens.next().kind != "}":
        tokens.refuse(otherwise)


def _exactly(tokens: Tokens) -> Accepts:
    """
    Accept one text, compared letter by letter even where it looks like an address.
    """
    text = _read_text(tokens, "exact")
    _end(tokens)
    return frozenset((text,)).__contains__


def _read_edge(tokens: Tokens, operator: str) -> str:
    """
    Read the text of a plain prefix or suffix; their case-blind form is not there yet.
    """
    token = tokens.next()
    if token.kind == "{":
        nested = tokens.next()
        if nested.kind != "key":
            tokens.refuse(f"{operator.capitalize()} expression name not found")
        if nested.text == "equals-ignore-case":
            _refuse_not_yet(tokens, f"{operator}/equals-ignore-case")
        tokens.refuse(f"Unsupported {operator} pattern: {nested.text}")
    if token.kind != "string":
        tokens.refuse(f"{operator} match pattern must be a string")
    _end(tokens)
    return token.text


def _prefix(tokens: Tokens) -> Accepts:
    """
    Accept texts that begin so.
    """
    text = _read_edge(tokens, "prefix")
    return lambda value: type(value) is str and value.startswith(text)


def _suffix(tokens: Tokens) -> Accepts:
    """
    Accept texts that end so.
    """
    text = _read_edge(tokens, "suffix")
    return lambda value: type(value) is str and value.endswith(text)


def _exists(tokens: Tokens) -> Accepts | None:
    """
    Accept every value; None for `exists: false`, which accepts none and is content without.
    """
    token = tokens.next()
    if token.kind not in {"true", "false"}:
        tokens.refuse("exists match pattern must be either true or false.")
    _end(tokens)
    return _everything if token.kind == "true" else None


def _numeric(tokens: Tokens) -> Accepts:
    """
    Accept numbers equal to one, beyond one, or between two.
    """
    if tokens.next().kind != "[":
        tokens.refuse("Value of numeric must be an array.", 'Write {"numeric": [">", 0, "<=", 5]}.')
    operator = tokens.next()
    if operator.kind != "string":
        tokens.refuse(f"Invalid member in numeric match: {operator.text}")
    if operator.text not in {"=", "<", "<=", ">", ">="}:
        tokens.refuse(f"Unrecognized numeric range operator: {operator.text}")
    number = _read_double(tokens, operator.text)
    token = tokens.next()
    if token.kind != "]" and operator.text in {"=", "<", "<="}:
        tokens.refuse("Too many elements in numeric expression")
    test = _one_sided(operator.text, number) if token.kind == "]" else _between(tokens, token, operator.text, number)
    _end(tokens, "Too many elements in numeric expression")
    return test


def _between(tokens: Tokens, token: Token, lower: str, bottom: float) -> Accepts:
    """
    Read the upper half of a range, whose operator is `token`, and its closing bracket.
    """
    if token.kind != "string":
        tokens.refuse(f"Bad value in numeric range: {token.text}")
    if token.text not in {"<", "<="}:
        tokens.refuse(f"Bad numeric range operator: {token.text}", "A range names its lower bound first.")
    top = _read_double(tokens, token.text)
    if tokens.next().kind != "]":
        tokens.refuse("Too many terms in numeric range expression")
    if bottom >= top:
        tokens.refuse("Bottom must be less than top")
    above, below = _one_sided(lower, bottom), _one_sided(token.text, top)
    return lambda value: above(value) and below(value)


def _one_sided(operator: str, bound: float) -> Accepts:
    """
    Accept doubles on one side of a bound; infinity is no number of JSON and on no side.
    """

    def accepts(value: Any) -> bool:
        double = double_in(value)
        if double is None or double in {_INFINITY, -_INFINITY}:
            return False
        return _COMPARISONS[operator](double, bound)

    return accepts


def _read_double(tokens: Tokens, operator: str) -> float:
    """
    Read the number that follows an operator.
    """
    token = tokens.next()
    if token.kind != "number":
        tokens.refuse(f"Value of {'equals' if operator == '=' else operator} must be numeric")
    return _comparable(tokens, token)


def _comparable(tokens: Tokens, token: Token) -> float:
    """
    Return a number that a double spells; refuse any other.
    """
    double = double_of(token.text)
    if double is None:
        tokens.refuse(f"Cannot compare number : {token.text[:100]}", "It is not exactly a double.")
    return double


def _anything_but(tokens: Tokens) -> Accepts:
    """
    Accept every value that is there and is not one of those named.
    """
    token = tokens.next()
    if token.kind == "{":
        return _anything_but_nested(tokens)
    if token.kind == "string":
        test = _none_of_strings(frozenset((token.text,)))
    elif token.kind == "number":
        test = _none_of_numbers(frozenset((_comparable(tokens, token),)))
    elif token.kind == "[":
        test = _anything_but_list(tokens)
    else:
        tokens.refuse("Value of anything-but must be an array or single string/number value.")
    _end(tokens, "Too many elements in numeric expression")
    return test


def _anything_but_list(tokens: Tokens) -> Accepts:
    """
    Read the excluded values up to the closing bracket: all texts, or all numbers.
    """
    strings: set[str] = set()
    numbers: set[float] = set()
    while (token := tokens.next()).kind != "]":
        if token.kind == "string":
            strings.add(token.text)
        elif token.kind == "number":
            numbers.add(_comparable(tokens, token))
        else:
            tokens.refuse("Inside anything but list, start|null|boolean is not supported.")
    if bool(strings) == bool(numbers):
        tokens.refuse(
            "Inside anything but list, either all values are number or string, mixed type is not supported",
        )
    return _none_of_strings(frozenset(strings)) if strings else _none_of_numbers(frozenset(numbers))


def _anything_but_nested(tokens: Tokens) -> Accepts:
    """
    Read `{"prefix": ...}` or `{"suffix": ...}` inside anything-but, with one text or several.
    """
    name = tokens.next()
    if name.kind != "key":
        tokens.refuse("Anything-But expression name not found")
    if name.text in {"equals-ignore-case", "wildcard"}:
        _refuse_not_yet(tokens, f"anything-but/{name.text}")
    if name.text not in {"prefix", "suffix"}:
        tokens.refuse(f"Unsupported anything-but pattern: {name.text}")
    edges = _read_edges(tokens)
    for _ in range(2):
        _end(tokens, "Too many elements in numeric expression")
    if name.text == "prefix":
        return lambda value: type(value) is not str or not value.startswith(edges)
    return lambda value: type(value) is not str or not value.endswith(edges)


def _read_edges(tokens: Tokens) -> tuple[str, ...]:
    """
    Read the one or several texts of a nested prefix or suffix; none of them empty.
    """
    token = tokens.next()
    if token.kind not in {"[", "string", "number"}:
        tokens.refuse("Value of anything-but must be an array or single string/number value.")
    several = token.kind == "["
    if several:
        token = tokens.next()
    edges = []
    while token.kind != "]":
        if token.kind != "string":
            tokens.refuse("prefix/suffix match pattern must be a string")
        if not token.text:
            tokens.refuse("Null prefix/suffix not allowed")
        edges.append(token.text)
        if not several:
            break
        token = tokens.next()
    if not edges:
        tokens.refuse("Null prefix/suffix not allowed", "Name at least one text.")
    return tuple(edges)


OPERATORS: dict[str, Callable[[Tokens], Accepts | None]] = {
    "exactly": _exactly,
    "prefix": _prefix,
    "suffix": _suffix,
    "exists": _exists,
    "anything-but": _anything_but,
    "numeric": _numeric,
}
"""Every operator of this version: reads its argument and the end of its expression, returns the test."""

NOT_YET = frozenset({"cidr", "equals-ignore-case", "wildcard"})
"""EventBridge's operators that this version refuses."""

_WORDS = {"true": True, "false": False, "null": None}
_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "=": float.__eq__, "<": float.__lt__, "<=": float.__le__, ">": float.__gt__, ">=": float.__ge__,
}  # fmt: skip


def _everything(_value: Any) -> bool:
    return True


def _nothing(_value: Any) -> bool:
    return False


def _any_of(tests: tuple[Accepts, ...]) -> Accepts:
    """
    Accept what any of the tests accepts.
    """
    if len(tests) == 1:
        return tests[0]

    def accepts(value: Any) -> bool:
        for test in tests:  # noqa: SIM110 - a generator inside any() doubles the cost of this innermost loop
            if test(value):
                return True
        return False

    return accepts


def _one_of_words(words: frozenset[bool | None]) -> Accepts:
    """
    Accept some of true, false and null, and no number that Python holds equal to them.
    """
    return lambda value: (value is None or type(value) is bool) and value in words


def _one_of_numbers(doubles: frozenset[float], integers: frozenset[int]) -> Accepts:
    """
    Accept numbers by their double, integers that are none by themselves.
    """

    def accepts(value: Any) -> bool:
        double = double_in(value)
        if double is not None:
            return double in doubles
        return type(value) is int and value in integers

    return accepts


def _one_of_addresses(addresses: frozenset[_Address]) -> Accepts:
    """
    Accept texts that spell one of the addresses, however they spell it.

    EventBridge compares the hexadecimal digits, so an IPv4 address is also every IPv6 one that begins with its bits.
    """

    def accepts(value: Any) -> bool:
        address = ip_address(value) if type(value) is str else None
        if isinstance(address, ipaddress.IPv6Address) and ipaddress.IPv4Address(address.packed[:4]) in addresses:
            return True
        return address is not None and address in addresses

    return accepts


def _none_of_strings(strings: frozenset[str]) -> Accepts:
    """
    Accept whatever is not one of the texts.
    """
    return lambda value: value not in strings


def _none_of_numbers(doubles: frozenset[float]) -> Accepts:
    """
    Accept whatever is not one of the numbers.
    """
    return lambda value: double_in(value) not in doubles


def double_of(spelling: str) -> float | None:
    """
    Return the double that a JSON number spells exactly, by the shortest decimal of that double; None without one.
    """
    double = float(spelling)
    if spelling == repr(double) or (len(spelling) < 16 and spelling.isdigit()):
        return double
    try:
        same = Decimal(spelling) == Decimal(repr(double))
    except InvalidOperation:
        return None
    return double if same else None


def double_in(value: Any) -> float | None:
    """
    Return the double of an event's number; None for what is no number, or an integer that no double spells.
    """
    if type(value) is float:
        return value
    if type(value) is not int:
        return None
    if -_EXACT_INTEGERS <= value <= _EXACT_INTEGERS:
        return float(value)
    try:
        double = float(value)
    except OverflowError:
        return None
    return double if Decimal(value) == Decimal(repr(double)) else None


def ip_address(text: str) -> _Address | None:
    """
    Return the address that a text spells, leading zeros allowed; None for any other text.

    An IPv6 address that maps an IPv4 one is that IPv4 address, as it is for EventBridge.
    """
    if (four := _IPV4.fullmatch(text)) is not None:
        octets = [int(octet) for octet in four.groups()]
        return ipaddress.IPv4Address(bytes(octets)) if max(octets) < 256 else None
    if _IPV6.fullmatch(text) is None:
        return None
    try:
        six = ipaddress.IPv6Address(":".join(group.lstrip("0") or group[:1] for group in text.split(":")))
    except ValueError:
        return None
    return six.ipv4_mapped or six
