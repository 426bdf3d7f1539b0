"""
Arrays of objects on the paths of an event: which there are, and what of them goes together.

Of an array of objects, and of arrays in it, each object is a row of values, and each path behind it a column. What is
taken for the keys of one pattern has to lie in the same element of each array, so all that a way wants behind an array
has to be in one row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import UNSET, Struct

from metriclake.rules.shape import Tree, attribute
from metriclake.rules.ways import Trial

_DICT = {dict}


def objects_in(array: Any, most: int) -> list[Any] | None:
    """
    Return the objects of an array, and of arrays in it.

    None for what is no array, arrays deeper in each other, and more objects than the most.
    """
    if type(array) is not list or len(array) > most:
        return None
    kinds = set(map(type, array))
    if kinds == _DICT or (len(kinds) == 1 and issubclass(kinds.pop(), Struct)):
        return array
    objects = []
    for each in array:
        for one in each if type(each) is list else (each,):
            if isinstance(one, dict | Struct):
                objects.append(one)
            elif type(one) is list:
                return None
    return objects if len(objects) <= most else None


def arrays_in(tree: Tree, node: Any, *, of_text: bool, above: str = "") -> Iterator[str]:
    """
    Yield the paths at which an event, or the part of one, has an array where patterns look behind.
    """
    for name, inner in tree.items():
        if isinstance(inner, int):
            continue
        behind = getattr(node, attribute(name)) if of_text else node.get(name, UNSET)
        if type(behind) is list:
            yield above + name
        elif isinstance(behind, dict | Struct):
            yield from arrays_in(inner, behind, of_text=of_text, above=f"{above}{name}.")


def satisfied_in_rows(
    trials: Iterable[Trial], values: Sequence[Any], inside: Mapping[int, int], found: list[int]
) -> None:
    """
    Add the rules whose ways are satisfied by these values to those found.

    Of the values some may be lists of scalars; those at positions `inside` are columns, of the array with the number
    that stands there.
    """
    for rule, shared, own, _ in trials:
        if rule not in found and _is_satisfied([*own, *(test[1:] for test in shared)], values, inside):
            found.append(rule)


def _is_satisfied(tests: Iterable[Any], values: Sequence[Any], inside: Mapping[int, int]) -> bool:
    """
    Tell whether all tests hold, those behind one array in one of its rows.
    """
    in_array: dict[int, list[Any]] = {}
    for at, accepts in tests:
        array = inside.get(at)
        if array is not None:
            in_array.setdefault(array, []).append(map(accepts, values[at]))
        elif not (any(map(accepts, values[at])) if type(values[at]) is list else accepts(values[at])):
            return False
    # Each is made row by row, and only as far as needed.
    return all(any(map(all, zip(*columns, strict=True))) for columns in in_array.values())
