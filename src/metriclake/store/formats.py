"""
The formats of an export, each with its SQL and its bytes: CSV, NDJSON, Parquet and Arrow.

Lines of text are rendered by the engine, which is some twenty times faster at it than Python and leaves the interpreter
to others. Parquet and Arrow are written by pyarrow as the pages come; what makes a file whole, Parquet's footer and
Arrow's end of stream, is written at the end alone.
"""

from __future__ import annotations

import csv
import io
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Protocol

from metriclake._errors import MetriclakeError

Bind = Callable[[str], str]
"""Takes a text into a statement's parameters and returns what stands for it."""

_GROUP_ROWS = 65_536
_GROUP_BYTES = 8 * 1024 * 1024
"""A row group of Parquet, or a batch of Arrow, has at most so many rows and about so many bytes."""


@dataclass(frozen=True, slots=True)
class Column:
    """
    A column of an export: `type` is time, string, double, integer or boolean; `field` the name that it has in a row.

    `kind` is the catalogue's, None for the columns that every row has.
    """

    name: str
    type: str
    field: str
    kind: str | None = None


@dataclass(frozen=True, slots=True)
class Cell:
    """
    A column with the SQL of its value in the rows of one metric; None where the metric does not have it.
    """

    column: Column
    sql: str | None


@dataclass(frozen=True, slots=True)
class Page:
    """
    Some rows of one metric as a pyarrow table, with what the format has asked for; `cells` as it was asked with.
    """

    cells: Sequence[Cell] = field(repr=False)
    table: Any = field(repr=False)

    def __len__(self) -> int:
        """
        Return how many rows it has.
        """
        return len(self.table)


class Format(Protocol):
    """
    How rows become bytes. An object is of one export.
    """

    @property
    def settings(self) -> Mapping[str, Any]:
        """
        Return the engine's settings for its statements.
        """

    def expressions(self, cells: Sequence[Cell], bind: Bind) -> list[str]:
        """
        Return what to select for each row, beside its place.
        """

    def begin(self, columns: Sequence[Column]) -> Iterator[bytes]:
        """
        Yield what stands before the rows.
        """

    def write(self, page: Page) -> Iterator[bytes]:
        """
        Yield what a page adds; it may come with a later one.
        """

    def end(self) -> Iterator[bytes]:
        """
        Yield what makes the whole complete.
        """


def time_text() -> str:
    """
    Return the SQL of a row's time as RFC 3339 text, always with microseconds: such text sorts as the times do.
    """
    return "formatDateTime(time, '%Y-%m-%dT%H:%i:%S.%fZ')"


class _Lines:
    """
    What formats of one line a row have in common.
    """

    def write(self, page: Page) -> Iterator[bytes]:
        """
        Yield the lines of a page, as the engine has rendered them.
        """
        for chunk in page.table.column("line").chunks:
            if len(chunk):
                _, offsets, text = chunk.buffers()
                places = memoryview(offsets).cast("i")
                yield bytes(memoryview(text)[places[chunk.offset] : places[chunk.offset + len(chunk)]])

    def end(self) -> Iterator[bytes]:
        """
        Yield nothing: the last line is the end.
        """
        yield from ()


_FORMULA = "^[=+@\\t\\r\\n'\uff1d\uff0b\uff0d\uff20-]"
"""
Text that a spreadsheet would take for a formula, by the full-width signs too; and text that begins as what is made of
such text does.
"""


class CsvFormat(_Lines):
    """
    CSV by RFC 4180: CRLF, all text in quotes, nothing for what is absent.

    Unless it is to be exact, text that a spreadsheet would run gets an apostrophe before it; so does text that begins
    with one, so that taking the first apostrophe off gives every value back.
    """

    settings: Mapping[str, Any] = {"format_csv_null_representation": "", "output_format_csv_crlf_end_of_line": 1}

    def __init__(self, *, exact: bool = False) -> None:
        """
        Render safely, or exactly.
        """
        self._exact = exact

    def expressions(self, cells: Sequence[Cell], bind: Bind) -> list[str]:
        """
        Return the row's line.
        """
        formula = "" if self._exact else bind(_FORMULA)
        values = [self._value(cell, formula) for cell in cells]
        return [f"formatRow('CSV', {', '.join(values)}) AS line"]

    def _value(self, cell: Cell, formula: str) -> str:
        if cell.sql is None:
            return "NULL"
        if cell.column.type == "time":
            return time_text()
        if self._exact or cell.column.type != "string":
            return cell.sql
        return f"if(match(ifNull({cell.sql}, ''), {formula}), concat('\\'', {cell.sql}), {cell.sql})"

    def begin(self, columns: Sequence[Column]) -> Iterator[bytes]:
        """
        Yield the names.
        """
        text = io.StringIO()
        csv.writer(text, quoting=csv.QUOTE_ALL).writerow(column.name for column in columns)
        yield text.getvalue().encode()


class NdjsonFormat(_Lines):
    """
    One JSON object a line; what a row does not have is left out. A double has a point or an exponent, an integer none.
    """

    settings: Mapping[str, Any] = {
        "output_format_json_quote_64bit_integers": 0,
        "output_format_json_quote_64bit_floats": 0,
        "output_format_json_escape_forward_slashes": 0,
    }

    def expressions(self, cells: Sequence[Cell], bind: Bind) -> list[str]:
        """
        Return the row's line.
        """
        members = []
        for index, cell in enumerate(cells):
            if cell.sql is not None:
                name = bind(f"{',' if index else '{'}{json.dumps(cell.column.name)}:")
                members.append(f"ifNull(concat({name}, {self._value(cell)}), '')")
        return [f"concat({', '.join(members)}, '}}\\n') AS line"]

    @staticmethod
    def _value(cell: Cell) -> str:
        if cell.column.type == "time":
            return f"concat('\"', {time_text()}, '\"')"
        text = f"toJSONString({cell.sql})"
        if cell.column.type == "double":
            text = f"if(match({text}, '[.e]'), {text}, concat({text}, '.0'))"
        return f"if(isNull({cell.sql}), NULL, {text})"

    def begin(self, columns: Sequence[Column]) -> Iterator[bytes]:
        """
        Yield nothing: every line has its names.
        """
        del columns
        yield from ()


