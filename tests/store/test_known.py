"""
What a tenant has is remembered until a load brings him something new.
"""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from metriclake.store.known import Known

TENANTS = st.sampled_from(["acme", "globex"])
METRICS = st.sampled_from(["a", "b", "c"])


def counted(answers: list[str], value: Callable[[], str] = lambda: "x") -> Callable[[], str]:
    """
    Return what answers with a value, and notes each time.
    """

    def ask() -> str:
        answers.append(value())
        return answers[-1]

    return ask


def test_asked_once_until_something_new_is_met() -> None:
    """
    A second question asks nobody; a new metric of the tenant, or a forgotten field, asks again, and one of another not.
    """
    known, asked = Known[str](), list[str]()
    ask = counted(asked)
    known.meet([("acme", "a")])
    for times, met in ((1, []), (1, [("acme", "a"), ("globex", "a")]), (2, [("acme", "b")]), (2, [("acme", "b")])):
        known.meet(met)
        known.of("acme", ask)
        known.of("acme", ask)
        assert len(asked) == times
    known.forget(["acme"])
    known.of("acme", ask)
    assert len(asked) == 3


def test_what_was_asked_before_something_new_is_not_kept() -> None:
    """
    An answer that was on its way while the tenant got a new metric is given, and asked for again the next time.
    """
    known, asked = Known[str](), list[str]()

    def slow() -> str:
        known.meet([("acme", "new")])
        return "old"

    assert known.of("acme", slow) == "old"
    assert known.of("acme", counted(asked)) == "x"


def test_as_many_tenants_as_there_is_room_for() -> None:
    """
    The tenant who was asked for longest ago gives way.
    """
    known, asked = Known[str](2), list[str]()
    for tenant in ("a", "b", "a", "c", "a", "b"):
        known.of(tenant, counted(asked, lambda tenant=tenant: tenant))  # type: ignore[misc] # a default binds it now

    assert asked == ["a", "b", "c", "b"]


@given(st.lists(st.tuples(TENANTS, METRICS, st.booleans()), max_size=40))
@settings(max_examples=200, deadline=None)
def test_never_less_than_what_is_met(steps: list[tuple[str, str, bool]]) -> None:
    """
    However loads and questions follow each other, a tenant's answer has all metrics that loads have brought.
    """
    known = Known[frozenset[str]]()
    held: dict[str, set[str]] = {"acme": set(), "globex": set()}
    for tenant, metric, loads in steps:
        if loads:
            held[tenant].add(metric)
            known.meet([(tenant, metric)])
        assert known.of(tenant, lambda tenant=tenant: frozenset(held[tenant])) == held[tenant]  # type: ignore[misc] # as above
