"""
Check the plain values of a pipeline file against its model: every fault at once, each with its place.

What this version does not do yet is refused here and not ignored.
"""

from __future__ import annotations

import difflib
import functools
import typing
from types import NoneType, UnionType
from typing import Any, Literal, Union

import msgspec

from metriclake.pipeline.destination_specs import KINDS, DestinationSpec
from metriclake.pipeline.document import Document, Place
from metriclake.pipeline.model import Pipeline
from metriclake.pipeline.spec import Duration, Size, Spec


def check_shape(value: Any, document: Document) -> Pipeline | None:
    """
    Return the pipeline that a file's values make, None where they do not; the faults are the document's then.
    """
    checked: Pipeline | None = _Checker(document).check(value, Pipeline, ())
    return None if document.faults else checked


@functools.cache
def _fields(kind: type[Spec]) -> list[tuple[msgspec.structs.FieldInfo, Any]]:
    """
    Return the fields of a part, each with its type; a file may have thousands of parts of one kind.
    """
    hints = typing.get_type_hints(kind, include_extras=True)
    return [(entry, hints[entry.name]) for entry in msgspec.structs.fields(kind)]


class _Checker:
    """
    Check plain values against the model, collecting every fault instead of stopping at the first.
    """

    def __init__(self, document: Document) -> None:
        self.document = document

    def check(self, value: Any, kind: Any, place: Place) -> Any:
        if kind is DestinationSpec:
            return self._destination(value, place)
        if isinstance(kind, type) and issubclass(kind, Spec):
            return self._struct(value, kind, place)
        origin = typing.get_origin(kind)
        if origin in (Union, UnionType) and NoneType in typing.get_args(kind):
            rest = tuple(option for option in typing.get_args(kind) if option is not NoneType)
            return None if value is None else self.check(value, Union[rest], place)  # noqa: UP007 - of a tuple
        if origin is dict and typing.get_args(kind)[1] is not Any:
            return self._dict(value, typing.get_args(kind)[1], place)
        if origin is list and isinstance(typing.get_args(kind)[0], type) and issubclass(typing.get_args(kind)[0], Spec):
            return self._list(value, typing.get_args(kind)[0], place)
        return self._leaf(value, kind, place)

    def _struct(self, value: Any, kind: type[Spec], place: Place) -> Any:
        if kind.shorthand and isinstance(value, str):
            value = {kind.shorthand: value}
        if value is None and place:
            value = {}
        if not isinstance(value, dict):
            self.document.fault(place, f"must be a mapping, not {_kind(value)}")
            return None
        names = {entry.name: hint for entry, hint in _fields(kind)}
        self._unknown_keys(value, kind, list(names), place)
        self._missing_keys(value, kind, place)
        given = {key: self.check(item, names[key], (*place, key)) for key, item in value.items() if key in names}
        self._later_values(given, kind, place)
        return kind(**given) if not self.document.faults else None

    def _destination(self, value: Any, place: Place) -> Any:
        """
        Check a destination by the model of its kind: its `type`, or its name.
        """
        given = value.get("type") if isinstance(value, dict) else None
        kind = place[-1] if given is None else given
        if not isinstance(kind, str) or kind not in KINDS:
            where = (*place, "type") if given is not None else place
            near = difflib.get_close_matches(str(kind), KINDS, n=1)
            hint = f"did you mean `{near[0]}`?" if near else f"`type` is one of: {', '.join(KINDS)}"
            self.document.fault(where, "is no kind of destination", hint)
            return None
        return self._struct(value, KINDS[kind], place)

    def _unknown_keys(self, value: dict[str, Any], kind: type[Spec], names: list[str], place: Place) -> None:
        for key in value:
            if key in names:
                continue
            if key in kind.later:
                self.document.fault((*place, key), f"`{key}` is not in this version of metriclake yet")
                continue
            near = difflib.get_close_matches(key, names, n=1)
            hint = f"did you mean `{near[0]}`?" if near else f"known are: {', '.join(names)}"
            self.document.fault((*place, key), f"unknown key `{key}`", hint)

    def _missing_keys(self, value: dict[str, Any], kind: type[Spec], place: Place) -> None:
        for entry, _ in _fields(kind):
            others = kind.unless.get(entry.name, ())
            needed = entry.required or (others and not any(value.get(other) for other in others))
            if needed and entry.name not in value:
                self.document.fault(place, f"the key `{entry.name}` is missing", f"add `{entry.name}:` here")

    def _later_values(self, given: dict[str, Any], kind: type[Spec], place: Place) -> None:
        for key, values in kind.later.items():
            if values is not None and given.get(key) in values:
                self.document.fault((*place, key), f"`{key}: {given[key]}` is not in this version of metriclake yet")

    def _dict(self, value: Any, kind: Any, place: Place) -> Any:
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.document.fault(place, f"must be a mapping, not {_kind(value)}")
            return None
        return {key: self.check(item, kind, (*place, key)) for key, item in value.items()}

    def _list(self, value: Any, kind: Any, place: Place) -> Any:
        if value is None:
            return []
        if not isinstance(value, list):
            self.document.fault(place, f"must be a list, not {_kind(value)}")
            return None
        return [self.check(item, kind, (*place, index)) for index, item in enumerate(value)]

    def _leaf(self, value: Any, kind: Any, place: Place) -> Any:
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            self.document.fault(place, _plain(str(error), kind))
            return None


def _plain(message: str, kind: Any) -> str:
    """
    Put a validation message into the file's words: no value of the file is repeated.
    """
    options = typing.get_args(kind) if typing.get_origin(kind) is Literal else ()
    if options:
        return f"must be one of: {', '.join(str(option) for option in options)}"
    if kind is Duration:
        return "must be a duration: a whole number and one of ms, s, m, h, d, w, y, such as `14d`"
    if kind is Size:
        return "must be a size: a whole number and one of KB, MB, GB, TB, such as `50GB`"
    return message.replace("Expected `", "must be `").split(" - at")[0]


def _kind(value: Any) -> str:
    names = {str: "text", bool: "true or false", int: "a number", float: "a number", list: "a list"}
    return "empty" if value is None else names.get(type(value), "a mapping")
