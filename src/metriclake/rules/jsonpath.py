"""
Read a path that leads into an event, and find what lies there.

EventBridge's part of JSONPath: `$`, `.name`, `[0]`, `['any key']` and, where many values are welcome, `.*` and `[*]`.
A path follows plain nesting: a key that holds a dot is reached by brackets (`$.detail['a.b']`) and never by
`$.detail.a.b`. Unlike in a pattern, the two are not the same here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from itertools import islice
from typing import Any, Final, NoReturn

from metriclake._errors import Fault, InvalidTransform, TransformFailed

MOST_FOUND = 10_000
"""How many values one path with wildcards may lead to in one event."""


class Every(Enum):
    """
    The step to all members of an object, or all elements of an array.
    """

    EVERY = "*"


Step = str | int | Every
"""One step of a path: the key of an object, the index of an array, or all that is inside."""

MISSING: Final = object()
"""What is found where nothing lies; null is a value."""

Find = Callable[[Any], Any]
"""Find a value in an event, or MISSING. Raises TransformFailed where there are too many."""

_STEP = re.compile(
    r"""
      \.(?P<name>[A-Za-z0-9_/$-]+)
    | \[(?P<index>0|[1-9][0-9]{0,8})\]
    | \['(?P<single>[^']+)'\]
    | \["(?P<double>[^"]+)"\]
    | (?P<every>\.\*|\[\*\])
    """,
    re.VERBOSE | re.ASCII,
)
_VALID = "a path is $ and then .name (letters, digits, _ - / $), [0] or ['any key'], as in $.detail.tenant_id"


def parse_path(path: str, place: str, *, wildcards: bool = False) -> tuple[Step, ...]:
    """
    Return the steps of a path; none for `$`, the event itself.

    Raises:
        InvalidTransform: The text is no path; the fault stands at `place`.

    """
    if not path.startswith("$"):
        _refuse(place, path, "does not begin with $")
    steps: list[Step] = []
    at = 1
    while at < len(path):
        found = _STEP.match(path, at)
        if found is None or (found["every"] and not wildcards):
            _refuse(place, path, _fault(path, at))
        steps.append(_step(found))
        at = found.end()
    return tuple(steps)


def _step(found: re.Match[str]) -> Step:
    text = found[found.lastgroup or 0]
    if found["every"]:
        return Every.EVERY
    return int(text) if found["index"] else text


def _fault(path: str, at: int) -> str:
    """
    Say why no step of a path begins at this offset.
    """
    rest = path[at:]
    if rest.startswith((".*", "[*")):
        return "has a wildcard (*), and a field takes one value: name the key or the index"
    if rest.startswith(".."):
        return "searches all levels (..): name each level"
    if rest.startswith("[-"):
        return "counts from the end: an index is 0 or more"
    return f"cannot be read at character {at + 1}"


def _refuse(place: str, path: str, why: str) -> NoReturn:
    raise InvalidTransform((Fault(place, f"the path {path!r} {why}", _VALID),))


def follow(node: Any, step: Step) -> Any:
    """
    Return what lies one step further, a key or an index; MISSING where nothing does.
    """
    if isinstance(step, str):
        return node.get(step, MISSING) if type(node) is dict else MISSING
    return node[step] if type(node) is list and isinstance(step, int) and step < len(node) else MISSING


def finder(steps: tuple[Step, ...]) -> Find:
    """
    Return what finds the value at a path; with wildcards a list of all values, however few.
    """
    if Every.EVERY in steps:
        return _find_all(steps)
    names = [step for step in steps if isinstance(step, str)]
    return _find_member(tuple(names[:-1]), names[-1]) if names and len(names) == len(steps) else _find_one(steps)


def _find_member(parents: tuple[str, ...], name: str) -> Find:
    def find(event: Any) -> Any:
        node = event
        for parent in parents:
            if type(node) is not dict:
                return MISSING
            node = node.get(parent)
        return node.get(name, MISSING) if type(node) is dict else MISSING

    return find


def _find_one(steps: tuple[Step, ...]) -> Find:
    def find(event: Any) -> Any:
        node = event
        for step in steps:
            node = follow(node, step)
        return node

    return find


def _find_all(steps: tuple[Step, ...]) -> Find:
    """
    Find values by wildcards: nothing where the first one has no object or array to look into, else all there are.
    """
    first = steps.index(Every.EVERY)
    container = _find_one(steps[:first])

    def find(event: Any) -> Any:
        node = container(event)
        if not isinstance(node, dict | list):
            return MISSING
        found = [node]
        for step in steps[first:]:
            found = _bounded(one for node in found for one in _inside(node, step))
        return found

    return find


def _inside(node: Any, step: Step) -> Iterator[Any]:
    """
    Yield what lies one step further, however much that is.
    """
    if step is not Every.EVERY:
        value = follow(node, step)
        if value is not MISSING:
            yield value
    elif isinstance(node, dict):
        yield from node.values()
    elif isinstance(node, list):
        yield from node


def _bounded(values: Iterable[Any]) -> list[Any]:
    """
    Return values as a list; refuse the event that has too many.
    """
    found = list(islice(values, MOST_FOUND + 1))
    if len(found) > MOST_FOUND:
        raise TransformFailed(f"a path with wildcards leads to more than {MOST_FOUND} values: name the keys it needs")
    return found
