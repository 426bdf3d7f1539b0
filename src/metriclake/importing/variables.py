"""
Decide what `${self:custom.bus}`, `${opt:stage, 'dev'}` and their like in a serverless.yml stand for.

What the file itself says is taken from it, and so is a fallback. What comes from outside (options, the environment,
other files, other stacks) is not looked up: `--parameter opt:stage=prod` gives it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from metriclake.importing.limits import MOST_CHARACTERS
from metriclake.importing.node import Node, Part, Unknown, joined, parts_of
from metriclake.importing.yaml_reading import plain_scalar

_INNERMOST = re.compile(r"\$\{([^${}]*)\}")
_SOURCE = re.compile(r"([a-z][A-Za-z0-9]*)(?:\([^)]*\)(?::.*)?|:(.*))", re.DOTALL)
_CANDIDATE = re.compile(r"""(?:[^,'"]|'[^']*'|"[^"]*"|['"])+""")
_QUOTED = re.compile(r"""'([^']*)'|"([^"]*)\"""")
_HOLE = re.compile(r"\x00h(\d+);")
_LITERAL = "\x00{"
"""Stands for a `${` that is none of these variables; no text of a template has a NUL."""

_FALLING_THROUGH = frozenset({"self", "opt", "env", "param", "sls", "aws"})
"""The sources of which the next candidate is taken where they have no value."""

_MOST_HOLES = 100
_MOST_STEPS = 30


class Variables:
    """
    The variables of one file.

    `given` are the values from the command line, by name; `count` is called once for each expansion, and ends those
    that never would. Of a file of another kind (not `active`) every text is left as it is.
    """

    def __init__(self, root: Node, given: Mapping[str, str], count: Callable[[], None], *, active: bool) -> None:
        self._root = root
        self._is_on = active
        self._given = given
        self._count = count
        self._known: dict[str, Node | None] = {}
        self._active: set[str] = set()
        self.asked: set[str] = set()

    def expand(self, node: Node) -> Node:
        """
        Return a node with the variables of its own text filled; what lies below it is left alone.
        """
        if not self._is_on or not isinstance(node.value, str) or "${" not in node.value:
            return node
        self._count()
        if len(node.value) > MOST_CHARACTERS:
            return Node(Unknown(f"has variables, and is longer than {MOST_CHARACTERS:,} characters"), node.line)
        holes: list[Part] = []
        text = node.value
        while (match := _INNERMOST.search(text)) is not None:
            filled = self._fill(match[1], node.line, holes)
            if filled is None:
                text = f"{text[: match.start()]}{_LITERAL}{match[1]}}}{text[match.end() :]}"
                continue
            if match[0] == node.value:
                return Node(filled.value, node.line)
            holes.extend(parts := parts_of(filled))
            first = len(holes) - len(parts)
            marks = "".join(f"\x00h{first + index};" for index in range(len(parts)))
            text = text[: match.start()] + marks + text[match.end() :]
            if len(holes) > _MOST_HOLES:
                return Node(Unknown(f"has more than {_MOST_HOLES} variables"), node.line)
        return Node(joined(_parts(text, holes)), node.line)

    def _fill(self, body: str, line: int, holes: list[Part]) -> Node | None:
        """
        Return what a variable stands for; None for what is no variable of the Serverless Framework.
        """
        inner = [holes[int(match[1])] for match in _HOLE.finditer(body)]
        unknown = next((part for part in inner if not isinstance(part, str)), None)
        if unknown is not None:
            reason = unknown.reason if isinstance(unknown, Unknown) else "is known only on deployment"
            return Node(Unknown(reason), line)
        body = _HOLE.sub(lambda match: str(holes[int(match[1])]), body)
        candidates = [found.strip() for found in _CANDIDATE.findall(body)]
        if not candidates or _SOURCE.fullmatch(candidates[0]) is None:
            return None
        return self._first(candidates, line)

    def _first(self, candidates: list[str], line: int) -> Node:
        for candidate in candidates:
            found = self._candidate(candidate, line)
            if found is not None:
                return found
        name = candidates[0]
        return Node(Unknown(f"${{{name}}} has no value: give --parameter {name}=VALUE"), line)

    def _candidate(self, text: str, line: int) -> Node | None:
        quoted = _QUOTED.fullmatch(text)
        if quoted is not None:
            return Node(quoted[1] or quoted[2] or "", line)
        source = _SOURCE.fullmatch(text)
        if source is None:
            return Node(plain_scalar(text), line)
        self.asked.add(text)
        if text in self._given:
            return Node(self._given[text], line)
        if source[1] not in _FALLING_THROUGH:
            return Node(Unknown(_elsewhere(source[1], text)), line)
        return self._own(source[1], (source[2] or "").strip())

    def _own(self, source: str, address: str) -> Node | None:
        name = f"{source}:{address}"
        if name in self._known:
            return self._known[name]
        if name in self._active or len(self._active) > _MOST_STEPS:
            return Node(Unknown(f"${{{name}}} leads back to itself, or through more than {_MOST_STEPS} others"), 1)
        self._active.add(name)
        try:
            found = self._look_up(source, address)
            self._known[name] = found
        finally:
            self._active.discard(name)
        return found

    def _look_up(self, source: str, address: str) -> Node | None:
        if source == "self":
            return self._at(address.split(".")) or self._default(address)
        if source == "param":
            stage = parts_of(self._stage())
            return self._at(["params", str(stage[0]), address]) or self._at(["params", "default", address])
        if (source, address) == ("sls", "stage"):
            return self._stage()
        if (source, address) == ("aws", "region"):
            return self._region()
        return None

    def _default(self, address: str) -> Node | None:
        """
        Return what the framework itself fills in.
        """
        if address == "provider.stage":
            return self._stage()
        return self._region() if address == "provider.region" else None

    def _stage(self) -> Node:
        return self._option("opt:stage", ["provider", "stage"], "dev")

    def _region(self) -> Node:
        return self._option("opt:region", ["provider", "region"], "us-east-1")

    def _option(self, name: str, keys: list[str], default: str) -> Node:
        self.asked.add(name)
        if name in self._given:
            return Node(self._given[name], 1)
        return self._at(keys) or Node(default, 1)

    def _at(self, keys: list[str]) -> Node | None:
        """
        Return what lies at a path of the file, the variables on the way and at its end filled.
        """
        node: Node | None = self._root
        for key in keys:
            node = _step(node, key)
            if node is None:
                return None
            node = self.expand(node)
            if isinstance(node.value, Unknown):
                return node
        return node


def _elsewhere(source: str, text: str) -> str:
    """
    Return why a variable that comes from outside has no value.
    """
    if source == "file":
        return f"${{{text}}} is another file, which is not read: put what it holds into this one"
    return f"${{{text}}} is not looked up: give --parameter {text}=VALUE"


def _step(node: Node | None, key: str) -> Node | None:
    if node is None:
        return None
    if isinstance(node.value, list):
        return node.value[int(key)] if key.isdecimal() and int(key) < len(node.value) else None
    return node.get(key)


def _parts(text: str, holes: list[Part]) -> list[Part]:
    pieces = _HOLE.split(text.replace(_LITERAL, "${"))
    return [holes[int(piece)] if index % 2 else piece for index, piece in enumerate(pieces) if piece]
