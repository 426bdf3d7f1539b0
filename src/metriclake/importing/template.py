"""
The sections of a template that an import looks at, whichever of the three kinds of file it came from.

A serverless.yml is put into the same sections: its `resources`, and each function under the logical id that the
framework gives it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from metriclake.importing.node import Node, Unknown
from metriclake.importing.reading import is_serverless
from metriclake.importing.variables import Variables

LAMBDA = "AWS::Lambda::Function"


@dataclass(frozen=True, slots=True)
class NotCarried:
    """
    What an import could not carry over: of which resource, on which line, what it is, and why.
    """

    resource: str
    line: int
    what: str
    reason: str


@dataclass(frozen=True, slots=True)
class Template:
    """
    A template's sections; `functions` are a serverless.yml's own, by their names.
    """

    name: str
    parameters: Mapping[str, Node]
    mappings: Mapping[str, Node]
    conditions: Mapping[str, Node]
    resources: Mapping[str, Node]
    functions: Mapping[str, Node] = field(default_factory=dict)

    def type_of(self, resource: str) -> str:
        """
        Return a resource's type, nothing for what is none.
        """
        node = self.resources[resource].get("Type") if resource in self.resources else None
        return node.value if node is not None and isinstance(node.value, str) else ""

    def label(self, resource: str) -> str:
        """
        Return what people call a resource: of a serverless.yml's functions, the name that they have there.
        """
        return next((name for name in self.functions if logical_id(name) == resource), resource)

    def properties(self, resource: str) -> Node:
        """
        Return a resource's properties, without any where it has none.
        """
        whole = self.resources[resource]
        return whole.get("Properties") or Node({}, whole.line)


def template_of(root: Node, name: str, variables: Variables, note: Callable[[NotCarried], None]) -> Template:
    """
    Return a file's sections; `note` hears of those that are not in the file.
    """
    if not is_serverless(root):
        sections = {part: dict(_section(root.get(part))) for part in ("Parameters", "Mappings", "Conditions")}
        return Template(
            name,
            sections["Parameters"],
            sections["Mappings"],
            sections["Conditions"],
            dict(_section(root.get("Resources"))),
        )
    found: dict[str, dict[str, Node]] = {part: {} for part in ("Parameters", "Mappings", "Conditions", "Resources")}
    for whole in _pieces(root, "resources", variables, note):
        for part, entries in found.items():
            section = whole.get(part)
            for piece in _filled(part, section, variables, note) if section is not None else ():
                entries.update(piece.items())
    functions = {key: node for whole in _pieces(root, "functions", variables, note) for key, node in whole.items()}
    made = {logical_id(key): Node({"Type": Node(LAMBDA, node.line)}, node.line) for key, node in functions.items()}
    return Template(
        name, found["Parameters"], found["Mappings"], found["Conditions"], {**made, **found["Resources"]}, functions
    )


def _section(node: Node | None) -> Iterator[tuple[str, Node]]:
    return iter(()) if node is None else node.items()


def _pieces(root: Node, part: str, variables: Variables, note: Callable[[NotCarried], None]) -> Iterator[Node]:
    """
    Yield the mappings that a part of a serverless.yml is made of: itself, or the elements of its list.
    """
    whole = root.get(part)
    if whole is None:
        return
    whole = variables.expand(whole)
    for piece in whole.elements() if isinstance(whole.value, list) else [whole]:
        yield from _filled(part, piece, variables, note)


def _filled(part: str, node: Node, variables: Variables, note: Callable[[NotCarried], None]) -> Iterator[Node]:
    filled = variables.expand(node)
    if isinstance(filled.value, Unknown):
        note(NotCarried(part, node.line, part, filled.value.reason))
    else:
        yield filled


def logical_id(function: str) -> str:
    """
    Return the logical id that the Serverless Framework gives a function.
    """
    name = function.replace("-", "Dash").replace("_", "Underscore")
    return f"{name[:1].upper()}{name[1:]}LambdaFunction"
