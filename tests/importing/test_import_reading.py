"""
What a template's text says: YAML as each of its readers takes it, JSON, lines, and refusals.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from metriclake._errors import InvalidTemplate
from metriclake.importing.json_reading import read_json
from metriclake.importing.limits import MOST_BYTES
from metriclake.importing.node import Node, Number, Unknown
from metriclake.importing.reading import read

CASES = Path(__file__).parents[1] / "cases"


def rows(file: str) -> list[Any]:
    """
    Return the rows of a table as parameters of a test.
    """
    lines = (CASES / file).read_text("utf-8").splitlines()
    return [pytest.param(row, id=row["id"]) for row in map(json.loads, lines)]


def shape(node: Node) -> Any:
    """
    Return a node as JSON: a number as its spelling, what is not known as its reason.
    """
    value = node.value
    if isinstance(value, Number):
        return {"number": value.text}
    if isinstance(value, Unknown):
        return {"unknown": value.reason}
    if isinstance(value, dict):
        return {key: shape(below) for key, below in value.items()}
    return [shape(element) for element in value] if isinstance(value, list) else value


def fault_of(text: str) -> str:
    """
    Return the one fault of a text that is refused.
    """
    with pytest.raises(InvalidTemplate) as refused:
        read(text, "t")
    (fault,) = refused.value.faults
    return str(fault)


@pytest.mark.parametrize("row", rows("import_scalars.jsonl"))
@pytest.mark.parametrize("reader", ["cloudformation", "serverless"])
def test_values(row: dict[str, Any], reader: str) -> None:
    """
    Every row: CloudFormation's reader and the Serverless Framework's make these values of the same YAML.
    """
    head = "service: s\n" if reader == "serverless" else ""

    found = read(f"{head}value: {row['yaml']}\n", "t").get("value")

    assert found is not None
    assert shape(found) == row[reader]


@pytest.mark.parametrize("row", rows("import_refusals.jsonl"))
def test_refusals(row: dict[str, Any]) -> None:
    """
    Every row: a text is read, or refused with its line and what to do.
    """
    if row["fault"] == "ok":
        read(row["text"], "t")
    else:
        assert fault_of(row["text"]).startswith(row["fault"])


@pytest.mark.parametrize(
    "text",
    ["a:\n  b: c\n  d:\n    - e\n    - f: g\n", '{"a":\n  {"b": "c",\n  "d":\n    ["e",\n    {"f": "g"}]}}'],
    ids=["yaml", "json"],
)
def test_each_value_has_the_line_of_its_key(text: str) -> None:
    """
    A value has the line that its key stands on, an element its own.
    """
    root = read(text, "t")
    listed = root.get("a", "d")

    assert listed is not None
    lines = [node.line for node in (root.get("a"), root.get("a", "b"), listed, *listed.elements()) if node is not None]
    assert lines == [1, 2, 3, 4, 5]


def test_json_inside_a_template_has_the_templates_lines() -> None:
    """
    Lines of JSON that stands in a text are counted on from the line of that text.
    """
    node = read_json('{"a":\n "b",\n "c": 1.0}', "t", 10).get("c")

    assert node == Node(Number("1.0"), 12)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: " + "x" * MOST_BYTES, "is larger than 1,048,576 bytes"),
        ("a: " + "[" * 100_000, "nested deeper than 64 levels"),
        ("{" + '"a": {' * 100_000, "nested deeper than 64 levels"),
        ("\n".join(" " * level + "a:" for level in range(500)), "nested deeper than 64 levels"),
        ("a: [" + "x, " * 300_000 + "]", "more than 200,000 values"),
        ('{"a": [' + "1," * 300_000 + "1]}", "more than 200,000 values"),
        (
            "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
            + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)),
            "more than 200,000 values, each alias counted",
        ),
    ],
    ids=["large", "deep-lists", "deep-json", "deep-mappings", "wide", "wide-json", "aliases-of-aliases"],
)
def test_bombs_are_refused_at_once(text: str, said: str) -> None:
    """
    What is too large, too deep, too wide, or grows by its aliases is refused, and costs no time.
    """
    begun = time.perf_counter()

    assert said in fault_of(text)
    assert time.perf_counter() - begun < 5
