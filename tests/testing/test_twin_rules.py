"""
Each rule of a twin stands in docs/testing.md, with its source and the tests that show it.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from metriclake import testing
from metriclake.testing import Rule, Twin

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "testing.md"
TWINS = [value for value in vars(testing).values() if isinstance(value, type) and issubclass(value, Twin)]
RULES = [rule for twin in TWINS if twin is not Twin for rule in twin.RULES]


@cache
def shown() -> dict[str, list[str]]:
    """
    Return, by the name of a rule, the tests that are marked with it: by the official library, or by plain HTTP.
    """
    found = defaultdict(list)
    for file in sorted(HERE.glob("test_*.py")):
        by = "SDK" if file.stem.endswith("_sdk") else "HTTP"
        for test, rule in marks(file):
            found[rule].append(f"{by} `{test}`")
    return found


def marks(file: Path) -> Iterator[tuple[str, str]]:
    """
    Yield each test and rule of a file's marks.
    """
    for node in ast.parse(file.read_text("utf-8")).body:
        if not isinstance(node, ast.FunctionDef) or not node.name.startswith("test_"):
            continue
        for mark in node.decorator_list:
            if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.rule":
                yield from ((node.name, ast.literal_eval(argument)) for argument in mark.args)


def row(rule: Rule, tests: list[str]) -> str:
    """
    Return the row of a rule in the table.
    """
    return f"| `{rule.name}` | {rule.fact} | {rule.source or 'undocumented'} | {', '.join(tests)} |"


def test_the_page_has_every_rule() -> None:
    """
    The table has a row for each rule, as the code has it and the tests show it, and no other row.
    """
    tests = shown()
    rows = re.findall(r"^\| `[a-z]+-[a-z-]+` \|.*$", PAGE.read_text("utf-8"), re.MULTILINE)

    assert rows == [row(rule, tests[rule.name]) for rule in RULES]


def test_every_rule_is_shown() -> None:
    """
    Each rule has a test that shows it.
    """
    assert [rule.name for rule in RULES if not shown()[rule.name]] == []


def test_marks_name_rules() -> None:
    """
    A test shows rules that there are, and no name stands for two.
    """
    names = [rule.name for rule in RULES]

    assert set(shown()) == set(names)
    assert len(names) == len(set(names))


def test_every_rule_in_the_code_is_listed() -> None:
    """
    A rule that any module defines is one of its twin's; a name on order is none.
    """
    modules = [vars(import_module(found.name)) for found in iter_modules(testing.__path__, f"{testing.__name__}.")]
    defined = {value for module in modules for value in module.values() if isinstance(value, Rule) and value.name}

    assert defined == set(RULES)


def test_exports() -> None:
    """
    What the package shows is sorted, and there.
    """
    assert list(testing.__all__) == sorted(set(testing.__all__))
    assert all(hasattr(testing, name) for name in testing.__all__)
