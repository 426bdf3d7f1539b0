"""
Tell where a point of a chart comes from: the lake objects of its rows, the rules that made them, a few of the events.

For whoever has the admin key: what is asked is a tenant's question, and the tenant's own reader reads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import msgspec

from metriclake._errors import Fault, InvalidBody, InvalidQuestion
from metriclake.entry import Announcement
from metriclake.event import is_tenant_id
from metriclake.query.answers import Declared
from metriclake.query.arrange import as_text
from metriclake.query.plan import Plan, plan
from metriclake.query.present import present
from metriclake.query.question import read
from metriclake.store import Bucket, Origin, Selection, TenantReader

MOST_OBJECTS = 100


class Asked(msgspec.Struct, forbid_unknown_fields=True):
    """
    The body: whose point, the question that its chart asked, and the start of the point's interval where it has some.
    """

    tenant: str
    question: dict[str, Any]
    time: datetime | None = None


_ASKED = msgspec.json.Decoder(Asked)


@dataclass(frozen=True, slots=True)
class Sources:
    """
    What tells of lake objects, and of the pipeline files that they were made by.

    `announcements` returns some after a number, in order; `rule` what a version of the pipeline file says of a metric,
    None where it is not kept or says nothing of it; `in_force` the version of today.
    """

    announcements: Callable[[int, int], Sequence[Announcement]]
    rule: Callable[[int, str], Any]
    in_force: Callable[[], int]


class Provenance:
    """
    The provenance of one server's points.
    """

    def __init__(
        self,
        reader: Callable[[str], TenantReader],
        declared: Callable[[], Declared],
        sources: Sources,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """
        `reader` returns the reader of a tenant.
        """
        self._reader = reader
        self._declared = declared
        self._sources = sources
        self._clock = clock

    def answer(self, body: bytes) -> dict[str, Any]:
        """
        Tell where a point comes from. Raises InvalidBody, InvalidQuestion with every fault, and QuestionTooLarge.
        """
        asked = _read(body)
        draft = read(asked.question)
        reader = self._reader(asked.tenant)
        moment = present(draft.question, self._clock())
        made = plan(draft, reader.known(), self._declared().units(), moment)
        selection = point_of(made, asked.time)
        found = reader.origins(selection, MOST_OBJECTS + 1)
        origins = found[:MOST_OBJECTS]
        ((value,),) = reader.select(selection).rows
        if made.rate and value is not None:
            value /= (selection.end - selection.start).total_seconds()
        return {
            "tenant": asked.tenant,
            "metric": selection.metric,
            "from": as_text(selection.start),
            "to": as_text(selection.end),
            "value": value,
            "objects": [self._object(origin) for origin in origins],
            "more": len(found) > len(origins),
            "rules": [
                {
                    "version": version,
                    "in_force": version == self._sources.in_force(),
                    "rule": self._sources.rule(version, selection.metric),
                }
                for version in sorted({origin.version for origin in origins}, reverse=True)
            ],
        }

    def _announced(self, number: int) -> Announcement | None:
        return next((one for one in self._sources.announcements(number - 1, 1) if one.number == number), None)

    def _object(self, origin: Origin) -> dict[str, Any]:
        announced = self._announced(origin.object)
        sealed = None if announced is None else datetime.fromtimestamp(announced.sealed_at / 1_000_000, UTC)
        return {
            "number": origin.object,
            "path": None if announced is None else announced.object,
            "manifest": None if announced is None else announced.manifest,
            "sealed_at": None if sealed is None else as_text(sealed),
            "version": origin.version,
            "rows": origin.rows,
            "first_time": as_text(origin.first),
            "last_time": as_text(origin.last),
            "event_ids": origin.event_ids,
        }


def point_of(made: Plan, time: datetime | None) -> Selection:
    """
    Return the selection of the one interval that starts at `time`; of the whole period where none is named.

    Groups are not part of a point: what names one is a filter. Raises InvalidQuestion where no interval starts there.
    """
    start, end = made.period.start, made.period.end
    if time is not None:
        starts = made.period.starts
        if time.tzinfo is None or time not in starts:
            fault = Fault(
                "time", "is not the start of an interval of this question", "take `time` of a row of its answer"
            )
            raise InvalidQuestion((fault,))
        position = starts.index(time)
        start = max(start, starts[position])
        end = end if position + 1 == len(starts) else starts[position + 1]
    return replace(
        made.selection, start=start, end=end, bucket=Bucket.NONE, edges=(), group_by=(), before=None, limit=None
    )


def _read(body: bytes) -> Asked:
    try:
        asked = _ASKED.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidBody(str(error)) from error
    if not is_tenant_id(asked.tenant):
        raise InvalidBody("`tenant` is not a tenant id")
    return asked
