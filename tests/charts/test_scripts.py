"""
Runs the pure modules of the page under Node.js, where there is one: scales, notation, questions, series.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import pytest

NODE = shutil.which("node")
CASES: list[dict[str, Any]] = json.loads(Path(__file__).with_name("cases.json").read_text("utf-8"))

pytestmark = pytest.mark.skipif(NODE is None, reason="Node.js is not installed")


@pytest.fixture(name="results", scope="module")
def results_fixture() -> list[Any]:
    """
    Return the value of each case's expression, all evaluated by one process.
    """
    with as_file(files("metriclake.charts").joinpath("static")) as static:
        answer = subprocess.run(  # noqa: S603 - this repository's own modules
            [str(NODE), "--input-type=module", "--eval", _script(static)],
            check=True,
            capture_output=True,
            env=os.environ | {"TZ": "Europe/Berlin"},
            timeout=60,
        )

    values: list[Any] = json.loads(answer.stdout)
    return values


@pytest.mark.parametrize("index", range(len(CASES)), ids=[case["is"] for case in CASES])
def test_the_pure_modules(results: list[Any], index: int) -> None:
    """
    Each expression of the truth table has its value.
    """
    assert results[index] == CASES[index]["value"]


def _script(static: Path) -> str:
    """
    Return a module that imports the pure modules and prints every expression's value as JSON.
    """
    names = ("api", "format", "question", "scale", "series")
    imports = "\n".join(f"import * as {name} from {json.dumps((static / f'{name}.js').as_uri())};" for name in names)
    values = ",\n".join(f"({case['of']})" for case in CASES)

    space = r"const space = (text) => text.replace(/[\u00a0\u202f\u2009]/g, ' ');"

    return f"{imports}\n{space}\nconsole.log(JSON.stringify([{values}]));"
