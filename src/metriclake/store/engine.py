"""
The connections to ClickHouse: in process by chDB, or to a server; the same client and the same SQL.

One connection runs one statement at a time: readers borrow from a small pool, the loader has its own, and so has a
`Session`. A connection that has raised is thrown away, since an attempted `SET` can leave it unusable.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from metriclake._errors import MetriclakeError, StoreError

DATABASE = "metriclake"
POLICY = "tiered"
READERS = 4
"""Connections that read: so many statements of tenants run at once."""
EXPORTERS = 2
"""More of them, for the pages of exports: questions do not wait for those."""

GIVES_WAY = 5 if os.getpriority(os.PRIO_PROCESS, 0) == 0 else 0
"""
The nice value of the engine's threads for work that nobody waits for at a screen: loads, rollups, merges, exports, long
statements. The engine can set it where the process has CAP_SYS_NICE, and goes back to 0 afterwards: so a process that
runs with a nice value of its own keeps that.
"""

_REFUSED = "&%#?"
_CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT)
_TOLD = "_metriclake_told"
"""The backend's attribute for what its last raw statement has read; a connection runs one at a time."""

_ARROW = {"output_format_arrow_string_as_string": 1, "output_format_arrow_compression_method": "none"}

_CONFIG = """<clickhouse>
  <logger><level>none</level></logger>
  <os_threads_nice_value_merge_mutate>{nice}</os_threads_nice_value_merge_mutate>
  <storage_configuration>
    <disks>
      <hot><path>{hot}/</path></hot>
      <cold><path>{cold}/</path></cold>
    </disks>
    <policies>
      <tiered>
        <volumes>
          <hot><disk>hot</disk></hot>
          <cold><disk>cold</disk></cold>
        </volumes>
      </tiered>
    </policies>
  </storage_configuration>
</clickhouse>
"""


