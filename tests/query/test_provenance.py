"""
Where a point comes from: the lake objects of its rows and no others, the rules that made them, a few of the events.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from metriclake._errors import InvalidBody, InvalidQuestion
from metriclake.entry import Announcement
from metriclake.query import Declared, Provenance, Sources
from metriclake.query.provenance import MOST_OBJECTS
from store.shelf import NOW, VERSION, Shelf, event

pytestmark = pytest.mark.engine

DAY = timedelta(days=1)
RANGE = {"from": "2026-06-28T12:00:00Z", "to": "2026-07-01T12:00:00Z"}
DAILY = {"metric": "uploads", "measure": "size", "range": RANGE, "interval": "day"}
SEALED = int(NOW.timestamp()) * 1_000_000


@pytest.fixture(scope="module", autouse=True)
def _objects(shelf: Shelf) -> None:
    """
    Load a tenant's events in three objects, the first of them in two, and another tenant's in the same ones.
    """
    shelf.load(
        *(event("acme", f"a{number}", size=1.0, dimensions={"kind": "x"}) for number in range(8)),
        event("globex", "g0", size=50.0),
    )
    shelf.load(event("acme", "b0", size=2.0), event("acme", "b1", time=NOW - DAY, size=4.0))
    shelf.load(event("acme", "c0", time=NOW - 2 * DAY, size=8.0), event("globex", "g1", size=50.0))


def announcements(after: int, limit: int) -> list[Announcement]:
    """
    Return announcements of which the third is not kept.
    """
    known = (number for number in range(after + 1, after + 1 + limit) if number != 3)
    return [Announcement(number, f"Data/{number}", f"Manifest/{number}", 1, 0, SEALED, VERSION) for number in known]


def told(shelf: Shelf, body: bytes | None = None, **parts: Any) -> dict[str, Any]:
    """
    Ask where a point of acme's sizes by day comes from.
    """
    sources = Sources(announcements, lambda version, metric: {"of": [version, metric]}, lambda: VERSION)
    provenance = Provenance(shelf.reader, lambda: Declared(1, dict), sources, lambda: NOW)
    asked = json.dumps({"tenant": "acme", "question": DAILY, **parts}).encode()
    return provenance.answer(asked if body is None else body)


def test_a_point_names_its_objects(shelf: Shelf) -> None:
    """
    A point has the objects of its own interval, the last first, each with its rows and a few of its events.
    """
    found = told(shelf, time="2026-07-01T00:00:00Z")
    last, first = found["objects"]

    assert (found["from"], found["to"], found["value"]) == ("2026-07-01T00:00:00Z", "2026-07-01T12:00:00Z", 10.0)
    assert (last["number"], last["rows"], last["event_ids"]) == (2, 1, ("b0",))
    assert (first["number"], first["rows"], len(first["event_ids"])) == (1, 8, 5)
    assert set(first["event_ids"]) <= {f"a{number}" for number in range(8)}
    assert (first["path"], first["manifest"], first["version"]) == ("Data/1", "Manifest/1", VERSION)
    assert first["sealed_at"] == first["first_time"] == first["last_time"] == "2026-07-01T00:00:00Z"
    assert found["more"] is False


def test_the_first_interval_starts_with_the_range(shelf: Shelf) -> None:
    """
    An interval that the range cuts is as long as in the answer; one without rows comes from nothing.
    """
    found = told(shelf, time="2026-06-28T00:00:00Z")

    assert (found["from"], found["to"]) == ("2026-06-28T12:00:00Z", "2026-06-29T00:00:00Z")
    assert (found["value"], found["objects"], found["rules"]) == (None, [], [])


def test_without_a_time_all_of_the_range_is_meant(shelf: Shelf) -> None:
    """
    The whole range has all objects of the tenant; one whose announcement is not kept is named by its number alone.
    """
    found = told(shelf)

    assert [(one["number"], one["rows"]) for one in found["objects"]] == [(3, 1), (2, 2), (1, 8)]
    assert (found["objects"][0]["path"], found["objects"][0]["sealed_at"]) == (None, None)
    assert found["rules"] == [{"version": VERSION, "in_force": True, "rule": {"of": [VERSION, "uploads"]}}]


def test_filters_bound_the_rows(shelf: Shelf) -> None:
    """
    A filter of the question counts, a group does not: a point of one is asked by a filter.
    """
    filters = [{"dimension": "kind", "equals": "x"}]
    found = told(shelf, question={**DAILY, "filters": filters, "group_by": ["kind"], "compare": "previous_period"})

    assert [(one["number"], one["rows"]) for one in found["objects"]] == [(1, 8)]


def test_a_rate_is_by_the_second(shelf: Shelf) -> None:
    """
    The value of a rate is divided by the point's own seconds.
    """
    question = {"metric": "uploads", "aggregate": "rate", "range": RANGE, "interval": "day"}
    found = told(shelf, question=question, time="2026-07-01T00:00:00Z")

    assert found["value"] == 9 / (12 * 3600)


def test_too_many_objects_are_cut(shelf: Shelf) -> None:
    """
    Of very many objects only the last ones are named, and that there are more is said.
    """
    for number in range(MOST_OBJECTS + 1):
        shelf.load(event("hooli", str(number), metric="builds"))
    found = told(shelf, tenant="hooli", question={"metric": "builds", "range": RANGE})

    assert (len(found["objects"]), found["more"], found["value"]) == (MOST_OBJECTS, True, MOST_OBJECTS + 1)
    assert found["objects"][0]["number"] == shelf.number


@pytest.mark.parametrize("time", ["2026-07-01T01:00:00Z", "2026-07-01T00:00:00", "2025-01-01T00:00:00Z"])
def test_a_time_that_is_no_interval_is_refused(shelf: Shelf, time: str) -> None:
    """
    A time at which no interval of the question starts is a fault of it.
    """
    with pytest.raises(InvalidQuestion) as refused:
        told(shelf, time=time)

    assert [fault.place for fault in refused.value.faults] == ["time"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"tenant": "acme"}',
        b'{"tenant": "a/../b", "question": {}}',
        b'{"tenant": "", "question": {}}',
        b'{"tenant": "acme", "question": {}, "more": 1}',
        b"[" * 100_000,
    ],
)
def test_what_cannot_be_read_is_refused(shelf: Shelf, body: bytes) -> None:
    """
    A body of another shape, and one without a tenant's name, is refused.
    """
    with pytest.raises(InvalidBody):
        told(shelf, body)


def test_a_tenants_own_names_count(shelf: Shelf) -> None:
    """
    A metric that only another tenant has is not there.
    """
    with pytest.raises(InvalidQuestion):
        told(shelf, question={"metric": "builds", "range": RANGE})
