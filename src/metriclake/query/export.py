"""
Exports: a tenant's rows as a file, sent as it is made.

Nothing waits in memory but a page: the next one is read when the client has taken the one before. What goes wrong
before the first byte is a problem document; after it the connection is cut, so that nobody takes a part for the whole.
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from metriclake._errors import Fault, InvalidQuestion, MetriclakeError
from metriclake.event import is_tenant_id
from metriclake.query.claims import allowed_of, check_metrics, claims_of
from metriclake.query.places import Places
from metriclake.query.streamed import Cut, Streamed
from metriclake.query.turns import Turns, TurnTerms
from metriclake.query.usage import Usage
from metriclake.query.wanted import FileFormat, Wanted, extract, file_name, read
from metriclake.store import (
    EXPORTERS,
    ArrowFormat,
    CsvFormat,
    ExportReader,
    Extract,
    Format,
    NdjsonFormat,
    ParquetFormat,
    Spent,
)

_Result = TypeVar("_Result")
_LOG = logging.getLogger(__name__)
_OF_TENANT = 2
_MOST = 8
"""How many exports are under way of a tenant, and in all."""
_TERMS = TurnTerms(concurrent=1, waiting=_MOST, patience=600.0)
"""Pages of a tenant at once, which leaves its neighbours the other place; all of them together take no such time."""

_PART_BYTES = 256 * 1024
"""What is handed to the network at once, at least."""

TENANT_TOKEN = "tenant token"  # noqa: S105 - the kind of a key, for the log
ADMIN_KEY = "admin key"


@dataclass(frozen=True, slots=True)
class _Export:
    """
    One export that is about to begin: who asked, for what, and how many rows there are.
    """

    tenant: str
    by: str
    wanted: Wanted
    extract: Extract
    rows: int

    @property
    def facts(self) -> dict[str, Any]:
        """
        Return what the log says of it: never a value of a row or of a filter.
        """
        span = self.extract.start, self.extract.end
        return {
            "tenant": self.tenant,
            "by": self.by,
            "metrics": ",".join(self.wanted.metrics) or "(all)",
            "from": span[0].isoformat(),
            "to": span[1].isoformat(),
            "filters": len(self.wanted.filters),
            "format": self.wanted.form.value,
            "rows": self.rows,
        }

    @property
    def headers(self) -> dict[str, str]:
        """
        Return the headers of the answer.
        """
        name = file_name(self.wanted, self.tenant, (self.extract.start, self.extract.end))
        return {
            "Content-Disposition": f'attachment; filename="{name}"',
            "X-Rows": str(self.rows),
            "X-Content-Type-Options": "nosniff",
        }


class Exports:
    """
    The exports of one server.
    """

    def __init__(
        self,
        reader: Callable[[str], ExportReader],
        signing_key: str,
        upto: Callable[[], int],
        usage: Usage | None = None,
    ) -> None:
        """
        `reader` makes the reader of a verified tenant; `upto` returns the last object whose rows are all in the store.

        What a tenant's exports take is counted in `usage`; what the admin key's take is nobody's.
        """
        self._reader = reader
        self._signing_key = signing_key
        self._upto = upto
        self._places = Places("exports", _OF_TENANT, lambda: _MOST)
        self._turns = Turns(EXPORTERS, lambda _who: _TERMS)
        self._usage = usage or Usage()

    def __len__(self) -> int:
        """
        Return how many are under way.
        """
        return len(self._places)

    def routes(self) -> list[BaseRoute]:
        """
        Return the routes.
        """
        return [Route("/v1/export", self.export, methods=["GET"])]

    async def export(self, request: Request) -> Response:
        """
        Export what the token's tenant has and the token allows.
        """
        claims = claims_of(request, self._signing_key)
        return await self._answer(request, claims.tenant_id, claims.metrics, TENANT_TOKEN)

    async def export_of(self, request: Request, tenant: str) -> Response:
        """
        Export what a tenant has, for the admin key, which the caller has checked.

        Raises InvalidQuestion where the store has nothing of it: a wrong name must not look like an empty export.
        """
        if not is_tenant_id(tenant) or not await self._read(ADMIN_KEY, None, self._reader(tenant).metrics):
            raise InvalidQuestion(
                (Fault("tenant", "the store has nothing of this tenant", "see GET /v1/admin/tenants"),)
            )
        return await self._answer(request, tenant, None, ADMIN_KEY)

    async def _answer(self, request: Request, tenant: str, allowed: frozenset[str] | None, by: str) -> Response:
        wanted = read(request.query_params.multi_items(), request.headers.get("accept"))
        check_metrics(allowed, wanted.metrics)
        reader = self._reader(tenant)
        payer = tenant if by == TENANT_TOKEN else None
        give_back = self._places.take(payer)
        take_turn = functools.partial(self._read, payer or ADMIN_KEY, reader)
        try:
            prepare = functools.partial(_prepare, reader, wanted, allowed, self._upto, tenant, by)
            made, amounts = await take_turn(prepare)
            if request.method == "HEAD":
                give_back()
                return Response(headers={"Cache-Control": "no-store", **made.headers}, media_type=wanted.form.media)
            parts = reader.export(made.extract, amounts, _format(wanted))
            _LOG.info("an export begins", extra=made.facts)
            if payer is not None:
                self._usage.exported(payer)
            first = await take_turn(functools.partial(_some, parts))
        except BaseException:
            give_back()
            raise
        following = functools.partial(take_turn, functools.partial(_some, parts))
        return Streamed(_parts(made, first, following), give_back, made.headers, wanted.form.media)

    async def _read(self, who: str, reader: ExportReader | None, work: Callable[[], _Result]) -> _Result:
        """
        Do a part of an export's work, in turn: one of each who exports, the one whose last turn is the longest ago.

        With a reader, what that has read is counted as the tenant's.
        """

        def timed() -> _Result:
            began = time.thread_time()
            try:
                return work()
            finally:
                if reader is not None:
                    reader.spent.cpu += time.thread_time() - began

        try:
            async with self._turns.turn(who):
                return await run_sync(timed)
        finally:
            if reader is not None and who != ADMIN_KEY:
                spent, reader.spent = reader.spent, Spent()
                self._usage.spent(who, spent)


async def _parts(made: _Export, first: bytes, following: Callable[[], Awaitable[bytes]]) -> AsyncGenerator[bytes, None]:
    """
    Yield an export in parts, each read when the one before is taken, and say in the log how it ended.
    """
    began, size, end = time.monotonic(), 0, "the client went away"
    try:
        part = first
        while part:
            yield part
            size += len(part)
            part = await following()
        end = "whole"
    except MetriclakeError as error:
        end = f"cut: {error}"
        raise Cut from error
    except Exception:
        end = "cut: a fault of this server"
        raise
    finally:
        seconds = round(time.monotonic() - began, 3)
        _LOG.info("an export has ended", extra={**made.facts, "end": end, "bytes": size, "seconds": seconds})


def _prepare(
    reader: ExportReader,
    wanted: Wanted,
    allowed: frozenset[str] | None,
    upto: Callable[[], int],
    tenant: str,
    by: str,
) -> tuple[_Export, dict[str, int]]:
    last = upto()  # before the fields are read: all that these rows have are known
    found = extract(wanted, allowed_of(allowed, reader.metrics()), last, datetime.now(UTC))
    amounts = reader.count(found)
    return _Export(tenant, by, wanted, found, sum(amounts.values())), amounts


def _format(wanted: Wanted) -> Format:
    match wanted.form:
        case FileFormat.CSV:
            return CsvFormat(exact=wanted.exact)
        case FileFormat.NDJSON:
            return NdjsonFormat()
        case FileFormat.PARQUET:
            return ParquetFormat()
        case FileFormat.ARROW:
            return ArrowFormat()


def _some(parts: Iterator[bytes]) -> bytes:
    """
    Return the next parts together, nothing at the end.
    """
    taken: list[bytes] = []
    size = 0
    for part in parts:
        taken.append(part)
        size += len(part)
        if size >= _PART_BYTES:
            break
    return b"".join(taken)
