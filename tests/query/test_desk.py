"""
Answers from memory are what the store holds, whatever happens in between; equal questions share one statement.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metriclake._errors import Fault, InvalidQuestion, MetriclakeError, OverLimit, QuestionTooLarge, StoreError
from metriclake.query.answer_cache import AnswerCache, CacheKey
from metriclake.query.desk import Desk, Found, Outcome
from metriclake.query.turns import Turns, TurnTerms
from metriclake.store import Spent, TenantReader

TENANTS = ("acme", "globex")
METRICS = ("uploads", "logins")
KEYS = [(tenant, metric) for tenant in TENANTS for metric in METRICS]


class Hands(Executor):
    """
    An executor that runs nothing by itself: a test says when a statement reads, and when its result is there.
    """

    def __init__(self) -> None:
        """
        Start with no statement.
        """
        self.unread: list[tuple[Future[Any], Callable[[], Any]]] = []
        self.unsaid: list[tuple[Future[Any], Any]] = []
        self.statements = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """
        Take a statement.
        """
        future: Future[Any] = Future()
        self.unread.append((future, lambda: fn(*args, **kwargs)))
        self.statements += 1
        return future

    def read(self) -> None:
        """
        Let the oldest statement read.
        """
        if self.unread:
            future, work = self.unread.pop(0)
            try:
                result = work()
            except Exception as error:  # noqa: BLE001 - as an executor does
                result = error
            self.unsaid.append((future, result))

    def say(self) -> None:
        """
        Let the oldest result be there.
        """
        if self.unsaid:
            future, result = self.unsaid.pop(0)
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)


@dataclass
class FakeReader:
    """
    All that answers need of a reader.
    """

    tenant: str
    spent: Spent = field(default_factory=Spent)
    gives_way: bool = False

    def giving_way(self) -> FakeReader:
        """
        Return a reader that gives way.
        """
        return FakeReader(self.tenant, self.spent, gives_way=True)


class Model:
    """
    A store of events in the order in which they were accepted: some are visible, some counted as delivered.
    """

    def __init__(self, terms: TurnTerms | None = None, places: int = 2) -> None:
        """
        Start with nothing.
        """
        self.accepted: list[tuple[str, str]] = []
        self.visible = 0
        self.delivered = 0
        self.hands = Hands()
        self.asked: list[list[str]] = []
        self.after_read: Callable[[], None] = lambda: None
        self.ticks = count(step=0.1)
        self.desk = Desk(
            lambda tenant: cast("TenantReader", FakeReader(tenant)),
            lambda _tenant: datetime.fromtimestamp(self.delivered, UTC),
            cache=AnswerCache(lambda: 1_000_000),
            turns=Turns(places, lambda _tenant: terms or TurnTerms(concurrent=1)),
            pool=self.hands,
            clock=lambda: next(self.ticks),
        )
        self.versions, self.usage = self.desk.versions, self.desk.usage

    def count(self, key: tuple[str, str], events: int) -> int:
        """
        Return how many of the first events are of a tenant's metric.
        """
        return self.accepted[:events].count(key)

    def reads(self, reader: TenantReader, keys: Sequence[CacheKey]) -> Mapping[CacheKey, Outcome]:
        """
        Read the store.
        """
        assert {key.tenant for key in keys} == {cast("FakeReader", reader).tenant}
        self.asked.append([key.metric for key in keys])
        reader.spent.add({"read_rows": 7, "read_bytes": 56, "elapsed_ns": 1_000_000}, 0.0)
        counted = {key: self.count((key.tenant, key.metric), self.visible) for key in keys}
        self.after_read()
        return {key: f"{key.tenant}/{key.metric}/{number}".encode() for key, number in counted.items()}

    async def get(self, *keys: tuple[str, str]) -> list[Found]:
        """
        Ask.
        """
        asked = [CacheKey(tenant, metric, b"") for tenant, metric in keys]
        found = await self.desk.get(keys[0][0], asked, self.reads)
        return [found[key] for key in asked]

    async def work(self) -> None:
        """
        Let all statements that are asked end.
        """
        await settle()
        while self.hands.unread or self.hands.unsaid:
            self.hands.read()
            self.hands.say()
            await settle()

    def account(self, tenant: str = "acme") -> dict[str, Any]:
        """
        Return a tenant's usage.
        """
        return next(account for account in self.usage.as_json()["tenants"] if account["tenant"] == tenant)


def text(found: Found) -> bytes:
    """
    Return the answer that was found.
    """
    assert isinstance(found.outcome, bytes)
    return found.outcome


def ran(work: Coroutine[Any, Any, Any]) -> Any:
    """
    Run a test's coroutine.
    """
    return asyncio.run(asyncio.wait_for(work, 20))


async def settle() -> None:
    """
    Let every task go on as far as it can.
    """
    for _ in range(12):
        await asyncio.sleep(0)


def test_a_hundred_equal_questions_are_one_statement() -> None:
    """
    All are answered by the first one's statement; the next is answered from memory.
    """

    async def work() -> None:
        model = Model()
        asked = [asyncio.create_task(model.get(("acme", "uploads"))) for _ in range(100)]
        await model.work()
        found = [await one for one in asked]
        found.append(await model.get(("acme", "uploads")))

        assert model.hands.statements == 1
        assert {text(one) for (one,) in found} == {b"acme/uploads/0"}
        assert [one.cached for (one,) in found] == [False] * 100 + [True]
        counted = model.account()
        assert (counted["answered"], counted["shared"], counted["cached"]) == (1, 99, 1)
        assert (counted["statements"], counted["rows_read"], counted["engine_ms"]) == (1, 7, 1.0)

    ran(work())


def test_a_question_after_a_change_does_not_share_a_statement_of_before() -> None:
    """
    A statement that may have read before a load is not for those who ask after it.
    """

    async def work() -> None:
        model = Model()
        early = asyncio.create_task(model.get(("acme", "uploads")))
        await settle()
        model.hands.read()
        model.accepted.append(("acme", "uploads"))
        with model.versions.changing([("acme", "uploads")]):
            model.visible = 1
            during = asyncio.create_task(model.get(("acme", "uploads")))
            await settle()
        late = asyncio.create_task(model.get(("acme", "uploads")))
        await model.work()

        assert [text(one) for one in [*await early, *await during, *await late]] == [
            b"acme/uploads/0",
            b"acme/uploads/1",
            b"acme/uploads/1",
        ]
        assert model.hands.statements == 2
        assert text((await model.get(("acme", "uploads")))[0]) == b"acme/uploads/1"

    ran(work())


def test_only_what_is_missing_is_asked() -> None:
    """
    Of several questions those in memory are not asked again; the others are asked together.
    """

    async def work() -> None:
        model = Model()
        first = asyncio.create_task(model.get(("acme", "uploads")))
        await model.work()
        await first
        both = asyncio.create_task(model.get(("acme", "uploads"), ("acme", "logins"), ("acme", "other")))
        await model.work()

        assert [one.cached for one in await both] == [True, False, False]
        assert model.hands.statements == 2
        assert (model.account()["cached"], model.account()["answered"]) == (1, 3)

    ran(work())


def test_what_another_asks_already_is_not_asked_again() -> None:
    """
    Of several questions those that are being asked are waited for, in whatever company they are; the others are asked.
    """

    async def work() -> None:
        model = Model(TurnTerms(concurrent=2))
        one = asyncio.create_task(model.get(("acme", "uploads"), ("acme", "logins")))
        await settle()
        other = asyncio.create_task(model.get(("acme", "logins"), ("acme", "other")))
        alone = asyncio.create_task(model.get(("acme", "uploads")))
        await model.work()

        assert [text(found) for found in [*await one, *await other, *await alone]] == [
            *(b"acme/uploads/0", b"acme/logins/0"),
            *(b"acme/logins/0", b"acme/other/0"),
            b"acme/uploads/0",
        ]
        assert model.asked == [["uploads", "logins"], ["other"]]
        assert (model.account()["answered"], model.account()["shared"]) == (3, 2)

    ran(work())


def test_a_question_that_was_too_large_in_company_is_asked_alone() -> None:
    """
    Who asks one question of another's dashboard is not refused for what all of them need together.
    """

    async def work() -> None:
        model = Model()
        keys = [CacheKey("acme", metric, b"") for metric in METRICS]

        def reads(_reader: TenantReader, asked: Sequence[CacheKey]) -> Mapping[CacheKey, Outcome]:
            too_large = QuestionTooLarge((Fault("question", "takes too long"),))
            return {key: too_large if len(asked) > 1 else b"alone" for key in asked}

        board = asyncio.create_task(model.desk.get("acme", keys, reads))
        await settle()
        single = asyncio.create_task(model.desk.get("acme", keys[:1], reads))
        again = asyncio.create_task(model.desk.get("acme", keys, reads))
        await model.work()

        assert (await single)[keys[0]].outcome == b"alone"
        for asked in (board, again):
            assert {type(found.outcome) for found in (await asked).values()} == {QuestionTooLarge}
        assert model.hands.statements == 2
        assert (model.account()["answered"], model.account()["too_large"]) == (1, 4)

    ran(work())


def test_a_tenant_with_a_hundred_slow_questions_delays_another_by_one_turn() -> None:
    """
    The other's question is the next statement that is run, though a hundred were asked before it.
    """

    async def work() -> None:
        model = Model(TurnTerms(concurrent=1, waiting=100), places=1)
        noisy = [asyncio.create_task(model.get(("acme", f"m{index}"))) for index in range(100)]
        await settle()
        quiet = asyncio.create_task(model.get(("globex", "uploads")))
        await settle()
        model.hands.read()
        model.hands.say()
        await settle()
        assert model.hands.statements == 2
        model.hands.read()
        model.hands.say()
        await settle()

        assert quiet.done()
        assert sum(one.done() for one in noisy) == 1
        await model.work()
        await asyncio.gather(*noisy)

    ran(work())


ERRORS = pytest.mark.parametrize(
    ("error", "ending"),
    [
        (InvalidQuestion((Fault("metric", "is not there"),)), "invalid"),
        (QuestionTooLarge((Fault("question", "takes too long"),)), "too_large"),
        (StoreError("no"), "failed"),
    ],
)


@ERRORS
def test_a_question_that_fails_fails_for_all_and_is_not_remembered(error: MetriclakeError, ending: str) -> None:
    """
    Whoever shares a statement shares its error; the next question is asked anew.
    """

    async def work() -> None:
        model = Model()

        def fails(reader: TenantReader, _keys: Sequence[CacheKey]) -> Mapping[CacheKey, Outcome]:
            reader.spent.add({}, 0.5)
            raise error

        key = CacheKey("acme", "uploads", b"")
        asked = [asyncio.create_task(model.desk.get("acme", [key], fails)) for _ in range(3)]
        await model.work()
        for one in asked:
            with pytest.raises(type(error)):
                await one
        assert model.account()[ending] == 3
        assert model.account()["engine_ms"] == 500.0
        again = asyncio.create_task(model.get(("acme", "uploads")))
        await model.work()
        assert text((await again)[0]) == b"acme/uploads/0"

    ran(work())


@ERRORS
def test_one_of_several_may_be_wrong(error: MetriclakeError, ending: str) -> None:
    """
    What is wrong with one question is its outcome and no other's, and is not remembered.
    """

    async def work() -> None:
        model = Model()
        good, bad = CacheKey("acme", "uploads", b"good"), CacheKey("acme", "uploads", b"bad")

        def reads(_reader: TenantReader, keys: Sequence[CacheKey]) -> Mapping[CacheKey, Outcome]:
            return {key: b"good" if key == good else error for key in keys}

        for cached in (False, True):
            asked = asyncio.create_task(model.desk.get("acme", [good, bad], reads))
            await model.work()
            found = await asked
            assert (found[good].outcome, found[good].cached) == (b"good", cached)
            assert (found[bad].outcome, found[bad].cached) == (error, False)
        account = model.account()
        assert (account["answered"], account["cached"], account[ending]) == (1, 1, 2)

    ran(work())


def test_a_full_queue_is_said_and_counted() -> None:
    """
    What is sent away does not run, and is in the tenant's account.
    """

    async def work() -> None:
        model = Model(TurnTerms(concurrent=1, waiting=1))
        asked = [asyncio.create_task(model.get(("acme", f"m{index}"))) for index in range(3)]
        await model.work()
        with pytest.raises(OverLimit):
            await asked[2]

        assert model.hands.statements == 2
        assert (model.account()["over_limit"], model.account()["answered"]) == (1, 2)

    ran(work())


def test_an_asker_that_goes_away_takes_nobody_elses_answer_along() -> None:
    """
    Where the first of several equal askers is gone, the others are answered.
    """

    async def work() -> None:
        model = Model()
        first, second = (asyncio.create_task(model.get(("acme", "uploads"))) for _ in range(2))
        await settle()
        first.cancel()
        await model.work()
        with suppress(asyncio.CancelledError):
            await first

        assert first.cancelled()
        assert text((await second)[0]) == b"acme/uploads/0"

    ran(work())


def test_what_is_of_all_metrics_is_kept_until_any_changes() -> None:
    """
    A tenant's catalogue is read anew after a load of any of its metrics, and of nobody else's; or when it is forgotten.
    """

    async def work() -> None:
        model = Model()

        async def statements() -> int:
            asked = asyncio.create_task(model.get(("acme", "")))
            await model.work()
            await asked
            return model.hands.statements

        assert [await statements(), await statements()] == [1, 1]
        with model.versions.changing([("globex", "any")]):
            assert await statements() == 1
        with model.versions.changing([("acme", "any")]):
            assert await statements() == 2
        assert [await statements(), await statements()] == [3, 3]
        model.desk.forget("acme")
        assert await statements() == 4

    ran(work())


MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.lists(st.sampled_from(KEYS), min_size=1, max_size=2, unique=True)),
        st.tuples(st.sampled_from(["accept", "load", "overtake"]), st.sampled_from(KEYS)),
        st.tuples(st.sampled_from(["read", "say", "serve", "begin", "show", "end", "fail", "deliver"]), st.none()),
    ),
    min_size=10,
    max_size=60,
)


class Interleaved:
    """
    Loads and questions, step by step, in an order of the test's choice; each answer is judged when it comes.
    """

    def __init__(self) -> None:
        """
        Start with an empty store.
        """
        self.model = Model()
        self.loading: Any = None
        self.shown = False
        self.tasks: list[asyncio.Task[None]] = []
        self.from_memory = 0

    def ask(self, keys: list[tuple[str, str]]) -> None:
        """
        Ask for a tenant.
        """
        mine = [key for key in keys if key[0] == keys[0][0]]
        visible = self.model.visible

        async def judged() -> None:
            for key, found in zip(mine, await self.model.get(*mine), strict=True):
                tenant, metric, number = text(found).decode().split("/")
                value, model = int(number), self.model
                assert (tenant, metric) == key
                assert model.count(key, visible) <= value <= model.count(key, model.visible)
                assert model.count(key, int(found.fresh.timestamp())) <= value
                self.from_memory += found.cached

        self.tasks.append(asyncio.create_task(judged()))

    def accept(self, key: tuple[str, str]) -> None:
        """
        Accept an event.
        """
        self.model.accepted.append(key)

    def begin(self, _: None) -> None:
        """
        Begin to load all that waits.
        """
        if self.loading is None and self.model.delivered < len(self.model.accepted):
            self.until = len(self.model.accepted)
            self.loading = self.model.versions.changing(self.model.accepted[self.model.delivered : self.until])
            self.loading.__enter__()

    def show(self, _: None) -> None:
        """
        Let the rows be seen.
        """
        if self.loading is not None:
            self.model.visible = max(self.model.visible, self.until)

    def end(self, _: None) -> None:
        """
        End a load whose rows are there.
        """
        if self.loading is not None and self.model.visible >= self.until:
            self.loading.__exit__(None, None, None)
            self.loading = None
            self.shown = True

    def fail(self, _: None) -> None:
        """
        End a load with an error, its rows being there or not.
        """
        if self.loading is not None:
            with suppress(StoreError):
                self.loading.__exit__(StoreError, StoreError("no"), None)
            self.loading = None

    def deliver(self, _: None) -> None:
        """
        Count as delivered what was loaded.
        """
        if self.shown and self.loading is None:
            self.model.delivered = self.until
            self.shown = False

    def load(self, key: tuple[str, str]) -> None:
        """
        Accept an event, and load and deliver all that waits.
        """
        self.accept(key)
        for step in (self.begin, self.show, self.end, self.deliver):
            step(None)

    def overtake(self, key: tuple[str, str]) -> None:
        """
        Let a statement read, and load an event before it has ended.
        """
        self.model.after_read = lambda: self.load(key)
        self.model.hands.read()
        self.model.after_read = lambda: None

    def serve(self, _: None) -> None:
        """
        Let a statement read and end.
        """
        self.read(None)
        self.say(None)

    def read(self, _: None) -> None:
        """
        Let a statement read.
        """
        self.model.hands.read()

    def say(self, _: None) -> None:
        """
        Let a statement end.
        """
        self.model.hands.say()


@given(MOVES)
@settings(max_examples=200, deadline=None)
def test_an_answer_is_what_the_store_held_while_it_was_asked(moves: list[tuple[str, Any]]) -> None:
    """
    However loads and questions interleave, no answer lacks what was there when it was asked, nor what `fresh` promises.

    And each is its own tenant's and metric's.
    """

    async def work() -> None:
        run = Interleaved()
        for move, what in moves:
            getattr(run, move)(what)
            await settle()
        await run.model.work()
        await asyncio.gather(*run.tasks)

    ran(work())
