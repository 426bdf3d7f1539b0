"""
An export over HTTP: whole or visibly not, for the token's tenant alone, a page at a time.
"""

from __future__ import annotations

import csv
import importlib
import io
import json
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import httpx
import jwt
import pytest

from metriclake._errors import StoreError
from metriclake.query import Exports
from metriclake.query.usage import Usage
from metriclake.store import ExportReader
from metriclake.store import export as exporting
from patience import until
from query.served import KEY, bearing, minted, served
from query.test_query_routes import ACME, TOKENS, ends
from store.shelf import NOW, Shelf, event

pytestmark = pytest.mark.engine

pa: Any = importlib.import_module("pyarrow")
arrow_ipc: Any = importlib.import_module("pyarrow.ipc")
arrow_parquet: Any = importlib.import_module("pyarrow.parquet")

READERS: dict[str, Callable[[bytes], list[dict[str, Any]]]] = {
    "csv": lambda content: list(csv.DictReader(io.StringIO(content.decode(), newline=""))),
    "ndjson": lambda content: [json.loads(line) for line in content.splitlines()],
    "parquet": lambda content: list(arrow_parquet.read_table(pa.BufferReader(content)).to_pylist()),
    "arrow": lambda content: list(arrow_ipc.open_stream(content).read_all().to_pylist()),
}
OLD = NOW - timedelta(days=400)
LATELY = {"from": (NOW - timedelta(days=30)).isoformat(), "to": (NOW + timedelta(days=1)).isoformat()}
MEDIA = {
    "csv": "text/csv; charset=utf-8",
    "ndjson": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
    "arrow": "application/vnd.apache.arrow.stream",
}


class Tap:
    """
    The engine's way out: counts the statements of exports, and stops or fails them when told to.
    """

    def __init__(self, shelf: Shelf) -> None:
        """
        Let everything through.
        """
        self._ask = shelf.engine.arrow
        self._lock = threading.Lock()
        self.open = threading.Event()
        self.open.set()
        self.fails_after: int | None = None
        self.asked = self.at_once = self.most_at_once = 0

    def arrow(self, sql: str, parameters: Mapping[str, Any], settings: Mapping[str, Any]) -> Any:
        """
        Ask the engine.
        """
        with self._lock:
            self.asked += 1
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            assert self.open.wait(20)
            if self.fails_after is not None and self.asked > self.fails_after:
                raise StoreError("the disk is gone")
            return self._ask(sql, parameters, settings)
        finally:
            with self._lock:
                self.at_once -= 1


@pytest.fixture(scope="module", autouse=True)
def _rows(shelf: Shelf) -> None:
    """
    Load two metrics of a tenant, one of them too large for the network's buffers, and its neighbour's.
    """
    shelf.load(
        *(
            event(
                "acme", f"{index}", time=NOW - timedelta(hours=index % 70), dimensions={"kind": "ab"[index % 2]}, n=1.5
            )
            for index in range(100)
        ),
        *(event("acme", f"{index}", metric="large", time=OLD, text="x" * 2000) for index in range(12_000)),
        event("globex", "1", dimensions={"secret": "hidden"}, salary=99.0),
        event("globex", "2", metric="secrets", salary=99.0),
    )


@pytest.fixture
def tap(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tap]:
    """
    Listen to the engine.
    """
    found = Tap(shelf)
    monkeypatch.setattr(shelf.engine, "arrow", found.arrow)
    yield found
    found.open.set()


@pytest.fixture(scope="module")
def usage() -> Usage:
    """
    Count what the exports take.
    """
    return Usage()


@pytest.fixture(scope="module")
def exports(shelf: Shelf, usage: Usage) -> Exports:
    """
    Make the exports of the store.
    """
    reader = lambda tenant: ExportReader(shelf.engine, shelf.catalogue, tenant)  # noqa: E731
    return Exports(reader, KEY, lambda: shelf.number, usage)


