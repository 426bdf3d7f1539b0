"""
An export is a tenant's rows as they were loaded, in every format, read back by readers that are not ours.
"""

from __future__ import annotations

import csv
import importlib
import io
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from metriclake._errors import QuestionTooLarge, StoreError
from metriclake.event import MetricEvent
from metriclake.store import (
    ArrowFormat,
    Condition,
    CsvFormat,
    Dimension,
    ExportReader,
    Extract,
    Format,
    NdjsonFormat,
    Operator,
    ParquetFormat,
)
from metriclake.store import export as exporting
from metriclake.store.export import cut
from metriclake.tiers import Stay, Tiers
from store.shelf import NOW, Shelf, event

pytestmark = pytest.mark.engine

pa: Any = importlib.import_module("pyarrow")
arrow_ipc: Any = importlib.import_module("pyarrow.ipc")
arrow_parquet: Any = importlib.import_module("pyarrow.parquet")

START, END = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
Row = dict[str, Any]


class Exporter:
    """
    A tenant's export, whole or in its parts.
    """

    def __init__(self, shelf: Shelf, tenant: str) -> None:
        """
        Of all that the tenant has.
        """
        self.reader = ExportReader(shelf.engine, shelf.catalogue, tenant)
        self.upto = shelf.number

    def extract(self, *metrics: str, **parts: Any) -> Extract:
        """
        Return what to export: of all metrics where none is named.
        """
        known = self.reader.metrics()
        chosen = tuple(known[name] for name in metrics or known)
        return Extract(**{"metrics": chosen, "start": START, "end": END, "upto": self.upto, **parts})

    def parts(self, form: Format, *metrics: str, **parts: Any) -> Iterator[bytes]:
        """
        Return the export as it comes.
        """
        extract = self.extract(*metrics, **parts)
        return self.reader.export(extract, self.reader.count(extract), form)

    def rows(self, form: Format, *metrics: str, **parts: Any) -> list[Row]:
        """
        Return the rows of the whole, without what they do not have.
        """
        return READERS[type(form)](b"".join(self.parts(form, *metrics, **parts)))


def of_csv(content: bytes) -> list[Row]:
    """
    Read text; what is absent cannot be told from empty text, so both are left out.
    """
    text = io.StringIO(content.decode(), newline="")
    return [{name: value for name, value in row.items() if value} for row in csv.DictReader(text, strict=True)]


def of_ndjson(content: bytes) -> list[Row]:
    """
    Read a JSON object a line.
    """
    assert content.endswith(b"\n") or not content
    return [json.loads(line) for line in content.split(b"\n")[:-1]]


def of_table(table: Any) -> list[Row]:
    """
    Read a table of columns.
    """
    return [{name: value for name, value in row.items() if value is not None} for row in table.to_pylist()]


READERS: dict[type, Callable[[bytes], list[Row]]] = {
    CsvFormat: of_csv,
    NdjsonFormat: of_ndjson,
    ParquetFormat: lambda content: of_table(arrow_parquet.read_table(pa.BufferReader(content))),
    ArrowFormat: lambda content: of_table(arrow_ipc.open_stream(content).read_all()),
}
FORMS: tuple[Callable[[], Format], ...] = (
    lambda: CsvFormat(exact=True),
    CsvFormat,
    NdjsonFormat,
    ParquetFormat,
    ArrowFormat,
)
IDS = ("csv-exact", "csv", "ndjson", "parquet", "arrow")
each_form = pytest.mark.parametrize("form", FORMS, ids=IDS)


def expected(form: Format, events: Iterable[MetricEvent]) -> list[Row]:
    """
    Return the rows of events, as plain Python makes them of what was sent.
    """
    rows = []
    for one in sorted(events, key=lambda e: (e.metric_name, e.data["event_time"], e.metadata["event_id"].encode())):
        fields = {**one.metadata, **one.data}
        del fields["tenant_id"], fields["event_time"]
        time = datetime.fromisoformat(str(one.data["event_time"]))
        text = isinstance(form, CsvFormat | NdjsonFormat)
        row: Row = {"time": one.data["event_time"] if text else time, "metric": one.metric_name, **fields}
        rows.append(row)
    return rows


