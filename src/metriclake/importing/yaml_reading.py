"""
Read YAML as CloudFormation does, or as the Serverless Framework does.

CloudFormation reads YAML 1.1: `NO` and `on` are truth values there, `012` is ten, `1:30` is ninety. The Serverless
Framework reads YAML 1.2, in which they are not. Dates are text in both. The short tags (`!GetAtt a.b`) become the long
forms (`{"Fn::GetAtt": ["a", "b"]}`), so that nothing further on has to know them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

from metriclake.importing.limits import MOST_LEVELS, MOST_VALUES, refusal, shown, unsound
from metriclake.importing.node import Node, Number, Unknown, Value, number_text

_STANDARD = "tag:yaml.org,2002:"
_FUNCTIONS = frozenset({
    "And", "Base64", "Cidr", "Equals", "FindInMap", "GetAtt", "GetAZs", "If", "ImportValue", "Join", "Length", "Not",
    "Or", "Select", "Split", "Sub", "ToJsonString", "Transform",
})  # fmt: skip
_NAMED = frozenset({"Ref", "Condition"})
"""The functions whose long form has no `Fn::`."""

_CORE_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_CORE_BOOL = {word: word.lower() == "true" for word in ("true", "True", "TRUE", "false", "False", "FALSE")}
_CORE_INTEGER = re.compile(r"[-+]?(?:[0-9]+|0b[01]+|0o[0-7]+|0x[0-9a-fA-F]+)")
_CORE_FLOAT = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")

_Loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Only its parser is used: libyaml's where the library was built with it, thirty times as fast."""


def read_yaml(text: str, name: str, *, core: bool) -> Node:
    """
    Return the values of a YAML text: of YAML 1.2 if `core`, else of 1.1; `name` is for messages.

    Raises:
        InvalidTemplate: It is not YAML, or goes beyond the limits.

    """
    return _Yaml(text, name, core=core).read()


