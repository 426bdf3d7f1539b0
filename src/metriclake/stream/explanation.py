"""
Tell what the rules make of one event: which match, why the others do not, and each metric event with its refusal.

Pure but for one question to the directory. Nothing is counted and nothing is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from metriclake._errors import InvalidEvent, TransformFailed
from metriclake.event import DropReason, MetricEvent, tenant_of
from metriclake.rules import Mismatch, Rule
from metriclake.rules.ruleset import DEFAULT_BUS
from metriclake.stream.compose import Plan, terms_of
from metriclake.stream.directory import Attributes
from metriclake.stream.steps import VALIDATE, Draft, Refusal, as_dimensions, put_attributes

_MOST_BUSES = 20


class Refused(msgspec.Struct, frozen=True):
    """
    Why a metric event would lie under `Error/`.
    """

    reason: DropReason
    message: str


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """
    What becomes of the event at one rule.

    `why` is one sentence where it does not match, and `mismatch` the same in parts. Where it matches there is the
    metric event, or why it is refused.
    """

    rule: str
    matches: bool
    why: str | None = None
    mismatch: Mismatch | None = None
    metric_event: MetricEvent | None = None
    refused: Refused | None = None


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """
    What becomes of the event at every rule of its bus. `other_buses` are those of the file's other rules.
    """

    bus: str
    rules: list[Explained]
    other_buses: list[str] = []


def explain(
    text: bytes, plan: Plan, now: datetime, resolve: Callable[[Iterable[str]], Mapping[str, Attributes | None]]
) -> Explanation:
    """
    Explain a domain event, a JSON text, as of `now`; `resolve` asks the tenants' directory.

    Raises:
        InvalidEvent: The text is no JSON object.
        EventTooComplex: The event's arrays or texts are beyond the rules' limits.

    """
    event = read_event(text)
    bus = event.get("bus", DEFAULT_BUS)
    told = [
        _matched(verdict.rule, event, plan, now, resolve) if verdict.mismatch is None
        else Explained(rule=verdict.rule.name, matches=False, why=str(verdict.mismatch), mismatch=verdict.mismatch)
        for verdict in plan.rules.explain(event)
    ]  # fmt: skip
    others = sorted({rule.bus for rule in plan.rules.rules} - {bus})
    return Explanation(bus=str(bus), rules=told, other_buses=others[:_MOST_BUSES])


def read_event(text: bytes) -> dict[str, Any]:
    """
    Return an event as the rules see it; raises InvalidEvent where the text is no JSON object.
    """
    try:
        event = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidEvent(f"the event is not JSON: {error}") from error
    if not isinstance(event, dict):
        raise InvalidEvent("the event must be a JSON object")
    return event


def _matched(
    rule: Rule, event: dict[str, Any], plan: Plan, now: datetime,
    resolve: Callable[[Iterable[str]], Mapping[str, Attributes | None]],
) -> Explained:  # fmt: skip
    """
    Return what a rule makes of an event that it matches.
    """
    try:
        metadata, data = rule.transform.apply(event, int(now.timestamp() * 1_000_000))
        draft = Draft(rule.name, metadata, data, event.get("id"), b"", 0, tenant_of(metadata))
        for step in VALIDATE:
            step(draft, terms_of(plan, now))
        answers = resolve([draft.tenant])
        added = {tenant: None if found is None else as_dimensions(found) for tenant, found in answers.items()}
        made = put_attributes(draft, added, accept_unknown=plan.accept_unknown)
    except TransformFailed as error:
        return _refused(rule, DropReason.TRANSFORM_FAILED, str(error))
    except Refusal as refusal:
        return _refused(rule, refusal.reason, str(refusal))
    return Explained(rule=rule.name, matches=True, metric_event=made)


def _refused(rule: Rule, reason: DropReason, message: str) -> Explained:
    return Explained(rule=rule.name, matches=True, refused=Refused(reason, message))
