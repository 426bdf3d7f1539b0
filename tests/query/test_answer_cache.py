"""
The cache gives an answer only to its tenant, only while it is what the store holds, and takes no more than its room.
"""

from __future__ import annotations

import tracemalloc
from hashlib import blake2b

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from metriclake.query.answer_cache import LIFE_SECONDS, AnswerCache, CacheKey

MEGABYTE = 1024 * 1024
TENANTS = ("acme", "Acme", "globex")


def key(tenant: str, question: str = "q", metric: str = "uploads") -> CacheKey:
    """
    Return the key of a question.
    """
    return CacheKey(tenant, metric, blake2b(question.encode(), digest_size=16).digest())


def kept(cache: AnswerCache, tenant: str, questions: int) -> int:
    """
    Return how many of a tenant's questions have answers of version 1.
    """
    return sum(cache.get(key(tenant, str(index)), 1) is not None for index in range(questions))


def test_an_answer_is_given_for_its_version_alone() -> None:
    """
    What was made of another version, or of none that is known, is not given.
    """
    cache = AnswerCache(lambda: MEGABYTE)
    cache.put(key("acme"), 1, b"one")

    assert cache.get(key("acme"), None) is None
    assert cache.get(key("acme"), 1) == b"one"
    assert cache.get(key("acme"), 2) is None
    assert (len(cache), cache.size) == (0, 0)

    cache.put(key("acme"), None, b"none")
    assert len(cache) == 0


def test_an_answer_has_a_life() -> None:
    """
    Though nothing is said to have changed, an answer is not given for ever.
    """
    now = 0.0
    cache = AnswerCache(lambda: MEGABYTE, lambda: now)
    cache.put(key("acme"), 1, b"one")
    now = LIFE_SECONDS - 0.001
    assert cache.get(key("acme"), 1) == b"one"
    now = LIFE_SECONDS

    assert cache.get(key("acme"), 1) is None


def test_the_answers_asked_for_last_are_kept() -> None:
    """
    Without room, what nobody has asked for the longest goes first.
    """
    cache = AnswerCache(lambda: 100_000)
    for index in range(9):
        cache.put(key("acme", str(index)), 1, b"x" * 9_500)
    assert cache.get(key("acme", "0"), 1) is not None
    cache.put(key("acme", "9"), 1, b"x" * 9_500)

    assert cache.get(key("acme", "0"), 1) is not None
    assert cache.get(key("acme", "1"), 1) is None
    assert cache.get(key("acme", "2"), 1) is not None


def test_a_tenant_that_asks_for_much_gives_up_its_own() -> None:
    """
    A thousand questions of one tenant cost another one none of its few answers.
    """
    cache = AnswerCache(lambda: 100_000)
    for index in range(3):
        cache.put(key("globex", str(index)), 1, b"x" * 9_500)
    for index in range(1000):
        cache.put(key("acme", str(index)), 1, b"x" * 9_500)

    assert kept(cache, "globex", 3) == 3
    assert kept(cache, "acme", 1000) == 6


def test_a_newcomer_gets_its_share_from_the_one_that_has_most() -> None:
    """
    Where one tenant has filled the room alone, others that come later find theirs.
    """
    cache = AnswerCache(lambda: 100_000)
    for index in range(100):
        cache.put(key("acme", str(index)), 1, b"x" * 4_000)
    for index in range(9):
        cache.put(key("globex", str(index)), 1, b"x" * 4_000)

    assert kept(cache, "globex", 9) == 9


@pytest.mark.parametrize(("room", "size"), [(0, 1), (10_000, 2_000)])
def test_an_answer_too_large_for_the_room_is_not_kept(room: int, size: int) -> None:
    """
    No room means no cache; an answer that would throw out most others is left out.
    """
    cache = AnswerCache(lambda: room)
    cache.put(key("acme"), 1, b"x" * size)

    assert len(cache) == 0


def test_a_tenant_is_forgotten_whole() -> None:
    """
    Nothing is kept of a tenant that is deleted, and all of the others.
    """
    cache = AnswerCache(lambda: MEGABYTE)
    for tenant in TENANTS:
        for index in range(5):
            cache.put(key(tenant, str(index)), 1, b"x")
    cache.forget("acme")

    assert [kept(cache, tenant, 5) for tenant in TENANTS] == [0, 5, 5]