def alike(form: Format, found: Sequence[Row], wanted: Sequence[Row]) -> None:
    """
    Compare rows value by value; CSV has text alone, which must mean the same.
    """
    assert len(found) == len(wanted)
    if not isinstance(form, CsvFormat):
        assert found == wanted
        assert [[type(row[name]) for name in sorted(row)] for row in found] == [
            [type(row[name]) for name in sorted(row)] for row in wanted
        ]
        return
    for row, meant in zip(found, wanted, strict=True):
        assert row.keys() == {name for name, value in meant.items() if value != ""}
        for name, text in row.items():
            assert same(text, meant[name], exact=form._exact), (name, text, meant[name])


def same(text: str, value: object, *, exact: bool) -> bool:
    """
    Tell whether a field of CSV means a value.
    """
    if isinstance(value, bool):
        return text == str(value).lower()
    if isinstance(value, float):
        return float(text) == value
    if isinstance(value, int):
        return int(text) == value
    return (text if exact else text.removeprefix("'")) == value


@pytest.fixture(scope="module")
def events(shelf: Shelf) -> list[MetricEvent]:
    """
    Load two metrics of one tenant, with every type of field and in slots and maps, and a neighbour's; return the one's.
    """
    many = {f"n{index:02}": index / 7 for index in range(20)}
    made = [
        event(
            "acme",
            f"{index}",
            time=NOW - timedelta(hours=index % 50),
            dimensions={"kind": "abc"[index % 3], "tenant_plan": "paid", **({"rare": "x"} if index % 7 == 0 else {})},
            more=many if index % 2 else {},
            whole=index,
            flag=index % 2 == 0,
            note=f"line {index}\r\nand \"more\", 'quoted'",
        )
        for index in range(120)
    ]
    made += [event("acme", f"b{index}", metric="builds", seconds=index * 1.5) for index in range(5)]
    shelf.load(*made, event("globex", "secret", dimensions={"hidden": "secret"}), integers={"uploads": ["whole"]})
    return made


@each_form
def test_every_format_gives_back_what_was_loaded(
    shelf: Shelf, events: list[MetricEvent], form: Callable[[], Format]
) -> None:
    """
    Rows come with their own names and types, in order, of one metric or of all.
    """
    exporter = Exporter(shelf, "acme")

    alike(form(), exporter.rows(form()), expected(form(), events))
    builds = [one for one in events if one.metric_name == "builds"]
    alike(form(), exporter.rows(form(), "builds"), expected(form(), builds))


TEXTS = st.one_of(
    st.sampled_from(
        ("=1+1", "+1", "-1", "@x", "'", "''=x", "\t=", "\r", "\n=", "\uff1d1", ",", '"', "a,b", "\\N", "\0",
         " =1", "\U0001f600", "\ufeff", "\u2028", "null", "1e400", "%s", "\\", "/", "\x1b", "é" * 1024, "NaN",
         "{p0:String}")
    ),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12),
)  # fmt: skip
NUMBERS = st.one_of(
    st.sampled_from((0.0, 5e-324, -1.7976931348623157e308, 0.1, 1e22, 123456789.123456789, -3.0)),
    st.floats(allow_nan=False, allow_infinity=False),
)
EVENTS = st.lists(
    st.tuples(
        st.integers(0, 5),
        st.dictionaries(st.sampled_from(("kind", "a.b", "$c", "tenant_name")), TEXTS),
        st.fixed_dictionaries(
            {},
            optional={
                "size": NUMBERS,
                "whole": st.integers(-(2**63), 2**63 - 1),
                "flag": st.booleans(),
                "note": st.one_of(TEXTS, st.just("")),
                "x:y-z": NUMBERS,
            },
        ),
        TEXTS,
    ),
    min_size=1,
    max_size=40,
)
_TENANTS = itertools.count()


