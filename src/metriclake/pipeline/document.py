"""
Read the pipeline file's text: plain values, the place of each, and every fault of it as YAML.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from metriclake._errors import Fault

Place = tuple[str | int, ...]
"""Where a value stands in the file, as the keys that lead to it."""

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_MAX_DEPTH = 64


class Document:
    """
    A YAML text as plain values, with the place of each and the faults found on the way.
    """

    def __init__(self, path: Path, environ: Mapping[str, str]) -> None:
        """
        Read for the file at `path`; `environ` fills `${NAME}`.
        """
        self.path = path
        self.environ = environ
        self.marks: dict[Place, str] = {}
        self.faults: list[Fault] = []

    def read(self, text: str) -> Any:
        """
        Return the values of the text; where it is not YAML, None and a fault.
        """
        try:
            node = yaml.compose(text, Loader=_Loader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            self.faults.append(Fault(self._mark(mark), f"not YAML: {error.problem or error.context}"))
            return None
        except yaml.YAMLError:
            self.faults.append(Fault(str(self.path), "not YAML: it holds a character that YAML does not allow"))
            return None
        except RecursionError:
            self.faults.append(Fault(str(self.path), f"nested deeper than {_MAX_DEPTH} levels"))
            return None
        return {} if node is None else self._value(node, ())

    def fault(self, place: Place, what: str, hint: str = "") -> None:
        """
        Take note of a fault of the value at `place`, or of the nearest part of it that the file has.
        """
        keys = place
        while keys and keys not in self.marks:
            keys = keys[:-1]
        self.faults.append(Fault(self.marks.get(keys, str(self.path)), what, hint))

    def _mark(self, mark: yaml.Mark | None) -> str:
        return str(self.path) if mark is None else f"{self.path}:{mark.line + 1}:{mark.column + 1}"

    def _value(self, node: yaml.Node, place: Place) -> Any:
        self.marks[place] = self._mark(node.start_mark)
        if len(place) > _MAX_DEPTH:
            self.faults.append(Fault(self.marks[place], f"nested deeper than {_MAX_DEPTH} levels"))
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(item, (*place, index)) for index, item in enumerate(node.value)]
        return self._scalar(node, place)

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            mark = self._mark(key_node.start_mark)
            if key is None:
                self.faults.append(Fault(mark, "a key must be plain text"))
                continue
            if key in values:
                self.faults.append(Fault(mark, f"the key `{key}` stands here a second time", "keep one of the two"))
            values[key] = self._value(value_node, (*place, key))
            self.marks[(*place, key)] = mark
        return values

    def _scalar(self, node: yaml.Node, place: Place) -> Any:
        try:
            value = _Loader("").construct_object(node)
        except (yaml.YAMLError, ValueError):
            self.faults.append(Fault(self._mark(node.start_mark), f"not a value of its tag {node.tag}"))
            return None
        return _VARIABLE.sub(lambda match: self._variable(match[1], place), value) if isinstance(value, str) else value

    def _variable(self, name: str, place: Place) -> str:
        if name not in self.environ:
            self.faults.append(
                Fault(self.marks[place], f"the environment variable `{name}` is not set", f"set {name} and try again")
            )
        return self.environ.get(name, "")


class _Loader(yaml.SafeLoader):
    """
    YAML's safe types without dates: `2026-01-01` is text here, as it is in an event.
    """

    yaml_implicit_resolvers = {  # noqa: RUF012 - an attribute of PyYAML's, which reads it only
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
