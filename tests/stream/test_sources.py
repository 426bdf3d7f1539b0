"""
The systems outside that know the tenants: a real HTTP server, a real database, a Python callable.
"""

from __future__ import annotations

import builtins
import sqlite3
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from contracts.directory import SECRET, TENANTS, DirectoryContract
from metriclake._errors import MetriclakeError
from metriclake.stream import CachedDirectory, CacheTerms
from metriclake.stream.sources import HttpSource, Looked, PythonSource, Source, SqlSource
from patience import until
from stream.crm import Crm

LASTING = CacheTerms(ttl=300, unknown_ttl=30, size=1000)


class HttpContract(DirectoryContract):
    """
    What holds over HTTP, one by one and several at once.
    """

    batch = False

    @pytest.fixture(autouse=True)
    def _crm(self) -> Iterator[None]:
        with Crm(TENANTS, SECRET) as self.crm:
            yield

    def source(self, folder: Path) -> Source:  # noqa: ARG002 - over HTTP nothing lies in a folder
        """
        Make a source that asks the server.
        """
        several = f"{self.crm.url}/tenants?ids={{tenant_ids}}" if self.batch else None
        return HttpSource(f"{self.crm.url}/tenants/{{tenant_id}}", several, {"Authorization": f"Bearer {SECRET}"})

    def fail(self) -> None:
        """
        Refuse connections.
        """
        self.crm.away()

    def recover(self) -> None:
        """
        Listen again.
        """
        self.crm.back()


class TestHttpOneByOne(HttpContract):
    """
    The contract, held over HTTP with a request a tenant.
    """

    def test_poisoned_tenant_does_not_stand_in_the_way(self, made: Source) -> None:
        """
        A tenant for whom the system fails is missing; the others are answered, and the system is not called down.
        """
        self.crm.broken = {"t1"}

        looked = made.look_up(["t0", "t1", "t2"], 5)

        assert sorted(looked.answers) == ["t0", "t2"]
        assert (looked.failure, looked.down) == ("the tenants' directory answered 500", False)

    def test_failing_system_is_soon_left_alone(self, made: Source) -> None:
        """
        Where every request fails, a long look-up ends after a few.
        """
        self.crm.mode = "503"

        looked = made.look_up([f"t{number}" for number in range(500)], 5)

        assert (looked.answers, looked.down) == ({}, True)
        assert len(self.crm.asked) < 50

    def test_slow_system_gives_what_it_can(self, made: Source) -> None:
        """
        What was answered within the time is an answer, although not all was.
        """
        self.crm.mode = "slow"

        looked = made.look_up([f"t{number}" for number in range(100)], 1.5)

        assert 0 < len(looked.answers) < 100
        assert not looked.down
        assert looked.failure

    @pytest.mark.parametrize("mode", ["401", "500", "302", "204", "garbage", "drop"])
    def test_whatever_is_no_answer_is_a_failure(self, made: Source, mode: str) -> None:
        """
        Only 200 with an object and 404 are answers; a redirect is not followed.
        """
        self.crm.mode = mode

        looked = made.look_up(["acme"], 5)

        assert looked.answers == {}
        assert looked.failure.startswith("the tenants' directory ")
        assert self.crm.asked == ["/tenants/acme"]


class TestHttpSeveral(HttpContract):
    """
    The contract, held over HTTP with a URL for several tenants.
    """

    batch = True

    def test_several_are_one_request(self, made: Source) -> None:
        """
        Up to a hundred tenants are one request.
        """
        made.look_up([f"t{number}" for number in range(100)], 5)

        assert len(self.crm.asked) == 1

    def test_404_of_the_batch_url_is_a_failure(self, made: Source) -> None:
        """
        A batch URL that leads nowhere does not make all tenants unknown.
        """
        self.crm.mode = "404"

        assert made.look_up(["acme"], 5) == Looked({}, "the tenants' directory answered 404")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ftp://h/{tenant_id}", "http:// or https://"),
        ("/{tenant_id}", "http:// or https://"),
        ("http://h:x/{tenant_id}", "is not a URL"),
        ("http://h/tenants", "must hold `{tenant_id}`"),
        ("http://{tenant_id}/x", "must hold `{tenant_id}`"),
        ("http://h/{tenant_id}/{other}", "another placeholder"),
    ],
)
def test_faulty_url_is_refused(url: str, said: str) -> None:
    """
    A URL that cannot be used is refused at the start.
    """
    with pytest.raises(MetriclakeError) as refused:
        HttpSource(url)

    assert said in str(refused.value)


