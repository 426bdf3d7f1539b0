"""
What the package shows is what there is.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import metriclake
from metriclake import _errors

REPOSITORY = Path(__file__).parents[1]
TREE = re.findall(r"[├└]── (\w+)", _errors.__doc__ or "")


def test_exports_are_sorted_and_there() -> None:
    """
    `__all__` is sorted, without repeats, and every name in it can be had.
    """
    assert list(metriclake.__all__) == sorted(set(metriclake.__all__))
    assert all(hasattr(metriclake, name) for name in metriclake.__all__)


def test_exports_are_the_error_tree() -> None:
    """
    The façade shows every error of the tree, and the tree every error that there is.
    """
    defined = {
        name
        for name, value in vars(_errors).items()
        if isinstance(value, type) and issubclass(value, Exception) and not name.startswith("_")
    }

    assert sorted(["MetriclakeError", *TREE]) == metriclake.__all__
    assert sorted(defined) == metriclake.__all__


def test_tree_is_drawn_as_it_is() -> None:
    """
    An error that stands below another in the drawing is a kind of it.
    """
    parent = ""
    for indent, name in re.findall(r"^(│?\s*)[├└]── (\w+)", _errors.__doc__ or "", re.MULTILINE):
        parent = parent if indent.strip() else name
        expected = getattr(_errors, parent) if indent.strip() else _errors.MetriclakeError
        assert issubclass(getattr(_errors, name), expected)


def test_every_error_says_what_it_is() -> None:
    """
    Each error has a sentence of its own.
    """
    sentences = [(getattr(_errors, name).__doc__ or "").strip() for name in metriclake.__all__]

    assert all(sentences)
    assert len(set(sentences)) == len(sentences)


def test_version_is_the_packages() -> None:
    """
    The version here is the one in `pyproject.toml`.
    """
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]

    assert metriclake.__version__ == project["version"]


def test_version_is_the_changelogs() -> None:
    """
    The changelog's newest heading is this version.
    """
    changelog = REPOSITORY / "CHANGELOG.md"
    if not changelog.exists():
        pytest.skip("there is no changelog yet")
    headings = re.findall(r"^## \[?v?(\d[^\s\]]*)", changelog.read_text("utf-8"), re.MULTILINE)

    assert headings[0] == metriclake.__version__
