"""
Several questions of one request: one statement, each its own answer, and each its own faults.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest
from starlette.applications import Starlette

from metriclake._errors import MetriclakeError, OverLimit
from metriclake.problems import on_error
from metriclake.query import Declared, Desk, Query
from metriclake.query.question import MAX_QUERIES
from metriclake.query.turns import Turns, TurnTerms
from metriclake.store import Bounds, TenantReader
from metriclake.tokens import mint_tenant
from store.shelf import Shelf, event

pytestmark = pytest.mark.engine

NDJSON = "application/x-ndjson"
KEY = "a-signing-key-of-the-tests-0123456789"
JUNE = {"from": "2026-06-01T00:00:00Z", "to": "2026-07-01T00:00:00Z"}
COUNT = {"metric": "uploads", "range": JUNE}
QUERIES: Mapping[str, dict[str, Any]] = {
    "count": COUNT,
    "by day": {**COUNT, "interval": "day", "fill": "zero", "compare": "previous_period"},
    "by kind": {**COUNT, "measure": "size", "aggregate": "sum", "group_by": ["kind"], "limit": 1},
    "p95": {**COUNT, "measure": "size", "aggregate": "p95", "interval": "week", "timezone": "Asia/Kolkata"},
    "\U0001f600": {**COUNT, "aggregate": "rate"},
    "again": COUNT,
}

PATIENT = Bounds(seconds=600)
"""Of a machine that has other things to do."""

Ask = Callable[..., httpx.Response]


@pytest.fixture(scope="module", autouse=True)
def _events(shelf: Shelf) -> None:
    """
    Load a tenant's events of a few days, and a neighbour's.
    """
    noon = datetime(2026, 6, 10, 12, tzinfo=UTC)
    shelf.load(
        *(
            event("acme", str(index), time=noon + timedelta(days=index % 4), dimensions={"kind": "abc"[index % 3]},
                  size=float(index))
            for index in range(12)
        ),
        event("acme", "x", metric="other", time=noon),
        event("globex", "1", time=noon, dimensions={"kind": "secret"}, size=1000.0),
    )  # fmt: skip


@pytest.fixture
def ask(shelf: Shelf) -> Ask:
    """
    Return what sends a body of one tenant; `bounds` are its reader's.
    """

    def send(
        body: Any,
        tenant: str = "acme",
        bounds: Bounds = PATIENT,
        accept: str = "*/*",
        turns: Turns | None = None,
        before: Any = None,
        **claims: Any,
    ) -> httpx.Response:
        reader = lambda name: TenantReader(shelf.engine, shelf.catalogue, name, bounds)  # noqa: E731
        desk = Desk(reader, lambda _: datetime(2026, 7, 1, tzinfo=UTC), turns=turns)
        query = Query(desk, KEY, lambda: Declared(1, dict), lambda _: {}, lambda _: lambda _: False)
        handlers: Any = {MetriclakeError: on_error}
        app = Starlette(routes=query.routes(), exception_handlers=handlers)
        token = mint_tenant(KEY, tenant, now=datetime.now(UTC), **claims)

        async def work() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
                headers = {"Authorization": f"Bearer {token}", "Accept": accept}
                if before is not None:
                    await client.post("/v1/query", json=before, headers=headers)
                return await client.post("/v1/query", json=body, headers=headers)

        return asyncio.run(work())

    return send


def lines(answer: httpx.Response) -> dict[str, dict[str, Any]]:
    """
    Return the answers that came by lines, in the order in which they came.
    """
    assert answer.headers["Content-Type"].startswith("application/x-ndjson")
    told = [msgspec.json.decode(line) for line in answer.content.splitlines()]
    return {line["query"]: line.get("answer") or line["problem"] for line in told}


class Closing(Turns):
    """
    Turns of which there are so many, and then no more.
    """

    def __init__(self, open_for: int) -> None:
        """
        Let in so many questions.
        """
        super().__init__(2, lambda _: TurnTerms())
        self._left = open_for

    @asynccontextmanager
    async def turn(self, tenant: str) -> AsyncIterator[None]:
        """
        Give a turn, or send away.
        """
        if self._left == 0:
            raise OverLimit("ask again later", 7)
        self._left -= 1
        async with super().turn(tenant):
            yield


def timeless(answer: dict[str, Any]) -> dict[str, Any]:
    """
    Return an answer without how long it took.
    """
    return {**answer, "meta": {key: value for key, value in answer["meta"].items() if key != "elapsed_ms"}}


def test_each_name_has_the_answer_of_its_question(ask: Ask) -> None:
    """
    What is answered together is what each question is answered alone, in the order in which it was asked.
    """
    answer = ask({"queries": QUERIES})

    assert answer.status_code == 200
    found = answer.json()["queries"]
    assert list(found) == list(QUERIES)
    assert {name: timeless(one) for name, one in found.items()} == {
        name: timeless(ask(question).json()) for name, question in QUERIES.items()
    }
    assert found["count"]["rows"] == [[12]]


def test_one_statement_reads_them_all(ask: Ask, shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    There is one statement, and what several questions need is read once.
    """
    statements: list[str] = []
    read = shelf.engine.read

    def noted(sql: str, parameters: Mapping[str, Any], settings: Mapping[str, Any]) -> Any:
        statements.append(sql)
        return read(sql, parameters, settings)

    assert ask(COUNT).status_code == 200
    monkeypatch.setattr(shelf.engine, "read", noted)

    assert ask({"queries": QUERIES}).status_code == 200
    assert len(statements) == 1
    assert statements[-1].count("UNION ALL") == 3


