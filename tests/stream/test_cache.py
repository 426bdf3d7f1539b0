"""
The laws of the cache, held for every course of time, questions and failures.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from metriclake.stream.cache import CacheTerms, TenantCache
from metriclake.stream.directory import Attributes

TTL, UNKNOWN_TTL = 300.0, 30.0
TERMS = CacheTerms(TTL, UNKNOWN_TTL, 1000)
TENANTS = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=6, unique=True)
STEPS = st.lists(
    st.tuples(
        st.floats(0, 400), TENANTS, st.sampled_from(["answers", "answers", "fails", "down", "fails for some"])
    ),
    max_size=30,
)  # fmt: skip


def answer_of(tenant: str, now: float) -> Attributes | None:
    """
    Return what the source says at a time: of `a` and `b` that it does not know them.
    """
    return None if tenant in "ab" else {"at": str(now)}


@given(STEPS)
def test_laws(steps: list[tuple[float, list[str], str]]) -> None:
    """
    Fresh values are not asked again, unknown ones are after their time, stale ones are given after a failure alone.
    """
    cache = TenantCache(TERMS)
    now = 0.0
    last: dict[str, tuple[float, Attributes | None]] = {}
    failed: dict[str, float] = {}
    down_at = None
    for passed, tenants, course in steps:
        now += passed
        asked = cache.ask(tenants, now)
        for tenant in tenants:
            lives = UNKNOWN_TTL if last.get(tenant, (0, None))[1] is None else TTL
            fresh = tenant in last and now < last[tenant][0] + lives
            if fresh:
                assert tenant not in asked.missing
                assert asked.answers[tenant] == last[tenant][1]
                assert tenant not in asked.stale
            elif tenant in asked.answers:
                assert tenant in asked.stale
                assert asked.answers[tenant] is not None
                assert failed.get(tenant) is not None or down_at is not None
            if not fresh and tenant not in failed and down_at is None:
                assert tenant in asked.missing
        if not asked.missing:
            continue
        some = asked.missing[1:] if course == "fails for some" else asked.missing
        answers = {} if course in ("fails", "down") else {tenant: answer_of(tenant, now) for tenant in some}
        learned = cache.learn(asked.missing, answers, now, down=course == "down")
        down_at = now if course == "down" else None
        for tenant in asked.missing:
            if tenant in answers:
                last[tenant] = (now, answers[tenant])
                failed.pop(tenant, None)
                assert learned.answers[tenant] == answers[tenant]
            else:
                failed[tenant] = now
                before = last.pop(tenant, (0.0, None))[1]
                assert learned.answers.get(tenant) == before
                last.update({tenant: (-1000.0, before)} if before is not None else {})
                assert (tenant in learned.stale) == (before is not None)


@given(st.lists(st.integers(0, 50), max_size=200), st.integers(1, 10))
def test_size_is_bounded(tenants: list[int], size: int) -> None:
    """
    Never more tenants are kept than told, and the one asked for last is among them.
    """
    cache = TenantCache(CacheTerms(TTL, UNKNOWN_TTL, size))
    for tenant in map(str, tenants):
        if cache.ask([tenant], 0).missing:
            cache.learn([tenant], {tenant: {}}, 0)

        assert len(cache) <= size
        assert cache.ask([tenant], 0).answers == {tenant: {}}


def test_source_that_is_down_is_left_alone_longer_and_longer() -> None:
    """
    The pause grows from one second to thirty, and an answer ends it.
    """
    cache = TenantCache(TERMS)
    now, pauses = 0.0, []
    for _ in range(8):
        cache.learn(["x"], {}, now, down=True)
        began = now
        while not cache.ask(["y"], now).missing:
            now += 0.5
        pauses.append(now - began)
    cache.learn(["x"], {"x": {}}, now)
    cache.learn(["z"], {}, now, down=True)

    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30]
    assert not cache.ask(["y"], now + 0.9).missing
    assert cache.ask(["y"], now + 1).missing == ("y",)


def test_unknown_tenant_is_asked_again_after_its_time() -> None:
    """
    A tenant that was not known is not asked for at once, and soon again.
    """
    cache = TenantCache(TERMS)
    cache.learn(["new"], {"new": None}, 0)

    assert cache.ask(["new"], UNKNOWN_TTL - 1).answers == {"new": None}
    assert cache.ask(["new"], UNKNOWN_TTL).missing == ("new",)


def test_stale_unknown_is_no_answer() -> None:
    """
    While the source is away nobody is taken for unknown because he was so once.
    """
    cache = TenantCache(TERMS)
    cache.learn(["new"], {"new": None}, 0)
    learned = cache.learn(["new"], {}, UNKNOWN_TTL, down=True)

    assert (learned.answers, learned.stale) == ({}, ())
    assert cache.ask(["new"], UNKNOWN_TTL).answers == {}
