"""
The sources of the web components, and Node's tools where they are there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WEB = ROOT / "web"
BUILT = ROOT / "src" / "metriclake" / "charts" / "static"
_NPM_SECONDS = 300


def tools() -> Path:
    """
    Return the folder of Node's tools, installed by the lock file; skips the test where there is no npm.
    """
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip("Node.js and npm are not installed: what is built of web/ is not compared with its sources")
    installed, lock = WEB / "node_modules" / ".package-lock.json", WEB / "package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        run = subprocess.run(  # noqa: S603 - npm, with this repository's own lock file
            [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
            cwd=WEB,
            check=False,
            capture_output=True,
            text=True,
            timeout=_NPM_SECONDS,
        )
        if run.returncode != 0:
            pytest.skip(f"npm could not install the tools of web/, so nothing of it is built: {run.stderr[-300:]}")
    return WEB / "node_modules" / ".bin"


def bundle(entry: Path, out: Path, *options: str, modules: bool = False) -> Path:
    """
    Bundle a script with esbuild; returns where it lies. With `modules` it may import what is installed in web/.
    """
    command = [str(tools() / "esbuild"), str(entry), "--bundle", "--format=esm", f"--outfile={out}", *options]
    environ = {**os.environ, **({"NODE_PATH": str(WEB / "node_modules")} if modules else {})}
    run = subprocess.run(command, cwd=WEB, check=False, capture_output=True, text=True, timeout=60, env=environ)  # noqa: S603 - our own tools
    assert run.returncode == 0, run.stderr
    return out
