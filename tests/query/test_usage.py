"""
What a tenant's questions took is counted, in bounded memory, and nothing is lost from the total.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from metriclake.event import is_tenant_id
from metriclake.query.usage import OTHERS, Ending, Usage
from metriclake.store import Spent

SINCE = datetime(2026, 7, 1, tzinfo=UTC)


def accounts(usage: Usage) -> dict[str, dict[str, Any]]:
    """
    Return the accounts by tenant.
    """
    return {account["tenant"]: account for account in usage.as_json()["tenants"]}


def test_a_tenant_has_an_account_of_its_own() -> None:
    """
    One tenant's account is asked for without all others'; who has asked nothing has one of nothing.
    """
    usage = Usage(SINCE)
    usage.ended("acme", Ending.ANSWERED)
    usage.spent("acme", Spent(statements=1, rows=7, seconds=0.5))

    assert {"tenant": "acme", **usage.of("acme")} == accounts(usage)["acme"]
    assert (usage.of("acme")["engine_ms"], usage.of("globex")["questions"]) == (500.0, 0)
    assert list(accounts(usage)) == ["acme"]


def test_questions_are_counted_by_how_they_ended() -> None:
    """
    Each ending has its number, and what was read its rows, bytes and times.
    """
    usage = Usage(SINCE)
    for ending in Ending:
        usage.ended("acme", ending)
    usage.ended("acme", Ending.CACHED)
    usage.exported("acme")
    usage.spent("acme", Spent(2, 1000, 8000, 0.25, 0.125))
    usage.spent("acme", Spent(1, 1, 8, 0.0005, 0.0005))
    found = accounts(usage)["acme"]

    assert found == {
        "tenant": "acme",
        "questions": 8,
        "answered": 1,
        "cached": 2,
        "shared": 1,
        "over_limit": 1,
        "too_large": 1,
        "invalid": 1,
        "failed": 1,
        "exports": 1,
        "statements": 3,
        "rows_read": 1001,
        "bytes_read": 8008,
        "engine_ms": 250.5,
        "cpu_ms": 125.5,
    }
    assert usage.as_json()["since"] == "2026-07-01T00:00:00+00:00"


def test_who_takes_most_comes_first() -> None:
    """
    The tenants are in the order of the engine's time that they took.
    """
    usage = Usage(SINCE)
    for tenant, seconds in (("small", 0.1), ("large", 2.0), ("middle", 1.0)):
        usage.spent(tenant, Spent(1, 1, 1, seconds))

    assert list(accounts(usage)) == ["large", "middle", "small"]


def test_tenants_are_counted_together_where_there_are_too_many() -> None:
    """
    Those that have not asked for the longest share an account that no tenant can have; the total holds.
    """
    usage = Usage(SINCE, most=3)
    for index in range(10):
        usage.ended(f"tenant-{index}", Ending.ANSWERED)
        usage.ended("acme", Ending.CACHED)
        usage.spent(f"tenant-{index}", Spent(1, 10, 80, 0.001))
    found = accounts(usage)

    assert sorted(found) == [OTHERS, "acme", "tenant-8", "tenant-9"]
    assert not is_tenant_id(OTHERS)
    assert (found["acme"]["questions"], found[OTHERS]["questions"], found[OTHERS]["rows_read"]) == (10, 8, 80)
    assert sum(account["questions"] for account in found.values()) == usage.total["questions"] == 20
    assert usage.total["rows_read"] == 100


def test_a_tenant_that_is_forgotten_is_counted_among_the_others() -> None:
    """
    Its name is gone, the total stays.
    """
    usage = Usage(SINCE)
    usage.ended("acme", Ending.ANSWERED)
    usage.ended("globex", Ending.ANSWERED)
    usage.forget("acme")
    usage.forget("nobody")

    assert list(accounts(usage)) == ["globex", OTHERS]
    assert usage.total["questions"] == 2