@pytest.mark.parametrize("tenants", [1, 3_000, 20_000])
def test_the_room_is_what_the_process_really_takes(tenants: int) -> None:
    """
    Many small answers of many tenants take no more memory than the cache counts.
    """
    room = 4 * MEGABYTE
    cache = AnswerCache(lambda: room)
    tracemalloc.start()
    try:
        for index in range(20_000):
            tenant = f"tenant-{index % tenants}"
            cache.put(key(tenant, str(index)), 1, b"%08d" % index * 10)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert cache.size > room - 10_000
    assert taken <= room


class Remembered(RuleBasedStateMachine):
    """
    The cache against a dictionary of all that was ever put in: it may forget, it may never say anything else.
    """

    def __init__(self) -> None:
        """
        Start with nothing.
        """
        super().__init__()
        self.now = 0.0
        self.room = 20_000
        self.cache = AnswerCache(lambda: self.room, lambda: self.now)
        self.put: dict[CacheKey, tuple[int, float, bytes]] = {}

    keys = st.builds(key, st.sampled_from(TENANTS), st.sampled_from("abcdefgh"), st.sampled_from(["m", "n"]))
    versions = st.integers(1, 3)

    @rule(key=keys, version=versions, size=st.integers(1, 4000))
    def remember(self, key: CacheKey, version: int, size: int) -> None:
        """
        Put an answer that says whose it is.
        """
        body = f"{key.tenant}/{key.metric}/{version}/".encode().ljust(size, b".")
        self.cache.put(key, version, body)
        self.put[key] = (version, self.now + LIFE_SECONDS, body)

    @rule(key=keys, version=versions)
    def ask(self, key: CacheKey, version: int) -> None:
        """
        Expect what was put last under this key, of this version, and not too old; or nothing.
        """
        found = self.cache.get(key, version)
        if found is not None:
            put, until, body = self.put[key]
            assert (put, found) == (version, body)
            assert self.now < until
            assert found.startswith(f"{key.tenant}/{key.metric}/{version}/".encode())

    @rule(seconds=st.sampled_from([1.0, LIFE_SECONDS / 2]))
    def wait(self, seconds: float) -> None:
        """
        Let time pass.
        """
        self.now += seconds

    @precondition(lambda self: self.put)
    @rule(tenant=st.sampled_from(TENANTS))
    def forget(self, tenant: str) -> None:
        """
        Forget a tenant: none of its answers is given then.
        """
        self.cache.forget(tenant)
        assert all(
            self.cache.get(key, version) is None for key, (version, *_) in self.put.items() if key.tenant == tenant
        )

    @rule(room=st.sampled_from([5_000, 20_000, 40_000]))
    def resize(self, room: int) -> None:
        """
        Give the cache another room, as a pipeline file does that is read again; it holds from the next answer on.
        """
        self.room = room
        self.cache.put(key("acme", "resized"), 1, b"resized")
        self.put[key("acme", "resized")] = (1, self.now + LIFE_SECONDS, b"resized")

    @invariant()
    def bounded(self) -> None:
        """
        Never more than the room.
        """
        assert 0 <= self.cache.size <= self.room
        assert (self.cache.size == 0) == (len(self.cache) == 0)


TestRemembered = Remembered.TestCase
TestRemembered.settings = settings(deadline=None)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(TENANTS), st.text(max_size=3)), unique=True))
def test_no_tenant_is_ever_given_anothers_answer(questions: list[tuple[str, str]]) -> None:
    """
    The same question of another tenant has another answer, whatever both are.
    """
    cache = AnswerCache(lambda: MEGABYTE)
    for tenant, question in questions:
        cache.put(key(tenant, question), 1, f"{tenant}:{question}".encode())

    for _, question in questions:
        for tenant in TENANTS:
            asked = (tenant, question) in questions
            assert cache.get(key(tenant, question), 1) == (f"{tenant}:{question}".encode() if asked else None)