@pytest.fixture(scope="module")
def client(exports: Exports) -> Iterator[httpx.Client]:
    """
    Serve the exports.
    """
    with served(exports.routes()) as (client, _):
        yield client


def get(client: httpx.Client, token: str | None = None, **params: Any) -> httpx.Response:
    """
    Ask for an export: of tenant acme unless told otherwise.
    """
    return client.get("/v1/export", params=params, headers=bearing(minted() if token is None else token))


def took(usage: Usage, tenant: str) -> Counter[str]:
    """
    Return what is counted of a tenant.
    """
    found = next((one for one in usage.as_json()["tenants"] if one["tenant"] == tenant), {"tenant": tenant})
    return Counter({key: value for key, value in found.items() if key != "tenant"})


def says(answer: httpx.Response, status: int) -> str:
    """
    Return the detail of a problem document.
    """
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")
    detail: str = answer.json()["detail"]
    return detail


@pytest.mark.parametrize("form", READERS)
def test_a_tenant_gets_its_rows_as_a_file(client: httpx.Client, form: str) -> None:
    """
    Each format comes with its media type, a file's name and the number of rows, and its own reader reads them all.
    """
    answer = get(client, format=form, metric="uploads")
    rows = READERS[form](answer.content)

    assert (answer.status_code, answer.headers["Content-Type"]) == (200, MEDIA[form])
    assert answer.headers["Content-Disposition"] == f'attachment; filename="acme_uploads.{form}"'
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Content-Length" not in answer.headers
    assert len(rows) == int(answer.headers["X-Rows"]) == 100
    assert {row["kind"] for row in rows} == {"a", "b"}
    assert {float(row["n"]) for row in rows} == {1.5}
    assert (
        get(client, format="csv", metric="uploads").content
        == client.get("/v1/export?metric=uploads", headers={**bearing(minted()), "Accept": "text/csv"}).content
    )


def test_an_export_is_bounded_by_range_metric_and_filter(client: httpx.Client) -> None:
    """
    What is asked for is what comes.
    """
    start, end = NOW - timedelta(hours=10), NOW - timedelta(hours=3)
    some = {"from": start.isoformat(), "to": end.isoformat()}
    rows = READERS["ndjson"](get(client, format="ndjson", metric=["uploads"], filter=["kind=a"], **some).content)

    assert {row["event_id"] for row in rows} == {str(i) for i in range(100) if 3 < i % 70 <= 10 and i % 2 == 0}
    assert READERS["ndjson"](get(client, format="ndjson", last="1m").content) == []
    assert get(client, token=minted("nobody"), format="ndjson").content == b""
    assert get(client, token=minted("nobody")).text == '"time","metric","event_id"\r\n'


@pytest.mark.parametrize("form", READERS)
def test_no_byte_of_a_neighbour_is_in_an_export(client: httpx.Client, form: str) -> None:
    """
    All that a tenant may have holds neither rows nor names of another.
    """
    content = get(client, format=form, **LATELY).content

    assert len(READERS[form](content)) == 100
    assert not any(word in content for word in (b"hidden", b"salary", b"globex", b"secret"))
    assert len(READERS[form](get(client, minted("globex"), format=form).content)) == 2


@pytest.mark.filterwarnings("ignore:The HMAC key is:jwt.warnings.InsecureKeyLengthWarning")
@pytest.mark.parametrize("name", TOKENS)
def test_every_doubt_about_a_token_is_a_401(client: httpx.Client, tap: Tap, name: str) -> None:
    """
    A token that is missing, forged or expired opens nothing, and the store is not even asked.
    """
    assert says(get(client, TOKENS[name]()), 401)
    assert tap.asked == 0


