"""
What may be asked over all tenants: the shape of a `FleetQuestion`, its plan, and its answer's rows.

Pure. A fleet question is a type of its own, which only the admin route reads and only `FleetReader` answers; what it
asks of a metric is said in the words of a tenant's question.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from metriclake._errors import Fault
from metriclake.query.arrange import arrange
from metriclake.query.plan import Column, Plan, Units, plan
from metriclake.query.question import MAX_LIMIT, PREVIOUS_PERIOD, Draft, read
from metriclake.store import Answer, FleetSelection, FleetView, Metric

SHOW = "show"
TENANT = "tenant"
DEFAULT_LIMIT = 10

_LISTS = (FleetView.TOP, FleetView.MOVERS)
_NOT_OF = {
    FleetView.TOTAL: (),
    FleetView.TOP: ("interval", "group_by", "fill", "compare"),
    FleetView.MOVERS: ("interval", "group_by", "fill", "compare"),
    FleetView.ADOPTION: ("measure", "aggregate", "group_by", "limit", "compare"),
}
"""The parts of a question that a view has no use for."""


@dataclass(frozen=True, slots=True)
class FleetQuestion:
    """
    A question over all tenants: what is shown of them, what is asked of the metric, and how many tenants at most.
    """

    view: FleetView
    asked: Draft
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class FleetPlan:
    """
    What to read over all tenants, and how to put it into the answer.
    """

    selection: FleetSelection
    made: Plan
    columns: tuple[Column, ...]


def read_fleet(value: Any) -> FleetQuestion:
    """
    Read what can be read of a fleet question; `plan_fleet` refuses its faults and those of its names together.
    """
    if not isinstance(value, dict):
        return FleetQuestion(FleetView.TOTAL, read(value))
    rest = {key: part for key, part in value.items() if key != SHOW}
    view, faults = _view(value.get(SHOW, FleetView.TOTAL.value))
    for key in _NOT_OF[view]:
        if key in rest:
            del rest[key]
            faults.append(Fault(key, f"has no meaning where `{SHOW}` is `{view}`"))
    limit = _limit(rest.pop("limit", DEFAULT_LIMIT), faults) if view in _LISTS else None
    if view is FleetView.MOVERS:
        rest["compare"] = PREVIOUS_PERIOD
    draft = read(rest)
    return FleetQuestion(view, replace(draft, faults=(*faults, *draft.faults)), limit)


def plan_fleet(question: FleetQuestion, metrics: Mapping[str, Metric], units: Units, now: datetime) -> FleetPlan:
    """
    Plan a fleet question at the moment `now`, by the metrics of all tenants. Raises InvalidQuestion with every fault.
    """
    made = plan(question.asked, metrics, units, now)
    return FleetPlan(FleetSelection(question.view, made.selection, question.limit), made, _columns(question.view, made))


def rows_of_total(planned: FleetPlan, answer: Answer, tenants: int) -> list[list[Any]]:
    """
    Return the rows of `total` or `adoption`, of which the latter has the share of all tenants beside each number.
    """
    rows = arrange(planned.made, answer)
    if planned.selection.view is FleetView.TOTAL:
        return rows
    return [[*row, None if row[-1] is None or tenants == 0 else row[-1] / tenants] for row in rows]


def rows_of_tenants(planned: FleetPlan, found: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    """
    Return the rows of `top` or `movers`, of which the latter has the difference of the two values at its end.
    """
    made = planned.made
    periods = [made.period] if made.before is None else [made.period, made.before]
    seconds = [period.seconds(0) if made.rate else None for period in periods]
    rows = [[tenant, *map(_divided, values, seconds)] for tenant, *values in found]
    if planned.selection.view is FleetView.TOP:
        return rows
    return [[*row, None if row[1] is None or row[2] is None else row[1] - row[2]] for row in rows]


def _divided(value: float | None, seconds: float | None) -> float | None:
    return value if value is None or seconds is None else value / seconds


def _columns(view: FleetView, made: Plan) -> tuple[Column, ...]:
    if view is FleetView.TOTAL:
        return made.columns
    values = [column for column in made.columns if column.name in ("value", "previous")]
    if view is FleetView.ADOPTION:
        times = tuple(column for column in made.columns if column not in values)
        return (*times, Column("tenants", "integer"), Column("share", "double"))
    change = [replace(values[0], name="change")] if view is FleetView.MOVERS else []
    return (Column(TENANT, "string"), *values, *change)


def _view(value: Any) -> tuple[FleetView, list[Fault]]:
    if isinstance(value, str) and value in tuple(FleetView):
        return FleetView(value), []
    near = difflib.get_close_matches(value, tuple(FleetView), n=1) if isinstance(value, str) else []
    hint = f"did you mean `{near[0]}`?" if near else ""
    return FleetView.TOTAL, [Fault(SHOW, f"must be one of: {', '.join(FleetView)}", hint)]


def _limit(value: Any, faults: list[Fault]) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_LIMIT:
        faults.append(Fault("limit", f"must be a whole number from 1 to {MAX_LIMIT}"))
        return DEFAULT_LIMIT
    return value
