"""
Decide which values of an event become a metric event's dimensions and measures.

The short form of a metric: each field names a path into the event, or is a constant. Values are taken as they are;
whether they make a valid metric event is the next step's question.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, Protocol, final

from metriclake._errors import InvalidTransform

Step = str | int
"""One step of a path: the key of an object or the index of an array."""

_Output = dict[str, Any]
_Take = Callable[[Any, _Output, _Output], None]
_Fields = list[tuple[str, Any]]

_STEP = re.compile(
    r"""
      \.(?P<name>[A-Za-z0-9_/$-]+)
    | \[(?P<index>0|[1-9][0-9]{0,8})\]
    | \['(?P<single>[^']+)'\]
    | \["(?P<double>[^"]+)"\]
    """,
    re.VERBOSE | re.ASCII,
)
_VALID = "a path is $ and then .name (letters, digits, _ - / $), [0] or ['any key'], as in $.detail.tenant_id"


class FieldSource(Protocol):
    """
    Where a field's value comes from: a path into the event, or a constant; exactly one of them is given.
    """

    @property
    def path(self) -> str | None:
        """
        The path, None for a constant.
        """

    @property
    def value(self) -> str | float | bool | None:
        """
        The constant, None for a path.
        """


class Transform(ABC):
    """
    What a rule makes of the events that it matches.
    """

    __slots__ = ()

    @classmethod
    def compile(cls, metadata: Mapping[str, FieldSource], data: Mapping[str, FieldSource]) -> Transform:
        """
        Compile the short form: two mappings from field names to their sources.

        Raises:
            InvalidTransform: A field has no valid source; the message names it.

        """
        return ShortForm(metadata, data)

    @abstractmethod
    def apply(self, event: Mapping[str, Any], arrived_at: int = 0) -> tuple[Any, Any]:
        """
        Return (metadata, data) of a decoded event; `arrived_at` is its arrival, in microseconds since 1970.

        Raises:
            TransformFailed: The event cannot be made into what the rule's input says.

        """


@final
class ShortForm(Transform):
    """
    The short form, compiled: takes the mapped values out of an event.

    Paths follow plain nesting only. A key that holds a dot is reached by brackets (`$.detail['a.b']`) and never by
    `$.detail.a.b`: unlike in a pattern, the two are not the same here.
    """

    __slots__ = ("_data", "_metadata", "_takes")

    def __init__(self, metadata: Mapping[str, FieldSource], data: Mapping[str, FieldSource]) -> None:
        constants: tuple[_Output, _Output] = ({}, {})
        wanted: dict[tuple[tuple[Step, ...] | None, type[Step]], tuple[_Fields, _Fields]] = {}
        for half, (part, fields) in enumerate((("metadata", metadata), ("data", data))):
            for name, source in fields.items():
                path = _path_of(f"{part}.{name}", source)
                if path is None:
                    constants[half][name] = source.value
                    continue
                steps = parse_path(path, f"{part}.{name}")
                parent, key = (steps[:-1], steps[-1]) if steps else (None, "$")
                wanted.setdefault((parent, type(key)), ([], []))[half].append((name, key))
        self._metadata, self._data = constants
        self._takes = tuple(_take(parent, kind, *fields) for (parent, kind), fields in wanted.items())

    def apply(self, event: Mapping[str, Any], arrived_at: int = 0) -> tuple[dict[str, Any], dict[str, Any]]:  # noqa: ARG002 - no field of the short form is the arrival's
        """
        Return (metadata, data) of a decoded event; a path that is missing or null leaves its field out.
        """
        if type(event) is not dict:
            event = dict(event)
        metadata, data = self._metadata.copy(), self._data.copy()
        for take in self._takes:
            take(event, metadata, data)
        return metadata, data


def parse_path(path: str, field: str) -> tuple[Step, ...]:
    """
    Return the steps of a path; none for `$`, the event itself.

    Raises:
        InvalidTransform: The text is no path; the message names the field.

    """
    if not path.startswith("$"):
        _refuse(field, path, "does not begin with $")
    steps: list[Step] = []
    at = 1
    while at < len(path):
        found = _STEP.match(path, at)
        if found is None:
            _refuse(field, path, _fault(path, at))
        text = found[found.lastgroup or 0]
        steps.append(int(text) if found.lastgroup == "index" else text)
        at = found.end()
    return tuple(steps)


def _path_of(field: str, source: FieldSource) -> str | None:
    """
    Return a field's path, None for a constant; refuse a field that has both or neither.
    """
    if source.path is not None and source.value is not None:
        raise InvalidTransform(f"{field}: has a path and a value; give one of them")
    if source.path is None and source.value is None:
        raise InvalidTransform(f"{field}: has neither a path nor a value; {_VALID}")
    return source.path


def _fault(path: str, at: int) -> str:
    """
    Say why no step of a path begins at this offset.
    """
    rest = path[at:]
    if rest.startswith((".*", "[*", "..*")):
        return "has a wildcard (*), and a field takes one value: name the key or the index"
    if rest.startswith(".."):
        return "searches all levels (..): name each level"
    if rest.startswith("[-"):
        return "counts from the end: an index is 0 or more"
    return f"cannot be read at character {at + 1}"


def _refuse(field: str, path: str, why: str) -> NoReturn:
    raise InvalidTransform(f"{field}: the path {path!r} {why}; {_VALID}")


def _take(parent: tuple[Step, ...] | None, kind: type[Step], metadata: _Fields, data: _Fields) -> _Take:
    """
    Return what takes the fields that share a parent in the event, so that the parent is looked up once for all.
    """
    if parent is None:
        return _take_event([name for name, _ in metadata], [name for name, _ in data])
    if kind is int:
        return _take_elements(parent, tuple(metadata), tuple(data))
    return _take_members(parent, tuple(metadata), tuple(data))


def _take_members(
    parent: tuple[Step, ...], metadata: tuple[tuple[str, str], ...], data: tuple[tuple[str, str], ...]
) -> _Take:
    """
    Take keys of the object at `parent`.
    """

    def take(event: Any, to_metadata: _Output, to_data: _Output) -> None:
        node = event
        for step in parent:
            node = _follow(node, step)
        if type(node) is not dict:
            return
        for name, key in metadata:
            if (value := node.get(key)) is not None:
                to_metadata[name] = value
        for name, key in data:
            if (value := node.get(key)) is not None:
                to_data[name] = value

    return take


def _take_elements(
    parent: tuple[Step, ...], metadata: tuple[tuple[str, int], ...], data: tuple[tuple[str, int], ...]
) -> _Take:
    """
    Take elements of the array at `parent`.
    """

    def take(event: Any, to_metadata: _Output, to_data: _Output) -> None:
        node = event
        for step in parent:
            node = _follow(node, step)
        for fields, output in ((metadata, to_metadata), (data, to_data)):
            for name, index in fields:
                if (value := _follow(node, index)) is not None:
                    output[name] = value

    return take


def _take_event(metadata: list[str], data: list[str]) -> _Take:
    """
    Take the event itself, which is what the path `$` names.
    """

    def take(event: Any, to_metadata: _Output, to_data: _Output) -> None:
        to_metadata.update(dict.fromkeys(metadata, event))
        to_data.update(dict.fromkeys(data, event))

    return take


def _follow(node: Any, step: Step) -> Any:
    """
    Return what lies one step further, None where nothing does.
    """
    if isinstance(step, str):
        return node.get(step) if type(node) is dict else None
    return node[step] if type(node) is list and step < len(node) else None
