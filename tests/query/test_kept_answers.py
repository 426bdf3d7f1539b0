"""
Over the real store: an answer from memory is the answer of the store, whatever is loaded in between.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from metriclake._errors import MetriclakeError
from metriclake.problems import on_error
from metriclake.query import AnswerCache, Declared, Desk, Query, Turns, TurnTerms
from metriclake.store import Bounds, TenantReader
from metriclake.tokens import mint_tenant
from store.shelf import NOW, Shelf, event

pytestmark = pytest.mark.engine

KEY = "a-signing-key-of-the-tests-0123456789"
TENANTS = ("acme", "Acme", "globex")
METRICS = ("uploads", "logins")
WHOLE = {"from": "2026-01-01T00:00:00Z", "to": "2026-08-01T00:00:00Z"}


class Api:
    """
    The query API over a store, in a loop that is running.
    """

    def __init__(
        self, shelf: Shelf, room: int = 1_000_000, bounds: Bounds | None = None, terms: TurnTerms | None = None
    ) -> None:
        """
        `room` is that of the answers that are kept.
        """
        self.desk = Desk(
            lambda tenant: TenantReader(shelf.engine, shelf.catalogue, tenant, bounds),
            lambda _tenant: datetime.now(UTC),
            cache=AnswerCache(lambda: room),
            turns=Turns(4, lambda _tenant: terms or TurnTerms(concurrent=2, waiting=200)),
        )
        self.version = 1
        self.unit: str | None = None
        declared = lambda: Declared(self.version, lambda: {("uploads", "size"): self.unit})  # noqa: E731
        handlers: Any = {MetriclakeError: on_error}
        routes = Query(self.desk, KEY, declared, lambda _tenant: {}, lambda _: lambda _: False).routes()
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(Starlette(routes=routes, exception_handlers=handlers)), base_url="http://l"
        )

    async def ask(self, tenant: str, question: Any, **claims: Any) -> Any:
        """
        Ask for a tenant; returns the body.
        """
        return (await self.post(tenant, question, **claims)).json()

    async def post(self, tenant: str, question: Any, **claims: Any) -> httpx.Response:
        """
        Ask for a tenant; returns the answer.
        """
        token = mint_tenant(KEY, tenant, now=datetime.now(UTC), **claims)
        return await self.client.post("/v1/query", json=question, headers={"Authorization": f"Bearer {token}"})

    def statements(self, tenant: str = "acme") -> int:
        """
        Return how many statements a tenant's questions were.
        """
        accounts = self.desk.usage.as_json()["tenants"]
        found: int = next((one["statements"] for one in accounts if one["tenant"] == tenant), 0)
        return found


def ran(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """
    Run a test's coroutine.
    """
    asyncio.run(asyncio.wait_for(work(), 120))


def without(body: Any) -> Any:
    """
    Return an answer without what is another each time it is said.
    """
    meta = {key: value for key, value in body["meta"].items() if key not in {"cached", "fresh_as_of", "elapsed_ms"}}
    return {**body, "meta": meta}


def drawn(chance: random.Random) -> dict[str, Any]:
    """
    Return one of a few questions.
    """
    metric = {"metric": chance.choice(METRICS)}
    shapes: list[dict[str, Any]] = [
        {"range": WHOLE},
        {"range": {"last": "3650d"}, "measure": "size", "aggregate": "p95", "interval": "month"},
        {"range": WHOLE, "measure": "size", "group_by": ["kind"]},
    ]
    return {**metric, **chance.choice(shapes)}


def test_what_is_kept_is_not_for_tokens_that_may_not_ask_it(shelf: Shelf) -> None:
    """
    An answer that is in memory for a tenant's free token is refused to one whose dashboards do not ask for it.
    """
    question = {"metric": "uploads", "range": WHOLE}

    async def work() -> None:
        api = Api(shelf)
        shelf.load(event("acme", "kept"))
        first, again = [await api.ask("acme", question) for _ in range(2)]
        assert (first["meta"]["cached"], again["meta"]["cached"]) == (False, True)
        bound = {"dashboards": ("security",)}
        assert (await api.post("acme", question, **bound)).status_code == 403
        assert (await api.ask("acme", {"queries": {"q": question}}, **bound))["queries"]["q"]["status"] == 403

    ran(work)


def test_kept_answers_are_those_of_the_store(shelf: Shelf) -> None:
    """
    Questions and loads in any order, also at once: what is kept and what is read anew are the same, of every tenant.
    """
    chance = random.Random(7)  # noqa: S311 - test data

    def load(api: Api, number: int) -> None:
        events = [
            event(
                tenant,
                f"{number}",
                metric=metric,
                time=NOW - timedelta(hours=chance.randrange(2000)),
                dimensions={"kind": chance.choice("ab")},
                size=chance.randrange(100) / 4,
            )
            for tenant in chance.sample(TENANTS, 2)
            for metric in chance.sample(METRICS, chance.randint(1, 2))
        ]
        with api.desk.versions.changing({(one.metadata["tenant_id"], one.metric_name) for one in events}):
            shelf.load(*events)

    async def work() -> None:
        kept, plain = Api(shelf), Api(shelf, room=0)
        loader = ThreadPoolExecutor(1)
        cached = 0
        for number in range(4):
            loading = asyncio.get_running_loop().run_in_executor(loader, load, kept, number)
            while not loading.done():
                await kept.ask(chance.choice(TENANTS), drawn(chance))
            await loading
            for _ in range(16):
                tenant, question = chance.choice(TENANTS), drawn(chance)
                one, other = await kept.ask(tenant, question), await plain.ask(tenant, question)
                if "meta" not in other or one.get("meta", {}).get("to") != other["meta"]["to"]:
                    assert one.get("status") == other.get("status")
                    continue
                assert without(one) == without(other)
                assert other["meta"]["cached"] is False
                cached += one["meta"]["cached"]
        assert cached > 10
        loader.shutdown()

    ran(work)


def test_a_hundred_viewers_are_one_statement(shelf: Shelf) -> None:
    """
    Equal questions at once are one statement beside the catalogue's; the next viewer's is none.
    """
    shelf.load(event("acme", "1", size=1.5))

    async def work() -> None:
        api = Api(shelf)
        question = {"metric": "uploads", "range": WHOLE}
        bodies = await asyncio.gather(*(api.ask("acme", question) for _ in range(100)))
        later = await api.ask("acme", question)

        assert api.statements() == 2
        assert {json.dumps(without(body)) for body in bodies} == {json.dumps(without(later))}
        assert {body["meta"]["cached"] for body in bodies} == {False}
        assert later["meta"]["cached"] is True
        assert later["meta"]["fresh_as_of"] >= bodies[0]["meta"]["fresh_as_of"]

    ran(work)


def test_a_dashboard_is_asked_for_what_is_missing(shelf: Shelf) -> None:
    """
    Of several questions in one request those that are kept are not read; each says of itself whether it was.
    """
    shelf.load(event("board", "1", dimensions={"kind": "a"}, size=1.5))

    async def work() -> None:
        api = Api(shelf)
        count: dict[str, Any] = {"metric": "uploads", "range": WHOLE}
        await api.ask("board", count)
        queries = {"count": count, "again": count, "by kind": {**count, "group_by": ["kind"]}, "no": {"metric": "no"}}
        before = api.statements("board")
        found = (await api.ask("board", {"queries": queries}))["queries"]
        assert api.statements("board") == before + 1
        assert list(found) == list(queries)
        assert [found[name]["meta"]["cached"] for name in ("count", "again", "by kind")] == [True, True, False]
        assert (found["count"]["rows"], found["by kind"]["rows"]) == ([[1]], [["a", 1]])
        assert found["no"]["status"] == 400

        again = (await api.ask("board", {"queries": queries}))["queries"]
        assert {again[name]["meta"]["cached"] for name in ("count", "again", "by kind")} == {True}
        assert api.statements("board") == before + 1

    ran(work)


def test_another_pipeline_file_has_other_answers(shelf: Shelf) -> None:
    """
    The unit of a measure is the file's that is in force.
    """
    shelf.load(event("units", "1", size=1.5))

    async def work() -> None:
        api = Api(shelf)
        question = {"metric": "uploads", "measure": "size", "range": WHOLE}
        assert (await api.ask("units", question))["columns"][0]["unit"] is None
        api.version, api.unit = 2, "bytes"
        fresh = await api.ask("units", question)

        assert (fresh["columns"][0]["unit"], fresh["meta"]["cached"]) == ("bytes", False)

    ran(work)


def test_what_a_token_does_not_allow_is_not_given_from_memory(shelf: Shelf) -> None:
    """
    What one token may ask is kept; another of the same tenant that may not is refused, and hears no name of it.
    """
    shelf.load(event("narrow", "1"), event("narrow", "2", metric="salaries"))

    async def work() -> None:
        api = Api(shelf)
        secret = {"metric": "salaries", "range": WHOLE}
        assert (await api.ask("narrow", secret))["rows"] == [[1]]
        assert (await api.ask("narrow", secret))["meta"]["cached"] is True
        assert (await api.ask("narrow", secret, metrics=("uploads",)))["status"] == 403

        wrong = {"metric": "salarie", "range": WHOLE}
        told, untold = await asyncio.gather(
            api.ask("narrow", wrong), api.ask("narrow", wrong, metrics=("salarie", "uploads"))
        )
        assert "salaries" in told["errors"][0]["hint"]
        assert "salaries" not in json.dumps(untold)

    ran(work)


def test_too_many_are_a_429_and_come_again(shelf: Shelf) -> None:
    """
    Beyond those that run and wait a tenant's questions are sent away with a time to come again; a neighbour's is not.
    """
    shelf.load(event("many", "1"), event("other", "1"))

    async def work() -> None:
        api = Api(shelf, terms=TurnTerms(concurrent=1, waiting=1))
        questions: list[dict[str, Any]] = [{"metric": "uploads", "range": {"last": f"{days}d"}} for days in range(1, 9)]
        asked = [asyncio.create_task(api.post("many", one)) for one in questions]
        neighbour = asyncio.create_task(api.post("other", questions[0]))
        answers = await asyncio.gather(*asked)
        refused = [answer for answer in answers if answer.status_code != 200]

        assert (await neighbour).status_code == 200
        assert {answer.status_code for answer in refused} == {429}
        assert len(refused) == 6
        assert {answer.headers["retry-after"] for answer in refused} == {"1"}
        assert {answer.headers["content-type"] for answer in refused} == {"application/problem+json"}
        assert [(await api.post("many", one)).status_code for one in questions] == [200] * 8
        assert api.desk.usage.total["over_limit"] == 6

    ran(work)


def test_too_much_is_a_422_and_nothing_else_suffers(shelf: Shelf) -> None:
    """
    A question that passes a bound says which; the same tenant's next one is answered.
    """
    shelf.load(*(event("much", f"{index}", time=NOW - timedelta(days=index)) for index in range(50)))

    async def work() -> None:
        api = Api(shelf, bounds=Bounds(rows=20))
        question = {"metric": "uploads", "range": WHOLE}
        refused = await api.ask("much", {**question, "interval": "day"})
        assert (refused["status"], refused["errors"][0]["place"]) == (422, "question")
        assert "20 rows of answer" in refused["detail"]
        assert (await api.ask("much", question))["rows"] == [[50]]
        assert api.desk.usage.total["too_large"] == 1

    ran(work)
