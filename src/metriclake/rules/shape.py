"""
Tell which keys of an event patterns look at, and take only those from JSON text.

A shape is made of dotted paths: it holds the keys on them as a tree, and types that have a field for each of these keys
and for nothing else, which msgspec fills without decoding the rest of a text. An unusual event does not fit its shape:

- a path leads through something that is no object, an array of objects for one;
- a key of the event has a dot in it and so may lie on a path: `a.b` beside `a` and, in it, `b`;
- an array at the end of a path is long, or holds more than scalars.

Of two equal keys in a text the last counts, as it does in a decoded event.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct

from metriclake.rules.eventtext import Decode, limited

MOST_KEYS = 256
"""How many keys a shape may have: looking for more costs more than walking what the event has."""

MOST_FIELDS = 128
"""How many keys one object of a shape may have: msgspec compares a key with one field after the other."""

MOST_ELEMENTS = 16
"""How many scalars an array at the end of a path may have."""

Tree = dict[str, Any]
"""The keys of an object of a shape: behind each the tree of its object, or the number of the path that ends there."""

LISTS = frozenset((list, dict))

_Never = Annotated[int, Meta(ge=1, le=0)]
"""The type of a key with a dot in it: no value fits."""


@dataclass(frozen=True, slots=True)
class Shape:
    """
    The part of an event that lies on some paths.
    """

    tree: Tree

    def decoder(self) -> Decode | None:
        """
        Return what takes the part of an event that is JSON text.

        There is none where an object has too many keys, or one with a character that JSON escapes. An unusual event
        does not fit: it makes `eventtext` raise one of its `FAULTS`, as what is no JSON does.
        """
        return limited(_type_of(self.tree)) if _has_type(self.tree) else None


def flat(value: Any) -> Any:
    """
    Return a short list of scalars as it is, UNSET for an empty list or an object, and None for any other list.
    """
    if not value or type(value) is dict:
        return UNSET
    return value if len(value) <= MOST_ELEMENTS and LISTS.isdisjoint(map(type, value)) else None


def shape_of(paths: Sequence[str]) -> Shape | None:
    """
    Return the shape of these paths.

    There is none where a path goes on behind another's end, a key is no text of JSON, or there are too many keys.
    """
    tree: Tree = {}
    if len(paths) > MOST_KEYS or any("\ud800" <= char <= "\udfff" for path in paths for char in path):
        return None
    for number, path in enumerate(paths):
        *names, last = path.split(".")
        node = tree
        for name in names:
            node = node.setdefault(name, {})
            if isinstance(node, int):
                return None
        if node.setdefault(last, number) is not number:
            return None
    return Shape(tree) if _keys_in(tree) <= MOST_KEYS else None


def dotted(tree: Tree, above: str = "") -> Iterator[str]:
    """
    Yield the keys with a dot that would lead from an object to some point below it.
    """
    for name, inner in tree.items():
        if above:
            yield above + name
        if not isinstance(inner, int):
            yield from dotted(inner, f"{above}{name}.")


def attribute(name: str) -> str:
    """
    Return the attribute that holds a key in the types of a shape.
    """
    return f"k{name.encode().hex()}"


def _keys_in(tree: Tree) -> int:
    """
    Return how many keys an object of a shape has, with those of the objects in it.
    """
    return len(tree) + sum(_keys_in(inner) for inner in tree.values() if not isinstance(inner, int))


def _has_type(tree: Tree) -> bool:
    """
    Tell whether no object has more keys than a type may have, those with dots counted, or one that a type cannot name.
    """
    if len(tree) + len(list(islice(dotted(tree), MOST_FIELDS))) > MOST_FIELDS:
        return False
    if any(char in '"\\' or char < " " for name in tree for char in name):
        return False
    return all(_has_type(inner) for inner in tree.values() if not isinstance(inner, int))


def _type_of(tree: Tree) -> type[Struct]:
    """
    Return the type of an object with these keys, and without those that would spell several of them with a dot.
    """
    fields: list[tuple[str, Any, Any]] = []
    for name, inner in tree.items():
        if isinstance(inner, int):
            fields.append((attribute(name), Any, msgspec.field(name=name, default=UNSET)))
        else:
            type_ = _type_of(inner)
            several = type_ | list[type_ | list[type_]]  # type: ignore[valid-type] # a type that is a value
            fields.append((attribute(name), several, msgspec.field(name=name, default=type_())))
    fields.extend((attribute(name), _Never, msgspec.field(name=name, default=1)) for name in dotted(tree))
    return msgspec.defstruct("Part", fields, frozen=True, gc=False)