def test_answers_come_as_they_are_made_to_who_asks_for_lines(
    ask: Ask, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    As NDJSON the first two questions are answered by one statement, up to four more by the next; as in one document.
    """
    whole = ask({"queries": QUERIES}).json()["queries"]
    statements: list[str] = []
    read = shelf.engine.read

    def noted(sql: str, parameters: Mapping[str, Any], settings: Mapping[str, Any]) -> Any:
        statements.append(sql)
        return read(sql, parameters, settings)

    monkeypatch.setattr(shelf.engine, "read", noted)

    found = lines(ask({"queries": QUERIES}, accept=NDJSON))

    assert {name: timeless(one) for name, one in found.items()} == {name: timeless(one) for name, one in whole.items()}
    assert list(found) == ["count", "again", "by day", "by kind", "p95", "\U0001f600"]
    assert [statement.count("UNION ALL") for statement in statements] == [1, 2]


def test_what_is_in_memory_comes_first(ask: Ask) -> None:
    """
    Of lines those are the first for which nothing has to be read, in whatever order they were asked.
    """
    queries = {"new": QUERIES["p95"], "wrong": {**COUNT, "measure": "sizes"}, "known": COUNT}

    found = lines(ask({"queries": queries}, accept=NDJSON, before=COUNT))

    assert next(iter(found)) == "known"
    assert found["known"]["meta"]["cached"]
    assert found["wrong"]["status"] == 400
    assert lines(ask({"queries": {"not": {**COUNT, "metric": "other"}}}, accept=NDJSON, metrics=("uploads",)))["not"][
        "status"
    ] == 403  # fmt: skip


def test_who_is_over_the_limit_is_told_by_the_status_until_something_is_answered(ask: Ask) -> None:
    """
    A refusal before the first line is an answer of its own; after it, it stands in place of what was not read.
    """
    refused = ask({"queries": QUERIES}, accept=NDJSON, turns=Closing(0))
    found = lines(ask({"queries": QUERIES}, accept=NDJSON, turns=Closing(1)))

    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "7")
    assert found["count"]["rows"] == [[12]]
    assert [found[name]["status"] for name in ("by kind", "p95")] == [429, 429]


def test_a_fault_of_one_spoils_no_other(ask: Ask) -> None:
    """
    A question that cannot be asked has its problem document where its answer would be; the others are answered.
    """
    wrong = {**COUNT, "interval": "dai", "measure": "sizes"}
    unheard = {**COUNT, "metric": "upload"}
    long = {"from": "2026-05-01T00:00:00Z", "to": "2026-07-01T00:00:00Z"}
    many = {**COUNT, "range": long, "interval": "minute", "group_by": ["kind"], "fill": "zero"}

    answer = ask({"queries": {"wrong": wrong, "right": COUNT, "unheard": unheard, "none": None, "many": many}})

    assert answer.status_code == 200
    found = answer.json()["queries"]
    assert found["right"]["rows"] == [[12]]
    assert found["wrong"]["status"] == 400
    assert {fault["place"]: fault["hint"] for fault in found["wrong"]["errors"]} == {
        "interval": "did you mean `day`?",
        "measure": "did you mean `size`?",
    }
    assert [fault["hint"] for fault in found["unheard"]["errors"]] == ["did you mean `uploads`?"]
    assert [fault["place"] for fault in found["none"]["errors"]] == ["question", "range", "metric"]
    assert [fault["place"] for fault in found["many"]["errors"]] == ["fill"]
    assert "columns" not in found["wrong"]


def test_a_token_allows_some_of_them(ask: Ask) -> None:
    """
    What a token's list of metrics does not name is refused by itself.
    """
    both = {"queries": {"mine": COUNT, "not": {**COUNT, "metric": "other"}, "unheard": {**COUNT, "metric": "x"}}}

    found = ask(both, metrics=("uploads",)).json()["queries"]

    assert found["mine"]["rows"] == [[12]]
    assert [found[name]["status"] for name in ("not", "unheard")] == [403, 403]
    assert found["not"]["detail"] == found["unheard"]["detail"]


def test_each_tenant_is_answered_of_its_own(ask: Ask) -> None:
    """
    The same questions of another tenant have another answer, and no name of the neighbour's in it.
    """
    groups = {"queries": {"a": {**COUNT, "group_by": ["kind"]}, "b": {**COUNT, "group_by": ["kind"], "limit": 1}}}

    assert ask(groups, "globex").json()["queries"]["a"]["rows"] == [["secret", 1]]
    assert "secret" not in ask(groups).text


def test_one_that_needs_too_much_leaves_the_others_their_answers(ask: Ask) -> None:
    """
    Where all together pass a bound, each is read by itself, and only what passes it then is refused.
    """
    bounds = Bounds(rows=6)
    queries = {"few": COUNT, "many": {**COUNT, "interval": "day", "group_by": ["kind"]}, "some": QUERIES["p95"]}

    found = ask({"queries": queries}, bounds=bounds).json()["queries"]

    assert found["few"]["rows"] == [[12]]
    assert len(found["some"]["rows"]) == 1
    assert found["many"]["status"] == 422
    assert "6 rows of answer" in found["many"]["detail"]
    assert found["many"]["errors"][0]["hint"].startswith("ask it by itself")
    alone = ask({"queries": {"many": queries["many"]}}, bounds=bounds).json()["queries"]["many"]
    assert alone["errors"][0]["hint"].startswith("ask for a shorter range")


def test_they_have_as_many_rows_together_as_one_alone(ask: Ask) -> None:
    """
    Answers that are each within the bound, and together beyond it, are given as long as there is room.
    """
    several = {**COUNT, "interval": "day"}
    rows = len(ask(several).json()["rows"])
    bounds = Bounds(rows=2 * rows)
    queries = {str(index): {**several, "filters": [{"measure": "size", "gte": -index}]} for index in range(3)}

    found = ask({"queries": queries}, bounds=bounds).json()["queries"]

    assert [len(found[name].get("rows", ())) for name in queries] == [rows, rows, 0]
    assert found["2"]["status"] == 422
    assert f"more than {2 * rows} rows of answer, together with the questions beside it" in found["2"]["detail"]
    assert found["2"]["errors"][0]["hint"].startswith("ask it by itself, or ask for a shorter range")


def test_they_have_as_many_intervals_together_as_one_alone(ask: Ask) -> None:
    """
    Fifty questions of ten years by the hour are not fifty times the work of one; what is small beside them is answered.
    """
    years = {**COUNT, "range": {"last": "3650d"}, "interval": "hour", "fill": "zero", "timezone": "Australia/Lord_Howe"}
    queries = {str(index): {**years, "filters": [{"measure": "size", "gte": index}]} for index in range(3)}

    found = ask({"queries": {**queries, "small": {**COUNT, "interval": "day"}}}).json()["queries"]

    assert len(found["0"]["rows"]) > 87_000
    assert [found[name]["status"] for name in ("1", "2")] == [422, 422]
    assert found["1"]["errors"][0]["place"] == "interval"
    assert found["small"]["rows"] != []


def test_they_fill_as_many_rows_together_as_one_alone(ask: Ask) -> None:
    """
    Where gaps of several groups are filled, the rows count, and the question that is too much says so.
    """
    filled = {**COUNT, "range": {"last": "1300d"}, "interval": "hour", "fill": "zero", "group_by": ["kind"]}
    queries = {str(index): {**filled, "filters": [{"measure": "size", "gte": -index}]} for index in range(3)}

    found = ask({"queries": queries}).json()["queries"]

    assert len(found["0"]["rows"]) > 60_000
    assert [(found[name]["status"], found[name]["errors"][0]["place"]) for name in ("1", "2")] == [(422, "fill")] * 2


@pytest.mark.parametrize(
    ("body", "places"),
    [
        ({"queries": {}}, ["queries"]),
        ({"queries": []}, ["queries"]),
        ({"queries": None}, ["queries"]),
        ({"queries": COUNT, "metric": "uploads", "range": JUNE}, ["metric", "range"]),
        ({"queries": {"x" * 101: COUNT}}, ["queries"]),
        ({"queries": dict.fromkeys(map(str, range(MAX_QUERIES + 1)), COUNT)}, ["queries"]),
        ({"queries": [], "metric": "uploads"}, ["metric", "queries"]),
    ],
    ids=["empty", "list", "null", "beside", "long-name", "too-many", "two-faults"],
)
def test_a_wrong_body_is_a_400(ask: Ask, body: Any, places: list[str]) -> None:
    """
    What is wrong with the request itself is answered as a whole.
    """
    answer = ask(body)

    assert answer.status_code == 400
    assert sorted(fault["place"] for fault in answer.json()["errors"]) == places


def test_as_many_as_are_allowed_are_answered(ask: Ask) -> None:
    """
    A dashboard of the most questions there may be, all of them different, has all its answers.
    """
    queries = {str(index): {**COUNT, "filters": [{"measure": "size", "gte": index}]} for index in range(MAX_QUERIES)}

    found = ask({"queries": queries}).json()["queries"]

    assert [found[str(index)]["rows"] for index in range(MAX_QUERIES)] == [
        [[max(0, 12 - index)]] for index in range(MAX_QUERIES)
    ]


@pytest.mark.parametrize("zone", ["America/St_Johns", "Asia/Kolkata", "Pacific/Apia"])
def test_the_first_hours_that_there_are_can_be_asked_for(ask: Ask, zone: str) -> None:
    """
    An hour that began before 1970, by the clocks of a zone, is answered as any other.
    """
    first = {"from": "1970-01-01T00:00:00Z", "to": "1970-01-01T02:00:00Z"}
    asked = {**COUNT, "aggregate": "rate", "range": first, "interval": "hour", "timezone": zone, "fill": "zero"}

    answer = ask({**asked, "compare": "previous_period"})

    assert answer.status_code == 200
    assert [row[1:] for row in answer.json()["rows"]] == [[0, 0]] * len(answer.json()["rows"])
    assert len(answer.json()["rows"]) in (2, 3)
