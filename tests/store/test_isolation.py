"""
Between tenants stand two fences: the statement's own condition, and the engine's filter, which holds alone.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from metriclake._errors import StoreError
from metriclake.store import Aggregate, Bucket, Condition, Dimension, Measure, Operator, Selection
from metriclake.store.columns import Statement
from metriclake.store.reader import CLOSED_TABLES, TENANT_TABLES
from metriclake.store.table import FORMAT
from metriclake.tiers import Stay, Tiers
from store.shelf import NOW, TIERS, Shelf, event

pytestmark = pytest.mark.engine

SECRETS = ("tenant-a", "secret", "salary", "hidden")
START = NOW.replace(year=2020)
END = NOW.replace(year=2030)


@pytest.fixture(scope="module", autouse=True)
def _tenants(shelf: Shelf) -> None:
    """
    Give a tenant secrets and lengths of its own, and its neighbour a row of the same metric.
    """
    hour = timedelta(hours=1)
    shelf.retain(Tiers(TIERS.hot, TIERS.retention, {"hidden_metric": Stay(hot=hour)}, {"tenant-a": Stay(hot=hour)}))
    shelf.sets.declare({"uploads": (("hidden", "kind"),)})
    shelf.load(
        event("tenant-a", "secret-1", dimensions={"hidden": "secret"}, salary=99.0),
        event("tenant-a", "secret-2", metric="hidden_metric", salary=99.0),
        event("tenant-b", "own-1", dimensions={"kind": "x"}, size=1.0),
    )
    shelf.rollups.catch_up()


def sabotaged(shelf: Shelf, sql: str, **settings: Any) -> list[tuple[Any, ...]]:
    """
    Ask as tenant-b's reader would, with a statement that has lost its condition.
    """
    reader = shelf.reader("tenant-b")
    return [tuple(row) for row in shelf.engine.read(sql, {}, {**reader._settings(), **settings}).result_rows]


def attempted(shelf: Shelf, sql: str) -> list[tuple[Any, ...]]:
    """
    Ask as `sabotaged` does; a refusal shows nothing.
    """
    try:
        return sabotaged(shelf, sql)
    except StoreError:
        return []


def test_a_tenant_sees_its_own_metrics_and_fields(shelf: Shelf) -> None:
    """
    The catalogue of a tenant names nothing that another one has.
    """
    found = shelf.reader("tenant-b").metrics()

    assert set(found) == {"uploads"}
    assert (found["uploads"].dimensions, set(found["uploads"].measures)) == (("kind",), {"size"})
    assert shelf.reader("tenant-c").metrics() == {}


@pytest.mark.parametrize(
    "parts",
    [
        {"metric": "uploads"},
        {"metric": "hidden_metric"},
        {"metric": "uploads", "value": Measure("salary", ("double",))},
        {"metric": "uploads", "group_by": ("hidden",)},
        {"metric": "uploads", "conditions": (Condition(Dimension("hidden"), Operator.IN, ("secret",)),)},
        {"metric": "uploads", "bucket": Bucket.DAY},
        {"metric": "uploads", "group_by": ("hidden", "kind"), "limit": 1},
        {"metric": "uploads", "before": (START - (END - START), START), "group_by": ("hidden",)},
    ],
    ids=["rows", "metric", "measure", "group", "filter", "bucket", "limit", "before"],
)
def test_a_tenant_counts_no_row_of_another(shelf: Shelf, parts: dict[str, Any]) -> None:
    """
    A selection that knows another tenant's names still counts only what is the reader's own, also of a rollup.
    """
    selection = Selection(**{"aggregate": Aggregate.COUNT, "start": START, "end": END, **parts})

    for reader in (shelf.reader("tenant-b"), shelf.rolled_reader("tenant-b")):
        rows = reader.select(selection).rows

        assert sum(row[-1] for row in rows) <= 1
        assert not any("secret" in row for row in rows)


def test_the_engine_fences_a_rollup_whose_condition_is_another_tenant(shelf: Shelf) -> None:
    """
    A statement over a rollup and its rows that names another tenant finds nothing of it.
    """
    reader = shelf.rolled_reader("tenant-b")
    selection = Selection("uploads", Aggregate.COUNT, START, END, group_by=("hidden",))
    statement = Statement()
    reader._tenant = "tenant-a"
    text = reader._text(selection, statement)
    reader._tenant = "tenant-b"

    assert text.rolled
    assert reader._read(text.sql(), statement) == []


def test_every_table_is_fenced(shelf: Shelf) -> None:
    """
    Each table of the store is filtered by tenant or closed.
    """
    tables = {name for (name,) in shelf.engine.rows("SELECT name FROM system.tables WHERE database = 'metriclake'")}

    assert tables == {*TENANT_TABLES, *CLOSED_TABLES}


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT tenant FROM metriclake.metrics",
        "SELECT m.tenant FROM metriclake.metrics AS m",
        "SELECT tenant FROM metriclake.metrics WHERE tenant = 'tenant-a' OR 1",
        "SELECT tenant FROM metriclake.metrics PREWHERE tenant != ''",
        "SELECT tenant FROM (SELECT * FROM metriclake.metrics)",
        "WITH x AS (SELECT * FROM metriclake.metrics) SELECT tenant FROM x",
        "WITH x AS (SELECT * FROM metriclake.metrics) SELECT a.tenant FROM x AS a JOIN x AS b ON 1 = 1",
        "SELECT b.tenant FROM metriclake.activity AS a JOIN metriclake.metrics AS b ON a.metric = b.metric",
        "SELECT b.tenant FROM metriclake.metrics AS a RIGHT JOIN metriclake.metrics AS b ON a.event_id = b.event_id",
        "SELECT a.tenant FROM metriclake.metrics AS a, metriclake.metrics AS b",
        "SELECT tenant FROM metriclake.metrics UNION ALL SELECT tenant FROM metriclake.fields",
        "SELECT tenant FROM metriclake.activity UNION DISTINCT SELECT tenant FROM metriclake.metrics",
        "SELECT tenant FROM metriclake.metrics EXCEPT SELECT 'tenant-b'",
        "SELECT tenant FROM metriclake.metrics WHERE tenant IN (SELECT tenant FROM metriclake.metrics)",
        "SELECT toString(count()) FROM metriclake.fields WHERE name IN ('salary', 'hidden') HAVING count() > 0",
        "SELECT event_id FROM metriclake.metrics WHERE 'tenant-a' IN (SELECT tenant FROM metriclake.activity)",
        "SELECT (SELECT any(tenant) FROM metriclake.metrics WHERE tenant != 'tenant-b')",
        "SELECT toString(groupArray(tenant)) FROM metriclake.metrics",
        "SELECT tenant FROM metriclake.metrics FINAL",
        "SELECT toString(max(event_id)) FROM metriclake.metrics WHERE startsWith(event_id, 'secret')",
        "SELECT toString(count()) FROM metriclake.metrics HAVING count() > 1",
        "SELECT t FROM (SELECT tenant AS t, row_number() OVER (ORDER BY tenant) AS n FROM metriclake.metrics)",
        "SELECT tenant FROM metriclake.metrics ORDER BY tenant LIMIT 1 BY tenant",
        "SELECT arrayJoin(groupUniqArray(tenant)) FROM metriclake.metrics",
        "SELECT tenant FROM metriclake.metrics SETTINGS max_threads = 1",
        "SELECT tenant FROM metriclake.rollups",
        "SELECT tenant FROM metriclake.rollups FINAL",
        "SELECT tenant FROM metriclake.rollups FINAL WHERE tenant = 'tenant-a' OR 1",
        "SELECT tenant FROM metriclake.rollups PREWHERE set = 1 AND tenant != ''",
        "SELECT d0 FROM metriclake.rollups WHERE d0 != ''",
        "SELECT r.tenant FROM metriclake.metrics AS m RIGHT JOIN metriclake.rollups AS r ON m.metric = r.metric",
        "SELECT tenant FROM metriclake.metrics UNION ALL SELECT tenant FROM metriclake.rollups FINAL",
    ],
)
def test_the_engine_fences_a_statement_without_a_tenant(shelf: Shelf, sql: str) -> None:
    """
    A statement that has lost its tenant condition reads the reader's own rows or fails, and never another's.
    """
    assert {value for row in attempted(shelf, sql) for value in row} <= {"tenant-b", "own-1", "", None, "['tenant-b']"}


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM metriclake.metrics SETTINGS additional_table_filters = {}",
        "SELECT * FROM metriclake.metrics SETTINGS readonly = 0",
        "SET additional_table_filters = {}",
        "SET readonly = 0",
        "INSERT INTO metriclake.meta VALUES ('format', '9')",
        "INSERT INTO FUNCTION file('out.csv') SELECT * FROM metriclake.metrics",
        "ALTER TABLE metriclake.metrics DELETE WHERE 1",
        "DELETE FROM metriclake.metrics WHERE 1",
        "TRUNCATE TABLE metriclake.metrics",
        "DROP TABLE metriclake.metrics",
        "CREATE TABLE metriclake.copy ENGINE = Memory AS SELECT * FROM metriclake.metrics",
        "CREATE VIEW metriclake.seen AS SELECT * FROM metriclake.metrics",
        "RENAME TABLE metriclake.metrics TO metriclake.other",
        "OPTIMIZE TABLE metriclake.metrics",
        "SYSTEM STOP MERGES",
        "GRANT ALL ON *.* TO default",
    ],
)
def test_a_reader_changes_nothing(shelf: Shelf, sql: str) -> None:
    """
    Whatever writes or loosens the settings is refused; after it the next question works, and all is as it was.
    """
    before = shelf.engine.rows("SELECT tenant, event_id FROM metriclake.metrics ORDER BY ALL")

    with pytest.raises(StoreError):
        sabotaged(shelf, sql)

    assert sabotaged(shelf, "SELECT tenant FROM metriclake.metrics") == [("tenant-b",)]
    assert shelf.engine.rows("SELECT tenant, event_id FROM metriclake.metrics ORDER BY ALL") == before
    assert dict(shelf.engine.rows("SELECT key, value FROM metriclake.meta FINAL"))["format"] == str(FORMAT)


@pytest.mark.parametrize(
    "function",
    [
        "file('{path}', 'LineAsString')",
        "url('file://{path}', 'LineAsString')",
        "url('http://127.0.0.1:9/x', 'LineAsString')",
        "s3('http://127.0.0.1:9/b/x', 'LineAsString')",
        "remote('127.0.0.1', metriclake.metrics)",
        "executable('cat {path}', 'LineAsString', 'line String')",
        "sqlite('{path}', 'x')",
    ],
)
def test_a_table_function_reads_nothing_of_others(shelf: Shelf, tmp_path: Path, function: str) -> None:
    """
    No table function gets at files, the net or another tenant's rows through a reader's settings.
    """
    kept = tmp_path / "kept.txt"
    kept.write_text("secret\n", encoding="utf-8")

    rows = attempted(shelf, f"SELECT * FROM {function.format(path=kept)}")  # noqa: S608 - that is what is shown

    assert not any(secret in str(row) for row in rows for secret in SECRETS)


@pytest.mark.parametrize(
    "table",
    [
        "metriclake.incoming",
        "metriclake.staged",
        "metriclake.judged",
        "metriclake.rollup_sets",
        "system.processes",
        "system.query_log",
        "system.text_log",
        "system.parts",
        "system.parts_columns",
        "system.part_log",
        "system.asynchronous_inserts",
        "system.dropped_tables",
        "system.mutations",
        "system.merges",
        "system.moves",
        "system.tables",
        "information_schema.tables",
    ],
)
def test_other_tables_hold_nothing_of_tenants(shelf: Shelf, table: str) -> None:
    """
    Neither the tables of a load nor those of the engine show another tenant's values.
    """
    rows = attempted(shelf, f"SELECT * FROM {table}")  # noqa: S608 - that is what is shown

    assert not any(secret in str(row) for row in rows for secret in ("tenant-a", "secret"))


def test_a_load_under_way_shows_nothing(shelf: Shelf) -> None:
    """
    The rows of a load that was cut off half-way are not in reach of a reader.
    """
    shelf.engine.insert("incoming", ["metric_name", "metadata", "data"], [("uploads", {"tenant_id": "tenant-a"}, "{}")])

    rows = attempted(shelf, "SELECT metric_name, metadata FROM metriclake.incoming")

    shelf.engine.command("TRUNCATE TABLE metriclake.incoming")
    assert rows == []


def test_a_connection_that_raised_is_thrown_away(shelf: Shelf) -> None:
    """
    However often readers' connections are spoilt, the next questions work, for the right tenant.
    """
    for _ in range(10):
        with pytest.raises(StoreError):
            sabotaged(shelf, "SET additional_table_filters = {}")
        with pytest.raises(StoreError):
            sabotaged(shelf, "SELECT nothing FROM nowhere")

    found = shelf.reader("tenant-a").select(Selection("uploads", Aggregate.COUNT, START, END)).rows
    assert found == [(1,)]
    assert sabotaged(shelf, "SELECT tenant FROM metriclake.metrics") == [("tenant-b",)]
