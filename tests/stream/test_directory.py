"""
The file that knows the tenants.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from metriclake._errors import MetriclakeError
from metriclake.stream.directory import FileDirectory, NoDirectory, read_tenants


def written(tmp_path: Path, text: str) -> Path:
    """
    Write a tenants file, with another time of change than any before.
    """
    path = tmp_path / "tenants.yaml"
    before = path.stat().st_mtime_ns if path.exists() else 0
    path.write_text(text, encoding="utf-8")
    os.utime(path, ns=(before + 10**9, before + 10**9))
    return path


def test_no_directory_knows_everyone() -> None:
    """
    Without an external system every tenant is known and has no attributes.
    """
    assert NoDirectory().resolve(["acme", "globex"]) == {"acme": {}, "globex": {}}


@pytest.mark.parametrize(
    "text",
    [
        "acme: {name: Acme, environment: prod, seats: 5, trial: true, note: null}\nempty:\n",
        '{"acme": {"name": "Acme", "environment": "prod", "seats": 5, "trial": true, "note": null}, "empty": null}',
    ],
)
def test_file_maps_tenants_to_attributes(tmp_path: Path, text: str) -> None:
    """
    YAML or JSON: attributes are text, null ones are not there, and an unlisted tenant is not known.
    """
    directory = FileDirectory(written(tmp_path, text))

    assert directory.resolve(["acme", "empty", "other"]) == {
        "acme": {"name": "Acme", "environment": "prod", "seats": "5", "trial": "true"},
        "empty": {},
        "other": None,
    }


def test_integer_tenant_ids_are_read(tmp_path: Path) -> None:
    """
    A tenant id that YAML reads as a number is that number's text.
    """
    assert read_tenants(written(tmp_path, "42: {name: x}")) == {"42": {"name": "x"}}


def test_empty_file_knows_no_one(tmp_path: Path) -> None:
    """
    An empty file is a directory without tenants.
    """
    assert FileDirectory(written(tmp_path, "")).resolve(["acme"]) == {"acme": None}


def test_change_is_read_while_running(tmp_path: Path) -> None:
    """
    A changed file is in force from the next question on.
    """
    directory = FileDirectory(written(tmp_path, "acme: {name: one}"))
    written(tmp_path, "acme: {name: two}")

    assert directory.resolve(["acme"]) == {"acme": {"name": "two"}}


def test_broken_change_leaves_the_last_reading(tmp_path: Path) -> None:
    """
    A file that breaks or goes away while running leaves the last good reading in force; a repaired one is read.
    """
    path = written(tmp_path, "acme: {name: one}")
    directory = FileDirectory(path)
    written(tmp_path, "acme: [")
    assert directory.resolve(["acme"]) == {"acme": {"name": "one"}}
    path.unlink()
    assert directory.resolve(["acme"]) == {"acme": {"name": "one"}}
    written(tmp_path, "acme: {name: three}\n")
    assert directory.resolve(["acme"]) == {"acme": {"name": "three"}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("acme: [", "not YAML or JSON: line 1"),
        ("acme: {since: 2026-13-45}", "not YAML or JSON"),
        ("- acme", "must map each tenant_id"),
        ("'a/b': {}", "`a/b` is not a tenant id"),
        ("true: {}", "is not a tenant id; quote it"),
        ("acme: text", "attributes of `acme` must be a mapping"),
        ("acme: {nested: {a: 1}}", "unusable attribute `nested`"),
        ("acme: {id: x}", "unusable attribute `id`"),
        ("acme: {'a b': x}", "unusable attribute `a b`"),
    ],
)
def test_faulty_file_is_refused(tmp_path: Path, text: str, said: str) -> None:
    """
    A file that cannot be used is refused at the start, by name and with what is wrong.
    """
    with pytest.raises(MetriclakeError, match=r"tenants\.yaml") as refused:
        FileDirectory(written(tmp_path, text))

    assert said in str(refused.value)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    """
    A file that is not there is refused at the start.
    """
    with pytest.raises(MetriclakeError, match="No such file"):
        FileDirectory(tmp_path / "none.yaml")