class _Yaml:
    """
    YAML from its events on: no object is made of a tag, and every limit is held while reading.
    """

    def __init__(self, text: str, name: str, *, core: bool) -> None:
        self._events: Iterator[yaml.Event] = iter(yaml.parse(text, Loader=_Loader))
        self._name = name
        self._core = core
        self._resolver = _Plain()
        self._constructor = SafeConstructor()
        self._anchors: dict[str, tuple[Node, int]] = {}
        self._values = 0

    def read(self) -> Node:
        try:
            return self._document()
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = None if mark is None else mark.line + 1
            raise refusal(self._name, line, f"not YAML: {error.problem or error.context}") from error
        except yaml.YAMLError as error:
            raise refusal(self._name, None, "not YAML: it holds a character that YAML does not allow") from error

    def _document(self) -> Node:
        root: Node | None = None
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    raise refusal(self._name, _line(event), "holds a second document", "import one at a time")
                root = self._node(next(self._events), 0)
        return Node({}, 1) if root is None else root

    def _node(self, event: yaml.Event, level: int) -> Node:
        line = _line(event)
        if level > MOST_LEVELS:
            raise refusal(self._name, line, f"nested deeper than {MOST_LEVELS} levels")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event.anchor or "", line)
        before = self._values
        self._count(1, line)
        assert isinstance(event, yaml.ScalarEvent | yaml.SequenceStartEvent | yaml.MappingStartEvent)  # noqa: S101
        value: Value
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event, line)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = list(self._sequence(level))
        else:
            value = self._mapping(level)
        node = Node(value, line)
        if not isinstance(event, yaml.ScalarEvent):
            node = self._tagged(event.tag, node)
        if event.anchor is not None:
            self._anchors[event.anchor] = (node, self._values - before)
        return node

    def _alias(self, anchor: str, line: int) -> Node:
        if anchor not in self._anchors:
            raise refusal(self._name, line, f"the alias `{shown(anchor)}` stands for nothing that is complete above it")
        node, size = self._anchors[anchor]
        self._count(size, line)
        return Node(node.value, line)

    def _count(self, values: int, line: int) -> None:
        self._values += values
        if self._values > MOST_VALUES:
            raise refusal(
                self._name, line, f"holds more than {MOST_VALUES:,} values, each alias counted as what it repeats"
            )

    def _sequence(self, level: int) -> Iterator[Node]:
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            yield self._node(event, level + 1)

    def _mapping(self, level: int) -> dict[str, Node]:
        found: dict[str, Node] = {}
        merged: list[Node] = []
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            line = _line(event)
            merges = isinstance(event, yaml.ScalarEvent) and event.value == "<<" and event.implicit[0]
            key = self._key(self._node(event, level + 1), line)
            value = self._node(next(self._events), level + 1)
            if merges:
                merged += value.elements() if isinstance(value.value, list) else [value]
            elif key in found:
                raise refusal(
                    self._name, line, f"the key `{shown(key)}` stands here a second time", "keep one of the two"
                )
            else:
                found[key] = Node(value.value, line)
        for node in merged:
            for key, value in node.items():
                found.setdefault(key, value)
        return found

    def _key(self, node: Node, line: int) -> str:
        value = node.value
        if isinstance(value, str):
            return value
        if isinstance(value, Number):
            return value.text
        if isinstance(value, bool) or value is None:
            return json.dumps(value)
        raise refusal(self._name, line, "a key must be plain text")

    def _scalar(self, event: yaml.ScalarEvent, line: int) -> Value:
        tag, text = event.tag, event.value
        if wrong := unsound(text):
            raise refusal(self._name, line, wrong)
        if tag is not None and tag.startswith("!") and tag != "!":
            return self._tagged(tag, Node(text, line)).value
        if tag in (None, "!") and (not event.implicit[0] or tag == "!"):
            return text
        if tag is not None and not tag.startswith(_STANDARD):
            return Unknown(f"the tag {shown(tag)} is not one of CloudFormation's")
        if tag is None and self._core:
            return plain_scalar(text)
        wanted = tag or self._resolver.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
        return self._typed(str(wanted).removeprefix(_STANDARD), text)

    def _typed(self, wanted: str, text: str) -> Value:
        node = yaml.ScalarNode(_STANDARD + wanted, text)
        try:
            if wanted == "null":
                return None
            if wanted == "bool":
                return bool(self._constructor.construct_yaml_bool(node))
            if wanted == "int":
                return Number(number_text(text) or str(self._constructor.construct_yaml_int(node)))
            if wanted == "float":
                return _float(text, float(self._constructor.construct_yaml_float(node)))
        except (ValueError, KeyError, IndexError):
            return Unknown(f"is not a value of its tag !!{wanted}")
        return text if wanted in ("str", "merge", "value") else Unknown(f"the tag !!{shown(wanted)} cannot be used")

    def _tagged(self, tag: str | None, node: Node) -> Node:
        """
        Return the long form of a function's short one.
        """
        if tag is None or tag == "!" or tag.startswith(_STANDARD):
            return node
        name = tag[1:]
        if name in _NAMED:
            return Node({name: node}, node.line)
        if name not in _FUNCTIONS:
            return Node(Unknown(f"the tag {shown(tag)} is not one of CloudFormation's"), node.line)
        if name == "GetAtt" and isinstance(node.value, str):
            resource, _, attribute = node.value.partition(".")
            node = Node([Node(resource, node.line), Node(attribute, node.line)], node.line)
        return Node({f"Fn::{name}": node}, node.line)


class _Plain(Resolver):
    """
    What YAML 1.1 takes an unquoted text for, dates left out.
    """

    yaml_implicit_resolvers = {  # noqa: RUF012 - typed so by the library
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
        for first, resolvers in Resolver.yaml_implicit_resolvers.items()
    }


def _float(text: str, value: float) -> Value:
    if value != value or value in (float("inf"), float("-inf")):  # noqa: PLR0124 - only NaN is not itself
        return text
    return Number(number_text(text) or repr(value))


def plain_scalar(text: str) -> Value:
    """
    Return what YAML 1.2 takes an unquoted text for.
    """
    if text in _CORE_NULL:
        return None
    if text in _CORE_BOOL:
        return _CORE_BOOL[text]
    if _CORE_INTEGER.fullmatch(text):
        sign, digits = ("-", text[1:]) if text[0] == "-" else ("", text.lstrip("+"))
        base = {"0b": 2, "0o": 8, "0x": 16}.get(digits[:2], 10)
        return Number(number_text(text) or f"{sign}{int(digits if base == 10 else digits[2:], base)}")
    if _CORE_FLOAT.fullmatch(text):
        return _float(text, float(text))
    return text


def _line(event: yaml.Event) -> int:
    return 1 if event.start_mark is None else event.start_mark.line + 1
