"""
Answer the questions of verified tenants: plan them, let the tenant's reader read, and arrange what it found.

Several questions of one request are read by one statement, or by a few where their answers are sent as they come. What
is wrong with one of them is its own affair. An answer is encoded once, up to what is said anew each time: whether it is
from memory, how fresh it is, how long it took.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
from starlette.concurrency import run_in_threadpool

from metriclake._errors import InvalidQuestion, MetriclakeError, NotAllowed, OverLimit, QuestionTooLarge
from metriclake.problems import refusal
from metriclake.query.answer_cache import CacheKey
from metriclake.query.arrange import arrange, as_text
from metriclake.query.claims import allowed_of, check_metrics
from metriclake.query.desk import Desk, Found, Outcome, Reads
from metriclake.query.plan import Plan, Units, plan
from metriclake.query.points import Points
from metriclake.query.present import key_of, present
from metriclake.query.question import Draft, Question
from metriclake.store import Answer, Metric, Selection, TenantReader
from metriclake.tokens import TenantClaims

_FIRST_PART = 2
"""Questions that are answered before all others of their request, where answers are sent as they come."""

_SLICE = 2048
"""Rows that are encoded at once."""

_Name = TypeVar("_Name")
_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Declared:
    """
    What the pipeline file in force says of measures: its version, and what returns their units.
    """

    version: int
    units: Callable[[], Units]


Permit = Callable[[TenantClaims], Callable[[Question], bool]]
"""Returns what tells whether a token that is bound to dashboards may ask a question."""


class Answers:
    """
    The answers of one server, encoded as they go on the wire: `columns`, `rows`, `meta`.
    """

    def __init__(
        self,
        desk: Desk,
        declared: Callable[[], Declared],
        permit: Permit,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """
        `desk` is where questions are handed in; `permit` bounds tokens to dashboards; `clock` tells what moment it is.
        """
        self._desk = desk
        self._declared = declared
        self._permit = permit
        self._clock = clock

    async def one(self, claims: TenantClaims, draft: Draft) -> bytes:
        """
        Answer a question.

        Raises InvalidQuestion with all its faults, QuestionTooLarge, OverLimit, and NotAllowed where the token does not
        allow it.
        """
        began = time.perf_counter()
        for error in (await self._refused(claims, {"": draft})).values():
            raise error
        (found,) = await self._found(claims, (draft,))
        return _said(found, began)

    async def many(self, claims: TenantClaims, drafts: Mapping[str, Draft]) -> bytes:
        """
        Answer questions by their names: each with its answer, or with the problem document of what is wrong with it.
        """
        began = time.perf_counter()
        refused = await self._refused(claims, drafts)
        asked = {name: draft for name, draft in drafts.items() if name not in refused}
        found = await self._found(claims, tuple(asked.values())) if asked else []
        said = {name: _either(one, began) for name, one in zip(asked, found, strict=True)}
        said |= {name: msgspec.json.encode(refusal(error)) for name, error in refused.items()}
        return b'{"queries":{' + b",".join(msgspec.json.encode(name) + b":" + said[name] for name in drafts) + b"}}"

    async def in_parts(self, claims: TenantClaims, drafts: Mapping[str, Draft]) -> AsyncGenerator[bytes, None]:
        """
        Answer questions by their names as `many` does, each by a line of JSON, in parts: who waits sees the first soon.

        Those that are refused or in memory come at once; then two by one statement, four by the next, and so on, in the
        order in which they were asked. All are of one moment. Raises OverLimit where nothing has been answered yet.
        """
        began = time.perf_counter()
        refused = await self._refused(claims, drafts)
        asked, reads = self._keyed(claims, {name: draft for name, draft in drafts.items() if name not in refused})
        found = self._desk.remembered(claims.tenant_id, list(asked.values()))
        at_once = [_line(name, "problem", msgspec.json.encode(refusal(error))) for name, error in refused.items()]
        at_once += [_told(name, found[key], began) for name, key in asked.items() if key in found]
        if at_once:
            yield b"".join(at_once)
        named: dict[CacheKey, list[str]] = {}
        for name, key in asked.items():
            named.setdefault(key, []).append(name)
        for part in _growing([key for key in named if key not in found]):
            try:
                answered = await self._desk.get(claims.tenant_id, part, reads)
            except OverLimit as error:
                if not at_once:
                    raise
                answered = dict.fromkeys(part, Found(error, cached=False, fresh=self._clock()))
            at_once = [_told(name, answered[key], began) for key in part for name in named[key]]
            yield b"".join(at_once)

    async def _refused(self, claims: TenantClaims, drafts: Mapping[str, Draft]) -> dict[str, NotAllowed]:
        """
        Return which questions a token that is bound to dashboards may not ask; before anything is looked up for them.
        """
        if claims.dashboards is None:
            return {}
        allows = await run_in_threadpool(self._permit, claims)
        error = NotAllowed("the tenant token is bound to dashboards, and none of them asks this")
        return {name: error for name, draft in drafts.items() if not allows(draft.question)}

    async def _found(self, claims: TenantClaims, drafts: Sequence[Draft]) -> list[Found]:
        asked, reads = self._keyed(claims, dict(enumerate(drafts)))
        found = await self._desk.get(claims.tenant_id, list(dict.fromkeys(asked.values())), reads)
        return [found[key] for key in asked.values()]

    def _keyed(self, claims: TenantClaims, drafts: Mapping[_Name, Draft]) -> tuple[dict[_Name, CacheKey], Reads]:
        """
        Return the keys of questions, by their names, of this moment; and what reads those of them that are missing.
        """
        now, declared = self._clock(), self._declared()
        asked: dict[CacheKey, _Asked] = {}
        keys: dict[_Name, CacheKey] = {}
        for name, draft in drafts.items():
            moment = present(draft.question, now)
            keys[name] = key_of(claims, draft, moment, declared.version)
            asked[keys[name]] = _Asked(draft, moment)

        def reads(reader: TenantReader, missing: Sequence[CacheKey]) -> Mapping[CacheKey, Outcome]:
            metrics = allowed_of(claims.metrics, reader.known())
            return _answered(
                {key: asked[key] for key in missing},
                reader,
                lambda one, points: _plan(claims, one, metrics, declared, points),
            )

        return keys, reads


@dataclass(frozen=True, slots=True)
class _Asked:
    draft: Draft
    moment: datetime


def _plan(
    claims: TenantClaims, asked: _Asked, metrics: Mapping[str, Metric], declared: Declared, points: Points
) -> Plan:
    metric = asked.draft.question.metric
    check_metrics(claims.metrics, [metric] if metric else [])
    return plan(asked.draft, metrics, declared.units(), asked.moment, points)


def _answered(
    asked: Mapping[CacheKey, _Asked], reader: TenantReader, planned: Callable[[_Asked, Points], Plan]
) -> dict[CacheKey, Outcome]:
    outcomes: dict[CacheKey, Outcome] = {}
    plans: dict[CacheKey, Plan] = {}
    intervals, filled = Points(), Points()
    for key, one in asked.items():
        try:
            plans[key] = planned(one, intervals)
        except (InvalidQuestion, NotAllowed, QuestionTooLarge) as error:
            outcomes[key] = error
    found = _read(reader, list(dict.fromkeys(made.selection for made in plans.values())))
    for key, made in plans.items():
        try:
            outcomes[key] = _encoded(made, _found(found[made.selection]), filled)
        except (InvalidQuestion, QuestionTooLarge) as error:
            outcomes[key] = error
    return outcomes


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
    narrowed, points = reader.narrowed(len(selections)), Points(reader.bounds.rows)
    return {selection: _alone(narrowed, selection, points) for selection in selections}


def _alone(reader: TenantReader, selection: Selection, points: Points) -> Answer | QuestionTooLarge:
    try:
        answer = reader.select(selection)
    except QuestionTooLarge as error:
        faults = (replace(fault, hint=f"ask it by itself, or {fault.hint}") for fault in error.faults)
        return QuestionTooLarge(tuple(faults))
    try:
        points.take(len(answer.rows) + len(answer.before), reader.bounds.too_many_rows)
    except QuestionTooLarge as error:
        return error
    return answer


def _found(answer: Answer | QuestionTooLarge) -> Answer:
    if isinstance(answer, QuestionTooLarge):
        raise answer
    return answer


def _encoded(made: Plan, answer: Answer, points: Points) -> bytes:
    """
    Return an answer as JSON, up to the end of `meta`: `_said` adds the rest.
    """
    columns = msgspec.json.encode([column.as_json() for column in made.columns])
    meta = msgspec.json.encode({**covered(made), "rollup": answer.rolled})
    rows = _encoded_rows(arrange(made, answer, points))
    return b'{"columns":' + columns + b',"rows":[' + rows + b'],"meta":' + meta.removesuffix(b"}")


def _encoded_rows(rows: Sequence[Any]) -> bytes:
    """
    Return rows as the inside of a JSON array, encoded in slices: no other thread has the interpreter during one.
    """
    slices = (rows[first : first + _SLICE] for first in range(0, len(rows), _SLICE))
    return b",".join(msgspec.json.encode(part)[1:-1] for part in slices)


def _said(found: Found, began: float) -> bytes:
    rest = {
        "cached": found.cached,
        "fresh_as_of": as_text(found.fresh),
        "elapsed_ms": round((time.perf_counter() - began) * 1000, 3),
    }
    return found.body() + b"," + msgspec.json.encode(rest)[1:] + b"}"


def _either(found: Found, began: float) -> bytes:
    """
    Return an answer, or the problem document of what is wrong with its question.
    """
    wrong = found.outcome if isinstance(found.outcome, MetriclakeError) else None
    return _said(found, began) if wrong is None else msgspec.json.encode(refusal(wrong))


def _told(name: str, found: Found, began: float) -> bytes:
    """
    Return the line of an answer, or of what is wrong with its question.
    """
    kind = "problem" if isinstance(found.outcome, MetriclakeError) else "answer"
    return _line(name, kind, _either(found, began))


def _line(name: str, kind: str, encoded: bytes) -> bytes:
    return b'{"query":' + msgspec.json.encode(name) + b',"' + kind.encode() + b'":' + encoded + b"}\n"


def _growing(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    """
    Yield items in parts, each twice as large as the one before: each part costs a statement of its own.
    """
    start, size = 0, _FIRST_PART
    while start < len(items):
        yield items[start : start + size]
        start, size = start + size, size * 2


def covered(made: Plan) -> dict[str, Any]:
    """
    Return what of time an answer covers.
    """
    period, before = made.period, made.before
    compared = {} if before is None else {"previous": {"from": as_text(before.start), "to": as_text(before.end)}}
    bucket = made.selection.bucket.value
    return {"from": as_text(period.start), "to": as_text(period.end), "interval": bucket, **compared}
