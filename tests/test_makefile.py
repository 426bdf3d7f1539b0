"""
Which Python the verbs use: the one that is named, else the one that `.venv` has.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

_MAKE = shutil.which("make")
pytestmark = pytest.mark.skipif(_MAKE is None, reason="make is not installed")

_PYTHON = """#!/bin/sh
echo {version}
"""
_UV = """#!/bin/sh
echo "uv $1 $2" >> "$(dirname "$0")/log"
if [ "$1" = venv ]; then mkdir -p .venv/bin && cp "$(command -v "$4")" .venv/bin/python; fi
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """
    Return a project's folder with this project's Makefile, and beside it stand-ins for two Pythons and uv.
    """
    tools, project = tmp_path / "tools", tmp_path / "project"
    tools.mkdir()
    project.mkdir()
    (tools / "log").touch()
    for name, text in (
        ("python3.77", _PYTHON.format(version="3.77.1")),
        ("python3.88", _PYTHON.format(version="3.88.0")),
        ("python3.0", _PYTHON.format(version="")),
        ("uv", _UV),
    ):
        (tools / name).write_text(text, encoding="utf-8")
        (tools / name).chmod(0o700)
    shutil.copy(Path(__file__).parents[1] / "Makefile", project)
    for name in ("pyproject.toml", "constraints.txt"):
        (project / name).touch()
    return project


def make(folder: Path, *arguments: str) -> tuple[int, str, list[str]]:
    """
    Return a run's exit code, what it said, and what uv was asked to do.
    """
    tools = folder.parent / "tools"
    environ = {name: value for name, value in os.environ.items() if name not in ("PYTHON", "MAKEFLAGS")}
    environ["PATH"] = f"{tools}:{environ['PATH']}"
    command = [str(_MAKE), ".venv/.embedded", *arguments]
    run = subprocess.run(command, cwd=folder, env=environ, check=False, capture_output=True, text=True)  # noqa: S603 - this project's Makefile
    asked = (tools / "log").read_text(encoding="utf-8").splitlines()
    (tools / "log").write_text("", encoding="utf-8")
    return run.returncode, run.stdout + run.stderr, asked


def test_another_python_makes_the_venv_anew(folder: Path) -> None:
    """
    Another Python that is named gets a new .venv with everything in it; the same one, or none, keeps what is there.
    """
    built = ["uv venv --quiet", "uv pip install"]

    assert make(folder, "PYTHON=python3.77")[2] == built
    assert make(folder)[2] == []
    assert make(folder, "PYTHON=python3.77")[2] == []
    code, said, asked = make(folder, "PYTHON=python3.88")
    assert (code, asked) == (0, built)
    assert "making .venv for Python 3.88.0" in said
    assert make(folder)[2] == []


@pytest.mark.parametrize("name", ["python3.0", "python-that-is-not-there"])
def test_what_is_no_python_is_refused(folder: Path, name: str) -> None:
    """
    A Python that is too old, or that is not there, is named in the error; the .venv that is there stays.
    """
    make(folder, "PYTHON=python3.77")
    code, said, asked = make(folder, f"PYTHON={name}")

    assert (code, asked) == (2, [])
    assert f"Python 3.11 or newer, {name} is none" in said
    assert (folder / ".venv" / "bin" / "python").exists()
