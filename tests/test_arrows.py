"""
Which part may know which: held for every source file.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from importlib.util import resolve_name
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "src" / "metriclake"
FILES = sorted(ROOT.rglob("*.py"))
STAGES = frozenset(
    {
        "gateway",
        "journal",
        "rules",
        "stream",
        "destinations",
        "store",
        "query",
        "charts",
        "admin",
        "deploy_aws",
        "testing",
    }
)
ARROWS = frozenset({("stream", "rules"), ("destinations", "store"), ("query", "store")})
WIRING = frozenset({"__main__", "app", "plans", "serve", "cli"})
DRAWERS = frozenset({"utils", "util", "common", "helpers", "helper", "core", "base", "manager", "misc"})


def module_of(file: Path) -> str:
    """
    Return the dotted name of a source file, below the package.
    """
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(file: Path) -> Iterator[str]:
    """
    Yield the dotted names of all that a source file imports, also inside functions; relative ones made absolute.
    """
    package = ".".join(("metriclake", *file.relative_to(ROOT).parts[:-1]))
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = resolve_name("." * node.level + (node.module or ""), package) if node.level else node.module or ""
            yield from (f"{base}.{alias.name}" for alias in node.names)


def inner_imports(file: Path) -> Iterator[str]:
    """
    Yield what a source file imports of this package, without the package's name.
    """
    yield from (name.partition(".")[2] for name in imports(file) if name.split(".")[0] == "metriclake")


def is_inside(name: str) -> bool:
    """
    Tell whether the first part of a name below the package is a module or a package of it.
    """
    first = name.partition(".")[0]
    return (ROOT / f"{first}.py").exists() or (ROOT / first).is_dir()


@pytest.mark.parametrize("file", FILES, ids=module_of)
def test_stage_knows_no_other_stage(file: Path) -> None:
    """
    A stage imports no other stage, but along the three arrows; only the wiring imports them freely.
    """
    own = module_of(file).partition(".")[0]
    stages = {name.partition(".")[0] for name in inner_imports(file)} & STAGES - {own}

    assert own in WIRING or {stage for stage in stages if (own, stage) not in ARROWS} == set()


@pytest.mark.parametrize("file", FILES, ids=module_of)
def test_nothing_inside_knows_the_wiring(file: Path) -> None:
    """
    What is wired does not know the wiring.
    """
    own = module_of(file).partition(".")[0]
    known = {name.partition(".")[0] for name in inner_imports(file)} & WIRING

    assert own in WIRING or known == set()


@pytest.mark.parametrize("file", FILES, ids=module_of)
def test_nothing_inside_imports_the_package_root(file: Path) -> None:
    """
    Inside, modules are imported where they are: the façade is for users.
    """
    assert [name for name in inner_imports(file) if not is_inside(name)] == []


def test_no_module_is_a_drawer() -> None:
    """
    Every module is named after what it is.
    """
    assert [str(file.relative_to(ROOT)) for file in FILES if DRAWERS & set(module_of(file).split("."))] == []


def test_modules_import_without_cycles() -> None:
    """
    No module is imported, however indirectly, by what it imports.
    """
    graph = {module_of(file): set(_targets(file)) - {module_of(file)} for file in FILES}
    done: set[str] = set()
    while leaves := {name for name in graph if name not in done and graph[name] <= done}:
        done |= leaves

    assert set(graph) - done == set()


def _targets(file: Path) -> Iterator[str]:
    """
    Yield the modules that a file imports: the longest part of each name that is one.
    """
    modules = {module_of(other) for other in FILES}
    for name in inner_imports(file):
        parts = name.split(".")
        found = (".".join(parts[:end]) for end in range(len(parts), 0, -1))
        yield from [next((part for part in found if part in modules), "")][:1]


@pytest.mark.parametrize("file", FILES, ids=module_of)
def test_environment_is_read_in_one_place(file: Path) -> None:
    """
    The process's environment is read in `_config` and nowhere else.
    """
    tree = ast.parse(file.read_text("utf-8"))
    reads = {"environ", "environb", "getenv"}
    found = [
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os"
        if node.attr in reads
    ]
    named = [name for name in imports(file) if name in {f"os.{read}" for read in reads}]

    assert module_of(file) == "_config" or found + named == []


@pytest.mark.parametrize("file", FILES, ids=module_of)
def test_sql_stands_in_store_and_journal(file: Path) -> None:
    """
    Statements are text of the store and of the journal alone.
    """
    texts = [
        node.value
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    found = [text for text in texts if "SELECT " in text or "INSERT INTO" in text]

    assert module_of(file).partition(".")[0] in {"store", "journal"} or found == []


def test_each_test_module_has_a_name_of_its_own() -> None:
    """
    Pytest takes two test modules of one name for one and the same, and collects the first of them alone.
    """
    names = Counter(file.name for file in Path(__file__).parent.rglob("test_*.py"))

    assert [name for name, number in names.items() if number > 1] == []