class _Sink(io.RawIOBase):
    """
    The file that pyarrow writes to: what was written is taken out again.
    """

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []
        self._position = 0

    def writable(self) -> bool:
        """
        Return that it is written to.
        """
        return True

    def write(self, part: Any) -> int:
        """
        Take what was written.
        """
        taken = bytes(part)
        self._parts.append(taken)
        self._position += len(taken)
        return len(taken)

    def tell(self) -> int:
        """
        Return how much was written.
        """
        return self._position

    def drain(self) -> Iterator[bytes]:
        """
        Yield what was written since the last time.
        """
        parts, self._parts = self._parts, []
        yield from parts


class _Columns(ABC):
    """
    What formats of columns have in common: pages are gathered until they are worth a group, then written.
    """

    settings: Mapping[str, Any] = {}

    def __init__(self) -> None:
        self._sink = _Sink()
        self._arrow = _pyarrow()
        self._schema: Any = None
        self._writer: Any = None
        self._absent: dict[Any, Any] = {}
        self._gathered: list[Any] = []
        self._rows = 0
        self._size = 0

    def expressions(self, cells: Sequence[Cell], bind: Bind) -> list[str]:
        """
        Return the value of each column that the metric has.
        """
        del bind
        return [f"{cell.sql} AS c{index}" for index, cell in enumerate(cells) if cell.sql is not None]

    def begin(self, columns: Sequence[Column]) -> Iterator[bytes]:
        """
        Yield what stands before the rows.
        """
        arrow = self._arrow
        types = {
            "time": arrow.timestamp("us", "UTC"),
            "string": arrow.string(),
            "double": arrow.float64(),
            "integer": arrow.int64(),
            "boolean": arrow.bool_(),
        }
        self._schema = arrow.schema([(column.name, types[column.type]) for column in columns])
        self._writer = self._open()
        yield from self._sink.drain()

    def write(self, page: Page) -> Iterator[bytes]:
        """
        Gather a page; yield a group when there is enough for one.
        """
        if self._rows + len(page) > _GROUP_ROWS or self._size + page.table.nbytes > _GROUP_BYTES:
            yield from self._flush()
        self._gathered.append(self._conform(page))
        self._rows += len(page)
        self._size += page.table.nbytes

    def end(self) -> Iterator[bytes]:
        """
        Yield the last group and the end.
        """
        yield from self._flush()
        self._writer.close()
        yield from self._sink.drain()

    def _conform(self, page: Page) -> Any:
        """
        Return a page with every column of the export: what its metric does not have is nulls, which all share.
        """
        columns = []
        for index, (cell, place) in enumerate(zip(page.cells, self._schema, strict=True)):
            if cell.sql is not None:
                columns.append(page.table.column(f"c{index}").cast(place.type))
                continue
            nulls = self._absent.get(place.type)
            if nulls is None or len(nulls) < len(page):
                nulls = self._absent[place.type] = self._arrow.nulls(max(len(page), _GROUP_ROWS), place.type)
            columns.append(self._arrow.chunked_array([nulls.slice(0, len(page))]))
        return self._arrow.table(columns, schema=self._schema)

    def _flush(self) -> Iterator[bytes]:
        if self._gathered:
            table = self._arrow.concat_tables(self._gathered)
            self._gathered, self._rows, self._size = [], 0, 0
            yield from self._group(table)

    @abstractmethod
    def _open(self) -> Any:
        """
        Return pyarrow's writer.
        """

    @abstractmethod
    def _group(self, table: Any) -> Iterator[bytes]:
        """
        Write a group; yields its bytes.
        """


class ParquetFormat(_Columns):
    """
    Parquet, compressed with zstd, a row group at a time; without its footer no reader opens it.
    """

    def _open(self) -> Any:
        return _pyarrow("pyarrow.parquet").ParquetWriter(self._sink, self._schema, compression="zstd")

    def _group(self, table: Any) -> Iterator[bytes]:
        self._writer.write_table(table)
        yield from self._sink.drain()


class ArrowFormat(_Columns):
    """
    Arrow's stream format, which ends with a mark of its own.
    """

    def _open(self) -> Any:
        return _pyarrow("pyarrow.ipc").new_stream(self._sink, self._schema)

    def _group(self, table: Any) -> Iterator[bytes]:
        """
        Write batches that stay small also where a thousand columns are empty: here those take their bytes.
        """
        rows = max(1, _GROUP_BYTES // (8 * len(self._schema)))
        for start in range(0, len(table), rows):
            self._writer.write_table(table.slice(start, rows).combine_chunks())
            yield from self._sink.drain()


def table_of(stream: bytes) -> Any:
    """
    Return an Arrow stream as a pyarrow table.
    """
    return _pyarrow("pyarrow.ipc").open_stream(stream).read_all()


def _pyarrow(module: str = "pyarrow") -> Any:
    """
    Return one of pyarrow's modules: they take long to import, and are absent without the extra.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise MetriclakeError("this format needs pyarrow: pip install 'metriclake[embedded]'") from error
