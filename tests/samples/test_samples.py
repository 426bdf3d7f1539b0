from __future__ import annotations

import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any

import pytest
import yaml

import metriclake.samples
from metriclake.samples import history, moment

NOW = datetime(2026, 3, 18, 15, 24, 31, 250_000, UTC)
UNPICKED = {"check_run.completed", "issue_comment.created", "star.created"}


@pytest.fixture(name="events", scope="module")
def events_fixture() -> list[dict[str, Any]]:
    """
    Return the whole sample history, drawn once.
    """
    return list(history(NOW))


def tenant_of(event: dict[str, Any]) -> str:
    """
    Return the tenant where the pipeline file's rules find it.
    """
    detail = event["detail"]

    return str(detail["tenant_id"] if event["source"] == "findings" else detail["organization"]["login"])


def when(event: dict[str, Any]) -> datetime:
    """
    Return an event's time.
    """
    return datetime.fromisoformat(event["time"])


def sample(name: str) -> Any:
    """
    Return one of the sample YAML files, decoded.
    """
    return yaml.safe_load(files(metriclake.samples).joinpath(name).read_text("utf-8"))


def test_the_same_seed_gives_the_same_events() -> None:
    """
    Two draws with one seed are equal, and another seed gives others.
    """
    first, again, other = (list(history(NOW, days=3, seed=seed)) for seed in (1, 1, 2))

    assert first == again
    assert {event["id"] for event in first}.isdisjoint(event["id"] for event in other)


def test_ids_are_unique_uuids(events: list[dict[str, Any]]) -> None:
    """
    Every event has a name-based UUID of its own.
    """
    ids = [event["id"] for event in events]

    assert len(set(ids)) == len(ids)
    assert {uuid.UUID(text).version for text in ids[:100]} == {5}


def test_events_come_in_order_and_within_the_days_asked_for(events: list[dict[str, Any]]) -> None:
    """
    Times never go back, start after 90 days ago and end by now.
    """
    times = [when(event) for event in events]

    assert times == sorted(times)
    assert times[0] > NOW - timedelta(days=90)
    assert times[-1] <= NOW


def test_there_is_enough_and_not_too_much(events: list[dict[str, Any]]) -> None:
    """
    The demo feeds within seconds and still fills its charts.
    """
    assert 40_000 <= len(events) <= 60_000


def test_three_tenants_of_three_sizes(events: list[dict[str, Any]]) -> None:
    """
    The tenants are those of the tenants file, clearly different in size.
    """
    share = Counter(map(tenant_of, events))

    assert set(share) == set(sample("tenants.yaml"))
    assert share["globex"] / share["acme"] == pytest.approx(0.4, abs=0.06)
    assert share["initech"] / share["acme"] == pytest.approx(0.12, abs=0.03)


def test_a_sizeable_share_is_picked_by_no_rule(events: list[dict[str, Any]]) -> None:
    """
    A quarter or more of the events are of kinds that the pipeline file does not name.
    """
    kinds = Counter(event["detail-type"] for event in events)
    share = sum(kinds[kind] for kind in UNPICKED) / len(events)

    assert 0.2 < share < 0.4
    assert set(kinds) - UNPICKED == {
        "finding-opened",
        "finding-fixed",
        "scan-completed",
        "posture-computed",
        "push",
        "pull_request.closed",
    }


def test_weekends_are_quieter_than_working_days(events: list[dict[str, Any]]) -> None:
    """
    A weekend day has less than half of a working day's events.
    """
    days = Counter(when(event).weekday() for event in events)

    assert max(days[5], days[6]) < min(days[day] for day in range(5)) / 2


def test_the_last_month_is_busier_than_the_first(events: list[dict[str, Any]]) -> None:
    """
    Events grow over the 90 days.
    """
    first = sum(when(event) <= NOW - timedelta(days=60) for event in events)
    last = sum(when(event) > NOW - timedelta(days=30) for event in events)

    assert last > 1.15 * first


def test_an_incident_stands_out(events: list[dict[str, Any]]) -> None:
    """
    The worst day of the largest tenant has at least twice the findings of its third worst.
    """
    opened = Counter(
        event["time"][:10]
        for event in events
        if event["detail-type"] == "finding-opened" and tenant_of(event) == "acme"
    )
    ranked = opened.most_common()

    assert ranked[0][1] > 2 * ranked[2][1]


@pytest.mark.parametrize("later", [timedelta(hours=1), timedelta(days=1), timedelta(days=40)])
def test_a_later_history_repeats_no_hour_differently(events: list[dict[str, Any]], later: timedelta) -> None:
    """
    What a later start sends for the days already sent was sent before, to the byte.
    """
    sent = {event["id"]: event for event in events}
    again = [event for event in history(NOW + later) if when(event) <= NOW]

    assert len(again) > len(events) // 3
    assert all(sent.get(event["id"]) == event for event in again)


def test_live_events_are_new_and_of_now(events: list[dict[str, Any]]) -> None:
    """
    Ticks give about an event each, stamped with the tick's time, under ids that no other event has.
    """
    ticks = [moment(NOW, index) for index in range(200)]
    live = [event for tick in ticks for event in tick]
    ids = {event["id"] for event in live}

    assert ticks == [moment(NOW, index) for index in range(200)]
    assert 150 < len(live) == len(ids) < 300
    assert {event["time"] for event in live} == {"2026-03-18T15:24:31Z"}
    assert ids.isdisjoint(event["id"] for event in events)
    assert {tenant_of(event) for event in live} == {"acme", "globex", "initech"}


def test_every_path_of_the_pipeline_file_finds_its_value(events: list[dict[str, Any]]) -> None:
    """
    No rule of the sample pipeline file can be refused for a missing field or a wrong number.
    """
    for rule in sample("metriclake.yaml")["metrics"].values():
        picked = [event for event in events if event["detail-type"].startswith(_detail_type(rule))]
        picked = [event for event in picked if event["detail"].get("pull_request", {}).get("merged") is not False]
        assert picked

        for name, spec in (rule["metadata"] | rule["data"]).items():
            path = spec if isinstance(spec, str) else spec["path"]
            kind = _type_of(spec)
            assert all(type(_reach(event, path)) is kind for event in picked), name


def _detail_type(rule: dict[str, Any]) -> str:
    """
    Return the detail type that a rule asks for, or its prefix.
    """
    wanted = rule["pattern"]["detail-type"][0]

    return str(wanted["prefix"] if isinstance(wanted, dict) else wanted)


def _type_of(spec: str | dict[str, Any]) -> type:
    """
    Return the Python type that a mapping declares; text where it declares none.
    """
    return str if isinstance(spec, str) else {"integer": int, "double": float}[spec["type"]]


def _reach(event: dict[str, Any], path: str) -> Any:
    """
    Return what lies at a path such as `$.detail.severity`.
    """
    value: Any = event
    for step in path.removeprefix("$.").split("."):
        value = value[step]

    return value
