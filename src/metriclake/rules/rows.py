"""
Arrays of objects on the paths of an event: which there are, and what of them goes together.

Of an array of objects, and of arrays in it, each object is a row of values. What is taken for the keys of one pattern
has to lie in the same element of each array, so all that a way wants behind an array has to be in one row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from msgspec import UNSET, Struct

from metriclake.rules.shape import Tree, attribute
from metriclake.rules.ways import Trial

Row = tuple[Any, ...]


class Inside(NamedTuple):
    """
    Where the values of a path behind an array are: the array's number, and the column in its rows.
    """

    array: int
    column: int


def objects_in(array: Any, most: int) -> list[Any] | None:
    """
    Return the objects of an array, and of arrays in it.

    None for what is no array, arrays deeper in each other, and more objects than the most.
    """
    if type(array) is not list or len(array) > most:
        return None
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
    trials: Iterable[Trial],
    values: Sequence[Any],
    rows: Sequence[Sequence[Row]],
    inside: Mapping[int, Inside],
    found: list[int],
) -> None:
    """
    Add the rules whose ways are satisfied by the values, of which some may be lists, and by the rows of each array.
    """
    for rule, shared, own, _ in trials:
        if rule not in found and _is_satisfied([*own, *(test[1:] for test in shared)], values, rows, inside):
            found.append(rule)


def _is_satisfied(
    tests: Sequence[Any], values: Sequence[Any], rows: Sequence[Sequence[Row]], inside: Mapping[int, Inside]
) -> bool:
    """
    Tell whether all tests hold, those behind one array in one of its rows.
    """
    in_array: dict[int, list[Any]] = {}
    for at, accepts in tests:
        place = inside.get(at)
        if place is not None:
            in_array.setdefault(place.array, []).append((place.column, accepts))
        elif not (any(map(accepts, values[at])) if type(values[at]) is list else accepts(values[at])):
            return False
    return all(_holds_in_one(several, rows[array]) for array, several in in_array.items())


def _holds_in_one(tests: Sequence[Any], rows: Sequence[Row]) -> bool:
    """
    Tell whether all tests, each with its column, hold in one of the rows.
    """
    for row in rows:
        for column, accepts in tests:
            if not accepts(row[column]):
                break
        else:
            return True
    return False
