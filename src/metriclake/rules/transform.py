"""
Decide which values of an event become a metric event's dimensions and measures.

The short form of a metric: each field names a path into the event, or is a constant. Values are taken as they are;
whether they make a valid metric event is the next step's question.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Protocol, final

from metriclake._errors import Fault, InvalidTransform
from metriclake.rules.jsonpath import MISSING, Step, follow, parse_path

_Output = dict[str, Any]
_Take = Callable[[Any, _Output, _Output], None]
_Fields = list[tuple[str, Any]]


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

    measures: tuple[str, ...]
    """The names of the measures that the file says it makes, in its order."""

    @classmethod
    def compile(cls, metadata: Mapping[str, FieldSource], data: Mapping[str, FieldSource]) -> Transform:
        """
        Compile the short form: two mappings from field names to their sources.

        Raises:
            InvalidTransform: Fields have no valid source; each is a fault of its own.

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

    It is what a template of the same fields makes, without the way through text: `<x>` for each path. What leads
    nowhere, or to null, leaves its field out.
    """

    __slots__ = ("_data", "_metadata", "_takes", "measures")

    def __init__(self, metadata: Mapping[str, FieldSource], data: Mapping[str, FieldSource]) -> None:
        constants: tuple[_Output, _Output] = ({}, {})
        wanted: dict[tuple[tuple[Step, ...] | None, type[Step]], tuple[_Fields, _Fields]] = {}
        faults: list[Fault] = []
        for half, (part, fields) in enumerate((("metadata", metadata), ("data", data))):
            for name, source in fields.items():
                try:
                    steps = _steps(f"{part}.{name}", source)
                except InvalidTransform as error:
                    faults += error.faults
                    continue
                if steps is None:
                    constants[half][name] = source.value
                    continue
                parent, key = (steps[:-1], steps[-1]) if steps else (None, "$")
                wanted.setdefault((parent, type(key)), ([], []))[half].append((name, key))
        if faults:
            raise InvalidTransform(tuple(faults))
        self.measures = tuple(name for name in data if name != "event_time")
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


def _steps(field: str, source: FieldSource) -> tuple[Step, ...] | None:
    """
    Return the steps of a field's path, None for a constant; refuse a field that has both or neither.
    """
    if source.path is not None and source.value is not None:
        raise InvalidTransform((Fault(field, "has a path and a value", "give one of them"),))
    if source.path is None and source.value is None:
        raise InvalidTransform((Fault(field, "has neither a path nor a value", "a path such as $.detail.size"),))
    return None if source.path is None else parse_path(source.path, field)


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
            node = node.get(step) if type(node) is dict else follow(node, step)
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
            node = follow(node, step)
        for fields, output in ((metadata, to_metadata), (data, to_data)):
            for name, index in fields:
                value = follow(node, index)
                if value is not None and value is not MISSING:
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