class Engine:
    """
    An open store below a folder: `engine` for chDB's own files, `hot` and `cold` for the rows of the two tiers.
    """

    def __init__(self, folder: Path) -> None:
        """
        Open or create the store. Raises StoreError; MetriclakeError where chDB is not installed.
        """
        self._folder = folder.resolve()
        refused = [sign for sign in _REFUSED if sign in str(self._folder)]
        if refused:
            raise StoreError(f"the store's folder cannot have `{refused[0]}` in its path: chDB reads it as a URL")
        try:
            for name in ("engine", "hot", "cold"):
                (self._folder / name).mkdir(parents=True, exist_ok=True)
            hot, cold = (escape(str(self._folder / name)) for name in ("hot", "cold"))
            config = _CONFIG.format(nice=GIVES_WAY, hot=hot, cold=cold)
            (self._folder / "engine.xml").write_text(config, encoding="utf-8")
        except OSError as error:
            raise StoreError(f"the store {folder} cannot be opened ({error.strerror}): see to its rights") from error
        self._lock = threading.Lock()
        self._all: list[Any] = []
        self._tables: list[Path] = []
        self._idle: queue.LifoQueue[Any] = queue.LifoQueue()
        self._slots = threading.BoundedSemaphore(READERS + EXPORTERS)
        self._writer = self._connect(nice=GIVES_WAY)
        _end_at_crashes()
        self.command(f"CREATE DATABASE IF NOT EXISTS {DATABASE}")

    def _connect(self, nice: int = 0) -> Any:
        """
        Return a new connection; `nice` is that of the engine's threads for its statements, where they say no other.
        """
        try:
            import chdb  # noqa: F401, PLC0415 - it takes a second to import, and is absent without the extra
            import clickhouse_connect  # noqa: PLC0415 - as above
        except ImportError as error:
            raise MetriclakeError("the embedded store needs chDB: pip install 'metriclake[embedded]'") from error
        try:
            client: Any = clickhouse_connect.get_client(
                dsn=f"chdb:///{self._folder / 'engine'}",
                chdb_options={"config-file": str(self._folder / "engine.xml")},
                tz_mode="aware",
            )
            if nice:
                client.command(f"SET os_threads_nice_value_query = {int(nice)}")
        except Exception as error:
            raise StoreError(f"the store {self._folder} cannot be opened: {_first_line(error)}") from error
        with contextlib.suppress(AttributeError):  # else the client's own figures stay
            backend = client._backend  # noqa: SLF001 - it has no public place for either
            backend._summary = _summary  # noqa: SLF001 - as above
            backend._run_with_settings = _telling(backend, backend._run_with_settings)  # noqa: SLF001 - as above
        with self._lock:
            self._all.append(client)
        return client

    def command(self, sql: str, settings: Mapping[str, Any] | None = None) -> None:
        """
        Run a statement of ours on the loader's connection.
        """
        with _mapped(sql):
            self._writer.command(sql, settings=dict(settings or {}))

    def rows(
        self, sql: str, parameters: Mapping[str, Any] | None = None, settings: Mapping[str, Any] | None = None
    ) -> list[Any]:
        """
        Ask on the loader's connection.
        """
        with _mapped(sql):
            return list(
                self._writer.query(sql, parameters=dict(parameters or {}), settings=dict(settings or {})).result_rows
            )

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """
        Insert a few rows of ours.
        """
        if rows:
            with _mapped(table):
                self._writer.insert(f"{DATABASE}.{table}", rows, column_names=columns)

    def insert_lines(self, table: str, columns: Sequence[str], lines: bytes, settings: Mapping[str, Any]) -> None:
        """
        Insert NDJSON lines, parsed by the engine.
        """
        with _mapped(table):
            self._writer.raw_insert(
                f"{DATABASE}.{table}",
                column_names=columns,
                insert_block=lines,
                fmt="JSONEachRow",
                settings=dict(settings),
            )

    def read(self, sql: str, parameters: Mapping[str, Any], settings: Mapping[str, Any]) -> Any:
        """
        Ask on a borrowed connection; returns the client's result.
        """
        with self._borrowed() as client, _mapped(sql):
            return client.query(sql, parameters=dict(parameters), settings=dict(settings))

    def arrow(
        self, sql: str, parameters: Mapping[str, Any], settings: Mapping[str, Any]
    ) -> tuple[bytes, Mapping[str, int]]:
        """
        Ask on a borrowed connection; returns an Arrow stream, and what the statement has read where that is known.

        The settings stand in the statement: the client would put them before it, and could not take `readonly` back.
        """
        clause = ", ".join(f"{name} = {_quoted(value)}" for name, value in {**settings, **_ARROW}.items())
        with self._borrowed() as client, _mapped(sql):
            stream: bytes = client.raw_query(f"{sql} SETTINGS {clause} FORMAT ArrowStream", parameters=dict(parameters))
            return stream, getattr(getattr(client, "_backend", None), _TOLD, {})

    def sync_folders(self) -> None:
        """
        Make durable that the store's folders and tables are there: the engine fsyncs files, and parts' own folders.
        """
        with _unsynced(self._folder):
            fsync_folder(self._folder.parent)
            for folder, below, files in os.walk(self._folder):
                if "checksums.txt" in files:
                    below.clear()
                else:
                    fsync_folder(Path(folder))

    def sync_parts(self) -> None:
        """
        Make durable which parts the tables have: the engine renames a part into its table's folder without a word more.
        """
        if not self._tables:
            sql = "SELECT arrayJoin(data_paths) FROM system.tables"
            sql += " WHERE database = {name:String} AND engine LIKE {kind:String}"
            rows = self.rows(sql, {"name": DATABASE, "kind": "%MergeTree"})
            self._tables = [self._folder / "engine" / path for (path,) in rows]
        with _unsynced(self._folder):
            for folder in self._tables:
                fsync_folder(folder)

    @contextlib.contextmanager
    def _borrowed(self) -> Iterator[Any]:
        with self._slots:
            try:
                client = self._idle.get_nowait()
            except queue.Empty:
                client = self._connect()
            try:
                yield client
            except BaseException:
                self._discard(client)
                raise
            self._idle.put(client)

    def _discard(self, client: Any) -> None:
        with self._lock:
            self._all.remove(client)
        with contextlib.suppress(Exception):
            client.close()

    def close(self) -> None:
        """
        Close every connection.
        """
        with self._lock:
            for client in self._all:
                with contextlib.suppress(Exception):
                    client.close()
            self._all.clear()


