"""
What is committed of the web components is what their sources make, and the sources have no type errors.
"""

from __future__ import annotations

import gzip
import shutil
import subprocess
from pathlib import Path

from charts.web import BUILT, WEB, tools

MOST_BYTES = 50_000
"""What a page with line and bar charts may weigh, compressed; scripts, styles and the page together."""


def test_the_committed_build_is_that_of_its_sources(tmp_path: Path) -> None:
    """
    Building again makes the same files, byte by byte: whoever changes a source runs `make web`.
    """
    tools()
    command = [str(shutil.which("node")), "build.mjs", str(tmp_path)]
    subprocess.run(command, cwd=WEB, check=True, capture_output=True, timeout=60)  # noqa: S603 - our own build

    built = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    committed = {path.name: path.read_bytes() for path in BUILT.iterdir() if path.is_file()}
    assert [name for name in built.keys() | committed.keys() if built.get(name) != committed.get(name)] == []


def test_the_sources_have_no_type_errors() -> None:
    """
    The TypeScript compiler, at its strictest, finds nothing.
    """
    run = subprocess.run(  # noqa: S603 - our own tools
        [str(tools() / "tsc"), "--noEmit"], cwd=WEB, check=False, capture_output=True, text=True, timeout=120
    )

    assert (run.returncode, run.stdout) == (0, "")


def test_a_page_is_light() -> None:
    """
    All that a browser loads for a dashboard, compressed as it is served, stays within the budget.
    """
    weights = {path.name: len(gzip.compress(path.read_bytes(), 9)) for path in BUILT.iterdir() if path.is_file()}

    assert sum(weights.values()) <= MOST_BYTES, weights
