"""
Answer the questions of verified tenants: plan them, let the tenant's reader read, and arrange what it found.

Several questions of one request are read by one statement. What is wrong with one of them is its own affair.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from metriclake._errors import InvalidQuestion, NotAllowed, QuestionTooLarge
from metriclake.problems import refusal
from metriclake.query.arrange import arrange, as_text
from metriclake.query.plan import Plan, Units, plan
from metriclake.query.question import Draft
from metriclake.store import Answer, Metric, Selection, TenantReader
from metriclake.tokens import TenantClaims


class Answers:
    """
    The answers of one server. An answer is a dict as it goes on the wire: `columns`, `rows`, `meta`.
    """

    def __init__(
        self,
        reader: Callable[[str], TenantReader],
        units: Callable[[], Units],
        fresh_as_of: Callable[[str], datetime],
    ) -> None:
        """
        `reader` makes the reader of a verified tenant; `fresh_as_of` is the moment up to which all of a tenant is read.
        """
        self._reader = reader
        self._units = units
        self._fresh_as_of = fresh_as_of

    def one(self, claims: TenantClaims, draft: Draft) -> dict[str, Any]:
        """
        Answer a question.

        Raises InvalidQuestion with all its faults, QuestionTooLarge, and NotAllowed where the token does not allow it.
        """
        began = time.perf_counter()
        reader = self._reader(claims.tenant_id)
        fresh = self._fresh_as_of(claims.tenant_id)
        made = self._plan(claims, draft, reader.known(), datetime.now(UTC))
        return _answer(made, reader.select(made.selection), fresh, began)

    def many(self, claims: TenantClaims, drafts: Mapping[str, Draft]) -> dict[str, dict[str, Any]]:
        """
        Answer questions by their names: each with its answer, or with the problem document of what is wrong with it.
        """
        began = time.perf_counter()
        reader = self._reader(claims.tenant_id)
        fresh = self._fresh_as_of(claims.tenant_id)
        metrics, now = reader.known(), datetime.now(UTC)
        answers: dict[str, dict[str, Any]] = {}
        plans: dict[str, Plan] = {}
        for name, draft in drafts.items():
            try:
                plans[name] = self._plan(claims, draft, metrics, now)
            except (InvalidQuestion, NotAllowed) as error:
                answers[name] = refusal(error)
        found = _read(reader, list(dict.fromkeys(made.selection for made in plans.values())))
        for name, made in plans.items():
            try:
                answers[name] = _answer(made, _found(found[made.selection]), fresh, began)
            except (InvalidQuestion, QuestionTooLarge) as error:
                answers[name] = refusal(error)
        return {name: answers[name] for name in drafts}

    def _plan(self, claims: TenantClaims, draft: Draft, metrics: Mapping[str, Metric], now: datetime) -> Plan:
        metric, allowed = draft.question.metric, claims.metrics
        if allowed is None:
            return plan(draft, metrics, self._units(), now)
        if metric and metric not in allowed:
            raise NotAllowed("the tenant token does not allow this metric")
        return plan(draft, {name: found for name, found in metrics.items() if name in allowed}, self._units(), now)


_Read = dict[Selection, Answer | QuestionTooLarge]


def _read(reader: TenantReader, selections: list[Selection]) -> _Read:
    """
    Read all selections by one statement; where together they need too much, each by one of its own.
    """
    try:
        return dict(zip(selections, reader.select_all(selections), strict=True))
    except QuestionTooLarge as error:
        if len(selections) == 1:
            return {selections[0]: error}
    narrowed = reader.narrowed(len(selections))
    return {selection: _alone(narrowed, selection) for selection in selections}


def _alone(reader: TenantReader, selection: Selection) -> Answer | QuestionTooLarge:
    try:
        return reader.select(selection)
    except QuestionTooLarge as error:
        faults = (replace(fault, hint=f"ask it by itself, or {fault.hint}") for fault in error.faults)
        return QuestionTooLarge(tuple(faults))


def _found(answer: Answer | QuestionTooLarge) -> Answer:
    if isinstance(answer, QuestionTooLarge):
        raise answer
    return answer


def _answer(made: Plan, answer: Answer, fresh: datetime, began: float) -> dict[str, Any]:
    rows = arrange(made, answer)
    elapsed = round((time.perf_counter() - began) * 1000, 3)
    return {
        "columns": [{"name": column.name, "type": column.type, "unit": column.unit} for column in made.columns],
        "rows": rows,
        "meta": {**_covered(made), "cached": False, "fresh_as_of": as_text(fresh), "elapsed_ms": elapsed},
    }


def _covered(made: Plan) -> dict[str, Any]:
    """
    Return what of time an answer covers.
    """
    period, before = made.period, made.before
    compared = {} if before is None else {"previous": {"from": as_text(before.start), "to": as_text(before.end)}}
    bucket = made.selection.bucket.value
    return {"from": as_text(period.start), "to": as_text(period.end), "interval": bucket, **compared}