def test_what_a_token_does_not_allow_is_a_403(client: httpx.Client) -> None:
    """
    A metric outside of the token's list is refused by name and left out of all; other pages and dashboards are refused.
    """
    some = minted("globex", metrics=("uploads",))
    bound = jwt.encode({**ACME, "exp": ends(60), "dashboards": ["default"]}, KEY)

    assert says(get(client, some, metric="secrets"), 403)
    assert says(get(client, some, metric=["uploads", "unheard"]), 403)
    assert [row["metric"] for row in READERS["ndjson"](get(client, some, format="ndjson").content)] == ["uploads"]
    assert READERS["csv"](get(client, minted(metrics=())).content) == []
    assert says(get(client, bound), 403)
    page = {**bearing(minted(origin="https://a.example")), "Origin": "https://b.example"}
    assert says(client.get("/v1/export", headers=page), 403)


def test_faults_are_a_problem_document(client: httpx.Client) -> None:
    """
    All that is wrong with a URL is said at once; a neighbour's names are as unknown as nobody's.
    """
    answer = get(client, format="xls", last="1x")
    assert {fault["place"] for fault in answer.json()["errors"]} == {"format", "last"}
    for params in ({"metric": "secrets"}, {"filter": "secret=hidden"}):
        says(answer := get(client, **params), 400)
        assert answer.json()["errors"][0]["error"].startswith("there is no")
        assert "did you mean" not in answer.text


def test_a_failure_before_the_first_byte_is_a_problem_document(
    client: httpx.Client, tap: Tap, exports: Exports
) -> None:
    """
    Where the first page cannot be read the answer says so, and the place is free again.
    """
    tap.fails_after = 1

    assert says(get(client, metric="uploads"), 503)
    assert len(exports) == 0
    tap.fails_after = None
    assert get(client, metric="uploads").status_code == 200


