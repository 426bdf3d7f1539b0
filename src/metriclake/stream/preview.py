"""
Say what an edited pipeline file would make of events that were archived, beside what the file in force makes of them.

Both files' rule of one metric runs over the same archived events, through the same steps and as of the same moments: a
batch's own. The directory is not asked: what a tenant is called changes no count. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from metriclake._errors import MetriclakeError
from metriclake.entry import Span
from metriclake.stream.archived import archived, only
from metriclake.stream.compose import Plan, Refused, Sorted, sort
from metriclake.stream.lake import Lake
from metriclake.stream.steps import Draft

Enough = Callable[[], bool]
_Identity = tuple[str, str, str]


class Difference(msgspec.Struct, kw_only=True):
    """
    What becomes of one tenant's metric events.

    `before` and `after` are how many the rule in force and the edited one make; of those, `added`, `removed` and
    `changed` are not in both alike, by tenant, event id and time. `refused_before` and `refused_after` count by reason
    what would not pass. The sums are those of each number.
    """

    tenant: str
    metric: str
    before: int = 0
    after: int = 0
    added: int = 0
    removed: int = 0
    changed: int = 0
    refused_before: dict[str, int] = {}
    refused_after: dict[str, int] = {}
    sums_before: dict[str, float] = {}
    sums_after: dict[str, float] = {}


class Previewed(msgspec.Struct, kw_only=True):
    """
    What one slice has found, over `events` domain events; `next` is where to go on, empty at the end.
    """

    differences: list[Difference]
    events: int = 0
    next: str = ""
    done: int = 0
    total: int = 0


class Preview:
    """
    The preview over one lake.
    """

    def __init__(self, lake: Lake, in_force: Callable[[], Plan], plan_of_text: Callable[[str], Plan]) -> None:
        """
        `in_force` returns the plan in force; `plan_of_text` compiles an edited file.
        """
        self._lake = lake
        self._in_force = in_force
        self._plan_of_text = plan_of_text

    def slice(self, metric: str, text: str, span: Span, after: str, enough: Enough) -> Previewed:
        """
        Go on from `after` until `enough`, over the batches whose oldest arrival lies in the span.

        Raises InvalidPipeline where the edited file has faults, LakeError where an archived object cannot be read, and
        MetriclakeError where neither file has the metric.
        """
        before, edited = only(self._in_force(), metric), only(self._plan_of_text(text), metric)
        if not before.rules.rules and not edited.rules.rules:
            raise MetriclakeError(f"neither file has a metric {metric!r}: name one of either")
        found: dict[str, Difference] = {}
        previewed = Previewed(differences=[])
        for step, batch in archived(self._lake, span, after):
            previewed.done, previewed.total = step.done, step.total
            if batch is not None:
                entries, seal = batch.entries(self._lake), batch.seal(batch.manifest.version)
                previewed.events += batch.archive.rows
                _compare(sort(entries, seal, before), sort(entries, seal, edited), metric, found)
            if enough():
                previewed.next = step.path
                break
        previewed.differences = [found[tenant] for tenant in sorted(found)]
        return previewed


def _compare(before: Sorted, after: Sorted, metric: str, found: dict[str, Difference]) -> None:
    """
    Add to the differences what two sorts of one batch have made.
    """

    def of(tenant: str) -> Difference:
        return found.setdefault(tenant, Difference(tenant=tenant, metric=metric))

    made, remade = _by_identity(before.passed), _by_identity(after.passed)
    for identity in made.keys() | remade.keys():
        old, new = made.get(identity), remade.get(identity)
        one = of(identity[0])
        if old is not None:
            one.before += 1
            _sum(one.sums_before, old)
        if new is not None:
            one.after += 1
            _sum(one.sums_after, new)
        if old is None or new is None:
            one.added += old is None
            one.removed += new is None
        else:
            one.changed += (old.dimensions, old.measures) != (new.dimensions, new.measures)
    for refused in before.refused:
        _refused(of(refused.draft.account[0]).refused_before, refused)
    for refused in after.refused:
        _refused(of(refused.draft.account[0]).refused_after, refused)


def _by_identity(drafts: Iterable[Draft]) -> dict[_Identity, Draft]:
    """
    Return drafts by what they are counted by; of several the first, as the store does.
    """
    found: dict[_Identity, Draft] = {}
    for draft in drafts:
        key = (draft.tenant, draft.dimensions["event_id"], str(draft.measures["event_time"]))
        found.setdefault(key, draft)
    return found


def _sum(sums: dict[str, float], draft: Draft) -> None:
    for name, value in draft.measures.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            sums[name] = sums.get(name, 0) + value


def _refused(counts: dict[str, int], refused: Refused) -> None:
    counts[refused.reason.value] = counts.get(refused.reason.value, 0) + 1
