"""
Hold metric events aside by tenant while nothing can be said of the tenant, and take them back in their order.

Pure. What is held has passed validation: when it is taken back only its measures are held against the declared types,
which may be of another pipeline version by then; that it has waited makes nothing expire here. While something of a
tenant is held, what comes later of him is held too, so that the first arrival stays the first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from metriclake.books import Key
from metriclake.entry import Held, HeldInfo
from metriclake.event import MetricEvent
from metriclake.stream.compose import Answers, Plan, Refused, Sorted
from metriclake.stream.directory import Attributes
from metriclake.stream.steps import Draft, Refusal, Terms, check_measures, put_attributes

_NO_TIME = datetime(1970, 1, 1, tzinfo=UTC)


class Verdict(msgspec.Struct, frozen=True):
    """
    What a seal pins: the directory's answers, and of whom the batch's records are held although there is one.

    Those are `behind`: more is held of them than this seal frees.
    """

    answers: dict[str, dict[str, str] | None]
    behind: list[str] = []


class _Line(msgspec.Struct, frozen=True):
    """
    A metric event as it is held: without attributes, with what its refusal would need.
    """

    event: MetricEvent
    raw: bytes
    arrived_at: int


@dataclass(frozen=True, slots=True)
class Choice:
    """
    What a seal frees: numbers of what is held, and the tenants of whom more is held than that.
    """

    freed: tuple[int, ...]
    behind: tuple[str, ...]


_ENCODER = msgspec.json.Encoder()
_DECODE_LINE = msgspec.json.Decoder(_Line)
_DECODE_VERDICT = msgspec.json.Decoder(Verdict)


def encode_verdict(answers: Mapping[str, Attributes | None], behind: Iterable[str] = ()) -> bytes:
    """
    Return a verdict as the journal pins it.
    """
    return _ENCODER.encode({"answers": answers, "behind": sorted(behind)})


def decode_verdict(pinned: bytes) -> Verdict:
    """
    Undo `encode_verdict`.
    """
    return _DECODE_VERDICT.decode(pinned)


def choose(held: Mapping[str, Sequence[HeldInfo]], can_go: Iterable[str], most: int) -> Choice:
    """
    Choose what to free of the tenants who can go, up to `most` bytes: at least one part of the first.
    """
    left = most
    freed: list[int] = []
    free = set(can_go)
    behind = {tenant for tenant, parts in held.items() if parts and tenant not in free}
    for tenant in sorted(free & held.keys()):
        for part in held[tenant]:
            if freed and part.size > left:
                behind.add(tenant)
                break
            freed.append(part.number)
            left -= part.size
    return Choice(tuple(freed), tuple(sorted(behind)))


def hold(batch: Sorted, plan: Plan, verdict: Verdict) -> list[Held]:
    """
    Put aside what passed validation and cannot go on; the batch keeps the rest.
    """
    known = verdict.answers
    silent = {draft.tenant for draft in batch.passed if draft.tenant not in known} if plan.wait else set()
    stay = silent.union(verdict.behind)
    if not stay:
        return []
    waiting: dict[str, list[Draft]] = {}
    passed: list[Draft] = []
    for draft in batch.passed:
        if draft.tenant in stay:
            waiting.setdefault(draft.tenant, []).append(draft)
        else:
            passed.append(draft)
    batch.passed = passed
    held = [_held(tenant, drafts) for tenant, drafts in sorted(waiting.items())]
    for one in held:
        batch.held.update(one.counts)
    return held


def take_back(batch: Sorted, freed: Sequence[Held], plan: Plan) -> None:
    """
    Put what was held before the batch's own records.
    """
    terms = Terms(_NO_TIME, _NO_TIME, plan.types)
    passed: list[Draft] = []
    for one in freed:
        batch.freed.update(one.counts)
        for line in one.body.splitlines():
            draft = _draft(_DECODE_LINE.decode(line))
            try:
                check_measures(draft, terms)
            except Refusal as refusal:
                batch.refused.append(Refused(draft, refusal.reason, str(refusal)))
            else:
                passed.append(draft)
    batch.passed = passed + batch.passed
    batch.freed_at = min((one.oldest_at for one in freed), default=None)


def _held(tenant: str, drafts: Sequence[Draft]) -> Held:
    bare: Answers = {tenant: {}}
    lines = []
    counts: Counter[Key] = Counter()
    for draft in drafts:
        event = put_attributes(draft, bare, accept_unknown=True)
        lines.append(_ENCODER.encode(_Line(event, draft.raw, draft.arrived_at)))
        counts[tenant, event.metric_name] += 1
    return Held(tenant, min(draft.arrived_at for draft in drafts), counts, b"\n".join(lines) + b"\n")


def _draft(line: _Line) -> Draft:
    event = line.event
    draft = Draft(event.metric_name, event.metadata, event.data, None, line.raw, line.arrived_at)
    draft.tenant = event.metadata["tenant_id"]
    draft.dimensions = event.metadata
    draft.measures = {"event_time": event.data["event_time"]}
    return draft
