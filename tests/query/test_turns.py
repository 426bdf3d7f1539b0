"""
Each tenant gets its turn: one that asks much delays another by one turn of its own and no more.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metriclake._errors import OverLimit
from metriclake.query.turns import Rota, Share, Turns, TurnTerms, share

TENANTS = ("noisy", "quiet", "third")
MOVES = st.lists(
    st.one_of(st.tuples(st.just("join"), st.sampled_from(TENANTS)), st.tuples(st.just("done"), st.integers(0, 9))),
    max_size=60,
)


def started(rota: Rota[int]) -> list[str]:
    """
    Start all that may start; returns whose questions they are.
    """
    found = []
    while (turn := rota.start()) is not None:
        found.append(turn[0])
    return found


@pytest.mark.parametrize(
    ("cores", "concurrent", "wanted"),
    [
        (1, None, Share(1, 1)),
        (2, None, Share(1, 1)),
        (3, None, Share(1, 1)),
        (4, None, Share(2, 1)),
        (16, None, Share(2, 4)),
        (16, 3, Share(3, 2)),
        (2, 4, Share(4, 1)),
    ],
)
def test_a_tenant_has_half_of_the_cores(cores: int, concurrent: int | None, wanted: Share) -> None:
    """
    Its statements together have as many threads as half of the cores, unless it may have more statements than that.
    """
    assert share(cores, concurrent) == wanted


def test_a_hundred_questions_of_one_delay_anothers_by_one_turn() -> None:
    """
    Where a tenant's hundred slow questions wait for the one place, another's first question is the very next.
    """
    rota: Rota[int] = Rota(1, lambda _tenant: 1)
    for index in range(100):
        rota.join("noisy", index)
    assert started(rota) == ["noisy"]
    rota.join("quiet", 0)
    rota.done("noisy")
    assert started(rota) == ["quiet"]
    rota.done("quiet")

    assert started(rota) == ["noisy"]


def test_a_tenant_has_so_many_turns_at_once() -> None:
    """
    Places that one tenant may not have stay free for the others.
    """
    rota: Rota[int] = Rota(4, lambda tenant: 3 if tenant == "noisy" else 2)
    for index in range(10):
        rota.join("noisy", index)
    assert started(rota) == ["noisy"] * 3
    for index in range(10):
        rota.join("quiet", index)
    assert started(rota) == ["quiet"]
    rota.done("noisy")

    assert started(rota) == ["noisy"]
    assert (rota.running, rota.waiting("noisy"), rota.waiting("quiet"), rota.waiting("third")) == (4, 6, 9, 0)


def test_a_tenants_questions_keep_their_order() -> None:
    """
    Of one tenant, who came first is asked first; one that has left is left out.
    """
    rota: Rota[int] = Rota(1, lambda _tenant: 1)
    for index in range(4):
        rota.join("quiet", index)
    rota.leave("quiet", 1)
    order = []
    while (turn := rota.start()) is not None:
        order.append(turn[1])
        rota.done("quiet")

    assert order == [0, 2, 3]


@settings(deadline=None)
@given(MOVES, st.integers(1, 4), st.integers(1, 3))
def test_turns_go_round(moves: list[tuple[str, Any]], places: int, concurrent: int) -> None:
    """
    However questions come and end, while a tenant waits that may start no other starts two.

    No bound is passed, and no place stays free while somebody may have it.
    """
    rota: Rota[int] = Rota(places, lambda _tenant: concurrent)
    running: list[str] = []
    waiting: Counter[str] = Counter()
    since: dict[str, Counter[str]] = {}
    for move, what in moves:
        if move == "join":
            rota.join(what, 0)
            waiting[what] += 1
            if waiting[what] == 1:
                since[what] = Counter()
        elif running:
            ended = running.pop(what % len(running))
            rota.done(ended)
            if running.count(ended) == concurrent - 1 and waiting[ended]:
                since[ended] = Counter()
        for tenant in started(rota):
            for other, counted in since.items():
                if other != tenant and waiting[other] and running.count(other) < concurrent:
                    counted[tenant] += 1
                    assert counted[tenant] <= 1
            running.append(tenant)
            waiting[tenant] -= 1
            since[tenant] = Counter()
        assert len(running) == rota.running <= places
        assert all(running.count(tenant) <= concurrent for tenant in TENANTS)
        may = [tenant for tenant in TENANTS if waiting[tenant] and running.count(tenant) < concurrent]
        assert not may or len(running) == places


def ran(work: Coroutine[Any, Any, Any]) -> Any:
    """
    Run a test's coroutine.
    """
    return asyncio.run(asyncio.wait_for(work, 10))


async def settle() -> None:
    """
    Let every task go on as far as it can.
    """
    for _ in range(10):
        await asyncio.sleep(0)


class Asker:
    """
    Questions that hold their turns until they are told to end.
    """

    def __init__(self, turns: Turns) -> None:
        """
        Note the order of starts.
        """
        self.turns = turns
        self.order: list[str] = []
        self.ends: list[asyncio.Event] = []

    def ask(self, tenant: str) -> asyncio.Task[None]:
        """
        Ask a question of a tenant.
        """

        async def work() -> None:
            async with self.turns.turn(tenant):
                self.order.append(tenant)
                end = asyncio.Event()
                self.ends.append(end)
                await end.wait()

        return asyncio.create_task(work())

    async def end(self) -> None:
        """
        End the question that started first.
        """
        self.ends.pop(0).set()
        await settle()


def test_a_tenant_whose_queue_is_full_is_sent_away() -> None:
    """
    One question too many is refused with the seconds to wait; another tenant's is not.
    """

    async def work() -> None:
        asker = Asker(Turns(1, lambda _tenant: TurnTerms(concurrent=1, waiting=3)))
        tasks = [asker.ask("noisy") for _ in range(4)]
        await settle()
        with pytest.raises(OverLimit, match="3 questions of the tenant wait already") as refused:
            await asker.ask("noisy")
        assert refused.value.retry_after >= 1
        tasks.append(asker.ask("quiet"))
        await settle()
        while asker.ends:
            await asker.end()
        await asyncio.gather(*tasks)
        assert asker.order == ["noisy", "quiet", "noisy", "noisy", "noisy"]
        assert asker.turns.running == 0

    ran(work())


def test_the_pause_follows_how_long_turns_took() -> None:
    """
    Who is sent away hears to wait for about as long as those before it take.
    """

    async def work() -> int:
        now = 0.0
        asker = Asker(Turns(1, lambda _tenant: TurnTerms(concurrent=1, waiting=4), lambda: now))
        tasks = [asker.ask("noisy") for _ in range(30)]
        for _ in range(30):
            await settle()
            if asker.ends:
                now += 2.0
                await asker.end()
        tasks = [asker.ask("noisy") for _ in range(5)]
        await settle()
        with pytest.raises(OverLimit) as refused:
            await asker.ask("noisy")
        for task in tasks:
            task.cancel()
        await settle()
        return refused.value.retry_after

    assert 4 <= ran(work()) <= 10


def test_a_question_that_waits_for_too_long_is_sent_away() -> None:
    """
    A question waits for so long and no longer, and its place in the queue is free then.
    """

    async def work() -> None:
        asker = Asker(Turns(1, lambda _tenant: TurnTerms(concurrent=1, waiting=1, patience=0.01)))
        first = asker.ask("noisy")
        await settle()
        for _ in range(3):
            with pytest.raises(OverLimit, match=r"waited 0\.01 seconds"):
                await asker.ask("noisy")
        await asker.end()
        await first
        assert asker.turns.running == 0

    ran(work())


@pytest.mark.parametrize("moment", ["waiting", "started", "running"])
def test_a_question_that_is_given_up_frees_its_place(moment: str) -> None:
    """
    Whenever an asker goes away, also in the moment in which it gets its turn, the next one gets it.
    """

    async def work() -> None:
        asker = Asker(Turns(1, lambda _tenant: TurnTerms(concurrent=1)))
        async with asker.turns.turn("noisy"):
            second, third = asker.ask("quiet"), asker.ask("third")
            await settle()
            if moment == "waiting":
                second.cancel()
                await settle()
        if moment == "running":
            await settle()
            asker.ends.pop(0)
        second.cancel()
        await settle()
        assert asker.order == ["quiet", "third"][moment != "running" :]
        await asker.end()
        found = await asyncio.gather(second, third, return_exceptions=True)
        assert [type(one) for one in found] == [asyncio.CancelledError, type(None)]
        assert asker.turns.running == 0

    ran(work())
