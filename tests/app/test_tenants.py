"""
The tenants' directory as the pipeline file names it: each source made, each fault told with its place and no secret.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from metriclake._errors import InvalidPipeline
from metriclake.app import configure
from metriclake.pipeline import parse
from stream.crm import Crm

SECRET = "hunter2-hunter2"
STATEMENT = "SELECT id AS tenant_id, name FROM customers WHERE id IN :tenant_ids"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """
    Return a folder with a database and a module that know the tenant acme.
    """
    with sqlite3.connect(tmp_path / "crm.db") as connection:
        connection.execute("CREATE TABLE customers (id TEXT, name TEXT)")
        connection.execute("INSERT INTO customers VALUES ('acme', 'Acme')")
    connection.close()
    (tmp_path / "crm_beside_the_file.py").write_text("def find(ids): return {'acme': {'name': 'Acme'}}\n")
    (tmp_path / "tenants.yaml").write_text("acme: {name: Acme}\n")
    yield tmp_path
    sys.modules.pop("crm_beside_the_file", None)
    sys.path[:] = [one for one in sys.path if one != str(tmp_path)]


def written(folder: Path, tenants: str) -> Path:
    """
    Write a pipeline file of tenants alone.
    """
    path = folder / "metriclake.yaml"
    path.write_text(f"tenants: {tenants}\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("tenants", "kind"),
    [
        ("{file: tenants.yaml}", "file"),
        ("{http: '${CRM}/tenants/{tenant_id}'}", "http"),
        (
            "{http: {url: '${CRM}/tenants/{tenant_id}', batch: '${CRM}/tenants?ids={tenant_ids}', headers: {A: b}}}",
            "http",
        ),
        (
            "{sql: {url: 'sqlite:///${FOLDER}/crm.db', statement: '${STATEMENT}'}}",
            "sql",
        ),
        ("{python: 'crm_beside_the_file:find'}", "python"),
    ],
)
def test_each_source_is_asked(folder: Path, tenants: str, kind: str) -> None:
    """
    Each source that the file may name answers for a known tenant and for an unknown one.
    """
    with Crm({"acme": {"name": "Acme"}}) as crm:
        environ = {"CRM": crm.url, "KEY": SECRET, "FOLDER": str(folder), "STATEMENT": STATEMENT}
        directory = configure(written(folder, tenants), environ).directory
        found = directory.resolve(["acme", "other"])
        directory.close()

    assert found == {"acme": {"name": "Acme"}, "other": None}
    assert (directory.state().source, directory.state().unavailable_since) == (kind, None)


@pytest.mark.parametrize(
    ("tenants", "said"),
    [
        ("{http: 'https://u:${KEY}@h/x'}", ":1:11: must hold `{tenant_id}`"),
        (
            "{http: {url: 'http://h/{tenant_id}', headers: {Authorization: \"${KEY}\\n\"}}}",
            ":1:11: the header `Authorization` has a value",
        ),
        (
            "{sql: {url: 'nosuch://u:${KEY}@h/d', statement: ':tenant_ids'}}",
            ":1:11: the URL is not one of SQLAlchemy's",
        ),
        ("{python: 'crm_beside_the_file:lost'}", ":1:11: the module `crm_beside_the_file` has no `lost`"),
    ],
)
def test_faults_have_their_place_and_no_secret(folder: Path, tenants: str, said: str) -> None:
    """
    A source that cannot be made is a fault of the file, without what the environment has filled in.
    """
    with pytest.raises(InvalidPipeline) as refused:
        configure(written(folder, tenants), {"KEY": SECRET})

    (fault,) = refused.value.faults
    assert said in str(fault)
    assert SECRET not in str(fault)


def test_secrets_do_not_show_in_the_model() -> None:
    """
    A pipeline that is printed shows neither headers nor the database's password.
    """
    text = "tenants: {http: {url: 'http://h/{tenant_id}', headers: {Authorization: '${KEY}'}}}"
    database = "tenants: {sql: {url: 'x://u:${KEY}@h', statement: ':tenant_ids'}}"

    for each in (text, database):
        assert SECRET not in repr(parse(each, Path("p.yaml"), {"KEY": SECRET}))