@pytest.mark.parametrize("form", READERS)
def test_a_failure_after_it_cuts_the_connection(
    client: httpx.Client,
    tap: Tap,
    exports: Exports,
    form: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """
    Where a later page cannot be read the body has no end, which every client sees; the log says why.
    """
    monkeypatch.setattr("metriclake.query.export._PART_BYTES", 1)
    tap.fails_after = 3
    caplog.set_level(logging.INFO)

    with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
        get(client, format=form)
    until(lambda: len(exports) == 0)
    (ended,) = [record for record in caplog.records if record.message == "an export has ended"]
    assert getattr(ended, "end", "").startswith("cut: the disk is gone")


@contextmanager
def begun(client: httpx.Client, **params: Any) -> Iterator[Iterator[bytes]]:
    """
    Begin an export of which only what is asked for is read.
    """
    asked = {"format": "ndjson", "metric": "large", **params}
    with client.stream("GET", "/v1/export", params=asked, headers=bearing(minted())) as answer:
        assert answer.status_code == 200, answer.read()
        yield answer.iter_raw(1000)


def test_a_client_that_goes_away_stops_the_export(
    client: httpx.Client, tap: Tap, exports: Exports, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Nothing more is read for who has gone, and the place is free again.
    """
    monkeypatch.setattr(exporting, "_PAGE_BYTES", 100_000)
    with begun(client) as parts:
        next(parts)
    until(lambda: len(exports) == 0)

    whole = 12_000 * 2000 / 100_000
    assert tap.asked < whole / 2


def test_pages_are_read_as_they_are_taken(client: httpx.Client, tap: Tap, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    While the client does not read, neither does the server; it uses one connection of the store at most.
    """
    monkeypatch.setattr(exporting, "_PAGE_BYTES", 100_000)
    whole = 12_000 * 2000 / 100_000
    with begun(client) as parts:
        next(parts)
        seen = -1
        while seen != tap.asked:
            seen = tap.asked
            threading.Event().wait(0.1)
        assert seen < whole / 2
        assert sum(map(len, parts)) > 12_000 * 2000 - 1000

    assert tap.asked > whole / 2
    assert tap.most_at_once == 1


def test_exports_of_a_tenant_are_limited(client: httpx.Client, exports: Exports) -> None:
    """
    The third export at once is answered with 429 and when to come again; others are not hindered.
    """
    with begun(client) as one, begun(client) as other:
        next(one)
        next(other)
        answer = get(client)
        assert says(answer, 429)
        assert int(answer.headers["Retry-After"]) > 0
        assert get(client, minted("globex")).status_code == 200
    until(lambda: len(exports) == 0)
    assert get(client, metric="uploads").status_code == 200


def test_few_exports_read_at_once(client: httpx.Client, tap: Tap) -> None:
    """
    However many exports there are, two of them read the store at once: questions keep their connections.
    """
    tap.open.clear()
    tokens = [minted(tenant) for tenant in ("acme", "acme", "globex", "globex", "nobody", "nobody", "x", "y")]
    answers: list[httpx.Response] = []
    threads = [threading.Thread(target=lambda t=token: answers.append(get(client, t, last="1d"))) for token in tokens]
    for thread in threads:
        thread.start()
    until(lambda: tap.at_once == 2)
    threading.Event().wait(0.1)
    assert says(get(client, minted("z")), 503)
    tap.open.set()
    for thread in threads:
        thread.join(20)

    assert [answer.status_code for answer in answers] == [200] * 8
    assert tap.most_at_once == 2


def test_a_tenant_reads_one_page_at_once(client: httpx.Client, tap: Tap) -> None:
    """
    Two exports of a tenant take turns, and the other place stays free for a neighbour's.
    """
    tap.open.clear()
    answers: list[httpx.Response] = []
    tokens = [minted(), minted(), minted("globex")]
    threads = [threading.Thread(target=lambda t=token: answers.append(get(client, t, last="1d"))) for token in tokens]
    for thread in threads[:2]:
        thread.start()
    until(lambda: tap.at_once == 1)
    threading.Event().wait(0.1)
    assert tap.at_once == 1
    threads[2].start()
    until(lambda: tap.at_once == 2)
    tap.open.set()
    for thread in threads:
        thread.join(20)

    assert [answer.status_code for answer in answers] == [200] * 3


@pytest.mark.parametrize("form", READERS)
def test_what_an_export_takes_is_its_tenants(client: httpx.Client, usage: Usage, form: str) -> None:
    """
    Each export is counted, with the rows and bytes that its pages read, and the time that they took.
    """
    before = took(usage, "acme")
    answer = get(client, format=form)
    assert answer.headers["X-Rows"] == "12100"
    after = took(usage, "acme")

    assert after["exports"] == before["exports"] + 1
    assert after["statements"] >= before["statements"] + 4
    assert after["rows_read"] >= before["rows_read"] + 12_100
    assert after["bytes_read"] >= before["bytes_read"] + 12_000 * 2000
    assert after["engine_ms"] > before["engine_ms"]
    assert after["cpu_ms"] > before["cpu_ms"]
    assert after["questions"] == 0


def test_head_tells_without_rows(client: httpx.Client, exports: Exports) -> None:
    """
    HEAD has the headers of the export, and holds no place.
    """
    answer = client.head("/v1/export", params={"metric": "uploads", "format": "arrow"}, headers=bearing(minted()))

    assert (answer.status_code, answer.headers["X-Rows"], answer.content) == (200, "100", b"")
    assert answer.headers["Content-Type"] == MEDIA["arrow"]
    assert len(exports) == 0


def test_the_log_says_who_exported_what(client: httpx.Client, caplog: pytest.LogCaptureFixture) -> None:
    """
    Two lines stand for an export: its tenant, key, metrics, range and size, and no value of a row or filter.
    """
    caplog.set_level(logging.INFO, "metriclake.query.export")
    size = len(get(client, metric="uploads", filter="kind=a", last="1d").content)
    until(lambda: len(caplog.records) == 2)
    begins, ended = (vars(record) for record in caplog.records)

    assert (begins["message"], ended["message"]) == ("an export begins", "an export has ended")
    told = {"tenant": "acme", "by": "tenant token", "metrics": "uploads", "filters": 1, "format": "csv", "rows": 0}
    assert all(told.items() <= line.items() for line in (begins, ended))
    assert (ended["end"], ended["bytes"]) == ("whole", size)