@settings(
    max_examples=5,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate),
)
@given(drawn=EVENTS)
def test_whatever_was_loaded_comes_back(shelf: Shelf, drawn: list[tuple[int, dict[str, str], Row, str]]) -> None:
    """
    For any text, number and combination of fields, each format says exactly what was sent.
    """
    tenant = f"any-{next(_TENANTS)}"
    events = [
        event(tenant, f"{name}{index}", time=NOW - timedelta(days=40 * day), dimensions=dimensions, more=measures)
        for index, (day, dimensions, measures, name) in enumerate(drawn)
    ]
    shelf.load(*events, integers={"uploads": ["whole"]})
    exporter = Exporter(shelf, tenant)

    for form in FORMS:
        alike(form(), exporter.rows(form()), expected(form(), events))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Make pages small, so that a few rows are many pages.
    """
    monkeypatch.setattr(exporting, "_FIRST_ROWS", 2)
    monkeypatch.setattr(exporting, "_MOST_ROWS", 7)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("form", [NdjsonFormat, ParquetFormat])
def test_pages_miss_and_repeat_nothing(shelf: Shelf, events: list[MetricEvent], form: Callable[[], Format]) -> None:
    """
    However small the pages are, the export is the same; also where more rows than a page have one time.
    """
    exporter = Exporter(shelf, "acme")
    alike(form(), exporter.rows(form()), expected(form(), events))

    tenant = f"once-{next(_TENANTS)}"
    together = [event(tenant, f"{index}", time=NOW, size=1.0 * index) for index in range(40)]
    shelf.load(*together)
    alike(form(), Exporter(shelf, tenant).rows(form()), expected(form(), together))


@pytest.mark.usefixtures("small")
def test_an_export_is_of_one_moment(shelf: Shelf) -> None:
    """
    What is loaded while an export runs is not in it, wherever its time lies.
    """
    before = [event("moment", f"{index}", time=NOW - timedelta(days=index)) for index in range(20)]
    shelf.load(*before)
    parts = Exporter(shelf, "moment").parts(NdjsonFormat())
    first = next(parts)
    shelf.load(*(event("moment", f"late-{index}", time=NOW - timedelta(days=index, hours=1)) for index in range(20)))

    alike(NdjsonFormat(), of_ndjson(first + b"".join(parts)), expected(NdjsonFormat(), before))


@each_form
def test_a_tenant_exports_its_own_alone(shelf: Shelf, events: list[MetricEvent], form: Callable[[], Format]) -> None:
    """
    Of a neighbour come neither rows nor the names of fields, also where the neighbour's metric is asked for by hand.
    """
    assert events
    stolen = Exporter(shelf, "globex").extract()
    reader = ExportReader(shelf.engine, shelf.catalogue, "thief")

    assert reader.count(stolen) == {}
    assert b"secret" not in b"".join(reader.export(stolen, {"uploads": 1}, form()))
    assert b"hidden" not in b"".join(Exporter(shelf, "acme").parts(form()))
    assert Exporter(shelf, "thief").rows(form()) == []


def test_the_engine_fences_an_export_without_its_condition(shelf: Shelf, events: list[MetricEvent]) -> None:
    """
    A statement of an export that has lost its tenant still reads the reader's own rows alone, and changes nothing.
    """
    assert events
    reader = ExportReader(shelf.engine, shelf.catalogue, "globex")
    ask = "SELECT tenant, event_id FROM metriclake.metrics"

    found = arrow_ipc.open_stream(shelf.engine.arrow(ask, {}, reader._settings())[0]).read_all().to_pylist()
    assert found == [{"tenant": "globex", "event_id": "secret"}]
    for sql in ("SELECT key FROM metriclake.meta", "SELECT tenant FROM metriclake.staged"):
        assert arrow_ipc.open_stream(shelf.engine.arrow(sql, {}, reader._settings())[0]).read_all().num_rows == 0
    with pytest.raises(StoreError):
        shelf.engine.arrow("INSERT INTO metriclake.meta SELECT 'format', '9'", {}, reader._settings())


def test_names_that_meet_are_told_apart(shelf: Shelf) -> None:
    """
    A measure that has drifted has a column for each type; what has the name of another column says what it is.
    """
    shelf.load(
        event("names", "1", size=1.5),
        event("names", "2", size="big", metric_=1.0),
        event("names", "3", dimensions={"size": "XL", "metric": "x", "tenant_name": "Acme"}),
        event("names", "4", more={"tenant_name": 7.0, "event_id": True}),
    )
    exporter = Exporter(shelf, "names")

    assert [(column.name, column.type) for column in exporter.extract().columns] == [
        ("time", "time"),
        ("metric", "string"),
        ("event_id", "string"),
        ("metric (dimension)", "string"),
        ("size", "string"),
        ("event_id (boolean)", "boolean"),
        ("metric_", "double"),
        ("size (double)", "double"),
        ("size (string)", "string"),
        ("tenant_name", "double"),
        ("tenant_name (attribute)", "string"),
    ]
    for form in (NdjsonFormat, ParquetFormat, ArrowFormat):
        rows = [{k: v for k, v in row.items() if k not in {"time", "metric"}} for row in exporter.rows(form())]
        assert rows == [
            {"event_id": "1", "size (double)": 1.5},
            {"event_id": "2", "size (string)": "big", "metric_": 1.0},
            {"event_id": "3", "size": "XL", "metric (dimension)": "x", "tenant_name (attribute)": "Acme"},
            {"event_id": "4", "tenant_name": 7.0, "event_id (boolean)": True},
        ]


def test_the_types_of_columns_do_not_depend_on_the_rows(shelf: Shelf, events: list[MetricEvent]) -> None:
    """
    Parquet and Arrow have the same typed schema, also where no row has a value.
    """
    assert events
    exporter = Exporter(shelf, "acme")
    none = {"end": START}
    schemas = [
        arrow_parquet.read_table(pa.BufferReader(b"".join(exporter.parts(ParquetFormat(), **parts)))).schema
        for parts in ({}, none)
    ]
    schemas.append(arrow_ipc.open_stream(b"".join(exporter.parts(ArrowFormat(), **none))).schema)

    assert schemas[0] == schemas[1] == schemas[2]
    kinds = {name: str(schemas[0].field(name).type) for name in ("time", "kind", "n00", "whole", "flag", "tenant_plan")}
    assert kinds == {
        "time": "timestamp[us, tz=UTC]",
        "kind": "string",
        "n00": "double",
        "whole": "int64",
        "flag": "bool",
        "tenant_plan": "string",
    }


def test_csv_is_rfc_4180_and_runs_nothing(shelf: Shelf) -> None:
    """
    Lines end with CRLF, text is in quotes; what a spreadsheet would run begins with an apostrophe, numbers do not.
    """
    shelf.load(event("sheet", "=cmd|' /C calc'!A0", dimensions={"kind": "@SUM(1)"}, size=-5.0, note='a "b"\nc'))
    safe, exact = (b"".join(Exporter(shelf, "sheet").parts(CsvFormat(exact=exact))) for exact in (False, True))

    assert safe.split(b"\r\n") == [
        b'"time","metric","event_id","kind","note","size"',
        b'"2026-07-01T00:00:00.000000Z","uploads","\'=cmd|\' /C calc\'!A0","\'@SUM(1)","a ""b""\nc",-5',
        b"",
    ]
    assert exact == safe.replace(b"\"'", b'"')


def _among(dimension: str, *values: str) -> Condition:
    return Condition(Dimension(dimension), Operator.IN, values)


@pytest.mark.parametrize(
    ("conditions", "ids"),
    [
        ((_among("kind", "a"),), {"1", "3"}),
        ((_among("kind", "a", "b"), _among("tenant_plan", "paid")), {"3"}),
        ((_among("kind", ""),), {"4", "m"}),
        ((_among("kind", "none"),), set()),
        ((_among("other", "o"),), {"m"}),
    ],
)
def test_conditions_hold_for_every_metric(shelf: Shelf, conditions: tuple[Condition, ...], ids: set[str]) -> None:
    """
    A condition keeps the rows that have the value; a metric without the dimension has empty text there.
    """
    if "filtered" not in {tenant for (tenant,) in shelf.engine.rows("SELECT DISTINCT tenant FROM metriclake.metrics")}:
        shelf.load(
            event("filtered", "1", dimensions={"kind": "a", "tenant_plan": "free"}),
            event("filtered", "2", dimensions={"kind": "b", "tenant_plan": "free"}),
            event("filtered", "3", dimensions={"kind": "a", "tenant_plan": "paid"}),
            event("filtered", "4"),
            event("filtered", "m", metric="more", dimensions={"other": "o"}),
        )
    exporter = Exporter(shelf, "filtered")

    assert {row["event_id"] for row in exporter.rows(NdjsonFormat(), conditions=conditions)} == ids
    assert sum(exporter.reader.count(exporter.extract(conditions=conditions)).values()) == len(ids)


def test_the_range_is_half_open(shelf: Shelf, events: list[MetricEvent]) -> None:
    """
    The start is in the range to the microsecond, the end is not.
    """
    start, end = NOW - timedelta(hours=10), NOW - timedelta(hours=3)
    inside = [
        one
        for one in events
        if one.metric_name == "uploads" and start <= datetime.fromisoformat(str(one.data["event_time"])) < end
    ]
    rows = Exporter(shelf, "acme").rows(NdjsonFormat(), "uploads", start=start, end=end)
    later = Exporter(shelf, "acme").rows(NdjsonFormat(), "uploads", start=start + timedelta(microseconds=1), end=end)

    assert inside
    alike(NdjsonFormat(), rows, expected(NdjsonFormat(), inside))
    assert len(rows) - len(later) == sum(row["time"] == rows[0]["time"] for row in rows)


def test_rows_that_are_large_make_smaller_pages(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A page that is more than the engine may take is asked anew with fewer rows; a row that alone is more is an error.
    """
    large = [
        event("large", f"{index:03}", note="x" * 2000, more={f"t{n}": "y" * 2000 for n in range(5)})
        for index in range(200)
    ]
    shelf.load(*large)
    monkeypatch.setattr(exporting, "_PAGE_BYTES", 25_000)
    monkeypatch.setattr(exporting, "_RESULT_BYTES", 60_000)
    exporter = Exporter(shelf, "large")

    for form in (NdjsonFormat, ParquetFormat):
        alike(form(), exporter.rows(form()), expected(form(), large))
    monkeypatch.setattr(exporting, "_RESULT_BYTES", 1000)
    with pytest.raises(QuestionTooLarge, match="has more than"):
        list(exporter.parts(NdjsonFormat()))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("form", [ParquetFormat, ArrowFormat])
