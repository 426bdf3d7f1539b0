"""
The account's budget: its rate holds at the other end whatever the network does, and pauses hold for all.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from metriclake.destinations import Rate
from metriclake.destinations.budget import Account, Accounts, Window

_DELAYS = st.floats(0, 3, allow_nan=False)
_REQUESTS = st.lists(st.tuples(st.integers(1, 20), _DELAYS, st.floats(0, 1)), min_size=1, max_size=40)


@given(_REQUESTS, st.integers(1, 5), st.integers(5, 30))
def test_rate_holds_where_requests_are_counted(
    requests: list[tuple[int, float, float]], most: int, records: int
) -> None:
    """
    However long a request takes, and whenever within that time it is counted, no span of the rate has more than it.
    """
    window, now = Window(Rate(5, requests=most, records=records)), 0.0
    counted: list[tuple[float, int]] = []
    for size, delay, when in requests:
        while (wait := window.wait(size, now)) > 0:
            now += wait
        window.leave(size)
        counted.append((now + delay * when, size))
        now += delay
        window.answered(size, now)

    for start, _ in counted:
        within = [size for moment, size in counted if start <= moment < start + 5 - 1e-6]
        assert len(within) <= most
        assert sum(within) <= records or len(within) == 1


def test_request_larger_than_the_rate_goes_alone() -> None:
    """
    A batch of more records than the rate has is not held back for ever.
    """
    window = Window(Rate(5, records=10))

    assert window.wait(20, 0) == 0
    window.leave(20)
    assert window.wait(1, 0) > 0
    window.answered(20, 1)
    assert (window.wait(1, 5.9) > 0, window.wait(1, 6.0)) == (True, 0)


def test_pause_holds_for_all_kinds_and_is_bounded() -> None:
    """
    A shorter pause ends no longer one; an absurd one ends within the hour.
    """
    now = [0.0]
    account = Account(lambda: now[0])
    account.pause(30)
    account.pause(1)

    assert [account.take(kind, None, 1) for kind in ("event", "group")] == [30, 30]
    account.pause(1e9)
    assert account.paused == 3600
    now[0] = 3600
    assert account.take("event", None, 1) == 0


def test_kinds_have_rates_of_their_own() -> None:
    """
    What one kind has used another has not; a rate that is changed holds at once, for what was used before too.
    """
    account = Account(lambda: 0.0)
    once, twice = Rate(10, requests=1), Rate(10, requests=2)

    assert account.take("event", once, 1) == 0
    assert account.take("event", once, 1) > 0
    assert account.take("group", once, 1) == 0
    assert account.take("event", twice, 1) == 0
    assert account.take("event", twice, 1) > 0


def test_account_is_the_same_for_all_who_name_it() -> None:
    """
    Two destinations of one account share its budget.
    """
    accounts = Accounts(lambda: 0.0)

    assert accounts.of("a") is accounts.of("a")
    assert accounts.of("a") is not accounts.of("b")
