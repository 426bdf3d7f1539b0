"""
Decide the same as `metriclake.rules.Pattern`, in the plainest way there is: slow, unbounded, and read in one go.

Every value of the event is listed with the array elements it lies in; then every combination is tried.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

Place = dict[int, int]
SubRule = dict[str, list[Any]]


def plainly_matches(pattern: dict[str, Any], event: dict[str, Any]) -> bool:
    """
    Tell whether a decoded, valid pattern matches a decoded event.
    """
    values = list(scalars(event, [], {}, [0]))
    return any(satisfied(sorted_rule(rule), values, {}) for rule in sub_rules(pattern, "", [{}]))


def sorted_rule(rule: SubRule) -> list[tuple[str, list[Any]]]:
    """
    Return a sub-rule's names in the order of their UTF-16 code units.
    """
    return sorted(rule.items(), key=lambda item: item[0].encode("utf-16-be"))


def sub_rules(pattern: dict[str, Any], above: str, rules: list[SubRule]) -> list[SubRule]:
    """
    Return the ways through a pattern, each a flat mapping of dotted names.
    """
    for key, content in pattern.items():
        if key == "$or":
            rules = [way for branch in content for way in sub_rules(branch, above, [dict(rule) for rule in rules])]
        elif isinstance(content, dict):
            rules = sub_rules(content, f"{above}{key}.", rules)
        else:
            rules = [{**rule, above + key: content} for rule in rules]
    return rules


def scalars(value: Any, names: list[str], place: Place, arrays: list[int]) -> Iterator[tuple[str, Any, Place]]:
    """
    Yield every scalar with its dotted name and the array elements it lies in.
    """
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from scalars(inner, [*names, key], place, arrays)
    elif isinstance(value, list):
        arrays[0] += 1
        number = arrays[0]
        for index, inner in enumerate(value):
            bound = isinstance(inner, dict | list)
            yield from scalars(inner, names, {**place, number: index} if bound else place, arrays)
    else:
        yield ".".join(names), value, place


def satisfied(rule: list[tuple[str, list[Any]]], values: list[tuple[str, Any, Place]], chosen: Place) -> bool:
    """
    Try every value for the first name, and the rest of the names with it.
    """
    if not rule:
        return True
    (name, alternatives), rest = rule[0], rule[1:]
    here = [(value, place) for path, value, place in values if path == name and agree(place, chosen)]
    if {"exists": False} in alternatives and not here and satisfied(rest, values, chosen):
        return True
    return any(
        satisfied(rest, values, {**chosen, **place})
        for value, place in here
        if any(accepts(alternative, value) for alternative in alternatives)
    )


def agree(place: Place, chosen: Place) -> bool:
    """
    Tell whether a value lies in the chosen element of every array it shares.
    """
    return all(chosen.get(array, index) == index for array, index in place.items())


def accepts(alternative: Any, value: Any) -> bool:
    """
    Tell whether one member of a leaf accepts one scalar.
    """
    if not isinstance(alternative, dict):
        return same(alternative, value) or same_address(alternative, value)
    ((operator, argument),) = alternative.items()
    if operator == "exists":
        return bool(argument)
    if operator == "anything-but":
        return not any(excluded(one, value) for one in (argument if isinstance(argument, list) else [argument]))
    if operator == "numeric":
        return is_double(value) and all(
            compare(sign, value, bound) for sign, bound in zip(argument[::2], argument[1::2], strict=True)
        )
    return isinstance(value, str) and TEXTS[operator](argument, value)


def excluded(one: Any, value: Any) -> bool:
    """
    Tell whether one member of an anything-but names the value.
    """
    if not isinstance(one, dict):
        return same(one, value)
    ((operator, argument),) = one.items()
    texts = argument if isinstance(argument, list) else [argument]
    return isinstance(value, str) and any(TEXTS[operator](text, value) for text in texts)


def same(wanted: Any, value: Any) -> bool:
    """
    Tell whether two scalars are one JSON value; numbers by their decimal value.
    """
    if is_number(wanted) and is_number(value):
        return Decimal(repr(wanted)) == Decimal(repr(value))
    return type(wanted) is type(value) and bool(wanted == value)


def compare(sign: str, value: float, bound: float) -> bool:
    """
    Compare two numbers by the sign of an operator.
    """
    return {
        "=": value == bound, "<": value < bound, "<=": value <= bound, ">": value > bound, ">=": value >= bound
    }[sign]  # fmt: skip


def is_double(value: Any) -> bool:
    """
    Tell whether a scalar is a number that some double spells: EventBridge compares no other.
    """
    return is_number(value) and Decimal(repr(value)) == Decimal(repr(float(value)))


def is_number(value: Any) -> bool:
    """
    Tell whether a scalar is a number; a boolean is none.
    """
    return isinstance(value, int | float) and not isinstance(value, bool)


def begins(wanted: Any, value: str) -> bool:
    """
    Tell whether a text begins so, exactly or but for case.
    """
    return any(is_whole(wanted, value[:length]) for length in range(len(value) + 1))


def ends(wanted: Any, value: str) -> bool:
    """
    Tell whether a text ends so, exactly or but for case.
    """
    return any(is_whole(wanted, value[start:]) for start in range(len(value) + 1))


def is_whole(wanted: Any, part: str) -> bool:
    """
    Tell whether a part of a text is what the argument of prefix or suffix wants.
    """
    return equal_but_for_case(wanted["equals-ignore-case"], part) if isinstance(wanted, dict) else bool(wanted == part)


def equal_but_for_case(wanted: str, value: str) -> bool:
    """
    Tell whether a text is made of the wanted characters in their order, each in its lower or upper form.
    """
    if not wanted:
        return not value
    first = wanted[0]
    forms = {first.lower(), first.upper()} if ord(first) < 0x10000 else {first}
    return any(value.startswith(form) and equal_but_for_case(wanted[1:], value[len(form) :]) for form in forms)


def wild(wanted: str, value: str) -> bool:
    """
    Tell whether a wildcard pattern accepts a text, by trying every length of every star.
    """
    if not wanted:
        return not value
    if wanted[0] == "*":
        return any(wild(wanted[1:], value[length:]) for length in range(len(value) + 1))
    char, rest = (wanted[1], wanted[2:]) if wanted[0] == "\\" else (wanted[0], wanted[1:])
    return value[:1] == char and wild(rest, value[1:])


def bits(text: Any) -> str:
    """
    Return the bits of the address that a text spells; none where it spells no address.
    """
    if not isinstance(text, str) or not re.fullmatch(r"[0-9.]*|[0-9a-fA-F:]*", text):
        return ""
    plain = re.sub(r"(?<![0-9a-fA-F])0+(?=[0-9a-fA-F])", "", text)
    try:
        address = ipaddress.ip_address(plain)
    except ValueError:
        return ""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    address = mapped or address
    return f"{int(address):0{address.max_prefixlen}b}"


def same_address(wanted: Any, value: Any) -> bool:
    """
    Tell whether both spell an address, and the value's begins with the wanted one's bits.
    """
    return bits(wanted) != "" and bits(value).startswith(bits(wanted))


def in_block(wanted: str, value: str) -> bool:
    """
    Tell whether a text spells an address that begins with the bits of a block.
    """
    address, _, size = wanted.partition("/")
    return bits(value) != "" and bits(value).startswith(bits(address)[: int(size)])


TEXTS: dict[str, Callable[[Any, str], bool]] = {
    "exactly": lambda wanted, value: bool(wanted == value),
    "prefix": begins,
    "suffix": ends,
    "equals-ignore-case": equal_but_for_case,
    "wildcard": wild,
    "cidr": in_block,
}
"""The operators that look at texts only."""
