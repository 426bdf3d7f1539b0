"""
Tenants of long statements let those of short ones go first.
"""

from __future__ import annotations

from metriclake.query.lengths import Lengths
from metriclake.store import Spent


def told(*notes: tuple[str, float]) -> Lengths:
    """
    Return what has been told of one statement of each tenant, in seconds.
    """
    lengths = Lengths(most=40)
    for tenant, seconds in notes:
        lengths.note(tenant, Spent(statements=1, seconds=seconds))
    return lengths


def test_alone_nobody_is_long() -> None:
    """
    A tenant that asks alone, or of whom nothing is known, gives way to nobody.
    """
    lengths = told(("acme", 5.0))
    assert not lengths.long("acme")
    assert not lengths.long("globex")


def test_longer_than_another_is_long() -> None:
    """
    A tenant whose statements take much longer than another's gives way to that one, and not the other way round.
    """
    lengths = told(("acme", 0.1), ("globex", 0.01), ("initech", 0.012))
    assert [lengths.long(tenant) for tenant in ("acme", "globex", "initech")] == [True, False, False]


def test_the_mean_of_a_request_counts() -> None:
    """
    Many short statements are not a long one, and a question that asked nothing of the store says nothing.
    """
    lengths = told(("globex", 0.01))
    lengths.note("acme", Spent(statements=12, seconds=0.12))
    lengths.note("globex", Spent())
    assert not lengths.long("acme")
    assert not lengths.long("globex")


def test_it_passes() -> None:
    """
    A tenant that asks short questions again is soon not long any more.
    """
    lengths = told(("globex", 0.01), ("acme", 1.0))
    assert lengths.long("acme")
    for _ in range(30):
        lengths.note("acme", Spent(statements=1, seconds=0.01))
    assert not lengths.long("acme")


def test_only_who_asked_lately_is_compared() -> None:
    """
    Nobody gives way to a tenant that has long gone.
    """
    lengths = told(("globex", 0.01), *((f"tenant-{number}", 1.0) for number in range(32)))
    assert not lengths.long("tenant-0")


def test_what_is_forgotten() -> None:
    """
    A tenant that is dropped, or has not asked for the longest where there are too many, is as one never seen.
    """
    lengths = told(("globex", 0.01), ("acme", 1.0))
    lengths.forget("acme")
    assert not lengths.long("acme")
    lengths = told(("acme", 1.0), *((f"tenant-{number}", 0.01) for number in range(40)))
    assert not lengths.long("acme")
