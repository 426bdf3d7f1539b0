"""
Mixpanel's twin and Mixpanel's own library for Python, which knows nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import mixpanel
import pytest

from metriclake.testing import Clock, MixpanelTwin

NOON = 1_772_366_400
DAY = 24 * 3600


@pytest.fixture
def twin() -> Iterator[MixpanelTwin]:
    """
    Stand still at noon.
    """
    with MixpanelTwin(clock=Clock(NOON)) as twin:
        yield twin


def consumer(twin: MixpanelTwin, query: str = "", buffered: int = 0, account: str = "service-account") -> Any:
    """
    Return what sends to the twin: at once, or in batches of at most so many.
    """
    urls = {
        "events_url": f"{twin.url}/track",
        "people_url": f"{twin.url}/engage",
        "groups_url": f"{twin.url}/groups",
        "import_url": f"{twin.url}/import{query}",
        "credentials": mixpanel.ServiceAccountCredentials(account, "service-secret", "1"),
    }
    return mixpanel.BufferedConsumer(max_size=buffered, **urls) if buffered else mixpanel.Consumer(**urls)


def client(sending: Any, project: str = "token") -> Any:
    """
    Return a client of a project, by its token.
    """
    return mixpanel.Mixpanel(project, consumer=sending)


@pytest.mark.rule(
    "mixpanel-endpoints", "mixpanel-form", "mixpanel-verbose", "mixpanel-service-account", "mixpanel-duplicates"
)
def test_import(twin: MixpanelTwin) -> None:
    """
    What the library imports is there, and once where it is sent again with its id.
    """
    sending = client(consumer(twin))
    for plan in ("free", "paid"):
        sending.import_data(None, "u", "Report viewed", NOON - DAY, {"$insert_id": "i1", "plan": plan})

    assert [record["event"] for record in twin.records] == ["Report viewed"]
    assert twin.records[0]["properties"]["plan"] == "paid"
    assert (twin.counts.repeated, twin.requests[0].headers["content-type"]) == (1, "application/x-www-form-urlencoded")


@pytest.mark.rule("mixpanel-imported")
def test_the_strict_answer_is_not_what_the_library_reads(twin: MixpanelTwin) -> None:
    """
    To strict=1 the answer is the documented one, on which the library stumbles: the event is there all the same.
    """
    with pytest.raises(KeyError, match="error"):
        client(consumer(twin, "?strict=1")).import_data(None, "u", "Report viewed", NOON - DAY)

    assert twin.counts.taken == 1


@pytest.mark.rule("mixpanel-unauthorized")
def test_wrong_credentials(twin: MixpanelTwin) -> None:
    """
    A service account that is unknown is refused, with words that the library hands on.
    """
    with pytest.raises(mixpanel.MixpanelException, match="Invalid credentials"):
        client(consumer(twin, account="someone")).import_data(None, "u", "Report viewed", NOON)

    assert (twin.counts.taken, twin.counts.statuses) == (0, {401: 1})


@pytest.mark.rule("mixpanel-track-age", "mixpanel-verbose")
def test_track(twin: MixpanelTwin) -> None:
    """
    /track takes what is younger than five days, and the library learns of the rest only where nothing is valid.
    """
    sending = client(consumer(twin))
    sending.track("u", "new", {"time": NOON - 5 * DAY})
    with pytest.raises(mixpanel.MixpanelException, match="no valid record"):
        sending.track("u", "old", {"time": NOON - 5 * DAY - 1})

    assert ([record["event"] for record in twin.records], twin.debugger[0].rule) == (["new"], "mixpanel-track-age")


@pytest.mark.rule("mixpanel-track-token", "mixpanel-track-answer")
def test_a_wrong_token_does_not_show(twin: MixpanelTwin) -> None:
    """
    With another project's token the library sees success, and nothing is there.
    """
    client(consumer(twin), project="mistyped").track("u", "Report viewed", {"time": NOON})

    assert (twin.taken, twin.counts.statuses, twin.debugger[0].rule) == ((), {200: 1}, "mixpanel-track-token")


def test_batches_of_the_library(twin: MixpanelTwin) -> None:
    """
    The library's batches hold fifty events, whatever it is asked for.
    """
    sending = consumer(twin, buffered=2000)
    for number in range(120):
        client(sending).import_data(None, "u", "Report viewed", NOON - DAY, {"number": number})
    sending.flush()

    assert (twin.counts.taken, twin.counts.requests) == (120, 3)


@pytest.mark.rule("mixpanel-profiles")
def test_profiles_of_users(twin: MixpanelTwin) -> None:
    """
    Each operation changes a user's profile, and a deleted one is gone.
    """
    sending = client(consumer(twin))
    sending.people_set("u", {"plan": "free", "tags": ["a"]})
    sending.people_set_once("u", {"plan": "paid", "first": 1})
    sending.people_increment("u", {"visits": 2})
    sending.people_increment("u", {"visits": 3})
    sending.people_append("u", {"tags": "b"})
    sending.people_union("u", {"tags": ["b", "c"]})
    sending.people_remove("u", {"tags": "a"})
    sending.people_unset("u", ["first"])
    sending.people_set("v", {"plan": "free"})
    sending.people_delete("v")

    assert twin.users == {"u": {"plan": "free", "tags": ["b", "c"], "visits": 5}}


@pytest.mark.rule("mixpanel-profiles", "mixpanel-track-answer")
def test_profiles_of_groups(twin: MixpanelTwin) -> None:
    """
    A group's profile is found by its key and id; a wrong token changes none, and does not show.
    """
    sending = client(consumer(twin))
    sending.group_set("company_id", "acme", {"name": "Acme"})
    sending.group_set_once("company_id", "acme", {"name": "Other", "seats": 3})
    sending.group_union("company_id", "acme", {"tags": ["a"]})
    sending.group_set("company_id", "globex", {"name": "Globex"})
    sending.group_delete("company_id", "globex")
    client(consumer(twin), project="mistyped").group_set("company_id", "acme", {"name": "Wrong"})

    assert twin.groups == {("company_id", "acme"): {"name": "Acme", "seats": 3, "tags": ["a"]}}
    assert twin.counts.statuses == {200: 6}


def test_what_is_no_update(twin: MixpanelTwin) -> None:
    """
    Values that an operation cannot use are left out, and an update without an operation is not valid.
    """
    sending = client(consumer(twin))
    sending.people_set("u", {"visits": "many", "tags": "a"})
    sending.people_increment("u", {"visits": 1, "other": "x"})
    sending.people_union("u", {"tags": ["b"], "more": "c"})
    with pytest.raises(mixpanel.MixpanelException, match="no valid record"):
        sending.people_update({"$distinct_id": "u", "$set": 1})

    assert twin.users == {"u": {"visits": 1, "tags": ["b"]}}
