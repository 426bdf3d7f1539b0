"""
Runs what the components decide without a browser under Node.js, where there is one.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from charts.web import WEB, bundle

HERE = Path(__file__).parent
CASES: list[dict[str, Any]] = json.loads((HERE / "cases.json").read_text("utf-8"))


@pytest.fixture(name="results", scope="module")
def results_fixture(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """
    Return the value of each case's expression, all evaluated by one process.
    """
    module = bundle(WEB / "src" / "pure.ts", tmp_path_factory.mktemp("web") / "pure.mjs", "--loader:.css=text")
    answer = subprocess.run(  # noqa: S603 - this repository's own modules
        [str(shutil.which("node")), "--input-type=module", "--eval", _script(module)],
        check=True,
        capture_output=True,
        env=os.environ | {"TZ": "America/New_York"},
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


def _script(module: Path) -> str:
    """
    Return a module that imports the pure modules and prints every expression's value as JSON.
    """
    names = "format, question, save, scale, series, model, Zone"
    values = ",\n".join(f"({case['of']})" for case in CASES)
    prelude = (HERE / "prelude.js").read_text("utf-8")

    return (
        f"import {{ {names} }} from {json.dumps(module.as_uri())};\n{prelude}\nconsole.log(JSON.stringify([{values}]));"
    )