@pytest.mark.parametrize(("name", "value"), [("a b", "x"), ("", "x"), ("Authorization", f"{SECRET}\nx: y")])
def test_faulty_header_is_refused(name: str, value: str) -> None:
    """
    A header that cannot be sent is refused at the start, without its value.
    """
    with pytest.raises(MetriclakeError, match="header") as refused:
        HttpSource("http://h/{tenant_id}", None, {name: value})

    assert SECRET not in str(refused.value)


class TestSql(DirectoryContract):
    """
    The contract, held by a statement on a real SQLite through SQLAlchemy.
    """

    STATEMENT = 'SELECT id AS tenant_id, name, seats, trial, note, "long" FROM customers WHERE id IN :tenant_ids'

    def source(self, folder: Path) -> Source:
        """
        Make a database and the source that asks it.
        """
        self.path = folder / f"{SECRET}.db"
        with sqlite3.connect(self.path) as connection:
            connection.execute('CREATE TABLE customers (id TEXT, name TEXT, seats INT, trial TEXT, note, "long" TEXT)')
            rows = [
                (tenant, values.get("name"), values.get("seats"), "true" if values.get("trial") else None, None,
                 values.get("long"))
                for tenant, values in TENANTS.items() if values is not None
            ]  # fmt: skip
            connection.executemany("INSERT INTO customers VALUES (?, ?, ?, ?, ?, ?)", rows)
        connection.close()
        return SqlSource(f"sqlite:///{self.path}", self.STATEMENT)

    def _run(self, statement: str) -> None:
        with sqlite3.connect(self.path) as connection:
            connection.execute(statement)
        connection.close()

    def fail(self) -> None:
        """
        Take the table away.
        """
        self._run("ALTER TABLE customers RENAME TO hidden")

    def recover(self) -> None:
        """
        Bring it back.
        """
        self._run("ALTER TABLE hidden RENAME TO customers")

    @pytest.mark.parametrize(
        ("statement", "said"),
        [
            ("SELECT id, name FROM customers WHERE id IN :tenant_ids", "gives no column `tenant_id`"),
            (
                "SELECT 'acme' AS tenant_id FROM customers WHERE id <> 'x' OR id IN :tenant_ids",
                "more than one row for `acme`",
            ),
            (
                "SELECT id AS tenant_id, id FROM customers WHERE id IN :tenant_ids",
                "unusable attributes for `acme`: `id`",
            ),
        ],
    )
    def test_wrong_columns_are_said(self, made: Source, statement: str, said: str) -> None:
        """
        A statement whose rows cannot be tenants says what is wrong with them.
        """
        made.close()
        source = SqlSource(f"sqlite:///{self.path}", statement)

        looked = source.look_up(["acme"], 5)
        source.close()

        assert looked.answers == {}
        assert said in looked.failure


@pytest.mark.parametrize(
    ("url", "statement", "said"),
    [
        ("sqlite://", "SELECT 1", "must hold `:tenant_ids`"),
        (f"user:{SECRET}@nowhere", ":tenant_ids", "not one of SQLAlchemy's"),
        (f"nosuch://user:{SECRET}@h/db", ":tenant_ids", "not one of SQLAlchemy's"),
        (f"postgresql+psycopg2://user:{SECRET}@h/db", ":tenant_ids", "driver is not installed: install `psycopg2`"),
    ],
)
def test_faulty_database_is_refused(url: str, statement: str, said: str) -> None:
    """
    A URL or statement that cannot be used is refused at the start, without the password.
    """
    with pytest.raises(MetriclakeError) as refused:
        SqlSource(url, statement)

    assert said in str(refused.value)
    assert SECRET not in str(refused.value)


