"""
Decide what `Ref`, `Fn::Sub`, `Fn::If` and their like in a template stand for, as far as the template tells.

Parameters have their defaults or the values given; mappings, conditions, joins and substitutions are worked out. What
only a deployment knows (a region, another stack's export, an attribute of a resource) stays `Unknown`, with what to do
about it. Whatever a template refers to, this ends: every value that is looked at counts against one limit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from metriclake.importing.limits import MOST_LEVELS, Budget
from metriclake.importing.node import (
    Mixed,
    Node,
    Number,
    Part,
    Reference,
    Unknown,
    Unresolved,
    joined,
    kind,
    parts_of,
)
from metriclake.importing.template import Template
from metriclake.importing.variables import Variables

_ABSENT = Unknown("stands for no value here")
"""What AWS::NoValue gives: the property or the element is left out."""

_PSEUDO: Mapping[str, str | Unknown] = {
    "AWS::NoValue": _ABSENT,
    "AWS::Partition": "aws",
    "AWS::URLSuffix": "amazonaws.com",
}
_WORDS = frozenset({"AWS::Region", "AWS::AccountId", "AWS::StackName"})
_PLACE = re.compile(r"\$\{([^}]*)\}")
_DYNAMIC = re.compile(r"\{\{resolve:[^}]*\}\}")
_NAMES = {
    "AWS::Events::EventBus": "Name",
    "AWS::KinesisFirehose::DeliveryStream": "DeliveryStreamName",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::Serverless::Function": "FunctionName",
    "AWS::S3::Bucket": "BucketName",
    "AWS::DynamoDB::Table": "TableName",
}
"""The resources whose reference is their name, and the property that gives it."""


class Resolver:
    """
    What the values of one template stand for. `given` are the parameters' values from the command line.
    """

    def __init__(self, template: Template, given: Mapping[str, str], variables: Variables, budget: Budget) -> None:
        self.template = template
        self.asked: set[str] = set()
        self._given = given
        self._variables = variables
        self._budget = budget
        self._level = 0
        self._decided: dict[str, bool | Unknown] = {}
        self._deciding: set[str] = set()
        self._functions: dict[str, Callable[[Node], Node]] = {
            "Ref": self._ref,
            "Fn::GetAtt": self._get_att,
            "Fn::Sub": self._sub,
            "Fn::Join": self._join,
            "Fn::Select": self._select,
            "Fn::Split": self._split,
            "Fn::FindInMap": self._find_in_map,
            "Fn::If": self._if,
            "Fn::ImportValue": self._import_value,
            "Fn::ToJsonString": self._to_json,
        }

    def resolve(self, node: Node) -> Node:
        """
        Return a value with every function in it worked out as far as it can be.
        """
        self._budget.take()
        self._level += 1
        try:
            if self._level > MOST_LEVELS:
                return Node(Unknown(f"goes through more than {MOST_LEVELS} levels of values"), node.line)
            return self._resolve(self._variables.expand(node))
        finally:
            self._level -= 1

    def _resolve(self, node: Node) -> Node:
        value = node.value
        if isinstance(value, list):
            resolved = [self.resolve(element) for element in value]
            return Node([element for element in resolved if element.value is not _ABSENT], node.line)
        if not isinstance(value, dict):
            return node
        if len(value) == 1:
            ((name, argument),) = value.items()
            if name in self._functions:
                return Node(self._functions[name](argument).value, node.line)
            if name.startswith("Fn::"):
                return Node(Unknown(f"{name} is not worked out here"), node.line)
        entries = {key: self.resolve(below) for key, below in value.items()}
        return Node({key: below for key, below in entries.items() if below.value is not _ABSENT}, node.line)

    def text(self, node: Node) -> str:
        """
        Return the text of a value that is resolved.

        Raises:
            Unresolved: A part of it is not known, or it is no text.

        """
        return "".join(self._told(part, node.line) for part in parts_of(node))

    def plain(self, node: Node) -> Any:
        """
        Return a value that is resolved as plain data, numbers as `Number`.

        Raises:
            Unresolved: A part of it is not known.

        """
        value = node.value
        if isinstance(value, dict):
            return {key: self.plain(below) for key, below in value.items()}
        if isinstance(value, list):
            return [self.plain(element) for element in value]
        if isinstance(value, str | Reference | Mixed | Unknown):
            return self.text(node)
        return value

    def condition(self, name: str) -> bool | Unknown:
        """
        Tell whether a condition of the template holds.
        """
        if name in self._decided:
            return self._decided[name]
        if name not in self.template.conditions:
            return Unknown(f"the condition {name} is not in the template")
        if name in self._deciding:
            return Unknown(f"the condition {name} leads back to itself")
        self._deciding.add(name)
        try:
            verdict = self._holds(self.template.conditions[name])
        finally:
            self._deciding.discard(name)
        if isinstance(verdict, Unknown):
            verdict = Unknown(f"the condition {name} cannot be decided: {verdict.reason}")
        self._decided[name] = verdict
        return verdict

    def partly(self, node: Node) -> tuple[Part, ...]:
        """
        Return the parts of a resolved value's text, resources' names filled in where they are known.
        """
        return tuple(self._named(part) for part in parts_of(node))

    def _told(self, part: Part, line: int) -> str:
        named = self._named(part)
        if isinstance(named, Reference):
            raise Unresolved(
                line, f"{named.resource}.{named.attribute} is known only when {named.resource} is deployed"
            )
        if isinstance(named, Unknown):
            raise Unresolved(line, named.reason)
        dynamic = _DYNAMIC.search(named)
        if dynamic is not None:
            raise Unresolved(line, "a {{resolve:…}} is filled when it is deployed")
        return named

    def _named(self, part: Part) -> Part:
        """
        Return the name of a resource that its template names.
        """
        if not isinstance(part, Reference):
            return part
        type_ = self.template.type_of(part.resource)
        is_name = part.attribute == "Ref" or (type_, part.attribute) == ("AWS::Events::EventBus", "Name")
        node = self.template.properties(part.resource).get(_NAMES.get(type_, "")) if is_name else None
        if node is None:
            return part
        resolved = self.resolve(node)
        known = joined(parts_of(resolved))
        return known if isinstance(known, str) else _why(resolved, "a name is text")

    def _ref(self, argument: Node) -> Node:
        name = argument.value
        if not isinstance(name, str):
            return Node(Unknown("Ref names something by its text"), argument.line)
        self.asked.add(name)
        if name in self._given:
            return self._parameter(name, Node(self._given[name], argument.line))
        if name in self.template.parameters:
            return self._default(name, argument.line)
        return Node(_PSEUDO.get(name) or self._referred(name), argument.line)

    def _referred(self, name: str) -> Reference | Unknown:
        resource, _, attribute = name.partition(".")
        if resource in self.template.resources:
            return Reference(resource, attribute or "Ref")
        if name.startswith("AWS::"):
            return Unknown(f"{name} is known on deployment: give --parameter {name}=VALUE", name in _WORDS)
        return Unknown(f"{name} is neither a parameter nor a resource of the template")

    def _default(self, name: str, line: int) -> Node:
        declared = self.template.parameters[name]
        default, type_ = declared.get("Default"), declared.get("Type")
        if type_ is not None and isinstance(type_.value, str) and type_.value.startswith("AWS::SSM::"):
            what = "is looked up in the parameter store"
        elif default is not None:
            return self._parameter(name, default)
        else:
            what = "has no default"
        return Node(Unknown(f"the parameter {name} {what}: give --parameter {name}=VALUE"), line)

    def _parameter(self, name: str, node: Node) -> Node:
        """
        Return a parameter's value: text, whatever its type, but for lists.
        """
        type_ = self.template.parameters[name].get("Type") if name in self.template.parameters else None
        text = joined(parts_of(node))
        listed = type_ is not None and isinstance(type_.value, str) and "List" in type_.value
        if not listed or not isinstance(text, str):
            return Node(text, node.line)
        return Node([Node(part.strip(), node.line) for part in text.split(",")], node.line)

    def _get_att(self, argument: Node) -> Node:
        if isinstance(argument.value, str):
            resource, _, attribute = argument.value.partition(".")
        else:
            names = [self.resolve(element).value for element in argument.elements()]
            resource, *rest = [name for name in names if isinstance(name, str)] or [""]
            attribute = ".".join(rest)
        if resource not in self.template.resources or not attribute:
            what = f"{resource} is not a resource of the template" if resource else "Fn::GetAtt names no resource"
            return Node(Unknown(what), argument.line)
        return Node(Reference(resource, attribute), argument.line)

    def _sub(self, argument: Node) -> Node:
        own: dict[str, Node] = {}
        whole = argument
        if isinstance(argument.value, list) and len(argument.value) == 2:
            whole = argument.value[0]
            own = {key: self.resolve(node) for key, node in argument.value[1].items()}
        whole = self._variables.expand(whole)
        if not isinstance(whole.value, str):
            return Node(_why(whole, "Fn::Sub takes a text, or a text and a mapping"), argument.line)
        parts: list[Part] = []
        for index, piece in enumerate(_PLACE.split(whole.value)):
            if index % 2 == 0:
                parts.append(piece)
            elif piece.startswith("!"):
                parts.append(f"${{{piece[1:]}}}")
            else:
                name = piece.strip()
                parts += parts_of(own[name] if name in own else self._ref(Node(name, argument.line)))
        return Node(joined(parts), argument.line)

    def _join(self, argument: Node) -> Node:
        resolved = [self.resolve(element) for element in argument.elements()]
        if len(resolved) != 2 or not isinstance(resolved[0].value, str):
            return Node(Unknown("Fn::Join takes a delimiter and a list"), argument.line)
        delimiter, listed = resolved[0].value, resolved[1]
        if not isinstance(listed.value, list):
            return Node(_why(listed, "Fn::Join takes a delimiter and a list"), argument.line)
        parts: list[Part] = []
        for index, element in enumerate(listed.value):
            parts += [delimiter, *parts_of(element)] if index else parts_of(element)
        return Node(joined(parts), argument.line)

    def _select(self, argument: Node) -> Node:
        resolved = [self.resolve(element) for element in argument.elements()]
        if len(resolved) != 2 or not isinstance(resolved[1].value, list):
            return Node(
                _why(resolved[-1] if resolved else argument, "Fn::Select takes an index and a list"), argument.line
            )
        index = joined(parts_of(resolved[0]))
        if not isinstance(index, str) or not index.isdecimal() or int(index) >= len(resolved[1].value):
            return Node(Unknown("Fn::Select: the list has no such element"), argument.line)
        return resolved[1].value[int(index)]

    def _split(self, argument: Node) -> Node:
        resolved = [self.resolve(element) for element in argument.elements()]
        if len(resolved) != 2 or not isinstance(resolved[0].value, str) or not resolved[0].value:
            return Node(Unknown("Fn::Split takes a delimiter and a text"), argument.line)
        delimiter = resolved[0].value
        pieces: list[list[Part]] = [[]]
        for part in parts_of(resolved[1]):
            if isinstance(part, str):
                first, *rest = part.split(delimiter)
                pieces[-1].append(first)
                pieces += [[piece] for piece in rest]
            elif isinstance(part, Unknown) and part.is_word and delimiter in (":", "/"):
                pieces[-1].append(part)
            else:
                return Node(_why(resolved[1], "Fn::Split takes a text"), argument.line)
        return Node([Node(joined(piece), argument.line) for piece in pieces], argument.line)

    def _find_in_map(self, argument: Node) -> Node:
        elements = list(argument.elements())
        keys = [joined(parts_of(self.resolve(element))) for element in elements[:3]]
        unknown = next((key for key in keys if not isinstance(key, str)), None)
        if len(keys) != 3 or unknown is not None:
            return Node(_why(Node(unknown, argument.line), "Fn::FindInMap takes a map and two keys"), argument.line)
        name, top, second = (str(key) for key in keys)
        mapping = self.template.mappings.get(name)
        found = mapping.get(top, second) if mapping is not None else None
        if found is None and len(elements) == 4:
            found = elements[3].get("DefaultValue")
        if found is None:
            return Node(Unknown(f"Fn::FindInMap: {name} has nothing under {top}, {second}"), argument.line)
        return self.resolve(found)

    def _if(self, argument: Node) -> Node:
        elements = list(argument.elements())
        if len(elements) != 3 or not isinstance(elements[0].value, str):
            return Node(Unknown("Fn::If takes a condition and two values"), argument.line)
        verdict = self.condition(elements[0].value)
        if isinstance(verdict, Unknown):
            return Node(verdict, argument.line)
        return self.resolve(elements[1 if verdict else 2])

    def _import_value(self, argument: Node) -> Node:
        name = joined(parts_of(self.resolve(argument)))
        if not isinstance(name, str):
            return Node(Unknown("comes from another stack, by a name that is not known"), argument.line)
        self.asked.add(name)
        if name in self._given:
            return Node(self._given[name], argument.line)
        return Node(Unknown(f"{name} comes from another stack: give --parameter {name}=VALUE"), argument.line)

    def _to_json(self, argument: Node) -> Node:
        try:
            return Node(as_json(self.plain(self.resolve(argument))), argument.line)
        except Unresolved as unresolved:
            return Node(Unknown(unresolved.reason), argument.line)

    def _holds(self, node: Node) -> bool | Unknown:
        """
        Work out the expression of a condition.
        """
        self._budget.take()
        self._level += 1
        try:
            if self._level > MOST_LEVELS:
                return Unknown(f"it goes through more than {MOST_LEVELS} levels of values")
            return self._works_out(node)
        finally:
            self._level -= 1

    def _works_out(self, node: Node) -> bool | Unknown:
        entries = list(node.items())
        name, argument = entries[0] if len(entries) == 1 else ("", node)
        if name == "Condition" and isinstance(argument.value, str):
            return self.condition(argument.value)
        if name == "Fn::Equals":
            return self._equals(argument)
        verdicts = [self._holds(element) for element in argument.elements()]
        unknown = next((verdict for verdict in verdicts if isinstance(verdict, Unknown)), None)
        if name == "Fn::Not" and len(verdicts) == 1:
            return unknown or not verdicts[0]
        if name in ("Fn::And", "Fn::Or"):
            decisive = name == "Fn::Or"
            return decisive if decisive in verdicts else unknown or not decisive
        return Unknown("it is no function of conditions")

    def _equals(self, argument: Node) -> bool | Unknown:
        texts = [joined(parts_of(self.resolve(element))) for element in argument.elements()]
        unknown = next((text for text in texts if not isinstance(text, str)), None)
        if len(texts) != 2 or unknown is not None:
            return _why(Node(unknown, argument.line), "Fn::Equals takes two values")
        return texts[0] == texts[1]


def as_json(value: Any) -> str:
    """
    Return plain data as JSON, each number in its spelling.
    """
    if isinstance(value, Number):
        return value.text
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{as_json(below)}" for key, below in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(as_json(element) for element in value) + "]"
    return json.dumps(value)


def _why(node: Node, otherwise: str) -> Unknown:
    """
    Return why a value is not what it should be: because it is not known, or because it is something else.
    """
    if isinstance(node.value, Unknown):
        return node.value
    unknown = next((part for part in parts_of(node) if isinstance(part, Unknown)), None)
    return (
        unknown if isinstance(node.value, Mixed) and unknown is not None else Unknown(f"{otherwise}, not {kind(node)}")
    )
