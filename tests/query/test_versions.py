"""
What is told from memory stands on versions: they are raised with every change, and unknown where a change may be.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metriclake.query.versions import Versions

UPLOADS = ("acme", "uploads")
KEYS = st.tuples(st.sampled_from(["acme", "globex", "initech"]), st.sampled_from(["uploads", "logins"]))


class LostError(Exception):
    """
    What a change may end with.
    """


def change(versions: Versions, keys: Iterable[tuple[str, str]], *, fails: bool = False) -> None:
    """
    Make one change from its start to its end.
    """
    with suppress(LostError), versions.changing(keys):
        if fails:
            raise LostError


def test_a_change_raises_the_version_of_its_metric_and_of_its_tenant() -> None:
    """
    Whoever remembers an answer sees that it is one of before; others keep theirs.
    """
    versions = Versions()
    before = [versions.of(*UPLOADS), versions.of("acme"), versions.of("acme", "logins"), versions.of("globex")]
    change(versions, [UPLOADS])
    after = [versions.of(*UPLOADS), versions.of("acme"), versions.of("acme", "logins"), versions.of("globex")]

    assert [one == other for one, other in zip(before, after, strict=True)] == [False, False, True, True]
    assert None not in after


def test_a_version_is_unknown_while_it_changes() -> None:
    """
    Between a change's start and its end nothing can be told from memory, also where two changes overlap.
    """
    versions = Versions()
    with versions.changing([UPLOADS]):
        assert versions.of(*UPLOADS) is None
        assert versions.of("acme") is None
        with versions.changing([UPLOADS, ("globex", "uploads")]):
            assert versions.of("globex", "uploads") is None
        assert versions.of("globex", "uploads") is not None
        assert versions.of(*UPLOADS) is None

    assert versions.of(*UPLOADS) is not None


def test_a_change_that_failed_leaves_doubt_until_one_succeeds() -> None:
    """
    A load that was cut off may have changed something: its metrics are unknown until they were loaded well.
    """
    versions = Versions()
    with pytest.raises(LostError), versions.changing([UPLOADS, ("acme", "logins")]):
        raise LostError
    assert [versions.of(*UPLOADS), versions.of("acme", "logins"), versions.of("acme")] == [None] * 3

    change(versions, [UPLOADS])
    assert versions.of(*UPLOADS) is not None
    assert [versions.of("acme", "logins"), versions.of("acme")] == [None] * 2

    change(versions, [("acme", "logins")])
    assert None not in [versions.of("acme", "logins"), versions.of("acme")]


def test_a_change_of_everything_raises_every_version() -> None:
    """
    A new retention may take rows of anybody.
    """
    versions = Versions()
    before = versions.of("never", "seen")
    with versions.changing_all():
        assert versions.of("never", "seen") is None

    assert versions.of("never", "seen") not in (None, before)


@settings(deadline=None)
@given(st.lists(st.tuples(st.lists(KEYS, min_size=1), st.booleans()), max_size=20), st.sampled_from([1, 2, 7, 1 << 16]))
def test_no_change_goes_unseen(changes: list[tuple[list[tuple[str, str]], bool]], places: int) -> None:
    """
    However few counters there are: after a change, a version of before is not in force for anything that changed.
    """
    versions = Versions(places)
    for keys, fails in changes:
        before = {(tenant, name): versions.of(tenant, name) for tenant, metric in keys for name in (metric, None)}
        change(versions, keys, fails=fails)
        for (tenant, name), version in before.items():
            found = versions.of(tenant, name)
            assert found is None or found != version
            assert not fails or found is None
