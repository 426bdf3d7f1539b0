"""
What may be asked over all tenants, how it is planned, and what becomes of what was read.
"""

from __future__ import annotations

from typing import Any

import pytest

from metriclake._errors import InvalidQuestion
from metriclake.query import parse, plan_fleet, read_fleet
from metriclake.query.fleet import FleetPlan, rows_of_tenants, rows_of_total
from metriclake.store import Answer, FleetView
from query.uploads import METRICS, NOW, UNITS

ASKED = {"metric": "uploads", "range": {"last": "7d"}}


def planned(**parts: Any) -> FleetPlan:
    """
    Plan a fleet question over a week of uploads.
    """
    return plan_fleet(read_fleet({**ASKED, **parts}), METRICS, UNITS, NOW)


def faults(value: Any) -> list[str]:
    """
    Return the places of the faults of a fleet question.
    """
    try:
        plan_fleet(read_fleet(value), METRICS, UNITS, NOW)
    except InvalidQuestion as error:
        return sorted(fault.place for fault in error.faults)
    return []


@pytest.mark.parametrize(
    ("parts", "places"),
    [
        ({}, []),
        ({"show": "total", "interval": "day", "group_by": ["kind"], "limit": 2, "compare": "previous_period"}, []),
        ({"show": "top", "measure": "size", "limit": 1000}, []),
        ({"show": "movers", "filters": [{"dimension": "kind", "equals": "x"}]}, []),
        ({"show": "adoption", "interval": "week", "fill": "zero"}, []),
        ({"show": "mover"}, ["show"]),
        ({"show": 3}, ["show"]),
        ({"show": "top", "limit": 0}, ["limit"]),
        ({"show": "top", "limit": True}, ["limit"]),
        ({"show": "movers", "limit": 1001}, ["limit"]),
        ({"show": "total", "limit": 3}, ["limit"]),
        ({"show": "top", "interval": "day", "group_by": ["kind"]}, ["group_by", "interval"]),
        ({"show": "movers", "compare": "none", "fill": "zero"}, ["compare", "fill"]),
        (
            {"show": "adoption", "measure": "size", "aggregate": "sum", "limit": 2},
            ["aggregate", "limit", "measure"],
        ),
        ({"tenant": "acme"}, ["tenant"]),
        ({"metric": "uplods", "show": "tops", "limit": 1}, ["limit", "metric", "show"]),
        ({"show": "top", "measure": "note", "aggregate": "sum"}, ["aggregate"]),
        ({"range": {"last": "1"}}, ["range.last"]),
    ],
)
def test_every_fault_is_named_at_once(parts: dict[str, Any], places: list[str]) -> None:
    """
    A fleet question is planned, or each of its faults is named, those of its shape and those of its names together.
    """
    assert faults({**ASKED, **parts}) == places


def test_what_is_no_object_is_no_question() -> None:
    """
    A list is refused as a tenant's question is.
    """
    assert "question" in faults([])


def test_a_tenants_question_cannot_show_the_fleet() -> None:
    """
    The reader of tenants' questions does not know `show`, whatever stands in it.
    """
    for view in FleetView:
        with pytest.raises(InvalidQuestion) as refused:
            parse({**ASKED, "show": view.value})
        assert [fault.place for fault in refused.value.faults] == ["show"]


@pytest.mark.parametrize(
    ("parts", "names"),
    [
        ({"interval": "day", "compare": "previous_period"}, ["time", "value", "previous"]),
        ({"show": "top"}, ["tenant", "value"]),
        ({"show": "movers"}, ["tenant", "value", "previous", "change"]),
        ({"show": "adoption", "interval": "day"}, ["time", "tenants", "share"]),
        ({"show": "adoption"}, ["tenants", "share"]),
    ],
)
def test_each_view_has_its_columns(parts: dict[str, Any], names: list[str]) -> None:
    """
    The columns of an answer are those of its view; a change has the unit of what changes.
    """
    columns = planned(**parts).columns

    assert [column.name for column in columns] == names
    assert {column.unit for column in planned(show="movers", measure="size").columns} == {None, "bytes"}


def test_shares_are_of_all_tenants() -> None:
    """
    The share stands beside the number; it is null where there is no number or there are no tenants.
    """
    made = planned(show="adoption")

    assert rows_of_total(made, Answer([(3,)]), 4) == [[3, 0.75]]
    assert rows_of_total(made, Answer([]), 0) == [[0, None]]


def test_rates_of_tenants_are_by_the_second() -> None:
    """
    A rate is divided by its period's seconds; where there is no value there is no change.
    """
    made = planned(show="movers", aggregate="rate", range={"last": "1h"})

    assert rows_of_tenants(made, [("acme", 7200, 3600), ("b", None, 1)]) == [
        ["acme", 2.0, 1.0, 1.0],
        ["b", None, 1 / 3600, None],
    ]
