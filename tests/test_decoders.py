"""
Whatever is decoded into a type of ours is decoded by a decoder that stands in its module.

msgspec looks at such a type when it first meets it, and two threads that do so at once crash the process: a decoder
that is made with its module has looked before there is a second thread.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import metriclake

_SOURCE = Path(metriclake.__file__).parent
_KINDS = "Any bool bytes datetime dict float int list msgspec object Raw str tuple"
_LEAVES = "_Moment kind"
"""A time with its zone, and a leaf of the pipeline file: plain as well."""
_PLAIN = frozenset(f"{_KINDS} {_LEAVES}".split())


def _lazy(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """
    Yield the lines that decode into a type that msgspec has to look at, each with that type.
    """
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        if ast.unparse(call.func).endswith((".decode", "msgspec.convert")):
            kinds = [keyword.value for keyword in call.keywords if keyword.arg == "type"]
            if ast.unparse(call.func) == "msgspec.convert":
                kinds += call.args[1:2]
            for kind in kinds:
                names = {node.id for node in ast.walk(kind) if isinstance(node, ast.Name)}
                if names - _PLAIN:
                    yield call.lineno, ast.unparse(kind)


def test_types_are_looked_at_before_there_are_threads() -> None:
    """
    No function has msgspec look at a type of ours when it is called.
    """
    found = [
        f"{path.relative_to(_SOURCE)}:{line}: {kind}"
        for path in sorted(_SOURCE.rglob("*.py"))
        for line, kind in _lazy(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert found == []


def test_it_finds_what_it_looks_for() -> None:
    """
    A type of ours in a decoding call is found, a plain one is not.
    """
    text = (
        "msgspec.json.decode(b, type=list[Ours])\nmsgspec.json.decode(b, type=dict[str, Any])\nmsgspec.convert(b, Ours)"
    )
    assert list(_lazy(ast.parse(text))) == [(1, "list[Ours]"), (3, "Ours")]