def _end_at_crashes() -> None:
    """
    Have a crash in native code, whosever it is, show where each thread was and end the process, to be started again.

    chDB's own handlers of such signals wait five minutes for a server's log: the process would neither answer nor end.
    """
    if sys.__stderr__ is None or threading.current_thread() is not threading.main_thread():
        return
    for number in _CRASHES:
        signal.signal(number, signal.SIG_DFL)
    faulthandler.disable()  # it would go on to the handlers that it found when it was enabled
    with contextlib.suppress(ValueError, OSError):  # stderr is closed
        faulthandler.enable(sys.__stderr__)


def _summary(result: Any) -> dict[str, int]:
    """
    Return what a statement of chDB has read from the tables, under the names that ClickHouse's server has for it.

    The client says how large the answer was instead.
    """
    return {
        "read_rows": int(result.storage_rows_read()),
        "read_bytes": int(result.storage_bytes_read()),
        "elapsed_ns": int(result.elapsed() * 1_000_000_000),
    }


def _telling(backend: Any, run: Callable[..., Any]) -> Callable[..., Any]:
    """
    Return what runs a raw statement, and leaves with the backend what it has read: the client gives the bytes alone.
    """

    def told(*args: Any, **options: Any) -> Any:
        setattr(backend, _TOLD, {})
        result = run(*args, **options)
        setattr(backend, _TOLD, _summary(result))
        return result

    return told


def _quoted(value: Any) -> str:
    """
    Return the value of a setting as SQL text.
    """
    text = str(value).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{text}'"


class Session:
    """
    A connection for the statements of one thread, beside the loader's; made at the first one, and anew after an error.
    """

    def __init__(self, engine: Engine) -> None:
        """
        Its connections end with the engine's.
        """
        self._engine = engine
        self._client: Any = None

    def command(
        self, sql: str, parameters: Mapping[str, Any] | None = None, settings: Mapping[str, Any] | None = None
    ) -> None:
        """
        Run a statement of ours.
        """
        with self._connected() as client, _mapped(sql):
            client.command(sql, parameters=dict(parameters or {}), settings=dict(settings or {}))

    def rows(
        self, sql: str, parameters: Mapping[str, Any] | None = None, settings: Mapping[str, Any] | None = None
    ) -> list[Any]:
        """
        Ask.
        """
        with self._connected() as client, _mapped(sql):
            return list(client.query(sql, parameters=dict(parameters or {}), settings=dict(settings or {})).result_rows)

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """
        Insert a few rows of ours.
        """
        if rows:
            with self._connected() as client, _mapped(table):
                client.insert(f"{DATABASE}.{table}", rows, column_names=columns)

    @contextlib.contextmanager
    def _connected(self) -> Iterator[Any]:
        if self._client is None:
            self._client = self._engine._connect(nice=GIVES_WAY)  # noqa: SLF001 - a part of the engine
        try:
            yield self._client
        except BaseException:
            client, self._client = self._client, None
            self._engine._discard(client)  # noqa: SLF001 - as above
            raise


def fsync_folder(folder: Path) -> None:
    """
    Make a folder's entries durable; one that a merge has removed meanwhile has none.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _unsynced(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"the store {folder} cannot be made durable ({error.strerror}): see to the disk") from error


@contextlib.contextmanager
def _mapped(statement: str) -> Iterator[None]:
    """
    Turn the client's errors into StoreError: what failed, without values.
    """
    try:
        yield
    except Exception as error:
        raise StoreError(f"{statement.split('(', 1)[0].strip()[:80]}: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0][:400] if str(error) else type(error).__name__