def test_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Without SQLAlchemy the error says which extra brings it.
    """
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "sqlalchemy":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MetriclakeError, match=r"install `metriclake\[sql\]`"):
        SqlSource("sqlite://", ":tenant_ids")


class TestPython(DirectoryContract):
    """
    The contract, held by a callable of the user's.
    """

    def source(self, folder: Path) -> Source:
        """
        Write a module beside the pipeline file and make a source of it.
        """
        (folder / "crm_of_the_contract.py").write_text("class Known:\n    tenants = {}\n    look_up = None\n")
        sys.modules.pop("crm_of_the_contract", None)
        source = PythonSource("crm_of_the_contract:Known", folder)
        sys.path.remove(str(folder))
        source._callable = self._answer
        self.away = False
        return source

    def _answer(self, ids: list[str]) -> dict[str, Any]:
        if self.away:
            raise ConnectionError(SECRET)
        return {one: TENANTS[one] for one in ids if one in TENANTS}

    def fail(self) -> None:
        """
        Raise.
        """
        self.away = True

    def recover(self) -> None:
        """
        Answer again.
        """
        self.away = False


WRONG = """
def a_list(ids): return ids
def texts(ids): return {one: "hunter2-hunter2" for one in ids}
def nested(ids): return {one: {"deep": {"secret": "hunter2-hunter2"}} for one in ids}
def odd(ids): return {one: {"n": "\\ud800", "big": 10**6000} for one in ids}
not_callable = 5
"""


@pytest.fixture
def module(tmp_path: Path) -> Iterator[Path]:
    """
    Write a module of wrong callables.
    """
    (tmp_path / "wrong_tenants.py").write_text(WRONG)
    (tmp_path / "broken_tenants.py").write_text("raise RuntimeError('at import')")
    yield tmp_path
    sys.modules.pop("wrong_tenants", None)
    sys.path[:] = [folder for folder in sys.path if folder != str(tmp_path)]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a_list", "`wrong_tenants:a_list` returned array: it must be a mapping by tenant id"),
        ("texts", "gave string for `acme`: it must be a mapping of attributes"),
        ("nested", "gave unusable attributes for `acme`: `deep`"),
    ],
)
def test_wrong_results_are_said(module: Path, name: str, said: str) -> None:
    """
    What a callable returns and cannot be used is said by name, without the values.
    """
    looked = PythonSource(f"wrong_tenants:{name}", module).look_up(["acme"], 5)

    assert looked.answers == {}
    assert said in looked.failure
    assert SECRET not in looked.failure


def test_values_that_are_no_text_are_left_out(module: Path) -> None:
    """
    What no JSON could hold is not taken into an attribute.
    """
    assert PythonSource("wrong_tenants:odd", module).look_up(["acme"], 5).answers == {"acme": {}}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("wrong_tenants", "must be `module:callable`"),
        ("wrong_tenants:nothing", "has no `nothing`"),
        ("wrong_tenants:not_callable", "is not callable"),
        ("no_such_module:x", "cannot be imported"),
        ("broken_tenants:x", "RuntimeError: at import"),
    ],
)
def test_callable_that_is_not_there_is_refused(module: Path, name: str, said: str) -> None:
    """
    A name that leads to no callable is refused at the start.
    """
    with pytest.raises(MetriclakeError) as refused:
        PythonSource(name, module)

    assert said in str(refused.value)


class Held:
    """
    A source that answers when it is let.
    """

    kind = "held"

    def __init__(self) -> None:
        self.let = threading.Event()
        self.asked: list[list[str]] = []

    def look_up(self, tenants: list[str], seconds: float) -> Looked:  # noqa: ARG002 - it knows no time
        """
        Answer when let.
        """
        self.asked.append(list(tenants))
        self.let.wait(30)
        return Looked({tenant: {"n": tenant} for tenant in tenants})

    def close(self) -> None:
        """
        Nothing is open.
        """


def test_each_tenant_is_asked_for_by_one_caller() -> None:
    """
    Of many callers that want the same tenants at once one asks for each; all hear the answer.
    """
    source = Held()
    directory = CachedDirectory(source, LASTING, 30)  # type: ignore[arg-type] # a list is a sequence enough here
    with ThreadPoolExecutor(8) as threads:
        callers = [threads.submit(directory.resolve, ["shared", f"own{number}"]) for number in range(8)]
        until(lambda: len(source.asked) == 8)
        source.let.set()
        answers = [caller.result(30) for caller in callers]

    assert all(answer["shared"] == {"n": "shared"} for answer in answers)
    assert sum(asked.count("shared") for asked in source.asked) == 1


def test_source_that_hangs_is_given_up() -> None:
    """
    A source that does not come back in its time is away; it is asked again later, but not without end.
    """
    source = Held()
    directory = CachedDirectory(source, LASTING, 0.01)  # type: ignore[arg-type] # as above

    assert directory.resolve(["acme"]) == {}
    assert "does not answer within 0.01 s" in directory.state().reason
    assert directory.resolve(["other"]) == {}
    assert source.asked == [["acme"]], "a source that is down is left alone for a while"
    for _ in range(3):
        directory._look_up(["more"])
    assert directory._look_up(["more"]).failure == "the tenants' directory hangs: earlier questions are unanswered"
    source.let.set()