def test_what_is_cut_does_not_pass_for_whole(
    shelf: Shelf, events: list[MetricEvent], form: Callable[[], Format], monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Of the formats with an end of their own, every part but the last leaves a file that is not whole.
    """
    assert events
    monkeypatch.setattr("metriclake.store.formats._GROUP_ROWS", 10)
    parts = list(Exporter(shelf, "acme").parts(form()))
    cut_off = b"".join(parts[:-1])

    assert len(parts) > 10
    if form is ArrowFormat:
        assert b"".join(parts).endswith(b"\xff\xff\xff\xff\0\0\0\0")
        assert not cut_off.endswith(b"\xff\xff\xff\xff\0\0\0\0")
    else:
        with pytest.raises(pa.ArrowInvalid):
            arrow_parquet.read_table(pa.BufferReader(cut_off))


DAYS = st.lists(st.tuples(st.integers(0, 400), st.integers(1, 30)), unique_by=lambda one: one[0]).map(sorted)


@given(days=DAYS, most=st.integers(1, 40))
def test_slices_cover_every_day_once(days: list[tuple[int, int]], most: int) -> None:
    """
    Slices follow each other, hold every day that has rows, and no more rows than asked for unless one day has them.
    """
    moments = [START + timedelta(days=day) for day, _ in days]
    found = cut(moments, [amount for _, amount in days], most)

    inside = [[(m, a) for m, (_, a) in zip(moments, days, strict=True) if start <= m < end] for start, end in found]
    assert [m for piece in inside for m, _ in piece] == moments
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(found))
    assert all(len(piece) == 1 or sum(a for _, a in piece) <= most for piece in inside)


def test_a_slice_does_not_take_many_statements(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Thousands of rows are a few statements: pages grow to their size.
    """
    shelf.load(*(event("many", f"{index}", time=NOW - timedelta(minutes=index), size=1.0) for index in range(9000)))
    asked: list[str] = []
    ask = shelf.engine.arrow

    def counted(sql: str, parameters: Mapping[str, Any], wanted: Mapping[str, Any]) -> Any:
        asked.append(sql)
        return ask(sql, parameters, wanted)

    monkeypatch.setattr(shelf.engine, "arrow", counted)

    assert len(Exporter(shelf, "many").rows(NdjsonFormat())) == 9000
    assert len(asked) == 3


def test_what_is_beyond_its_retention_is_not_exported(shelf: Shelf) -> None:
    """
    An export neither has nor counts rows that the engine has not removed yet, also where it asks for all time.
    """
    now = datetime.now(UTC)
    ages = {"1": (10, "x"), "2": (600, "x"), "3": (100, "y"), "4": (10, "y")}
    shelf.load(*(event("aged", id_, metric=m, time=now - timedelta(days=age)) for id_, (age, m) in ages.items()))
    tiers = Tiers(timedelta(days=1), timedelta(days=300), {"y": Stay(retention=timedelta(days=50))})
    extract = Exporter(shelf, "aged").extract()
    reader = ExportReader(shelf.engine, shelf.catalogue, "aged", tiers=tiers)

    amounts = reader.count(extract)
    lines = b"".join(reader.export(extract, amounts, NdjsonFormat())).splitlines()

    assert Exporter(shelf, "aged").reader.count(extract) == {"x": 2, "y": 2}
    assert amounts == {"x": 1, "y": 1}
    assert [json.loads(line)["event_id"] for line in lines] == ["1", "4"]
